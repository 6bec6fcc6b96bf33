"""Leads that people correct and remove."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

STATES = ("pending", "in_progress", "done", "exhausted", "barred")


def upgrade() -> None:
    """Nobody has corrected a lead so far."""
    op.add_column("leads", sa.Column("version", sa.Integer, nullable=False, server_default=sa.text("1")))
    _allow_states(*STATES, "removed")


def downgrade() -> None:
    """Leads stay as their file had them; those that were removed are not dialled by old versions either."""
    op.execute("SELECT set_config('plateau.tenant', '*', true)")
    op.execute("UPDATE leads SET state = 'exhausted' WHERE state = 'removed'")
    _allow_states(*STATES)
    op.drop_column("leads", "version")


def _allow_states(*states: str) -> None:
    listed = ", ".join(f"'{state}'" for state in states)
    op.drop_constraint("leads_state", "leads", type_="check")
    op.create_check_constraint("leads_state", "leads", f"state IN ({listed})")
