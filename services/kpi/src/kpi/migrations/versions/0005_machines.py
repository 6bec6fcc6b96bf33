"""Dials that an answering machine had taken."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = ("intervals", "minutes")


def upgrade() -> None:
    """There were none before."""
    for table in TABLES:
        op.add_column(table, sa.Column("machines", sa.BigInteger, nullable=False, server_default="0"))


def downgrade() -> None:
    """Forget them."""
    for table in TABLES:
        op.drop_column(table, "machines")
