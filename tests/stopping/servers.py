"""Servers that answer at once with nothing, and from one moment on not at all: for loops that are told to stop.

The clients' own code runs down to the drivers, which are replaced. Time is the event loop's and passes whenever
everything waits.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import asyncpg
import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError
from common.database import Database
from common.topics import BY_NAME

STUCK_SECONDS = 20.0
"""Real seconds without anything to do, with no timer set, after which the loop gives up: threads have ended by then."""


class _Selector(selectors.DefaultSelector):
    """Moves the loop's time on instead of waiting for it."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            found = super().select(STUCK_SECONDS)
            if not found:
                raise TimeoutError("everything waits, and nothing will ever come")
            return found
        self.now += max(0.0, timeout)
        return super().select(0)


class TimelessLoop(asyncio.SelectorEventLoop):
    """An event loop whose timers are due as soon as nothing else is to be done."""

    def __init__(self) -> None:
        self._moved = _Selector()
        super().__init__(self._moved)

    def time(self) -> float:
        return self._moved.now


class Wakes:
    """All events of `asyncio` that somebody waits for: `wake` sets them."""

    def __init__(self) -> None:
        self._waited: set[asyncio.Event] = set()

    def wake(self) -> None:
        for event in list(self._waited):
            event.set()

    @contextmanager
    def recorded(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        waited = self._waited

        class Event(asyncio.Event):
            async def wait(self) -> bool:  # type: ignore[override]
                waited.add(self)
                try:
                    return await super().wait()
                finally:
                    waited.discard(self)

        with monkeypatch.context() as patched:
            patched.setattr(asyncio, "Event", Event)
            yield


class Servers:
    """PostgreSQL and Kafka, as their drivers show them. `dead`: what is asked is never answered, clean-ups fail."""

    def __init__(self) -> None:
        self.dead = False

    async def answer(self) -> None:
        await (asyncio.get_running_loop().create_future() if self.dead else asyncio.sleep(0))

    async def clean_up(self, failure: Callable[[], Exception]) -> None:
        await asyncio.sleep(0)
        if self.dead:
            raise failure()

    @contextmanager
    def installed(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """In the place of the real drivers."""

        async def connect(*_: object, **__: object) -> _Connection:
            await self.answer()
            return _Connection(self)

        with monkeypatch.context() as patched:
            patched.setattr(asyncpg, "connect", connect)
            patched.setattr("common.kafka.AIOKafkaConsumer", lambda *_, **options: _Consumer(self))
            patched.setattr("common.kafka.AIOKafkaProducer", lambda **_: Producer(self))
            yield

    def database(self, source: str) -> Database:
        database = Database("postgresql://nobody@nowhere/nothing", source=source)
        database._pool = _Pool(self)  # type: ignore[assignment]
        return database


class _Block:
    """An asynchronous block whose end fails once the servers are dead."""

    def __init__(self, servers: Servers, value: object) -> None:
        self._servers = servers
        self._value = value

    async def __aenter__(self) -> Any:
        await self._servers.answer()
        return self._value

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._servers.clean_up(asyncpg.ConnectionDoesNotExistError)


class _Pool:
    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    def acquire(self) -> _Block:
        return _Block(self._servers, _Connection(self._servers))


class _Connection:
    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    def transaction(self) -> _Block:
        return _Block(self._servers, self)

    async def fetch(self, *_: object) -> list[Any]:
        await self._servers.answer()
        return []

    async def fetchrow(self, *_: object) -> None:
        await self._servers.answer()

    fetchval = fetchrow
    add_listener = fetchrow

    async def set_type_codec(self, *_: object, **__: object) -> None:
        await self._servers.answer()

    async def execute(self, *_: object) -> str:
        await self._servers.answer()
        return "DELETE 0"

    def terminate(self) -> None:
        return


class _Closed:
    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    async def close(self) -> None:
        await asyncio.sleep(0)


class _Consumer:
    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._client = _Closed(servers)
        self._topics: list[str] = []
        self._listener: Any = None
        self._came = asyncio.Event()

    def subscribe(self, topics: list[str], listener: Any = None) -> None:
        self._topics = list(topics)
        self._listener = listener

    async def start(self) -> None:
        await self._servers.answer()
        if self._listener is not None:
            await self._listener.on_partitions_assigned(self.assignment())

    async def stop(self) -> None:
        await self._servers.clean_up(KafkaConnectionError)

    async def getmany(self, *_: TopicPartition, timeout_ms: int = 0, max_records: int | None = None) -> dict[Any, Any]:
        if self._servers.dead:
            await self._servers.answer()
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await self._came.wait()
        except TimeoutError:
            pass
        self._came.clear()
        return {}

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition(topic, 0) for topic in self._topics}

    def assign(self, partitions: list[TopicPartition]) -> None:
        self._topics = [partition.topic for partition in partitions]

    def pause(self, *_: TopicPartition) -> None:
        return

    resume = pause

    def seek(self, *_: object) -> None:
        return

    async def position(self, _: TopicPartition) -> int:
        await self._servers.answer()
        return 0

    def highwater(self, _: TopicPartition) -> int:
        return 0

    async def commit(self, *_: object) -> None:
        await self._servers.answer()

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        await self._servers.answer()
        return dict.fromkeys(partitions, 0)


class Producer:
    """A producer that acknowledges at once."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._sender = self.client = _Closed(servers)

    async def start(self) -> None:
        await self._servers.answer()

    async def stop(self) -> None:
        await self._servers.clean_up(KafkaConnectionError)

    async def partitions_for(self, topic: str) -> set[int]:
        await self._servers.answer()
        return set(range(BY_NAME[topic].partitions))

    async def send_and_wait(self, *_: object, **__: object) -> None:
        await self._servers.answer()
