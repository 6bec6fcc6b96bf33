"""Callers who hung up to be called back, and were not."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = ("intervals", "minutes")


def upgrade() -> None:
    """There were none before."""
    for table in TABLES:
        op.add_column(table, sa.Column("not_called_back", sa.BigInteger, nullable=False, server_default="0"))


def downgrade() -> None:
    """Forget them."""
    for table in TABLES:
        op.drop_column(table, "not_called_back")
