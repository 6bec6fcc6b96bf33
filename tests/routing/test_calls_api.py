"""Calls and agents through HTTP, Kafka and PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from common.events import CallEvent, CallWrappedUp
from common.events.routing import AgentEvent
from common.ids import new_id
from support import read_all

from .conftest import Routing


async def test_a_call_from_ring_to_wrap_up(routing: Routing) -> None:
    await routing.floor("ann")
    ann = await routing.client("agent", "ann")
    assert (await ann.post("/v1/agents/ann/log-in")).status_code == 202
    await routing.agent_is("ann", "available")
    offered = await routing.post("calls", {"queue_id": "help", "contact_phone": "+33 6 39 98 00 01"})
    call_id = offered["call_id"]
    assert call_id.endswith(".help")
    ringing = await routing.call_is(call_id, "offered")
    assert (ringing["agent_id"], ringing["contact_phone"], ringing["tenant_id"]) == ("ann", "+33639980001", "kettle")
    assert (await ann.post(f"/v1/calls/{call_id}/accept")).status_code == 202
    await routing.call_is(call_id, "talking")
    assert (await ann.get(f"/v1/calls/{call_id}")).status_code == 200
    await routing.post(f"calls/{call_id}/hang-up")
    await routing.call_is(call_id, "wrapping_up")
    done = await ann.post(f"/v1/calls/{call_id}/wrap-up", json={"disposition": "sold"})
    assert (await routing.outcome(done.json()["command_id"]))["status"] == "applied"
    view = await routing.call_is(call_id, "wrapped_up")
    assert view["disposition"] == "sold"
    assert (await routing.agent_is("ann", "available"))["call_id"] is None
    events = await routing.published("calls", 6)
    assert all(isinstance(event, CallEvent) for event in events)
    assert [event.sequence for event in events if isinstance(event, CallEvent)] == [1, 2, 3, 4, 5, 6]
    wrapped_up = events[-1]
    assert isinstance(wrapped_up, CallWrappedUp)
    assert wrapped_up.time_zone == "Europe/Paris"
    agents = await routing.published("agents", 5)
    assert [event.sequence for event in agents if isinstance(event, AgentEvent)] == [1, 2, 3, 4, 5]


async def test_the_trace_of_the_offer_is_the_trace_of_all_its_events(routing: Routing) -> None:
    await routing.floor("ann")
    await routing.post("agents/ann/log-in")
    trace = "0af7651916cd43dd8448eb211c80319c"
    answer = await routing.operator.post(
        "/v1/calls", json={"queue_id": "help"}, headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    )
    call_id = answer.json()["call_id"]
    await routing.call_is(call_id, "offered")
    await routing.post(f"calls/{call_id}/hang-up")
    await routing.call_is(call_id, "abandoned")
    await routing.published("calls", 4)
    records = await read_all(routing.stack.kafka, "calls")
    assert {dict(record.headers)["traceparent"].decode().split("-")[1] for record in records} == {trace}


async def test_a_command_that_changes_nothing_says_why(routing: Routing) -> None:
    await routing.floor("ann", "ben")
    await routing.post("agents/ann/log-in")
    call_id = (await routing.post("calls", {"queue_id": "help"}))["call_id"]
    command = await routing.post(f"calls/{call_id}/accept", {"agent_id": "ben"})
    assert await routing.outcome(command["command_id"]) == {
        "command_id": command["command_id"],
        "status": "refused",
        "reason": "not_offered_to_the_agent",
    }
    assert (await routing.operator.get(f"/v1/commands/{new_id()}")).json()["status"] == "pending"


async def test_the_same_idempotency_key_is_the_same_call(routing: Routing) -> None:
    await routing.floor()
    answers = [
        await routing.operator.post("/v1/calls", json={"queue_id": "help"}, headers={"idempotency-key": "k1"})
        for _ in range(3)
    ]
    assert len({answer.json()["call_id"] for answer in answers}) == 1
    call_id = answers[0].json()["call_id"]
    await routing.call_is(call_id, "queued")
    for _ in range(2):
        answer = await routing.operator.post(f"/v1/calls/{call_id}/hang-up", headers={"idempotency-key": "k2"})
    assert (await routing.outcome(answer.json()["command_id"]))["status"] == "applied"
    await routing.published("calls", 3)


async def test_a_key_of_a_call_of_another_queue_is_refused(routing: Routing) -> None:
    await routing.floor()
    await routing.put("queues/other", {"tenant_id": "kettle", "pool_id": "main"})
    key = {"idempotency-key": "k1"}
    accepted = await routing.operator.post("/v1/calls", json={"queue_id": "help"}, headers=key)
    await routing.call_is(accepted.json()["call_id"], "queued")
    refused = await routing.operator.post("/v1/calls", json={"queue_id": "other"}, headers=key)
    assert (refused.status_code, refused.json()["field"]) == (409, "Idempotency-Key")


async def test_facts_without_ids_take_effect_once_under_the_key_of_their_batch(routing: Routing) -> None:
    """Also when the batch names one fact twice: these are two."""
    await routing.floor()
    offered = {"type": "offered", "queue_id": "help"}
    answers = [
        await routing.operator.post(
            "/v1/telephony/facts", json={"facts": [offered, offered]}, headers={"idempotency-key": "batch"}
        )
        for _ in range(3)
    ]
    assert len({answer.text for answer in answers}) == 1
    calls = {fact["call_id"] for fact in answers[0].json()["accepted"]}
    assert len(calls) == 2
    last = (await routing.post("calls", {"queue_id": "help"}))["call_id"]
    await routing.call_is(last, "queued")
    listed = (await routing.operator.get("/v1/calls")).json()["items"]
    assert {call["call_id"] for call in listed} == {*calls, last}


async def test_an_offer_times_out_by_the_clock(routing: Routing) -> None:
    await routing.floor("ann", offer_timeout_seconds=0.3)
    await routing.post("agents/ann/log-in")
    call_id = (await routing.post("calls", {"queue_id": "help", "max_wait_seconds": 0.2}))["call_id"]
    assert (await routing.agent_is("ann", "break"))["reason"] == "missed_offer"
    assert (await routing.call_is(call_id, "abandoned"))["offers"] == 1


async def test_what_is_asked_for_during_a_call_shows_in_the_agents_view(routing: Routing) -> None:
    """Given an agent in a call; when they ask for a break, take that back, and ask to log out; then each shows until
    the wrap-up is done, and the same in a list of agents; an operator's drain shows with its reason."""
    await routing.floor("ann")
    await routing.post("agents/ann/log-in")
    call_id = (await routing.post("calls", {"queue_id": "help"}))["call_id"]
    await routing.agent_is("ann", "offered")
    await routing.post(f"calls/{call_id}/accept", {"agent_id": "ann"})
    asked = [
        ("agents/ann/state", {"state": "break", "reason": "lunch"}, ("break", "lunch")),
        ("agents/ann/state", {"state": "available"}, (None, None)),
        ("agents/ann/log-out", None, ("logged_out", None)),
    ]
    for path, body, shown in asked:
        command = await routing.post(path, body)
        assert (await routing.outcome(command["command_id"]))["status"] == "applied"
        view = await routing.agent_is("ann", "busy")
        assert (view["next_state"], view["next_reason"]) == shown
    (listed,) = (await routing.operator.get("/v1/agents")).json()["items"]
    assert (listed["next_state"], listed["reason"]) == ("logged_out", None)
    drained = await routing.operator.post("/v1/agents/ann/drain", json={"reason": "desk moves"})
    assert (drained.json()["next_state"], drained.json()["next_reason"]) == ("logged_out", "desk moves")
    await routing.post(f"calls/{call_id}/hang-up")
    assert (await routing.agent_is("ann", "wrap_up"))["next_state"] == "logged_out"
    await routing.post(f"calls/{call_id}/wrap-up", {"agent_id": "ann"})
    view = await routing.agent_is("ann", "logged_out")
    assert (view["next_state"], view["next_reason"]) == (None, None)


