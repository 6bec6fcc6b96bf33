"""Where else: sites that go down, and a partner's share, from the floor file to the explanation and the figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from common.testing import eventually
from plateau.checker.figures import settled
from plateau.client import Client, Refused
from plateau.floor import parse
from plateau.floor.apply import apply, plan
from plateau.floor.document import FloorInvalid
from plateau.floor.export import export
from plateau.stack import running_stack
from plateau.state import State

pytestmark = pytest.mark.deep

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
  night:
    name: Night
    skills: [help]
    agents: [{id: zoe, name: Zoe, skills: {help: 5}}]
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
      late: {pool: night, required_skills: [help]}
      day:
        pool: main
        requirement: help >= 9
        overflows:
          - {when: {type: waited, seconds: 1}, to: {type: queue, queue_id: late}}
"""


async def test_calls_go_where_the_rules_say(tmp_path: Path) -> None:
    """Given a queue that one site covers, and the rule that another one takes its calls while that is down; when the
    site goes down while a call rings there; then the other site answers it, the first one serves again once it is up,
    and `explain` names the rule and the site; when it is drained while its agent speaks, then the agent finishes and is
    logged out, and new calls go to the other site, as `explain` says. Given a queue that shares 70 to 30 with a
    partner's number; when ten calls come; then three go there, `explain` names the share, and KPI counts them once.
    Given a queue whose calls go to a queue of another pool after a second; when one comes while nobody there is free;
    then it waits there with its history and is answered there, commands find it in whatever pool, `explain` tells the
    way, and a rule that would lead back is refused by its place. Given a call of that queue in conversation and one
    that waits; when the queue's pool is edited in the file and that is applied; then the first is finished where it
    was, the other is answered in the new pool, `explain` says that it moved, and KPI counts each once."""
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

            await eventually(reached)

        async def ones_at(calls: set[str], agent_id: str) -> set[str]:
            """Those that ring there, once the others wait in a queue of the same pool."""

            async def settled_down() -> set[str] | None:
                views = [await client.find("routing", f"/v1/calls/{call_id}") for call_id in sorted(calls)]
                right = [view for view in views if view is not None and view["pool_id"] == "night"]
                at = {str(view["call_id"]) for view in right if view["agent_id"] == agent_id}
                return at if len(right) == len(calls) and at else None

            return await eventually(settled_down) or set()

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

        # a site is drained: who speaks there finishes, new calls go where the rule for a site that is down says
        spoken = await offered("help")
        await is_in(spoken, "offered", "ada")
        await tell(type="accepted", call_id=spoken, agent_id="ada")
        await is_in(spoken, "talking", "ada")
        await client.post("routing", "/v1/sites/lyon/drain", {"reason": "repairs"})
        meanwhile = await offered("help")
        await is_in(meanwhile, "offered", "eva")
        await finish(meanwhile, "eva")
        told = await explained(meanwhile)
        assert (told["moves"][0]["when"]["type"], told["moves"][0]["drained"]) == ("site_down", True)
        assert any("site faro: site lyon was being drained" in sentence for sentence in told["words"])
        assert not (await client.get("routing", "/v1/sites/lyon/live"))["is_empty"]
        await finish(spoken, "ada")
        agent = await client.get("routing", "/v1/agents/ada")
        assert (agent["state"], agent["reason"]) == ("logged_out", "repairs")
        assert (await client.get("routing", "/v1/sites/lyon/live"))["is_empty"]
        await client.post("routing", "/v1/sites/lyon/cancel-drain")
        await client.post("routing", "/v1/agents/ada/log-in")

        # a partner has 30 % of a queue's calls
        calls = [await offered("shared") for _ in range(10)]

        async def shared() -> list[str] | None:
            views = [await client.find("routing", f"/v1/calls/{call_id}") for call_id in calls]
            return None if None in views else [str(view["state"]) for view in views if view is not None]

        states = await eventually(shared)
        assert states is not None
        assert states.count("redirected") == 3
        partners = calls[states.index("redirected")]
        told = await explained(partners)
        assert told["moves"][0]["when"]["percent"] == 30
        assert any("to number partner: it fell into the share of 30 %" in sentence for sentence in told["words"])
        for call_id in calls:
            await tell(type="hung_up", call_id=call_id)

        # after a second to another pool's queue
        await client.post("routing", "/v1/agents/zoe/log-in")
        both = {await offered("day"), await offered("day")}
        (taken,) = await ones_at(both, "zoe")
        (waits,) = both - {taken}
        view = await client.find("routing", f"/v1/calls/{waits}")
        assert view is not None
        assert (view["queue_id"], view["pool_id"], view["state"], view["position"]) == ("late", "night", "queued", 1)
        await finish(taken, "zoe")
        await is_in(waits, "offered", "zoe")
        await finish(waits, "zoe")
        told = await explained(waits)
        assert [(move["queue_id"], move["to"]["queue_id"]) for move in told["moves"]] == [("day", "late")]
        (removal,) = told["removals"]
        assert (removal["from_pool_id"], removal["to_pool_id"], removal["phase"]) == ("main", "night", "enters")
        assert any("it went from pool main to pool night, where queue late is at home" in one for one in told["words"])
        back = "      late: {pool: night, required_skills: [help], overflow: {queue: day, after_seconds: 9}}"
        with pytest.raises(FloorInvalid) as ring:
            parse(FLOOR.replace("      late: {pool: night, required_skills: [help]}", back))
        assert "calls would go round for ever (late -> day -> late)" in str(ring.value)
        rules = {"tenant_id": "kettle", "pool_id": "night", "required_skills": ["help"]}
        leads_back = {"queue_id": "day", "after_seconds": 9}
        with pytest.raises(Refused) as refused:
            await client.put("routing", "/v1/queues/late", {**rules, "overflow": leads_back})
        assert refused.value.wrong_fields() == [
            ("overflow.queue_id", "calls would go round for ever: late -> day -> late")
        ]

        # the queue moves to the first pool, by one word of the file, while one of its calls is spoken and one waits
        spoken = await offered("late")
        await is_in(spoken, "offered", "zoe")
        await tell(type="accepted", call_id=spoken, agent_id="zoe")
        await is_in(spoken, "talking", "zoe")
        waits = await offered("late")
        await is_in(waits, "queued")
        edited = parse(FLOOR.replace("late: {pool: night,", "late: {pool: main,"))
        (change,) = (await plan(client, edited)).pending
        assert (change.id, change.action, change.fields) == ("late", "changed", (("pool_id", "night", "main"),))
        await apply(client, await plan(client, edited))
        assert (await plan(client, edited)).pending == ()
        assert (await plan(client, parse(await export(client)))).pending == ()
        await is_in(waits, "offered", "ada")
        await finish(waits, "ada")
        told = await explained(waits)
        (removal,) = told["removals"]
        assert (removal["from_pool_id"], removal["to_pool_id"], removal["phase"]) == ("night", "main", "waits")
        assert any("late, had moved from pool night to pool main, and the call with it" in one for one in told["words"])
        assert any("ada was offered the call" in sentence for sentence in told["words"])
        await tell(type="hung_up", call_id=spoken)
        await tell(type="wrapped_up", call_id=spoken, agent_id="zoe", disposition="solved")
        await is_in(spoken, "wrapped_up", "zoe")
        assert (await explained(spoken))["removals"] == []

        found = await settled(stack.bootstrap_servers, client)
    assert found.report.violations == []
    assert found.differences == []

    def counted(queue_id: str, *names: str) -> list[int]:
        return [sum(row[name] for row in found.rows if row["queue_id"] == queue_id) for name in names]

    assert counted("shared", "offered", "redirected") == [7, 3]
    assert counted("day", "offered", "overflowed_out", "answered") == [2, 2, 0]
    assert counted("late", "offered", "answered") == [4, 4]
