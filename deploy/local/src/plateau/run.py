"""`plateau run`: the stack, the floor, the simulator, the live view; a summary at the end."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiokafka.errors import KafkaError
from common.errors import PlateauError
from common.kafka import Kafka
from common.stops import Interrupted, Stop
from common.stops import run as run_process
from rich.console import Console
from rich.live import Live

from plateau import floor as floors
from plateau import view
from plateau.checker import check
from plateau.client import Client, Refused, Unreachable
from plateau.floor.apply import apply, plan
from plateau.remedies import remedy
from plateau.simulator import Counters, Simulator, Traffic
from plateau.stack import DEFAULT_SPEED, DIRECTORY, Stack, running_stack
from plateau.state import State
from plateau.tally import Tally, ends, lag

SAMPLE: Final = "sample.yaml"
FINISH_SECONDS: Final = 12.0
"""Real seconds in which calls in progress may end by themselves at the end of a run."""
SETTLE_SECONDS: Final = 60.0
GRACE_SECONDS: Final = 180.0
"""Real seconds in which a run ends that is told to: agents log out, the services handle what is left, all stop."""
QUIET_SIMULATED_SECONDS: Final = 120.0
"""Longer than any timer of a call or a dial that is left when everybody has gone."""
LINE_SECONDS: Final = 5.0
VIOLATIONS_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for. `seconds` are real ones; None: until Ctrl-C. `plays`: with the simulator."""

    floor: Path
    traffic: Path | None = None
    plays: bool = True
    seconds: float | None = None
    speed: float = DEFAULT_SPEED
    directory: Path = DIRECTORY
    seed: int = 1


async def run(options: Options, console: Console, stop: Stop) -> int:
    """The whole run; the exit status: 0, or 1 when an invariant was violated. Raises ServerFailed and floor errors.

    The first Ctrl-C during the traffic ends that and goes on to the summary; any other signal stops the stack.
    """
    floor = floors.load(options.floor)
    traffic = _traffic(options, floor)
    state = State(options.directory)
    console.print(f"state, logs and data: {state.directory}", highlight=False)
    zone = floor.tenants[0].time_zone if floor.tenants else "Europe/Paris"
    async with (
        running_stack(state, speed=options.speed, time_zone=zone, tell=console.print) as stack,
        asyncio.TaskGroup() as group,
    ):
        watch = group.create_task(stack.watch())
        keep = group.create_task(stack.keep_time())
        try:
            await _apply(stack, floor, console)
            if not options.plays:
                return await _serve(stack, options, console, stop)
            return await _play(stack, floor, traffic, options, console, stop)
        finally:
            watch.cancel()
            keep.cancel()


def _traffic(options: Options, floor: floors.Floor) -> Traffic:
    """The traffic file asked for; else the one beside the floor file; else traffic that suits the floor."""
    beside = options.floor.with_suffix(".traffic.yaml")
    path = options.traffic or (beside if beside.exists() else None)
    return Traffic.for_floor(floor) if path is None else Traffic.load(path)


async def _apply(stack: Stack, floor: floors.Floor, console: Console) -> None:
    async with Client(stack.urls, stack.token) as client:
        made = await plan(client, floor)
        changes = await apply(client, made)
    console.print(f"floor applied: {len(changes)} changes, {made.count('unchanged')} unchanged", highlight=False)


async def _serve(stack: Stack, options: Options, console: Console, stop: Stop) -> int:
    """The services alone, for whoever calls them."""
    kafka = Kafka(stack.bootstrap_servers)
    tally = Tally(kafka)
    await tally.open()
    console.print("no traffic: the APIs are yours, `plateau token` mints tokens for them", highlight=False)
    try:
        async with _shown(stack, Counters(), tally, kafka, console):
            await _until_asked(stop, options.seconds)
    finally:
        await tally.close()
    return 0


async def _until_asked(stop: Stop, seconds: float | None) -> None:
    """Until the time is over or Ctrl-C asks for the end."""
    stop.gentle = {signal.SIGINT}
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.asked.wait()
    stop.gentle = ()


