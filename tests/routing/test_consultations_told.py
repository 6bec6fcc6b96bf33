"""Consultations at the API: what is refused there, what a PBX and the desktops are told; whom they find."""

from __future__ import annotations

from typing import Any

import pytest
from common.auth import Principal
from common.events import CallEvent, ConsultationAssigned, ConsultationEvent
from msgspec.structs import replace
from routing.api.streams import Seen, for_agent
from routing.api.telephony import _only
from routing.domain import inputs
from routing.domain.call_states import AskedAgent, AskedNumber, AskedQueue
from routing.domain.configuration import Site, Weights

from .conftest import QUEUE, Routing
from .floors import Floor, names, only, profile, queue
from .shared_floor import share

PBX = Principal("pbx", frozenset(), None)


def consulting(asked: Any, *acts: tuple[type[Any], dict[str, Any]], answered: bool = True) -> Floor:
    """Ann speaks with caller c1 and asks; eve answers; then these happen."""
    floor = Floor(queue("help"), queue("level-2", "expert"), profile("ann"), profile("eve", "expert"), profile("sue"))
    floor.log_in(0, "ann", "eve")
    floor.call(1, "c1", "help", external_id="leg-1")
    floor.accept(2, "c1", "ann")
    floor.give(inputs.Consult, 10, call_id="c1", agent_id="ann", consultation_id="x1", asked=asked)
    if answered:
        floor.accept(12, "x1", "eve")
    for second, (kind, fields) in enumerate(acts, start=20):
        floor.give(kind, second, **fields)
    return floor


ANN: dict[str, Any] = {"call_id": "c1", "agent_id": "ann"}
CONFER, COMPLETE, CANCEL = (
    (kind, ANN) for kind in (inputs.Confer, inputs.CompleteConsultation, inputs.CancelConsultation)
)
LEVEL_2 = AskedQueue("level-2")
BEFORE = ["play", "ring", "bridge", "hold", "consult"]


def commands(floor: Floor, call_id: str) -> list[tuple[str, dict[str, Any]]]:
    """What a PBX is told of the call. Of two calls no order holds."""
    told: list[tuple[str, dict[str, Any]]] = []
    ringing: dict[str, str] = {}
    for event in floor.events:
        if isinstance(event, CallEvent | ConsultationEvent) and event.call_id == call_id:
            seen = Seen("", event, ringing.pop(call_id, None))
            told += [(sent.name, sent.data) for sent in _only(PBX, {})(seen)]
            if isinstance(event, ConsultationAssigned):
                ringing[call_id] = event.agent_id
    return told


@pytest.mark.parametrize(
    ("acts", "of_the_call", "of_the_consultation"),
    [
        ([COMPLETE], ["transfer"], ["ring", "bridge", "bridge"]),
        ([CANCEL], ["end_consultation", "resume"], ["ring", "bridge", "release"]),
        ([CONFER, COMPLETE], ["resume", "conference", "transfer"], ["ring", "bridge", "bridge"]),
        (
            [CONFER, (inputs.HangUp, {"call_id": "x1", "agent_id": "eve"})],
            ["resume", "conference", "end_consultation"],
            ["ring", "bridge", "release"],
        ),
        ([(inputs.HangUp, {"call_id": "c1"})], ["end_consultation", "release"], ["ring", "bridge", "release"]),
        (
            [(inputs.Relieve, {"call_id": "c1", "supervisor_id": "sue", "to_call_id": "n1"})],
            ["end_consultation", "transfer"],
            ["ring", "bridge", "release"],
        ),
    ],
)
def test_a_pbx_is_told_each_step(acts: Any, of_the_call: list[str], of_the_consultation: list[str]) -> None:
    floor = consulting(LEVEL_2)
    floor.log_in(13, "sue")
    for second, (kind, fields) in enumerate(acts, start=20):
        floor.give(kind, second, **fields)
    assert [name for name, _ in commands(floor, "c1")] == BEFORE + of_the_call
    told = commands(floor, "x1")
    assert [name for name, _ in told] == of_the_consultation
    assert {data["external_id"] for _, data in told} == {"leg-1"}
    between = [(data["consults"], data["asked_by"]) for _, data in told if "consults" in data]
    assert set(between) == {("c1", "ann")}
    assert (told[-1][0] == "bridge") is ("consults" not in told[-1][1]), "the caller is connected"


def test_a_number_is_dialled_by_the_pbx_and_joined() -> None:
    floor = consulting(AskedNumber("+33639980002"), CONFER, COMPLETE, answered=False)
    told = dict(commands(floor, "c1"))
    assert list(told) == ["play", "ring", "bridge", "hold", "consult", "resume", "conference", "transfer"]
    assert told["consult"]["to_number"] == told["transfer"]["to_number"] == "+33639980002"


