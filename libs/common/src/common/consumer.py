"""The consumer: one poll, one transaction, every event's effect exactly once.

    poll ─▶ decode ─▶ BEGIN ─▶ inbox (what is new?) ─▶ handler ─▶ outbox ─▶ COMMIT ─▶ the offsets, now and then

The inbox alone says what is done. Offsets only say where to begin after a restart, so they are committed a few times a
second and not after every batch: what is read again after a crash is known, and left alone.

A transient failure (PostgreSQL or Kafka away, a deadlock) retries in place with backoff and keeps the partitions. An
event that can never be handled goes to the dead letters in the same transaction: its record in the service's
`dead_letters` table and, through the outbox, on `<topic>.dead-letters`. Any other exception is a defect and stops the
process: nothing is skipped.
"""

from __future__ import annotations

import asyncio
import logging
import time as monotonic
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from common import dead_letters, envelope, telemetry
from common.clock import Clock
from common.database import TRANSIENT, Database, Session
from common.errors import InvalidEvent, StaleWriter
from common.events import CATALOGUE, Event
from common.kafka import Kafka
from common.stops import to_retry

log = logging.getLogger(__name__)

Record: TypeAlias = "ConsumerRecord[bytes, bytes]"

OFFSETS_SECONDS = 0.2
"""Real seconds between two commits of offsets under load."""

IDLE_SECONDS = 5.0
"""A batch's transaction holds its inbox rows: whoever freezes in it is cut off, for its successor waits."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event as it came from Kafka."""

    topic: str
    partition: int
    offset: int
    id: UUID
    source: str
    type: str
    event: Event
    time: datetime
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Subscription:
    """What one consumer group of a service reads. Each service's `consumer.py` has its own in SUBSCRIPTIONS, which its
    `pyproject.toml` names for `Topic.read_by`.

    Of the topics of the events that it handles it gets every record; events of other classes pass by without a trace.
    """

    handles: frozenset[type[Event]]
    catalogue: Mapping[str, type[Event]] = field(default_factory=lambda: CATALOGUE)
    """What its topics may carry, by type."""
    group: str | None = None
    """What the group's name has after the service's; None: it is the service's own."""

    @property
    def topics(self) -> tuple[str, ...]:
        """In the order of their names."""
        return tuple(sorted({cls.TOPIC for cls in self.handles}))


BatchHandler = Callable[[Session, Sequence[Delivery], Clock], Awaitable[None]]
"""Sees each event once, in order per key. Raises InvalidEvent for what can never be handled."""

Partitions = Collection[int]


def per_event(handlers: Mapping[type[Event], Callable[[Session, Any, Clock], Awaitable[None]]]) -> BatchHandler:
    """A batch handler that gives each event to the handler of its class, inside the event's own trace."""

    async def handle(session: Session, deliveries: Sequence[Delivery], clock: Clock) -> None:
        for delivery in deliveries:
            handler = handlers.get(type(delivery.event))
            if handler is not None:
                with telemetry.with_traceparent(delivery.traceparent, f"handle {delivery.type}"):
                    await handler(session, delivery.event, clock)

    return handle


