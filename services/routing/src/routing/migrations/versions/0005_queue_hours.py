"""Opening hours of queues."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """None: always open."""
    op.add_column("queues", sa.Column("hours", JSONB, nullable=True))


def downgrade() -> None:
    """Forget them again."""
    op.drop_column("queues", "hours")
