"""What if: a pool's day simulated from its inputs under another configuration, through the real routing service."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

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
  side: {name: Side, skills: [orders]}
tenants:
  kettle:
    name: Kettle & Quill (invented)
    time_zone: Europe/Paris
    queues:
      orders: {pool: main, required_skills: [orders], short_abandon_seconds: 0}
"""


async def test_an_agent_more_would_have_answered_the_call_that_was_lost(stack: Stack) -> None:
    """Given a floor file, applied, an agent in conversation and a caller who gave up; when the operator asks what one
    agent more, or a longer wait, would have changed, then the lost call is answered, for that tenant and queue; without
    a change nothing differs, the simulated day is the real one, wrong changes are refused as a whole by their places,
    only operators may ask, and explain still tells what really happened."""
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

                found = await eventually(over, timeout=60) or {}
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

            same = await simulate()
            assert (same["refused_inputs"], same["calls"], same["patience_known"]) == (0, 2, 1)
            for line in same["lines"]:
                assert line["recorded"] == line["baseline"] == line["changed"]
                assert set(line["difference"].values()) == {0}
            more = await simulate(added_agents=[{"id": "new", "skills": {"orders": 5}}])
            lines = {(line["tenant_id"], line["queue_id"]): line for line in more["lines"]}
            assert set(lines) == {(None, None), ("kettle", None), ("kettle", "orders")}
            pool, queue = lines[None, None], lines["kettle", "orders"]
            assert (queue["recorded"]["answered"], queue["recorded"]["abandoned"]) == (1, 1)
            assert queue["baseline"] == queue["recorded"]
            assert (queue["changed"]["answered"], queue["changed"]["abandoned"]) == (2, 0)
            assert (queue["difference"]["service_level"], queue["difference"]["abandonment"]) == (0.5, -0.5)
            assert pool["difference"]["occupancy"] < 0
            nobody = await simulate(queues={"orders": {"priority": 9, "required_skills": []}}, removed_agents=["ada"])
            assert nobody["lines"][0]["changed"]["answered"] == 0

            wrong = await operator.post(
                "/v1/pools/main/simulate",
                json={
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
