"""How many events a second KPI's handler counts, and how long one look at the live state takes.

    python tests/bench/bench_kpi.py [calls]

Real PostgreSQL (default durability), one process, batches of 1,000 events as the consumer polls them, each committed.
Four tenants with ten queues each, 100 agents; the events of the calls are mixed as they would be over four hours. The
last line is JSON: `kpi_events_per_second` (goal: at least 5,000), `kpi_fold_events_per_second`, `kpi_live_ms`; over
their floors `kpi_events_vs_insert` (as many rows inserted, batch by batch in turns), `kpi_fold_vs_loop` and
`kpi_live_vs_round_trip`.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import uvloop
from common.clock import ManualClock
from common.consumer import Delivery
from common.database import Database
from common.events import Event
from common.ids import new_id
from common.migrations import provision, upgrade
from floors import Insert, Loop, RoundTrip, median, ratio
from kpi.consumer import handle
from kpi.domain.increments import Increments
from kpi.service import live
from plateau.servers import postgres

sys.path.insert(0, str(Path(__file__).parents[1] / "kpi"))
stories: Any = importlib.import_module("stories")

NINE = datetime(2026, 11, 21, 9, tzinfo=UTC)
HOURS = 4
BATCH = 1000
LOOKS = 40


def made_up(calls: int) -> list[Event]:
    """Events of so many calls and their agents, in the order of time."""
    chance = random.Random(42)
    events: list[Event] = []
    for number in range(calls):
        tenant = f"tenant-{chance.randrange(4)}"
        queue = f"{tenant}-queue-{chance.randrange(10)}"
        at = NINE + timedelta(seconds=chance.uniform(0, HOURS * 3600))
        story = stories.Story(f"c-{number}", at=at, tenant=tenant, queue=queue)
        if chance.random() < 0.1:
            story.missed(10)
        if chance.random() < 0.1:
            story.abandoned(chance.expovariate(1 / 30))
        else:
            story.answered(chance.expovariate(1 / 15)).ended(chance.expovariate(1 / 180))
            story.wrapped_up(chance.expovariate(1 / 30))
        events += story.events
    for number in range(100):
        day = stories.Day(f"a-{number}", at=NINE)
        for _ in range(calls // 25):
            day.becomes(chance.choice(["available", "busy", "wrap_up"]), chance.expovariate(1 / 60))
        events += day.events
    return sorted(events, key=_moment)


def _moment(event: Any) -> datetime:
    moment: datetime = event.occurred_at
    return moment


def delivered(events: Sequence[Event]) -> list[Delivery]:
    return [
        Delivery(event.TOPIC, 0, offset, new_id(), "bench", event.TYPE, event, NINE, None)
        for offset, event in enumerate(events)
    ]


def fold(events: Sequence[Event], loop: Loop) -> float:
    """Events a second, without a database."""
    took = 0.0
    for at in range(0, len(events), BATCH):
        if at % (10 * BATCH) == 0:
            loop.sample()
        began = time.perf_counter()
        increments = Increments()
        for event in events[at : at + BATCH]:
            increments.add(event)
        increments.intervals()
        took += time.perf_counter() - began
    return len(events) / took


async def main(folder: Path, calls: int) -> None:
    events = made_up(calls)
    loop = Loop()
    fold_rate = fold(events, loop)
    clock = ManualClock(NINE + timedelta(hours=HOURS))
    async with postgres(folder / "postgres") as server:
        url = provision(server.url, "kpi", "secret")
        await asyncio.to_thread(upgrade, "kpi", url)
        connection = await asyncpg.connect(url)
        insert, round_trip = Insert(connection), RoundTrip(connection)
        await insert.prepare()
        async with Database(url, source="kpi") as database:
            took = 0.0
            for at in range(0, len(events), BATCH):
                batch = delivered(events[at : at + BATCH])
                await insert.sample(len(batch))
                began = time.perf_counter()
                async with database.transaction() as session:
                    await handle(session, batch, clock)
                took += time.perf_counter() - began
            rate = len(events) / took
            looks = []
            for _ in range(LOOKS):
                await round_trip.sample()
                began = time.perf_counter()
                async with database.transaction() as session:
                    await live.look(session, clock.now())
                looks.append(time.perf_counter() - began)
        await connection.close()
    look = median(looks)
    print(f"fold alone               {fold_rate:10,.0f} events/s   ({len(events):,} events of {calls:,} calls)")
    print(f"handler with PostgreSQL  {rate:10,.0f} events/s   (goal: 5,000)")
    print(f"one look at the live state {look * 1000:8.1f} ms (median)")
    figures = {
        "kpi_events_per_second": round(rate),
        "kpi_events_vs_insert": ratio(rate, insert.per_second),
        "kpi_fold_events_per_second": round(fold_rate),
        "kpi_fold_vs_loop": ratio(fold_rate, loop.per_second),
        "kpi_live_ms": round(look * 1000, 1),
        "kpi_live_vs_round_trip": ratio(look, round_trip.seconds),
    }
    print(json.dumps(figures | insert.figures() | loop.figures() | round_trip.figures()))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        uvloop.run(main(Path(name), int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))
