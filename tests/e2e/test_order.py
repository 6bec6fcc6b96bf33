"""Who is first: the order of calls, the order of agents, and what keeps an agent from the next call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from support import Stack

from .floors import TimedFloor, timed_floor

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
FLOOR = """\
pools:
  ageing: {name: Ageing, agents: [{id: ava, name: Ava}]}
  orders:
    name: Orders
    skills: [parcels, letters]
    agents:
      - {id: fay, name: Fay, skills: [parcels]}
      - {id: gus, name: Gus, skills: [parcels, letters]}
  sticky: {name: Sticky, agents: [{id: sam, name: Sam}, {id: tia, name: Tia}]}
  post: {name: Post, agents: [{id: pia, name: Pia, capacity: {voice: 1, post: 2}}]}
  desk: {name: Desk, agents: [{id: wes, name: Wes}]}
tenants:
  kettle:
    name: Kettle & Quill (invented)
    time_zone: Europe/Paris
    queues:
      gold: {pool: ageing, priority: 7, ageing_seconds_per_priority: 60}
      plain: {pool: ageing, priority: 5, ageing_seconds_per_priority: 60}
      idle: {pool: orders, required_skills: [parcels], agent_order: longest_idle}
      narrow: {pool: orders, required_skills: [parcels], agent_order: least_flexible}
      quick: {pool: orders, required_skills: [parcels], agent_order: fastest}
      regulars: {pool: sticky, sticky_seconds: 60}
      letters: {pool: post, channel: post}
      phone: {pool: post}
      first: {pool: desk, wrap_up_seconds: 45}
      second: {pool: desk}
"""


@pytest.fixture(scope="module")
async def floor(shared_stack: Stack) -> AsyncIterator[TimedFloor]:
    """A routing process to which the file's queues and agents were put."""
    async with timed_floor(shared_stack, FLOOR, START) as made:
        yield made


async def test_the_priority_of_queues_and_the_waiting_time_decide_between_calls(floor: TimedFloor) -> None:
    """Given two queues of an agent who is busy, the priority of one 2 above that of the other, which a call makes up by
    waiting 2 minutes; when calls of the dearer queue come 1 minute and 130 seconds after one of the other; then the
    agent is offered the first of the two before it and the second after it, and `explain` says what each waited."""
    await floor.log_in("ava")
    busy_with = await floor.call("plain", "offered")
    await floor.accept(busy_with, "ava")
    plain = await floor.call("plain", "queued")
    floor.later(60)
    soon = await floor.call("gold", "queued")
    floor.later(70)
    late = await floor.call("gold", "queued")
    floor.later(20)

    waited = []
    for call_id in (soon, plain, late):
        await floor.finish(busy_with, "ava")
        await floor.accept(call_id, "ava")
        explained = await floor.explain(call_id)
        assert "ava came free, and this was the first of the calls that they may serve." in explained["words"][0]
        waited.append(explained["assignments"][0]["waited_seconds"])
        busy_with = call_id
    assert waited == [90, 150, 20]
    await floor.finish(busy_with, "ava")


async def test_the_queue_says_by_which_order_one_of_several_agents_is_chosen(floor: TimedFloor) -> None:
    """Given two agents, of whom gus has one skill more and has been available for longer, and three queues that they
    may serve; when a call comes to each; then the first goes to the longest idle, the second to the one with the fewest
    skills though idle for less, and the third to the one who handles calls faster though idle for less and with more
    skills; and `explain` says by which order."""

    async def chosen(call_id: str) -> tuple[str, str]:
        (assignment,) = (await floor.explain(call_id))["assignments"]
        said = (await floor.words(call_id)).splitlines()[0]
        return assignment["agent_id"], said.partition("was offered the call: ")[2]

    async def handled(agent_id: str, seconds: float) -> None:
        """A call takes the agent, who has been idle for longest, so long."""
        call_id = await floor.call("idle", "offered")
        assert await chosen(call_id) == (agent_id, "first of 2 available agents by the longest idle.")
        await floor.accept(call_id, agent_id)
        floor.later(seconds)
        await floor.finish(call_id, agent_id)
        floor.later(1)

    await floor.log_in("gus")
    floor.later(1)
    await floor.log_in("fay")
    floor.later(1)
    await handled("gus", 60)
    await handled("fay", 300)

    narrow = await floor.call("narrow", "offered")
    assert await chosen(narrow) == ("fay", "first of 2 available agents by the fewest skills.")
    await floor.tell(type="hung_up", call_id=narrow)
    await floor.is_in(narrow, "abandoned")

    await handled("gus", 60)
    quick = await floor.call("quick", "offered")
    assert await chosen(quick) == ("gus", "first of 2 available agents by the shortest mean handling time.")


