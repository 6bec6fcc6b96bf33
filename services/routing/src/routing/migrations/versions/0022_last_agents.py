"""With which caller the agent of a call spoke, and since when, so that a caller who comes again is known by number."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nobody is known yet: callers become known by the calls that are answered from now on."""
    op.add_column("calls", sa.Column("spoke_with", sa.String, nullable=True))
    op.add_column("calls", sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "calls_answered",
        "calls",
        ["tenant_id", "spoke_with", "answered_at"],
        postgresql_where=sa.text("answered_at IS NOT NULL"),
    )


def downgrade() -> None:
    """Forget it."""
    op.drop_index("calls_answered", "calls")
    op.drop_column("calls", "answered_at")
    op.drop_column("calls", "spoke_with")
