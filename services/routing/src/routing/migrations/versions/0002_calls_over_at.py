"""When a call ended, so that it can be forgotten."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Calls that are over already count from now."""
    op.add_column("calls", sa.Column("over_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE calls SET over_at = now() WHERE NOT live")
    op.create_index("calls_over_at", "calls", ["over_at"], postgresql_using="brin")


def downgrade() -> None:
    """Forget it again."""
    op.drop_index("calls_over_at", "calls")
    op.drop_column("calls", "over_at")
