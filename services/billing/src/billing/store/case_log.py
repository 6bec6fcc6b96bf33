"""The log of cases, read from its very start without joining billing's consumer group."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from common import envelope
from common.errors import InvalidEvent, Unavailable
from common.events import CaseClosed, CaseReopened
from common.events.crm import CaseEvent
from common.kafka import Kafka
from common.topics import BY_NAME, Topic

from billing.domain.closings import closing_of
from billing.domain.replay import CaseLog

TOPIC: Topic = BY_NAME["cases"]

Offsets = dict[int, int]


@dataclass(slots=True)
class Reading:
    """What was read: the log up to the committed offsets, and up to its end."""

    committed: CaseLog = field(default_factory=CaseLog)
    published: CaseLog = field(default_factory=CaseLog)
    events: int = 0
    """Different events read, up to the end."""
    repeated: int = 0
    unreadable: int = 0


async def committed_offsets(kafka: Kafka, group: str) -> Offsets:
    """How far the group has committed, per partition; zero where it has not begun. Raises Unavailable."""
    consumer = kafka.consumer(group)
    partitions = _partitions()
    try:
        await consumer.start()
        consumer.assign(partitions)
        return {each.partition: await consumer.committed(each) or 0 for each in partitions}
    except KafkaError as failure:
        raise Unavailable(f"Kafka cannot be read: {type(failure).__name__}") from failure
    finally:
        await kafka.leave(consumer)


async def read(kafka: Kafka, committed: Offsets) -> Reading:
    """Read the log from offset zero to its end as of now.

    Raises Unavailable when Kafka is away, or when the log does not begin at zero any more.
    """
    consumer = kafka.consumer(None)
    partitions = _partitions()
    try:
        await consumer.start()
        consumer.assign(partitions)
        beginnings = await consumer.beginning_offsets(partitions)
        lost = {each.partition: offset for each, offset in beginnings.items() if offset > 0}
        if lost:
            raise Unavailable(f"{TOPIC.name} does not begin at offset zero any more: {lost}")
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        return await _fold(consumer, ends, committed)
    except KafkaError as failure:
        raise Unavailable(f"Kafka cannot be read: {type(failure).__name__}") from failure
    finally:
        await kafka.leave(consumer)


async def _fold(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int], committed: Offsets) -> Reading:
    reading = Reading()
    seen: set[tuple[str, UUID]] = set()
    left = {each for each, end in ends.items() if end > 0}
    while left:
        polled = await consumer.getmany(*left, timeout_ms=500, max_records=5000)
        for partition, records in polled.items():
            for record in records:
                if record.offset < ends[partition]:
                    _tell(reading, record, seen, record.offset < committed.get(partition.partition, 0))
        # The position counts, not the last record: a log may end with offsets that carry none.
        left = {each for each in left if await consumer.position(each) < ends[each]}
    return reading


def _tell(reading: Reading, record: ConsumerRecord[bytes, bytes], seen: set[tuple[str, UUID]], committed: bool) -> None:
    try:
        read = envelope.decode(record.headers, record.value)
    except InvalidEvent:
        reading.unreadable += 1
        return
    if (read.source, read.id) in seen:
        reading.repeated += 1
        return
    seen.add((read.source, read.id))
    reading.events += 1
    if isinstance(read.event, CaseEvent):
        reading.published.note_case(read.event.tenant_id, read.event.case_id)
    if not isinstance(read.event, CaseClosed | CaseReopened):
        return
    try:
        closing = closing_of(read.event)
    except InvalidEvent:
        reading.unreadable += 1
        return
    reading.published.tell(closing)
    if committed:
        reading.committed.tell(closing)


def _partitions() -> list[TopicPartition]:
    return [TopicPartition(TOPIC.name, number) for number in range(TOPIC.partitions)]