def test_a_consultation_that_is_over_stops_ringing() -> None:
    floor = consulting(LEVEL_2, CANCEL, answered=False)
    assert [name for name, _ in commands(floor, "x1")] == ["ring", "stop_ringing", "release"]
    (over,) = [event for event in floor.events if event.TYPE == "consultation.ended.v1"]
    (told,) = for_agent("eve", 0, Seen("", over, "eve"))
    assert (told.name, told.data["reason"]) == ("offer_withdrawn", "cancelled")


def test_both_desktops_are_told() -> None:
    floor = consulting(LEVEL_2, COMPLETE)

    def told(agent_id: str) -> list[str]:
        seen = (sent for event in floor.events for sent in for_agent(agent_id, 0, Seen("", event, None)))
        return [sent.data["type"].removesuffix(".v1") for sent in seen if sent.name != "state"]

    asked = ["call.consultation_begun", "consultation.assigned", "consultation.answered", "call.consultation_ended"]
    assert told("ann") == ["call.assigned", "call.answered", *asked, "call.ended"]
    assert told("eve") == ["consultation.assigned", "consultation.answered", "call.answered"]


def two_tenants(**shares: Any) -> Floor:
    """Ann speaks with c1 of kettle; ben alone is available; what lamp is due."""
    floor = Floor(
        queue("help"), queue("level-2"), queue("lamp", tenant_id="lamp"), *(profile(one) for one in ("ann", "ben"))
    )
    floor.log_in(0, "ann", "ben")
    floor.call(1, "c1", "help")
    floor.accept(2, "c1", "ann")
    floor.give(inputs.ConfigureShare, 3, share=share("lamp", **shares))
    return floor


def ask(floor: Floor, seconds: float, asked: Any) -> list[str]:
    return names(floor.give(inputs.Consult, seconds, **ANN, consultation_id=f"x{seconds}", asked=asked))


def test_who_is_kept_for_another_tenant_is_kept_from_consultations() -> None:
    """A reservation is a promise to a client: a colleague's call by name does not break it, as a caller's does not."""
    floor = two_tenants(reserved=1)
    assert ask(floor, 10, AskedAgent("ben")) == []
    assert floor.decision.refused == "agent_kept"
    assert ask(floor, 11, AskedQueue("level-2")) == ["call.held", "call.consultation_begun"]
    assert "consultation.assigned" in names(
        floor.give(inputs.ConfigureShare, 12, share=share("lamp", reserved=0, version=2))
    )


def test_a_kept_agent_is_found_by_a_consultation_that_has_waited_for_the_release_time() -> None:
    floor = two_tenants(reserved=1, release_after_seconds=30.0)
    ask(floor, 10, AskedQueue("level-2"))
    assert only(floor.tick(41), ConsultationAssigned).agent_id == "ben"
    assert floor.pool.calls["x10"].assignments[-1].share == "released"


def test_a_tenant_that_has_as_many_agents_as_it_may_have_gets_no_colleague() -> None:
    floor = two_tenants()
    floor.give(inputs.ConfigureShare, 4, share=share("kettle", most=1))
    assert ask(floor, 10, AskedAgent("ben")) == []
    assert floor.decision.refused == "agent_kept"
    floor.give(inputs.ConfigureShare, 11, share=share("kettle", most=2, version=2))
    assert "consultation.assigned" in ask(floor, 12, AskedAgent("ben"))


def test_a_colleague_at_a_site_that_is_down_is_not_there() -> None:
    floor = Floor(queue("help"), profile("ann"), replace(profile("ben"), site_id="lyon"))
    floor.log_in(0, "ann", "ben")
    floor.call(1, "c1", "help", preferred_agent_id="ann")
    floor.accept(2, "c1", "ann")
    floor.give(inputs.ConfigureSite, 3, site=Site("lyon", down=True, version=1))
    assert ask(floor, 10, AskedAgent("ben")) == []
    assert floor.decision.refused == "agent_not_available"
    floor.give(inputs.ConfigureSite, 11, site=Site("lyon", down=False, version=2))
    assert ask(floor, 12, AskedAgent("ben"))
    floor.give(inputs.ConfigureSite, 13, site=Site("lyon", down=True, version=3))
    assert "x12" not in floor.pool.calls, "it rang there"