async def test_facts_come_in_batches_once_and_in_order(routing: Routing) -> None:
    await routing.floor("ann")
    call_id = f"{new_id()}.help"
    facts = [
        {"type": "agent_state", "id": "f1", "agent_id": "ann", "state": "logged_in"},
        {"type": "offered", "id": "f2", "queue_id": "help", "call_id": call_id, "external_id": "pbx-7"},
        {"type": "accepted", "id": "f3", "call_id": call_id, "agent_id": "ann"},
        {"type": "hung_up", "id": "f4", "call_id": call_id},
        {"type": "wrapped_up", "id": "f5", "call_id": call_id, "agent_id": "ann", "disposition": "sold"},
        {"type": "agent_state", "id": "f6", "agent_id": "ann", "state": "break", "reason": "lunch"},
        {"type": "agent_state", "id": "f7", "agent_id": "ann", "state": "logged_out"},
    ]
    first = await routing.post("telephony/facts", {"facts": facts})
    again = await routing.post("telephony/facts", {"facts": facts})
    assert first == again
    assert first["accepted"][1]["call_id"] == call_id
    for fact in again["accepted"]:
        assert (await routing.outcome(fact["command_id"]))["status"] == "applied"
    assert (await routing.call_is(call_id, "wrapped_up"))["external_id"] == "pbx-7"
    await routing.published("calls", 6)
    await routing.agent_is("ann", "logged_out")


