"""The audit by what it is about, for the history of one queue, agent …; agents who are drained."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nobody is drained."""
    op.create_index("audit_of_subject", "audit", ["subject", "id"])
    op.add_column("agents", sa.Column("drained_by", sa.String, nullable=True))
    op.add_column("agents", sa.Column("drained_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("agents", sa.Column("drain_reason", sa.String, nullable=True))


def downgrade() -> None:
    """Drop them."""
    op.drop_column("agents", "drain_reason")
    op.drop_column("agents", "drained_at")
    op.drop_column("agents", "drained_by")
    op.drop_index("audit_of_subject", "audit")
