"""The inputs of one pool, read back from `routing-inputs`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from common import envelope
from common.errors import InvalidEvent
from common.kafka import Kafka, partition_of

from routing.domain import inputs

SCANNED = 2_000
"""So few records are read through rather than searched."""


async def recorded(
    kafka: Kafka, producer: AIOKafkaProducer, pool_id: str, begins: datetime, end: datetime
) -> AsyncIterator[list[inputs.AnyInput]]:
    """Those that came from `begins` to `end`, each once, in their order, in parts (a part may be empty)."""
    count = len(await producer.partitions_for(inputs.TOPIC))
    place = TopicPartition(inputs.TOPIC, partition_of(pool_id.encode(), count))
    consumer = kafka.consumer(None)
    await consumer.start()
    try:
        consumer.assign([place])
        last = (await consumer.end_offsets([place]))[place]
        position = await _first(kafka, consumer, place, begins, last)
        consumer.seek(place, position)
        seen: set[str] = set()
        while position < last:
            part: list[inputs.AnyInput] = []
            for record in await _records(kafka, consumer, place, 1000):
                position = record.offset + 1
                headers = dict(record.headers)
                if record.key != pool_id.encode() or not begins <= _time(record) <= end:
                    continue
                identity = headers["ce_id"].decode()
                if identity in seen:
                    continue
                seen.add(identity)
                try:
                    event = envelope.decode(record.headers, record.value, inputs.INPUTS).event
                except InvalidEvent:  # it is among the dead letters: the pool did not see it either
                    continue
                if isinstance(event, inputs.AnyInput):
                    part.append(event)
            yield part
    finally:
        await kafka.leave(consumer)


async def _first(kafka: Kafka, consumer: AIOKafkaConsumer, place: TopicPartition, begins: datetime, last: int) -> int:
    """An offset before which nothing came at or after `begins`. By the inputs' own time, which is the floor's, not by
    that of the broker; it is that of the API that took them, so that neighbours may differ a little: a margin is left.
    """
    low = int((await consumer.beginning_offsets([place]))[place])
    margin = SCANNED
    high = last
    while high - low > SCANNED:
        middle = (low + high) // 2
        consumer.seek(place, middle)
        records = await _records(kafka, consumer, place, 1)
        if _time(records[0]) < begins:
            low = middle
        else:
            high = middle
    beginning = int((await consumer.beginning_offsets([place]))[place])
    return max(beginning, low - margin)


async def _records(
    kafka: Kafka, consumer: AIOKafkaConsumer, place: TopicPartition, most: int
) -> list[ConsumerRecord[bytes, bytes]]:
    while True:
        found = (await kafka.poll(consumer, max_records=most)).get(place)
        if found:
            return list(found)


def _time(record: ConsumerRecord[bytes, bytes]) -> datetime:
    return datetime.fromisoformat(dict(record.headers)["ce_time"].decode())