async def test_after_the_sticky_time_another_agent_serves(floor: TimedFloor) -> None:
    """Given a queue whose callers wait 60 seconds for the agent they ask for, who is busy, and another who is
    available; when a caller asks for the first one, then `explain` says until when it waits for them alone; when the
    minute is over, then the other one serves the call at that moment, and `explain` says so."""
    await floor.log_in("sam")
    await floor.accept(await floor.call("regulars", "offered"), "sam")
    await floor.log_in("tia")
    asked = await floor.call("regulars", "queued", preferred_agent_id="sam")
    explained = await floor.explain(asked)
    assert datetime.fromisoformat(explained["waiting"]["alone_until"]) == floor.clock.now() + timedelta(seconds=60)
    assert explained["waiting"]["agents_available"] == 1
    assert any(said.endswith("it waits for sam alone.") for said in explained["words"])

    floor.later(70)
    await floor.accept(asked, "tia")
    (assignment,) = (await floor.explain(asked))["assignments"]
    assert (assignment["waited_seconds"], assignment["preferred"], assignment["came_free"]) == (60, False, False)
    assert "After 60 s in queue regulars" in await floor.words(asked)
    assert "tia was offered the call: the only available agent who may serve it." in await floor.words(asked)


async def test_an_agent_has_as_many_letters_at_once_as_declared(floor: TimedFloor) -> None:
    """Given an agent who takes two letters at a time, or one voice call; when three letters and a voice call come; then
    two letters are theirs at once, and the others wait; when one letter is done, then the third is offered beside the
    other; the voice call comes after them all; and `explain` says how many they had."""
    await floor.log_in("pia")
    letters = [await floor.call("letters", state, channel="post") for state in ("offered", "offered", "queued")]
    for call_id in letters[:2]:
        await floor.accept(call_id, "pia")
    spoken = await floor.call("phone", "queued")
    pia = await floor.get("agents/pia")
    assert [(one["call_id"], one["channel"]) for one in pia["calls"]] == [(letters[0], "post"), (letters[1], "post")]
    assert pia["takes"] == []
    assert "pia had 1 of at most 2 letters then." in await floor.words(letters[1])
    assert "Agents who may serve it: 1 logged in, 0 available." in await floor.words(letters[2])

    await floor.finish(letters[0], "pia")
    await floor.accept(letters[2], "pia")
    assert "pia had 1 of at most 2 letters then." in await floor.words(letters[2])
    await floor.finish(letters[1], "pia")
    await floor.is_in(spoken, "queued")
    await floor.finish(letters[2], "pia")
    await floor.accept(spoken, "pia")
    assert "pia had 0 of at most 1 voice calls then." in await floor.words(spoken)


async def test_wrap_up_keeps_an_agent_from_calls_of_their_other_queues(floor: TimedFloor) -> None:
    """Given an agent of two queues, one with 45 seconds for the wrap-up, who speaks with a caller of that one; when a
    call comes to the other queue, and the first caller hangs up 10 seconds later; then it waits all through the
    wrap-up, as `explain` says, and is theirs the moment that this is over."""
    await floor.log_in("wes")
    spoken = await floor.call("first", "offered")
    await floor.accept(spoken, "wes")
    waits = await floor.call("second", "queued")
    floor.later(10)
    await floor.tell(type="hung_up", call_id=spoken)
    await floor.is_in(spoken, "wrapping_up")
    floor.later(44)
    explained = await floor.explain(waits)
    assert (explained["state"], explained["waiting"]["waited_seconds"]) == ("queued", 54)
    assert "Agents who may serve it: 1 logged in, 0 available." in explained["words"]
    wes = await floor.get("agents/wes")
    assert (wes["state"], wes["call_id"]) == ("wrap_up", spoken)

    floor.later(10)
    await floor.accept(waits, "wes")
    (assignment,) = (await floor.explain(waits))["assignments"]
    assert (assignment["waited_seconds"], assignment["came_free"]) == (55, True)
    assert "After 55 s in queue second" in await floor.words(waits)
