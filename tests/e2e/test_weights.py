"""Declared weights, from the floor file to `explain`: who is served first, for whom an agent is kept, and why."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from support import Stack

from .floors import RoutingFloor, routing_floor

FLOOR = """\
pools:
  main:
    name: Main
    skills: [orders, crisis, promise]
    agents:
      - {id: ada, name: Ada, skills: [orders, crisis]}
      - {id: ben, name: Ben, skills: [promise]}
tenants:
  kettle:
    name: Kettle & Quill (invented)
    time_zone: Europe/Paris
    queues:
      orders:
        pool: main
        required_skills: [orders]
        weights: {lost_call_cost: 1, calls_per_hour: 30, handling_seconds: 240, patience_seconds: 120}
      promise:
        pool: main
        required_skills: [promise]
        weights: {service_level_target: 0.8, late_call_cost: 2}
  boats:
    name: Paper Boats (invented)
    time_zone: Europe/Paris
    queues:
      crisis:
        pool: main
        required_skills: [crisis]
        weights: {lost_call_cost: 9, calls_per_hour: 30, handling_seconds: 240, patience_seconds: 120}
"""


@pytest.fixture
async def floor(stack: Stack) -> AsyncIterator[RoutingFloor]:
    """A routing process to which the file's queues and agents were put."""
    async with routing_floor(stack, FLOOR) as made:
        yield made


async def test_an_agent_is_kept_for_dearer_calls_and_explain_says_for_whose_and_at_what_price(
    floor: RoutingFloor,
) -> None:
    """Given two clients who share an agent, one of whose lost calls costs nine times the other's; when the cheap
    client's call comes first, it waits though the agent is available; the dear one's takes the agent at once, and is
    first again when they come free; and each is told why, in words and data, without the other's name. A third queue
    has a target service level and nothing else declared: what is paid to meet it is told too."""
    await floor.operator.post("/v1/agents/ada/log-in")

    cheap = await floor.call("orders", "queued")
    waits = await floor.explain(cheap)
    keeping = waits["waiting"]["keeping"]
    (crisis,) = keeping["rivals"]
    assert (crisis["queue_id"], crisis["waits"], waits["waiting"]["agents_available"]) == ("crisis", False, 1)
    assert crisis["price"] >= keeping["bid"]
    assert crisis["bid"] > keeping["bid"]
    (said,) = [sentence for sentence in waits["words"] if "kept" in sentence]
    assert said.startswith("Those available are kept for queue crisis: one available agent fewer would cost ")
    assert said.endswith(f"and this queue bids {keeping['bid']:.4g} an agent hour.")
    seen = await floor.explain(cheap, tenant="kettle")
    assert seen["waiting"]["keeping"]["rivals"] == [{**crisis, "queue_id": None, "bid": None}]
    assert any("kept for another client's calls" in sentence for sentence in seen["words"])
    assert "crisis" not in str(seen)

    first = await floor.call("crisis", "offered")
    (assignment,) = (await floor.explain(first))["assignments"]
    assert assignment["came_free"] is False
    assert assignment["bidding"]["bid"] == pytest.approx(crisis["bid"])
    assert [rival["queue_id"] for rival in assignment["bidding"]["rivals"]] == ["orders"]

    await floor.tell(type="accepted", call_id=first, agent_id="ada")
    second = await floor.call("crisis", "queued")
    await floor.tell(type="hung_up", call_id=first)
    await floor.tell(type="wrapped_up", call_id=first, agent_id="ada", disposition="solved")
    await floor.is_in(second, "offered")
    rings = await floor.explain(second)
    (assignment,) = rings["assignments"]
    (orders,) = assignment["bidding"]["rivals"]
    assert (assignment["came_free"], orders["queue_id"], orders["waits"]) == (True, "orders", True)
    assert "ada came free and took it: its queue bid " in rings["words"][0]
    assert rings["words"][0].endswith(f", more than the {orders['bid']:.4g} an agent hour of queue orders.")
    seen = await floor.explain(second, tenant="boats")
    assert seen["words"][0].endswith(", more than another client's calls.")
    await floor.is_in(cheap, "queued")

    await floor.operator.post("/v1/agents/ben/log-in")
    promised = await floor.call("promise", "offered")
    told = await floor.explain(promised)
    bidding = told["assignments"][0]["bidding"]
    assert 0 < bidding["in_time"] < bidding["bid"]
    assert f"({bidding['in_time']:.4g} an agent hour of it to answer in time)" in told["words"][0]
