"""A call of a case may be a message: without an agent."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Allow calls without an agent."""
    op.alter_column("case_calls", "agent_id", nullable=True)


def downgrade() -> None:
    """Messages keep an empty agent."""
    op.execute("UPDATE case_calls SET agent_id = '' WHERE agent_id IS NULL")
    op.alter_column("case_calls", "agent_id", nullable=False)
