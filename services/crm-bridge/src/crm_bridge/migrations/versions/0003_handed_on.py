"""Cases know how many of their calls are those by which agents handed a caller on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from common.migrations import enable_row_level_security

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Noted from now on; every older call counts as one by which its caller came."""
    op.add_column("cases", sa.Column("handed_on", sa.Integer, nullable=False, server_default="0"))
    op.create_table(
        "handed_on_calls",
        sa.Column("tenant_id", sa.String, primary_key=True),
        sa.Column("first_call_id", sa.String, primary_key=True),
        sa.Column("case_id", sa.Uuid, sa.ForeignKey("cases.id"), primary_key=True),
    )
    enable_row_level_security(op, "handed_on_calls")


def downgrade() -> None:
    """Drop them."""
    op.drop_table("handed_on_calls")
    op.drop_column("cases", "handed_on")
