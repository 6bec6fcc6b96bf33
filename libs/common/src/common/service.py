"""How a service process is put together: one TaskGroup of HTTP server, consumers, relay and timers.

If one of them fails, all stop and the process exits; a supervisor (Kubernetes, the local stack) starts it anew.
On SIGTERM it drains: the server finishes its requests, the consumer its batch, then both leave. What has not ended
within its share of the grace period is named in the log and left (see `common.stops`).
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
import uvloop
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from fastapi import APIRouter, FastAPI
from opentelemetry.metrics import CallbackOptions, Observation

from common import telemetry
from common.app import ReadyCheck, create_app
from common.auth import Authenticator
from common.clock import Clock
from common.config import CLOSING_SECONDS, ServiceSettings
from common.consumer import BatchHandler, Consumer, Subscription
from common.database import TRANSIENT, Database
from common.kafka import Kafka
from common.relay import Relay
from common.stops import SIGNALS, Interrupted, Stop, part, to_retry
from common.stops import run as run_process

log = logging.getLogger(__name__)

REQUEST_SECONDS = 5
"""Real seconds that open requests have to end once the service stops; then they are cut off."""

Task = Callable[[], Awaitable[None]]


@dataclass
class Runtime:
    """What a service works with. Opened before `wire` is called, closed after everything has stopped."""

    name: str
    settings: Any
    database: Database
    kafka: Kafka
    clock: Clock
    authenticator: Authenticator
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the process is asked to stop: streams end themselves."""
    producer: AIOKafkaProducer | None = None
    """An idempotent producer, for a service whose `Wiring` asks for one."""
    state: Any = None
    """What the service itself wants to reach from its routes (`request.app.state.runtime.state`)."""

    def consumer(self, reads: Subscription, handle: BatchHandler, **options: Any) -> Consumer:
        """A consumer of this service (see `common.consumer.Consumer`)."""
        return Consumer(
            group=self.name if reads.group is None else f"{self.name}-{reads.group}",
            topics=reads.topics,
            database=self.database,
            kafka=self.kafka,
            clock=self.clock,
            handle=handle,
            handles=reads.handles,
            catalogue=reads.catalogue,
            dead_letter_limit=self.settings.dead_letter_limit,
            **options,
        )


@dataclass
class Wiring:
    """The parts of one service."""

    routers: Sequence[APIRouter] = ()
    consumers: Sequence[Consumer] = ()
    tasks: Mapping[str, Task] = field(default_factory=dict)
    ready: Sequence[ReadyCheck] = ()


Wire = Callable[[Runtime], Awaitable[Wiring]]


@dataclass
class Running:
    """A service that is up, for tests."""

    runtime: Runtime
    app: FastAPI
    base_url: str
    wiring: Wiring

    def client(self, token: str | None = None) -> httpx.AsyncClient:
        """A client that sends `token`."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return httpx.AsyncClient(base_url=self.base_url, headers=headers, timeout=30, trust_env=False)


class _Server(uvicorn.Server):
    """Leaves the signals to us."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()


def run(name: str, settings_class: type[ServiceSettings], wire: Wire) -> None:
    """Run the service until SIGTERM or SIGINT (exit 0), or until a part of it fails (exit 1). See `common.stops`."""
    settings = settings_class()
    telemetry.configure(name, settings.log_level)

    async def main(stop: Stop) -> None:
        async with started(name, settings, wire) as running:
            # What is loaded by now stays: the collector need not walk it again and again while calls wait.
            gc.collect()
            gc.freeze()
            gc.set_threshold(20_000, 20, 50)
            log.info("%s serves on %s", name, running.base_url)
            stop.gentle = SIGNALS
            await stop.asked.wait()
            log.info("%s stops", name)
        await asyncio.to_thread(telemetry.close)

    try:
        run_process(main, grace_seconds=settings.grace_seconds, loop_factory=uvloop.new_event_loop)
    except Interrupted as interrupted:
        log.info("%s is %s before it serves", name, interrupted)
    except BaseExceptionGroup as failures:
        log.critical("%s fails", name, exc_info=failures)
        sys.exit(1)