@pytest.mark.parametrize("rings", [False, True])
def test_a_queue_that_moves_to_another_pool_leaves_its_consultations_unanswered(rings: bool) -> None:
    """Who waits there goes over; a consultation cannot, for its agent speaks here. What rings here may be answered."""
    floor = consulting(LEVEL_2, answered=False)
    if not rings:
        floor.log_out(15, "eve")
    moved = queue("level-2", "expert", version=2).at_home_in("experts")
    events = floor.give(inputs.ConfigureQueue, 20, queue=moved)
    if rings:
        assert names(floor.accept(21, "x1", "eve"))[0] == "consultation.answered"
    else:
        assert names(events) == ["call.consultation_ended", "consultation.ended", "call.resumed"]
        assert ask(floor, 22, LEVEL_2) == []
        assert floor.decision.refused == "queue_of_another_pool"


def test_a_policy_that_learns_learns_nothing_from_consultations() -> None:
    weights = Weights(lost_call_cost=2.0)
    floor = Floor(queue("help", weights=weights), queue("level-2", weights=weights), profile("ann"), profile("ben"))
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help")
    floor.accept(2, "c1", "ann")
    ask(floor, 10, AskedQueue("level-2"))
    floor.log_in(300, "ben")
    floor.accept(301, "x10", "ben")
    assert floor.pool.calls["x10"].state_name == "talking"
    floor.give(inputs.CancelConsultation, 500, **ANN)
    assert floor.pool.memories.figures_of("level-2") is None


async def test_whom_an_agent_may_ask_is_said_at_once(routing: Routing) -> None:
    """Given two pools, two tenants and a queue for chats, when an agent asks for what is not of the call's own, then it
    is refused at once; the same key asks once; and only a supervisor takes over."""
    await routing.floor("ann", "eve")
    await routing.put("tenants/lamp", {"name": "Lamp", "time_zone": "Europe/Paris"})
    await routing.put("pools/other", {"name": "Other"})
    await routing.put("agents/zoe", {"name": "Zoe", "pool_id": "other"})
    for queue_id, changes in (
        ("elsewhere", {"pool_id": "other"}),
        ("chats", {"channel": "chat"}),
        ("lamps", {"tenant_id": "lamp"}),
        ("level-2", {}),
    ):
        await routing.put(f"queues/{queue_id}", {**QUEUE, **changes})
    await routing.post("agents/ann/log-in")
    await routing.agent_is("ann", "available")
    call_id = (await routing.post("calls", {"queue_id": "help", "contact_phone": "+33639980001"}))["call_id"]
    await routing.call_is(call_id, "offered")
    await routing.post(f"calls/{call_id}/accept", {"agent_id": "ann"})
    await routing.call_is(call_id, "talking")
    ann, sue = await routing.client("agent", "ann"), await routing.client("supervisor", "sue")
    for wrong, field in (
        ({}, "queue_id"),
        ({"queue_id": "level-2", "colleague_id": "eve"}, "queue_id"),
        ({"queue_id": "chats"}, "queue_id"),
        ({"queue_id": "lamps"}, "queue_id"),
        ({"colleague_id": "nobody"}, "colleague_id"),
        ({"directory": "none"}, "directory"),
    ):
        answer = await ann.post(f"/v1/calls/{call_id}/consultation", json=wrong)
        assert (answer.status_code, answer.json()["field"]) == (422, field), wrong
    assert (await ann.post(f"/v1/calls/{call_id}/take-over")).status_code == 403
    answer = await sue.post(f"/v1/calls/{call_id}/take-over")
    assert (answer.status_code, answer.json()["field"]) == (422, "agent_id")
    for asked_of in ({"queue_id": "elsewhere"}, {"colleague_id": "zoe"}):
        refused = (await ann.post(f"/v1/calls/{call_id}/consultation", json=asked_of)).json()
        assert str((await routing.outcome(refused["command_id"]))["reason"]).endswith("_of_another_pool")
    key = {"idempotency-key": "once"}
    asked = [
        (await ann.post(f"/v1/calls/{call_id}/consultation", json={"queue_id": "level-2"}, headers=key)).json()
        for _ in range(2)
    ]
    assert asked[0] == asked[1]
    view = await routing.call_is(asked[0]["consultation_id"], "queued")
    assert (view["consults"], view["queue_id"]) == (call_id, "level-2")
    again = (await ann.post(f"/v1/calls/{call_id}/consultation", json={"colleague_id": "eve"})).json()
    assert (await routing.outcome(again["command_id"]))["reason"] == "consultation_open"
    eve = await routing.client("agent", "eve")
    other = (await eve.post(f"/v1/calls/{call_id}/consultation/cancel")).json()
    assert (await routing.outcome(other["command_id"]))["reason"] == "not_the_agents_call"
    assert (await ann.post(f"/v1/calls/{call_id}/consultation/cancel")).status_code == 202
    await routing.call_is(asked[0]["consultation_id"], "consultation_over")
