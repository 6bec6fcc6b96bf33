"""The relay: publishes what transactions left in the outbox, in order per key, at least once.

Woken by PostgreSQL's NOTIFY at the commit, so there is no polling delay; a slow poll covers what a lost connection may
have hidden. Any number of replicas may run: one at a time drains, under an advisory lock that lives and dies with its
transaction, so a replica that is killed or frozen gives way within `LOCK_LIMIT_SECONDS`. A frozen one that wakes may
publish rows again; readers know them by their id.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from operator import itemgetter

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from common import telemetry
from common.database import TRANSIENT, Database
from common.kafka import Kafka, partition_of
from common.outbox import unpack_headers
from common.stops import to_retry

log = logging.getLogger(__name__)

BATCH = 1000
POLL_SECONDS = 1.0
LOCK_LIMIT_SECONDS = 5
_LOCK = 0x706C6174  # "plat": one lock per service, because each has a schema of its own


class Relay:
    """Publishes one service's outbox. `run()` never returns of its own accord."""

    def __init__(self, database: Database, kafka: Kafka) -> None:
        self._database = database
        self._kafka = kafka
        self._woken = asyncio.Event()
        self._labels = {"service": database.source}

    async def run(self) -> None:
        """Publish for ever; failures of PostgreSQL or Kafka are retried with a fresh connection."""
        delay = 0.1
        while True:
            try:
                async with self._kafka.producer() as producer:
                    connection = await self._database.connect()
                    try:
                        delay = 0.1
                        await self._serve(connection, producer)
                    finally:
                        connection.terminate()
            except (*TRANSIENT, KafkaError) as failure:
                if not to_retry(failure):
                    raise
                log.warning("relay starts over: %s: %s", type(failure).__name__, failure)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 5.0)

    async def _serve(self, connection: asyncpg.Connection[asyncpg.Record], producer: AIOKafkaProducer) -> None:
        schema = await connection.fetchval("SELECT current_schema()")
        # What a crash of PostgreSQL brings back is published again, which readers know; waiting for the disk before the
        # next batch would save nothing.
        await connection.execute("SET synchronous_commit = off")
        await connection.execute(f"SET idle_in_transaction_session_timeout = '{LOCK_LIMIT_SECONDS}s'")
        # The outbox looks empty to the planner, which would read through all rows deleted since the last vacuum.
        await connection.execute("SET enable_seqscan = off")
        await connection.add_listener(f"outbox_{schema}", lambda *_: self._woken.set())
        while True:
            self._woken.clear()
            while await self._drain(connection, producer) == BATCH:
                pass
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._woken.wait()

    async def _drain(self, connection: asyncpg.Connection[asyncpg.Record], producer: AIOKafkaProducer) -> int:
        """Publish one batch; returns how many rows it had (0 also when another replica is at it)."""
        async with connection.transaction():
            taken = await connection.fetch(
                """
                DELETE FROM outbox WHERE ctid = ANY(ARRAY(
                    SELECT ctid FROM outbox WHERE (SELECT pg_try_advisory_xact_lock($1, hashtext(current_schema())))
                    ORDER BY id LIMIT $2
                )) RETURNING id, topic, key, headers, value
                """,
                _LOCK,
                BATCH,
            )
            if not taken:
                return 0
            rows = sorted(taken, key=itemgetter(0))
            counts = {topic: len(await producer.partitions_for(topic)) for topic in {row[1] for row in rows}}
            acknowledged = [
                await producer.send(
                    topic,
                    value=value,
                    key=key,
                    partition=None if key is None else partition_of(key, counts[topic]),
                    headers=unpack_headers(headers),
                )
                for _, topic, key, headers, value in rows
            ]
            await asyncio.gather(*acknowledged)
        telemetry.outbox_published.add(len(rows), self._labels)
        return len(rows)
