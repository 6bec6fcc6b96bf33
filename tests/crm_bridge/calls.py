"""Calls, as routing tells of them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from common import envelope
from common.consumer import Delivery
from common.database import Database
from common.events import CallAnswered, CallWrappedUp, Event
from common.ids import new_id
from common.kafka import Kafka
from common.outbox import unpack_headers
from crm_bridge.service.cases import follow_calls

NINE = datetime(2026, 11, 20, 9, tzinfo=UTC)
PHONE = "+33639980001"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

Told = CallAnswered | CallWrappedUp


def at(minutes: float) -> datetime:
    """So many minutes after nine."""
    return NINE + timedelta(minutes=minutes)


def answered(call: str, minutes: float = 0, *, phone: str = PHONE, tenant: str = "kettle") -> CallAnswered:
    return CallAnswered(
        tenant_id=tenant, call_id=call, sequence=4, pool_id="day", queue_id="complaints", entry=1, channel="voice",
        direction="inbound", contact_phone=phone, service_level_seconds=20, short_abandon_seconds=5,
        time_zone="Europe/Paris", occurred_at=at(minutes), offered_at=at(minutes), queued_at=at(minutes),
        agent_id="ada", answered_at=at(minutes), wait_seconds=3, total_wait_seconds=3,
    )  # fmt: skip


def wrapped_up(
    call: str, minutes: float = 0, disposition: str | None = "resolved", *, talk: float = 5, phone: str = PHONE,
    tenant: str = "kettle",
) -> CallWrappedUp:  # fmt: skip
    """`minutes` is when it was answered."""
    return CallWrappedUp(
        tenant_id=tenant, call_id=call, sequence=6, pool_id="day", queue_id="complaints", entry=1, channel="voice",
        direction="inbound", contact_phone=phone, service_level_seconds=20, short_abandon_seconds=5,
        time_zone="Europe/Paris", occurred_at=at(minutes + talk), offered_at=at(minutes), queued_at=at(minutes),
        agent_id="ada", answered_at=at(minutes), ended_at=at(minutes + talk), wrapped_up_at=at(minutes + talk),
        wait_seconds=3, talk_seconds=60 * talk, wrap_up_seconds=0, disposition=disposition,
    )  # fmt: skip


def handled(
    call: str, minutes: float = 0, disposition: str | None = "resolved", *, phone: str = PHONE, tenant: str = "kettle"
) -> list[Told]:
    """A whole call."""
    return [
        answered(call, minutes, phone=phone, tenant=tenant),
        wrapped_up(call, minutes, disposition, phone=phone, tenant=tenant),
    ]


def interleaved(generator: random.Random, calls: Iterable[Sequence[Told]]) -> list[Told]:
    """Some order in which partitions may be read: each call's events stay in theirs."""
    waiting = [list(events) for events in calls if events]
    order = []
    while waiting:
        events = generator.choice(waiting)
        order.append(events.pop(0))
        if not events:
            waiting.remove(events)
    return order


def delivery(event: Event, traceparent: str | None = None) -> Delivery:
    """As the consumer hands it to the handler."""
    return Delivery("calls", 0, 0, new_id(), "routing", event.TYPE, event, NINE, traceparent)


async def follow(database: Database, events: Sequence[Event], traceparent: str | None = None) -> None:
    """One batch, without the inbox: the handler itself bears repetition."""
    async with database.transaction() as session:
        await follow_calls(session, [delivery(event, traceparent) for event in events])


async def published(database: Database) -> list[envelope.Envelope]:
    """What waits in the outbox."""
    async with database.transaction() as session:
        rows = await session.fetch("SELECT headers, value FROM outbox ORDER BY id")
    return [envelope.decode(unpack_headers(row["headers"]), row["value"]) for row in rows]


async def publish(kafka: Kafka, events: Sequence[Event], *, times: int = 1) -> None:
    """Write the events to their topics as routing would, each `times` times."""
    async with kafka.producer() as producer:
        for event in events:
            headers, value = envelope.encode(event, event_id=new_id(), source="routing", time=NINE, traceparent=TRACE)
            for _ in range(times):
                await producer.send(event.TOPIC, value, key=event.key.encode(), headers=headers)
        await producer.flush()
