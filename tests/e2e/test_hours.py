"""When: public holidays, the client's time zone, cover that follows the sites by the hour, and closed queues."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from support import Stack

from .floors import TimedFloor, daily, timed_floor

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

FLOOR = f"""\
sites:
  lyon: {{name: Lyon, time_zone: Europe/Paris}}
  quebec: {{name: Quebec, time_zone: America/Toronto}}
  noumea: {{name: Noumea, time_zone: Pacific/Noumea}}
pools:
  shop: {{name: Shop, agents: [{{id: dan, name: Dan}}]}}
  world:
    name: World
    agents:
      - {{id: lea, name: Lea, site: lyon}}
      - {{id: max, name: Max, site: quebec}}
      - {{id: noe, name: Noe, site: noumea}}
  late: {{name: Late, skills: [day, night], agents: [{{id: nell, name: Nell, skills: [night]}}]}}
tenants:
  kettle:
    name: Kettle & Quill (invented)
    time_zone: Europe/Paris
    queues:
      paris: {{pool: shop, hours: {{week: {daily("00:00", "24:00")}, holidays: FR-national}}}}
      round:
        pool: world
        cover:
          - {{sites: [lyon], hours: {{week: {daily("08:00", "16:00")}}}}}
          - {{sites: [quebec], hours: {{week: {daily("10:00", "18:00")}}}}}
          - {{sites: [noumea], hours: {{week: {daily("10:00", "18:00")}}}}}
      after: {{pool: late, required_skills: [night]}}
      day:
        pool: late
        required_skills: [day]
        hours: {{week: {daily("09:00", "17:00")}}}
        overflows: [{{when: {{type: closed, waiting: true}}, to: {{type: queue, queue_id: after}}}}]
  harbour:
    name: Harbour (invented)
    time_zone: America/New_York
    queues:
      new-york: {{pool: shop, hours: {{week: {daily("09:00", "17:00")}, holidays: US-NY}}}}
"""


@pytest.fixture(scope="module")
async def floor(shared_stack: Stack) -> AsyncIterator[TimedFloor]:
    """A routing process to which the file's sites, queues and agents were put."""
    async with timed_floor(shared_stack, FLOOR, START) as made:
        yield made


async def is_turned_away(floor: TimedFloor, queue_id: str) -> None:
    """The queue is closed: whoever calls is told so, and `explain` says it."""
    assert not (await floor.get(f"queues/{queue_id}/live"))["is_open"]
    call_id = await floor.call(queue_id, "abandoned")
    explained = await floor.explain(call_id)
    assert [(move["when"]["type"], move["to"]) for move in explained["moves"]] == [
        ("closed", {"type": "message", "message": "closed"})
    ]
    assert f"a rule of queue {queue_id} sent it to message closed: the queue was closed." in explained["words"][0]
    at = floor.clock.now().isoformat(timespec="seconds")
    assert explained["words"][-1] == f"The queue was closed at {at}, before it was offered to an agent."


async def is_served(floor: TimedFloor, queue_id: str, agent_id: str) -> None:
    """The queue is open: whoever calls is offered to the agent."""
    assert (await floor.get(f"queues/{queue_id}/live"))["is_open"]
    call_id = await floor.call(queue_id, "offered")
    assert f"{agent_id} was offered the call" in await floor.words(call_id)
    await floor.accept(call_id, agent_id)
    await floor.finish(call_id, agent_id)


async def test_a_queue_is_closed_on_a_public_holiday_of_its_country(floor: TimedFloor) -> None:
    """Given a queue in Paris that is open day and night but on France's public holidays; when somebody calls in the
    last minute before the 14th of July in Paris, when it has begun, in its last minute, and when it is over; then the
    first and the last are served, the others are told that it is closed, and `explain` says which."""
    await floor.log_in("dan")
    floor.until_it_is("07-13 23:59", "Europe/Paris")
    await is_served(floor, "paris", "dan")
    floor.later(60)
    await is_turned_away(floor, "paris")
    floor.until_it_is("23:59", "Europe/Paris")
    await is_turned_away(floor, "paris")
    floor.later(60)
    await is_served(floor, "paris", "dan")
    await floor.post("agents/dan/log-out")


