"""Whose agents: guarantees, limits, reservations that lapse, and a burst by its schedule."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from support import Stack

from .floors import TimedFloor, daily, timed_floor

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
FLOOR = f"""\
pools:
  owed:
    name: Owed
    agents: [{{id: ann, name: Ann}}, {{id: bob, name: Bob}}]
    shares: {{lamp: {{guaranteed_positions: 1}}}}
  kept:
    name: Kept
    agents: [{{id: rae, name: Rae}}]
    shares: {{lamp: {{reserved_positions: 1, release_after_seconds: 30}}}}
  limited:
    name: Limited
    agents: [{{id: mia, name: Mia}}, {{id: moe, name: Moe}}]
    shares: {{lamp: {{most_positions: 1}}}}
  burst:
    name: Burst
    agents: [{{id: una, name: Una}}]
    shares: {{lamp: {{burst: {{reserved_positions: 1, hours: {{week: {daily("10:00", "11:00")}}}}}}}}}
tenants:
  kettle:
    name: Kettle & Quill (invented)
    time_zone: Europe/Paris
    queues:
      kettle-owed: {{pool: owed}}
      kettle-kept: {{pool: kept}}
      kettle-limited: {{pool: limited}}
      kettle-burst: {{pool: burst}}
  lamp:
    name: Lamp & Sons (invented)
    time_zone: America/New_York
    queues:
      lamp-owed: {{pool: owed}}
      lamp-kept: {{pool: kept}}
      lamp-limited: {{pool: limited}}
      lamp-burst: {{pool: burst}}
"""


@pytest.fixture(scope="module")
async def floor(shared_stack: Stack) -> AsyncIterator[TimedFloor]:
    """A routing process to which the file's shares, queues and agents were put."""
    async with timed_floor(shared_stack, FLOOR, START) as made:
        yield made


async def test_a_client_below_its_guarantee_comes_first_when_an_agent_comes_free(floor: TimedFloor) -> None:
    """Given a client who is guaranteed one of two agents, and another one whose calls have taken both; when a third of
    those waits, then a call of the first client, and an agent comes free; then that one is theirs though it came later,
    as `explain` says; the next agent who comes free takes the call that has waited, for the guarantee is met."""
    await floor.log_in("ann", "bob")
    spoken = {}
    for _ in range(2):
        call_id = await floor.call("kettle-owed", "offered")
        agent_id = (await floor.get(f"calls/{call_id}"))["agent_id"]
        await floor.accept(call_id, agent_id)
        spoken[agent_id] = call_id
    earlier = await floor.call("kettle-owed", "queued")
    floor.later(5)
    owed = await floor.call("lamp-owed", "queued")

    await floor.finish(spoken["ann"], "ann")
    await floor.accept(owed, "ann")
    await floor.is_in(earlier, "queued")
    assert (await floor.explain(owed))["assignments"][0]["share"] == "guaranteed"
    said = "ann came free, and this went before calls that were first: fewer agents served its client than it is"
    assert f"{said} guaranteed." in await floor.words(owed)
    await floor.call("lamp-owed", "queued")
    await floor.finish(spoken["bob"], "bob")
    await floor.accept(earlier, "bob")
    assert (await floor.explain(earlier))["assignments"][0]["share"] is None


async def test_a_reservation_gives_way_to_who_has_waited_long_enough(floor: TimedFloor) -> None:
    """Given an agent who is kept for a client, until another's call has waited 30 seconds; when one comes, then it
    waits, and `explain` says for whom the agent is kept, but not to the other client; after 30 seconds it is offered to
    the agent, and `explain` says why."""
    await floor.log_in("rae")
    other = await floor.call("kettle-kept", "queued")
    explained = await floor.explain(other)
    assert (explained["waiting"]["kept_for"], explained["waiting"]["agents_available"]) == (["lamp"], 1)
    kept = "An available agent who may serve it is kept for client lamp by a reservation."
    assert kept in explained["words"]
    seen = await floor.explain(other, tenant="kettle")
    assert (seen["waiting"]["kept_by_reservation"], seen["waiting"]["kept_for"]) == (True, None)
    assert kept.replace("client lamp", "another client") in seen["words"]

    floor.later(40)
    await floor.accept(other, "rae")
    (assignment,) = (await floor.explain(other))["assignments"]
    assert (assignment["share"], assignment["waited_seconds"]) == ("released", 30)
    said = "rae, who was kept for another client by a reservation, was offered the call: it had waited long enough"
    assert f"{said} to be let through." in await floor.words(other)


async def test_a_client_has_no_more_agents_than_its_share_allows(floor: TimedFloor) -> None:
    """Given a client who may have one of two agents; when two of its calls come, then the second waits beside an agent
    who is available, and `explain` says why; that one serves another client; when the first is over, the second is
    served."""
    await floor.log_in("mia", "moe")
    first = await floor.call("lamp-limited", "offered")
    await floor.accept(first, "mia")
    second = await floor.call("lamp-limited", "queued")
    waiting = (await floor.explain(second))["waiting"]
    assert (waiting["most_positions_reached"], waiting["agents_available"]) == (True, 1)
    assert "As many agents serve its client as its share of the pool allows." in await floor.words(second)
    other = await floor.call("kettle-limited", "offered")
    await floor.accept(other, "moe")

    await floor.finish(other, "moe")
    await floor.is_in(second, "queued")
    assert (await floor.get("agents/moe"))["state"] == "available"
    await floor.finish(first, "mia")
    await floor.is_in(second, "offered")


async def test_a_burst_is_switched_by_its_schedule_in_the_clients_time_zone(floor: TimedFloor) -> None:
    """Given a client in New York for whom an agent is kept from 10 to 11 there; when another client's call comes a
    minute before, then it takes the agent; when it comes at 10, then it waits, the client's own takes the agent, and
    `explain` says for whom they are kept and why they went; at 11 the one that waits takes them."""
    share = "pools/burst/shares/lamp"
    floor.until_it_is("09:59", "America/New_York")
    await floor.log_in("una")
    before = await floor.call("kettle-burst", "offered")
    await floor.tell(type="hung_up", call_id=before)
    await floor.is_in(before, "abandoned")
    assert not (await floor.get(share))["live"]["burst_is_on"]

    floor.later(60)
    waits = await floor.call("kettle-burst", "queued")
    assert (await floor.get(share))["live"] == {"burst_is_on": True, "serving": 0, "available": 1, "shortfall": 1}
    said = "An available agent who may serve it is kept for client lamp by a reservation."
    assert said in await floor.words(waits)
    own = await floor.call("lamp-burst", "offered")
    assert (await floor.explain(own))["assignments"][0]["share"] == "reserved"
    assert "una was offered the call: they were kept for its client by a reservation." in await floor.words(own)
    await floor.accept(own, "una")
    await floor.finish(own, "una")
    assert said in await floor.words(waits)

    floor.later(3600)
    await floor.accept(waits, "una")
    assert not (await floor.get(share))["live"]["burst_is_on"]
    assert (await floor.explain(waits))["assignments"][0]["waited_seconds"] == 3600
    assert "After 3600 s in queue kettle-burst" in await floor.words(waits)
