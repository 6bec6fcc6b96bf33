"""How many offers an agent may miss in a row before they go on a break."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """In queues that exist the first one ends on a break, as it did."""
    op.add_column("queues", sa.Column("missed_offers_before_break", sa.Integer, nullable=False, server_default="1"))


def downgrade() -> None:
    """Forget it again."""
    op.drop_column("queues", "missed_offers_before_break")
