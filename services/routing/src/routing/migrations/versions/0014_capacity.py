"""How many calls of each channel an agent takes at a time, and what interrupts what in a pool."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Agents who exist go on with one call at a time, of whatever channel."""
    op.add_column("agents", sa.Column("capacity", JSONB, nullable=False, server_default="{}"))
    op.add_column("pools", sa.Column("interrupts", JSONB, nullable=False, server_default="{}"))


def downgrade() -> None:
    """Back to one call at a time for all."""
    op.drop_column("pools", "interrupts")
    op.drop_column("agents", "capacity")
