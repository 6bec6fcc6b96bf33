"""Callbacks and announcements of queues."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Queues that exist call nobody back and announce nothing."""
    op.add_column("queues", sa.Column("callback", JSONB, nullable=True))
    op.add_column("queues", sa.Column("announcements", JSONB, nullable=False, server_default="[]"))


def downgrade() -> None:
    """Forget both."""
    op.drop_column("queues", "announcements")
    op.drop_column("queues", "callback")
