"""How many events a second KPI's handler counts, and how long one look at the live state takes.

    python tests/bench/bench_kpi.py [calls]

Real PostgreSQL (default durability), one process, batches of 1,000 events as the consumer polls them, each committed.
Four tenants with ten queues each, 100 agents; the events of the calls are mixed as they would be over four hours. The
last line is JSON: `kpi_events_per_second` (goal: at least 5,000), `kpi_fold_events_per_second`, `kpi_live_ms`.
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

import uvloop
from common.clock import ManualClock
from common.consumer import Delivery
from common.database import Database
from common.events import Event
from common.ids import new_id
from common.migrations import provision, upgrade
from kpi.consumer import handle
from kpi.domain.increments import Increments
from kpi.service import live
from plateau.servers import postgres

sys.path.insert(0, str(Path(__file__).parents[1] / "kpi"))
stories: Any = importlib.import_module("stories")

NINE = datetime(2026, 11, 21, 9, tzinfo=UTC)
HOURS = 4
BATCH = 1000


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


async def main(calls: int) -> None:
    events = made_up(calls)
    began = time.perf_counter()
    for at in range(0, len(events), BATCH):
        increments = Increments()
        for event in events[at : at + BATCH]:
            increments.add(event)
        increments.intervals()
    fold_rate = len(events) / (time.perf_counter() - began)
    clock = ManualClock(NINE + timedelta(hours=HOURS))
    async with postgres(Path(tempfile.mkdtemp()) / "postgres") as server:
        url = provision(server.url, "kpi", "secret")
        await asyncio.to_thread(upgrade, "kpi", url)
        async with Database(url, source="kpi") as database:
            batches = [delivered(events[at : at + BATCH]) for at in range(0, len(events), BATCH)]
            began = time.perf_counter()
            for batch in batches:
                async with database.transaction() as session:
                    await handle(session, batch, clock)
            rate = len(events) / (time.perf_counter() - began)
            looks = []
            for _ in range(20):
                began = time.perf_counter()
                async with database.transaction() as session:
                    await live.look(session, clock.now())
                looks.append(time.perf_counter() - began)
    print(f"fold alone               {fold_rate:10,.0f} events/s   ({len(events):,} events of {calls:,} calls)")
    print(f"handler with PostgreSQL  {rate:10,.0f} events/s   (goal: 5,000)")
    print(f"one look at the live state {sorted(looks)[10] * 1000:8.1f} ms (median)")
    figures = {
        "kpi_events_per_second": round(rate),
        "kpi_fold_events_per_second": round(fold_rate),
        "kpi_live_ms": round(sorted(looks)[10] * 1000, 1),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))
