"""How a tenant's phone numbers are read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Tenants that exist get what a tenant has that says nothing; the floor file says it with its next application."""
    op.add_column("tenants", sa.Column("region", sa.String, nullable=False, server_default="FR"))
    op.add_column("tenants", sa.Column("allow_possible_numbers", sa.Boolean, nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Back to numbers in international form alone."""
    op.drop_column("tenants", "allow_possible_numbers")
    op.drop_column("tenants", "region")
