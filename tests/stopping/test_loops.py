"""Every loop that never ends of its own accord ends when it is told to in the moment in which it wakes.

Each is stopped 200 times: at ever other steps, just after what it waits for has come, with PostgreSQL and Kafka there
and with both gone, when every clean-up fails. Python 3.11's `asyncio.wait_for` loses such a cancellation each time.
"""

from __future__ import annotations

import ast
import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import billing.config
import billing.main
import common.service
import crm_bridge.config
import crm_bridge.main
import dialer.config
import dialer.main
import httpx
import kpi.config
import kpi.main
import plateau.replay.driver
import pytest
import routing.config
import routing.main
from common.clock import SystemClock
from common.config import ServiceSettings
from common.kafka import Kafka
from common.service import Runtime, Wire
from common.stops import frames, may_pass, place
from cryptography.fernet import Fernet
from dialer.api.dials import stream_dials
from dialer.domain.attempt import Patience
from dialer.service.state import State
from plateau.replay.driver import Driver, Progress
from plateau.replay.run import _tell
from plateau.simulator.facts import Facts
from plateau.simulator.streams import follow
from plateau.stack import Stack
from plateau.tally import Tally
from routing.api.streams import Streams
from routing.service.simulations import Simulations
from stopping.servers import Producer, Servers, TimelessLoop, Wakes

ROOT = Path(__file__).parents[2]
TIMES = 200
STEPS, AFTER, LATER = 40, 5, (0.0, 0.3, 1.7, 6.1)
"""Steps of the event loop before the wake-up, steps between it and the stop, and seconds before both."""
GRACE_SECONDS = 20.0
SIMULATION = UUID(int=1)

Loop = Callable[[], Awaitable[object]]


