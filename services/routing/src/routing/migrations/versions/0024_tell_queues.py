"""The queues that were declared before routing told of them are told of."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op
from common import envelope
from common.events import QueueDeclared
from common.ids import new_id
from common.outbox import pack_headers

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Their events go out through the outbox, as those of queues that are declared from now on."""
    connection = op.get_bind()
    connection.execute(sa.text("SELECT set_config('plateau.tenant', '*', true)"))
    now = datetime.now(UTC)
    rows = []
    for queue_id, tenant_id, pool_id, channel in connection.execute(
        sa.text("SELECT id, tenant_id, pool_id, channel FROM queues ORDER BY id")
    ):
        declared = QueueDeclared(
            tenant_id=tenant_id, queue_id=queue_id, pool_id=pool_id, channel=channel, occurred_at=now
        )
        headers, value = envelope.encode(declared, event_id=new_id(), source="routing", time=now, traceparent=None)
        rows.append(
            {"topic": declared.TOPIC, "key": queue_id.encode(), "headers": pack_headers(headers), "value": value}
        )
    if rows:
        connection.execute(
            sa.text("INSERT INTO outbox (topic, key, headers, value) VALUES (:topic, :key, :headers, :value)"), rows
        )


def downgrade() -> None:
    """What was told stays told."""
