"""Calls in their flow, decided by their pool: from the arrival to a queue, a message, a hang-up or a time-out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from common.events import (
    CallAbandoned,
    CallAnswered,
    CallArrived,
    CallAssigned,
    CallbackDialled,
    CallbackRequested,
    CallLeftInFlow,
    CallOffered,
    CallPrompted,
    CallQueued,
    Event,
    FlowEvent,
    VoicemailLeft,
)
from common.hours import parse
from hypothesis import given
from hypothesis import strategies as st
from routing.api.streams import Seen
from routing.api.telephony import flow_commands_of
from routing.domain import explanation, flows, inputs
from routing.domain.call_states import InFlow
from routing.domain.calls import Call
from routing.domain.configuration import Announcement, CallbackRules
from routing.domain.decisions import decide
from routing.domain.pool import Pool

from .floors import START, Floor, at, names, only, profile, queue

FLOW = flows.Flow(
    start="hello",
    steps={
        "hello": flows.Greeting(prompt="welcome", next="regular"),
        "regular": flows.Priority(steps=3, phones=("+33639980001",), next="topic"),
        "topic": flows.Menu(
            prompt="topics",
            choices=(flows.Choice(digits="1", next="help"), flows.Choice(digits="2", next="record")),
            otherwise="bye",
            tries=2,
            timeout_seconds=10,
        ),
        "help": flows.ToQueue(queue_id="help"),
        "record": flows.Voicemail(prompt="speak", queue_id="help", max_seconds=60),
        "bye": flows.Message(prompt="goodbye"),
    },
)


def arrive(floor: Floor, seconds: float, call_id: str = "c1", phone: str = "+33639980001") -> list[Event]:
    return floor.give(
        inputs.ArriveCall,
        seconds,
        call_id=call_id,
        entry_point_id="line",
        dialled="+33639980100",
        contact_phone=phone,
        flow=FLOW,
    )


def press(floor: Floor, seconds: float, digits: str, call_id: str = "c1") -> list[Event]:
    return floor.give(inputs.Digits, seconds, call_id=call_id, digits=digits)


def floor_of_one() -> Floor:
    floor = Floor(queue("help"), profile("ann"))
    floor.log_in(0, "ann")
    return floor


def test_a_call_goes_through_its_flow_to_a_queue() -> None:
    """Given an available agent; when a caller arrives and presses 1 after 7 seconds; then the call is offered only
    then, waits from then, rings at the agent, and its events are numbered through."""
    floor = floor_of_one()
    arrived = arrive(floor, 5)
    assert names(arrived) == ["call.arrived", "call.prompted", "call.prompted"]
    menu = arrived[-1]
    assert isinstance(menu, CallPrompted)
    assert (menu.action, menu.prompt, menu.longest_digits, menu.seconds) == ("collect", "topics", 1, 10.0)
    call = floor.pool.calls["c1"]
    assert (call.state_name, call.queue_id, call.agent_id) == ("in_flow", "", None)
    entered = press(floor, 12, "1")
    assert names(entered) == ["call.offered", "call.queued", "call.assigned", "agent.state_changed:offered"]
    offered = only(entered, CallOffered)
    assert (offered.offered_at, offered.queue_id, offered.sequence) == (at(12), "help", 4)
    assert only(entered, CallQueued).queued_at == at(12)
    numbers = [getattr(event, "sequence", 0) for event in floor.events if getattr(event, "call_id", None) == "c1"]
    assert numbers[:6] == [1, 2, 3, 4, 5, 6]
    assert press(floor, 13, "1") == []
    assert floor.decision.refused == "not_in_a_flow"


def test_a_caller_who_says_nothing_is_asked_again_and_then_released() -> None:
    floor = floor_of_one()
    arrive(floor, 0)
    assert floor.pool.next_due() == at(10)
    again = floor.tick(10)
    assert [event.action for event in again if isinstance(event, CallPrompted)] == ["collect"]
    over = floor.tick(25)
    assert names(over) == ["call.prompted", "call.left_in_flow"]
    left = only(over, CallLeftInFlow)
    assert (left.reason, left.left_at, left.step) == ("released", at(20), None)
    assert floor.pool.calls == {}
    assert not any(isinstance(event, CallOffered) for event in floor.events)


def test_a_hang_up_in_the_flow_is_no_abandon() -> None:
    """Given a caller in a menu; when they hang up; then the call has left in its flow, at that step, and no queue ever
    heard of it."""
    floor = floor_of_one()
    arrive(floor, 0)
    over = floor.hang_up(4, "c1")
    left = only(over, CallLeftInFlow)
    assert (left.reason, left.step, left.sequence) == ("hung_up", "topic", 4)
    assert names(floor.events) == [
        "agent.logged_in:available",
        "call.arrived",
        "call.prompted",
        "call.prompted",
        "call.left_in_flow",
    ]
    assert press(floor, 5, "1") == []
    assert floor.decision.refused == "no_live_call"


def test_a_message_is_kept_also_when_the_caller_hangs_up_to_end_it() -> None:
    floor = floor_of_one()
    arrive(floor, 0)
    (asked,) = press(floor, 3, "2")
    assert isinstance(asked, CallPrompted)
    assert (asked.action, asked.seconds) == ("record", 60)
    assert floor.hang_up(20, "c1") == []
    kept = floor.give(inputs.RecordingDone, 21, call_id="c1", recording="m.wav", seconds=17.0)
    left = only(kept, VoicemailLeft)
    assert (left.queue_id, left.recording, left.seconds, left.left_at) == ("help", "m.wav", 17.0, at(21))
    assert floor.pool.calls == {}


def test_a_recording_that_never_comes_ends_the_call() -> None:
    floor = floor_of_one()
    arrive(floor, 0)
    press(floor, 3, "2")
    assert floor.tick(92) == []
    assert only(floor.tick(93), CallLeftInFlow).reason == "no_recording"


def test_priority_of_the_flow_is_served_first() -> None:
    """Given two callers who wait, the later one a regular; when an agent logs in; then the regular is served first."""
    floor = Floor(queue("help"), profile("ann"))
    for call_id, phone in (("c1", "+33639980002"), ("c2", "+33639980001")):
        arrive(floor, 0, call_id, phone)
        press(floor, 1, "1", call_id)
    assert [floor.pool.calls[call_id].priority for call_id in ("c1", "c2")] == [0, 3]
    floor.log_in(5, "ann")
    assert floor.pool.calls["c2"].agent_id == "ann"


def test_a_language_is_asked_of_the_agent_beside_the_queues_skills() -> None:
    """Given ann who speaks French and ben who speaks English too; when a caller chooses English, then one who chose
    nothing comes; then the first waits for ben though ann is free and waited longer, and ann gets the second."""
    wanted = flows.Flow(
        start="language",
        steps={
            "language": flows.Language(
                prompt="which",
                choices=(flows.LanguageChoice(digits="2", skill="english"),),
                next="help",
                otherwise="help",
                tries=1,
            ),
            "help": flows.ToQueue(queue_id="help"),
        },
    )
    floor = Floor(queue("help", "billing"), profile("ann", "billing"), profile("ben", "billing", "english"))
    floor.log_in(0, "ann")
    for call_id, digits in (("c1", "2"), ("c2", "7")):
        floor.give(
            inputs.ArriveCall, 1, call_id=call_id, entry_point_id="line", dialled="+33639980100",
            contact_phone="", flow=wanted,
        )  # fmt: skip
        press(floor, 2, digits, call_id)
    assert [(call.skills, call.agent_id) for call in floor.pool.calls.values()] == [(("english",), None), ((), "ann")]
    floor.give(inputs.ConfigureQueue, 3, queue=queue("help", "billing", priority=7, version=2))
    pool = floor.pool
    again = Pool.load(pool.id, pool.now, pool.queues, pool.profiles, pool.agents.values(), pool.calls.values())
    for each in (again, pool):
        came = inputs.LogIn(tenant_id="kettle", pool_id="main", occurred_at=at(5), agent_id="ben")
        decide(each, came)
        call = each.calls["c1"]
        assert (call.agent_id, call.assignments[-1].requirement) == ("ben", "billing and english")


def test_a_call_keeps_the_flow_it_arrived_with_over_a_restart() -> None:
    """Given a call in its menu; when the pool is saved and loaded; then it goes on as if nothing had happened."""
    floor = floor_of_one()
    arrive(floor, 0)
    saved = [msgspec.json.decode(msgspec.json.encode(call), type=Call) for call in floor.pool.calls.values()]
    pool = floor.pool
    loaded = Pool.load(pool.id, pool.now, pool.queues, pool.profiles, pool.agents.values(), saved)
    assert loaded.next_due() == at(10)
    pressed = inputs.Digits(tenant_id="kettle", pool_id="main", occurred_at=at(3), call_id="c1", digits="1")
    assert decide(loaded, pressed) == decide(pool, pressed)


def test_a_pbx_is_told_what_to_play_collect_and_record() -> None:
    floor = floor_of_one()
    arrive(floor, 0)
    press(floor, 1, "2")
    floor.give(inputs.RecordingDone, 9, call_id="c1", recording="m.wav", seconds=8.0)
    told = [
        (sent.name, sent.data.get("prompt"))
        for event in floor.events
        if isinstance(event, FlowEvent)
        for sent in flow_commands_of(event, Seen("", event, None))
    ]
    assert told == [("play", "welcome"), ("collect", "topics"), ("record_message", "speak"), ("release", None)]


CALL_BACK = flows.Flow(
    start="topic",
    steps={
        "topic": flows.Menu(
            prompt="topics", choices=(flows.Choice(digits="2", next="call-me"),), otherwise="wait", tries=1
        ),
        "call-me": flows.ToCallback(queue_id="help", otherwise="wait"),
        "wait": flows.ToQueue(queue_id="help"),
    },
)


def call_back(floor: Floor, seconds: float, call_id: str = "c1", phone: str = "+33639980001") -> list[Event]:
    """A caller arrives and presses 2 at once."""
    floor.give(
        inputs.ArriveCall, seconds, call_id=call_id, entry_point_id="line", dialled="+33639980100",
        contact_phone=phone, flow=CALL_BACK,
    )  # fmt: skip
    return press(floor, seconds, "2", call_id)


def floor_that_calls_back(**changes: Any) -> Floor:
    return Floor(queue("help", **{"callback": CallbackRules(mode="agent_first"), **changes}), profile("ann"))


def test_a_caller_who_presses_2_has_a_place_at_once_and_is_dialled_once() -> None:
    """Given a queue that calls back and nobody logged in; when a caller presses 2, hangs up, and an agent comes and
    accepts; then the place was kept from the first moment, without a wait on the line, and they are dialled once."""
    floor = floor_that_calls_back(announcements=(Announcement(message="hold", after_seconds=0.0),))
    told = call_back(floor, 0)
    assert names(told) == ["call.offered", "call.queued", "call.callback_requested"]
    assert only(told, CallbackRequested).wait_seconds == 0
    assert floor.hang_up(1, "c1") == []
    call = floor.pool.calls["c1"]
    assert call.callback is not None
    assert (call.state_name, call.callback.promised_by, call.callback.phone) == (
        "held_place",
        "call-me",
        "+33639980001",
    )
    assert floor.log_in(60, "ann")[-1].TYPE == "agent.state_changed.v1"
    accepted = floor.accept(61, "c1", "ann")
    assert only(accepted, CallbackDialled).phone == "+33639980001"
    floor.accept(62, "c1", "ann")
    answered = floor.give(inputs.DialResult, 65, call_id="c1", dial_id="c1/1", outcome="answered")
    assert only(answered, CallAnswered).away_seconds == 65
    assert sum(isinstance(event, CallbackDialled) for event in floor.events) == 1
    words = explanation.words(floor.pool.calls["c1"], None)
    assert words[0] == "It came by +33639980100, entry point line."
    assert "hung up to be called back as step call-me of the flow says, agent first" in words[2]


def test_a_callback_from_the_flow_is_dialled_at_once_when_an_agent_is_there() -> None:
    """Given an available agent and a queue that calls the customer first; when a caller presses 2; then the customer is
    dialled in that same moment, once."""
    floor = floor_that_calls_back(callback=CallbackRules(mode="customer_first"))
    floor.log_in(0, "ann")
    assert names(call_back(floor, 5))[-1] == "call.callback_dialled"
    floor.tick(6)
    assert sum(isinstance(event, CallbackDialled) for event in floor.events) == 1


@pytest.mark.parametrize(
    ("phone", "changes", "why"),
    [("", {}, "no_phone"), ("+33639980001", {"callback": None}, "no_callbacks"),
     ("+33639980001", {"override": "draining"}, "draining")],
)  # fmt: skip
def test_who_cannot_be_called_back_goes_otherwise(phone: str, changes: dict[str, Any], why: str) -> None:
    """Given a withheld number, or a queue that calls nobody back or is drained; when the caller presses 2; then they go
    where the flow says, and it is known why."""
    floor = floor_that_calls_back(**changes)
    told = call_back(floor, 0, phone=phone)
    assert not any(isinstance(event, CallbackRequested) for event in floor.events)
    assert "call.offered" in names(told)
    call = floor.pool.calls.get("c1")
    if why == "draining":
        assert names(told)[-1] == "call.abandoned"
        return
    assert call is not None
    assert (call.state_name, call.no_callback) == ("queued", why)
    assert any("would have had the caller called back, but" in said for said in explanation.words(call, None))


@pytest.mark.parametrize(("valid_seconds", "promised"), [(1800, False), (1801, True)])
def test_nobody_is_promised_a_callback_that_is_over_when_the_queue_opens(valid_seconds: float, promised: bool) -> None:
    """Given a queue that opens in 1800 s; when a caller presses 2; then they are promised a callback only if it is
    valid longer than that; otherwise they go where the flow says, and it is known why."""
    rules = CallbackRules(mode="agent_first", attempts=1, valid_seconds=valid_seconds)
    floor = floor_that_calls_back(hours=parse({"week": {"mon": [["10:30", "12:00"]]}}), callback=rules)
    told = call_back(floor, 0)
    assert any(isinstance(event, CallbackRequested) for event in told) is promised
    assert names(told)[-1] == ("call.callback_requested" if promised else "call.abandoned")


def test_while_the_queue_is_closed_a_place_rests_until_it_opens() -> None:
    floor = floor_that_calls_back(hours=parse({"week": {"mon": [["10:30", "12:00"]]}}))
    floor.log_in(0, "ann")
    assert names(call_back(floor, 0))[-1] == "call.callback_requested"
    opened = floor.tick(1800)
    assert only(opened, CallAssigned).assigned_at == at(1800)


@pytest.mark.parametrize("again", ["wait", "press 2"])
def test_who_calls_again_takes_over_the_place(again: str) -> None:
    """Given a caller with a place and one who waits behind it; when the first calls again and waits, or asks for a
    callback once more; then the first promise is over, the new call has the place, and it is served first."""
    floor = floor_that_calls_back()
    call_back(floor, 0)
    call_back(floor, 10, "c2", "+33639980002")
    if again == "wait":
        floor.give(
            inputs.ArriveCall, 20, call_id="c3", entry_point_id="line", dialled="+33639980100",
            contact_phone="+33639980001", flow=CALL_BACK,
        )  # fmt: skip
        told = press(floor, 21, "9", "c3")
    else:
        told = call_back(floor, 20, "c3")
    gone = only(told, CallAbandoned)
    assert (gone.call_id, gone.reason) == ("c1", "called_again")
    assert sum(isinstance(event, CallbackRequested) for event in told) == (again == "press 2")
    assert only(floor.log_in(30, "ann"), CallAssigned).call_id == "c3"


acts: st.SearchStrategy[Any] = st.one_of(
    st.tuples(st.just(inputs.Digits), st.sampled_from(["", "1", "2", "9"]).map(lambda one: {"digits": one})),
    st.tuples(st.just(inputs.RecordingDone), st.just({"recording": "r", "seconds": 1.0})),
    st.tuples(st.just(inputs.HangUp), st.just({})),
    st.tuples(st.just(inputs.Tick), st.none()),
    st.tuples(st.just(inputs.ArriveCall), st.none()),
)


@given(st.lists(st.tuples(acts, st.floats(0, 30), st.sampled_from(["c1", "c2"])), max_size=25))
def test_any_call_leaves_its_flow_once_and_replays_alike(happened: list[Any]) -> None:
    """Given any inputs for two callers; when time goes on; then each call that arrived ended its flow exactly once, in
    a queue or outside, and the same inputs give the same events."""
    floor = Floor(queue("help", max_wait_seconds=60), profile("ann"))
    now = 0.0
    for (kind, fields), seconds, call_id in happened:
        now += seconds
        if kind is inputs.ArriveCall:
            if not any(isinstance(event, CallArrived) and event.call_id == call_id for event in floor.events):
                arrive(floor, now, call_id)
        elif kind is inputs.Tick:
            floor.tick(now)
        else:
            floor.give(kind, now, call_id=call_id, **fields)
    floor.tick(now + 1000)
    assert not any(isinstance(call.state, InFlow) for call in floor.pool.calls.values())
    for call_id in ("c1", "c2"):
        own = [event for event in floor.events if getattr(event, "call_id", None) == call_id]
        ends = [event for event in own if isinstance(event, CallOffered | CallLeftInFlow | VoicemailLeft)]
        assert len(ends) == sum(isinstance(event, CallArrived) for event in own)
        assert [getattr(event, "sequence", 0) for event in own] == list(range(1, len(own) + 1))
    again = Pool("main", START)
    replayed = [fact.event for one, trace in floor.given for fact in decide(again, one, trace).facts]
    assert replayed == floor.events


@pytest.mark.parametrize(("hours", "queue_id"), [(None, "help"), ({"week": {"mon": [["11:00", "12:00"]]}}, "night")])
def test_opening_hours_lead_to_one_of_two_queues(hours: dict[str, Any] | None, queue_id: str) -> None:
    """Given a queue that is open always, or only later this Monday; when a call asks its hours; then it takes the way
    of the open queue, or the other."""
    wanted = flows.Flow(
        start="hours",
        steps={
            "hours": flows.Hours(queue_id="help", open="day", closed="night"),
            "day": flows.ToQueue(queue_id="help"),
            "night": flows.ToQueue(queue_id="night"),
        },
    )
    floor = Floor(queue("help", hours=None if hours is None else parse(hours)), queue("night"))
    told = floor.give(
        inputs.ArriveCall,
        0,
        call_id="c1",
        entry_point_id="line",
        dialled="+33639980100",
        contact_phone="",
        flow=wanted,
    )
    assert only(told, CallOffered).queue_id == queue_id
