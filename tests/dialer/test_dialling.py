"""Pacing on a real database: who is dialled, how many, and what becomes of leads."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta

import asyncpg
import pytest
from common.database import Database
from common.events import AttemptEnded, AttemptStarted, CampaignCompleted, CampaignStarted
from common.migrations import check
from dialer.consumer import handler
from dialer.domain.attempt import Ended, PbxFact
from dialer.service import campaigns
from dialer.store import attempts

from .conftest import PATIENCE, Floor, numbers


def test_tables_and_migrations_agree(new_database_url: Callable[[], str]) -> None:
    check("dialer", new_database_url())


async def test_nobody_is_dialled_with_no_agent_logged_in(floor: Floor) -> None:
    await floor.campaign(leads=numbers(5))
    assert await floor.tick() == 0
    await floor.agents({"anna": "logged_out", "ben": "break", "carl": "wrap_up"})
    assert await floor.tick() == 0
    assert await floor.attempts() == []


async def test_one_dial_per_idle_agent_and_no_more_until_it_is_over(floor: Floor) -> None:
    await floor.campaign(leads=numbers(9))
    await floor.agents({"anna": "available", "ben": "available", "carl": "busy"})
    assert await floor.tick() == 2
    assert await floor.tick() == 0
    first, second = await floor.attempts()
    assert [first.phone, second.phone] == numbers(2)
    await floor.tell(first.attempt_id, PbxFact.RINGING)
    assert await floor.tick() == 0
    await floor.tell(first.attempt_id, PbxFact.BUSY)
    assert await floor.tick() == 1
    await floor.agents({"ben": "logged_out"})
    assert await floor.tick() == 0
    commands = [(attempt_id, command) for attempt_id, command in await floor.commands()]
    assert commands == [(attempt.attempt_id, "dial") for attempt in await floor.attempts()]


async def test_calls_that_wait_have_their_agents(floor: Floor) -> None:
    await floor.campaign(leads=numbers(9))
    await floor.agents({"anna": "available", "ben": "available"})
    await floor.deliver(floor.call("queued", "c1"), floor.call("queued", "c2"), floor.call("queued", "c3"))
    assert await floor.tick() == 0
    await floor.deliver(floor.call("abandoned", "c1"), floor.call("assigned", "c2", agent_id="ben"))
    assert await floor.tick() == 0  # one waits, one agent is free
    await floor.deliver(floor.call("abandoned", "c3"))
    assert await floor.tick() == 1


async def test_an_agent_who_was_given_a_call_is_not_idle_before_their_state_says_so(floor: Floor) -> None:
    await floor.campaign(leads=numbers(9))
    await floor.agents({"anna": "available"})
    await floor.deliver(floor.call("queued", "c1"), floor.call("assigned", "c1"))
    assert await floor.tick() == 0
    await floor.deliver(floor.call("offer_missed", "c1"), floor.call("abandoned", "c1"))
    assert await floor.tick() == 1


async def test_who_takes_several_calls_counts_while_they_could_take_a_voice_call(floor: Floor) -> None:
    await floor.campaign(leads=numbers(9))
    await floor.deliver(floor.agent("anna", "available", takes=["chat"]))
    assert await floor.tick() == 0  # available, but not for voice
    await floor.deliver(floor.agent("anna", "busy", takes=["chat"]))
    assert await floor.tick() == 0
    await floor.deliver(
        floor.agent("anna", "busy", takes=["voice", "email"]), floor.call("assigned", "mail", channel="email")
    )
    assert await floor.tick() == 1  # e-mails at hand, which voice interrupts
    (attempt,) = await floor.attempts()
    await floor.tell(attempt.attempt_id, PbxFact.BUSY)
    await floor.deliver(floor.call("assigned", "voice"))
    assert await floor.tick() == 0  # the voice call is ahead of the agent's state
    await floor.deliver(floor.call("abandoned", "voice"))
    assert await floor.tick() == 1
    await floor.deliver(floor.agent("anna", "logged_out", takes=[]))
    (_, attempt) = await floor.attempts()
    await floor.tell(attempt.attempt_id, PbxFact.BUSY)
    assert await floor.tick() == 0


async def test_only_the_newest_state_of_an_agent_counts(floor: Floor) -> None:
    await floor.campaign(leads=numbers(9))
    old = floor.event("agent.logged_in.v1", agent_id="anna", pool_id="blue", queue_ids=["sales"], state="available")
    await floor.agents({"anna": "break"})
    await floor.deliver(old)
    assert await floor.tick() == 0


async def test_campaigns_share_the_agents_of_a_pool(floor: Floor) -> None:
    await floor.campaign("one", queue_id="sales", leads=numbers(9))
    await floor.campaign("two", queue_id="care", leads=numbers(9))
    await floor.agents({"anna": "available", "ben": "available"}, queues=["care", "sales"])
    assert await floor.tick() == 2
    assert (len(await floor.attempts("one")), len(await floor.attempts("two"))) == (1, 1)
    assert await floor.tick() == 0


async def test_two_pacers_at_once_never_dial_too_many(floor: Floor, new_database_url: Callable[[], str]) -> None:
    await floor.campaign("one", queue_id="sales", leads=numbers(200))
    await floor.campaign("two", queue_id="care", leads=numbers(200))
    chance = random.Random(7)
    async with AsyncExitStack() as exits:
        replicas = [await exits.enter_async_context(Database(floor.database.url, source="dialer")) for _ in range(3)]
        kept = 0
        for _ in range(12):
            states = {f"agent-{n}": chance.choice(["available", "available", "busy"]) for n in range(8)}
            await floor.agents(states, queues=["care", "sales"])
            await asyncio.gather(*(floor.tick(replica) for replica in replicas for _ in range(2)))
            live = [a for name in ("one", "two") for a in await floor.attempts(name) if not isinstance(a.state, Ended)]
            idle = sum(state == "available" for state in states.values())
            # Dials that were started for agents who are busy by now go on; nothing is added to them.
            assert len(live) <= max(idle, kept)
            assert len({attempt.lead_id for attempt in live}) == len(live)
            for attempt in chance.sample(live, len(live) // 2):
                await floor.tell(attempt.attempt_id, chance.choice([PbxFact.BUSY, PbxFact.NO_ANSWER]))
            kept = len(live) - len(live) // 2


async def test_the_schema_refuses_a_second_live_attempt_for_a_lead(floor: Floor) -> None:
    await floor.campaign(leads=numbers(1))
    await floor.agents({"anna": "available"})
    await floor.tick()
    attempt = await floor.only()
    with pytest.raises(asyncpg.UniqueViolationError):
        async with floor.database.transaction() as session:
            await session.execute(
                "INSERT INTO attempts SELECT (jsonb_populate_record(a, jsonb_build_object('attempt_id', $1::uuid))).* "
                "FROM attempts AS a",
                attempt.lead_id,
            )


async def test_leads_are_dialled_in_their_own_hours_only(floor: Floor) -> None:
    await floor.campaign()
    await floor.load("phone,time_zone\n+33639980000,\n+33639980001,America/New_York\n+262801234567,\n")
    await floor.agents({f"agent-{n}": "available" for n in range(5)})
    # 11:00 in Paris; 13:00 on Mayotte, 14:00 on Réunion: closed in one of the two, and the number is of both.
    assert await floor.tick() == 1
    await floor.tell((await floor.only()).attempt_id, PbxFact.RINGING, PbxFact.ANSWERED)
    floor.clock.advance(3600)  # 14:00 and 15:00
    assert await floor.tick() == 1
    floor.clock.advance(4 * 3600)  # 10:00 in New York
    await floor.tick()
    phones = [attempt.phone for attempt in await floor.attempts()]
    assert phones[:2] == ["+33639980000", "+262801234567"]
    assert "+33639980001" in phones[2:]


async def test_unanswered_leads_are_dialled_again_by_rule_until_they_are_exhausted(floor: Floor) -> None:
    await floor.campaign(leads=numbers(1))
    await floor.agents({"anna": "available"})
    await floor.tick()
    await floor.tell((await floor.only()).attempt_id, PbxFact.NO_ANSWER)
    assert await floor.tick() == 0
    floor.clock.advance(59 * 60)
    assert await floor.tick() == 0
    floor.clock.advance(60)
    assert await floor.tick() == 1
    await floor.tell((await floor.attempts())[1].attempt_id, PbxFact.BUSY)
    (lead,) = await floor.leads()
    assert (lead["state"], lead["attempts"], lead["last_outcome"]) == ("exhausted", 2, "busy")
    assert await floor.tick() == 0
    *_, completed = await floor.published()
    assert isinstance(completed, CampaignCompleted)
    assert (completed.leads, completed.attempts) == (1, 2)


async def test_attempts_of_which_the_pbx_tells_nothing_have_failed(floor: Floor) -> None:
    await floor.campaign(leads=numbers(1))
    await floor.agents({"anna": "available"})
    await floor.tick()
    floor.clock.advance(39)
    await floor.tick()
    assert not isinstance((await floor.only()).state, Ended)
    floor.clock.advance(2)
    await floor.tick()
    assert (await floor.only()).state == Ended("failed", "time_out")
    assert [lead["state"] for lead in await floor.leads()] == ["pending"]
    # The PBX comes back and has somebody on the line.
    attempt = await floor.tell((await floor.only()).attempt_id, PbxFact.ANSWERED)
    assert attempt.state == Ended("failed", "time_out")
    assert [command for _, command in await floor.commands()] == ["dial", "play_abandonment_message", "hang_up"]


async def test_a_conversation_settles_the_lead_and_the_campaign_completes_once(floor: Floor) -> None:
    attempt = await floor.answered()
    about = {"attempt_id": str(attempt.attempt_id), "direction": "outbound", "call_id": "c1"}
    events = [floor.call(kind, **about) for kind in ("offered", "queued", "assigned", "answered")]
    await floor.deliver(*events)
    assert attempts.name_of((await floor.only()).state) == "connected"
    assert await floor.rows("SELECT * FROM waiting_calls") == []
    await floor.deliver(floor.call("wrapped_up", **about, disposition="sold"))
    for _ in range(3):
        await floor.tick()
    assert (await floor.only()).state == Ended("answered", "routing", "c1", "sold")
    assert [lead["state"] for lead in await floor.leads()] == ["done"]
    kinds = [type(event) for event in await floor.published()]
    assert kinds == [CampaignStarted, AttemptStarted, AttemptEnded, CampaignCompleted]
    ended = (await floor.published())[2]
    assert isinstance(ended, AttemptEnded)
    assert (ended.outcome, ended.disposition, ended.call_id) == ("answered", "sold", "c1")


async def test_an_abandoned_attempt_plays_the_message_and_lets_the_person_rest(floor: Floor) -> None:
    attempt = await floor.answered()
    about = {"attempt_id": str(attempt.attempt_id), "call_id": "c1"}
    await floor.deliver(floor.call("queued", **about), floor.call("abandoned", **about))
    commands = [command for _, command in await floor.commands()]
    assert commands == ["dial", "handed_over", "play_abandonment_message", "hang_up"]
    (lead,) = await floor.leads()
    assert lead["due_at"] == floor.clock.now() + timedelta(hours=72)
    assert lead["last_outcome"] == "abandoned"


async def test_every_event_twice_and_late_changes_nothing(floor: Floor) -> None:
    attempt = await floor.answered()
    about = {"attempt_id": str(attempt.attempt_id), "call_id": "c1"}
    story = [
        floor.call("offered", **about),
        floor.call("queued", **about),
        floor.call("assigned", **about),
        floor.call("offer_missed", **about),
        floor.call("assigned", **about, agent_id="ben"),
        floor.call("answered", **about, agent_id="ben"),
        floor.call("wrapped_up", **about, agent_id="ben", disposition="sold"),
    ]
    for event in story:
        await floor.deliver(event, event)
    ended = await floor.attempts()
    told = (await floor.commands(), await floor.published(), await floor.leads())
    # The whole story again, as after a restored Kafka, and once more backwards.
    await floor.deliver(*story)
    for event in reversed(story):
        await floor.deliver(event)
    await floor.tell(attempt.attempt_id, *PbxFact)
    assert await floor.attempts() == ended
    assert (await floor.commands(), await floor.published(), await floor.leads()) == told


async def test_attempts_of_others_are_left_alone(floor: Floor) -> None:
    for attempt_id in ("another-dialer-7", "0198c0de-0000-7000-8000-000000000000"):
        await floor.deliver(floor.call("queued", "c1", attempt_id=attempt_id), floor.call("abandoned", "c1"))
    assert await floor.published() == []


async def test_a_paused_campaign_starts_no_dial_and_finishes_what_it_began(floor: Floor) -> None:
    await floor.campaign(leads=numbers(3))
    await floor.agents({"anna": "available"})
    await floor.tick()
    async with floor.database.transaction() as session:
        await campaigns.pause(session, "renewals", floor.clock)
    attempt = await floor.tell((await floor.only()).attempt_id, PbxFact.BUSY)
    assert isinstance(attempt.state, Ended)
    assert await floor.tick() == 0


async def test_a_lowered_limit_exhausts_leads_that_are_past_it(floor: Floor) -> None:
    await floor.campaign(leads=numbers(1), max_attempts=3)
    await floor.agents({"anna": "available"})
    await floor.tick()
    await floor.tell((await floor.only()).attempt_id, PbxFact.BUSY)
    await floor.campaign(max_attempts=1)
    floor.clock.advance(3600)
    await floor.tick()
    assert [lead["state"] for lead in await floor.leads()] == ["exhausted"]
    assert len(await floor.attempts()) == 1


async def test_positions_of_dials_never_appear_behind_a_reader(floor: Floor) -> None:
    """Writers commit in the order in which they took their numbers."""
    await floor.campaign(leads=numbers(40))
    await floor.agents({f"agent-{n}": "available" for n in range(40)})
    await floor.tick()
    everyone = await floor.attempts()
    seen: list[int] = []
    done = asyncio.Event()

    async def read() -> None:
        while not done.is_set():
            rows = await floor.rows("SELECT position FROM dials WHERE position > $1 ORDER BY 1", max(seen, default=0))
            seen.extend(row[0] for row in rows)

    async def write(attempt_id: object) -> None:
        async with floor.database.transaction() as session:
            events = [floor.call("offered", f"c-{attempt_id}", attempt_id=str(attempt_id))]
            await handler(PATIENCE)(session, [floor.delivery(event) for event in events], floor.clock)
            await session.execute("SELECT pg_sleep($1)", random.Random(str(attempt_id)).random() / 50)

    for attempt in everyone:
        await floor.tell(attempt.attempt_id, PbxFact.ANSWERED)
    reader = asyncio.create_task(read())
    await asyncio.gather(*(write(attempt.attempt_id) for attempt in everyone))
    done.set()
    await reader
    everything = [row[0] for row in await floor.rows("SELECT position FROM dials ORDER BY 1")]
    assert len(everything) == 80
    assert seen == everything[: len(seen)]
