"""A queue's split of its calls by percentages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Queues that exist keep all their calls."""
    op.add_column("queues", sa.Column("split", JSONB, nullable=False, server_default="[]"))


def downgrade() -> None:
    """Every call stays."""
    op.drop_column("queues", "split")
