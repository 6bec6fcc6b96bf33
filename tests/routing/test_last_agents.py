"""A caller who comes again is preferred for the agent who last spoke with them, where the queue waits for one agent."""

from __future__ import annotations

from typing import Any

import msgspec
from common.events import CallAssigned
from routing.domain import explanation, flows, inputs
from routing.store import reading

from .conftest import QUEUE, Routing
from .floors import Floor, names, only, profile, queue
from .test_entry_points_api import BODY, NUMBER

CALLER, STRANGER = "+33639980001", "+33639980002"
TO_HELP = flows.Flow(start="help", steps={"help": flows.ToQueue(queue_id="help")})


def test_a_call_takes_its_preferred_agent_along_through_its_flow() -> None:
    """Given Ann, who talks, and Ben, who is available; when a call that is to go to Ann comes by an entry point; then
    it waits for her alone, is hers, and why is told."""
    floor = Floor(queue("help", sticky_seconds=30), profile("ann"), profile("ben"))
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help")
    floor.accept(2, "c1", "ann")
    floor.log_in(3, "ben")
    line: dict[str, Any] = {"entry_point_id": "line", "dialled": NUMBER, "contact_phone": CALLER, "flow": TO_HELP}
    came = floor.give(inputs.ArriveCall, 4, call_id="c2", preferred_agent_id="ann", spoke_last=True, **line)
    assert names(came) == ["call.arrived", "call.offered", "call.queued"]
    floor.hang_up(5, "c1")
    assert only(floor.wrap_up(6, "c1", "ann"), CallAssigned).call_id == "c2"
    said = explanation.words(floor.pool.calls["c2"], None)
    assert said[0] == "It is to go to ann, who last spoke with its caller."
    assert said[-2].endswith("ann was offered the call: the agent whom it was to go to.")
    floor.give(inputs.ArriveCall, 7, call_id="c3", preferred_agent_id="ann", **line)
    assert not any("last spoke" in one for one in explanation.words(floor.pool.calls["c3"], None))


def test_an_input_of_before_prefers_whom_it_names_and_nobody_else() -> None:
    given = inputs.OfferCall(
        tenant_id="kettle",
        pool_id="main",
        occurred_at=Floor().pool.now,
        call_id="c1",
        queue_id="help",
        contact_phone=CALLER,
        channel="voice",
        direction="inbound",
        preferred_agent_id="ann",
        spoke_last=True,
    )
    saved = msgspec.to_builtins(given)
    del saved["spoke_last"]
    read = msgspec.convert(saved, inputs.OfferCall)
    assert (read.preferred_agent_id, read.spoke_last) == ("ann", False)


async def spoken(routing: Routing, agent_id: str, queue_id: str = "help", **offer: Any) -> str:
    """A call that the agent, who alone is available, has answered and finished; they are on a break."""
    await routing.post(f"agents/{agent_id}/state", {"state": "available"})
    given = {"queue_id": queue_id, "preferred_agent_id": agent_id, **offer}
    call_id: str = (await routing.post("calls", given))["call_id"]
    assert (await routing.call_is(call_id, "offered"))["agent_id"] == agent_id
    await routing.post(f"calls/{call_id}/accept", {"agent_id": agent_id})
    await routing.post(f"agents/{agent_id}/state", {"state": "break"})
    await routing.post(f"calls/{call_id}/hang-up")
    await routing.post(f"calls/{call_id}/wrap-up", {"agent_id": agent_id})
    await routing.call_is(call_id, "wrapped_up")
    return call_id


async def explained(routing: Routing, call_id: str) -> dict[str, Any]:
    view: dict[str, Any] = (await routing.operator.get(f"/v1/calls/{call_id}/explain")).json()
    return view


async def on_breaks(routing: Routing, *agents: str) -> None:
    for agent_id in agents:
        await routing.post(f"agents/{agent_id}/log-in", {"state": "break"})
        await routing.agent_is(agent_id, "break")


