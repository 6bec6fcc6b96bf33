"""What routing keeps of crm-bridge's contacts."""

from __future__ import annotations

from collections.abc import Sequence

from common.clock import Clock
from common.consumer import Delivery
from common.database import Session
from common.events import ContactCreated, ContactUpdated

from routing.store import contacts as store


async def keep(session: Session, deliveries: Sequence[Delivery], clock: Clock) -> None:
    """Note the contacts of a batch. Events of one contact come in their order."""
    events = [delivery.event for delivery in deliveries]
    await store.save(session, [event for event in events if isinstance(event, ContactCreated | ContactUpdated)])
