"""Agents who take several calls at a time: a written one does not keep them from an outbound call."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Agents who are known take one call at a time until they say otherwise."""
    op.add_column("agents", sa.Column("several_calls", sa.Boolean, nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """One call at a time."""
    op.drop_column("agents", "several_calls")
