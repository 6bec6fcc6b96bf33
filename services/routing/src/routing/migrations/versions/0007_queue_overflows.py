"""Overflow rules of queues, and an operator's word on whether one is open."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The rule in `overflow_queue_id` stays beside the list."""
    op.add_column("queues", sa.Column("overflows", JSONB, nullable=False, server_default="[]"))
    for name in ("override", "override_by", "override_reason"):
        op.add_column("queues", sa.Column(name, sa.String, nullable=True))
    op.add_column("queues", sa.Column("override_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Forget them again."""
    for name in ("overflows", "override", "override_by", "override_at", "override_reason"):
        op.drop_column("queues", name)