async def test_each_fact_of_a_batch_is_answered_for_itself(routing: Routing) -> None:
    """Given a call that waits; when its hang-up comes in one batch with facts of every fault; then it is abandoned."""
    await routing.floor("ann")
    waiting = (await routing.post("calls", {"queue_id": "help"}))["call_id"]
    await routing.call_is(waiting, "queued")
    wrong = [
        {"type": "offered", "queue_id": "none"},
        {"type": "offered", "queue_id": "help", "call_id": f"{new_id()}.other"},
        {"type": "offered", "queue_id": "help", "channel": "chat"},
        {"type": "offered", "queue_id": "help", "max_wait_seconds": -1},
        {"type": "arrived", "number": "063998dgfs"},
        {"type": "hung_up", "call_id": f"{new_id()}.none"},
        {"type": "hung_up"},
        {"type": "agent_state", "agent_id": "nobody", "state": "available"},
        {"type": "callback_requested", "call_id": waiting, "contact_phone": "anonymous"},
        {"type": "nonsense"},
        "no fact",
    ]
    facts = [{"type": "offered", "queue_id": "help"}, *wrong, {"type": "hung_up", "call_id": waiting}]
    answer = await routing.operator.post("/v1/telephony/facts", json={"facts": facts})
    assert answer.status_code == 202
    assert [one["fact"] for one in answer.json()["accepted"]] == [0, len(facts) - 1]
    assert [(one["fact"], one["field"]) for one in answer.json()["refused"]] == [
        (1, "facts.1.queue_id"),
        (2, "facts.2.call_id"),
        (3, "facts.3.channel"),
        (4, "facts.4.max_wait_seconds"),
        (5, "facts.5.number"),
        (6, "facts.6.call_id"),
        (7, "facts.7.call_id"),
        (8, "facts.8.agent_id"),
        (9, "facts.9.contact_phone"),
        (10, "facts.10"),
        (11, "facts.11"),
    ]
    assert all(one["reason"] for one in answer.json()["refused"])
    await routing.call_is(waiting, "abandoned")

    none = await routing.operator.post("/v1/telephony/facts", json={"facts": wrong})
    assert (none.status_code, none.json()["field"], len(none.json()["errors"])) == (422, "facts.0.queue_id", 11)


@pytest.mark.parametrize(
    ("shown", "phone", "text"),
    [
        (None, "", None),
        ("anonymous", "", None),
        ("+266696687", "", None),
        ("06 39 98 00 01", "+33639980001", None),
        ("0692123456", "+262692123456", None),
        ("12", "", "12"),
        ("sip:alice@example.com", "", "sip:alice@example.com"),
        ("\x00\ud800" + "9" * 500, "", "9" * 99 + "…"),
        (33639980001, "+33639980001", None),
        ({"number": "?"}, "", '{"number": "?"}'),
    ],
)
async def test_what_the_network_shows_of_a_caller_never_refuses_the_call(
    routing: Routing, shown: Any, phone: str, text: str | None
) -> None:
    await routing.floor()
    offered = {"queue_id": "help", "contact_phone": shown}

    async def post(path: str, body: Any) -> Any:
        answer = await routing.operator.post(
            f"/v1/{path}", content=json.dumps(body), headers={"content-type": "application/json"}
        )
        assert answer.status_code == 202, answer.text
        return answer.json()

    batch = await post("telephony/facts", {"facts": [{"type": "offered", **offered}]})
    single = await post("calls", offered)
    for call_id in (batch["accepted"][0]["call_id"], single["call_id"]):
        call = await routing.call_is(call_id, "queued")
        assert (call["contact_phone"], call["contact_shown"]) == (phone, text)
    events = [event for event in await routing.published("calls", 4) if isinstance(event, CallEvent)]
    assert {(event.contact_phone, event.contact_shown) for event in events} == {(phone, text)}


