"""Which reasons agents of a pool may give for a break."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Pools that exist go on taking any."""
    op.add_column("pools", sa.Column("break_reasons", sa.ARRAY(sa.Text), nullable=False, server_default="{}"))


def downgrade() -> None:
    """Back to any."""
    op.drop_column("pools", "break_reasons")
