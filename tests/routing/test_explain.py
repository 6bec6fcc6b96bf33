"""Why this agent, why this wait: noted with each decision, told in words and data."""

from __future__ import annotations

from common.ids import new_id
from routing.domain import explanation
from routing.domain.agents import Agent
from routing.domain.calls import Call
from routing.domain.configuration import AgentProfile, Queue, Relaxation, ToQueue

from .conftest import Routing
from .floors import Floor, at, profile, queue


def told(floor: Floor, call_id: str, seconds: float, rules: Queue) -> tuple[explanation.Waiting | None, list[str]]:
    call: Call = floor.pool.calls[call_id]
    staff: list[tuple[AgentProfile, Agent]] = [(one, floor.agent(one.id)) for one in floor.pool.profiles]
    standing = explanation.waiting(call, rules, floor.pool.waiting_in(rules.id), staff, at(seconds))
    return standing, explanation.words(call, standing)


def test_each_assignment_notes_what_was_known_then() -> None:
    floor = Floor(
        queue("help", requirement="french >= 5", agent_order="best_level"),
        profile("ann", french=6),
        profile("ben", french=9),
        profile("cat", french=6),
        profile("dan", french=4),
    )
    floor.log_in(0, "ann", "ben", "cat", "dan")
    floor.call(1, "c1", "help")
    (first,) = floor.pool.calls["c1"].assignments
    assert (first.agent_id, first.agents, first.groups, first.ahead, first.waited_seconds) == ("ben", 3, 2, 0, 0)
    assert (first.requirement, first.order, first.ring, first.came_free) == ("french >= 5", "best_level", 0, False)
    floor.call(2, "c2", "help")
    floor.call(3, "c3", "help")
    floor.call(4, "c4", "help")
    floor.call(5, "c5", "help")
    floor.accept(6, "c1", "ben")
    floor.hang_up(7, "c1")
    floor.wrap_up(8, "c1", "ben")
    (free,) = floor.pool.calls["c4"].assignments
    assert (free.agent_id, free.came_free, free.agents, free.ahead, free.waited_seconds) == ("ben", True, 1, 0, 4)
    assert explanation.words(floor.pool.calls["c4"], None)[0] == (
        "After 4 s in queue help, which asked for 'french >= 5', ben came free, and this was the first of the calls "
        "that they may serve."
    )
    floor.decline(9, "c4", "ben")
    assert len(floor.pool.calls["c4"].assignments) == 1
    floor.hang_up(9, "c4")
    assert [call.id for call in floor.pool.waiting_in("help")] == ["c5"]


def test_a_waiting_call_is_told_its_position_and_what_comes_next() -> None:
    rules = queue(
        "help",
        requirement="french >= 5",
        relaxations=(Relaxation(30, "french"),),
        overflow=("other", 60),
        max_wait_seconds=90,
    )
    floor = Floor(queue("other"), rules, profile("ann", french=6), profile("ben", french=9), profile("dan", french=4))
    floor.log_in(0, "ann", "dan")
    floor.set_state(0, "ann", "break")
    floor.call(1, "c1", "help")
    floor.call(2, "c2", "help")
    standing, said = told(floor, "c2", 12, rules)
    assert standing == explanation.Waiting(
        queue_id="help",
        ring=0,
        requirement="french >= 5",
        position=2,
        waited_seconds=10,
        agents_logged_in=1,
        agents_available=0,
        widens_at=at(32),
        next_requirement="french >= 5 or french",
        overflow_at=at(62),
        overflow_queue_id="other",
        overflow_to=ToQueue("other"),
        limit_at=at(92),
        alone_until=None,
        preferred_agent_id=None,
    )
    assert said == [
        "It has waited 10 s in queue help, at position 2; the queue asks for 'french >= 5'.",
        "Agents who may serve it: 1 logged in, 0 available.",
        "From 2026-03-02T09:00:32+00:00 on it may be served by agents with 'french >= 5 or french'.",
        "At 2026-03-02T09:01:02+00:00 it overflows to queue other.",
        "It is given up at 2026-03-02T09:01:32+00:00.",
    ]


async def test_a_call_is_explained_to_those_who_see_it(routing: Routing) -> None:
    """Given a call that waits; when its agent comes free; then both are explained, and to nobody who sees it not."""
    await routing.floor("ann", "ben", requirement="french >= 5", agent_order="fastest")
    call_id = (await routing.post("calls", {"queue_id": "help"}))["call_id"]
    await routing.call_is(call_id, "queued")
    waits = (await routing.operator.get(f"/v1/calls/{call_id}/explain")).json()
    assert (waits["state"], waits["assignments"]) == ("queued", [])
    assert (waits["waiting"]["position"], waits["waiting"]["agents_logged_in"]) == (1, 0)
    tenant = await routing.client("tenant", "owner", tenant="kettle")
    seen = (await tenant.get(f"/v1/calls/{call_id}/explain")).json()
    assert (seen["waiting"]["position"], seen["waiting"]["agents_logged_in"]) == (1, None)
    ann, ben = await routing.client("agent", "ann"), await routing.client("agent", "ben")
    assert (await ann.get(f"/v1/calls/{call_id}/explain")).status_code == 404
    await routing.post("agents/ann/log-in")
    await routing.call_is(call_id, "offered")
    rings = (await ann.get(f"/v1/calls/{call_id}/explain")).json()
    (assignment,) = rings["assignments"]
    assert (assignment["agent_id"], assignment["came_free"], assignment["order"]) == ("ann", True, "fastest")
    assert assignment["requirement"] == "french >= 5"
    assert rings["waiting"] is None
    assert "ann came free" in rings["words"][0]
    other = await routing.client("tenant", "other", tenant="other")
    for client, path in ((ben, call_id), (other, call_id), (ann, f"{new_id()}.help")):
        assert (await client.get(f"/v1/calls/{path}/explain")).status_code == 404


async def test_a_call_waits_for_the_agent_it_should_go_to(routing: Routing) -> None:
    """Given an agent on a break; when a call prefers them and another is available; then it waits for them alone."""
    await routing.floor("ann", "ben", sticky_seconds=60)
    await routing.post("agents/ann/log-in", {"state": "break"})
    await routing.post("agents/ben/log-in")
    await routing.agent_is("ben", "available")
    offered = {"type": "offered", "queue_id": "help", "preferred_agent_id": "ann"}
    call_id = (await routing.post("telephony/facts", {"facts": [offered]}))["accepted"][0]["call_id"]
    await routing.call_is(call_id, "queued")
    waits = (await routing.operator.get(f"/v1/calls/{call_id}/explain")).json()
    assert waits["waiting"]["preferred_agent_id"] == "ann"
    assert any("waits for ann alone" in sentence for sentence in waits["words"])
    await routing.post("agents/ann/state", {"state": "available"})
    assert (await routing.call_is(call_id, "offered"))["agent_id"] == "ann"
    rings = (await routing.operator.get(f"/v1/calls/{call_id}/explain")).json()
    assert rings["assignments"][0]["preferred"] is True