async def test_calls_are_listed_newest_first_and_filtered(routing: Routing) -> None:
    await routing.floor()
    await routing.put("queues/other", {"tenant_id": "kettle", "pool_id": "main"})
    ids = [(await routing.post("calls", {"queue_id": queue}))["call_id"] for queue in ("help", "other", "help")]
    for call_id in ids:
        await routing.call_is(call_id, "queued")
    await routing.post(f"calls/{ids[0]}/hang-up")
    await routing.call_is(ids[0], "abandoned")

    async def listed(**parameters: Any) -> list[str]:
        answer = await routing.operator.get("/v1/calls", params=parameters)
        return [item["call_id"] for item in answer.json()["items"]]

    assert await listed() == ids[::-1]
    assert await listed(queue_id="help") == [ids[2], ids[0]]
    assert await listed(state="queued") == [ids[2], ids[1]]
    page = (await routing.operator.get("/v1/calls", params={"limit": 2})).json()
    assert await listed(limit=2, cursor=page["next_cursor"]) == [ids[0]]


@asynccontextmanager
async def stream(client: httpx.AsyncClient, path: str) -> AsyncIterator[AsyncIterator[tuple[str, dict[str, Any]]]]:
    """The stream's events as (name, data)."""

    async def events(response: httpx.Response) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        name = ""
        async for line in response.aiter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield name, json.loads(line.removeprefix("data: "))

    async with asyncio.timeout(20), client.stream("GET", path) as response:
        assert response.status_code == 200
        yield events(response)


async def test_an_agents_stream_tells_snapshot_offers_and_states(routing: Routing) -> None:
    await routing.floor("ann", "ben")
    await routing.post("agents/ann/log-in")
    await routing.agent_is("ann", "available")
    ann = await routing.client("agent", "ann")
    async with stream(ann, "/v1/agents/ann/stream") as events:
        name, snapshot = await anext(events)
        assert (name, snapshot["state"]) == ("snapshot", "available")
        first = (await routing.post("calls", {"queue_id": "help"}))["call_id"]
        seen = [await anext(events) for _ in range(2)]
        assert {name for name, _ in seen} == {"offer", "state"}
        assert {data.get("call_id") for _, data in seen} == {first}
        await routing.post(f"calls/{first}/hang-up")
        seen = [await anext(events) for _ in range(2)]
        assert ("offer_withdrawn", {"call_id": first, "reason": "abandoned"}) in seen
        second = (await routing.post("calls", {"queue_id": "help"}))["call_id"]
        await routing.call_is(second, "offered")
        await routing.post(f"calls/{second}/accept", {"agent_id": "ann"})
        seen = [await anext(events) for _ in range(4)]
        assert ("call", "call.answered.v1") in [(name, data.get("type")) for name, data in seen]
    refused = await ann.get("/v1/agents/ben/stream")
    assert refused.status_code == 403


async def test_a_pbx_is_told_what_to_do(routing: Routing) -> None:
    await routing.floor("ann", "ben")
    await routing.post("agents/ann/log-in")
    await routing.agent_is("ann", "available")
    service = await routing.client("service", "pbx")
    async with stream(service, "/v1/telephony/stream") as events:
        assert await anext(events) == ("snapshot", {"calls": []})
        call_id = (await routing.post("calls", {"queue_id": "help", "external_id": "x1"}))["call_id"]
        steps = [await anext(events) for _ in range(2)]
        assert [name for name, _ in steps] == ["play", "ring"]
        assert steps[1][1]["agent_id"] == "ann"
        assert steps[1][1]["external_id"] == "x1"
        await routing.post(f"calls/{call_id}/decline", {"agent_id": "ann"})
        assert (await anext(events))[0] == "stop_ringing"
        await routing.post("agents/ben/log-in")
        assert (await anext(events))[1]["agent_id"] == "ben"
        await routing.post(f"calls/{call_id}/accept", {"agent_id": "ben"})
        assert (await anext(events))[0] == "bridge"
        await routing.post(f"calls/{call_id}/hang-up", {"agent_id": "ben"})
        assert (await anext(events))[0] == "release"
    async with stream(service, "/v1/telephony/stream") as events:
        name, data = await anext(events)
        assert (name, data["calls"][0]["call_id"]) == ("snapshot", call_id)


async def test_open_streams_end_when_the_service_stops(routing: Routing) -> None:
    await routing.floor("ann")
    async with stream(routing.operator, "/v1/agents/ann/stream") as events:
        await anext(events)
        routing.running.runtime.state.streams.close()
        assert [event async for event in events] == []
