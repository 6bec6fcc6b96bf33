"""Tenants, contacts, cases, webhooks and their deliveries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from common.migrations import create_system_tables, enable_row_level_security
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    default = None if nullable else sa.func.now()
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable, server_default=default)


def upgrade() -> None:
    """Create everything."""
    create_system_tables(op)
    op.create_table(
        "tenants",
        sa.Column("tenant_id", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("time_zone", sa.String, nullable=False),
        sa.Column("region", sa.String, nullable=False),
        sa.Column("reopen_window_days", sa.Integer, nullable=False),
        sa.Column("closing_dispositions", ARRAY(sa.String), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        _moment("updated_at"),
    )
    op.create_table(
        "contacts",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("tenant_id", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("phone", sa.String),
        sa.Column("name", sa.String),
        sa.Column("email", sa.String),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        _moment("last_call_at", nullable=True),
        _moment("created_at"),
        _moment("updated_at"),
        sa.UniqueConstraint("tenant_id", "key", name="contacts_key"),
    )
    op.create_index("contacts_of_tenant", "contacts", ["tenant_id", "id"])
    # Each call touches its contact: room on the page keeps those updates out of the indexes.
    op.execute("ALTER TABLE contacts SET (fillfactor = 80)")
    _create_cases()
    _create_webhooks()
    enable_row_level_security(op, "tenants", "contacts", "cases", "case_calls", "webhooks", "deliveries")


def _create_cases() -> None:
    op.create_table(
        "cases",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("tenant_id", sa.String, nullable=False),
        sa.Column("contact_id", sa.Uuid, sa.ForeignKey("contacts.id"), nullable=False),
        sa.Column("queue_id", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        _moment("opened_at"),
        _moment("active_at"),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("calls", sa.Integer, nullable=False),
        sa.Column("closings", sa.Integer, nullable=False),
        _moment("closed_at", nullable=True),
        sa.Column("disposition", sa.String),
        sa.CheckConstraint("status IN ('open', 'closed')", name="cases_status"),
        sa.CheckConstraint(
            "(status = 'closed') = (closed_at IS NOT NULL) AND (status = 'closed') = (disposition IS NOT NULL)",
            name="cases_closed",
        ),
    )
    op.create_index(
        "cases_one_open",
        "cases",
        ["tenant_id", "contact_id"],
        unique=True,
        postgresql_where=sa.text("status = 'open'"),
    )
    op.create_index("cases_current", "cases", ["contact_id", sa.text("closed_at DESC")])
    op.create_index("cases_of_tenant", "cases", ["tenant_id", "id"])
    op.create_table(
        "case_calls",
        sa.Column("tenant_id", sa.String, primary_key=True),
        sa.Column("call_id", sa.String, primary_key=True),
        sa.Column("case_id", sa.Uuid, sa.ForeignKey("cases.id"), nullable=False),
        sa.Column("contact_id", sa.Uuid, nullable=False),
        sa.Column("queue_id", sa.String, nullable=False),
        sa.Column("direction", sa.String, nullable=False),
        sa.Column("agent_id", sa.String, nullable=False),
        _moment("answered_at"),
        _moment("wrapped_up_at", nullable=True),
        sa.Column("disposition", sa.String),
    )
    op.create_index("case_calls_of_case", "case_calls", ["case_id", "answered_at"])


def _create_webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("tenant_id", sa.String, nullable=False),
        sa.Column("url", sa.String, nullable=False),
        sa.Column("event_types", ARRAY(sa.String), nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("disabled_reason", sa.String),
        _moment("failing_since", nullable=True),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("previous_secret", sa.LargeBinary),
        _moment("previous_secret_until", nullable=True),
        sa.Column("version", sa.Integer, nullable=False),
        _moment("created_at"),
        _moment("updated_at"),
    )
    op.create_index("webhooks_of_tenant", "webhooks", ["tenant_id", "id"])
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("tenant_id", sa.String, nullable=False),
        sa.Column("webhook_id", sa.String, sa.ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
        sa.Column("event_type", sa.String, nullable=False),
        sa.Column("case_id", sa.Uuid, nullable=False),
        sa.Column("body", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        _moment("next_attempt_at"),
        _moment("expires_at"),
        sa.Column("last_status", sa.Integer),
        sa.Column("last_error", sa.String),
        sa.Column("last_excerpt", sa.String),
        _moment("created_at"),
        _moment("delivered_at", nullable=True),
        sa.CheckConstraint("state IN ('pending', 'delivered', 'failed')", name="deliveries_state"),
    )
    op.create_index(
        "deliveries_due",
        "deliveries",
        ["webhook_id", "next_attempt_at"],
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index("deliveries_of_webhook", "deliveries", ["webhook_id", "id"])
