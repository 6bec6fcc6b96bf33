"""Tenants, pools, queues, agents, calls and their writers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from common.migrations import create_system_tables, enable_row_level_security
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String, nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> sa.Column[float]:
    return sa.Column(name, sa.Float, nullable=nullable)


def _moment(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())


def upgrade() -> None:
    """Create everything."""
    create_system_tables(op)
    _create_configuration()
    _create_states()
    enable_row_level_security(op, "tenants", "pools", "queues", "agents", "agent_states", "calls", "refusals")


def _create_configuration() -> None:
    op.create_table(
        "tenants",
        sa.Column("tenant_id", sa.String, primary_key=True),
        _text("name"),
        _text("time_zone"),
        sa.Column("version", sa.Integer, nullable=False),
        _moment("updated_at"),
    )
    op.create_table(
        "pools",
        sa.Column("id", sa.String, primary_key=True),
        _text("tenant_id"),
        _text("name"),
        sa.Column("skills", sa.ARRAY(sa.String), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        _moment("updated_at"),
    )
    op.create_table(
        "queues",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("tenant_id", sa.String, sa.ForeignKey("tenants.tenant_id"), nullable=False),
        sa.Column("pool_id", sa.String, sa.ForeignKey("pools.id"), nullable=False),
        _text("channel"),
        sa.Column("required_skills", sa.ARRAY(sa.String), nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        _number("ageing_seconds_per_priority"),
        _number("service_level_seconds"),
        _number("short_abandon_seconds"),
        _number("offer_timeout_seconds"),
        _number("wrap_up_seconds"),
        _number("max_wait_seconds", nullable=True),
        sa.Column("overflow_queue_id", sa.String, sa.ForeignKey("queues.id", name="queues_overflow")),
        _number("overflow_after_seconds", nullable=True),
        sa.Column("version", sa.Integer, nullable=False),
        _moment("updated_at"),
    )
    op.create_index("queues_of_pool", "queues", ["pool_id", "id"])
    op.create_table(
        "agents",
        sa.Column("id", sa.String, primary_key=True),
        _text("tenant_id"),
        sa.Column("pool_id", sa.String, sa.ForeignKey("pools.id"), nullable=False),
        _text("name"),
        sa.Column("skills", JSONB, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        _moment("updated_at"),
    )
    op.create_index("agents_of_pool", "agents", ["pool_id", "id"])


def _create_states() -> None:
    op.create_table(
        "agent_states",
        sa.Column("agent_id", sa.String, primary_key=True),
        _text("tenant_id"),
        _text("pool_id"),
        sa.Column("data", JSONB, nullable=False),
    )
    op.create_index("agent_states_of_pool", "agent_states", ["pool_id"])
    op.create_table(
        "calls",
        sa.Column("id", sa.String, primary_key=True),
        _text("tenant_id"),
        _text("pool_id"),
        _text("queue_id"),
        _text("state"),
        _text("agent_id", nullable=True),
        sa.Column("live", sa.Boolean, nullable=False),
        sa.Column("data", JSONB, nullable=False),
    )
    op.create_index("calls_live", "calls", ["pool_id"], postgresql_where=sa.text("live"))
    op.create_index("calls_of_tenant", "calls", ["tenant_id", "id"])
    op.create_index("calls_of_queue", "calls", ["queue_id", "id"])
    # A call changes about five times: room on the page keeps those updates out of the indexes.
    op.execute("ALTER TABLE calls SET (fillfactor = 60)")
    op.execute("ALTER TABLE agent_states SET (fillfactor = 50)")
    op.create_table(
        "pool_clocks",
        sa.Column("pool_id", sa.String, primary_key=True),
        sa.Column("reached_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "writers",
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        _text("owner"),
    )
    op.create_table(
        "refusals",
        sa.Column("command_id", sa.Uuid, primary_key=True),
        _text("tenant_id"),
        _text("reason"),
        _moment("refused_at"),
    )
    op.create_index("refusals_refused_at", "refusals", ["refused_at"], postgresql_using="brin")
