"""What an agent asks of others while a caller is on hold: consultation, warm transfer, conference, take over."""

from __future__ import annotations

from typing import Any

import pytest
from common.events import (
    AgentStateChanged,
    CallAnswered,
    CallConsultationBegun,
    CallConsultationEnded,
    CallEnded,
    CallOffered,
    CallQueued,
    CallRecordingChanged,
    ConsultationAnswered,
    ConsultationAssigned,
    ConsultationEnded,
    Event,
)
from common.hours import parse
from routing.domain import inputs
from routing.domain.agents import AfterCall, Available, Busy, OnBreak
from routing.domain.call_states import AskedAgent, AskedNumber, AskedQueue, ConsultationOver, Talking

from .floors import Floor, at, names, only, profile, queue

LEVEL_2 = AskedQueue("level-2")
NIGHT_DESK = AskedNumber("+33639980002")


def talking(**rules: Any) -> Floor:
    """Ann speaks with caller c1 of the queue `help`; eve alone serves `level-2`, and is free."""
    floor = Floor(
        queue("help", **rules),
        queue("level-2", "expert", wrap_up_seconds=10.0, **rules),
        profile("ann"),
        profile("eve", "expert"),
        profile("sue"),
    )
    floor.log_in(0, "ann", "eve")
    floor.call(1, "c1", "help", external_id="pbx-1")
    floor.accept(2, "c1", "ann")
    return floor


def consult(floor: Floor, seconds: float, asked: Any = LEVEL_2, number: str = "x1", agent: str = "ann") -> list[Event]:
    return floor.give(inputs.Consult, seconds, call_id="c1", agent_id=agent, consultation_id=number, asked=asked)


def consulting(asked: Any = LEVEL_2, **rules: Any) -> Floor:
    """Ann asks eve, who has answered, at second 12."""
    floor = talking(**rules)
    consult(floor, 10, asked)
    floor.accept(12, "x1", "eve")
    return floor


def do(floor: Floor, seconds: float, kind: type[Any], call_id: str = "c1", agent: str = "ann") -> list[Event]:
    return floor.give(kind, seconds, call_id=call_id, agent_id=agent)


def test_an_expert_is_asked_while_the_caller_is_on_hold() -> None:
    floor = talking()
    events = consult(floor, 10)
    assert names(events) == [
        "call.held",
        "call.consultation_begun",
        "consultation.assigned",
        "agent.state_changed:offered",
    ]
    assert only(events, CallConsultationBegun).to_queue_id == "level-2"
    assigned = only(events, ConsultationAssigned)
    assert (assigned.agent_id, assigned.consults, assigned.asked_by) == ("eve", "c1", "ann")
    assert (assigned.offer_expires_at, assigned.external_id) == (at(30), "pbx-1")
    assert names(floor.accept(12, "x1", "eve")) == ["consultation.answered", "agent.state_changed:busy"]
    assert floor.pool.calls["x1"].agent_id == "eve"
    state = floor.pool.calls["c1"].state
    assert isinstance(state, Talking)
    assert state.held_since == at(10)


def test_a_completed_consultation_becomes_the_call_that_the_caller_goes_on_as() -> None:
    floor = consulting()
    events = do(floor, 60, inputs.CompleteConsultation)
    assert names(events) == [
        "call.consultation_ended",
        "call.ended",
        "agent.state_changed:wrap_up",
        "call.offered",
        "call.queued",
        "call.answered",
    ]
    ended = only(events, CallEnded)
    assert (ended.call_id, ended.agent_id, ended.transferred_to_call_id) == ("c1", "ann", "x1")
    assert (ended.held_seconds, ended.talk_seconds) == (50, 58)
    offered, queued, answered = only(events, CallOffered), only(events, CallQueued), only(events, CallAnswered)
    assert (offered.call_id, offered.transferred_from, offered.queue_id) == ("x1", "c1", "level-2")
    assert (offered.contact_phone, offered.direction) == ("+33639980001", "inbound")
    assert (queued.entry, queued.taken_by, queued.queued_at) == (1, "eve", at(60))
    assert (answered.agent_id, answered.wait_seconds, answered.total_wait_seconds) == ("eve", 0, 0)
    assert [one.sequence for one in (offered, queued, answered)] == [3, 4, 5], "the consultation's numbers go on"
    floor.wrap_up(65, "c1", "ann")
    assert isinstance(floor.agent("ann").state, Available)
    floor.hang_up(90, "x1")
    assert isinstance(floor.agent("eve").state, AfterCall)
    floor.wrap_up(95, "x1", "eve", "solved")
    assert floor.pool.calls == {}


