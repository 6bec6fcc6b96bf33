"""The rows of hours and days on a real PostgreSQL: every call is in the row that holds it, with its wait."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from common.clock import ManualClock
from common.database import Database
from kpi.consumer import handle
from kpi.domain.counts import CallCounts
from kpi.domain.figures import DEFAULT_SERVICE_LEVEL, evaluate
from kpi.domain.sketch import bucket_of
from kpi.domain.steps import Step, end_of, start_of
from kpi.store import series, tenants
from kpi.store.series import SteppedRow, Window
from kpi.store.tenants import Tenant

from .stories import deliveries, whole
from .zones import distinct_transitions

Opened = Callable[[str], Awaitable[Database]]

ODD = ("Asia/Kolkata", "Asia/Kathmandu", "Atlantic/Azores", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Beirut")


@dataclass(frozen=True, slots=True)
class Placed:
    """A call of a tenant with a zone, and how long it waited."""

    tenant_id: str
    zone: ZoneInfo
    at: datetime
    wait: float


async def keep(database: Database, placed: list[Placed]) -> None:
    """Declare the tenants and count the calls."""
    events = [
        event
        for number, one in enumerate(placed)
        for event in whole(f"c-{number}", wait=one.wait, at=one.at, tenant=one.tenant_id, queue="help").events
    ]
    async with database.transaction() as session:
        for tenant_id, zone in {(one.tenant_id, one.zone) for one in placed}:
            if zone.key != "UTC":
                await tenants.put(session, Tenant(tenant_id, tenant_id, zone.key, DEFAULT_SERVICE_LEVEL, 1))
        await handle(session, deliveries(events), ManualClock(placed[0].at))


async def read(database: Database, window: Window, limit: int) -> list[tuple[SteppedRow[CallCounts], dict[int, int]]]:
    """Every row of the window with its sketch, page by page."""
    found: list[tuple[SteppedRow[CallCounts], dict[int, int]]] = []
    after = None
    while True:
        async with database.transaction() as session:
            rows = await series.read(session, series.CALLS, window, after=after, limit=limit)
            found += zip(rows, await series.read_waits(session, rows), strict=True)
        if len(rows) < limit:
            return found
        after = (rows[-1].start, rows[-1].tenant_id, rows[-1].key)


def hold(placed: list[Placed], step: Step, found: list[tuple[SteppedRow[CallCounts], dict[int, int]]]) -> None:
    """Every call is in the one row that holds it; the row's counts, sketch and longest wait are of these calls."""
    wanted: dict[tuple[datetime, datetime, str], list[int]] = {}
    for one in placed:
        start = start_of(step, one.zone, one.at)
        wanted.setdefault((start, end_of(step, one.zone, start), one.tenant_id), []).append(round(one.wait * 1000))
    in_order = sorted(wanted, key=lambda row: (row[0], row[2]))
    assert [(row.start, row.end, row.tenant_id) for row, _ in found] == in_order
    for row, sketch in found:
        waits = wanted[row.start, row.end, row.tenant_id]
        buckets = [bucket_of(wait) for wait in waits]
        assert (row.counts.offered, row.counts.answered, row.counts.max_wait_ms) == (len(waits),) * 2 + (max(waits),)
        assert sketch == {bucket: buckets.count(bucket) for bucket in buckets}
        figures = evaluate(row.counts, sketch, DEFAULT_SERVICE_LEVEL)
        assert figures["longest_wait_seconds"] == max(waits) / 1000
        exact = sorted(waits)[int(0.99 * (len(waits) - 1))] / 1000
        assert figures["wait_p99_seconds"] == pytest.approx(exact, rel=0.0101)


async def test_every_call_is_in_the_row_that_holds_it_around_every_kind_of_clock_change(
    service_database: Opened,
) -> None:
    database = await service_database("kpi")
    chance = random.Random(12)
    placed = [
        Placed(f"t-{number}", zone, change + timedelta(minutes=minutes), chance.choice([0.5, 3, 20, 61, 900]))
        for number, (zone, change) in enumerate(chance.sample(distinct_transitions(), 12))
        for minutes in (-1500, -61, -31, -16, -1, 0, 1, 14, 29, 31, 59, 61, 90, 121, 1400, 1501)
    ]
    await keep(database, placed)
    since, until = min(one.at for one in placed), max(one.at for one in placed)
    asked: list[tuple[Step, int]] = [("15m", 1000), ("1h", 90), ("1d", 7), ("1d", 1000)]
    for step, limit in asked:
        found = await read(database, Window(step, since, until + timedelta(seconds=1), totals=True), limit)
        hold(placed, step, found)


@pytest.mark.parametrize("step", ["15m", "1h", "1d"])
async def test_a_window_shows_the_steps_that_overlap_it_whole(service_database: Opened, step: Step) -> None:
    database = await service_database("kpi")
    night = datetime.fromisoformat("2026-10-24T12:00Z")
    placed = [
        Placed(name.lower().replace("/", "-"), ZoneInfo(name), night + timedelta(minutes=7 * number), number % 50)
        for name in (*ODD, "UTC")
        for number in range(400)
    ]
    await keep(database, placed)
    for minutes in (0, 15, 720, 721, 750, 780):
        start, end = night + timedelta(minutes=minutes), night + timedelta(minutes=minutes + 45)
        wanted = [
            one
            for one in placed
            if (begins := start_of(step, one.zone, one.at)) < end and end_of(step, one.zone, begins) > start
        ]
        hold(wanted, step, await read(database, Window(step, start, end, totals=True), 5))
        one = Window(step, start, end, tenant_id="atlantic-azores", totals=True)
        hold([each for each in wanted if each.tenant_id == one.tenant_id], step, await read(database, one, 1000))
