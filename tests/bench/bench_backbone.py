"""What exactly-once costs: the backbone against a raw copy loop and against one transaction per message.

    python tests/bench/bench_backbone.py [events]

All three read the same events from one topic and write one event each to another, in one process, over the same broker
and the same PostgreSQL (default durability):

    raw         aiokafka: consume, decode, encode, produce, commit the offsets; no database, at least once
                (twice, before and after the pipeline; the faster one counts)
    pipeline    common.consumer + common.relay: inbox, one aggregate upsert and the outbox in one transaction per poll
    faststream  FastStream with SQLAlchemy: inbox, upsert and publish, one transaction per message (on a tenth of them)

Raw is the floor. The last line is JSON: `pipeline_vs_raw` and `pipeline_vs_faststream` are ratios of events per second.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import uvloop
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from brokers import broker
from common import envelope, outbox
from common.clock import SystemClock
from common.consumer import Consumer, Delivery
from common.database import Database, Session
from common.events import CaseOpened, ContactCreated
from common.ids import new_id
from common.kafka import Kafka
from common.migrations import create_system_tables, provision
from common.relay import Relay
from common.telemetry import new_traceparent
from common.topics import Topic
from plateau.servers import postgres
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
TOPICS = (Topic("contacts", 6, None, "bench"), Topic("cases", 6, None, "bench"))
FILLER = "x" * 130  # brings an event to about 400 bytes with its headers


def source_event(number: int) -> ContactCreated:
    return ContactCreated(
        tenant_id="kettle", contact_id=f"contact-{number}", phone="+33199000000", name=FILLER, occurred_at=NOON
    )


def result_event(event: ContactCreated) -> CaseOpened:
    return CaseOpened(
        tenant_id=event.tenant_id,
        case_id=event.contact_id,
        contact_id=event.contact_id,
        queue_id="complaints",
        sequence=1,
        opened_at=NOON,
        occurred_at=NOON,
        calls=1,
    )


async def fill(kafka: Kafka, number: int) -> None:
    """Puts the events to read on the topic."""
    async with kafka.producer(linger_ms=5) as producer:
        waiting = []
        for n in range(number):
            headers, value = envelope.encode(
                source_event(n), event_id=new_id(), source="bench", time=NOON, traceparent=new_traceparent()
            )
            waiting.append(await producer.send("contacts", value=value, key=f"contact-{n}".encode(), headers=headers))
            if len(waiting) == 5000:
                await asyncio.gather(*waiting)
                waiting.clear()
        await asyncio.gather(*waiting)


async def raw(kafka: Kafka, number: int, group: str) -> float:
    """Seconds of the raw copy."""
    consumer = kafka.consumer(group, fetch_max_wait_ms=50)
    consumer.subscribe(["contacts"])
    await consumer.start()
    done, began = 0, 0.0
    try:
        async with kafka.producer() as producer:
            while done < number:
                polled = await consumer.getmany(timeout_ms=1000, max_records=1000)
                began = began or time.perf_counter()
                sent = []
                for records in polled.values():
                    for record in records:
                        read = envelope.decode(record.headers, record.value)
                        assert isinstance(read.event, ContactCreated)
                        made = result_event(read.event)
                        headers, value = envelope.encode(
                            made, event_id=new_id(), source="raw", time=NOON, traceparent=read.traceparent
                        )
                        sent.append(await producer.send("cases", value=value, key=made.key.encode(), headers=headers))
                await asyncio.gather(*sent)
                await consumer.commit()
                done += len(sent)
        return time.perf_counter() - began
    finally:
        await consumer.stop()


async def handle(session: Session, deliveries: Sequence[Delivery], clock: object) -> None:
    """One aggregate upsert and one event out for each event in."""
    counts = Counter(delivery.event.tenant_id for delivery in deliveries)
    await session.execute(
        """
        INSERT INTO tallies SELECT * FROM unnest($1::text[], $2::int[])
        ON CONFLICT (name) DO UPDATE SET count = tallies.count + excluded.count
        """,
        list(counts),
        list(counts.values()),
    )
    for delivery in deliveries:
        assert isinstance(delivery.event, ContactCreated)
        outbox.add(session, result_event(delivery.event), traceparent=delivery.traceparent)


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    while not await check():
        await asyncio.sleep(0.01)


async def pipeline(kafka: Kafka, database: Database, number: int) -> float:
    """Seconds of the backbone, from the first poll to the last event published and its outbox row deleted."""
    consumer = Consumer(
        group="pipeline",
        topics=["contacts"],
        database=database,
        kafka=kafka,
        clock=SystemClock(),
        handle=handle,
        handles=[ContactCreated],
    )
    tasks = [asyncio.create_task(consumer.run()), asyncio.create_task(Relay(database, kafka).run())]
    await consumer.assigned.wait()
    began = time.perf_counter()

    async def finished() -> bool:
        async with database.transaction() as session:
            return bool(
                await session.fetchval(
                    "SELECT coalesce((SELECT count FROM tallies), 0) = $1 AND NOT EXISTS (SELECT FROM outbox)", number
                )
            )

    await until(finished)
    took = time.perf_counter() - began
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    return took


async def faststream(kafka: Kafka, url: str, number: int) -> float:
    """Seconds of FastStream with SQLAlchemy: read, deduplicate, upsert, publish, commit, message by message."""
    from faststream.kafka import KafkaBroker, KafkaMessage

    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    sessions = async_sessionmaker(engine)
    broker = KafkaBroker(kafka.bootstrap_servers, enable_idempotence=True, logger=None)
    done = 0
    finished = asyncio.Event()
    began = 0.0

    async def receive(body: bytes, message: KafkaMessage) -> None:
        nonlocal done, began
        began = began or time.perf_counter()
        if done >= number:
            return
        record = message.raw_message
        assert not isinstance(record, tuple)
        read = envelope.decode(record.headers, body)
        assert isinstance(read.event, ContactCreated)
        made = result_event(read.event)
        async with sessions() as session, session.begin():
            new = await session.execute(
                text("INSERT INTO fs_inbox VALUES (:id) ON CONFLICT DO NOTHING RETURNING id"), {"id": read.id}
            )
            if new.scalar() is None:
                return
            await session.execute(
                text(
                    "INSERT INTO fs_tallies VALUES (:name, 1) "
                    "ON CONFLICT (name) DO UPDATE SET count = fs_tallies.count + 1"
                ),
                {"name": read.event.tenant_id},
            )
            headers, value = envelope.encode(
                made, event_id=new_id(), source="faststream", time=NOON, traceparent=read.traceparent
            )
            await broker.publish(
                value, "cases", key=made.key.encode(), headers={name: text.decode() for name, text in headers}
            )
        done += 1
        if done == number:
            finished.set()

    broker.subscriber("contacts", group_id="faststream", auto_offset_reset="earliest", decoder=_plain)(receive)
    async with broker:
        await broker.start()
        await finished.wait()
        took = time.perf_counter() - began
    await engine.dispose()
    return took


async def _plain(message: object) -> bytes:
    body: bytes = message.body  # type: ignore[attr-defined]
    return body


async def main(folder: Path, number: int) -> None:
    async with postgres(folder / "postgres") as server, broker(folder / "kafka") as kafka:
        await kafka.create_topics(topics=TOPICS)
        url = provision(server.url, "bench", "secret")
        engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
        with engine.begin() as connection:
            create_system_tables(Operations(MigrationContext.configure(connection)))
            connection.exec_driver_sql("CREATE TABLE tallies (name text PRIMARY KEY, count int NOT NULL)")
            connection.exec_driver_sql("CREATE TABLE fs_inbox (id uuid PRIMARY KEY)")
            connection.exec_driver_sql("CREATE TABLE fs_tallies (name text PRIMARY KEY, count int NOT NULL)")
        engine.dispose()
        await fill(kafka, number)
        seconds = await raw(kafka, number, "raw before")
        async with Database(url, source="bench") as database:
            pipeline_rate = number / await pipeline(kafka, database, number)
        seconds = min(seconds, await raw(kafka, number, "raw after"))
        raw_rate = number / seconds
        print(f"raw copy loop            {raw_rate:10,.0f} events/s      1.00", flush=True)
        print(f"backbone, exactly once   {pipeline_rate:10,.0f} events/s  {pipeline_rate / raw_rate:8.2f}", flush=True)
        few = max(100, number // 10)
        faststream_rate = few / await faststream(kafka, url, few)
        print(
            f"FastStream + SQLAlchemy  {faststream_rate:10,.0f} events/s  {faststream_rate / raw_rate:8.3f}", flush=True
        )
    figures = {
        "pipeline_events_per_second": round(pipeline_rate),
        "pipeline_vs_raw": round(pipeline_rate / raw_rate, 3),
        "pipeline_vs_faststream": round(pipeline_rate / faststream_rate, 1),
        "floor_raw_events_per_second": round(raw_rate),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        uvloop.run(main(Path(name), int(sys.argv[1]) if len(sys.argv) > 1 else 30_000))
