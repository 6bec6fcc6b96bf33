"""Whether a queue's conversations may be recorded, and the numbers that a tenant's callers may be handed on to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Never and none, unless somebody says so."""
    op.add_column("queues", sa.Column("recording", sa.String, nullable=False, server_default="never"))
    op.add_column("tenants", sa.Column("directory", JSONB, nullable=False, server_default="{}"))


def downgrade() -> None:
    """Forget it again."""
    op.drop_column("tenants", "directory")
    op.drop_column("queues", "recording")
