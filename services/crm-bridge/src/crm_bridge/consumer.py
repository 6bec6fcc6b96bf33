"""What crm-bridge does with events."""

from __future__ import annotations

from collections.abc import Sequence

from common.clock import Clock
from common.consumer import Delivery, Subscription
from common.database import Session
from common.events import CallAnswered, CallWrappedUp, VoicemailLeft

from crm_bridge.service import cases

READS = Subscription(frozenset({CallAnswered, CallWrappedUp, VoicemailLeft}))
SUBSCRIPTIONS = (READS,)


async def handle(session: Session, deliveries: Sequence[Delivery], clock: Clock) -> None:
    """Calls and messages open, join, close and reopen cases. Times are those in the events, never the clock's."""
    await cases.follow_calls(session, deliveries)
