"""Where else: sites that go down, and a partner's share, from the floor file to the explanation and the figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common.testing import eventually
from plateau.checker.figures import settled
from plateau.client import Client
from plateau.floor import parse
from plateau.floor.apply import apply, plan
from plateau.floor.export import export
from plateau.stack import running_stack
from plateau.state import State

FLOOR = """\
sites:
  lyon: {name: Lyon, time_zone: Europe/Paris}
  faro: {name: Faro, time_zone: Europe/Lisbon}
pools:
  main:
    name: Main
    skills: [help]
    agents:
      - {id: ada, name: Ada, site: lyon, skills: {help: 5}}
      - {id: eva, name: Eva, site: faro, skills: {help: 5}}
tenants:
  kettle:
    name: Kettle & Quill (invented)
    time_zone: Europe/Paris
    closing_dispositions: [solved]
    tariff: {price_per_closed_case: "4.20"}
    directory: {partner: "+33199000987"}
    queues:
      shared:
        pool: main
        required_skills: [help]
        split:
          - {percent: 70, to: {type: stay}}
          - {percent: 30, to: {type: number, name: partner}}
      help:
        pool: main
        required_skills: [help]
        cover: [{sites: [lyon]}]
        overflows:
          - {when: {type: site_down, site_id: lyon, waiting: true}, to: {type: site, site_id: faro}}
"""


async def test_calls_go_where_the_rules_say(tmp_path: Path) -> None:
    """Given a queue that one site covers, and the rule that another one takes its calls while that is down; when the
    site goes down while a call rings there; then the other site answers it, the first one serves again once it is up,
    and `explain` names the rule and the site. Given a queue that shares 70 to 30 with a partner's number; when ten
    calls come; then three go there, `explain` names the share, and KPI counts them once."""
    async with running_stack(State(tmp_path), speed=1.0) as stack, Client(stack.urls, stack.token()) as client:
        await apply(client, await plan(client, parse(FLOOR)))
        assert (await plan(client, parse(FLOOR))).pending == ()
        assert (await plan(client, parse(await export(client)))).pending == ()

        async def offered(queue_id: str) -> str:
            fact = {"type": "offered", "queue_id": queue_id, "contact_phone": "+33199001234"}
            accepted = (await client.post("routing", "/v1/telephony/facts", {"facts": [fact]}))["accepted"]
            return str(accepted[0]["call_id"])

        async def tell(**fact: Any) -> None:
            await client.post("routing", "/v1/telephony/facts", {"facts": [fact]})

        async def is_in(call_id: str, state: str, agent_id: str | None = None) -> None:
            async def reached() -> bool:
                found = await client.find("routing", f"/v1/calls/{call_id}")
                return found is not None and found["state"] == state and found["agent_id"] == agent_id

            await eventually(reached, timeout=20)

        async def explained(call_id: str) -> dict[str, Any]:
            found: dict[str, Any] = await client.get("routing", f"/v1/calls/{call_id}/explain")
            return found

        async def finish(call_id: str, agent_id: str) -> None:
            await tell(type="accepted", call_id=call_id, agent_id=agent_id)
            await tell(type="hung_up", call_id=call_id)
            await tell(type="wrapped_up", call_id=call_id, agent_id=agent_id, disposition="solved")
            await is_in(call_id, "wrapped_up", agent_id)

        for agent in ("ada", "eva"):
            await client.post("routing", f"/v1/agents/{agent}/log-in")

        # a site goes down, and comes up again
        first = await offered("help")
        await is_in(first, "offered", "ada")
        await client.post("routing", "/v1/sites/lyon/down", {"reason": "power cut"})
        await is_in(first, "offered", "eva")
        await finish(first, "eva")
        told = await explained(first)
        assert [move["when"]["type"] for move in told["moves"]] == ["site_down"]
        assert any("to the agents of site faro: site lyon was down" in sentence for sentence in told["words"])
        assert told["assignments"][-1]["requirement"] == "help and site:faro"
        await client.post("routing", "/v1/sites/lyon/up")
        second = await offered("help")
        await is_in(second, "offered", "ada")
        await finish(second, "ada")

        # a partner has 30 % of a queue's calls
        calls = [await offered("shared") for _ in range(10)]

        async def shared() -> list[str] | None:
            views = [await client.find("routing", f"/v1/calls/{call_id}") for call_id in calls]
            return None if None in views else [str(view["state"]) for view in views if view is not None]

        states = await eventually(shared, timeout=20)
        assert states is not None
        assert states.count("redirected") == 3
        partners = calls[states.index("redirected")]
        told = await explained(partners)
        assert told["moves"][0]["when"]["percent"] == 30
        assert any("to number partner: it fell into the share of 30 %" in sentence for sentence in told["words"])
        for call_id in calls:
            await tell(type="hung_up", call_id=call_id)

        found = await settled(stack.bootstrap_servers, client)
    assert found.report.violations == []
    assert found.differences == []
    rows = [row for row in found.rows if row["queue_id"] == "shared"]
    assert (sum(row["offered"] for row in rows), sum(row["redirected"] for row in rows)) == (7, 3)
