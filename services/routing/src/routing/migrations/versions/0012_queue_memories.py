"""What pools remember of their queues beside the calls: how long these have waited."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from common.migrations import enable_row_level_security
from sqlalchemy.dialects.postgresql import JSONB

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Filled as calls wait in queues whose rules ask for it."""
    op.create_table(
        "queue_memories",
        sa.Column("queue_id", sa.String, primary_key=True),
        sa.Column("tenant_id", sa.String, nullable=False),
        sa.Column("pool_id", sa.String, nullable=False),
        sa.Column("data", JSONB, nullable=False),
    )
    op.create_index("queue_memories_of_pool", "queue_memories", ["pool_id"])
    enable_row_level_security(op, "queue_memories")


def downgrade() -> None:
    """Forget them: estimates begin anew."""
    op.drop_table("queue_memories")
