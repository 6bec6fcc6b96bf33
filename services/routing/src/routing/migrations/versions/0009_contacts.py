"""Contacts of the tenants, as far as flows ask about callers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from common.migrations import enable_row_level_security

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Filled from crm-bridge's events."""
    op.create_table(
        "contacts",
        sa.Column("contact_id", sa.String, primary_key=True),
        sa.Column("tenant_id", sa.String, nullable=False),
        sa.Column("phone", sa.String, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
    )
    op.create_index("contacts_of_phone", "contacts", ["phone", "tenant_id"])
    enable_row_level_security(op, "contacts")


def downgrade() -> None:
    """Forget them."""
    op.drop_table("contacts")