async def stopped(loop: Loop, servers: Servers, wakes: Wakes, *, dead: bool) -> tuple[set[str], list[str]]:
    """Start and stop the loop TIMES times; the functions that it was stopped in, and where it went on all the same."""
    entered: set[str] = set()
    hung: list[str] = []
    for number in range(TIMES):
        servers.dead = False
        before = asyncio.all_tasks()
        task = asyncio.ensure_future(loop())
        await asyncio.sleep(LATER[number // STEPS % len(LATER)])
        for _ in range(number % STEPS):
            await asyncio.sleep(0)
        wakes.wake()
        for _ in range(number % AFTER):
            await asyncio.sleep(0)
        assert not task.done(), f"ended before it was told to: {task}"
        entered |= {name_of(frame) for each in asyncio.all_tasks() - before for frame in frames(each)}
        servers.dead = dead
        task.cancel()
        await asyncio.wait({task}, timeout=GRACE_SECONDS)
        if not task.done():
            hung.append(place(task))
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=1)
        if not task.cancelled():
            failure = task.exception()
            assert failure is not None
            assert dead, f"ended with {failure!r}"
            assert may_pass(failure), f"ended with {failure!r}"
    return entered, hung


def name_of(frame: Any) -> str:
    """Module and name of the function, as the source has them."""
    return f"{frame.f_globals['__name__']}.{frame.f_code.co_qualname}".replace("<locals>.", "")


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """One endless loop, or several in each other. `made` is called within the event loop that it runs in."""

    loops: frozenset[str]
    made: Callable[[Servers, Wakes, pytest.MonkeyPatch], Awaitable[Loop]]


# The tasks of the services, as they wire them

SERVICES: dict[str, tuple[type[ServiceSettings], Wire]] = {
    "routing": (routing.config.Settings, routing.main.wire),
    "dialer": (dialer.config.Settings, dialer.main.wire),
    "crm-bridge": (crm_bridge.config.Settings, crm_bridge.main.wire),
    "billing": (billing.config.Settings, billing.main.wire),
    "kpi": (kpi.config.Settings, kpi.main.wire),
}
RELAY = {"common.relay.Relay.run", "common.relay.Relay._serve"}
CONSUMER = {"common.consumer.Consumer.run", "common.consumer.Consumer._consume"}
EVERY = {"common.service.every"}
STEADILY = {"dialer.service.tasks._steadily"}
TASKS: dict[str, dict[str, set[str]]] = {
    "routing": {
        "consumer routing": CONSUMER,
        "consumer routing-contacts": CONSUMER,
        "timers": {"routing.consumer.Owner.run_timers"},
        "streams": {"routing.api.streams.Streams.run", "routing.api.streams.Streams._read"},
        "simulations": {"routing.service.simulations.Simulations.run"},
        "forget": EVERY,
    },
    "dialer": {
        "consumer dialer": CONSUMER,
        "pacing": STEADILY,
        "hand-over": {"dialer.service.hand_over.HandOvers.run"},
        "listen": STEADILY | {"dialer.service.tasks.listen_for_ever.step"},
        "prune dials and numbers": EVERY,
    },
    "crm-bridge": {
        "consumer crm-bridge": CONSUMER,
        "webhooks": {"crm_bridge.service.courier.Courier.run"},
    },
    "billing": {"consumer billing": CONSUMER, "figures": EVERY},
    "kpi": {"consumer kpi": CONSUMER, "gauges": EVERY, "forget": EVERY},
}
for tasks in TASKS.values():
    tasks |= {"relay": RELAY, "prune": EVERY, "lag": EVERY}


async def wired(service: str, servers: Servers, wakes: Wakes, monkeypatch: pytest.MonkeyPatch) -> dict[str, Loop]:
    """All tasks of a service, by name."""
    monkeypatch.setattr(crm_bridge.main, "open_sender", lambda **_: _opened())
    monkeypatch.setattr(dialer.main, "Routing", lambda *_: _opened())
    settings_class, wire = SERVICES[service]
    more = {"webhook_secret_key": Fernet.generate_key().decode()} if service == "crm-bridge" else {}
    given: dict[str, Any] = {
        "database_url": "postgresql://nobody@nowhere/nothing",
        "kafka_bootstrap_servers": "nowhere:9",
        "jwks_url": "file:///nowhere",
        "jwt_issuer": "nobody",
        **more,
    }
    settings = settings_class(**given)
    nobody: Any = None
    runtime = Runtime(service, settings, servers.database(service), settings.kafka(), SystemClock(), nobody)
    runtime.producer = Producer(servers)
    wiring = await wire(runtime)
    if service == "dialer":
        monkeypatch.setattr(wakes, "wake", runtime.state.routing.set)
    return dict(common.service._tasks(runtime, wiring))


@asynccontextmanager
async def _opened() -> AsyncIterator[None]:
    yield


def task_of(service: str, name: str) -> Case:
    async def made(servers: Servers, wakes: Wakes, monkeypatch: pytest.MonkeyPatch) -> Loop:
        return (await wired(service, servers, wakes, monkeypatch))[name]

    return Case(frozenset(TASKS[service][name]), made)


# Loops in open streams, and those of the tools


async def retrying(servers: Servers, wakes: Wakes, monkeypatch: pytest.MonkeyPatch) -> Loop:
    consumer = (await wired("kpi", servers, wakes, monkeypatch))["consumer kpi"].__self__  # type: ignore[attr-defined]

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ConnectionResetError

    return lambda: consumer._retrying(fails)


async def dial_stream(servers: Servers, wakes: Wakes, monkeypatch: pytest.MonkeyPatch) -> Loop:
    never = SimpleNamespace(is_set=lambda: False)
    runtime = SimpleNamespace(database=servers.database("dialer"), stopping=never)
    request: Any = SimpleNamespace(app=SimpleNamespace(state=SimpleNamespace(runtime=runtime)))
    shared = State(Patience(timedelta(), timedelta()), 0)
    caller: Any = SimpleNamespace(scope="*")
    monkeypatch.setattr(wakes, "wake", shared.dials.set)

    async def read() -> None:
        async for _ in stream_dials(request, caller, SystemClock(), shared):
            pass

    return read


async def call_stream(servers: Servers, wakes: Wakes, monkeypatch: pytest.MonkeyPatch) -> Loop:
    streams = Streams(None, backlog=1000, heartbeat_seconds=1.0)  # type: ignore[arg-type]

    async def read() -> None:
        with streams.reader() as reader:
            monkeypatch.setattr(wakes, "wake", lambda: reader.offer(None))  # type: ignore[arg-type]
            # What is offered is shown as nothing, and does not end the stream.
            monkeypatch.setattr(reader, "take", lambda: _taken(reader))
            async for _ in streams.lines(reader, lambda seen: []):
                pass

    return read


async def _taken(reader: Any) -> Any:
    await reader._queue.get()
    return "seen"


async def simulating(servers: Servers, wakes: Wakes, monkeypatch: pytest.MonkeyPatch) -> Loop:
    """Its process never ends and says how far it is at every look."""
    pipe = SimpleNamespace(poll=lambda _: True, recv=lambda: 0.5, send=lambda _: None, close=lambda: None)
    process = SimpleNamespace(start=lambda: None, kill=lambda: None)
    spawned = SimpleNamespace(Pipe=lambda: (pipe, pipe), Process=lambda **_: process)
    monkeypatch.setattr("routing.service.simulations.multiprocessing.get_context", lambda _: spawned)
    simulations = Simulations(servers.database("routing"), None, None)  # type: ignore[arg-type]
    task: Any = None
    return lambda: simulations._simulate(SIMULATION, task, [])


class Client:
    """The services' APIs, which have nothing to tell."""

    repeated = 0
    urls: dict[str, str] = dict.fromkeys(("routing", "dialer"), "http://nowhere")

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self.http = self

    def headers(self) -> dict[str, str]:
        return {}

    async def post(self, *_: object) -> dict[str, Any]:
        await self._servers.answer()
        return {}

    async def pages(self, *_: object, **__: object) -> AsyncIterator[Any]:
        await self._servers.answer()
        items: list[Any] = []
        for item in items:
            yield item

    def stream(self, *_: object, **__: object) -> Any:
        raise httpx.ConnectError("nobody is there")


async def facts(servers: Servers, wakes: Wakes, monkeypatch: pytest.MonkeyPatch) -> Loop:
    sent = Facts(Client(servers))  # type: ignore[arg-type]
    monkeypatch.setattr(wakes, "wake", lambda: sent.add("offered"))
    return sent.run


async def following(servers: Servers, wakes: Wakes, monkeypatch: pytest.MonkeyPatch) -> Loop:
    async def connected() -> None:
        raise AssertionError("nobody is there")

    client: Any = Client(servers)
    return lambda: follow(client, "routing", "/v1", on_event=lambda *_: None, on_connected=connected)


async def driving(servers: Servers, wakes: Wakes, monkeypatch: pytest.MonkeyPatch) -> Loop:
    """A replay that waits for its one call to end."""

    async def connected(*_: object, on_connected: Callable[[], Awaitable[None]], **__: object) -> None:
        await on_connected()
        await asyncio.Event().wait()

    monkeypatch.setattr(plateau.replay.driver, "follow", connected)
    plan: Any = SimpleNamespace(callers=[], shifts=[])

    async def run() -> None:
        driver = Driver(Client(servers), plan, SystemClock(), "seed")  # type: ignore[arg-type]
        driver._calls = {"call": None}  # type: ignore[dict-item]
        await driver.run()

    return run


async def tallying(servers: Servers, wakes: Wakes, monkeypatch: pytest.MonkeyPatch) -> Loop:
    tally = Tally(Kafka("nowhere:9"))
    await tally.open()
    return tally.follow


async def timing(servers: Servers, wakes: Wakes, monkeypatch: pytest.MonkeyPatch) -> Loop:
    state: Any = SimpleNamespace(note_time=lambda _: None)
    times: Any = None
    return Stack(state, times, "", {}).keep_time


async def telling(servers: Servers, wakes: Wakes, monkeypatch: pytest.MonkeyPatch) -> Loop:
    made: Any = SimpleNamespace(start=datetime.now(UTC), callers=[])
    console: Any = SimpleNamespace(print=lambda *_, **__: None)
    return lambda: _tell(Progress(), lambda: datetime.now(UTC), made, console)


CASES: dict[str, Case] = {
    **{f"{service}: {name}": task_of(service, name) for service, named in TASKS.items() for name in named},
    "a batch that is tried again": Case(frozenset({"common.consumer.Consumer._retrying"}), retrying),
    "stream of dials": Case(frozenset({"dialer.api.dials.stream_dials"}), dial_stream),
    "stream of calls": Case(frozenset({"routing.api.streams.Streams.lines"}), call_stream),
    "simulation": Case(frozenset({"routing.service.simulations.Simulations._simulate"}), simulating),
    "facts of a simulated PBX": Case(frozenset({"plateau.simulator.facts.Facts.run"}), facts),
    "client of a stream": Case(frozenset({"plateau.simulator.streams.follow"}), following),
    "replay": Case(
        frozenset({"plateau.replay.driver.Driver._play", "plateau.replay.driver.Driver._reconcile"}), driving
    ),
    "tally": Case(frozenset({"plateau.tally.Tally.follow"}), tallying),
    "simulated time": Case(frozenset({"plateau.stack.Stack.keep_time"}), timing),
    "progress of a replay": Case(frozenset({"plateau.replay.run._tell"}), telling),
}


@pytest.fixture
def timeless() -> Iterator[TimelessLoop]:
    loop = TimelessLoop()
    yield loop
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


@pytest.mark.parametrize("dead", [False, True], ids=["servers there", "servers gone"])
@pytest.mark.parametrize("name", CASES)
def test_every_loop_ends_when_it_is_stopped_in_the_moment_of_its_wake_up(
    name: str, dead: bool, timeless: TimelessLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers, wakes = Servers(), Wakes()

    async def go() -> tuple[set[str], list[str]]:
        return await stopped(await CASES[name].made(servers, wakes, monkeypatch), servers, wakes, dead=dead)

    with servers.installed(monkeypatch), wakes.recorded(monkeypatch):
        entered, hung = timeless.run_until_complete(go())
    assert not hung, f"{len(hung)} of {TIMES} went on, the first at {hung[0]}"
    assert CASES[name].loops <= entered, "the case does not run the loops that it is there for"


@pytest.mark.parametrize("service", SERVICES)
def test_every_task_of_a_service_is_a_case(
    service: str, timeless: TimelessLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = Servers()
    with servers.installed(monkeypatch):
        tasks = timeless.run_until_complete(wired(service, servers, Wakes(), monkeypatch))
    assert set(tasks) == set(TASKS[service])


ENDING = {
    "billing.service.rating.charge_backlog": "with the backlog",
    "billing.store.case_log._fold": "with the log",
    "common.bodies.Body._take": "with the body, or its seconds",
    "common.idempotency.Once.answer": "with its seconds",
    "common.service.started": "once the server listens or has failed",
    "common.stops._end": "with its seconds",
    "common.testing.eventually": "with its seconds",
    "crm_bridge.service.courier.Courier.deliver_due": "with what is due; for tests",
    "dialer.service.tasks.tick": "with what is overdue",
    "kpi.recount.fetch_rows": "with the rows",
    "kpi.recount.recount": "with the log",
    "kpi.store.series.read": "with its window",
    "plateau.checker.figures.settled": "with its seconds",
    "plateau.checker.log.read": "with the log",
    "plateau.client.Client.pages": "with the pages",
    "plateau.client.Client.request": "with an answer, or its patience",
    "plateau.run._settle": "with its seconds",
    "plateau.servers.postgresql.PostgresServer._wait_for_lock": "with its seconds",
    "plateau.servers.process.Server._wait_until_it_answers": "with its seconds",
    "plateau.servers.process.kill_tree": "with the processes",
    "plateau.simulator.dials.Dials.adopt": "with the pages",
    "plateau.simulator.simulator.Simulator.drain": "with its seconds",
    "plateau.simulator.simulator._until": "with its seconds",
    "plateau.simulator.world.Tasks.stop": "with the tasks, which it cancels",
    "plateau.tally.Tally.catch_up": "with the log",
    "routing.service.recorded_inputs._first": "with its search",
    "routing.service.recorded_inputs._records": "with the next records, which are there",
    "routing.service.recorded_inputs.recorded": "with the log",
}
"""Loops that wait and end of their own accord, and with what."""

ASLEEP = {
    "plateau.run._refresh",
    "plateau.run._refresh_lag",
    "plateau.run._show",
    "plateau.simulator.desks.Desks._rests",
    "plateau.simulator.simulator.Simulator._reconcile",
}
"""Loops of the simulator and the live view that wait for time and for answers alone."""


def loops_of_the_source() -> set[str]:
    """Every function with a `while` in which something is awaited."""
    found: set[str] = set()

    def walk(node: ast.AST, name: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                walk(child, f"{name}.{child.name}")
                continue
            if isinstance(child, ast.While) and any(
                isinstance(inner, ast.Await | ast.AsyncFor | ast.AsyncWith) for inner in ast.walk(child)
            ):
                found.add(name)
            walk(child, name)

    for source in (*ROOT.glob("libs/*/src"), *ROOT.glob("services/*/src"), ROOT / "deploy" / "local" / "src"):
        for path in source.rglob("*.py"):
            module = ".".join(path.relative_to(source).with_suffix("").parts)
            walk(ast.parse(path.read_text()), module)
    return found


def test_every_loop_of_the_source_is_a_case_or_ends_by_itself() -> None:
    covered = {loop for case in CASES.values() for loop in case.loops}
    assert not covered & (ENDING.keys() | ASLEEP)
    assert loops_of_the_source() == covered | ENDING.keys() | ASLEEP
