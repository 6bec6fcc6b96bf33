"""The rows on a real PostgreSQL, and the whole service behind a real broker."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from common.clock import ManualClock
from common.database import Database
from common.errors import InvalidEvent
from common.events import CallEvent, Event, QueueDeclared
from common.migrations import check
from kpi import recount
from kpi.consumer import handle
from kpi.domain.live import FORGOTTEN_AFTER
from kpi.service import counting, live
from kpi.service.metrics import Gauges
from kpi.tables import TENANT_TABLES
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from support import Stack

from .conftest import NOW, Kpi
from .stories import NINE, QUEUES, Day, Story, deliveries, handed_on, produce, whole

Opened = Callable[[str], Awaitable[Database]]
CLOCK = ManualClock(NOW)


def busy_hours(calls: int, seed: int = 1) -> list[Event]:
    """Random calls over three hours, with their agents' days."""
    generator = random.Random(seed)
    events: list[Event] = []
    for number in range(calls):
        tenant = generator.choice(sorted(QUEUES))
        first, second = QUEUES[tenant]
        at = NINE + timedelta(seconds=generator.uniform(-7200, 3600))
        story = Story(f"c-{number}", at=at, tenant=tenant, queue=first)
        if generator.random() < 0.2:
            story.overflowed(generator.expovariate(1 / 30), second)
        if generator.random() < 0.25:
            story.abandoned(generator.expovariate(1 / 20))
        else:
            story.answered(generator.expovariate(1 / 15))
            story.ended(generator.expovariate(1 / 300)).wrapped_up(generator.expovariate(1 / 40))
            if generator.random() < 0.2:
                onward = handed_on(story, f"c-{number}-on", second).answered(generator.expovariate(1 / 60))
                events += onward.ended(generator.expovariate(1 / 300)).wrapped_up(5).events
        events += story.events
    for number in range(5):
        day = Day(f"a-{number}", at=NINE - timedelta(hours=1))
        for _ in range(20):
            day.becomes(generator.choice(["available", "busy", "wrap_up", "break"]), generator.uniform(0, 900))
        events += day.events
    return events


