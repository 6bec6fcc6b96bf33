"""Calls turned away with a message, and calls sent to a number outside."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Counted from now on; older rows have none."""
    for table in ("intervals", "minutes"):
        for column in ("turned_away", "redirected"):
            op.add_column(table, sa.Column(column, sa.BigInteger, nullable=False, server_default="0"))


def downgrade() -> None:
    """Drop them."""
    for table in ("intervals", "minutes"):
        for column in ("redirected", "turned_away"):
            op.drop_column(table, column)