def test_the_call_that_goes_on_may_be_handed_on_again() -> None:
    floor = consulting()
    do(floor, 60, inputs.CompleteConsultation)
    asked = {"call_id": "x1", "agent_id": "eve", "consultation_id": "x2", "asked": NIGHT_DESK}
    floor.give(inputs.Consult, 70, **asked)
    events = do(floor, 80, inputs.CompleteConsultation, "x1", "eve")
    ended = only(events, CallEnded)
    assert (ended.transferred_to_number, ended.first_call_id) == ("+33639980002", "c1")
    assert ended.first_offered_at == at(1)


def test_the_call_that_goes_on_is_recorded_by_the_rule_of_its_queue() -> None:
    floor = consulting(recording="always")
    assert not [event for event in floor.events if isinstance(event, CallRecordingChanged) and event.call_id == "x1"]
    events = do(floor, 60, inputs.CompleteConsultation)
    assert only(events, CallRecordingChanged).call_id == "x1"


def test_a_colleague_by_name_is_asked_at_once_or_not_at_all() -> None:
    floor = talking()
    consult(floor, 10, AskedAgent("sue"))
    assert floor.decision.refused == "agent_not_available"
    consult(floor, 10, AskedAgent("nobody"))
    assert floor.decision.refused == "agent_of_another_pool"
    floor.log_in(11, "sue")
    assigned = only(consult(floor, 12, AskedAgent("eve")), ConsultationAssigned)
    assert (assigned.agent_id, assigned.queue_id) == ("eve", "help")
    events = floor.decline(13, "x1", "eve")
    assert names(events) == [
        "consultation.offer_missed",
        "agent.state_changed:break",
        "call.consultation_ended",
        "consultation.ended",
        "call.resumed",
    ]
    assert only(events, ConsultationEnded).outcome == "unanswered"


def test_a_missed_offer_goes_to_the_next_agent_who_may_serve_the_queue() -> None:
    floor = Floor(
        queue("help"), queue("level-2", "expert"), profile("ann"), profile("eve", "expert"), profile("fay", "expert")
    )
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help")
    floor.accept(2, "c1", "ann")
    consult(floor, 10)
    floor.log_in(11, "eve", "fay")
    assert floor.pool.calls["x1"].agent_id == "eve"
    events = floor.tick(31)
    assert [event.agent_id for event in events if isinstance(event, ConsultationAssigned)] == ["fay"]


def test_nobody_in_time_leads_back_to_the_caller() -> None:
    floor = talking(max_wait_seconds=30.0)
    floor.log_out(9, "eve")
    assert names(consult(floor, 10)) == ["call.held", "call.consultation_begun"]
    events = floor.tick(40)
    assert names(events) == ["call.consultation_ended", "consultation.ended", "call.resumed"]
    ended = only(events, ConsultationEnded)
    assert (ended.outcome, ended.agent_id, ended.sequence) == ("unanswered", None, 1)
    assert names(consult(floor, 50, number="x2")) == ["call.held", "call.consultation_begun"]


def test_hours_and_overflows_of_a_queue_are_not_for_consultations_but_an_operators_word_is() -> None:
    floor = talking()
    floor.log_out(3, "eve")
    rules = queue(
        "level-2", "expert", overflow=("help", 5.0), hours=parse({"week": {"sun": [["08:00", "12:00"]]}}), version=2
    )
    floor.give(inputs.ConfigureQueue, 4, queue=rules)
    assert not floor.pool.is_open("level-2")
    consult(floor, 10)
    floor.tick(100)
    assert floor.pool.calls["x1"].queue_id == "level-2"
    do(floor, 101, inputs.CancelConsultation)
    floor.give(inputs.ConfigureQueue, 102, queue=queue("level-2", "expert", override="closed", version=3))
    consult(floor, 103, number="x2")
    assert floor.decision.refused == "queue_closed"


@pytest.mark.parametrize("answered", [False, True])
def test_a_cancelled_consultation_leads_back_to_the_caller(answered: bool) -> None:
    floor = talking()
    consult(floor, 10)
    if answered:
        floor.accept(12, "x1", "eve")
    events = do(floor, 20, inputs.CancelConsultation)
    assert names(events) == [
        "call.consultation_ended",
        "consultation.ended",
        "agent.state_changed:available",
        "call.resumed",
    ]
    assert only(events, CallConsultationEnded).outcome == "cancelled"
    assert isinstance(floor.pool.changed_calls["x1"].state, ConsultationOver)
    assert isinstance(floor.agent("eve").state, Available)
    do(floor, 21, inputs.CancelConsultation)
    assert floor.decision.refused == "no_consultation"
    assert floor.agent("eve").handling_seconds is None, "it teaches nothing of how long calls take"


