"""A replay from start to end: its own local stack at the file's time, the driver, the report.

NotReplayed             the file or the choice from it cannot be played
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, Final
from zoneinfo import ZoneInfo

from common.errors import PlateauError
from common.events import CallAnswered, CallAssigned, CallOffered
from rich.console import Console
from rich.table import Table

from plateau.checker.figures import Outcome, settled
from plateau.client import Client
from plateau.floor.apply import apply
from plateau.floor.apply import plan as plan_of
from plateau.replay import report
from plateau.replay.calls import read_calls
from plateau.replay.driver import EXTERNAL, Driver, Progress
from plateau.replay.plan import NothingToPlay, Plan, plan, queue_id_of
from plateau.replay.policies import DEFAULT, under
from plateau.stack import Stack, running_stack
from plateau.state import State, Times

PROGRESS_SECONDS: Final = 10.0
SETTLE_SECONDS: Final = 60.0
SHOWN: Final = 20


class NotReplayed(PlateauError):
    """The file or the choice from it cannot be played."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for."""

    file: Path
    speed: float = 120.0
    day: date | None = None
    limit: int | None = None
    time_zone: str = "Asia/Jerusalem"
    seed: str = "replay"
    directory: Path = Path(".local")
    keep: bool = False
    policies: tuple[str, ...] = (DEFAULT,)
    """Of POLICIES: the same callers and agents are played under each in turn."""
    lead_in_seconds: float = 30.0
    """Real seconds for the services to start before the first thing of the plan is due."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a replay under one policy came to."""

    policy: str
    plan: Plan
    outcome: Outcome
    progress: Progress
    refusals: list[str]
    billing: dict[str, Any]
    summary: dict[str, Any]
    days: list[dict[str, Any]]
    """KPI's figures of each queue and day."""

    @property
    def right(self) -> bool:
        """Whether every promise was kept."""
        return bool(
            self.outcome.kpi_equals_recount
            and not self.outcome.report.violations
            and self.summary["billing_equals_replay"]
            and self.summary["calls_offered"] == len(self.plan.callers)
        )


class _ReplayState(State):
    """A state whose time is that of the file."""

    def __init__(self, directory: Path, start: datetime, lead_in_seconds: float) -> None:
        super().__init__(directory)
        self._start = start
        self._lead_in = timedelta(seconds=lead_in_seconds)

    def times(self, speed: float, time_zone: str) -> Times:
        """At the end of the lead-in it is `start`."""
        return Times(speed, self._start, datetime.now(UTC) + self._lead_in)


async def replay(options: Options, console: Console) -> list[Result]:
    """Play the file, once for each policy; every figure is printed to `console`, the last line is one line of JSON.

    Raises NotReplayed, InvalidCallFile or ServerFailed.
    """
    zone = ZoneInfo(options.time_zone)
    rows = await asyncio.to_thread(lambda: list(read_calls(options.file, zone)))
    try:
        made = plan(
            rows,
            time_zone=options.time_zone,
            seed=options.seed,
            day=options.day,
            limit=options.limit,
            speed=options.speed,
        )
    except NothingToPlay as nothing:
        raise NotReplayed(f"{options.file}: {nothing}") from None
    real = timedelta(seconds=len(options.policies) * (made.end - made.start).total_seconds() / options.speed)
    console.print(
        f"{options.file.name}: {len(made.callers)} calls offered to {len(made.floor.queues)} queues and "
        f"{len(made.floor.agents)} agents, from {made.start:%Y-%m-%d %H:%M} to {made.end:%Y-%m-%d %H:%M}; "
        f"left out: {made.in_menu} that hung up in the voice menu, {made.phantoms} phantoms. "
        f"At speed {options.speed:g} it takes about {str(real).partition('.')[0]}.",
        highlight=False,
    )
    results = []
    for policy in options.policies:
        if len(options.policies) > 1:
            console.rule(policy)
        results.append(await _replay_under(policy, under(made, policy), options, console))
    if len(results) > 1:
        _compare(results, made, console)
        console.print(json.dumps(_together(results)), highlight=False, soft_wrap=True, markup=False)
    else:
        console.print(json.dumps(results[0].summary), highlight=False, soft_wrap=True, markup=False)
    return results


