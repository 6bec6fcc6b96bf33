"""What the tests share beside fixtures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

from aiokafka import ConsumerRecord, TopicPartition
from common.config import ServiceSettings
from common.kafka import Kafka
from common.migrations import provision, upgrade
from common.testing import Issuer
from cryptography.fernet import Fernet
from sqlalchemy import Connection, create_engine, make_url, text

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)

_databases = count()
PASSWORD = "secret"


@dataclass
class Stack:
    """What a service needs to run in a test: a broker of its own, databases on demand, tokens."""

    bootstrap_servers: str
    issuer: Issuer
    admin_url: str
    databases: list[str] = field(default_factory=list)

    @property
    def kafka(self) -> Kafka:
        """How to reach the broker."""
        return Kafka(self.bootstrap_servers)

    def token(self, role: str = "operator", *, tenant: str | None = None, subject: str = "olive") -> str:
        """A bearer token."""
        return self.issuer.mint(role, tenant=tenant, subject=subject)

    def database_url(self, service: str) -> str:
        """A fresh, migrated database for a service (import name)."""
        template = f"template_{service}"
        with self._admin() as connection:
            known = connection.execute(text("SELECT 1 FROM pg_database WHERE datname = :n"), {"n": template})
            if known.scalar() is None:
                connection.exec_driver_sql(f'CREATE DATABASE "{template}"')
                upgrade(service, self._service_url(template, service))
            name = self._create(connection, service, f' TEMPLATE "{template}"')
        admin = make_url(self.admin_url).set(username=service, password=PASSWORD, database=name)
        return admin.render_as_string(hide_password=False)

    def empty_database(self, service: str) -> str:
        """A fresh database with the service's role and schema, and nothing in it."""
        with self._admin() as connection:
            name = self._create(connection, service)
        return self._service_url(name, service)

    def drop_databases(self) -> None:
        """Take away the databases that were made here."""
        with self._admin() as connection:
            for name in self.databases:
                connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')
        self.databases.clear()

    @contextmanager
    def _admin(self) -> Iterator[Connection]:
        url = make_url(self.admin_url).set(drivername="postgresql+psycopg")
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()

    def _create(self, connection: Connection, service: str, how: str = "") -> str:
        name = f"{service}_{os.getpid()}_{next(_databases)}"
        connection.exec_driver_sql(f'CREATE DATABASE "{name}"{how}')
        self.databases.append(name)
        return name

    def _service_url(self, database: str, service: str) -> str:
        url = make_url(self.admin_url).set(database=database)
        return provision(url.render_as_string(hide_password=False), service, PASSWORD)

    def settings(self, cls: type[SettingsT], service: str, **values: Any) -> SettingsT:
        """Settings of a service on this stack, with a fresh database unless `database_url` is given."""
        if service == "crm_bridge":
            values.setdefault("webhook_secret_key", Fernet.generate_key().decode())
        return cls(
            **{
                "database_url": values.pop("database_url", None) or self.database_url(service),
                "kafka_bootstrap_servers": self.bootstrap_servers,
                "http_port": 0,
                "kafka_idle_pause_ms": 10,
                "jwks_url": self.issuer.jwks_url,
                "jwt_issuer": self.issuer.issuer,
                **values,
            }
        )


async def read_all(kafka: Kafka, topic: str) -> list[ConsumerRecord[bytes, bytes]]:
    """Every record that is on the topic now."""
    client = kafka.consumer(None)
    await client.start()
    try:
        async with kafka.admin() as admin:
            described = await admin.describe_topics([topic])
        partitions = [TopicPartition(topic, item["partition"]) for item in described[0]["partitions"]]
        client.assign(partitions)
        ends = await client.end_offsets(partitions)
        found: list[ConsumerRecord[bytes, bytes]] = []
        while True:
            behind = [p for p in partitions if await client.position(p) < ends[p]]
            if not behind:
                return found
            for batch in (await client.getmany(timeout_ms=200)).values():
                found.extend(batch)
    finally:
        await client.stop()
