"""What the policy by declared weights goes by, queue by queue."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Queues that exist have no weights: their pools go on by priority and waiting time."""
    op.add_column("queues", sa.Column("weights", JSONB, nullable=True))


def downgrade() -> None:
    """Back to priority and waiting time alone."""
    op.drop_column("queues", "weights")
