"""One person, one telephone call: what keeps a number from being dialled, whichever list it stands on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest
from common.database import Database
from common.events import AttemptEnded
from dialer.domain.attempt import Attempt, Ended, PbxFact
from dialer.domain.lead import Refused
from dialer.service.tasks import prune
from dialer.store import numbers as store

from .conftest import MONDAY, Floor, numbers

PERSON = "+33639980000"
OTHER = "+33639980001"


async def two_campaigns(floor: Floor, *leads: str, **rules: Any) -> None:
    """Two lists of one tenant on two queues of one pool, with two agents who serve both."""
    await floor.campaign("one", queue_id="sales", leads=leads, **rules)
    await floor.campaign("two", queue_id="care", leads=leads, **rules)
    await floor.agents({"anna": "available", "ben": "available"}, queues=["care", "sales"])


async def every(floor: Floor, *campaign_ids: str) -> list[Attempt]:
    return [attempt for name in campaign_ids or ("one", "two") for attempt in await floor.attempts(name)]


async def test_two_campaigns_one_number_two_agents_one_dial(floor: Floor) -> None:
    await two_campaigns(floor, PERSON)
    assert await floor.tick() == 1
    assert await floor.tick() == 0
    (attempt,) = await every(floor)
    other = "two" if attempt.campaign_id == "one" else "one"
    assert await floor.refusals(other) == [(PERSON, Refused("dial_under_way", None))]
    await floor.tell(attempt.attempt_id, PbxFact.RINGING, PbxFact.BUSY)
    floor.clock.advance(60)
    assert await floor.tick() == 1
    assert len(await every(floor)) == 2


async def test_the_leads_behind_have_their_turn(floor: Floor) -> None:
    await two_campaigns(floor, PERSON, OTHER)
    assert await floor.tick() == 2
    assert sorted(attempt.phone for attempt in await every(floor)) == [PERSON, OTHER]


async def test_replicas_and_pools_at_once_never_dial_a_number_twice(
    floor: Floor, new_database_url: Callable[[], str]
) -> None:
    people = numbers(30)
    names = [f"list-{n}" for n in range(4)]
    for n, name in enumerate(names):
        await floor.campaign(name, queue_id=f"queue-{n}", leads=people, retry_after=timedelta(minutes=1))
    chance = random.Random(5)
    async with AsyncExitStack() as exits:
        replicas = [await exits.enter_async_context(Database(floor.database.url, source="dialer")) for _ in range(3)]
        for _ in range(8):
            for n in range(4):
                states = {f"agent-{n}-{m}": chance.choice(["available", "busy"]) for m in range(6)}
                await floor.agents(states, queues=[f"queue-{n}"], pool=f"pool-{n}")
            await asyncio.gather(*(floor.tick(replica) for replica in replicas for _ in range(2)))
            live = [attempt for attempt in await every(floor, *names) if not isinstance(attempt.state, Ended)]
            assert live
            assert len({attempt.phone for attempt in live}) == len(live)
            for attempt in chance.sample(live, len(live) // 2):
                await floor.tell(attempt.attempt_id, chance.choice([PbxFact.BUSY, PbxFact.NO_ANSWER]))
            floor.clock.advance(20)


async def test_the_schema_refuses_a_second_dial_to_a_number(floor: Floor) -> None:
    await two_campaigns(floor, PERSON)
    await floor.tick()
    (attempt,) = await every(floor)
    (lead,) = await floor.leads("two" if attempt.campaign_id == "one" else "one")
    with pytest.raises(asyncpg.UniqueViolationError, match="attempts_one_dial"):
        async with floor.database.transaction() as session:
            await session.execute(
                """
                INSERT INTO attempts SELECT (jsonb_populate_record(a,
                    jsonb_build_object('attempt_id', $1::uuid, 'lead_id', $1::uuid))).* FROM attempts AS a
                """,
                lead["lead_id"],
            )


async def test_a_number_is_dialled_by_two_tenants_at_a_time(floor: Floor) -> None:
    await floor.campaign("one", leads=[PERSON])
    await floor.campaign("two", leads=[PERSON], tenant_id="lantern")
    await floor.agents({"anna": "available", "ben": "available"})
    assert await floor.tick() == 2


BEGUN = [("offered", {}), ("callback_requested", {"phone": PERSON, "contact_phone": OTHER})]
ENDED = ["abandoned", "redirected", "ended", "wrapped_up"]


@pytest.mark.parametrize(("kind", "values"), BEGUN)
@pytest.mark.parametrize("end", ENDED)
async def test_nobody_is_dialled_while_in_a_call_nor_for_an_hour_after(
    floor: Floor, kind: str, values: dict[str, Any], end: str
) -> None:
    await floor.campaign(leads=[PERSON])
    await floor.agents({"anna": "available"})
    call: dict[str, Any] = {"contact_phone": PERSON, "queue_id": "care", **values}
    more: dict[str, Any] = {"mode": "agent_first", "attempts": 1, "valid_until": MONDAY}
    more |= {"to_number": OTHER, "to_name": "Door", "redirected_at": MONDAY}
    begin = floor.call(kind, "c1", **call, **more)
    await floor.deliver(begin)
    assert await floor.tick() == 0
    assert await floor.refusals() == [(PERSON, Refused("in_call", None))]
    floor.clock.advance(1800)
    assert await floor.tick() == 0
    left = floor.clock.now()
    finish = floor.call(end, "c1", **call, **more, ended_at=left)
    await floor.deliver(finish)
    await floor.deliver(begin, finish)  # told once more
    until = left + timedelta(hours=1)
    assert await floor.refusals() == [(PERSON, Refused("rest_after_call", until))]
    floor.clock.advance(3599)
    assert await floor.tick() == 0
    floor.clock.advance(1)
    assert await floor.tick() == 1


@pytest.mark.parametrize("end", ["left_in_flow", "voicemail_left"])
async def test_a_menu_is_a_call_too(floor: Floor, end: str) -> None:
    await floor.campaign(leads=[PERSON])
    await floor.agents({"anna": "available"})
    call: dict[str, Any] = {"pool_id": "blue", "entry_point_id": "door", "dialled": OTHER, "contact_phone": PERSON}
    about = {**call, "call_id": "c1", "arrived_at": MONDAY}
    await floor.deliver(floor.event("call.arrived.v1", **about))
    assert await floor.refusals() == [(PERSON, Refused("in_call", None))]
    over = {"left_at": MONDAY, "step": "menu", "queue_id": "sales", "recording": "r", "seconds": 2.0}
    over |= {"reason": "hung_up"} if end == "left_in_flow" else {}
    await floor.deliver(floor.event(f"call.{end}.v1", **about, **over))
    assert await floor.refusals() == [(PERSON, Refused("rest_after_call", MONDAY + timedelta(hours=1)))]


@pytest.mark.parametrize(
    ("call", "tenant_id"),
    [
        ({"channel": "email"}, "kettle"),
        ({"contact_phone": ""}, "kettle"),
        ({"contact_phone": OTHER}, "kettle"),
        ({}, "lantern"),
    ],
)
async def test_what_is_no_telephone_call_with_this_person(floor: Floor, call: dict[str, Any], tenant_id: str) -> None:
    await floor.campaign(leads=[PERSON])
    await floor.agents({"anna": "available"})
    values: dict[str, Any] = {"contact_phone": PERSON, "tenant_id": tenant_id, **call}
    await floor.deliver(floor.call("offered", "c1", queue_id="care", **values))
    assert await floor.tick() == 1


async def test_the_rest_is_the_tenants(floor: Floor) -> None:
    await floor.campaign(leads=[PERSON], rest_after_call=timedelta(0))
    await floor.agents({"anna": "available"})
    call = {"contact_phone": PERSON, "queue_id": "care"}
    await floor.deliver(floor.call("offered", "c1", **call), floor.call("abandoned", "c1", **call))
    assert await floor.tick() == 1


async def test_after_an_answered_dial_the_other_lists_wait(floor: Floor) -> None:
    await two_campaigns(floor, PERSON)
    await floor.tick()
    (attempt,) = await every(floor)
    other = "two" if attempt.campaign_id == "one" else "one"
    await floor.tell(attempt.attempt_id, PbxFact.ANSWERED)
    about = {"attempt_id": str(attempt.attempt_id), "direction": "outbound", "contact_phone": PERSON}
    await floor.deliver(*(floor.call(kind, "c1", **about) for kind in ("offered", "queued", "assigned", "answered")))
    floor.clock.advance(600)
    await floor.deliver(floor.call("ended", "c1", **about, ended_at=floor.clock.now()))
    ended_at = floor.clock.now()
    floor.clock.advance(30)
    await floor.deliver(floor.call("wrapped_up", "c1", **about, ended_at=ended_at))
    assert await floor.refusals(other) == [(PERSON, Refused("rest_after_call", ended_at + timedelta(hours=1)))]


async def test_who_answered_when_routing_was_away_was_called_too(floor: Floor) -> None:
    attempt = await floor.answered(PERSON)
    await floor.campaign("two", leads=[PERSON])
    floor.clock.advance(301)
    await floor.tick()
    assert isinstance((await floor.only()).state, Ended)
    assert await floor.refusals("two") == [(PERSON, Refused("rest_after_call", floor.clock.now() + timedelta(hours=1)))]
    assert attempt.phone == PERSON


async def test_who_calls_is_not_dialled_any_further(floor: Floor) -> None:
    await floor.campaign(leads=[PERSON])
    await floor.agents({"anna": "available"})
    await floor.tick()
    attempt = await floor.only()
    await floor.tell(attempt.attempt_id, PbxFact.RINGING)
    await floor.deliver(floor.call("offered", "c1", queue_id="care", contact_phone=PERSON))
    await floor.tick()
    assert (await floor.only()).state == Ended("refused", "person_calls")
    assert [command for _, command in await floor.commands()] == ["dial", "hang_up"]
    ended = (await floor.published())[-1]
    assert isinstance(ended, AttemptEnded)
    assert ended.outcome == "refused"
    assert await floor.refusals() == [(PERSON, Refused("in_call", None))]


async def kept(floor: Floor) -> list[tuple[str, datetime | None]]:
    return [(row["call_id"], row["over_at"]) for row in await floor.rows("SELECT * FROM recent_calls ORDER BY call_id")]


async def test_numbers_are_kept_no_longer_than_they_count(floor: Floor) -> None:
    await floor.campaign(leads=[PERSON])
    for call_id in ("c1", "c2"):
        await floor.deliver(floor.call("offered", call_id, contact_phone=PERSON))
    await floor.deliver(floor.call("abandoned", "c1", contact_phone=PERSON))
    assert await kept(floor) == [("c1", MONDAY), ("c2", None)]
    floor.clock.advance(3600)
    await prune(floor.database, floor.clock)
    assert await kept(floor) == [("c2", None)]
    floor.clock.advance(2 * 86_400)  # its end was never told
    await prune(floor.database, floor.clock)
    assert await kept(floor) == []


async def test_barred_numbers_are_dialled_by_no_list(floor: Floor) -> None:
    assert await floor.rows("SELECT 1 FROM leads") == []
    await two_campaigns(floor, PERSON, OTHER)
    assert await floor.bar(PERSON, PERSON, reason="asked") == 1
    assert await floor.bar(PERSON) == 0
    assert await floor.refusals("one") == [(PERSON, Refused("do_not_call", None)), (OTHER, None)]
    assert await floor.tick() == 1
    assert [attempt.phone for attempt in await every(floor)] == [OTHER]
    for _ in range(3):
        await floor.tick()
    assert [lead["state"] for lead in await floor.leads("two") if lead["phone"] == PERSON] == ["barred"]


async def test_a_list_that_begins_with_thousands_of_barred_numbers_goes_on_at_once(floor: Floor) -> None:
    people = [f"+3363998{n:04d}" for n in range(1500)]
    await floor.campaign(leads=people)
    await floor.agents({"anna": "available"})
    await floor.bar(*people[:1400])
    assert await floor.tick() == 1
    assert (await floor.only()).phone == people[1400]


@pytest.mark.parametrize("facts", [(), (PbxFact.RINGING,)])
async def test_dials_under_way_are_given_up(floor: Floor, facts: tuple[PbxFact, ...]) -> None:
    await floor.campaign(leads=[PERSON], max_attempts=9)
    await floor.agents({"anna": "available"})
    await floor.tick()
    attempt = await floor.only()
    if facts:
        await floor.tell(attempt.attempt_id, *facts)
    await floor.bar(PERSON)
    assert (await floor.only()).state == Ended("refused", "do_not_call")
    assert [command for _, command in await floor.commands()] == ["dial", "hang_up"]
    after = await floor.tell(attempt.attempt_id, PbxFact.ANSWERED)  # the hang-up came too late
    assert after.state == Ended("refused", "do_not_call")
    floor.clock.advance(3 * 3600)
    assert await floor.tick() == 0
    assert [lead["state"] for lead in await floor.leads()] == ["barred"]


async def test_a_dial_that_started_at_that_very_moment_is_given_up_by_the_next_tick(floor: Floor) -> None:
    await floor.campaign(leads=[PERSON])
    await floor.agents({"anna": "available"})
    await floor.tick()
    async with floor.database.transaction() as session:  # as a transaction that did not see the dial
        await session.execute("INSERT INTO do_not_call VALUES ('kettle', $1, NULL, 'olga', now())", PERSON)
    await floor.tick()
    assert (await floor.only()).state == Ended("refused", "do_not_call")


async def test_who_has_answered_is_left_to_the_agent(floor: Floor) -> None:
    attempt = await floor.answered(PERSON)
    await floor.bar(PERSON)
    await floor.tick()
    assert not isinstance((await floor.only()).state, Ended)
    assert attempt.phone == PERSON


async def test_a_campaign_of_barred_numbers_is_completed(floor: Floor) -> None:
    await floor.campaign(leads=[PERSON])
    await floor.agents({"anna": "available"})
    await floor.bar(PERSON)
    await floor.tick()
    (row,) = await floor.rows("SELECT state FROM campaigns")
    assert row["state"] == "completed"


async def test_recent_calls_are_a_tenants_own(floor: Floor) -> None:
    await floor.campaign(leads=[PERSON])
    await floor.deliver(floor.call("offered", "c1", contact_phone=PERSON))
    await floor.bar(PERSON)
    async with floor.database.transaction("lantern") as session:
        assert await session.fetch("SELECT * FROM recent_calls") == []
        assert await session.fetch("SELECT * FROM do_not_call") == []
        assert await store.look_up(session, [("kettle", PERSON)]) == {}
