"""The broker under a benchmark: Apache Kafka where it can run, else the local stack's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from common.kafka import Kafka
from plateau.servers import apache_kafka, kafka_available, noida


@asynccontextmanager
async def broker(data_dir: Path) -> AsyncIterator[Kafka]:
    """Runs it for the length of the block, and says which one it is.

    The local stack's writes everything that it holds to one file every second, which shows in the figures.
    """
    missing = kafka_available()
    if missing is None:
        print("Apache Kafka")
        async with apache_kafka(data_dir) as server:
            yield Kafka(server.bootstrap_servers)
    else:
        print(f"the local broker, and not Apache Kafka: {missing}")
        async with noida(data_dir) as server:
            yield Kafka(server.bootstrap_servers, idle_pause_ms=5)
