"""One person, one telephone call: numbers in use, each tenant's do-not-call list and rest after a call."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from common.migrations import enable_row_level_security

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Dials under way hold their numbers from now on; of two to one number, the older does."""
    op.add_column("tenants", sa.Column("rest_after_call_minutes", sa.Integer, nullable=False, server_default="60"))
    op.drop_constraint("leads_state", "leads", type_="check")
    op.create_check_constraint(
        "leads_state", "leads", "state IN ('pending', 'in_progress', 'done', 'exhausted', 'barred')"
    )
    op.create_index("leads_barred", "leads", ["tenant_id", "phone"], postgresql_where=sa.text("state = 'barred'"))
    op.create_table(
        "do_not_call",
        sa.Column("tenant_id", sa.String, primary_key=True),
        sa.Column("phone", sa.String, primary_key=True),
        sa.Column("reason", sa.String),
        sa.Column("added_by", sa.String, nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "recent_calls",
        sa.Column("call_id", sa.String, primary_key=True),
        sa.Column("phone", sa.String, primary_key=True),
        sa.Column("tenant_id", sa.String, nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("over_at", sa.DateTime(timezone=True)),
    )
    op.create_index("recent_calls_number", "recent_calls", ["tenant_id", "phone"])
    op.execute("ALTER TABLE recent_calls SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)")
    op.add_column("attempts", sa.Column("holds_number", sa.Boolean, nullable=False, server_default=sa.false()))
    op.execute("SELECT set_config('plateau.tenant', '*', true)")
    op.execute(
        """
        UPDATE attempts SET holds_number = true WHERE attempt_id IN (
            SELECT DISTINCT ON (tenant_id, phone) attempt_id FROM attempts WHERE ended_at IS NULL
            ORDER BY tenant_id, phone, started_at
        )
        """
    )
    op.create_index(
        "attempts_one_dial", "attempts", ["tenant_id", "phone"], unique=True, postgresql_where=sa.text("holds_number")
    )
    enable_row_level_security(op, "do_not_call", "recent_calls")


def downgrade() -> None:
    """Leads that the list barred are not dialled any more."""
    op.drop_index("attempts_one_dial", "attempts")
    op.drop_column("attempts", "holds_number")
    op.drop_table("recent_calls")
    op.drop_table("do_not_call")
    op.drop_index("leads_barred", "leads")
    op.execute("SELECT set_config('plateau.tenant', '*', true)")
    op.execute("UPDATE leads SET state = 'exhausted' WHERE state = 'barred'")
    op.drop_constraint("leads_state", "leads", type_="check")
    op.create_check_constraint("leads_state", "leads", "state IN ('pending', 'in_progress', 'done', 'exhausted')")
    op.drop_column("tenants", "rest_after_call_minutes")
