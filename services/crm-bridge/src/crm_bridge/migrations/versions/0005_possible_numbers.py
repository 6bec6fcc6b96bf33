"""Whether a tenant takes phone numbers that are in no range known to be assigned."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Tenants that exist take numbers of their plan only, as new ones do."""
    op.add_column("tenants", sa.Column("allow_possible_numbers", sa.Boolean, nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Back to one rule for all."""
    op.drop_column("tenants", "allow_possible_numbers")
