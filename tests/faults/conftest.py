"""The broker and the floor that the fault tests harm."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from common.kafka import Kafka
from common.testing import eventually
from faults.harness import Floor, running_floor
from plateau import stack
from plateau.client import SERVICES
from plateau.servers import apache_kafka
from plateau.servers.process import free_port


@pytest.fixture(scope="module")
def environment() -> Iterator[pytest.MonkeyPatch]:
    """Settings of the service processes: a dead replica's partitions move as soon as every broker allows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KAFKA_SESSION_TIMEOUT_MS", "6000")
        patch.delenv("DATABASE_URL", raising=False)
        # Ports that nobody else takes while a killed process is away.
        patch.setattr(stack, "DEFAULT_PORTS", {service: free_port() for service in SERVICES})
        patch.setattr(stack, "POSTGRES_PORT", free_port())
        patch.setattr(stack, "KAFKA_PORT", free_port())
        yield patch


@pytest.fixture(scope="module")
async def broker(environment: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[None]:
    """The broker of the stack: its own noida-db; a real Kafka of its own, or the one that is named, if asked for."""
    if os.environ.get("PLATEAU_TEST_KAFKA") == "apache":
        async with apache_kafka(tmp_path_factory.mktemp("kafka")) as server:
            environment.setenv("KAFKA_BOOTSTRAP_SERVERS", server.bootstrap_servers)
            environment.setenv("KAFKA_SESSION_TIMEOUT_MS", "2000")
            yield
        return
    if named := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        await _empty(named)
    yield


async def _empty(bootstrap_servers: str) -> None:
    async with Kafka(bootstrap_servers).admin() as admin:
        ours = [name for name in await admin.list_topics() if not name.startswith("__")]
        if ours:
            await admin.delete_topics(ours)

            async def deleted() -> bool:
                return not set(ours).intersection(await admin.list_topics())

            await eventually(deleted)


@pytest.fixture(scope="module")
async def floor(broker: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Floor]:
    """One floor for all tests of a module, harmed in turn; each begins and ends with it at rest."""
    directory: Path = tmp_path_factory.mktemp("floor")
    async with running_floor(directory, seed=20261121) as running:
        yield running
