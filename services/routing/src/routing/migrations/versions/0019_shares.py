"""Shares of tenants in a pool's agents."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from common.migrations import enable_row_level_security
from sqlalchemy.dialects.postgresql import JSONB

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Pools that exist have no shares: their agents are everybody's."""
    op.create_table(
        "shares",
        sa.Column("pool_id", sa.String, sa.ForeignKey("pools.id"), primary_key=True),
        sa.Column("tenant_id", sa.String, sa.ForeignKey("tenants.tenant_id"), primary_key=True),
        sa.Column("rules", JSONB, nullable=True),
        sa.Column("burst_override", sa.String, nullable=True),
        sa.Column("burst_override_by", sa.String, nullable=True),
        sa.Column("burst_override_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("burst_override_reason", sa.String, nullable=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    enable_row_level_security(op, "shares")


def downgrade() -> None:
    """Drop them."""
    op.drop_table("shares")