async def _replay_under(policy: str, made: Plan, options: Options, console: Console) -> Result:
    async with _directory(options) as directory:
        state = _ReplayState(directory, made.start.astimezone(UTC), options.lead_in_seconds)
        async with (
            running_stack(state, speed=options.speed, time_zone=options.time_zone, tell=console.print) as stack,
            Client(stack.urls, stack.token, patience=None) as client,
        ):
            watch = asyncio.create_task(stack.watch())
            playing = asyncio.create_task(_play(stack, client, policy, made, options, console))
            try:
                await asyncio.wait([watch, playing], return_when=asyncio.FIRST_COMPLETED)
                if not playing.done():
                    watch.result()
                return await playing
            finally:
                watch.cancel()
                playing.cancel()
                await asyncio.gather(watch, playing, return_exceptions=True)


def _compare(results: Sequence[Result], made: Plan, console: Console) -> None:
    """The table of policies."""
    kinds = {queue.id: "privileged" if queue.priority else "others" for queue in made.floor.queues}
    console.print(
        report.policies(
            {result.policy: report.of_kpi(result.days, kinds) for result in results},
            report.of_file(made.past, lambda call: kinds[queue_id_of(call)]),
        )
    )


def _together(results: Sequence[Result]) -> dict[str, Any]:
    """What holds for all policies, and each one's own summary."""
    return {
        "kpi_equals_recount": all(result.summary["kpi_equals_recount"] for result in results),
        "violations": sum(result.summary["violations"] for result in results),
        "policies": {result.policy: result.summary for result in results},
    }


@contextlib.asynccontextmanager
async def _directory(options: Options) -> AsyncIterator[Path]:
    """A fresh one: a replay starts on an empty floor."""
    options.directory.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="replay-", dir=options.directory))
    try:
        yield directory
    finally:
        if not options.keep:
            shutil.rmtree(directory, ignore_errors=True)


async def _play(stack: Stack, client: Client, policy: str, made: Plan, options: Options, console: Console) -> Result:
    await apply(client, await plan_of(client, made.floor))
    clock = stack.clock
    driver = Driver(client, made, clock, options.seed)
    telling = asyncio.create_task(_tell(driver.progress, clock.now, made, console))
    try:
        await driver.run()
    finally:
        telling.cancel()
    console.print("all calls are over; waiting for everything to come through")
    outcome = await settled(stack.bootstrap_servers, client, timeout=SETTLE_SECONDS)
    billing = await client.post("billing", "/v1/replay-checks")
    window = {"from": made.start.isoformat(), "to": (made.end + timedelta(days=1)).isoformat()}
    result = Result(
        policy=policy,
        plan=made,
        outcome=outcome,
        progress=driver.progress,
        refusals=driver.refusals,
        billing=billing,
        summary={"policy": policy, **_summary(made, outcome, driver, billing, options)},
        days=[row async for row in client.pages("kpi", "/v1/intervals", step="1d", level="queue", **window)],
    )
    _print(result, options, console)
    return result


async def _tell(progress: Progress, now: Callable[[], datetime], made: Plan, console: Console) -> None:
    zone = made.start.tzinfo
    while True:
        await asyncio.sleep(PROGRESS_SECONDS)
        console.print(
            f"{now().astimezone(zone):%Y-%m-%d %H:%M:%S}  offered {progress.offered} of {len(made.callers)}, answered "
            f"{progress.answered}, hung up {progress.hung_up}, ended {progress.ended}; driver late by at most "
            f"{progress.worst_lag_seconds:.1f} simulated s",
            highlight=False,
        )


