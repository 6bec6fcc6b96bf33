"""Counts straight from the event log, while it is written; and how far the services are behind it."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition
from common.envelope import decode, event_type
from common.events import (
    CallAbandoned,
    CallAnswered,
    CallOffered,
    CaseClosed,
    CaseOpened,
    CaseReopened,
    ChargeRecorded,
    ChargeReversed,
    Event,
)
from common.events.billing import ChargeEvent
from common.kafka import Kafka
from common.topics import BY_NAME, TOPICS

COUNTED: Final[Mapping[str, str]] = {
    CallOffered.TYPE: "calls_offered",
    CallAnswered.TYPE: "calls_answered",
    CallAbandoned.TYPE: "calls_abandoned",
    CaseOpened.TYPE: "cases_opened",
    CaseClosed.TYPE: "cases_closed",
    CaseReopened.TYPE: "cases_reopened",
    ChargeRecorded.TYPE: "charges",
    ChargeReversed.TYPE: "reversals",
}
OPENINGS: Final = 4
OPENING_SECONDS: Final = 15.0
_TOPICS: Final = ("calls", "cases", "billing")
_REMEMBERED: Final = 200_000
"""Ids of events that are known, so that one published twice (after a crash) counts once."""


class Tally:
    """Counts of events published since `open` was called."""

    def __init__(self, kafka: Kafka) -> None:
        self.counts: Counter[str] = Counter()
        self.amounts: dict[str, Decimal] = {}
        """Net of reversals, by currency."""
        self._kafka = kafka
        self._consumer: AIOKafkaConsumer | None = None
        self._seen: OrderedDict[tuple[str, bytes], None] = OrderedDict()

    async def open(self) -> None:
        """Count from the present end of the log on. Raises KafkaError, TimeoutError."""
        for attempt in range(OPENINGS, 0, -1):
            try:
                async with asyncio.timeout(OPENING_SECONDS):
                    await self._open()
                return
            except (KafkaError, TimeoutError):
                # On a busy machine aiokafka's first question for offsets may never be answered; a new consumer's is.
                await self.close()
                if attempt == 1:
                    raise

    async def _open(self) -> None:
        self._consumer = self._kafka.consumer(None, fetch_max_wait_ms=200)
        await self._consumer.start()
        partitions = [TopicPartition(name, number) for name in _TOPICS for number in range(BY_NAME[name].partitions)]
        self._consumer.assign(partitions)
        for partition, end in (await self._consumer.end_offsets(partitions)).items():
            self._consumer.seek(partition, end)

    async def close(self) -> None:
        if self._consumer is not None:
            await self._kafka.leave(self._consumer)
            self._consumer = None

    async def follow(self) -> None:
        """Count what comes, until cancelled."""
        while True:
            await self._read(1000)

    async def catch_up(self) -> None:
        """Count everything that is in the log at this moment."""
        consumer = self._reader()
        ends = await consumer.end_offsets(list(consumer.assignment()))
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            await self._read(500)

    def _reader(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise RuntimeError("the tally is not open")
        return self._consumer

    async def _read(self, timeout_ms: int) -> None:
        consumer = self._reader()
        consumer.resume(*consumer.assignment())
        polled = await consumer.getmany(timeout_ms=timeout_ms)
        consumer.pause(*consumer.assignment())  # until the next look: it would go on fetching in the background
        for records in polled.values():
            for record in records:
                self._count(record)

    def _count(self, record: Any) -> None:
        kind = event_type(record.headers)
        name = COUNTED.get(kind or "")
        if name is None or self._known(record):
            return
        self.counts[name] += 1
        if kind in (ChargeRecorded.TYPE, ChargeReversed.TYPE):
            event: Event = decode(record.headers, record.value).event
            if isinstance(event, ChargeEvent):
                self.amounts[event.currency] = self.amounts.get(event.currency, Decimal(0)) + event.amount

    def _known(self, record: Any) -> bool:
        identifier = next((value for name, value in record.headers if name == "ce_id"), b"")
        key = (record.topic, identifier)
        if key in self._seen:
            return True
        self._seen[key] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return False


async def lag(kafka: Kafka) -> dict[str, int]:
    """Records that each consumer group has not handled yet, over all topics of the catalogue that it has read."""
    behind: dict[str, int] = {}
    consumer = kafka.consumer(None)
    async with kafka.admin() as admin:
        await consumer.start()
        try:
            partitions = [TopicPartition(topic.name, number) for topic in TOPICS for number in range(topic.partitions)]
            ends = await consumer.end_offsets(partitions)
            for group in await _groups(admin):
                offsets = await admin.list_consumer_group_offsets(group)
                read = {partition: one.offset for partition, one in offsets.items() if one.offset >= 0}
                topics = {partition.topic for partition in read}
                behind[group] = sum(
                    max(0, end - read.get(partition, 0)) for partition, end in ends.items() if partition.topic in topics
                )
        finally:
            await kafka.leave(consumer)
    return behind


async def _groups(admin: AIOKafkaAdminClient) -> list[str]:
    return sorted(str(group[0]) for group in await admin.list_consumer_groups())


async def ends(kafka: Kafka) -> dict[TopicPartition, int]:
    """End of every partition of the catalogue: two equal answers mean that nothing was published in between."""
    consumer = kafka.consumer(None)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic.name, number) for topic in TOPICS for number in range(topic.partitions)]
        found: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        return found
    finally:
        await kafka.leave(consumer)