@pytest.mark.parametrize(("agent", "outcome"), [("eve", "left"), ("ann", "cancelled"), (None, "cancelled")])
def test_whoever_hangs_up_the_consultation_leaves_the_caller_with_the_first_agent(
    agent: str | None, outcome: str
) -> None:
    floor = consulting()
    events = floor.hang_up(20, "x1", agent)
    assert only(events, CallConsultationEnded).outcome == outcome
    assert names(events)[-1] == "call.resumed"
    assert isinstance(floor.agent("ann").state, Busy)
    assert isinstance(floor.agent("eve").state, Available)


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize("agent", [None, "ann"])
def test_the_end_of_the_call_ends_its_consultation(agent: str | None, answered: bool) -> None:
    floor = talking()
    consult(floor, 10)
    if answered:
        floor.accept(12, "x1", "eve")
    events = floor.hang_up(20, "c1", agent)
    assert only(events, ConsultationEnded).outcome == "call_over"
    assert only(events, CallEnded).transferred_to_call_id is None
    assert isinstance(floor.agent("ann").state, AfterCall)
    assert isinstance(floor.agent("eve").state, Available)


def test_a_consulted_agent_who_asked_for_a_break_takes_it_afterwards() -> None:
    floor = consulting()
    floor.set_state(15, "eve", "break", "lunch")
    do(floor, 20, inputs.CancelConsultation)
    assert floor.agent("eve").state == OnBreak(at(20), "lunch")


def test_a_cold_transfer_ends_the_consultation() -> None:
    floor = consulting()
    asked = {"call_id": "c1", "agent_id": "ann", "to_number": "+33639980002"}
    events = floor.give(inputs.Transfer, 20, **asked)
    assert only(events, ConsultationEnded).outcome == "call_over"
    assert isinstance(floor.agent("eve").state, Available)


def conferring(asked: Any = LEVEL_2) -> Floor:
    floor = consulting(asked)
    events = do(floor, 30, inputs.Confer)
    assert names(events) == ["call.resumed", "call.conferenced"]
    assert do(floor, 31, inputs.Confer) == []
    return floor


def test_the_first_agent_leaves_a_conference_by_hanging_up() -> None:
    floor = conferring()
    events = floor.hang_up(40, "c1", "ann")
    assert only(events, CallEnded).transferred_to_call_id == "x1"
    assert only(events, CallConsultationEnded).outcome == "completed"
    assert floor.agent("eve").state_name == "busy"
    (record,) = floor.pool.calls["c1"].consulted
    assert (record.agent_id, record.answered_by, record.joined, record.outcome) == ("ann", "eve", True, "completed")


def test_the_second_agent_leaves_a_conference() -> None:
    floor = conferring()
    events = floor.hang_up(40, "x1", "eve")
    assert names(events) == ["call.consultation_ended", "consultation.ended", "agent.state_changed:available"]
    assert isinstance(floor.agent("ann").state, Busy)


def test_the_caller_leaves_a_conference_and_all_is_over() -> None:
    floor = conferring()
    floor.hang_up(40, "c1")
    assert isinstance(floor.agent("ann").state, AfterCall)
    assert isinstance(floor.agent("eve").state, Available)
    floor.wrap_up(41, "c1", "ann")
    assert floor.pool.calls == {}


def test_a_conference_or_a_hand_over_waits_for_an_answer() -> None:
    floor = talking()
    for kind in (inputs.Confer, inputs.CompleteConsultation, inputs.CancelConsultation):
        do(floor, 9, kind)
        assert floor.decision.refused == "no_consultation"
    consult(floor, 10)
    for kind in (inputs.Confer, inputs.CompleteConsultation):
        assert do(floor, 11, kind) == []
        assert floor.decision.refused == "consultation_not_answered"


def test_a_number_outside_is_asked_joined_and_left_alone_with_the_caller() -> None:
    floor = talking()
    events = consult(floor, 10, NIGHT_DESK)
    assert names(events) == ["call.held", "call.consultation_begun"]
    assert only(events, CallConsultationBegun).to_number == "+33639980002"
    assert names(do(floor, 20, inputs.Confer)) == ["call.resumed", "call.conferenced"]
    events = do(floor, 30, inputs.CompleteConsultation)
    assert names(events) == ["call.consultation_ended", "call.ended", "agent.state_changed:wrap_up"]
    assert only(events, CallEnded).transferred_to_number == "+33639980002"


