"""Messages wait for endpoints that are disabled and go out in order; every replaced secret signs until its own end."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing waits yet, and no endpoint has more than one replaced secret."""
    op.add_column("webhooks", sa.Column("older_secrets", JSONB, nullable=False, server_default="[]"))
    op.add_column("webhooks", sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("webhooks", sa.Column("resuming", sa.Boolean, nullable=False, server_default="false"))
    op.add_column("deliveries", sa.Column("in_order", sa.Boolean, nullable=False, server_default="false"))
    op.create_index(
        "deliveries_in_order",
        "deliveries",
        ["webhook_id", "id"],
        postgresql_where=sa.text("state = 'pending' AND in_order"),
    )
    op.create_index("deliveries_expiring", "deliveries", ["expires_at"], postgresql_where=sa.text("state = 'pending'"))
    _allow_states("'pending', 'delivered', 'failed', 'expired'")


def downgrade() -> None:
    """What expired failed."""
    op.execute("UPDATE deliveries SET state = 'failed' WHERE state = 'expired'")
    _allow_states("'pending', 'delivered', 'failed'")
    op.drop_index("deliveries_expiring", "deliveries")
    op.drop_index("deliveries_in_order", "deliveries")
    op.drop_column("deliveries", "in_order")
    op.drop_column("webhooks", "resuming")
    op.drop_column("webhooks", "paused_until")
    op.drop_column("webhooks", "older_secrets")


def _allow_states(states: str) -> None:
    op.drop_constraint("deliveries_state", "deliveries")
    op.create_check_constraint("deliveries_state", "deliveries", f"state IN ({states})")