@asynccontextmanager
async def started(name: str, settings: ServiceSettings, wire: Wire) -> AsyncIterator[Running]:
    """The running service; leaving the block stops it gracefully. A part that fails cancels the block."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            Database(settings.database_url.get_secret_value(), source=name, max_size=settings.database_pool_size)
        )
        kafka = settings.kafka()
        runtime = Runtime(
            name,
            settings,
            database,
            kafka,
            settings.clock(),
            Authenticator(
                database=database,
                jwks_url=settings.jwks_url,
                issuer=settings.jwt_issuer,
                audience=settings.jwt_audience,
            ),
        )
        runtime.producer = await stack.enter_async_context(kafka.producer())
        wiring = await wire(runtime)
        app = create_app(
            name, runtime=runtime, routers=wiring.routers, ready=[*_ready_checks(runtime, wiring), *wiring.ready]
        )
        server = _Server(
            uvicorn.Config(
                app,
                host=settings.http_host,
                port=settings.http_port,
                access_log=False,
                log_config=None,
                timeout_graceful_shutdown=REQUEST_SECONDS,
                timeout_keep_alive=75,
                backlog=2048,
            )
        )
        # Parts, not bare tasks: the group waits for all of its tasks, and a part never outlasts its seconds.
        seconds = settings.grace_seconds - CLOSING_SECONDS
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(part(server.serve(), name="http", seconds=seconds - REQUEST_SECONDS))
            background = [
                group.create_task(part(_endless(name, task), name=name, seconds=seconds))
                for name, task in _tasks(runtime, wiring).items()
            ]
            while not server.started:
                if serving.done():
                    raise RuntimeError(f"{name} cannot listen on {settings.http_host}:{settings.http_port}")
                await asyncio.sleep(0.005)
            port = server.servers[0].sockets[0].getsockname()[1]
            failure: Exception | None = None
            try:
                yield Running(runtime, app, f"http://{settings.http_host}:{port}", wiring)
            except Exception as raised:
                failure = raised
            finally:
                runtime.stopping.set()
                server.should_exit = True
                for task in background:
                    task.cancel()
                asyncio.get_running_loop().call_later(REQUEST_SECONDS + 1, serving.cancel)
        if failure is not None:
            raise failure


def _tasks(runtime: Runtime, wiring: Wiring) -> dict[str, Task]:
    """Everything that runs for as long as the service does, by name."""
    return {
        "relay": Relay(runtime.database, runtime.kafka).run,
        "prune": lambda: every(3600, lambda: _prune(runtime)),
        "lag": _lag_gauge(runtime, wiring),
        **{f"consumer {consumer.group}": consumer.run for consumer in wiring.consumers},
        **wiring.tasks,
    }


async def _endless(name: str, task: Task) -> None:
    await task()
    raise RuntimeError(f"{name} ended, which it never should")


async def every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Do `work` again and again, `seconds` of real time apart; a passing failure waits for the next time."""
    while True:
        try:
            await work()
        except (*TRANSIENT, KafkaError) as failure:
            if not to_retry(failure):
                raise
            log.warning("%s waits: %s: %s", getattr(work, "__qualname__", work), type(failure).__name__, failure)
        await asyncio.sleep(seconds)


async def _prune(runtime: Runtime) -> None:
    """Forget handled events and answered keys once nobody can send them again."""
    async with runtime.database.transaction() as session:
        await session.execute(
            "DELETE FROM inbox WHERE received_at < now() - make_interval(days => $1)", runtime.settings.inbox_days
        )
        await session.execute("DELETE FROM idempotency_keys WHERE created_at < now() - interval '7 days'")


def _ready_checks(runtime: Runtime, wiring: Wiring) -> list[ReadyCheck]:
    settings = runtime.settings

    async def outbox() -> str | None:
        try:
            async with asyncio.timeout(2), runtime.database.transaction() as session:
                age = await session.fetchval("SELECT extract(epoch FROM now() - min(created_at)) FROM outbox")
        except Exception as failure:
            return f"database: {type(failure).__name__}"
        if age is not None and age > settings.ready_outbox_seconds:
            return f"outbox: oldest row is {age:.0f} s old"
        return None

    async def consumers() -> str | None:
        for consumer in wiring.consumers:
            if not consumer.assigned.is_set():
                return f"consumer {consumer.group}: not in its group yet"
            lag = await consumer.lag()
            if lag > settings.ready_lag_limit:
                return f"consumer {consumer.group}: {lag} records behind"
        return None

    return [outbox, consumers]


def _lag_gauge(runtime: Runtime, wiring: Wiring) -> Task:
    """Register the gauge of the consumers' lag; returns the task that measures it."""
    latest: dict[str, int] = {}

    async def measure() -> None:
        for consumer in wiring.consumers:
            latest[consumer.group] = await consumer.lag()

    def observe(_: CallbackOptions) -> list[Observation]:
        return [Observation(lag, {"service": runtime.name, "group": group}) for group, lag in latest.items()]

    telemetry.meter.create_observable_gauge("plateau_consumer_lag", callbacks=[observe])
    return lambda: every(5, measure)
