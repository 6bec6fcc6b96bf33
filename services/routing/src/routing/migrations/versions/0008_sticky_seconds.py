"""How long a call waits for its preferred agent alone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Queues that exist do not wait for anybody alone."""
    op.add_column("queues", sa.Column("sticky_seconds", sa.Float, nullable=False, server_default="0"))


def downgrade() -> None:
    """Forget it again."""
    op.drop_column("queues", "sticky_seconds")
