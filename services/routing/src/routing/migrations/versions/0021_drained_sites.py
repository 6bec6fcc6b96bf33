"""Sites that are drained: by whom, since when, why."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """No site is drained."""
    op.add_column("sites", sa.Column("drained_by", sa.String, nullable=True))
    op.add_column("sites", sa.Column("drained_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("sites", sa.Column("drain_reason", sa.String, nullable=True))


def downgrade() -> None:
    """Forget it."""
    op.drop_column("sites", "drain_reason")
    op.drop_column("sites", "drained_at")
    op.drop_column("sites", "drained_by")
