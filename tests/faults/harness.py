"""A running Plateau for fault tests: five service processes that are restarted when they die, load, duplicates, kills.

async with floor_under_load(directory, seed=1) as floor:
    …harm…
    outcome = await floor.rest()       → no call open, nothing lost, KPI equals the recount, the ledger equals a replay
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from common.kafka import Kafka
from common.testing import eventually
from common.topics import TOPICS
from faults.keeping import Expirer, Keeper
from plateau import floor as floors
from plateau.checker.figures import Outcome, settled
from plateau.client import SERVICES, Client
from plateau.floor.apply import apply, plan
from plateau.servers.process import free_port
from plateau.simulator import Inbound, Outbound, Simulator, Traffic, Work
from plateau.stack import ServiceProcess, Stack, running_stack
from plateau.state import State

HERE = Path(__file__).parent
SPEED = 10.0
LEADS = 400
PARTITIONS = [TopicPartition(topic.name, number) for topic in TOPICS for number in range(topic.partitions)]


def small_floor(directory: Path) -> floors.Floor:
    """The floor of `floor.yaml`, with a list of invented people for its campaign."""
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "floor.yaml", directory / "floor.yaml")
    rows = "".join(f"+3363998{number:04d},Lead {number}\n" for number in range(LEADS))
    (directory / "leads.csv").write_text(f"phone,name\n{rows}")
    return floors.load(directory / "floor.yaml")


def busy_traffic() -> Traffic:
    """Short calls, matters of several calls, many reopenings, impatient callers: everything happens often."""
    callers = Inbound(
        calls_per_hour=540,
        patience_seconds=90,
        talk_seconds=25,
        wrap_up_seconds=6,
        calls_per_matter=2.0,
        call_back_seconds=20,
        redial=0.4,
        return_after_closing=0.7,
        withheld=0.03,
    )
    return Traffic(
        queues={"complaints": callers, "information": callers},
        campaigns={"autumn": Outbound(talk_seconds=20, wrap_up_seconds=5, answer_seconds=4)},
        work=Work(reaction_seconds=2, miss=0.01, decline=0.01, break_every_seconds=900, break_seconds=30),
    )


class Duplicator:
    """Delivers every event a second time, word for word, later and in another order than the first time."""

    def __init__(self, kafka: Kafka, seed: int) -> None:
        self.repeated: Counter[str] = Counter()
        self._kafka = kafka
        self._random = random.Random(f"duplicates/{seed}")
        self._seen: set[tuple[bytes, bytes]] = set()
        self._consumer: AIOKafkaConsumer | None = None
        self._task = asyncio.create_task(self._run(), name="duplicator")
        self._positions: dict[TopicPartition, int] = {}
        """Up to where all records have been repeated."""

    async def _run(self) -> None:
        while True:
            try:
                async with self._kafka.producer() as producer:
                    consumer = self._kafka.consumer(None)
                    try:
                        await consumer.start()
                        consumer.assign(PARTITIONS)
                        for partition in PARTITIONS:
                            consumer.seek(partition, self._positions.get(partition, 0))
                        await self._copy(consumer, producer)
                    finally:
                        await consumer.stop()
            except (KafkaError, OSError):
                await asyncio.sleep(0.5)

    async def _copy(self, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer) -> None:
        while True:
            polled = await consumer.getmany(timeout_ms=200)
            fresh = []
            for batch in polled.values():
                for record in batch:
                    headers = dict(record.headers)
                    name = (headers.get("ce_source", b""), headers.get("ce_id", b""))
                    if name not in self._seen:
                        fresh.append((name, record))
            self._random.shuffle(fresh)
            sent = [
                await producer.send(
                    record.topic,
                    record.value,
                    key=record.key,
                    partition=record.partition,
                    headers=list(record.headers),
                )
                for _, record in fresh
            ]
            await asyncio.gather(*sent)
            for name, record in fresh:
                self._seen.add(name)
                self.repeated[record.topic] += 1
            for partition, batch in polled.items():
                self._positions[partition] = batch[-1].offset + 1

    async def catch_up(self) -> None:
        """Returns once all that is on the topics now has been repeated."""
        consumer = self._kafka.consumer(None)
        try:
            await consumer.start()
            ends = await consumer.end_offsets(PARTITIONS)
        finally:
            await self._kafka.leave(consumer)

        async def repeated() -> bool:
            return all(self._positions.get(partition, 0) >= end for partition, end in ends.items())

        await eventually(repeated)

    async def leave(self) -> None:
        """Its producer would wait for ever for a broker that a failed test has left dead, and hide why it failed."""
        self._task.cancel()
        await asyncio.wait({self._task}, timeout=10)


@dataclass(slots=True)
class Floor:
    """The running floor of one test, or of several in turn."""

    stack: Stack
    floor: floors.Floor
    seed: int
    keepers: dict[str, Keeper]
    exits: AsyncExitStack
    expire: bool
    """Whether the broker has to be told that a member is dead."""
    duplicator: Duplicator | None = None
    loads: int = 0
    seconds: list[Keeper] = field(default_factory=list)
    """Second replicas so far."""

    @property
    def kafka(self) -> Kafka:
        return Kafka(self.stack.bootstrap_servers)

    def random(self, what: str) -> random.Random:
        return random.Random(f"{what}/{self.seed}")

    @property
    def kills(self) -> dict[str, int]:
        return {service: keeper.kills for service, keeper in self.keepers.items()}

    @property
    def died(self) -> list[str]:
        """Processes that ended although they had been ready and were not killed."""
        return [end for keeper in (*self.keepers.values(), *self.seconds) for end in keeper.died]

    @property
    def not_started(self) -> int:
        """Starts that failed."""
        return sum(len(keeper.not_started) for keeper in (*self.keepers.values(), *self.seconds))

    def duplicate(self) -> Duplicator:
        """From now on (and from the start of the log) every event is delivered twice."""
        if self.duplicator is None:
            self.duplicator = Duplicator(self.kafka, self.seed)
            self.exits.push_async_callback(self.duplicator.leave)
        return self.duplicator

    @asynccontextmanager
    async def load(self, drain_seconds: float = 3.0) -> AsyncIterator[Simulator]:
        """Traffic while the block runs; then it is let run dry, with all services up."""
        self.loads += 1
        simulator = Simulator(
            self.stack.urls,
            self.stack.token,
            self.floor,
            self.stack.clock,
            f"{self.seed}/{self.loads}",
            busy_traffic(),
        )
        async with simulator.playing(), Client(self.stack.urls, self.stack.token, patience=None) as client:
            await client.post("dialer", "/v1/campaigns/autumn/start")
            yield simulator
            for keeper in self.keepers.values():
                await keeper.ready()
            await client.post("dialer", "/v1/campaigns/autumn/pause")
            drained = await simulator.drain(drain_seconds, grace=45)
            assert drained, "calls are still in progress"
            assert simulator.refusals == []

    @asynccontextmanager
    async def replicas(self, *services: str) -> AsyncIterator[list[Keeper]]:
        """A second process of each of these services for the length of the block, ready at its begin."""
        made = [self._replica(service) for service in services]
        try:
            await asyncio.gather(*(keeper.ready() for keeper in made))
            yield made
        finally:
            await asyncio.gather(*(keeper.leave() for keeper in made))

    def _replica(self, service: str) -> Keeper:
        first = self.stack.processes[service]
        process = ServiceProcess(service, self.stack.state, free_port(), first._own)
        process.log = first.log.with_name(f"{service}-{len(self.seconds) + 2}.log")
        keeper = Keeper(process, self.stack.bootstrap_servers, expire=self.expire)
        self.seconds.append(keeper)
        return keeper

    async def kill_at_random(self, times: int, *, shortest: float, longest: float) -> None:
        """Each service is killed `times` times, whatever it is doing: starting, rebalancing, in a transaction."""

        async def of(service: str, keeper: Keeper) -> None:
            draw = self.random(f"kills of {service}")
            while keeper.kills < times:
                await asyncio.sleep(draw.uniform(shortest, longest))
                keeper.kill()

        async with asyncio.TaskGroup() as group:
            for service, keeper in self.keepers.items():
                group.create_task(of(service, keeper))

    @asynccontextmanager
    async def moving(self, queue_id: str, *pool_ids: str, shortest: float, longest: float) -> AsyncIterator[list[str]]:
        """The queue moves to each of these pools in turn, again and again, for the length of the block. What is yielded
        grows with each move: the pool that it has moved to."""
        moves: list[str] = []

        async def move() -> None:
            draw = self.random(f"moves of {queue_id}")
            path = f"/v1/queues/{queue_id}"
            async with Client(self.stack.urls, self.stack.token, patience=None) as client:
                view = await client.get("routing", path)
                rules = {name: view[name] for name in view.keys() - {"id", "version", "override"}}
                for pool_id in cycle(pool_ids):
                    await asyncio.sleep(draw.uniform(shortest, longest))
                    await client.put("routing", path, {**rules, "pool_id": pool_id})
                    moves.append(pool_id)

        task = asyncio.create_task(move(), name=f"moves of {queue_id}")
        try:
            yield moves
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def busy(
        self, simulator: Simulator, *, answered: int, settled: int, called_back: int = 0, timeout: float = 240
    ) -> None:
        """Returns once this load has come to so many answered calls, settled matters and callers called back."""
        counters = simulator.counters
        try:
            async with asyncio.timeout(timeout):
                while (
                    counters.answered < answered
                    or counters.settled < settled
                    or counters.callbacks.total() < called_back
                ):
                    await asyncio.sleep(0.1)
        except TimeoutError:
            standing = "\n".join([await keeper.standing() for keeper in self.keepers.values()])
            raise AssertionError(f"after {timeout} s only {counters}\n{standing}") from None

    async def rest(self, timeout: float = 60) -> Outcome:
        """The outcome once everything has come through."""
        async with Client(self.stack.urls, self.stack.token, patience=60) as client:
            outcome = await settled(self.stack.bootstrap_servers, client, timeout=timeout)
            if self.duplicator is None:
                return outcome
            await self.duplicator.catch_up()
            return await settled(self.stack.bootstrap_servers, client, timeout=timeout)

    async def billing_replay(self) -> dict[str, Any]:
        """Billing's own check of its ledger against the log."""
        async with Client(self.stack.urls, self.stack.token, patience=30) as client:
            found: dict[str, Any] = await client.post("billing", "/v1/replay-checks")
            return found


