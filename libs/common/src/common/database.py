"""PostgreSQL: one transaction at a time, scoped to a tenant by row-level security, with an outbox of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import asyncpg
import msgspec

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]

log = logging.getLogger(__name__)

EVERY_TENANT = "*"
"""Scope of consumers, timers and the floor's own people; a tenant's id scopes to its rows alone."""

TRANSIENT: tuple[type[BaseException], ...] = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the server closed the connection while a statement was being sent
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    OSError,
    asyncio.TimeoutError,
)
"""Failures that pass by themselves: the same work may be tried again."""


def is_transient(failure: BaseException) -> bool:
    """Whether the same work may succeed when tried again. A wrong statement or value never does."""
    if isinstance(failure, asyncpg.InterfaceError):
        return "clos" in str(failure) or "connection" in str(failure)
    return isinstance(failure, TRANSIENT)


class OutboxRow(msgspec.Struct, frozen=True):
    """One record to publish once the transaction has committed."""

    topic: str
    key: bytes | None
    headers: bytes
    value: bytes | None


_OUTBOX_INSERT = """
WITH added AS (
    INSERT INTO outbox (topic, key, headers, value)
    SELECT * FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::bytea[])
    RETURNING 1
)
SELECT pg_notify('outbox_' || current_schema(), '') FROM (SELECT 1 FROM added LIMIT 1) AS any_row
"""


class Session:
    """One open transaction. Business code reads and writes through it and never commits."""

    def __init__(self, connection: Connection, tenant: str, source: str) -> None:
        self._connection = connection
        self.tenant = tenant
        self.source = source
        self.outbox: list[OutboxRow] = []
        self._after_commit: list[Callable[[], None]] = []
        self._after_rollback: list[Callable[[], None]] = []

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """All rows of the statement."""
        return await self._connection.fetch(sql, *arguments)

    async def fetchrow(self, sql: str, *arguments: Any) -> asyncpg.Record | None:
        """The first row, or None."""
        return await self._connection.fetchrow(sql, *arguments)

    async def fetchval(self, sql: str, *arguments: Any) -> Any:
        """The first value of the first row, or None."""
        return await self._connection.fetchval(sql, *arguments)

    async def execute(self, sql: str, *arguments: Any) -> str:
        """Run one statement; returns PostgreSQL's command tag."""
        return await self._connection.execute(sql, *arguments)

    async def executemany(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        """Run one statement for many rows."""
        await self._connection.executemany(sql, rows)

    async def copy_records(self, table: str, columns: list[str], records: list[tuple[Any, ...]]) -> None:
        """COPY rows into a table."""
        await self._connection.copy_records_to_table(table, columns=columns, records=records)

    def cursor(self, sql: str, *arguments: Any) -> AsyncIterator[asyncpg.Record]:
        """Rows as a stream, for results that do not fit into memory."""
        rows: AsyncIterator[asyncpg.Record] = self._connection.cursor(sql, *arguments, prefetch=500).__aiter__()
        return rows

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the transaction has committed."""
        self._after_commit.append(callback)

    def after_rollback(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the transaction did not commit."""
        self._after_rollback.append(callback)

    async def _flush(self) -> None:
        if self.outbox:
            rows = self.outbox
            await self._connection.execute(
                _OUTBOX_INSERT,
                [row.topic for row in rows],
                [row.key for row in rows],
                [row.headers for row in rows],
                [row.value for row in rows],
            )


async def prepare_connection(connection: Connection) -> None:
    """Read and write jsonb as Python values."""
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        format="binary",
        encoder=lambda value: b"\x01" + msgspec.json.encode(value),
        decoder=lambda data: msgspec.json.decode(data[1:]),
    )


async def _nothing_to_reset(_: Connection) -> None:
    """Instead of asyncpg's RESET ALL after every transaction: settings and locks here end with their transaction."""


class Database:
    """A pool of connections to one service's schema.

    `source` is the service's name: it signs the events of the outbox.
    """

    def __init__(self, url: str, *, source: str, min_size: int = 2, max_size: int = 10) -> None:
        self.url = url
        self.source = source
        self._min_size = min_size
        self._max_size = max_size
        self._pool: Pool | None = None

    async def __aenter__(self) -> Self:
        self._pool = await asyncpg.create_pool(
            self.url,
            min_size=self._min_size,
            max_size=self._max_size,
            init=prepare_connection,
            reset=_nothing_to_reset,
            command_timeout=60,
            server_settings={"application_name": self.source, "jit": "off"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            try:
                async with asyncio.timeout(5):
                    await self._pool.close()
            except TRANSIENT as failure:
                log.warning("connections of %s are cut off: %s", self.source, type(failure).__name__)
                self._pool.terminate()
            self._pool = None

    @property
    def pool(self) -> Pool:
        """The open pool."""
        if self._pool is None:
            raise RuntimeError("the database is not open")
        return self._pool

    async def connect(self) -> asyncpg.Connection[asyncpg.Record]:
        """A connection outside the pool, for what must hold one (LISTEN); the caller closes it."""
        connection = await asyncpg.connect(
            self.url, server_settings={"application_name": f"{self.source}-relay", "jit": "off"}
        )
        await prepare_connection(connection)
        return connection

    @asynccontextmanager
    async def transaction(
        self, tenant: str = EVERY_TENANT, *, idle_seconds: float | None = None
    ) -> AsyncIterator[Session]:
        """One transaction: commits with its outbox at the end of the block, rolls back on any exception.

        With `idle_seconds` PostgreSQL cuts it off when this process is silent for so long within it: a frozen process
        must not hold rows that its successor waits for.
        """
        async with self.pool.acquire() as connection:
            session = Session(connection, tenant, self.source)
            try:
                async with connection.transaction():
                    await connection.execute(
                        """
                        SELECT set_config('plateau.tenant', $1, true),
                            set_config('idle_in_transaction_session_timeout', $2, true)
                        """,
                        tenant,
                        str(int((idle_seconds or 0) * 1000)),
                    )
                    yield session
                    await session._flush()
            except BaseException:
                for callback in session._after_rollback:
                    callback()
                raise
        for callback in session._after_commit:
            callback()
