"""Sites: where agents are, which of them are down, which cover a queue and when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from common.migrations import enable_row_level_security
from sqlalchemy.dialects.postgresql import JSONB

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Agents and queues that exist name no site."""
    op.create_table(
        "sites",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("tenant_id", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("time_zone", sa.String, nullable=False),
        sa.Column("down", sa.Boolean, nullable=False, server_default="false"),
        sa.Column("down_by", sa.String, nullable=True),
        sa.Column("down_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("down_reason", sa.String, nullable=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    enable_row_level_security(op, "sites")
    op.add_column("agents", sa.Column("site_id", sa.String, nullable=True))
    op.create_foreign_key("agents_site", "agents", "sites", ["site_id"], ["id"])
    op.add_column("queues", sa.Column("cover", JSONB, nullable=False, server_default="[]"))


def downgrade() -> None:
    """One site for all."""
    op.drop_column("queues", "cover")
    op.drop_column("agents", "site_id")
    op.drop_table("sites")
