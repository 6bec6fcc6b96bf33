"""What KPI reads: every event that some figure counts."""

from __future__ import annotations

from collections.abc import Sequence

from common.clock import Clock
from common.consumer import Delivery, Subscription
from common.database import Session

from kpi.domain.increments import ADDITIONS
from kpi.service import counting

READS = Subscription(frozenset(ADDITIONS))
SUBSCRIPTIONS = (READS,)


async def handle(session: Session, deliveries: Sequence[Delivery], clock: Clock) -> None:
    """Count the batch: each event once, order of no consequence."""
    await counting.count(session, (delivery.event for delivery in deliveries), clock.now())
