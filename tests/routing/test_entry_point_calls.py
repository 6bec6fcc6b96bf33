"""Calls that come by a dialled number, through HTTP, Kafka and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from common import envelope
from common.events import CallEvent, CallLeftInFlow, ContactCreated, FlowEvent, VoicemailLeft
from common.ids import new_id
from common.testing import eventually

from .conftest import Routing
from .test_calls_api import stream
from .test_entry_points_api import BODY, NUMBER


async def facts(routing: Routing, *facts: dict[str, Any]) -> list[str]:
    """Post the facts; returns the ids of their calls."""
    accepted = await routing.post("telephony/facts", {"facts": list(facts)})
    return [one["call_id"] for one in accepted["accepted"]]


def arrived(**more: Any) -> dict[str, Any]:
    return {"type": "arrived", "number": NUMBER, "contact_phone": "+33639980001", **more}


async def test_a_dialled_number_leads_through_its_flow_to_an_agent(routing: Routing) -> None:
    """Given an entry point and an agent who is available; when somebody dials its number, presses 1 for French and 1
    for help; then the PBX is told what to play and collect, step by step, and the call rings at the agent."""
    await routing.floor("ann")
    await routing.put("entry-points/main-line", BODY)
    await routing.post("agents/ann/log-in")
    await routing.agent_is("ann", "available")
    async with stream(routing.operator, "/v1/telephony/stream") as told:
        assert (await anext(told))[0] == "snapshot"
        (call_id,) = await facts(routing, arrived(external_id="pbx-1"))
        assert call_id.endswith(".@main-line")
        name, greeting = await anext(told)
        assert (name, greeting["what"], greeting["prompt"]) == ("play", "prompt", "welcome")
        assert (greeting["call_id"], greeting["external_id"]) == (call_id, "pbx-1")
        name, menu = await anext(told)
        assert (name, menu["prompt"], menu["longest"], menu["seconds"]) == ("collect", "which-language", 1, 15.0)
        view = await routing.call_is(call_id, "in_flow")
        assert (view["queue_id"], view["dialled"], view["flow_step"]) == (None, NUMBER, "language")
        await facts(routing, {"type": "digits", "call_id": call_id, "digits": "1"})
        assert (await anext(told))[1]["prompt"] == "what-is-it-about"
        await facts(routing, {"type": "digits", "call_id": call_id, "digits": "1"})
        assert [(await anext(told))[0] for _ in range(2)] == ["play", "ring"]
    view = await routing.call_is(call_id, "offered")
    assert (view["queue_id"], view["agent_id"], view["skills"], view["flow_step"]) == ("help", "ann", ["french"], None)
    await routing.post(f"calls/{call_id}/accept", {"agent_id": "ann"})
    await routing.call_is(call_id, "talking")
    events = await routing.published("calls", 8)
    assert [getattr(event, "sequence", 0) for event in events] == list(range(1, 9))
    assert [isinstance(event, FlowEvent) for event in events] == [True] * 4 + [False] * 4
    assert all(isinstance(event, CallEvent) for event in events[4:])


async def test_a_flow_leads_to_a_queue_of_another_pool(routing: Routing) -> None:
    """Given an entry point of one pool whose flow leads to a queue of another one; when a caller comes to it, and when
    that queue has moved back, then the call rings where the queue is at home, and `explain` tells the way."""
    await routing.floor("ann")
    await routing.put("pools/night", {"name": "Night", "skills": ["french"]})
    far = {"tenant_id": "kettle", "required_skills": ["french"]}
    await routing.put("queues/far", {**far, "pool_id": "night"})
    await routing.put("agents/zoe", {"name": "Zoe", "pool_id": "night", "skills": ["french"]})
    flow = {"start": "far", "steps": {"far": {"type": "queue", "queue_id": "far"}}}
    await routing.put("entry-points/main-line", {**BODY, "flow": flow})
    for agent_id in ("ann", "zoe"):
        await routing.post(f"agents/{agent_id}/log-in")
        await routing.agent_is(agent_id, "available")
    (call_id,) = await facts(routing, arrived())
    view = await routing.call_is(call_id, "offered")
    assert (view["queue_id"], view["pool_id"], view["agent_id"]) == ("far", "night", "zoe")
    told = (await routing.operator.get(f"/v1/calls/{call_id}/explain")).json()
    assert [(one["phase"], one["to_pool_id"]) for one in told["removals"]] == [("comes", "night")]
    assert any("it went from pool main to pool night, where queue far is at home" in one for one in told["words"])
    await facts(routing, {"type": "hung_up", "call_id": call_id})
    await routing.call_is(call_id, "abandoned")
    await routing.put("queues/far", {**far, "pool_id": "main"})
    (call_id,) = await facts(routing, arrived())
    view = await routing.call_is(call_id, "offered")
    assert (view["queue_id"], view["pool_id"], view["agent_id"]) == ("far", "main", "ann")


async def test_a_caller_hangs_up_in_the_flow_and_another_leaves_a_message(routing: Routing) -> None:
    await routing.floor()
    await routing.put("entry-points/main-line", BODY)
    gone, stays = await facts(routing, arrived(id="one"), arrived(id="two", contact_phone=None))
    again = await facts(routing, arrived(id="one"))
    assert again == [gone]
    await facts(routing, {"type": "hung_up", "call_id": gone})
    assert (await routing.call_is(gone, "left_in_flow"))["queue_id"] is None
    async with stream(routing.operator, "/v1/telephony/stream") as told:
        snapshot = {call["call_id"]: call for call in (await anext(told))[1]["calls"]}
        awaited = snapshot[stays]["awaits"]
        assert (awaited["action"], awaited["prompt"], awaited["longest"]) == ("collect", "which-language", 1)
        assert awaited["due_at"] is not None
        for digits in ("1", "2"):
            await facts(routing, {"type": "digits", "call_id": stays, "digits": digits})
        commands = (name async for name, data in told if data["call_id"] == stays)
        assert [await anext(commands) for _ in range(2)] == ["collect", "record_message"]
    async with stream(routing.operator, "/v1/telephony/stream") as told:
        (view,) = (await anext(told))[1]["calls"]
        assert view["awaits"]["action"] == "record_message"
        assert view["awaits"]["seconds"] > 0
    await facts(
        routing,
        {"type": "hung_up", "call_id": stays},
        {"type": "recording_done", "call_id": stays, "recording": "m-1.wav", "seconds": 9.5},
    )
    await routing.call_is(stays, "left_in_flow")
    events = await routing.published("calls", 10)
    (left,) = [event for event in events if isinstance(event, CallLeftInFlow)]
    (message,) = [event for event in events if isinstance(event, VoicemailLeft)]
    assert (left.call_id, left.reason, left.step) == (gone, "hung_up", "language")
    assert (message.call_id, message.queue_id, message.recording) == (stays, "help", "m-1.wav")
    assert (message.contact_phone, message.tenant_id) == ("", "kettle")
    assert not any(isinstance(event, CallEvent) for event in events)
    listed = (await routing.operator.get("/v1/calls", params={"state": "left_in_flow"})).json()["items"]
    assert {item["call_id"] for item in listed} == {gone, stays}


async def test_wrong_numbers_digits_and_calls_are_refused_with_their_place(routing: Routing) -> None:
    await routing.floor()
    await routing.put("entry-points/main-line", BODY)
    unknown = f"{new_id()}.@nothing"
    answer = await routing.operator.post(
        "/v1/telephony/facts",
        json={
            "facts": [
                arrived(),
                arrived(number="+33639980199"),
                arrived(call_id=f"{new_id()}.help"),
                {"type": "digits", "call_id": unknown, "digits": "1"},
            ]
        },
    )
    assert answer.status_code == 202
    assert [one["field"] for one in answer.json()["refused"]] == [
        "facts.1.number",
        "facts.2.call_id",
        "facts.3.call_id",
    ]
    stranger = await routing.client("service", "pbx", tenant="other")
    answer = await stranger.post("/v1/telephony/facts", json={"facts": [arrived()]})
    assert (answer.status_code, answer.json()["field"]) == (422, "facts.0.number")
    (call_id,) = await facts(routing, arrived())
    await routing.call_is(call_id, "in_flow")
    accepted = await routing.post(
        "telephony/facts", {"facts": [{"type": "recording_done", "call_id": call_id, "recording": "x", "seconds": 1}]}
    )
    outcome = await routing.outcome(accepted["accepted"][0]["command_id"])
    assert (outcome["status"], outcome["reason"]) == ("refused", "not_recording")


async def test_a_change_of_the_flow_is_for_later_calls(routing: Routing) -> None:
    """Given a call in its menu; when the entry point gets another flow; then the call goes on in the old one, and the
    next call takes the new one."""
    await routing.floor()
    await routing.put("entry-points/main-line", BODY)
    (before,) = await facts(routing, arrived())
    await routing.call_is(before, "in_flow")
    short = {"start": "help", "steps": {"help": {"type": "queue", "queue_id": "help"}}}
    await routing.put("entry-points/main-line", {**BODY, "flow": short})
    (after,) = await facts(routing, arrived())
    await routing.call_is(after, "queued")
    assert (await routing.call_is(before, "in_flow"))["flow_step"] == "language"
    await facts(routing, {"type": "digits", "call_id": before, "digits": "1"})

    async def moved() -> bool:
        return bool((await routing.operator.get(f"/v1/calls/{before}")).json()["flow_step"] == "topic")

    await eventually(moved)


async def test_a_known_contact_is_raised_by_their_own_priority_too(routing: Routing) -> None:
    """Given a contact of the tenant at priority 4, told by crm-bridge, and one of another tenant; when each calls a
    number whose flow raises known contacts by 2; then the first is raised by 6 and the other not at all."""
    await routing.floor()
    flow = {
        "start": "who",
        "steps": {
            "who": {"type": "priority", "known_contacts": True, "steps": 2, "next": "help"},
            "help": {"type": "queue", "queue_id": "help"},
        },
    }
    await routing.put("entry-points/main-line", {**BODY, "flow": flow})
    await tell_contacts(routing)

    async def priority_of(phone: str) -> int:
        (call_id,) = await facts(routing, arrived(contact_phone=phone))
        priority: int = (await routing.call_is(call_id, "queued"))["priority"]
        return priority

    async def raised() -> bool:
        return await priority_of("+33639980001") == 6

    await eventually(raised)
    assert await priority_of("+33639980002") == 0


async def test_a_call_offered_to_its_queue_is_raised_by_its_callers_own_priority(routing: Routing) -> None:
    """Given a contact of the tenant at priority 4, and one of another tenant; when each is offered to the queue, as a
    call or a fact; then the first is ahead of all others, and `explain` says why."""
    await routing.floor()
    await tell_contacts(routing)

    async def offered(phone: str | None) -> dict[str, Any]:
        body = {"queue_id": "help", "contact_phone": phone}
        return await routing.call_is((await routing.post("calls", body))["call_id"], "queued")

    others = [await offered("+33639980002"), await offered(None)]

    async def raised() -> bool:
        return bool((await offered("+33639980001"))["priority"] == 4)

    await eventually(raised)
    (fact,) = await facts(routing, {"type": "offered", "queue_id": "help", "contact_phone": "+33639980001"})
    assert (await routing.call_is(fact, "queued"))["priority"] == 4
    assert [call["priority"] for call in others] == [0, 0]
    assert (await routing.call_is(others[0]["call_id"], "queued"))["position"] >= 3
    words = (await routing.operator.get(f"/v1/calls/{fact}/explain")).json()["words"]
    assert words[0] == "Its caller is a contact of priority 4, which counts beside the queue's."
    words = (await routing.operator.get(f"/v1/calls/{others[0]['call_id']}/explain")).json()["words"]
    assert "contact" not in words[0]


async def tell_contacts(routing: Routing) -> None:
    """crm-bridge tells of a contact of the tenant at priority 4, and of one of another tenant."""
    now = datetime.now(UTC)
    known = ContactCreated(tenant_id="kettle", contact_id="a", phone="+33639980001", priority=4, occurred_at=now)
    other = ContactCreated(tenant_id="other", contact_id="b", phone="+33639980002", priority=4, occurred_at=now)
    async with routing.stack.kafka.producer() as producer:
        for contact in (known, other):
            headers, value = envelope.encode(
                contact, event_id=new_id(), source="crm-bridge", time=now, traceparent=None
            )
            await producer.send_and_wait("contacts", value, key=contact.key.encode(), headers=headers)
