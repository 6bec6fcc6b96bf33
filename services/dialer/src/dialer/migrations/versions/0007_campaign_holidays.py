"""Public holidays and exceptions by date in the calling hours of campaigns."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Campaigns that are known observe no holidays and have no exceptions."""
    op.add_column("campaigns", sa.Column("holidays", sa.String, nullable=True))
    op.add_column("campaigns", sa.Column("exceptions", JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")))


def downgrade() -> None:
    """Weeks alone."""
    op.drop_column("campaigns", "exceptions")
    op.drop_column("campaigns", "holidays")