def test_one_consultation_at_a_time_and_the_same_again_is_nothing() -> None:
    floor = consulting()
    assert consult(floor, 13) == []
    assert floor.decision.refused is None
    consult(floor, 13, number="x2")
    assert floor.decision.refused == "consultation_open"
    do(floor, 14, inputs.CancelConsultation)
    assert consult(floor, 15) == []
    assert floor.decision.refused is None
    consult(floor, 16, AskedQueue("nowhere"), "x3")
    assert floor.decision.refused == "queue_of_another_pool"


@pytest.mark.parametrize(
    "kind",
    [
        inputs.Hold,
        inputs.Resume,
        inputs.Confer,
        inputs.CompleteConsultation,
        inputs.CancelConsultation,
        inputs.Transfer,
    ],
)
def test_in_a_consultation_there_is_nothing_to_hold_or_to_hand_on(kind: type[Any]) -> None:
    floor = consulting()
    assert do(floor, 20, kind, "x1", "eve") == []
    assert floor.decision.refused == "not_the_agents_call"
    floor.give(inputs.Supervise, 21, call_id="x1", supervisor_id="sue", mode="listen")
    assert floor.decision.refused == "no_conversation"


@pytest.mark.parametrize("state", ["available", "break"])
def test_a_supervisor_takes_a_call_over_and_then_goes_on_as_before(state: str) -> None:
    floor = talking()
    floor.give(inputs.LogIn, 5, agent_id="sue", state=state)
    taken = {"call_id": "c1", "supervisor_id": "sue", "to_call_id": "n1"}
    events = floor.give(inputs.Relieve, 20, **taken)
    assert names(events) == [
        "agent.state_changed:busy",
        "call.ended",
        "agent.state_changed:wrap_up",
        "call.offered",
        "call.queued",
        "call.answered",
    ]
    assert only(events, CallEnded).transferred_to_call_id == "n1"
    offered = only(events, CallOffered)
    assert (offered.call_id, offered.sequence, offered.transferred_from) == ("n1", 1, "c1")
    assert floor.give(inputs.Relieve, 21, **taken) == []
    floor.hang_up(30, "n1")
    floor.wrap_up(31, "n1", "sue")
    assert floor.agent("sue").state_name == state


def test_only_a_free_supervisor_of_the_pool_takes_over_and_not_their_own_call() -> None:
    floor = talking()
    for supervisor, refused in (("sue", "supervisor_not_free"), ("ann", "own_call"), ("zoe", "agent_of_another_pool")):
        floor.give(inputs.Relieve, 20, call_id="c1", supervisor_id=supervisor, to_call_id="n1")
        assert floor.decision.refused == refused
    consult(floor, 21)
    floor.accept(22, "x1", "eve")
    floor.give(inputs.Relieve, 23, call_id="x1", supervisor_id="sue", to_call_id="n1")
    assert floor.decision.refused == "no_conversation"
    floor.give(inputs.Relieve, 23, call_id="c1", supervisor_id="eve", to_call_id="n1")
    assert floor.decision.refused == "supervisor_not_free"


def test_a_take_over_ends_the_consultation_and_keeps_the_supervisor_from_other_calls() -> None:
    """Dan waits for eve alone; her log-out would give his call to the supervisor."""
    floor = Floor(queue("help", sticky_seconds=100.0), profile("ann"), profile("eve"), profile("sue"))
    floor.log_in(0, "ann", "eve")
    floor.call(1, "c1", "help")
    floor.accept(2, "c1", "ann")
    consult(floor, 3, AskedAgent("eve"))
    floor.accept(4, "x1", "eve")
    floor.call(5, "c2", "help", preferred_agent_id="eve")
    floor.log_out(6, "eve")
    floor.log_in(7, "sue")
    assert floor.agent("sue").state_name == "available"
    events = floor.give(inputs.Relieve, 8, call_id="c1", supervisor_id="sue", to_call_id="n1")
    assert only(events, ConsultationEnded).outcome == "call_over"
    state = floor.agent("sue").state
    assert isinstance(state, Busy)
    assert state.call_id == "n1"
    assert floor.pool.calls["c2"].state_name == "queued"


def test_the_consulted_agent_is_told_of_as_any_other() -> None:
    floor = consulting()
    changes = [event for event in floor.events if isinstance(event, AgentStateChanged) and event.agent_id == "eve"]
    assert [(change.state, change.call_id) for change in changes] == [("offered", "x1"), ("busy", "x1")]
    assert only(floor.events, ConsultationAnswered).answered_at == at(12)
