"""Cases and contacts on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections import Counter, defaultdict
from itertools import permutations

import pytest
from common import telemetry
from common.clock import ManualClock
from common.database import Database
from common.errors import Conflict, InvalidEvent
from common.events import (
    CallEvent,
    CallOffered,
    CaseCallLinked,
    CaseClosed,
    CaseOpened,
    CaseReopened,
    ContactCreated,
    ContactUpdated,
    Event,
)
from common.events.crm import CaseEvent
from common.migrations import check
from crm_bridge.domain.cases import Case, Closed, Open
from crm_bridge.service import cases as service
from crm_bridge.service import contacts as contact_service
from crm_bridge.store import cases as store
from crm_bridge.store import contacts as contact_store
from crm_bridge.store import tenants
from msgspec.structs import replace
from support import Stack

from .calls import (
    NINE,
    PHONE,
    TRACE,
    Told,
    answered,
    at,
    delivery,
    follow,
    handled,
    interleaved,
    published,
    wrapped_up,
)

DAY = 24 * 60
CLOCK = ManualClock(at(60))


async def put_tenant(database: Database, tenant_id: str = "kettle", days: int = 2) -> None:
    async with database.transaction() as session:
        await tenants.put(
            session,
            tenants.Tenant(
                tenant_id=tenant_id,
                name="Kettle",
                time_zone="Europe/Paris",
                region="FR",
                reopen_window_days=days,
                closing_dispositions=["resolved"],
            ),
        )


async def all_cases(database: Database, **selection: str) -> list[Case]:
    async with database.transaction() as session:
        return await store.page(
            session, tenant_id=None, status=selection.get("status"), contact_id=None, before=None, limit=1000
        )


async def told(database: Database) -> list[Event]:
    return [envelope.event for envelope in await published(database)]


async def test_the_schema_is_what_the_tables_say(stack: Stack) -> None:
    await asyncio.to_thread(check, "crm_bridge", stack.database_url("crm_bridge"))


async def test_from_call_to_closed_case(database: Database) -> None:
    await put_tenant(database)
    await follow(database, handled("a"), TRACE)
    envelopes = await published(database)
    created, opened, closed = (envelope.event for envelope in envelopes)
    assert isinstance(created, ContactCreated)
    assert isinstance(opened, CaseOpened)
    assert isinstance(closed, CaseClosed)
    assert created.phone == PHONE
    assert created.contact_id == opened.contact_id == closed.contact_id
    assert (closed.closing, closed.closed_at, closed.calls, closed.sequence) == (1, at(5), 1, 2)
    for envelope in envelopes:
        assert envelope.traceparent is not None
        assert envelope.traceparent.split("-")[1] == TRACE.split("-")[1]
    assert telemetry.current_traceparent() is None
    async with database.transaction() as session:
        (call,) = await store.calls(session, (await all_cases(database))[0].id)
    assert (call.call_id, call.agent_id, call.wrapped_up_at, call.disposition) == ("a", "ada", at(5), "resolved")


async def test_a_week_of_one_contact_over_many_batches(database: Database) -> None:
    await put_tenant(database)
    for batch in (
        [answered("a")],
        [wrapped_up("a", 0, "to follow up"), answered("b", 90)],
        [wrapped_up("b", 90), answered("c", DAY)],
        [wrapped_up("c", DAY, None)],
        handled("d", 2 * DAY),
        handled("e", 5 * DAY),
    ):
        await follow(database, batch)
    kinds = [type(event) for event in await told(database)]
    assert kinds == [
        ContactCreated,
        CaseOpened, CaseCallLinked, CaseClosed,
        CaseReopened, CaseCallLinked,
        CaseCallLinked, CaseClosed,
        CaseOpened, CaseClosed,
    ]  # fmt: skip


async def test_an_unknown_tenant_has_defaults_and_tenants_stay_apart(database: Database) -> None:
    await put_tenant(database, "kettle")
    await follow(database, handled("a", 0, "closed") + handled("b", 0, "closed", tenant="lantern"))
    found = {case.tenant_id: case for case in await all_cases(database)}
    assert isinstance(found["kettle"], Open), "`closed` is not one of kettle's codes"
    assert isinstance(found["lantern"], Closed), "`closed` is one of the defaults"
    assert found["kettle"].contact_id != found["lantern"].contact_id


async def test_withheld_numbers_are_cases_of_their_own(database: Database) -> None:
    await put_tenant(database)
    await follow(database, handled("a", 0, phone="") + handled("b", 10, phone=""))
    await follow(database, handled("a", 0, phone="") + handled("b", 10, phone=""))
    found = await all_cases(database)
    assert [type(case) for case in found] == [Closed, Closed]
    assert len({case.contact_id for case in found}) == 2
    assert [event.phone for event in await told(database) if isinstance(event, ContactCreated)] == ["", ""]


async def test_who_withholds_the_number_keeps_the_case_wherever_agents_hand_them_on(database: Database) -> None:
    """Given an anonymous caller whom level 1 hands on to level 2, and that to level 3,
    when the calls' events come in any order, twice, then they are one contact's one case, closed at the end."""
    await put_tenant(database)
    for number, order in enumerate(permutations(range(3))):
        first, second, third = (f"{number}-{level}" for level in (1, 2, 3))
        calls = [
            handled(first, 0, "escalated", phone=""),
            [replace(event, first_call_id=first) for event in handled(second, 10, "escalated", phone="")],
            [replace(event, first_call_id=first) for event in handled(third, 20, phone="")],
        ]
        for level in order:
            await follow(database, calls[level])
        await follow(database, [event for level in order for event in calls[level]])
    found = await all_cases(database)
    assert [(type(case), case.calls, case.closings) for case in found] == [(Closed, 3, 1)] * 6
    assert [case.handed_on for case in found] == [2] * 6, "the caller came once"
    closings = [event for event in await told(database) if isinstance(event, CaseClosed)]
    assert [event.calls - event.handed_on for event in closings] == [1] * 6
    linked = [event for event in await told(database) if isinstance(event, CaseCallLinked)]
    assert [event.another_part for event in linked] == [True] * 12
    assert len({case.contact_id for case in found}) == 6


async def test_a_call_stays_with_its_contact_when_the_number_is_edited(database: Database) -> None:
    await put_tenant(database)
    await follow(database, [answered("a")])
    async with database.transaction() as session:
        (contact,) = await contact_store.page(session, tenant_id=None, phone=None, before=None, limit=10)
        details = contact_service.Details(phone="06 39 98 00 09", name="Ada", email=None, priority=0)
        changed = await contact_service.update(session, contact, details, CLOCK)
        assert changed.phone == "+33639980009"
    await follow(database, [wrapped_up("a")])
    events = await told(database)
    assert [type(event) for event in events] == [ContactCreated, CaseOpened, ContactUpdated, CaseClosed]
    async with database.transaction() as session:
        assert len(await contact_store.page(session, tenant_id=None, phone=None, before=None, limit=10)) == 1


async def test_a_person_and_the_calls_work_on_the_same_case(database: Database) -> None:
    await put_tenant(database)
    await follow(database, [answered("a")])
    (case,) = await all_cases(database)
    async with database.transaction() as session:
        closed = await service.close(session, case.id, "by hand", CLOCK)
    assert isinstance(closed, Closed)
    assert closed.closed_at == CLOCK.now()
    with pytest.raises(Conflict):
        async with database.transaction() as session:
            await service.close(session, case.id, "again", CLOCK)
    await follow(database, [wrapped_up("a")])
    async with database.transaction() as session:
        await service.reopen(session, case.id, CLOCK)
    with pytest.raises(Conflict):
        async with database.transaction() as session:
            await service.reopen(session, case.id, CLOCK)
    await follow(database, handled("b", 5 * DAY) + handled("c", 30 * DAY))
    closings = [(type(event), event.closing) for event in await told(database) if hasattr(event, "closing")]
    assert closings == [(CaseClosed, 1), (CaseReopened, 1), (CaseClosed, 2), (CaseClosed, 1)]
    async with database.transaction() as session:
        await service.reopen(session, case.id, CLOCK)
    with pytest.raises(Conflict, match="another open case"):
        async with database.transaction() as session:
            newest = (await all_cases(database))[0]
            assert newest.id != case.id
            await service.reopen(session, newest.id, CLOCK)


async def test_what_can_never_be_handled_says_why(database: Database) -> None:
    naive = answered("a")
    for event in (
        CallOffered(**{name: getattr(naive, name) for name in CallEvent.__struct_fields__}),
        type(naive)(
            **{**{n: getattr(naive, n) for n in naive.__struct_fields__}, "answered_at": NINE.replace(tzinfo=None)}
        ),
    ):
        with pytest.raises(InvalidEvent):
            await follow(database, [event])


def story(generator: random.Random, contacts: int, calls: int) -> list[list[Told]]:
    plans = []
    for number in range(calls):
        phone = f"+3363998{generator.randrange(contacts):04d}"
        disposition = generator.choice(["resolved", "resolved", "follow-up", None])
        plans.append(handled(f"c{number}", generator.randrange(8 * DAY), disposition, phone=phone))
    return plans


def check_log(events: list[Event], calls: int) -> None:
    """The promises of the topic `cases`, from what was published alone."""
    by_case: defaultdict[str, list[CaseEvent]] = defaultdict(list)
    open_case: dict[str, str] = {}
    for event in events:
        if not isinstance(event, CaseEvent):
            continue
        by_case[event.case_id].append(event)
        match event:
            case CaseOpened() | CaseReopened():
                assert event.contact_id not in open_case, "two open cases of one contact"
                open_case[event.contact_id] = event.case_id
            case CaseClosed():
                assert open_case.pop(event.contact_id) == event.case_id
    for history in by_case.values():
        assert [event.sequence for event in history] == list(range(1, len(history) + 1))
        closings = [event.closing for event in history if isinstance(event, CaseClosed)]
        assert closings == list(range(1, len(closings) + 1))
    linked = Counter(event.call_id for event in events if isinstance(event, CaseOpened | CaseCallLinked))
    assert set(linked.values()) == {1}
    assert len(linked) == calls


async def test_everything_twice_in_any_order_in_batches(database: Database) -> None:
    generator = random.Random(20261121)
    await put_tenant(database)
    order = interleaved(generator, story(generator, contacts=15, calls=150))
    batches = []
    while order:
        size = generator.randint(1, 40)
        batches.append(order[:size])
        order = order[size:]
    for number, batch in enumerate(batches):
        await follow(database, batch)
        await follow(database, batch)
        await follow(database, generator.choice(batches[: number + 1]))
    events = await told(database)
    check_log(events, 150)
    stored = {str(case.id): case for case in await all_cases(database)}
    for event in events:
        if isinstance(event, CaseEvent) and event.sequence == stored[event.case_id].sequence:
            assert isinstance(stored[event.case_id], Closed if isinstance(event, CaseClosed) else Open | Closed)
            assert event.calls == stored[event.case_id].calls


async def test_replicas_that_meet_the_same_contacts_at_once(database: Database) -> None:
    generator = random.Random(7)
    await put_tenant(database)
    calls = story(generator, contacts=10, calls=240)
    partitions = [interleaved(generator, calls[number::4]) for number in range(4)]

    async def replica(events: list[Told]) -> None:
        for start in range(0, len(events), 12):
            await follow(database, events[start : start + 12])

    # A deadlock would raise here: nothing retries.
    await asyncio.gather(*(replica(events) for events in partitions))
    # Ids of the outbox are drawn while the contact is locked: per contact they are in the order of the commits.
    check_log(await told(database), 240)


async def test_a_full_batch_is_a_handful_of_statements(database: Database) -> None:
    await put_tenant(database)
    calls = [handled(f"c{n}", n, phone=f"+336400{n:05d}") for n in range(500)]
    events = [event for call in calls for event in call]
    async with database.transaction() as session:
        statements = 0
        fetch, execute = session.fetch, session.execute

        async def counted_fetch(sql: str, *arguments: object) -> object:
            nonlocal statements
            statements += 1
            return await fetch(sql, *arguments)

        async def counted_execute(sql: str, *arguments: object) -> object:
            nonlocal statements
            statements += 1
            return await execute(sql, *arguments)

        session.fetch, session.execute = counted_fetch, counted_execute  # type: ignore[method-assign, assignment]
        await service.follow_calls(session, [delivery(event) for event in events])
    assert statements <= 10
    assert len(await all_cases(database, status="closed")) == 500


async def test_a_contact_exists_since_the_services_clock_says_so_or_since_its_first_call(database: Database) -> None:
    await put_tenant(database)
    clock = ManualClock(at(-3 * DAY))
    details = contact_service.Details(phone="06 39 98 00 07", name=None, email=None, priority=0)
    async with database.transaction() as session:
        made = await contact_service.create(session, "kettle", details, clock)
    assert (made.created_at, made.updated_at) == (at(-3 * DAY), at(-3 * DAY))
    clock.advance(60)
    async with database.transaction() as session:
        changed = await contact_service.update(session, made, dataclasses.replace(details, name="Ada"), clock)
    assert (changed.created_at, changed.updated_at) == (at(-3 * DAY), at(-3 * DAY + 1))

    for _ in range(2):
        await follow(database, [answered("first", 5), answered("second", 90)])
    async with database.transaction() as session:
        (called, _) = await contact_store.page(session, tenant_id="kettle", phone=None, before=None, limit=9)
    assert called.phone == PHONE
    assert (called.created_at, called.updated_at, called.last_call_at) == (at(5), at(5), at(90))