class Consumer(ConsumerRebalanceListener):  # type: ignore[misc]
    """Feeds one consumer group of one service.

    `handles` limits to these event classes (others pass by without a trace; None: every class of the catalogue).
    `guard` is held around each whole transaction. `on_assigned` and `on_revoked` get the partition numbers of the
    first topic while the group rebalances; with them a single writer takes and leaves its partitions.
    """

    def __init__(
        self,
        *,
        group: str,
        topics: Sequence[str],
        database: Database,
        kafka: Kafka,
        clock: Clock,
        handle: BatchHandler,
        handles: Collection[type[Event]] | None = None,
        catalogue: Mapping[str, type[Event]] = CATALOGUE,
        guard: asyncio.Lock | None = None,
        on_assigned: Callable[[Partitions], Awaitable[None]] | None = None,
        on_revoked: Callable[[Partitions], Awaitable[None]] | None = None,
        dead_letter_limit: int = 100,
        max_records: int = 1000,
    ) -> None:
        self.group = group
        self.topics = list(topics)
        self._database = database
        self._kafka = kafka
        self._clock = clock
        self._handle = handle
        self._catalogue = catalogue
        self._types = None if handles is None else {cls.TYPE for cls in handles}
        self._guard = guard
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        self._dead_letter_limit = dead_letter_limit
        self._max_records = max_records
        self._consumer: AIOKafkaConsumer | None = None
        self._handled: dict[TopicPartition, int] = {}
        """Offsets of what is in the database, not yet committed to the group."""
        self._labels = {"service": database.source}
        self.assigned = asyncio.Event()

    async def run(self) -> None:
        """Consume for ever. Raises DeadLetterLimit, or whatever defect a handler raised."""
        delay = 0.1
        while True:
            try:
                await self._consume()
            except (*TRANSIENT, KafkaError, StaleWriter) as failure:
                if not to_retry(failure):
                    raise
                log.warning("consumer %s joins anew: %s: %s", self.group, type(failure).__name__, failure)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 5.0)

    async def _consume(self) -> None:
        consumer = self._kafka.consumer(self.group)
        consumer.subscribe(self.topics, listener=self)
        self._consumer = consumer
        try:
            await consumer.start()
            committed_at = monotonic.monotonic()
            while True:
                polled = await self._kafka.poll(consumer, max_records=self._max_records)
                records = [record for batch in polled.values() for record in batch]
                if records:
                    await self._process(records)
                    self._handled |= {partition: batch[-1].offset + 1 for partition, batch in polled.items() if batch}
                if not records or monotonic.monotonic() - committed_at >= OFFSETS_SECONDS:
                    await self._commit_offsets(consumer)
                    committed_at = monotonic.monotonic()
        finally:
            self._consumer = None
            self._handled = {}
            self.assigned.clear()
            try:
                await self._kafka.leave(consumer)
            finally:
                if self._on_revoked is not None:
                    await self._on_revoked(())

    async def _commit_offsets(self, consumer: AIOKafkaConsumer) -> None:
        handled, self._handled = self._handled, {}
        if not handled:
            return
        try:
            await consumer.commit(handled)
        except (CommitFailedError, IllegalStateError) as moved:
            # The partitions went to another member in the meantime: it reads again, and the inbox knows.
            log.info("offsets of %s not committed: %s", self.group, moved)

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Called by aiokafka before a rebalance."""
        if self._consumer is not None:
            await self._commit_offsets(self._consumer)
        if self._on_revoked is not None:
            await self._on_revoked(sorted(p.partition for p in revoked if p.topic == self.topics[0]))

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Called by aiokafka after a rebalance, before records of the new partitions come."""
        if self._on_assigned is not None:
            await self._on_assigned(sorted(p.partition for p in assigned if p.topic == self.topics[0]))
        self.assigned.set()

    async def lag(self) -> int:
        """Records of the held partitions that are not yet processed, as last seen by the fetcher."""
        consumer = self._consumer
        if consumer is None:
            return 0
        total = 0
        with suppress(TimeoutError):  # while the group rebalances a position may not be known
            async with asyncio.timeout(1):
                for partition in consumer.assignment():
                    end = consumer.highwater(partition)
                    if end is not None:
                        total += max(0, end - await consumer.position(partition))
        return total

    async def _process(self, records: Sequence[Record]) -> None:
        began = monotonic.perf_counter()
        deliveries: list[Delivery] = []
        dead: list[dead_letters.DeadLetter] = []
        for record in records:
            try:
                delivery = self._decode(record)
            except InvalidEvent as cause:
                dead.append(dead_letters.of(record, str(cause)))
            else:
                if delivery is not None:
                    deliveries.append(delivery)
        if dead:
            await self._bury(dead)
        if deliveries:
            await self._deliver(deliveries, {(r.topic, r.partition, r.offset): r for r in records})
        telemetry.batch_seconds.record(monotonic.perf_counter() - began, self._labels)

    def _decode(self, record: Record) -> Delivery | None:
        if dead_letters.redriven_for_another(record.headers, self.group):
            return None
        if self._types is not None:
            kind = envelope.event_type(record.headers)
            if kind in self._catalogue and kind not in self._types:
                return None
        read = envelope.decode(record.headers, record.value, self._catalogue)
        return Delivery(
            record.topic,
            record.partition,
            record.offset,
            read.id,
            read.source,
            read.type,
            read.event,
            read.time,
            read.traceparent,
        )

    async def _deliver(self, deliveries: Sequence[Delivery], records: Mapping[tuple[str, int, int], Record]) -> None:
        """Handle what is new, exactly once; halve the batch around an event that can never be handled."""
        try:
            await self._retrying(lambda: self._transact(deliveries))
        except (InvalidEvent, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as cause:
            if len(deliveries) == 1:
                only = deliveries[0]
                record = records[(only.topic, only.partition, only.offset)]
                await self._bury([dead_letters.of(record, _describe(cause))])
                return
            half = len(deliveries) // 2
            await self._deliver(deliveries[:half], records)
            await self._deliver(deliveries[half:], records)

    async def _transact(self, deliveries: Sequence[Delivery]) -> None:
        async with self._guard or nullcontext(), self._database.transaction(idle_seconds=IDLE_SECONDS) as session:
            fresh = await _unseen(session, deliveries)
            if fresh:
                await self._handle(session, fresh, self._clock)
        for topic in {delivery.topic for delivery in deliveries}:
            labels = {**self._labels, "topic": topic}
            handled = sum(delivery.topic == topic for delivery in fresh)
            repeated = sum(delivery.topic == topic for delivery in deliveries) - handled
            telemetry.events_handled.add(handled, labels)
            if repeated:
                telemetry.events_repeated.add(repeated, labels)

    async def _bury(self, dead: Sequence[dead_letters.DeadLetter]) -> None:
        async def bury() -> None:
            async with self._database.transaction(idle_seconds=IDLE_SECONDS) as session:
                await dead_letters.add(session, dead, group=self.group, limit=self._dead_letter_limit)

        await self._retrying(bury)
        for letter in dead:
            log.error("dead letter %s[%d]@%d: %s", letter.topic, letter.partition, letter.position, letter.cause)
            telemetry.dead_letters.add(1, {**self._labels, "topic": letter.topic})

    async def _retrying(self, work: Callable[[], Awaitable[None]]) -> None:
        """Try again in place, with backoff, while the failure is a passing one."""
        delay = 0.05
        while True:
            try:
                await work()
                return
            except TRANSIENT as failure:
                if not to_retry(failure):
                    raise
                log.warning("%s tries again: %s: %s", self.group, type(failure).__name__, failure)
                telemetry.consumer_retries.add(1, self._labels)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 5.0)


def _describe(cause: BaseException) -> str:
    """The cause without values: PostgreSQL quotes them in `detail`, which is left out."""
    if isinstance(cause, asyncpg.PostgresError):
        return f"{type(cause).__name__}: refused by the database"
    return str(cause)


async def _unseen(session: Session, deliveries: Sequence[Delivery]) -> list[Delivery]:
    """Record the deliveries in the inbox; returns those that were not in it, each once, in their order."""
    rows = await session.fetch(
        """
        INSERT INTO inbox (id, source)
        SELECT * FROM unnest($1::uuid[], $2::text[]) AS seen (id, source) ORDER BY 1
        ON CONFLICT DO NOTHING RETURNING id, source
        """,
        [delivery.id for delivery in deliveries],
        [delivery.source for delivery in deliveries],
    )
    new = {(row[0], row[1]) for row in rows}
    fresh = []
    for delivery in deliveries:
        name = (delivery.id, delivery.source)
        if name in new:
            new.discard(name)
            fresh.append(delivery)
    return fresh
