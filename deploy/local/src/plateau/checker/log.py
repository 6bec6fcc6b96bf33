"""The event log, read from offset zero to its end, each event once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from aiokafka import TopicPartition
from common import envelope
from common.errors import InvalidEvent
from common.events import Event
from common.kafka import Kafka
from common.topics import BY_NAME

TOPICS: Final = ("billing", "cases", "contacts", "dialing", "agents", "calls")
"""Effects before their causes: their ends are noted in this order, so an effect is never read without its cause."""

_HEADERS_THAT_MAY_DIFFER: Final = frozenset({"traceparent", "tracestate"})


@dataclass(frozen=True, slots=True)
class Recorded:
    """One record of the log. `body` is everything that must be the same when the event is repeated."""

    source: str
    id: UUID
    event: Event
    topic: str = ""
    body: bytes = b""


@dataclass(slots=True)
class Log:
    """First deliveries in the order of the log (per key), and what was seen besides."""

    events: list[Recorded] = field(default_factory=list)
    repeated: int = 0
    violations: list[str] = field(default_factory=list)
    """Repeats that differ from their first, records that cannot be read."""
    dead_letters: list[str] = field(default_factory=list)
    """Topic and cause of each record set aside as never to be handled."""


def log_of(records: Iterable[Recorded]) -> Log:
    """Drop repeats by (source, id); one that differs from its first is a violation."""
    log = Log()
    first: dict[tuple[str, UUID], Recorded] = {}
    for record in records:
        known = first.get((record.source, record.id))
        if known is None:
            first[record.source, record.id] = record
            log.events.append(record)
            continue
        log.repeated += 1
        if (known.topic, known.event, known.body) != (record.topic, record.event, record.body):
            log.violations.append(
                f"event {record.source}/{record.id}: repeated with other content ({type(record.event).TYPE} of "
                f"{record.event.subject} on {record.topic or 'no topic'}, first {type(known.event).TYPE} of "
                f"{known.event.subject})"
            )
    return log


async def read(bootstrap_servers: str, *, topics: Sequence[str] = TOPICS) -> Log:
    """The whole log as it stands now. Joins no group and commits nothing."""
    kafka = Kafka(bootstrap_servers)
    consumer = kafka.consumer(None)
    await consumer.start()
    records: list[Recorded] = []
    unreadable: list[str] = []
    dead: list[str] = []
    try:
        ends: dict[TopicPartition, int] = {}
        for topic in topics:
            known = BY_NAME[topic]
            partitions = [TopicPartition(topic, number) for number in range(known.partitions)]
            ends.update(await consumer.end_offsets(partitions))
        letters = [TopicPartition(name.dead_letters, 0) for name in BY_NAME.values()]
        ends.update(await consumer.end_offsets(letters))
        consumer.assign(list(ends))
        await consumer.seek_to_beginning()
        while rest := [partition for partition, end in ends.items() if await consumer.position(partition) < end]:
            polled = await consumer.getmany(*rest, timeout_ms=500)
            for partition, batch in polled.items():
                for record in batch:
                    if record.offset >= ends[partition]:
                        continue
                    if partition in letters:
                        dead.append(_letter(partition.topic, dict(record.headers)))
                        continue
                    try:
                        found = envelope.decode(record.headers, record.value)
                    except InvalidEvent as cause:
                        unreadable.append(f"record {partition.topic}[{partition.partition}]@{record.offset}: {cause}")
                    else:
                        body = _body(record.key, record.headers, record.value)
                        records.append(Recorded(found.source, found.id, found.event, partition.topic, body))
    finally:
        await kafka.leave(consumer)
    log = log_of(records)
    log.violations += unreadable
    log.dead_letters = dead
    return log


def _body(key: bytes | None, headers: envelope.Headers, value: bytes | None) -> bytes:
    kept = sorted((name, text) for name, text in headers if name not in _HEADERS_THAT_MAY_DIFFER)
    return b"\0".join([key or b"", *(name.encode() + b"=" + text for name, text in kept), value or b""])


def _letter(topic: str, headers: dict[str, bytes]) -> str:
    causes = [value.decode(errors="replace") for name, value in headers.items() if "cause" in name.lower()]
    kind = headers.get("ce_type", b"unknown type").decode(errors="replace")
    return f"{topic}: {kind}: {causes[0] if causes else 'no cause given'}"