def _summary(made: Plan, outcome: Outcome, driver: Driver, billing: dict[str, Any], options: Options) -> dict[str, Any]:
    counts, progress = outcome.report.counts, driver.progress
    return {
        "kpi_equals_recount": outcome.kpi_equals_recount,
        "intervals_compared": len(outcome.recount.intervals),
        "calls_in_file": len(made.callers) + made.in_menu + made.phantoms,
        "calls_offered": counts["calls_offered"],
        "calls_answered": counts["calls_answered"],
        "calls_abandoned": counts["calls_abandoned"],
        "cases_closed": counts["cases_closed"],
        "reversals": counts["reversals"],
        "charges": outcome.report.net_charges,
        "amount": {currency: str(amount) for currency, amount in outcome.report.amounts.items()},
        "billing_equals_replay": bool(billing.get("equal")),
        "dead_letters": counts["dead_letters"],
        "violations": len(outcome.report.violations),
        "speed": options.speed,
        "driver_worst_lag_seconds": round(progress.worst_lag_seconds, 2),
        **_delays(made, outcome),
    }


def _delays(made: Plan, outcome: Outcome) -> dict[str, float]:
    """What the way over HTTP and Kafka cost, in simulated seconds: it is part of every wait that the figures show.

    `offer_delay_…`: from the arrival in the file to routing's `offered_at`; `accept_delay_…`: from the offer to an
    agent to the answer.
    """
    arrivals = {f"{EXTERNAL}{caller.number}": caller.arrival for caller in made.callers}
    offers: list[float] = []
    accepts: list[float] = []
    assigned: dict[str, datetime] = {}
    for record in outcome.log.events:
        match record.event:
            case CallOffered(external_id=external_id, offered_at=offered_at) if external_id in arrivals:
                offers.append((offered_at - arrivals[external_id]).total_seconds())
            case CallAssigned(call_id=call_id, assigned_at=assigned_at):
                assigned[call_id] = assigned_at
            case CallAnswered(call_id=call_id, answered_at=answered_at):
                accepts.append((answered_at - assigned[call_id]).total_seconds())
            case _:
                pass
    return {
        f"{name}_{what}_seconds": round(value, 2)
        for name, values in (("offer_delay", offers), ("accept_delay", accepts))
        for what, value in (("median", median(values or [0.0])), ("worst", max(values, default=0.0)))
    }


def _print(result: Result, options: Options, console: Console) -> None:
    made, outcome = result.plan, result.outcome
    zone = ZoneInfo(options.time_zone)
    console.print(
        report.table(
            report.of_kpi(result.days, made.queue_types),
            report.of_recount(outcome.recount, made.queue_types, zone),
            report.of_file(made.past),
        )
    )
    money = Table(title="cases and charges, from the event log")
    for column in ("closings", "reopenings", "charges", "reversals", "charges that stand", "amount"):
        money.add_column(column, justify="right")
    counts = outcome.report.counts
    money.add_row(
        *(str(counts[name]) for name in ("cases_closed", "cases_reopened", "charges", "reversals")),
        str(outcome.report.net_charges),
        ", ".join(f"{amount} {currency}" for currency, amount in sorted(outcome.report.amounts.items())) or "0",
    )
    console.print(money)
    summary = result.summary
    console.print(
        f"Of each wait, the way over HTTP and Kafka at speed {options.speed:g} is part, in simulated seconds (median, "
        f"worst): offer {summary['offer_delay_median_seconds']}, {summary['offer_delay_worst_seconds']}; acceptance "
        f"{summary['accept_delay_median_seconds']}, {summary['accept_delay_worst_seconds']}. This driver was late by "
        f"at most {summary['driver_worst_lag_seconds']}.",
        highlight=False,
    )
    for name, found in (
        ("violation", outcome.report.violations),
        ("KPI differs", [f"{one.row}: {one.name} is {one.found}, not {one.expected}" for one in outcome.differences]),
        ("dead letter", outcome.report.dead_letters),
        ("refused", result.refusals),
    ):
        for text in found[:SHOWN]:
            console.print(f"{name}: {text}", style="red", markup=False)
        if len(found) > SHOWN:
            console.print(f"{name}: and {len(found) - SHOWN} more", style="red")