async def test_a_queue_opens_and_closes_by_the_clock_of_its_client(floor: TimedFloor) -> None:
    """Given a client in New York whose queue is open from 9 to 17 but on the public holidays there; when somebody calls
    in the minutes before and at 9, before and at 17 of New York, then they are served from 9 to 17 of that clock, and
    `explain` says who found it closed; so they are on the 14th of July, but not on the 4th."""
    await floor.log_in("dan")
    floor.until_it_is("07-04 12:00", "America/New_York")
    await is_turned_away(floor, "new-york")
    floor.until_it_is("07-14 08:59", "America/New_York")
    await is_turned_away(floor, "new-york")
    floor.later(60)
    await is_served(floor, "new-york", "dan")
    floor.until_it_is("16:59", "America/New_York")
    await is_served(floor, "new-york", "dan")
    floor.later(60)
    await is_turned_away(floor, "new-york")
    await floor.post("agents/dan/log-out")


async def test_cover_follows_the_sites_round_the_clock(floor: TimedFloor) -> None:
    """Given a queue that Lyon covers from 8 to 16, Quebec and Noumea from 10 to 18 of their own clocks, and an agent of
    each; when calls come over a winter's day; then each goes to the site whose hour it is, as `explain` says; who waits
    for an agent of Lyon at 16 is served by Quebec at that moment."""
    await floor.log_in("lea", "max", "noe")
    for moment, time_zone, agent_id, site in (
        ("12-08 08:00", "Europe/Paris", "lea", "lyon"),
        ("10:00", "America/Toronto", "max", "quebec"),
        ("17:59", "America/Toronto", "max", "quebec"),
        ("10:00", "Pacific/Noumea", "noe", "noumea"),
        ("17:59", "Pacific/Noumea", "noe", "noumea"),
    ):
        floor.until_it_is(moment, time_zone)
        call_id = await floor.call("round", "offered")
        (assignment,) = (await floor.explain(call_id))["assignments"]
        assert (assignment["agent_id"], assignment["requirement"]) == (agent_id, f"site:{site}")
        said = f"which asked for 'site:{site}', {agent_id} was offered the call: the only available agent"
        assert said in await floor.words(call_id)
        await floor.accept(call_id, agent_id)
        await floor.finish(call_id, agent_id)

    floor.until_it_is("15:59", "Europe/Paris")
    spoken = await floor.call("round", "offered")
    await floor.accept(spoken, "lea")
    waits = await floor.call("round", "queued")
    assert "the queue asks for 'site:lyon'." in await floor.words(waits)
    assert (await floor.explain(waits))["waiting"]["agents_available"] == 0
    floor.later(60)
    await floor.accept(waits, "max")
    (assignment,) = (await floor.explain(waits))["assignments"]
    assert (assignment["requirement"], assignment["waited_seconds"]) == ("site:quebec", 60)
    assert "After 60 s in queue round, which asked for 'site:quebec', max was" in await floor.words(waits)


async def test_a_closed_queue_sends_its_calls_to_another_one(floor: TimedFloor) -> None:
    """Given a queue that is open from 9 to 17 and has no agent, and the rule that its calls go to another queue when it
    is closed, also those that wait; when one waits at 17, and another comes then; then both are at the other queue, the
    one with its waiting time, and `explain` names the rule."""
    floor.until_it_is("16:59", "Europe/Paris")
    waits = await floor.call("day", "queued")
    assert (await floor.get(f"calls/{waits}"))["queue_id"] == "day"
    floor.later(60)
    comes = await floor.call("day", "queued")
    for call_id, position in ((waits, 1), (comes, 2)):
        await floor.is_in(call_id, "queued", queue_id="after", position=position)
        explained = await floor.explain(call_id)
        assert [(move["when"]["type"], move["to"]["queue_id"]) for move in explained["moves"]] == [("closed", "after")]
        assert "a rule of queue day sent it to queue after: the queue was closed." in explained["words"][0]
    await floor.post("agents/nell/log-in")
    await floor.accept(waits, "nell")
    assert "in queue after, which asked for 'night', nell came free" in await floor.words(waits)
