"""Billing on a real PostgreSQL: whatever is delivered, how often and in which order, the ledger is the same."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from billing.domain.closings import closing_of, merge_all
from billing.domain.rating import Entry, EntryKey, ledger_of
from billing.service import tariffs as tariff_service
from billing.service.rating import take_deliveries
from billing.store import ledger as store
from billing.store import tariffs as tariff_store
from common import envelope
from common.clock import ManualClock
from common.database import Database
from common.errors import Conflict, InvalidEvent, NotFound
from common.events import CaseClosed, CaseReopened, ChargeRecorded, ChargeReversed, Event
from common.events.billing import ChargeEvent
from common.migrations import check
from common.outbox import unpack_headers
from support import Stack

from .events import NOON, TRACE, closed, delivery, history, reopened

CLOCK = ManualClock(NOON)
Opened = Callable[[str], Awaitable[Database]]


@pytest.fixture
async def database(service_database: Opened) -> Database:
    return await service_database("billing")


async def put_tenant(database: Database, tenant: str = "kettle", zone: str = "Europe/Paris") -> None:
    async with database.transaction() as session:
        wanted = tariff_store.Tenant(tenant, tenant.title(), zone, "EUR", 0)
        await tariff_service.put_tenant(session, wanted, CLOCK, lambda _: None)


async def put_tariff(database: Database, price: str, day: str, tenant: str = "kettle") -> tariff_service.Outcome:
    async with database.transaction() as session:
        valid_from = datetime.fromisoformat(day).date()
        return await tariff_service.put_tariff(session, tenant, price, valid_from, CLOCK)


async def deliver(database: Database, events: Sequence[Event], traceparent: str | None = None) -> None:
    """One batch, without the inbox: the handler itself has to bear repetition."""
    async with database.transaction() as session:
        await take_deliveries(session, [delivery(event, traceparent=traceparent) for event in events], CLOCK)


async def ledger(database: Database) -> dict[EntryKey, Entry]:
    async with database.transaction() as session:
        found = {entry.key: (entry, stored) async for entry, stored in store.whole_ledger(session)}
    assert all(entry.id == stored for entry, stored in found.values())
    return {key: entry for key, (entry, _) in found.items()}


async def published(database: Database) -> list[envelope.Envelope]:
    async with database.transaction() as session:
        rows = await session.fetch("SELECT headers, value FROM outbox ORDER BY id")
    return [envelope.decode(unpack_headers(row["headers"]), row["value"]) for row in rows]


async def test_one_charge_however_often_it_is_told(database: Database) -> None:
    await put_tenant(database)
    await put_tariff(database, "4.20", "2026-01-01")
    event = closed("c-1")
    await deliver(database, [event, event], TRACE)
    await deliver(database, [event])
    (told,) = await published(database)
    assert isinstance(told.event, ChargeRecorded)
    assert (str(told.event.amount), told.event.month, told.event.version) == ("4.20", "2026-11", 1)
    assert told.time == event.closed_at
    assert told.traceparent is not None
    assert told.traceparent.split("-")[1] == TRACE.split("-")[1], "the charge continues the trace of its cause"


async def test_reopened_and_closed_again_is_a_reversal_and_a_charge_of_its_own(database: Database) -> None:
    await put_tenant(database)
    await put_tariff(database, "4.20", "2026-01-01")
    first, second = closed("c-1"), closed("c-1", 2, at=NOON + timedelta(days=2))
    await deliver(database, [first, reopened(first), second])
    events = [told.event for told in await published(database)]
    assert [(type(event), event.version, str(event.amount)) for event in events if isinstance(event, ChargeEvent)] == [
        (ChargeRecorded, 1, "4.20"),
        (ChargeReversed, 1, "-4.20"),
        (ChargeRecorded, 2, "4.20"),
    ]
    charge, reversal = events[0], events[1]
    assert isinstance(charge, ChargeRecorded)
    assert isinstance(reversal, ChargeReversed)
    assert reversal.reverses == charge.charge_id


async def test_the_reopening_may_come_first(database: Database) -> None:
    await put_tenant(database)
    await put_tariff(database, "4.20", "2026-01-01")
    event = closed("c-1")
    await deliver(database, [reopened(event)])
    assert len(await ledger(database)) == 2
    await deliver(database, [event])
    assert [type(told.event) for told in await published(database)] == [ChargeRecorded, ChargeReversed]


@pytest.mark.parametrize("seed", range(4))
async def test_a_year_delivered_twice_in_any_order_while_tariffs_change(database: Database, seed: int) -> None:
    generator = random.Random(seed)
    tenants = {"kettle": "Europe/Paris", "lantern": "America/Sao_Paulo", "wren": "Asia/Tokyo"}
    events = history(generator, 150, [*tenants, "never-told-of"])
    told = events * 2
    generator.shuffle(told)
    for tenant, zone in tenants.items():
        await put_tenant(database, tenant, zone)
    changes: list[tuple[str, str, str]] = [
        (tenant, price, day)
        for tenant in tenants
        for price, day in (
            ("4.20", "2026-03-01"),
            ("5.00", "2026-08-01"),
            ("3.10", "2025-01-01"),
            ("4.20", "2026-03-01"),
        )
    ]
    generator.shuffle(changes)
    while told or changes:
        if changes and generator.random() < 0.2:
            tenant, price, day = changes.pop()
            before = await ledger(database)
            with suppress(Conflict):
                await put_tariff(database, price, day, tenant)
            after = await ledger(database)
            assert {key: after[key] for key in before} == before, "what is charged stays charged"
        batch, told = told[:40], told[40:]
        await deliver(database, batch)
    async with database.transaction() as session:
        terms = await tariff_store.terms_of(session)
    closings = merge_all(closing_of(event) for event in events if isinstance(event, CaseClosed | CaseReopened))
    due = ledger_of(closings.values(), terms)
    assert await ledger(database) == due
    assert due
    told_ids = [told.event.charge_id for told in await published(database) if hasattr(told.event, "charge_id")]
    assert sorted(told_ids) == sorted(str(entry.id) for entry in due.values()), "one event for each entry"


async def test_unrated_cases_are_charged_in_the_transaction_that_adds_their_tariff(database: Database) -> None:
    event = closed("c-1")
    await deliver(database, [event, closed("c-2"), closed("c-3", at=NOON - timedelta(days=400))])
    await put_tenant(database)
    assert await ledger(database) == {}
    outcome = await put_tariff(database, "4.20", "2026-11-01")
    assert (outcome.created, outcome.charged) == (True, 2)
    assert {key.case_id for key in await ledger(database)} == {"c-1", "c-2"}
    async with database.transaction() as session:
        assert await store.unrated_counts(session) == {"kettle": 1}
    await deliver(database, [reopened(event)])
    assert len(await ledger(database)) == 3


async def test_a_tariff_waits_for_ratings_under_way(database: Database) -> None:
    """given a batch that is not committed, a tariff for the same day neither overtakes it nor leaves its case out"""
    await put_tenant(database)
    async with database.transaction() as session:
        await take_deliveries(session, [delivery(closed("c-1"))], CLOCK)
        async with database.transaction() as other:
            lock = "SELECT pg_try_advisory_xact_lock(hashtextextended(current_schema() || '.tariffs', 0))"
            assert await other.fetchval(lock) is False
    outcome = await put_tariff(database, "4.20", "2026-11-01")
    assert outcome.charged == 1


async def test_what_would_change_the_past_is_refused(database: Database) -> None:
    await put_tenant(database)
    await put_tariff(database, "4.20", "2026-01-01")
    await deliver(database, [closed("c-1")])
    with pytest.raises(Conflict, match="the last closed on 2026-11-20"):
        await put_tariff(database, "5.00", "2026-11-20")
    assert (await put_tariff(database, "5.00", "2026-11-21")).tariff.version == 2
    async with database.transaction() as session:
        for zone, currency in (("Europe/Paris", "USD"), ("Asia/Tokyo", "EUR")):
            wanted = tariff_store.Tenant("kettle", "Kettle", zone, currency, 0)
            with pytest.raises(Conflict):
                await tariff_service.put_tenant(session, wanted, CLOCK, lambda _: None)
        with pytest.raises(NotFound):
            await tariff_service.put_tariff(session, "nobody", "1", None, CLOCK)


async def test_another_time_zone_may_bring_a_waiting_case_under_its_tariff(database: Database) -> None:
    await put_tenant(database)
    await put_tariff(database, "4.20", "2026-11-21")
    await deliver(database, [closed("c-1", at=datetime(2026, 11, 20, 20, tzinfo=UTC))])
    assert await ledger(database) == {}
    await put_tenant(database, zone="Asia/Tokyo")
    assert [str(entry.day) for entry in (await ledger(database)).values()] == ["2026-11-21"]


async def test_a_contradiction_is_refused_and_changes_nothing(database: Database) -> None:
    await put_tenant(database)
    await put_tariff(database, "4.20", "2026-01-01")
    await deliver(database, [closed("c-1")])
    before = await ledger(database)
    with pytest.raises(InvalidEvent, match="contradicts"):
        await deliver(database, [closed("c-2"), closed("c-1", at=NOON + timedelta(seconds=1))])
    assert await ledger(database) == before


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE ledger SET amount = 1", "DELETE FROM ledger", "TRUNCATE ledger",
        "UPDATE tariffs SET price_per_closed_case = 1", "DELETE FROM tariffs",
    ],
)  # fmt: skip
async def test_ledger_and_tariffs_only_grow(database: Database, sql: str) -> None:
    with pytest.raises(asyncpg.RestrictViolationError, match="only grows"):
        async with database.transaction() as session:
            await session.execute(sql)


async def test_a_transaction_of_one_tenant_sees_only_its_rows(database: Database) -> None:
    for tenant in ("kettle", "lantern"):
        await put_tenant(database, tenant)
        await put_tariff(database, "1", "2026-01-01", tenant)
        await deliver(database, [closed(f"case-of-{tenant}", tenant=tenant)])
    await deliver(database, [closed("old", tenant="lantern", at=datetime(2020, 1, 1, tzinfo=UTC))])
    async with database.transaction("kettle") as session:
        seen: dict[str, Any] = {
            table: {row[0] for row in await session.fetch(f"SELECT tenant_id FROM {table}")}
            for table in ("tenants", "tariffs", "closings", "ledger")
        }
    assert seen == {table: {"kettle"} for table in seen}


def test_the_migrations_make_the_tables_of_the_code(stack: Stack) -> None:
    check("billing", stack.database_url("billing"))