async def came(routing: Routing, *facts: dict[str, Any]) -> list[str]:
    """The ids of the calls that these facts tell of."""
    accepted = await routing.post("telephony/facts", {"facts": list(facts)})
    return [one["call_id"] for one in accepted["accepted"]]


async def rings_at_cat(routing: Routing, fact: dict[str, Any]) -> dict[str, Any]:
    """The explanation of a call that rings at Cat as soon as it comes; she declines it, and its caller hangs up."""
    await routing.post("agents/cat/state", {"state": "available"})
    await routing.agent_is("cat", "available")
    (call_id,) = await came(routing, fact)
    view = await routing.call_is(call_id, "offered")
    told = await explained(routing, call_id)
    assert (view["agent_id"], told["assignments"][0]["waited_seconds"]) == ("cat", 0)
    await routing.post(f"calls/{call_id}/decline", {"agent_id": "cat"})
    await routing.agent_is("cat", "break")
    await came(routing, {"type": "hung_up", "call_id": call_id})
    await routing.call_is(call_id, "abandoned")
    return told


def offered(phone: str | None, queue_id: str = "help", **more: Any) -> dict[str, Any]:
    return {"type": "offered", "queue_id": queue_id, "contact_phone": phone, **more}


def arrived(phone: str | None, **more: Any) -> dict[str, Any]:
    return {"type": "arrived", "number": NUMBER, "contact_phone": phone, **more}


async def test_a_caller_who_comes_again_waits_for_who_last_spoke_with_them(routing: Routing) -> None:
    """Given a caller with whom Ben spoke, and after him Ann, who are on breaks, and Cat, who is not;

    when they call again, one of their calls offered to the queue and one by an entry point, in one batch with those of
    a stranger and of a withheld number; then theirs wait for Ann alone, `explain` says why, and the others ring at Cat
    or wait for anybody; when Ann comes back, then the first is hers."""
    await routing.floor("ann", "ben", "cat", sticky_seconds=60)
    flow = {"start": "help", "steps": {"help": {"type": "queue", "queue_id": "help"}}}
    await routing.put("entry-points/main-line", {**BODY, "flow": flow})
    await on_breaks(routing, "ann", "ben", "cat")
    await spoken(routing, "ben", contact_phone=CALLER)
    await spoken(routing, "ann", contact_phone=CALLER)
    await spoken(routing, "ann", contact_phone=None)
    await routing.post("agents/cat/state", {"state": "available"})
    await routing.agent_is("cat", "available")
    mine, by_line, strange, withheld = await came(
        routing, offered(CALLER), arrived(CALLER), arrived(STRANGER), offered(None)
    )
    assert (await routing.call_is(strange, "offered"))["agent_id"] == "cat"
    for call_id in (mine, by_line):
        await routing.call_is(call_id, "queued")
        told = await explained(routing, call_id)
        assert (told["last_agent_id"], told["waiting"]["preferred_agent_id"]) == ("ann", "ann")
        assert told["waiting"]["alone_until"] is not None
        assert "It is to go to ann, who last spoke with its caller." in told["words"]
    await routing.call_is(withheld, "queued")
    told = await explained(routing, withheld)
    assert (told["last_agent_id"], told["waiting"]["alone_until"]) == (None, None)
    await routing.post("agents/ann/state", {"state": "available"})
    assert (await routing.call_is(mine, "offered"))["agent_id"] == "ann"
    assert (await explained(routing, mine))["assignments"][0]["preferred"] is True


async def test_nobody_is_looked_up_where_it_is_said_or_cannot_matter(routing: Routing) -> None:
    """Given a caller with whom Ann spoke, who is on a break, and Cat, who is available; when a call is to go to Cat by
    its offer or its arrival, or is one that we have dialled, or comes to a queue that waits for nobody; then it rings
    at Cat at once, and no word is said of Ann."""
    await routing.floor("ann", "cat", sticky_seconds=60)
    await routing.put("queues/brisk", QUEUE)
    flow = {"start": "help", "steps": {"help": {"type": "queue", "queue_id": "help"}}}
    await routing.put("entry-points/main-line", {**BODY, "flow": flow})
    await on_breaks(routing, "ann", "cat")
    await spoken(routing, "ann", contact_phone=CALLER)
    for fact in (
        offered(CALLER, preferred_agent_id="cat"),
        arrived(CALLER, preferred_agent_id="cat"),
        offered(CALLER, direction="outbound"),
        offered(CALLER, "brisk"),
    ):
        told = await rings_at_cat(routing, fact)
        assert (told["last_agent_id"], any("ann" in one for one in told["words"])) == (None, False)