async def contents(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that KPI keeps."""
    async with database.transaction() as session:
        return {
            table: sorted(tuple(row.values()) for row in await session.fetch(f"SELECT * FROM {table}"))
            for table in TENANT_TABLES
        }


async def count_in_batches(database: Database, events: Sequence[Event], sizes: Sequence[int]) -> None:
    at = 0
    for size in sizes:
        async with database.transaction() as session:
            await handle(session, deliveries(events[at : at + size]), CLOCK)
        at += size
    assert at >= len(events)


async def test_order_and_batches_give_the_same_rows(service_database: Opened) -> None:
    events = busy_hours(60)
    once = await service_database("kpi")
    await count_in_batches(once, events, [len(events)])
    wanted = await contents(once)
    assert wanted["intervals"]
    assert wanted["wait_buckets"]
    for seed in range(2):
        shuffled = random.Random(seed).sample(events, len(events))
        other = await service_database("kpi")
        await count_in_batches(other, shuffled, [1, 7, 1, 50, 200, len(events)])
        assert await contents(other) == wanted


async def test_replicas_at_once_lose_nothing(service_database: Opened) -> None:
    database = await service_database("kpi")
    events = busy_hours(120)
    await asyncio.gather(*(count_in_batches(database, events[part::4], [40] * 40) for part in range(4)))
    alone = await service_database("kpi")
    await count_in_batches(alone, events, [len(events)])
    assert await contents(database) == await contents(alone)


async def test_an_invalid_event_writes_nothing(service_database: Opened) -> None:
    database = await service_database("kpi")
    story = Story("c").answered(1)
    story.threshold = -1.0
    story.ended(5)
    with pytest.raises(InvalidEvent):
        await count_in_batches(database, story.events, [len(story.events)])
    assert not any((await contents(database)).values())


async def test_an_old_event_does_not_bring_a_finished_call_back(service_database: Opened) -> None:
    database = await service_database("kpi")
    story = Story("c").abandoned(30)
    await count_in_batches(database, story.events, [len(story.events)])
    waiting = story.events[1:2]
    await count_in_batches(database, waiting, [1])
    async with database.transaction() as session:
        assert [row.waiting for row in await live.look(session, NOW)] == [0, 0]
        await counting.prune(session, NOW + timedelta(hours=23))
        assert await session.fetchval("SELECT count(*) FROM live_calls") == 1
        later = NOW + FORGOTTEN_AFTER + timedelta(hours=1)
        await counting.prune(session, later)
        assert await session.fetchval("SELECT count(*) FROM live_calls") == 0
        await counting.count(session, waiting, later)
        assert [row.waiting for row in await live.look(session, later)] == [0, 0]


async def test_live_figures(service_database: Opened) -> None:
    database = await service_database("kpi")
    at = NOW - timedelta(minutes=5)
    stories = [
        Story("c-1", at=NOW - timedelta(seconds=45)),
        Story("c-2", at=NOW - timedelta(seconds=10)),
        Story("c-3", at=NOW - timedelta(seconds=12)).missed(4),
        Story("c-4", at=at).answered(5),
        Story("c-5", at=at).answered(40).ended(10),
        Story("c-6", at=NOW - timedelta(minutes=35)).answered(300),
        Story("c-7", at=at).overflowed(30, "kettle-late"),
    ]
    events = [event for story in stories for event in story.events]
    async with database.transaction() as session:
        await counting.count(session, events, NOW)
        found = {row.queue_id: row for row in await live.look(session, NOW)}
        assert await live.look(session, NOW, "nobody") == []
    queue, late, tenant = found["kettle-help"], found["kettle-late"], found[""]
    assert (queue.waiting, queue.talking, queue.wrap_up) == (3, 2, 1)
    assert queue.longest_wait_seconds == 45
    assert late.longest_wait_seconds == 270
    assert (tenant.waiting, tenant.longest_wait_seconds) == (4, 300)
    # Offered within the half hour: c-1 to c-5 and c-7, of which c-2 and c-3 still wait and are in time.
    assert queue.recent.offered == 6
    assert queue.service_level == pytest.approx(1 / 4)
    assert tenant.service_level == pytest.approx(1 / 4)


async def test_a_caller_who_waits_after_being_handed_on_is_still_one_answered_call_of_the_tenant(
    service_database: Opened,
) -> None:
    database = await service_database("kpi")
    first = Story("c-1", at=NOW - timedelta(minutes=5)).answered(5).ended(285)
    onward = handed_on(first, "c-2", "kettle-late")
    async with database.transaction() as session:
        await counting.count(session, [*first.events, *onward.events], NOW)
        found = {row.queue_id: row for row in await live.look(session, NOW)}
    late, tenant = found["kettle-late"], found[""]
    assert (late.waiting, late.longest_wait_seconds, late.recent.offered, late.service_level) == (1, 10, 1, None)
    assert (tenant.waiting, tenant.wrap_up, tenant.longest_wait_seconds) == (1, 1, 10)
    assert (tenant.recent.offered, tenant.recent.answered, tenant.service_level) == (1, 1, 1)


async def test_gauges_show_the_database(service_database: Opened) -> None:
    database = await service_database("kpi")
    events = [*Story("c", at=NOW - timedelta(seconds=30)).events, *Day().becomes("break", 5).events]
    async with database.transaction() as session:
        await counting.count(session, events, NOW)
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader])
    gauges = Gauges(database, CLOCK, provider.get_meter("test"))
    await gauges.refresh()
    data = reader.get_metrics_data()
    assert data is not None
    observed = json.loads(data.to_json())["resource_metrics"][0]["scope_metrics"][0]["metrics"]
    found = {
        (metric["name"], *sorted(point["attributes"].items())): point["value"]
        for metric in observed
        for point in metric["data"]["data_points"]
    }
    queue = (("queue", "kettle-help"), ("tenant", "kettle"))
    assert found == {
        ("plateau_calls_waiting", *queue): 1,
        ("plateau_calls_talking", *queue): 0,
        ("plateau_longest_wait_seconds", *queue): 30,
        ("plateau_service_level_ratio", *queue): 0,
        ("plateau_agents", ("pool", "pool-1"), ("state", "break")): 1,
    }
    provider.shutdown()


async def test_a_declared_queue_is_known_before_its_first_call(service_database: Opened) -> None:
    database = await service_database("kpi")
    declared = [
        QueueDeclared(
            tenant_id="kettle", queue_id=f"kettle-{name}", pool_id="pool-1", channel="voice", occurred_at=NINE
        )
        for name in ("help", "late", "help")
    ]
    await count_in_batches(database, declared, [1, 2])
    await count_in_batches(database, [*declared, *Story("c", at=NOW).events], [5])
    async with database.transaction() as session:
        found = {row.queue_id: row for row in await live.look(session, NOW)}
    assert set(found) == {"kettle-help", "kettle-late", ""}
    assert (found["kettle-late"].waiting, found["kettle-late"].longest_wait_seconds) == (0, 0.0)
    assert found["kettle-late"].service_level is None
    assert found["kettle-help"].waiting == 1


async def command_line(kpi: Kpi) -> tuple[int | None, Any]:
    """What `python -m kpi.recount` says and exits with."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "kpi.recount"),
        *("--bootstrap", kpi.stack.bootstrap_servers, "--api", kpi.running.base_url),
        env={**os.environ, "PLATEAU_TOKEN": kpi.stack.token("operator")},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    return process.returncode, json.loads(said)


async def test_delivered_twice_the_served_figures_equal_the_recount(kpi: Kpi) -> None:
    events = busy_hours(150)
    await produce(kpi.stack.kafka, events)
    await kpi.handled(len(events))
    await produce(kpi.stack.kafka, events)
    last = whole("c-last", wait=3).events
    await kpi.count(last, known=len(events))

    counted = await recount.recount(kpi.stack.bootstrap_servers)
    assert counted.repeated > 0
    token = kpi.stack.token("operator")
    rows = await recount.fetch_rows(kpi.running.base_url, token, counted)
    report = recount.report(counted, recount.compare(counted, rows))
    assert report["equal"], report
    calls = {event.call_id for event in [*events, *last] if isinstance(event, CallEvent)}
    assert len(calls) > 151, "some were handed on"
    assert (report["calls"], report["intervals"]) == (len(calls), len(rows))
    assert await command_line(kpi) == (0, report)

    async with kpi.running.runtime.database.transaction() as session:
        await session.execute("UPDATE intervals SET answered = answered + 1 WHERE queue_id = 'kettle-help'")
    rows = await recount.fetch_rows(kpi.running.base_url, token, counted)
    wrong = recount.report(counted, recount.compare(counted, rows))
    assert not wrong["equal"]
    assert {difference["name"] for difference in wrong["differences"]} == {"answered"}
    assert await command_line(kpi) == (1, wrong)


def test_no_drift_between_tables_and_migrations(stack: Stack) -> None:
    check("kpi", stack.database_url("kpi"))
