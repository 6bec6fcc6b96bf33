"""What if: a pool's day simulated from its inputs under another configuration, through the real routing service."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from common.service import started
from common.testing import eventually
from plateau.client import Client
from plateau.floor import parse
from plateau.floor.resources import resources
from routing.config import Settings
from routing.main import wire
from support import Stack

FLOOR = """\
pools:
  main:
    name: Main
    skills: [orders]
    agents: [{id: ada, name: Ada, skills: [orders]}]
    shares: {lantern: {guaranteed_positions: 1}}
  side: {name: Side, skills: [orders]}
tenants:
  kettle:
    name: Kettle & Quill (invented)
    time_zone: Europe/Paris
    queues:
      orders:
        pool: main
        required_skills: [orders]
        short_abandon_seconds: 0
        callback: {mode: agent_first, ring_seconds: 60}
  lantern:
    name: Lantern (invented)
    time_zone: Europe/Paris
    queues:
      chats: {pool: main, channel: chat, required_skills: [orders], short_abandon_seconds: 0}
"""


async def test_an_agent_more_would_have_answered_the_call_that_was_lost(stack: Stack) -> None:
    """Given a floor file, applied, an agent in conversation and a caller who gave up; when the operator asks what one
    agent more, or a longer wait, would have changed, then the lost call is answered, for that tenant and queue; without
    a change nothing differs, the simulated day is the real one, wrong changes are refused as a whole by their places,
    only operators may ask, and explain still tells what really happened.

    Given also a caller who was called back, and two chats one after the other; when a tenant's share keeps the agent,
    when the agent takes two chats at a time, or when nobody is called back, then the answer says what that would have
    done to each tenant, and what it could not know; and explain tells of the callback."""
    async with started("routing", stack.settings(Settings, "routing"), wire) as running:
        await running.wiring.consumers[0].assigned.wait()
        async with running.client(stack.token("operator")) as operator, running.client(stack.token("agent")) as agent:
            async with Client({"routing": running.base_url}, stack.token("operator")) as client:
                for one in resources(parse(FLOOR)):
                    if one.service == "routing":
                        await client.put("routing", one.path, one.body)

            async def tell(**fact: Any) -> str:
                answer = await operator.post("/v1/telephony/facts", json={"facts": [fact]})
                assert answer.status_code == 202, answer.text
                return str(answer.json()["accepted"][0]["call_id"])

            async def is_in(call_id: str, state: str) -> dict[str, Any]:
                async def reached() -> dict[str, Any] | None:
                    answer = await operator.get(f"/v1/calls/{call_id}")
                    return answer.json() if answer.status_code == 200 and answer.json()["state"] == state else None

                return await eventually(reached) or {}

            async def simulate(**body: Any) -> dict[str, Any]:
                asked = await operator.post("/v1/pools/main/simulate", json=body)
                assert asked.status_code == 202, asked.text
                assert asked.json()["status"] == "waiting"

                async def over() -> dict[str, Any] | None:
                    view: dict[str, Any] = (await operator.get(f"/v1/simulations/{asked.json()['id']}")).json()
                    return view if view["status"] in ("done", "failed") else None

                found = await eventually(over) or {}
                assert (found["status"], found["progress"]) == ("done", 1), found
                result: dict[str, Any] = found["result"]
                return result

            await operator.post("/v1/agents/ada/log-in")
            first = await tell(type="offered", queue_id="orders")
            await is_in(first, "offered")
            await tell(type="accepted", call_id=first, agent_id="ada")
            spoken = await is_in(first, "talking")
            lost = await tell(type="offered", queue_id="orders")
            queued = datetime.fromisoformat((await is_in(lost, "queued"))["queued_at"])
            reacted = datetime.fromisoformat(spoken["answered_at"]) - datetime.fromisoformat(spoken["queued_at"])
            while datetime.now(UTC) - queued < 2 * reacted + timedelta(seconds=0.2):
                await asyncio.sleep(0.05)
            await tell(type="hung_up", call_id=lost)
            await is_in(lost, "abandoned")
            await tell(type="hung_up", call_id=first)
            await tell(type="wrapped_up", call_id=first, agent_id="ada", disposition="solved")
            await is_in(first, "wrapped_up")

            waits = await tell(type="offered", queue_id="chats", channel="chat")
            await is_in(waits, "offered")
            promised = await tell(type="offered", queue_id="orders", contact_phone="+33199005678")
            await is_in(promised, "queued")
            await tell(type="callback_requested", call_id=promised)
            await is_in(promised, "held_place")
            second = await tell(type="offered", queue_id="chats", channel="chat")
            await is_in(second, "queued")
            for chat in (waits, second):
                await is_in(chat, "offered")
                await tell(type="accepted", call_id=chat, agent_id="ada")
                await tell(type="hung_up", call_id=chat)
                await tell(type="wrapped_up", call_id=chat, agent_id="ada", disposition="solved")
            await is_in(promised, "offered")
            await tell(type="accepted", call_id=promised, agent_id="ada")
            await is_in(promised, "calling_back")
            await tell(type="dial_result", call_id=promised, dial_id=f"{promised}/1", outcome="answered")
            await tell(type="hung_up", call_id=promised)
            await tell(type="wrapped_up", call_id=promised, agent_id="ada", disposition="solved")
            await is_in(promised, "wrapped_up")

            same = await simulate()
            assert (same["refused_inputs"], same["calls"], same["patience_known"]) == (0, 5, 1)
            assert same["called_back"] == 1
            for line in same["lines"]:
                assert line["recorded"] == line["baseline"] == line["changed"]
                assert set(line["difference"].values()) == {0}
            more = await simulate(added_agents=[{"id": "new", "skills": {"orders": 5}}])
            lines = {(line["tenant_id"], line["queue_id"]): line for line in more["lines"]}
            assert set(lines) == {
                (None, None), ("kettle", None), ("kettle", "orders"), ("lantern", None), ("lantern", "chats")
            }  # fmt: skip
            pool, queue = lines[None, None], lines["kettle", "orders"]
            assert (queue["recorded"]["answered"], queue["recorded"]["abandoned"]) == (2, 1)
            assert queue["baseline"] == queue["recorded"]
            assert (queue["changed"]["answered"], queue["changed"]["abandoned"]) == (3, 0)
            assert queue["difference"]["service_level"] == pytest.approx(1 / 3)
            assert queue["difference"]["abandonment"] == pytest.approx(-1 / 3)
            assert pool["difference"]["occupancy"] < 0
            nobody = await simulate(queues={"orders": {"priority": 9, "required_skills": []}}, removed_agents=["ada"])
            assert nobody["lines"][0]["changed"]["answered"] == 0

            kept = await simulate(shares={"kettle": {"reserved_positions": 1}})
            by_tenant = {line["tenant_id"]: line for line in kept["lines"] if line["queue_id"] is None}
            assert (by_tenant["lantern"]["baseline"]["answered"], by_tenant["lantern"]["changed"]["answered"]) == (2, 0)
            beside = await simulate(capacities={"ada": {"voice": 1, "chat": 2}}, shares={"lantern": None})
            by_tenant = {line["tenant_id"]: line for line in beside["lines"] if line["queue_id"] is None}
            assert by_tenant["lantern"]["changed"]["answered"] == 2
            assert by_tenant["lantern"]["difference"]["asa_seconds"] < 0
            assert any("takes longer beside others is not known" in note for note in beside["notes"])
            alone = await simulate(queues={"orders": {"callback": None}})
            assert any(
                "who were called back would have borne on the line is not known" in one for one in alone["notes"]
            )
            assert alone["lines"][0]["changed"]["offered"] == 5

            wrong = await operator.post(
                "/v1/pools/main/simulate",
                json={
                    "shares": {
                        "kettle": None,
                        "lantern": {"reserved_positions": 5, "most_positions": 2},
                        "nobody": {"reserved_positions": 1},
                    },
                    "capacities": {"ada": {"voice": 2}, "eve": {"chat": 1}},
                    "queues": {"orders": {"priority": 12, "required_skills": ["greek"]}, "other": {}},
                    "agents": {"ada": {"greek": 3}},
                    "removed_agents": ["eve"],
                    "added_agents": [{"id": "ada", "shifts_of": "eve"}],
                },
            )
            assert wrong.status_code == 422
            assert [error["field"] for error in wrong.json()["errors"]] == [
                "queues.orders.priority",
                "queues.other",
                "agents.ada",
                "capacities.ada.voice",
                "capacities.eve",
                "shares.kettle",
                "shares.lantern.reserved_positions",
                "shares.nobody",
                "removed_agents.0",
                "added_agents.0.id",
                "added_agents.0.shifts_of",
            ]
            unknown = {"queues": {"orders": {"required_skills": ["greek"], "requirement": "dutch"}}}
            refused = (await operator.post("/v1/pools/main/simulate", json=unknown)).json()["errors"]
            assert {error["field"] for error in refused} == {
                "queues.orders.required_skills",
                "queues.orders.requirement",
            }
            assert (await operator.post("/v1/pools/none/simulate", json={})).status_code == 404
            assert (await agent.post("/v1/pools/main/simulate", json={})).status_code == 403
            async with running.client(stack.token("operator", tenant="kettle")) as owner:
                assert (await owner.post("/v1/pools/main/simulate", json={})).status_code == 403
            explained = (await operator.get(f"/v1/calls/{lost}/explain")).json()
            assert explained["words"][-1].startswith("The caller hung up at")
            explained = (await operator.get(f"/v1/calls/{promised}/explain")).json()
            assert any("hung up to be called back, agent first" in said for said in explained["words"])