@asynccontextmanager
async def running_floor(directory: Path, *, seed: int, speed: float = SPEED) -> AsyncIterator[Floor]:
    """The stack with the small floor applied; services are restarted when they die."""
    floor = small_floor(directory / "floor")
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(running_stack(State(directory / "state"), speed=speed))
        async with Client(stack.urls, stack.token) as client:
            await apply(client, await plan(client, floor))
        expire = "KAFKA_BOOTSTRAP_SERVERS" not in os.environ
        keepers = {
            service: Keeper(stack.processes[service], stack.bootstrap_servers, expire=expire) for service in SERVICES
        }
        for keeper in keepers.values():
            exits.push_async_callback(keeper.leave)
        if expire:
            exits.push_async_callback(Expirer(stack.bootstrap_servers).leave)
        yield Floor(stack, floor, seed, keepers, exits, expire)


def assert_kept(outcome: Outcome, replay: dict[str, Any], **at_least: int) -> None:
    """Every promise was kept, and there was something to keep."""
    report = outcome.report
    assert report.violations == []
    assert report.dead_letters == []
    assert outcome.differences == []
    assert outcome.recount.intervals, "nothing was compared"
    assert replay["equal"], replay
    assert replay["charges_found"] == report.counts["charges"] + report.counts["reversals"]
    assert report.net_charges == report.counts["cases_closed"] - report.counts["reversals"]
    short = {name: report.counts[name] for name, wanted in at_least.items() if report.counts[name] < wanted}
    assert not short, f"too little happened to prove anything: {short} of {at_least}"


def figures(outcome: Outcome, **more: Any) -> dict[str, Any]:
    """What a fault test prints."""
    shown = (
        "calls_offered", "calls_answered", "calls_abandoned", "callbacks_dialled", "cases_closed", "reversals",
        "charges", "attempts_ended", "events", "repeated",
    )  # fmt: skip
    return {
        **more,
        **{name: outcome.report.counts[name] for name in shown},
        "violations": len(outcome.report.violations),
        "kpi_equals_recount": outcome.kpi_equals_recount,
    }
