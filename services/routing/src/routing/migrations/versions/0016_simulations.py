"""Simulations that operators have asked for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from common.migrations import enable_row_level_security
from sqlalchemy.dialects.postgresql import JSONB

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One row each: what was asked, how far it has come, what it came to."""
    op.create_table(
        "simulations",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("tenant_id", sa.String, nullable=False),
        sa.Column("pool_id", sa.String, nullable=False),
        sa.Column("asked_by", sa.String, nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("task", JSONB, nullable=False),
        sa.Column("progress", sa.Float, nullable=False, server_default="0"),
        sa.Column("alive_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("result", JSONB, nullable=True),
        sa.Column("failure", sa.String, nullable=True),
    )
    enable_row_level_security(op, "simulations")


def downgrade() -> None:
    """Forget them."""
    op.drop_table("simulations")
