"""When an answering machine was detected on an attempt."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Of attempts before this one it is not known."""
    op.add_column("attempts", sa.Column("machine_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    """Forget it."""
    op.drop_column("attempts", "machine_at")
