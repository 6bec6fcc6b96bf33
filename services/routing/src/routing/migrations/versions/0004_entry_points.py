"""Entry points: dialled numbers and the flows that they lead to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from common.migrations import enable_row_level_security
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two tables: a number leads to one entry point."""
    op.create_table(
        "entry_points",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("tenant_id", sa.String, sa.ForeignKey("tenants.tenant_id"), nullable=False),
        sa.Column("pool_id", sa.String, sa.ForeignKey("pools.id"), nullable=False),
        sa.Column("numbers", sa.ARRAY(sa.String), nullable=False),
        sa.Column("flow", JSONB, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    op.create_index("entry_points_of_pool", "entry_points", ["pool_id", "id"])
    op.create_table(
        "entry_point_numbers",
        sa.Column("number", sa.String, primary_key=True),
        sa.Column("tenant_id", sa.String, nullable=False),
        sa.Column("entry_point_id", sa.String, sa.ForeignKey("entry_points.id"), nullable=False),
    )
    op.create_index("numbers_of_entry_point", "entry_point_numbers", ["entry_point_id"])
    enable_row_level_security(op, "entry_points", "entry_point_numbers")


def downgrade() -> None:
    """Drop them."""
    op.drop_table("entry_point_numbers")
    op.drop_table("entry_points")