async def test_a_caller_waits_for_nobody_who_is_not_there(routing: Routing) -> None:
    """Given a caller with whom Ann spoke for one tenant, and another with whom Zoe of another pool did; when the first
    calls another tenant, then nobody is known; when they call again after Ann has logged out, and when the second
    comes to the first pool, then their calls ring at Cat at once."""
    await routing.floor("ann", "cat", sticky_seconds=60)
    await routing.put("tenants/lamp", {"name": "Lamp", "time_zone": "Europe/Paris"})
    await routing.put("queues/lamps", {**QUEUE, "tenant_id": "lamp", "sticky_seconds": 60})
    await routing.put("pools/night", {"name": "Night", "skills": ["french"]})
    await routing.put("queues/far", {**QUEUE, "pool_id": "night"})
    await routing.put("agents/zoe", {"name": "Zoe", "pool_id": "night", "skills": ["french"]})
    await on_breaks(routing, "ann", "cat", "zoe")
    await spoken(routing, "ann", contact_phone=CALLER)
    await spoken(routing, "zoe", "far", contact_phone=STRANGER)
    assert (await rings_at_cat(routing, offered(CALLER, "lamps")))["last_agent_id"] is None
    assert (await rings_at_cat(routing, offered(STRANGER)))["last_agent_id"] == "zoe"
    await routing.post("agents/ann/log-out")
    await routing.agent_is("ann", "logged_out")
    assert (await rings_at_cat(routing, offered(CALLER)))["last_agent_id"] == "ann"


async def test_a_colleague_who_was_asked_has_spoken_with_the_caller_once_they_take_over(routing: Routing) -> None:
    """Given Ann, who speaks with a caller and asks Ben; when the caller calls by another line meanwhile, then that call
    is to go to Ann; when Ben has taken the caller over, then the next one is to go to him."""
    await routing.floor("ann", "ben", sticky_seconds=60)
    await on_breaks(routing, "ann", "ben")
    await routing.post("agents/ann/state", {"state": "available"})
    (first,) = await came(routing, offered(CALLER))
    await routing.call_is(first, "offered")
    await routing.post(f"calls/{first}/accept", {"agent_id": "ann"})
    await routing.call_is(first, "talking")
    await routing.post("agents/ben/state", {"state": "available"})
    await routing.agent_is("ben", "available")
    asked = {"agent_id": "ann", "colleague_id": "ben"}
    between = (await routing.post(f"calls/{first}/consultation", asked))["consultation_id"]
    await routing.call_is(between, "offered")
    await routing.post(f"calls/{between}/accept", {"agent_id": "ben"})
    await routing.call_is(between, "talking")
    (second,) = await came(routing, offered(CALLER))
    await routing.call_is(second, "queued")
    assert (await explained(routing, second))["last_agent_id"] == "ann"
    await routing.post(f"calls/{first}/consultation/complete", {"agent_id": "ann"})
    await routing.call_is(first, "wrapping_up")
    (third,) = await came(routing, offered(CALLER))
    await routing.call_is(third, "queued")
    assert (await explained(routing, third))["last_agent_id"] == "ben"


async def test_those_who_come_again_are_found_by_an_index(routing: Routing) -> None:
    async with routing.running.runtime.database.transaction() as session:
        await session.execute("SET LOCAL enable_seqscan = off")
        plan = await session.fetch(f"EXPLAIN {reading.LAST_AGENTS}", ["kettle"], [CALLER])
    told = "\n".join(row[0] for row in plan)
    assert "calls_answered" in told
    assert "Sort" not in told
