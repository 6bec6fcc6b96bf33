"""Events of cases, and their way into billing."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from common import envelope
from common.consumer import Delivery
from common.events import CaseClosed, CaseOpened, CaseReopened, Event
from common.ids import derived_id
from common.kafka import Kafka

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SOURCE = "crm-bridge"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def opened(case: str, *, tenant: str = "kettle", at: datetime = NOON) -> CaseOpened:
    return CaseOpened(
        tenant_id=tenant, case_id=case, contact_id="p-1", queue_id="q", sequence=1, opened_at=at, occurred_at=at,
        calls=1,
    )  # fmt: skip


def closed(case: str, closing: int = 1, *, tenant: str = "kettle", at: datetime = NOON) -> CaseClosed:
    return CaseClosed(
        tenant_id=tenant, case_id=case, contact_id="p-1", queue_id="q", sequence=2 * closing, opened_at=at,
        occurred_at=at, calls=closing, closing=closing, closed_at=at, disposition="settled",
    )  # fmt: skip


def reopened(event: CaseClosed, *, after: timedelta = timedelta(hours=1)) -> CaseReopened:
    at = event.closed_at + after
    return CaseReopened(
        tenant_id=event.tenant_id, case_id=event.case_id, contact_id="p-1", queue_id="q", sequence=event.sequence + 1,
        opened_at=event.opened_at, occurred_at=at, calls=event.calls + 1, closing=event.closing,
        closed_at=event.closed_at, reopened_at=at,
    )  # fmt: skip


def id_of(event: Event) -> UUID:
    """The same id for the same event, so that repeating it is a repetition."""
    return derived_id(event.TYPE, event.subject, str(getattr(event, "closing", 0)))


def history(generator: random.Random, cases: int, tenants: Sequence[str]) -> list[Event]:
    """Cases closed and reopened over 2026, in the order of time per case."""
    events: list[Event] = []
    for number in range(cases):
        tenant = generator.choice(tenants)
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=generator.randrange(500_000))
        events.append(opened(f"case-{number}", tenant=tenant, at=at))
        for closing in range(1, 5):
            event = closed(f"case-{number}", closing, tenant=tenant, at=at)
            events.append(event)
            if generator.random() < 0.6:
                break
            pause = timedelta(minutes=generator.randrange(1, 60_000))
            events.append(reopened(event, after=pause))
            at += pause + timedelta(hours=1)
    return events


def delivery(event: Event, offset: int = 0, traceparent: str | None = None) -> Delivery:
    """As the consumer hands it to the handler."""
    time = getattr(event, "occurred_at", NOON)
    return Delivery("cases", 0, offset, id_of(event), SOURCE, event.TYPE, event, time, traceparent)


async def publish(kafka: Kafka, events: Sequence[Event], *, traceparent: str | None = None) -> None:
    """Write the events to their topics as crm-bridge would."""
    async with kafka.producer() as producer:
        for event in events:
            headers, value = envelope.encode(
                event, event_id=id_of(event), source=SOURCE, time=NOON, traceparent=traceparent
            )
            await producer.send(event.TOPIC, value, key=event.key.encode(), headers=headers)
        await producer.flush()
