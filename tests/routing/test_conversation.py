"""While agent and caller speak: hold, recording, supervision, transfer."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from common.events import (
    CallAnswered,
    CallEnded,
    CallHeld,
    CallOffered,
    CallRecordingChanged,
    CallResumed,
    CallSupervised,
)
from common.testing import eventually
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from routing.domain import inputs
from routing.domain.call_states import Talking
from routing.domain.decisions import decide

from .conftest import QUEUE, Routing
from .floors import Floor, names, only, profile, queue


def talking(**rules: Any) -> Floor:
    """Ann speaks with caller c1 of the queue `help` since second 2."""
    floor = Floor(queue("help", **rules), profile("ann"), profile("ben"))
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help", external_id="pbx-1")
    floor.accept(2, "c1", "ann")
    return floor


def do(floor: Floor, seconds: float, kind: type[Any], **more: Any) -> list[Any]:
    return floor.give(kind, seconds, call_id="c1", **more)


def test_holds_are_told_and_add_up() -> None:
    floor = talking()
    assert names(do(floor, 10, inputs.Hold, agent_id="ann")) == ["call.held"]
    assert do(floor, 11, inputs.Hold, agent_id="ann") == []
    assert only(do(floor, 15, inputs.Resume, agent_id="ann"), CallResumed).held_seconds == 5
    assert do(floor, 16, inputs.Resume, agent_id="ann") == []
    do(floor, 20, inputs.Hold, agent_id="ann")
    ended = only(floor.hang_up(30, "c1"), CallEnded)
    assert (ended.held_seconds, ended.talk_seconds) == (15, 28)


@given(st.lists(st.tuples(st.floats(0, 30), st.booleans()), max_size=12))
def test_the_time_on_hold_is_the_sum_of_the_holds(steps: list[tuple[float, bool]]) -> None:
    floor, now, since, total = talking(), 2.0, None, 0.0
    for seconds, hold in steps:
        now += seconds
        do(floor, now, inputs.Hold if hold else inputs.Resume, agent_id="ann")
        if hold and since is None:
            since = now
        elif not hold and since is not None:
            total, since = total + now - since, None
    ended = only(floor.hang_up(now + 1, "c1"), CallEnded)
    total += 0 if since is None else now + 1 - since
    assert ended.held_seconds == pytest.approx(total, abs=1e-4)
    held = [event for event in floor.events if isinstance(event, CallHeld | CallResumed)]
    assert [isinstance(event, CallHeld) for event in held] == [n % 2 == 0 for n in range(len(held))]


@pytest.mark.parametrize("kind", [inputs.Hold, inputs.Resume, inputs.Transfer])
def test_only_the_agent_of_a_conversation_acts_in_it(kind: type[Any]) -> None:
    floor = talking()
    assert do(floor, 3, kind, agent_id="ben") == []
    assert floor.decision.refused == "not_the_agents_call"
    floor.hang_up(4, "c1")
    assert do(floor, 5, kind, agent_id="ann") == []
    assert floor.decision.refused == "not_the_agents_call"


@pytest.mark.parametrize(
    ("rule", "consent", "refused"),
    [
        ("never", True, "recording_not_allowed"),
        ("with_consent", False, "consent_missing"),
        ("with_consent", True, None),
    ],
)
def test_a_recording_needs_the_queues_rule_and_the_callers_consent(
    rule: str, consent: bool, refused: str | None
) -> None:
    floor = talking(recording=rule)
    events = do(floor, 5, inputs.Record, agent_id="ann", recording="on", consent=consent)
    assert floor.decision.refused == refused
    assert names(events) == ([] if refused else ["call.recording_changed"])


def test_a_consent_holds_for_the_call_and_pauses_hide_what_is_said() -> None:
    floor = talking(recording="with_consent")
    do(floor, 4, inputs.Record, agent_id="ann", recording="paused")
    assert floor.decision.refused == "not_recording"
    for seconds, recording, consent in ((5, "on", True), (6, "paused", False), (7, "on", False), (8, "off", False)):
        event = only(
            do(floor, seconds, inputs.Record, agent_id="ann", recording=recording, consent=consent),
            CallRecordingChanged,
        )
        assert (event.recording, event.consent) == (recording, True)


def test_a_consent_given_before_anything_is_recorded_holds() -> None:
    floor = talking(recording="with_consent")
    assert do(floor, 4, inputs.Record, agent_id="ann", recording="off", consent=True) == []
    assert names(do(floor, 5, inputs.Record, agent_id="ann", recording="on")) == ["call.recording_changed"]


def test_a_queue_that_always_records_begins_with_the_answer() -> None:
    floor = talking(recording="always")
    assert only(floor.events, CallRecordingChanged).sequence == only(floor.events, CallAnswered).sequence + 1
    state = floor.pool.calls["c1"].state
    assert isinstance(state, Talking)
    assert state.recording == "on"
    do(floor, 5, inputs.Record, agent_id="ann", recording="off")
    assert floor.decision.refused == "recording_required"
    for seconds, recording in ((6, "paused"), (8, "on")):
        assert names(do(floor, seconds, inputs.Record, agent_id="ann", recording=recording)) == [
            "call.recording_changed"
        ]


def test_a_supervisor_joins_and_leaves_a_conversation() -> None:
    floor = talking()
    event = only(do(floor, 5, inputs.Supervise, supervisor_id="sue", mode="whisper"), CallSupervised)
    assert (event.agent_id, event.supervisor_id, event.mode) == ("ann", "sue", "whisper")
    assert do(floor, 6, inputs.Supervise, supervisor_id="ann", mode="listen") == []
    assert floor.decision.refused == "own_call"
    floor.hang_up(7, "c1")
    do(floor, 8, inputs.Supervise, supervisor_id="sue", mode="listen")
    assert floor.decision.refused == "no_conversation"


def test_a_transfer_ends_the_conversation_and_offers_the_caller_again() -> None:
    floor = talking()
    where = {"to_call_id": "c2", "to_queue_id": "level-2", "to_pool_id": "experts"}
    events = do(floor, 9, inputs.Transfer, agent_id="ann", **where)
    assert names(events) == ["call.ended", "agent.state_changed:wrap_up", "routing.offer_call"]
    assert only(events, CallEnded).transferred_to_call_id == "c2"
    offered = only(events, inputs.OfferCall)
    assert (offered.pool_id, offered.queue_id, offered.call_id) == ("experts", "level-2", "c2")
    assert (offered.transferred_from, offered.contact_phone, offered.external_id) == ("c1", "+33639980001", "pbx-1")
    assert (offered.first_call_id, offered.first_offered_at) == ("c1", floor.pool.calls["c1"].offered_at)
    do(floor, 10, inputs.Transfer, agent_id="ann", **where)
    assert floor.decision.refused == "not_the_agents_call"


def test_a_transferred_caller_keeps_what_the_flow_said_of_them() -> None:
    floor = talking()
    call = floor.pool.calls["c1"]
    floor.pool.calls["c1"] = replace(call, priority=3, skills=("french", "site:lyon"))
    where = {"to_call_id": "c2", "to_queue_id": "help", "to_pool_id": "main"}
    offered = only(do(floor, 9, inputs.Transfer, agent_id="ann", **where), inputs.OfferCall)
    decide(floor.pool, offered)
    went_on = floor.pool.calls["c2"]
    assert (went_on.priority, went_on.skills) == (3, ("french",))


@pytest.mark.parametrize(
    ("direction", "closed", "refused"),
    [
        ("inbound", "by_hours", "queue_closed"),
        ("inbound", "by_operator", "queue_closed"),
        ("outbound", "by_operator", "queue_closed"),
        ("outbound", "by_hours", None),
    ],
)
def test_nobody_is_handed_on_to_where_they_would_be_turned_away(
    direction: str, closed: str, refused: str | None
) -> None:
    floor = Floor(queue("help"), profile("ann"))
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help", direction=direction)
    floor.accept(2, "c1", "ann")
    where = {"to_call_id": "c2", "to_queue_id": "level-2", "to_pool_id": "experts", "to_closed": closed}
    events = do(floor, 9, inputs.Transfer, agent_id="ann", **where)
    assert floor.decision.refused == refused
    assert ("call.ended" in names(events)) is (refused is None)


def test_a_transfer_to_a_number_leaves_the_floor() -> None:
    floor = talking()
    events = do(floor, 9, inputs.Transfer, agent_id="ann", to_number="+33639980002")
    assert names(events) == ["call.ended", "agent.state_changed:wrap_up"]
    assert only(events, CallEnded).transferred_to_number == "+33639980002"


async def _speak(routing: Routing, call_id: str, agent_id: str) -> None:
    await routing.call_is(call_id, "offered")
    await routing.post(f"calls/{call_id}/accept", {"agent_id": agent_id})
    await routing.call_is(call_id, "talking")


async def test_an_escalation_from_level_1_to_an_expert_of_another_pool(routing: Routing) -> None:
    """Given an agent in a recorded call and an expert in another pool,
    when the agent holds the caller, a supervisor listens and the agent hands the caller on,
    then the expert gets the caller as a new call that names the first, and the PBX is told each step."""
    await routing.put(
        "tenants/kettle",
        {"name": "Kettle", "time_zone": "Europe/Paris", "directory": {"night-desk": "+33 6 39 98 00 02"}},
    )
    for pool_id, queue_id, agent_id in (("main", "help", "ann"), ("experts", "level-2", "eve")):
        await routing.put(f"pools/{pool_id}", {"name": pool_id})
        await routing.put(f"queues/{queue_id}", {**QUEUE, "pool_id": pool_id, "recording": "with_consent"})
        await routing.put(f"agents/{agent_id}", {"name": agent_id, "pool_id": pool_id})
        await routing.post(f"agents/{agent_id}/log-in")
    pbx: list[tuple[str, dict[str, Any]]] = []

    async def listen() -> None:
        client = await routing.client("service")
        async with client.stream("GET", "/v1/telephony/stream") as stream:
            name = ""
            async for line in stream.aiter_lines():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    pbx.append((name, json.loads(line.removeprefix("data: "))))

    listening = asyncio.create_task(listen())
    routing.exits.callback(listening.cancel)
    await eventually(lambda: _true([name for name, _ in pbx] == ["snapshot"]))
    offer = {"queue_id": "help", "contact_phone": "+33639980001", "external_id": "leg-1"}
    first = (await routing.post("calls", offer))["call_id"]
    await _speak(routing, first, "ann")
    ann, sue = await routing.client("agent", "ann"), await routing.client("supervisor", "sue")

    denied = (await ann.post(f"/v1/calls/{first}/recording", json={"recording": "on"})).json()
    assert (await routing.outcome(denied["command_id"]))["reason"] == "consent_missing"
    await ann.post(f"/v1/calls/{first}/recording", json={"recording": "on", "consent": True})
    assert (await ann.post(f"/v1/calls/{first}/hold")).status_code == 202
    await eventually(lambda: _view(routing, first, on_hold=True, recording="on"))
    assert (await ann.post(f"/v1/calls/{first}/resume")).status_code == 202
    assert (await sue.post(f"/v1/calls/{first}/supervision", json={"mode": "listen"})).status_code == 202
    assert (await ann.post(f"/v1/calls/{first}/supervision", json={"mode": "listen"})).status_code == 403

    for wrong, field in (
        ({}, "queue_id"),
        ({"queue_id": "help", "directory": "night-desk"}, "queue_id"),
        ({"queue_id": "none"}, "queue_id"),
        ({"directory": "none"}, "directory"),
    ):
        answer = await ann.post(f"/v1/calls/{first}/transfer", json=wrong)
        assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert (await routing.operator.post("/v1/queues/level-2/close")).status_code == 200
    away = (await ann.post(f"/v1/calls/{first}/transfer", json={"queue_id": "level-2"})).json()
    assert (await routing.outcome(away["command_id"]))["reason"] == "queue_closed"
    assert (await routing.operator.post("/v1/queues/level-2/follow-hours")).status_code == 200
    key = {"idempotency-key": "once"}
    moved = [
        (await ann.post(f"/v1/calls/{first}/transfer", json={"queue_id": "level-2"}, headers=key)).json()
        for _ in range(2)
    ]
    assert moved[0] == moved[1]
    second = moved[0]["to_call_id"]
    await _speak(routing, second, "eve")
    view = await routing.call_is(second, "talking")
    assert (view["transferred_from"], view["contact_phone"], view["pool_id"]) == (first, "+33639980001", "experts")
    assert (await routing.call_is(first, "wrapping_up"))["transferred_to"] == second

    eve = await routing.client("agent", "eve")
    out = await eve.post(f"/v1/calls/{second}/transfer", json={"directory": "night-desk"})
    assert out.json()["to_call_id"] is None
    assert (await routing.call_is(second, "wrapping_up"))["transferred_to"] == "+33639980002"
    told = {
        first: ["play", "ring", "bridge", "record", "hold", "resume", "supervise", "transfer"],
        second: ["play", "ring", "bridge", "transfer"],
    }
    await eventually(lambda: _true(len(pbx) > sum(map(len, told.values()))))
    assert {call_id: [name for name, data in pbx[1:] if data["call_id"] == call_id] for call_id in told} == told
    assert {data["external_id"] for _, data in pbx[1:]} == {"leg-1"}
    calls = await routing.published("calls", 14)
    assert {event.transferred_from for event in calls if isinstance(event, CallOffered)} == {None, first}


async def _true(value: bool) -> bool:
    return value


async def _view(routing: Routing, call_id: str, **wanted: Any) -> bool:
    view = (await routing.operator.get(f"/v1/calls/{call_id}")).json()
    return all(view[name] == value for name, value in wanted.items())
