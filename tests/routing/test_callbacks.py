"""Virtual hold: the caller keeps the place, is dialled once for each attempt, and the call ends in exactly one way."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from common.events import (
    CallAbandoned,
    CallAnswered,
    CallAssigned,
    CallbackDialled,
    CallbackFailed,
    CallbackReached,
    CallbackRequested,
    CallEnded,
    CallQueued,
    CallWrappedUp,
    Event,
)
from common.hours import parse
from routing.domain import flows, inputs
from routing.domain.agents import Agent
from routing.domain.call_states import CallingBack, HeldPlace, Queued
from routing.domain.callbacks import ANSWER_SECONDS
from routing.domain.calls import Call
from routing.domain.configuration import CallbackRules, Closed, OverflowRule, ToCallback, ToMessage, Waited
from routing.domain.decisions import decide
from routing.domain.pool import Pool

from .floors import START, Floor, at, names, only, profile, queue

AGENT_FIRST = CallbackRules(mode="agent_first", attempts=2, retry_seconds=60, ring_seconds=20, valid_seconds=3600)
CUSTOMER_FIRST = CallbackRules(mode="customer_first", attempts=2, retry_seconds=60, ring_seconds=20, valid_seconds=3600)
PHONE = "+33639980001"
OTHER = "+33639980002"


def floor(rules: CallbackRules | None = AGENT_FIRST, **changes: Any) -> Floor:
    """One queue, nobody logged in yet."""
    return Floor(queue("help", callback=rules, **changes), profile("ann"), profile("ben"))


def held(given: Floor, *others: str) -> None:
    """`c1` has waited 30 s and hangs up to be called back; `others` came after it and wait."""
    given.call(0, "c1", "help")
    for number, call_id in enumerate(others, 1):
        given.call(number, call_id, "help", contact_phone=OTHER)
    ask(given, 30, "c1")
    assert given.decision.refused is None


def ask(given: Floor, seconds: float, call_id: str, phone: str | None = None) -> list[Event]:
    return given.give(inputs.RequestCallback, seconds, call_id=call_id, phone=phone)


def dialled(given: Floor, seconds: float, outcome: str, dial_id: str = "c1/1") -> list[Event]:
    call_id = dial_id.partition("/")[0]
    return given.give(inputs.DialResult, seconds, call_id=call_id, dial_id=dial_id, outcome=outcome)


def dials(given: Floor) -> list[str]:
    return [event.dial_id for event in given.events if isinstance(event, CallbackDialled)]


def restarted(given: Floor) -> None:
    """The owner dies; the next one reads what was saved, as JSON."""
    pool = given.pool
    calls = msgspec.json.decode(msgspec.json.encode(list(pool.calls.values())), type=list[Call])
    agents = msgspec.json.decode(msgspec.json.encode(list(pool.agents.values())), type=list[Agent])
    assert calls == list(pool.calls.values())
    given.pool = Pool.load(pool.id, pool.now, pool.queues, pool.profiles, agents, calls)


# asking


def test_the_place_is_kept_and_the_hang_up_of_the_first_leg_changes_nothing() -> None:
    given = floor()
    given.call(0, "c1", "help")
    given.call(5, "c2", "help", contact_phone=OTHER)
    events = ask(given, 30, "c1")
    requested = only(events, CallbackRequested)
    assert (requested.phone, requested.mode, requested.wait_seconds) == (PHONE, "agent_first", 30)
    assert requested.valid_until == at(3630)
    assert given.hang_up(31, "c1") == []
    assert given.decision.refused is None
    assert names(given.log_in(300, "ann"))[:2] == ["agent.logged_in:available", "call.assigned"]
    assigned = only(given.events, CallAssigned)
    assert (assigned.call_id, assigned.callback) == ("c1", True)


def test_the_same_request_again_changes_nothing() -> None:
    given = floor()
    held(given)
    assert ask(given, 31, "c1") == []
    assert given.decision.refused is None


@pytest.mark.parametrize(
    ("rules", "call", "phone", "reason"),
    [
        (None, {}, None, "no_callbacks"),
        (AGENT_FIRST, {"contact_phone": ""}, None, "no_phone"),
        (AGENT_FIRST, {"direction": "outbound"}, None, "not_an_inbound_call"),
        (AGENT_FIRST, {"channel": "chat"}, None, "not_an_inbound_call"),
    ],
)
def test_who_cannot_be_called_back_goes_on_waiting(
    rules: CallbackRules | None, call: dict[str, Any], phone: str | None, reason: str
) -> None:
    given = floor(rules)
    given.call(0, "c1", "help", **call)
    assert ask(given, 30, "c1", phone) == []
    assert given.decision.refused == reason
    assert isinstance(given.pool.calls["c1"].state, Queued)


def test_a_number_is_promised_one_callback_at_a_time() -> None:
    given = floor()
    held(given, "c2")
    assert ask(given, 40, "c2", PHONE) == []
    assert given.decision.refused == "callback_pending"
    ask(given, 41, "c2")
    assert given.decision.refused is None


def test_a_caller_who_withholds_the_number_names_one() -> None:
    given = floor()
    given.call(0, "c1", "help", contact_phone="")
    assert only(ask(given, 30, "c1", OTHER), CallbackRequested).phone == OTHER


def test_asking_while_it_rings_leaves_it_to_ring_and_the_accept_dials() -> None:
    """Neither the place nor the offer is lost, and nobody who has gone is bridged."""
    given = floor()
    given.log_in(0, "ann")
    given.call(1, "c1", "help")
    assert only(ask(given, 5, "c1"), CallbackRequested).ringing_at == "ann"
    given.hang_up(6, "c1")
    assert only(given.accept(7, "c1", "ann"), CallbackDialled).agent_id == "ann"
    assert given.agent("ann").state_name == "busy"


def test_who_speaks_with_an_agent_is_not_called_back() -> None:
    given = floor()
    given.log_in(0, "ann")
    given.call(1, "c1", "help")
    given.accept(2, "c1", "ann")
    ask(given, 3, "c1")
    assert given.decision.refused == "not_waiting"


# agent first


def test_agent_first_the_customer_is_dialled_once_the_agent_has_accepted() -> None:
    given = floor()
    held(given, "c2")
    given.log_in(300, "ann")
    events = given.accept(305, "c1", "ann")
    made = only(events, CallbackDialled)
    assert (made.dial_id, made.attempt, made.phone, made.agent_id) == ("c1/1", 1, PHONE, "ann")
    assert made.limit_at == at(335)
    assert given.agent("ann").state_name == "busy"
    answered = only(dialled(given, 315, "answered"), CallAnswered)
    assert (answered.agent_id, answered.wait_seconds, answered.total_wait_seconds) == ("ann", 30, 30)
    assert answered.away_seconds == 285
    given.hang_up(400, "c1")
    given.wrap_up(410, "c1", "ann")
    assert only(given.events, CallEnded).wait_seconds == 30
    assert only(given.events, CallWrappedUp).wait_seconds == 30
    assert given.agent("ann").state_name == "offered", "the next caller's turn"
    assert dials(given) == ["c1/1"]


def test_duplicates_of_every_input_dial_once_and_answer_once() -> None:
    given = floor()
    held(given)
    ask(given, 32, "c1")
    given.log_in(300, "ann")
    given.accept(305, "c1", "ann")
    assert given.accept(306, "c1", "ann") == []
    assert given.decision.refused is None
    dialled(given, 315, "answered")
    assert dialled(given, 316, "answered") == []
    assert given.decision.refused == "dial_is_over"
    assert dialled(given, 317, "no_answer") == []
    assert given.accept(318, "c1", "ann") == []
    assert dials(given) == ["c1/1"]
    assert len([event for event in given.events if isinstance(event, CallAnswered)]) == 1


@pytest.mark.parametrize("outcome", ["busy", "no_answer", "failed"])
def test_nobody_answers_the_place_is_kept_and_the_agent_is_free(outcome: str) -> None:
    given = floor()
    held(given, "c2")
    given.log_in(300, "ann")
    given.accept(305, "c1", "ann")
    events = dialled(given, 325, outcome)
    failed = only(events, CallbackFailed)
    assert (failed.reason, failed.agent_id, failed.next_at) == (outcome, "ann", at(385))
    assert only(events, CallAssigned).call_id == "c2", "not before its retry time"
    given.decline(326, "c2", "ann")
    given.hang_up(327, "c2")
    given.set_state(330, "ann", "available")
    assert given.agent("ann").state_name == "available"
    assert only(given.tick(390), CallAssigned).occurred_at == at(385)


def test_the_last_attempt_ends_the_call_in_one_way() -> None:
    given = floor()
    held(given)
    given.log_in(300, "ann")
    given.accept(305, "c1", "ann")
    dialled(given, 325, "busy")
    given.accept(400, "c1", "ann")
    events = dialled(given, 410, "no_answer", "c1/2")
    assert only(events, CallbackFailed).next_at is None
    lost = only(events, CallAbandoned)
    assert (lost.reason, lost.short, lost.wait_seconds, lost.away_seconds) == ("callback_unreached", False, 30, 380)
    assert given.agent("ann").state_name == "available"
    assert given.pool.calls == {}
    assert dials(given) == ["c1/1", "c1/2"]
    dialled(given, 411, "answered", "c1/2")
    assert given.decision.refused == "no_live_call"


def test_a_fact_that_never_comes_ends_the_attempt_at_its_limit_and_comes_too_late_after() -> None:
    given = floor()
    held(given)
    given.log_in(300, "ann")
    given.accept(305, "c1", "ann")
    failed = only(given.tick(600), CallbackFailed)
    assert (failed.reason, failed.occurred_at) == ("timed_out", at(335))
    assert dialled(given, 601, "answered") == []
    assert given.decision.refused == "dial_is_over"


def test_a_fact_of_an_attempt_before_is_refused() -> None:
    given = floor()
    held(given)
    given.log_in(300, "ann")
    given.accept(305, "c1", "ann")
    dialled(given, 325, "busy")
    given.accept(400, "c1", "ann")
    dialled(given, 401, "answered", "c1/1")
    assert given.decision.refused == "dial_is_over"
    assert isinstance(given.pool.calls["c1"].state, CallingBack)


def test_the_agent_hangs_up_while_the_customer_rings() -> None:
    given = floor()
    held(given)
    given.log_in(300, "ann")
    given.accept(305, "c1", "ann")
    given.hang_up(310, "c1", "ben")
    assert given.decision.refused == "not_the_agents_call"
    assert only(given.hang_up(311, "c1", "ann"), CallbackFailed).reason == "agent_hung_up"
    assert given.agent("ann").state_name == "available"
    assert isinstance(given.pool.calls["c1"].state, HeldPlace)


def test_the_agent_logs_out_while_the_customer_rings_and_nobody_answers() -> None:
    given = floor()
    held(given)
    given.log_in(300, "ann")
    given.accept(305, "c1", "ann")
    assert given.log_out(310, "ann") == []
    dialled(given, 325, "no_answer")
    assert given.agent("ann").state_name == "logged_out"


def test_the_agent_logs_out_while_the_customer_rings_and_is_there_when_they_answer() -> None:
    given = floor()
    held(given)
    given.log_in(300, "ann")
    given.accept(305, "c1", "ann")
    given.log_out(310, "ann")
    only(dialled(given, 315, "answered"), CallAnswered)
    given.hang_up(320, "c1")
    given.wrap_up(330, "c1", "ann")
    assert given.agent("ann").state_name == "logged_out"


def test_a_missed_offer_of_a_callback_keeps_its_place() -> None:
    given = floor()
    held(given, "c2")
    given.log_in(300, "ann")
    given.decline(305, "c1", "ann")
    assert only(given.log_in(306, "ben"), CallAssigned).call_id == "c1"
    assert dials(given) == []


# customer first


def test_customer_first_the_first_in_line_is_dialled_and_waits_at_the_head() -> None:
    given = floor(CUSTOMER_FIRST, max_wait_seconds=500)
    given.call(0, "c0", "help", contact_phone=OTHER)
    given.call(1, "c1", "help")
    given.call(2, "c2", "help", contact_phone=OTHER)
    assert dials(given) == []
    ask(given, 30, "c1")
    given.hang_up(100, "c0")
    given.hang_up(101, "c2")
    assert dials(given) == [], "nobody is logged in"
    events = given.log_in(102, "ann")
    assert only(events, CallbackDialled).agent_id is None
    given.log_out(103, "ann")
    reached = only(dialled(given, 110, "answered"), CallbackReached)
    assert reached.away_seconds == 80
    state = given.pool.calls["c1"].state
    assert isinstance(state, Queued)
    assert state.limit_at == at(610)
    given.call(111, "c3", "help", contact_phone=OTHER)
    assert only(given.log_in(120, "ann"), CallAssigned).call_id == "c1"
    answered = only(given.accept(125, "c1", "ann"), CallAnswered)
    assert (answered.wait_seconds, answered.away_seconds) == (44, 80)


def test_customer_first_whoever_comes_later_does_not_go_before_the_place() -> None:
    """Who comes free takes it as agent first: were the customer dialled first, no agent would be left by the answer."""
    given = floor(CUSTOMER_FIRST)
    held(given, "c2")
    events = given.log_in(40, "ann")
    assigned = only(events, CallAssigned)
    assert (assigned.call_id, assigned.callback) == ("c1", True)
    assert dials(given) == []
    assert only(given.accept(42, "c1", "ann"), CallbackDialled).agent_id == "ann"
    assert only(dialled(given, 50, "answered"), CallAnswered).agent_id == "ann"


def test_customer_first_nobody_is_dialled_while_the_only_agent_is_busy() -> None:
    given = floor(CUSTOMER_FIRST)
    given.log_in(0, "ann")
    given.call(1, "c0", "help", contact_phone=OTHER)
    given.accept(2, "c0", "ann")
    given.call(3, "c1", "help")
    ask(given, 30, "c1")
    given.tick(600)
    assert dials(given) == []
    given.hang_up(601, "c0")
    given.tick(602)
    assert dials(given) == []
    events = given.wrap_up(610, "c0", "ann")
    assert only(events, CallbackDialled).agent_id is None
    assert given.pool.calls["c1"].callback is not None


def test_customer_first_by_the_estimator_the_customer_is_dialled_before_the_agent_comes_free() -> None:
    """Eight calls have shown that somebody comes free every few seconds."""
    agents = [f"agent-{number}" for number in range(10)]
    given = Floor(queue("help", callback=CUSTOMER_FIRST, wrap_up_seconds=5.0), *(profile(agent) for agent in agents))
    given.log_in(0, *agents)
    for number, agent in enumerate(agents):
        given.call(1, f"b{number}", "help", contact_phone=f"+3363998002{number}")
        given.accept(2, f"b{number}", agent)
    for number in range(9):
        given.call(3, f"w{number}", "help", contact_phone=f"+3363998003{number}")
    for number, agent in enumerate(agents[:8]):
        given.hang_up(10 + 3 * number, f"b{number}")
        given.wrap_up(10 + 3 * number, f"b{number}", agent)
        given.accept(11 + 3 * number, f"w{number}", agent)
    given.hang_up(51, "w8")
    people = [f"c{number}" for number in range(1, 7)]
    for number, call_id in enumerate(people):
        given.call(52, call_id, "help", contact_phone=f"+3363998004{number}")
    assert isinstance(given.pool.calls["c1"].state, Queued), "everybody is busy"
    for call_id in people:
        ask(given, 52, call_id)
    waits = [given.pool.memories.wait("help", others) or 0.0 for others in range(len(people))]
    in_time = sum(0 < wait <= ANSWER_SECONDS for wait in waits)
    assert 1 <= in_time < len(people)
    assert dials(given) == [f"{call_id}/1" for call_id in people[:in_time]]
    for agent in agents:
        given.set_state(56, agent, "break")
    dialled(given, 57, "no_answer", "c1/1")
    given.tick(120)
    assert len(dials(given)) == in_time, "nobody will take more calls, whatever the estimator remembers"


def test_customer_first_one_agent_of_two_queues_is_there_for_one_customer() -> None:
    given = Floor(queue("help", callback=CUSTOMER_FIRST), queue("desk", callback=CUSTOMER_FIRST), profile("ann"))
    for number, name in enumerate(("help", "desk")):
        given.call(number, f"c{number}", name, contact_phone=f"+3363998001{number}")
        ask(given, 10 + number, f"c{number}")
    given.log_in(20, "ann")
    assert dials(given) == ["c1/1"] or dials(given) == ["c0/1"]
    given.tick(30)
    assert len(dials(given)) == 1


def test_customer_first_no_more_are_dialled_than_agents_are_there_for_them() -> None:
    given = floor(CUSTOMER_FIRST)
    for number in range(4):
        given.call(number, f"c{number}", "help", contact_phone=f"+3363998001{number}")
    for number in range(4):
        ask(given, 10 + number, f"c{number}")
    assert dials(given) == [], "nobody is available"
    given.log_in(20, "ann")
    assert dials(given) == ["c0/1"]
    given.log_in(21, "ben")
    assert dials(given) == ["c0/1", "c1/1"]
    events = dialled(given, 25, "answered", "c0/1")
    assert only(events, CallAssigned).call_id == "c0"
    assert dials(given) == ["c0/1", "c1/1"], "one agent left, one customer rings"
    dialled(given, 26, "no_answer", "c1/1")
    assert dials(given) == ["c0/1", "c1/1", "c2/1"]


def test_customer_first_does_not_reserve_an_agent() -> None:
    given = floor(CUSTOMER_FIRST)
    held(given)
    given.log_in(40, "ann")
    assert dials(given) == ["c1/1"]
    assert only(given.call(45, "c2", "help", contact_phone=OTHER), CallAssigned).call_id == "c2"
    dialled(given, 50, "answered")
    assert isinstance(given.pool.calls["c1"].state, Queued)


def test_customer_first_who_is_reached_and_waits_too_long_or_hangs_up_is_an_abandon_like_any_other() -> None:
    for way in ("hang_up", "limit"):
        given = floor(CUSTOMER_FIRST, max_wait_seconds=60)
        held(given)
        given.log_in(31, "ann")
        given.log_out(32, "ann")
        dialled(given, 40, "answered")
        events = given.hang_up(50, "c1") if way == "hang_up" else given.tick(200)
        lost = only(events, CallAbandoned)
        assert lost.reason == ("hung_up" if way == "hang_up" else "wait_limit")
        assert (lost.wait_seconds, lost.away_seconds) == (40 if way == "hang_up" else 90, 10)


def test_customer_first_is_retried_by_the_rule() -> None:
    given = floor(CUSTOMER_FIRST)
    held(given)
    given.log_in(31, "ann")
    dialled(given, 45, "busy")
    given.tick(104)
    assert dials(given) == ["c1/1"]
    given.tick(106)
    assert dials(given) == ["c1/1", "c1/2"]
    assert only(dialled(given, 110, "no_answer", "c1/2"), CallAbandoned).reason == "callback_unreached"


# attempts


@pytest.mark.parametrize("rules", [AGENT_FIRST, CUSTOMER_FIRST])
@pytest.mark.parametrize("outcome", ["failed", "timed_out"])
def test_an_attempt_by_which_no_telephone_rang_does_not_count(rules: CallbackRules, outcome: str) -> None:
    """It is made once more, after 60, 120 and 240 seconds; the two that count are still to come."""
    given = floor(rules)
    held(given)
    seconds = 40.0
    given.log_in(seconds, "ann")
    for number, pause in enumerate((60, 120, 240), 1):
        if rules is AGENT_FIRST:
            given.accept(seconds, "c1", "ann")
        event = [one for one in given.events if isinstance(one, CallbackDialled)][-1]
        assert (event.dial_id, event.attempt) == (f"c1/{number}", 1)
        seconds += 31 if outcome == "timed_out" else 10
        events = given.tick(seconds) if outcome == "timed_out" else dialled(given, seconds, outcome, f"c1/{number}")
        failed = only(events, CallbackFailed)
        assert (failed.reason, failed.attempt) == (outcome, 1)
        assert failed.next_at is not None
        assert (failed.next_at - failed.occurred_at).total_seconds() == pause
        seconds = (failed.next_at - START).total_seconds()
        given.tick(seconds)
    callback = given.pool.calls["c1"].callback
    assert callback is not None
    assert callback.attempts_left == (2 if rules is AGENT_FIRST else 1)


def test_a_pause_between_attempts_that_do_not_ring_is_bounded() -> None:
    given = floor(
        CallbackRules(mode="customer_first", attempts=2, retry_seconds=60, ring_seconds=20, valid_seconds=86400)
    )
    held(given)
    given.log_in(40, "ann")
    while "c1" in given.pool.calls:
        seconds = (given.pool.now - START).total_seconds()
        given.tick(seconds + 600)
    assert len(dials(given)) < 40
    assert only(given.events, CallAbandoned).reason == "callback_expired"


# two people behind one number


@pytest.mark.parametrize("rules", [AGENT_FIRST, CUSTOMER_FIRST])
def test_two_people_behind_one_number_keep_two_promises(rules: CallbackRules) -> None:
    given = floor(rules)
    for number in (1, 2):
        given.call(number, f"c{number}", "help")
    for number in (1, 2):
        ask(given, 30 + number, f"c{number}")
        assert given.decision.refused is None
    # A third call from there takes neither over.
    given.call(50, "c3", "help")
    given.hang_up(51, "c3")
    given.log_in(60, "ann", "ben")
    if rules is AGENT_FIRST:
        given.accept(61, "c1", "ann")
    assert dials(given) == ["c1/1"], "one dial to a number at a time"
    answered = dialled(given, 65, "answered", "c1/1")
    if rules is CUSTOMER_FIRST:
        agent = only(answered, CallAssigned).agent_id
        given.accept(66, "c1", agent)
    given.tick(100)
    assert dials(given) == ["c1/1"], "nor while the other one speaks"
    agent = given.pool.calls["c1"].agent_id or ""
    given.hang_up(200, "c1")
    given.wrap_up(201, "c1", agent)
    given.tick(215)
    if rules is AGENT_FIRST:
        offered = [one for one in given.events if isinstance(one, CallAssigned) and one.call_id == "c2"][-1]
        given.accept(216, "c2", offered.agent_id)
    assert dials(given) == ["c1/1", "c2/1"]
    assert not [one for one in given.events if isinstance(one, CallAbandoned) and one.reason == "called_again"]


# called again, cancelled, expired


@pytest.mark.parametrize("rules", [AGENT_FIRST, CUSTOMER_FIRST])
def test_the_callers_own_new_call_takes_over_the_place(rules: CallbackRules) -> None:
    given = floor(rules)
    given.call(0, "c0", "help", contact_phone="+33639980009")
    given.call(1, "c1", "help")
    given.call(2, "c2", "help", contact_phone=OTHER)
    ask(given, 30, "c1")
    events = given.call(200, "c3", "help")
    assert names(events) == ["call.offered", "call.abandoned", "call.queued"]
    assert only(events, CallAbandoned).reason == "called_again"
    given.hang_up(201, "c0")
    assert only(given.log_in(210, "ann"), CallAssigned).call_id == "c3", "before c2, which came before it"
    answered = only(given.accept(212, "c3", "ann"), CallAnswered)
    assert answered.wait_seconds == 12
    assert dials(given) == []


def test_a_call_that_is_turned_away_leaves_the_callback_as_it_is() -> None:
    """A place is not lost to a call that gets none."""
    given = Floor(queue("help", callback=AGENT_FIRST), queue("night", override="closed"), profile("ann"))
    held(given)
    assert only(given.call(40, "c2", "night"), CallAbandoned).call_id == "c2"
    assert isinstance(given.pool.calls["c1"].state, HeldPlace)


def test_the_new_call_comes_while_an_agent_rings_for_the_callback_and_gets_that_agent() -> None:
    given = floor()
    held(given, "c2")
    given.log_in(100, "ann")
    events = given.call(105, "c3", "help")
    assert only(events, CallAssigned).call_id == "c3"
    assert only(events, CallAssigned).agent_id == "ann"
    given.accept(106, "c1", "ann")
    assert given.decision.refused == "no_live_call"


def test_the_new_call_comes_before_the_answer_and_the_answer_is_refused() -> None:
    given = floor()
    held(given)
    given.log_in(100, "ann")
    given.accept(101, "c1", "ann")
    events = given.call(105, "c3", "help")
    assert only(events, CallAbandoned).call_id == "c1"
    assert only(events, CallAssigned).agent_id == "ann", "who waited for this very customer"
    dialled(given, 105, "answered")
    assert given.decision.refused == "no_live_call"


def test_the_answer_comes_before_the_new_call_which_is_a_call_of_its_own() -> None:
    given = floor()
    held(given)
    given.log_in(100, "ann")
    given.accept(101, "c1", "ann")
    dialled(given, 105, "answered")
    events = given.call(105, "c3", "help")
    assert names(events) == ["call.offered", "call.queued"]
    assert given.pool.calls["c1"].agent_id == "ann"


def test_another_tenants_call_and_a_handed_on_call_take_over_nothing() -> None:
    given = Floor(queue("help", callback=AGENT_FIRST), queue("other", tenant_id="ferry"))
    held(given)
    given.call(40, "c2", "other")
    given.call(41, "c3", "help", transferred_from="c0")
    assert isinstance(given.pool.calls["c1"].state, HeldPlace)


@pytest.mark.parametrize("when", ["held", "offered", "dialled", "resting"])
def test_cancelled_by_command_whatever_is_under_way(when: str) -> None:
    given = floor()
    held(given)
    if when != "held":
        given.log_in(100, "ann")
    if when in ("dialled", "resting"):
        given.accept(101, "c1", "ann")
    if when == "resting":
        dialled(given, 105, "busy")
    events = given.give(inputs.CancelCallback, 110, call_id="c1", by="olga")
    assert only(events, CallAbandoned).reason == "callback_cancelled"
    assert given.pool.calls == {}
    assert given.agent("ann").state_name == ("logged_out" if when == "held" else "available")
    given.give(inputs.CancelCallback, 111, call_id="c1", by="olga")
    assert given.decision.refused == "no_live_call"
    given.call(120, "c2", "help")
    ask(given, 121, "c2")


def test_a_callback_that_does_not_come_about_in_time_is_over() -> None:
    given = floor()
    held(given)
    lost = only(given.tick(4000), CallAbandoned)
    assert (lost.reason, lost.abandoned_at, lost.wait_seconds) == ("callback_expired", at(3630), 30)


def test_an_attempt_that_could_not_be_repeated_in_time_ends_it() -> None:
    given = floor(msgspec.structs.replace(AGENT_FIRST, valid_seconds=100))
    held(given)
    given.log_in(100, "ann")
    given.accept(101, "c1", "ann")
    events = dialled(given, 110, "busy")
    assert only(events, CallbackFailed).next_at is None
    assert only(events, CallAbandoned).reason == "callback_expired"


# opening hours, rules, memory

HOURS = parse({"week": {"mon": [["10:00", "10:01"], ["10:05", "12:00"]]}})
"""START is Monday 10:00 in Paris."""


@pytest.mark.parametrize("rules", [AGENT_FIRST, CUSTOMER_FIRST])
def test_a_place_whose_turn_comes_after_closing_rests_until_opening(rules: CallbackRules) -> None:
    given = floor(rules, hours=HOURS)
    given.call(0, "c0", "help", contact_phone=OTHER)
    given.call(1, "c1", "help")
    ask(given, 30, "c1")
    given.hang_up(70, "c0")
    assert given.log_in(80, "ann") == [given.events[-1]], "nobody is called outside the hours"
    assert given.agent("ann").state_name == "available"
    events = given.tick(400)
    first = next(event for event in events if isinstance(event, CallAssigned | CallbackDialled))
    assert (first.call_id, first.occurred_at) == ("c1", START + timedelta(minutes=5))


def test_a_queue_that_an_operator_opens_calls_back_at_once() -> None:
    given = floor(override="closed")
    given.give(inputs.ConfigureQueue, 0, queue=queue("help", callback=AGENT_FIRST, version=2))
    held(given)
    closed = queue("help", callback=AGENT_FIRST, override="closed", version=3)
    given.give(inputs.ConfigureQueue, 40, queue=closed)
    given.log_in(50, "ann")
    assert given.agent("ann").state_name == "available"
    opened = given.give(inputs.ConfigureQueue, 60, queue=queue("help", version=4))
    assert only(opened, CallAssigned).call_id == "c1", "also when the queue promises no callbacks any more"
    only(given.accept(61, "c1", "ann"), CallbackDialled)


def test_places_that_rest_are_no_work_left_undone_for_others() -> None:
    given = floor(hours=HOURS)
    given.give(inputs.ConfigureQueue, 0, queue=queue("late"))
    held(given)
    given.call(70, "c2", "late", contact_phone=OTHER)
    assert only(given.log_in(80, "ann"), CallAssigned).call_id == "c2"


def test_position_counts_places_that_are_kept() -> None:
    for rules in (AGENT_FIRST, CUSTOMER_FIRST):
        given = floor(rules)
        given.call(0, "c0", "help", contact_phone="+33639980009")
        given.call(1, "c1", "help")
        given.call(2, "c2", "help", contact_phone=OTHER)
        ask(given, 30, "c1")
        assert given.pool.standing(given.pool.calls["c2"], 0)[3] == 2
        assert given.pool.length("help") == 3
        assert [call.id for call in given.pool.waiting_in("help")] == ["c0", "c1", "c2"]


@pytest.mark.parametrize("rules", [AGENT_FIRST, CUSTOMER_FIRST])
def test_a_killed_owner_neither_dials_twice_nor_forgets(rules: CallbackRules) -> None:
    given = floor(rules)
    held(given, "c2")
    given.log_in(40, "ann")
    restarted(given)
    given.accept(45, "c1", "ann")
    restarted(given)
    assert dials(given) == ["c1/1"]
    given.tick(46)
    dialled(given, 50, "busy")
    restarted(given)
    given.tick(51)
    assert dials(given) == ["c1/1"]
    restarted(given)
    events = given.call(52, "c3", "help")
    assert only(events, CallAbandoned).reason == "called_again"
    again = Pool("main", START)
    replayed = [fact.event for given_, trace in given.given for fact in decide(again, given_, trace).facts]
    assert replayed == given.events


def test_an_offered_call_queues_once() -> None:
    given = floor(CUSTOMER_FIRST)
    held(given)
    given.log_in(31, "ann")
    dialled(given, 40, "answered")
    assert len([event for event in given.events if isinstance(event, CallQueued)]) == 1


def test_a_rule_of_overflow_offers_the_callback_once_the_caller_has_waited() -> None:
    given = floor(overflows=(OverflowRule(Waited(40), ToCallback()),))
    given.call(0, "c1", "help")
    given.call(1, "c2", "help", contact_phone="")
    events = given.tick(60)
    assert [event.call_id for event in events if isinstance(event, CallbackRequested)] == ["c1"], "c2 has no number"
    assert isinstance(given.pool.calls["c2"].state, Queued)


def test_a_caller_who_comes_to_a_closed_queue_is_called_back_when_it_opens() -> None:
    rules = (OverflowRule(Closed(), ToCallback()), OverflowRule(Closed(), ToMessage("tomorrow")))
    given = floor(hours=HOURS, overflows=rules)
    given.log_in(0, "ann")
    events = given.call(70, "c1", "help")
    assert names(events) == ["call.offered", "call.queued", "call.callback_requested"]
    assert only(given.call(80, "c2", "help"), CallAbandoned).message == "tomorrow", "one callback for a number"
    assert isinstance(given.pool.calls["c1"].state, HeldPlace)
    assert only(given.tick(400), CallAssigned).occurred_at == START + timedelta(minutes=5)


@pytest.mark.parametrize("again", ["waits", "is called back"])
def test_who_was_busy_with_a_callback_that_is_taken_over_takes_the_first_of_all_that_wait(again: str) -> None:
    given = Floor(queue("help", callback=AGENT_FIRST), queue("vip", priority=9), profile("ann"))
    held(given)
    given.log_in(31, "ann")
    given.call(32, "v1", "vip", contact_phone=OTHER)
    if again == "waits":
        events = given.call(33, "c2", "help")
    else:
        call_me = flows.Flow(start="place", steps={"place": flows.ToCallback(queue_id="help", otherwise="place")})
        events = given.give(
            inputs.ArriveCall,
            33,
            call_id="c2",
            entry_point_id="line",
            dialled="+33639980100",
            contact_phone=PHONE,
            flow=call_me,
        )
    assert only(events, CallAssigned).call_id == "v1"
    assert given.pool.calls["c2"].state_name == ("queued" if again == "waits" else "held_place")


@pytest.mark.parametrize("opens", ["by its hours", "by an operator"])
def test_when_the_queue_opens_its_places_are_served_in_the_order_of_service(opens: str) -> None:
    """The floor begins at 10:00 in Paris; the second caller's call has the smaller id."""
    hours = parse({"week": {"mon": [["10:00", "10:01"], ["10:02", "12:00"]]}})
    given = Floor(queue("help", callback=AGENT_FIRST, hours=hours), profile("ann"))
    given.call(1, "z1", "help")
    given.call(2, "a1", "help", contact_phone=OTHER)
    given.tick(61)
    ask(given, 62, "z1")
    ask(given, 63, "a1")
    given.log_in(64, "ann")
    assert given.agent("ann").state_name == "available"
    if opens == "by its hours":
        events = given.tick(120)
    else:
        opened = queue("help", callback=AGENT_FIRST, hours=hours, override="open", version=2)
        events = given.give(inputs.ConfigureQueue, 65, queue=opened)
    assert only(events, CallAssigned).call_id == "z1"


def test_a_call_that_takes_a_callback_over_is_not_for_a_preferred_agent_who_may_not_serve_it() -> None:
    given = Floor(queue("help", callback=AGENT_FIRST), queue("lessons", "french", sticky_seconds=10), profile("ann"))
    held(given)
    given.log_in(31, "ann")
    given.call(33, "c2", "lessons", preferred_agent_id="ann")
    assert given.pool.calls["c2"].state_name == "queued"
    assert given.agent("ann").state_name == "available"
