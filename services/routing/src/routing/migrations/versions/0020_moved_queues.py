"""Queues that have moved: the pools that know them beside their own, where calls may still be that are spoken with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """No queue has moved yet."""
    op.add_column("queues", sa.Column("known_in", sa.ARRAY(sa.Text), nullable=False, server_default="{}"))


def downgrade() -> None:
    """Forget them."""
    op.drop_column("queues", "known_in")
