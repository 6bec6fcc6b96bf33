"""Who may serve a queue, beyond a list of skills; and which of several agents comes first."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Queues that exist keep their list of skills, their one ring and the longest idle agent."""
    op.add_column("queues", sa.Column("requirement", sa.String, nullable=True))
    op.add_column("queues", sa.Column("relaxations", JSONB, nullable=False, server_default="[]"))
    op.add_column("queues", sa.Column("agent_order", sa.String, nullable=False, server_default="longest_idle"))


def downgrade() -> None:
    """Back to lists of skills."""
    for name in ("agent_order", "relaxations", "requirement"):
        op.drop_column("queues", name)
