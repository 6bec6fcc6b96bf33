"""Live calls know whether an agent handed their caller on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Calls that are live now count as their callers' first until their next event."""
    op.add_column("live_calls", sa.Column("handed_on", sa.Boolean, nullable=False, server_default=sa.text("false")))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("live_calls", "handed_on")
