"""A floor changed while it runs: drained, edited, restored, all of it on record, and `explain` names the operator."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from common.testing import eventually
from support import Stack

from .floors import RoutingFloor, routing_floor

FLOOR = """\
pools:
  main:
    name: Main
    skills: [orders]
    agents: [{id: ada, name: Ada, skills: [orders]}, {id: ben, name: Ben, skills: [orders]}]
  side:
    name: Side
    skills: [orders]
    agents: [{id: cat, name: Cat, skills: [orders]}]
tenants:
  kettle:
    name: Kettle & Quill (invented)
    time_zone: Europe/Paris
    queues:
      orders: {pool: main, required_skills: [orders], priority: 3}
      late: {pool: main, required_skills: [orders]}
      early: {pool: main, required_skills: [orders], overflow: {queue: late, after_seconds: 1}}
"""


@pytest.fixture
async def floor(stack: Stack) -> AsyncIterator[RoutingFloor]:
    """A routing process to which the file's queues and agents were put."""
    async with routing_floor(stack, FLOOR) as made:
        yield made


async def test_a_floor_is_drained_edited_and_restored_while_calls_go_on(floor: RoutingFloor) -> None:
    """Given a queue with a call at an agent and one waiting; when the queue and that agent are drained, then a new call
    is turned away and told why, the waiting one is served by another agent, nobody is cut off, the agent is logged out
    with the reason and cannot come back before the drain is cancelled, and the queue says when it is empty; when it is
    edited and an old version put again, then the history has every version, with who."""
    await floor.post("agents/ada/log-in")
    talking = await floor.call("orders", "offered")
    await floor.tell(type="accepted", call_id=talking, agent_id="ada")
    waiting = await floor.call("orders", "queued")

    drained = await floor.post("queues/orders/drain", {"reason": "moving house"})
    assert (drained["override"]["state"], drained["override"]["by"]) == ("draining", "rose")
    await floor.post("agents/ada/drain", {"reason": "desk moves"})

    async def is_drained() -> bool:
        return await floor.refusal("agents/ada/log-in") == "drained"

    await eventually(is_drained)
    refused = await floor.call("orders", "abandoned")
    explained = await floor.get(f"calls/{refused}/explain")
    word = explained["operators_word"]
    assert (word["said"], word["by"], word["reason"]) == ("draining", "rose", "moving house")
    assert explained["words"][-1].endswith("operator rose was draining the queue: moving house.")
    live = await floor.get("queues/orders/live")
    assert (live["override"], live["is_open"], live["waiting"], live["with_agents"], live["is_empty"]) == (
        ("draining", False, 1, 1, False)
    )

    await floor.tell(type="hung_up", call_id=talking)
    assert (await floor.until("agents/ada", state="wrap_up"))["drain"]["reason"] == "desk moves"
    await floor.tell(type="wrapped_up", call_id=talking, agent_id="ada", disposition="solved")
    assert (await floor.until("agents/ada", state="logged_out"))["reason"] == "desk moves"
    assert await floor.refusal("agents/ada/log-in") == "drained"

    await floor.post("agents/ben/log-in")
    await floor.until(f"calls/{waiting}", state="offered")
    assert "ben came free" in (await floor.get(f"calls/{waiting}/explain"))["words"][-2]
    await floor.accept(waiting, "ben")
    await floor.finish(waiting, "ben")
    await floor.until("queues/orders/live", is_empty=True, override="draining")
    await floor.post("agents/ada/cancel-drain")
    await floor.post("agents/ada/log-in")
    await floor.until("agents/ada", state="available", drain=None)

    await floor.post("queues/orders/follow-hours")
    changed = await floor.operator.put(
        "/v1/queues/orders", json={"tenant_id": "kettle", "pool_id": "main", "required_skills": [], "priority": 8}
    )
    assert changed.json()["version"] == 4
    first = (await floor.get("configuration-history", kind="queue", id="orders"))["items"][-1]
    assert (first["version"], first["by"]) == (1, "olive")
    restored = await floor.operator.put("/v1/queues/orders", json=first["value"], headers={"if-match": '"4"'})
    assert (restored.json()["priority"], restored.json()["required_skills"]) == (3, ["orders"])
    history = (await floor.get("configuration-history", kind="queue", id="orders"))["items"]
    assert [(one["version"], one["action"], one["by"]) for one in history] == [
        (5, "configured", "rose"),
        (4, "configured", "rose"),
        (3, "follows_hours", "rose"),
        (2, "draining", "rose"),
        (1, "configured", "olive"),
    ]
    await floor.call("orders", "offered")


async def test_a_queue_moves_to_another_pool_while_its_calls_go_on(floor: RoutingFloor) -> None:
    """Given a queue with a call in conversation and two that wait; when it is put into another pool, then the first is
    finished by its agent, the others are served by the other pool's agent in their order, a command for each call finds
    it wherever it is, new calls arrive there, and explain says that they moved; a queue that others overflow to
    may move as well, and what they send to it goes there."""
    await floor.post("agents/ada/log-in")
    talking = await floor.call("orders", "offered")
    await floor.tell(type="accepted", call_id=talking, agent_id="ada")
    first = await floor.call("orders", "queued")
    second = await floor.call("orders", "queued")
    rules = (await floor.get("configuration-history", kind="queue", id="orders"))["items"][0]["value"]

    moved = await floor.operator.put("/v1/queues/orders", json={**rules, "pool_id": "side"})
    assert (moved.status_code, moved.json()["pool_id"]) == (200, "side"), moved.text
    await floor.until(f"calls/{first}", pool_id="side", state="queued")
    await floor.until(f"calls/{second}", pool_id="side", state="queued")
    assert (await floor.get(f"calls/{talking}"))["pool_id"] == "main"
    third = await floor.call("orders", "queued")
    await floor.until(f"calls/{third}", pool_id="side")
    explained = await floor.get(f"calls/{second}/explain")
    (removal,) = explained["removals"]
    assert (removal["queue_id"], removal["from_pool_id"], removal["to_pool_id"]) == ("orders", "main", "side")
    assert "had moved from pool main to pool side, and the call with it" in explained["words"][0]
    assert explained["waiting"]["position"] == 2

    await floor.post("agents/cat/log-in")
    await floor.until(f"calls/{first}", state="offered", agent_id="cat")
    await floor.finish(talking, "ada")
    await floor.until(f"calls/{talking}", pool_id="main")
    await floor.accept(first, "cat")
    await floor.finish(first, "cat")
    await floor.until(f"calls/{second}", state="offered", agent_id="cat")
    await floor.tell(type="hung_up", call_id=third)
    await floor.until(f"calls/{third}", state="abandoned")
    assert (await floor.get("agents/ada"))["state"] == "available", "nothing of that queue is left for her"
    history = (await floor.get("configuration-history", kind="queue", id="orders"))["items"]
    assert [(one["value"]["pool_id"], one["by"]) for one in history] == [("side", "rose"), ("main", "olive")]

    late = (await floor.get("configuration-history", kind="queue", id="late"))["items"][0]["value"]
    assert (await floor.operator.put("/v1/queues/late", json={**late, "pool_id": "side"})).status_code == 200
    await floor.post("agents/ada/log-out")
    early = await floor.call("early", "queued")
    await floor.until(f"calls/{early}", queue_id="late", pool_id="side")
