"""The real servers that all tests share: started once, on the first test that asks for one."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import asyncpg
import pytest
from common.database import Database
from common.kafka import Kafka
from common.testing import Issuer, eventually
from hypothesis import HealthCheck, settings
from plateau.servers import ExternalServer, KafkaServer, PostgresServer, apache_kafka, noida, postgres
from support import Stack

pytest_plugins = ["limits"]


# No property fails because the machine is slow or busy.
settings.register_profile("any machine", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(scope="session")
async def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PostgresServer | ExternalServer]:
    """A PostgreSQL whose `url` logs in as superuser: the one of `DATABASE_URL`, else one of our own."""
    if url := os.environ.get("DATABASE_URL"):
        yield ExternalServer(url)
        return
    async with postgres(tmp_path_factory.mktemp("postgres")) as server:
        await _never_to_survive_a_power_cut(server.url)
        yield server


async def _never_to_survive_a_power_cut(url: str) -> None:
    """Hundreds of databases are made and thrown away. Tests that kill a PostgreSQL start one of their own."""
    connection = await asyncpg.connect(url)
    try:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            await connection.execute(f"ALTER SYSTEM SET {setting} = off")
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()


@pytest.fixture(scope="session")
async def kafka_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KafkaServer | ExternalServer]:
    """A broker with `bootstrap_servers`: the one of `KAFKA_BOOTSTRAP_SERVERS`, else one of our own.

    Ours is noida-db, or Apache Kafka when `PLATEAU_TEST_KAFKA` is `apache`.
    """
    if servers := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield ExternalServer(servers)
        return
    start = apache_kafka if os.environ.get("PLATEAU_TEST_KAFKA") == "apache" else noida
    async with start(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    """Signs the tests' tokens."""
    return Issuer(tmp_path_factory.mktemp("issuer"))


@pytest.fixture(scope="session")
def new_stack(
    postgres_server: PostgresServer | ExternalServer,
    kafka_server: KafkaServer | ExternalServer,
    issuer: Issuer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[], AbstractAsyncContextManager[Stack]]:
    """Everything a service needs, with a broker that holds nothing but the catalogue's empty topics; new each time."""

    @asynccontextmanager
    async def made() -> AsyncIterator[Stack]:
        async with AsyncExitStack() as exits:
            if os.environ.get("KAFKA_BOOTSTRAP_SERVERS") or os.environ.get("PLATEAU_TEST_KAFKA") == "apache":
                await _empty(Kafka(kafka_server.bootstrap_servers))
                servers = kafka_server.bootstrap_servers
            else:
                broker = await exits.enter_async_context(noida(tmp_path_factory.mktemp("kafka")))
                servers = broker.bootstrap_servers
            stack = Stack(servers, issuer, postgres_server.url)
            await stack.kafka.create_topics()
            exits.callback(stack.drop_databases)
            yield stack

    return made


@pytest.fixture
async def stack(new_stack: Callable[[], AbstractAsyncContextManager[Stack]]) -> AsyncIterator[Stack]:
    """One for the test alone."""
    async with new_stack() as made:
        yield made


@pytest.fixture(scope="module")
async def shared_stack(new_stack: Callable[[], AbstractAsyncContextManager[Stack]]) -> AsyncIterator[Stack]:
    """One for all tests of a module that uses no `stack` beside it."""
    async with new_stack() as made:
        yield made


async def _empty(kafka: Kafka) -> None:
    """A broker that takes long to start is shared: its topics are removed, and with them what groups committed."""
    async with kafka.admin() as admin:
        ours = {name for name in await admin.list_topics() if not name.startswith("__")}
        if ours:
            await admin.delete_topics(list(ours))

        async def deleted() -> bool:
            return not ours.intersection(await admin.list_topics())

        await eventually(deleted)


@pytest.fixture
async def service_database(stack: Stack) -> AsyncIterator[Callable[[str], Awaitable[Database]]]:
    """Opens a fresh, migrated database for a service (import name); closed after the test."""
    async with AsyncExitStack() as exits:

        async def opened(service: str) -> Database:
            return await exits.enter_async_context(Database(stack.database_url(service), source=service))

        yield opened
