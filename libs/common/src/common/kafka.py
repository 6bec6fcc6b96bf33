"""Kafka clients set up one way: idempotent producers, consumers that commit by hand, topics from the catalogue."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from aiokafka.partitioner import murmur2

from common.topics import DEAD_LETTER_PARTITIONS, DEAD_LETTER_RETENTION, TOPICS, Topic

log = logging.getLogger(__name__)

STOP_SECONDS: Final = 5.0
LEAVE_SECONDS: Final = 8.0


@dataclass(frozen=True, slots=True)
class Kafka:
    """How to reach the brokers. TLS and SASL come from the settings; the local stack has neither."""

    bootstrap_servers: str
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "PLAIN"
    sasl_username: str | None = None
    sasl_password: str | None = None
    ca_file: str | None = None
    session_timeout_ms: int = 10_000
    instance_id: str | None = None
    """This replica's lasting name (Kafka's static membership, KIP-345): started anew under it within the session
    timeout, it has its partitions back at once. Unset: a killed member's partitions move when its session times out."""
    idle_pause_ms: int = 0
    """For a broker that answers an empty fetch at once instead of waiting (the local one): look so seldom."""

    def _connection(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "security_protocol": self.security_protocol,
        }
        if "SSL" in self.security_protocol:
            options["ssl_context"] = ssl.create_default_context(cafile=self.ca_file)
        if "SASL" in self.security_protocol:
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.sasl_username
            options["sasl_plain_password"] = self.sasl_password
        return options

    @asynccontextmanager
    async def producer(self, *, linger_ms: int = 0) -> AsyncIterator[AIOKafkaProducer]:
        """A started idempotent producer (`acks=all`). At the end it gives up what its broker has not acknowledged
        within STOP_SECONDS."""
        producer = AIOKafkaProducer(
            **self._connection(),
            enable_idempotence=True,
            acks="all",
            linger_ms=linger_ms,
            max_batch_size=256 * 1024,
            request_timeout_ms=20_000,
        )
        try:
            await producer.start()
            yield producer
        finally:
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await producer.stop()
            except (TimeoutError, KafkaError) as failure:
                # Idempotent, it would wait for a dead broker for ever, and the process with it.
                log.warning("a producer leaves what its broker has not acknowledged: %s", type(failure).__name__)
                await producer._sender.close()
                await producer.client.close()

    def consumer(self, group: str | None, **options: Any) -> AIOKafkaConsumer:
        """A consumer, not yet started; offsets are committed by hand only."""
        return AIOKafkaConsumer(
            **self._connection(),
            group_id=group,
            group_instance_id=None if group is None else self.instance_id,
            enable_auto_commit=False,
            **{
                "auto_offset_reset": "earliest",
                "max_poll_records": 1000,
                "fetch_max_wait_ms": 500,
                "session_timeout_ms": self.session_timeout_ms,
                "heartbeat_interval_ms": max(200, self.session_timeout_ms // 5),
                "max_partition_fetch_bytes": 2 * 1024 * 1024,
                **options,
            },
        )

    async def leave(self, consumer: AIOKafkaConsumer) -> None:
        """Stop in good order: a group's partitions go to the others at once. Given up after LEAVE_SECONDS, which is
        logged: a failure here would take the place of a cancellation that led here."""
        if self.instance_id is not None:
            # A named member keeps its place when it stops, for it will be back; under Kubernetes' new names it is not.
            consumer._coordinator._group_instance_id = None
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await consumer.stop()
        except (TimeoutError, KafkaError) as failure:
            log.warning("a consumer leaves without its broker's answer: %s", type(failure).__name__)
            await consumer._client.close()

    async def poll(
        self, consumer: AIOKafkaConsumer, *, max_records: int | None = None
    ) -> dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]:
        """The next records, after at most a second; often none at all when `idle_pause_ms` is set."""
        timeout = 2 if self.idle_pause_ms else 1000
        polled: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]] = await consumer.getmany(
            timeout_ms=timeout, max_records=max_records
        )
        if not polled and self.idle_pause_ms:
            held = consumer.assignment()
            consumer.pause(*held)
            await asyncio.sleep(self.idle_pause_ms / 1000)
            consumer.resume(*(held & consumer.assignment()))
        return polled

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        """A started admin client."""
        client = AIOKafkaAdminClient(**self._connection())
        try:
            await client.start()
            yield client
        finally:
            await client.close()

    async def create_topics(self, *, replication: int = 1, topics: Iterable[Topic] = TOPICS) -> None:
        """Create what the catalogue names and is not there yet. Idempotent."""
        wanted = []
        for topic in topics:
            retention = -1 if topic.retention is None else int(topic.retention.total_seconds() * 1000)
            wanted.append(
                NewTopic(topic.name, topic.partitions, replication, topic_configs={"retention.ms": str(retention)})
            )
            dead = str(int(DEAD_LETTER_RETENTION.total_seconds() * 1000))
            wanted.append(
                NewTopic(topic.dead_letters, DEAD_LETTER_PARTITIONS, replication, topic_configs={"retention.ms": dead})
            )
        async with self.admin() as client:
            present = set(await client.list_topics())
            missing = [topic for topic in wanted if topic.name not in present]
            if not missing:
                return
            answer = await client.create_topics(missing)
            for name, code, *_ in answer.topic_errors:
                error = for_code(code)
                if code != 0 and error is not TopicAlreadyExistsError:
                    raise error(f"creating topic {name}")


@lru_cache(maxsize=65_536)
def partition_of(key: bytes, partitions: int) -> int:
    """The partition that every Kafka client's default partitioner gives a key (murmur2).

    Remembered, because aiokafka hashes in Python and the events of one call have one key.
    """
    hashed: int = murmur2(key) & 0x7FFFFFFF
    return hashed % partitions
