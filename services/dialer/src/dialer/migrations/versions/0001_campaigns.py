"""Tenants, campaigns, leads, attempts, what the PBX and routing are told, and what is known of agents."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from common.migrations import create_system_tables, enable_row_level_security
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _text(name: str, *, nullable: bool = False, primary_key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String, nullable=nullable, primary_key=primary_key)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False)


def _moment(name: str, *, nullable: bool = False, default: bool = False) -> sa.Column[object]:
    return sa.Column(
        name, sa.DateTime(timezone=True), nullable=nullable, server_default=sa.func.now() if default else None
    )


def upgrade() -> None:
    """Create everything."""
    create_system_tables(op)
    _campaigns()
    _attempts()
    _floor()
    enable_row_level_security(
        op, "tenants", "campaigns", "campaign_zones", "leads", "attempts", "dials", "routing_requests"
    )
    # Queues: rows live for seconds, so dead ones have to go quickly.
    for queue in ("routing_requests", "waiting_calls"):
        op.execute(f"ALTER TABLE {queue} SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)")


def _campaigns() -> None:
    op.create_table(
        "tenants",
        _text("tenant_id", primary_key=True),
        _text("name"),
        _text("time_zone"),
        _text("region"),
        _number("version"),
    )
    op.create_table(
        "campaigns",
        _text("campaign_id", primary_key=True),
        sa.Column("tenant_id", sa.String, sa.ForeignKey("tenants.tenant_id"), nullable=False),
        _text("queue_id"),
        _text("name"),
        sa.Column("calling_hours", JSONB, nullable=False),
        _number("max_attempts"),
        _number("retry_after_minutes"),
        _number("rest_after_abandon_minutes"),
        _number("ring_seconds"),
        _text("state"),
        _number("version"),
        _moment("created_at"),
        _moment("last_dialled_at", nullable=True),
        sa.CheckConstraint("state IN ('draft', 'running', 'paused', 'completed')", name="campaigns_state"),
    )
    op.create_index("campaigns_tenant", "campaigns", ["tenant_id", "campaign_id"])
    op.create_index("campaigns_running", "campaigns", ["queue_id"], postgresql_where=sa.text("state = 'running'"))
    op.create_table(
        "campaign_zones",
        sa.Column("campaign_id", sa.String, sa.ForeignKey("campaigns.campaign_id"), primary_key=True),
        _text("zones", primary_key=True),
        _text("tenant_id"),
    )
    op.create_table(
        "leads",
        sa.Column("lead_id", sa.Uuid, primary_key=True),
        _text("tenant_id"),
        sa.Column("campaign_id", sa.String, sa.ForeignKey("campaigns.campaign_id"), nullable=False),
        _text("phone"),
        _text("name", nullable=True),
        _text("external_id", nullable=True),
        _text("zones"),
        _text("state"),
        _moment("due_at"),
        _number("attempts"),
        _text("last_outcome", nullable=True),
        _moment("created_at"),
        sa.UniqueConstraint("campaign_id", "phone", name="leads_phone"),
        sa.CheckConstraint("state IN ('pending', 'in_progress', 'done', 'exhausted')", name="leads_state"),
    )
    op.create_index("leads_page", "leads", ["campaign_id", "lead_id"])
    op.create_index(
        "leads_due",
        "leads",
        ["campaign_id", "zones", "due_at", "lead_id"],
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "leads_open", "leads", ["campaign_id"], postgresql_where=sa.text("state IN ('pending', 'in_progress')")
    )


def _attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("attempt_id", sa.Uuid, primary_key=True),
        _text("tenant_id"),
        _text("campaign_id"),
        _text("queue_id"),
        sa.Column("lead_id", sa.Uuid, sa.ForeignKey("leads.lead_id"), nullable=False),
        _number("number"),
        _text("phone"),
        sa.Column("ring_seconds", sa.Float, nullable=False),
        _text("state"),
        _moment("started_at"),
        _moment("deadline_at", nullable=True),
        _moment("ringing_at", nullable=True),
        _moment("answered_at", nullable=True),
        _moment("ended_at", nullable=True),
        _text("call_id", nullable=True),
        sa.Column("gone", sa.Boolean, nullable=False),
        _text("outcome", nullable=True),
        _text("ended_by", nullable=True),
        _text("disposition", nullable=True),
        _text("traceparent", nullable=True),
        sa.CheckConstraint(
            "(state = 'ended') = (ended_at IS NOT NULL) AND (state = 'ended') = (outcome IS NOT NULL)",
            name="attempts_ended",
        ),
    )
    live = sa.text("ended_at IS NULL")
    op.create_index("attempts_live_lead", "attempts", ["lead_id"], unique=True, postgresql_where=live)
    op.create_index("attempts_live_queue", "attempts", ["queue_id"], postgresql_where=live)
    op.create_index(
        "attempts_deadline", "attempts", ["deadline_at"], postgresql_where=sa.text("deadline_at IS NOT NULL")
    )
    op.create_index("attempts_page", "attempts", ["campaign_id", "started_at", "attempt_id"])
    op.create_table(
        "dials",
        sa.Column("position", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("attempt_id", sa.Uuid, nullable=False),
        _text("tenant_id"),
        _text("command"),
        _moment("expires_at"),
        _text("call_id", nullable=True),
        _moment("written_at", default=True),
        sa.UniqueConstraint("attempt_id", "command", name="dials_once"),
    )
    op.create_table(
        "routing_requests",
        sa.Column("attempt_id", sa.Uuid, primary_key=True),
        _text("kind", primary_key=True),
        _text("tenant_id"),
        _text("call_id", nullable=True),
        sa.Column("tries", sa.Integer, nullable=False, server_default=sa.text("0")),
        _moment("leased_until", default=True),
        _moment("written_at", default=True),
    )
    op.create_index("routing_requests_due", "routing_requests", ["leased_until"])


def _floor() -> None:
    op.create_table("pools", _text("pool_id", primary_key=True))
    op.create_table(
        "agents",
        _text("agent_id", primary_key=True),
        _text("pool_id"),
        sa.Column("queue_ids", ARRAY(sa.String), nullable=False),
        _text("state"),
        _number("sequence"),
        _text("call_id", nullable=True),
    )
    op.create_index("agents_pool", "agents", ["pool_id"])
    op.create_index("agents_call", "agents", ["call_id"], postgresql_where=sa.text("call_id IS NOT NULL"))
    op.create_table("waiting_calls", _text("call_id", primary_key=True), _text("queue_id"))
    op.create_index("waiting_calls_queue", "waiting_calls", ["queue_id"])
