"""Tenants, tariffs, closings and the ledger."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from common.migrations import create_system_tables, enable_row_level_security

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything."""
    create_system_tables(op)
    op.create_table(
        "tenants",
        sa.Column("tenant_id", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("time_zone", sa.String, nullable=False),
        sa.Column("currency", sa.String, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    op.create_table(
        "tariffs",
        sa.Column("tenant_id", sa.String, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("valid_from", sa.Date, nullable=False),
        sa.Column("price_per_closed_case", sa.Numeric, nullable=False),
        sa.Column("currency", sa.String, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "version", name="tariffs_pkey"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="tariffs_tenant_fkey"),
        sa.CheckConstraint("price_per_closed_case >= 0", name="tariffs_price_not_negative"),
    )
    op.create_table(
        "closings",
        sa.Column("tenant_id", sa.String, nullable=False),
        sa.Column("case_id", sa.String, nullable=False),
        sa.Column("closing", sa.Integer, nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reopened_at", sa.DateTime(timezone=True)),
        sa.Column("tariff_version", sa.Integer),
        sa.PrimaryKeyConstraint("tenant_id", "case_id", "closing", name="closings_pkey"),
        sa.CheckConstraint("closing >= 1", name="closings_closing_positive"),
        sa.CheckConstraint("reopened_at >= closed_at", name="closings_reopened_after_closed"),
    )
    op.create_index(
        "closings_unrated",
        "closings",
        ["tenant_id", "closed_at", "case_id", "closing"],
        postgresql_where=sa.text("tariff_version IS NULL"),
    )
    op.create_table(
        "ledger",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("tenant_id", sa.String, nullable=False),
        sa.Column("case_id", sa.String, nullable=False),
        sa.Column("charge_code", sa.String, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("amount", sa.Numeric, nullable=False),
        sa.Column("currency", sa.String, nullable=False),
        sa.Column("tariff_version", sa.Integer, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reverses", sa.Uuid),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("tenant_id", "case_id", "charge_code", "version", "kind", name="ledger_once"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "tariff_version"], ["tariffs.tenant_id", "tariffs.version"], name="ledger_tariff_fkey"
        ),
        sa.ForeignKeyConstraint(["reverses"], ["ledger.id"], name="ledger_reverses_fkey"),
        sa.CheckConstraint(
            "(kind = 'charge' AND amount >= 0 AND reverses IS NULL)"
            " OR (kind = 'reversal' AND amount <= 0 AND reverses IS NOT NULL)",
            name="ledger_sign",
        ),
    )
    op.create_index("ledger_statement", "ledger", ["tenant_id", "day", "occurred_at", "id"])
    op.create_index("ledger_listing", "ledger", ["occurred_at", "id"])
    enable_row_level_security(op, "tenants", "tariffs", "closings", "ledger")
    op.execute(
        """
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% only grows: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
        END $$
        """
    )
    for table in ("tariffs", "ledger"):
        op.execute(
            f"""
            CREATE TRIGGER {table}_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
            """
        )


def downgrade() -> None:
    """What was charged is not taken down."""
    raise RuntimeError("the ledger only grows")