async def _play(
    stack: Stack, floor: floors.Floor, traffic: Traffic, options: Options, console: Console, stop: Stop
) -> int:
    kafka = Kafka(stack.bootstrap_servers)
    tally = Tally(kafka)
    await tally.open()
    seed = f"{options.seed}/{stack.state.next_run()}"
    simulator = Simulator(stack.urls, stack.token, floor, stack.clock, seed, traffic)
    try:
        async with simulator.playing(), _shown(stack, simulator.counters, tally, kafka, console):
            await _until_asked(stop, options.seconds)
            console.print("no new calls; those in progress go to their end", highlight=False)
            finish = min(FINISH_SECONDS, (options.seconds or 0) / 2)
            drained = await simulator.drain(0 if stop.asked.is_set() else finish)
        console.print("waiting for the services to handle what is left", highlight=False)
        settled = await _settle(kafka, max(3.0, QUIET_SIMULATED_SECONDS / options.speed))
        await tally.catch_up()
    finally:
        await tally.close()
    if not drained or not settled:
        console.print("some calls were still in progress: they go on with the next run", style="yellow")
    report = await check(stack.bootstrap_servers, complete=drained and settled)
    for violation in report.violations[:VIOLATIONS_SHOWN]:
        console.print(f"violation: {violation}", style="red", highlight=False)
    for refusal in simulator.refusals[:VIOLATIONS_SHOWN]:
        console.print(f"refused fact: {refusal}", style="yellow", highlight=False)
    console.print(view.summary(tally.counts, tally.amounts, simulator.counters, report.violations))
    amounts = tally.amounts
    amount = str(next(iter(amounts.values()))) if len(amounts) == 1 else view.money(amounts)
    last_line: dict[str, Any] = {
        name: tally.counts[name] for name in ("calls_offered", "calls_answered", "cases_closed", "charges")
    }
    print(json.dumps({**last_line, "amount": amount, "invariant_violations": len(report.violations)}), flush=True)
    return 1 if report.violations else 0


async def _settle(kafka: Kafka, quiet_seconds: float) -> bool:
    """Wait until every consumer has read everything and nothing new was published for so long; whether that came."""
    loop = asyncio.get_running_loop()
    with suppress(TimeoutError):
        async with asyncio.timeout(SETTLE_SECONDS):
            before, since = await ends(kafka), loop.time()
            while True:
                await asyncio.sleep(0.5)
                behind = await lag(kafka)
                now = await ends(kafka)
                if now != before or any(behind.values()):
                    before, since = now, loop.time()
                elif loop.time() - since >= quiet_seconds:
                    return True
    return False


@asynccontextmanager
async def _shown(stack: Stack, counters: Counters, tally: Tally, kafka: Kafka, console: Console) -> AsyncIterator[None]:
    """The live view while the block runs."""
    figures = view.Figures()
    async with Client(stack.urls, stack.token, patience=1.0) as client, asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(tally.follow()),
            group.create_task(_refresh(figures, stack, client, tally)),
            group.create_task(_refresh_lag(figures, kafka)),
            group.create_task(_show(figures, stack, counters, console)),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _refresh(figures: view.Figures, stack: Stack, client: Client, tally: Tally) -> None:
    while True:
        figures.simulated = f"{stack.clock.now():%Y-%m-%d %H:%M:%S} UTC"
        figures.counts, figures.amounts = tally.counts, tally.amounts
        try:
            figures.live = await client.get("kpi", "/v1/live")
            figures.campaigns = [one async for one in client.pages("dialer", "/v1/campaigns")]
            figures.trouble = ""
        except (Unreachable, Refused) as failure:
            figures.trouble = str(failure)
        await asyncio.sleep(1)


async def _refresh_lag(figures: view.Figures, kafka: Kafka) -> None:
    while True:
        try:
            figures.lag = await lag(kafka)
        except KafkaError as failure:
            figures.trouble = f"the broker does not tell its lag: {type(failure).__name__}"
        await asyncio.sleep(3)


async def _show(figures: view.Figures, stack: Stack, counters: Counters, console: Console) -> None:
    if console.is_terminal:
        with Live(console=console, screen=False, auto_refresh=False, transient=True) as live:
            while True:
                live.update(view.screen(figures, counters, stack.urls), refresh=True)
                await asyncio.sleep(0.5)
    for service, url in stack.urls.items():
        console.print(f"{service}: {url}/docs", highlight=False)
    loop = asyncio.get_running_loop()
    begin = loop.time()
    while True:
        await asyncio.sleep(LINE_SECONDS)
        console.print(view.line(figures, loop.time() - begin), highlight=False, soft_wrap=True)


def main(options: Options) -> int:
    """Run to the end; errors are told on stderr. The exit status."""
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        return run_process(lambda stop: run(options, Console(), stop), grace_seconds=GRACE_SECONDS)
    except Interrupted as interrupted:
        errors.print(str(interrupted))
        return interrupted.status
    except (Exception, BaseExceptionGroup) as raised:
        failures = leaves(raised)
        remedies = [remedy(failure, options.directory) for failure in failures]
        if not all(isinstance(failure, PlateauError) or what for failure, what in zip(failures, remedies, strict=True)):
            raise
        for failure in failures:
            errors.print(f"error: {failure}", style="red", markup=False)
        for what in dict.fromkeys(filter(None, remedies)):
            errors.print(f"remedy: {what}", style="red", markup=False)
        return 1


def leaves(raised: BaseException) -> list[BaseException]:
    """The exceptions of a group of groups, without what was only cancelled because of them."""
    if isinstance(raised, BaseExceptionGroup):
        return [leaf for one in raised.exceptions for leaf in leaves(one)]
    return [] if isinstance(raised, asyncio.CancelledError) else [raised]
