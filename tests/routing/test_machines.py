"""Answering machines: recognised before an agent speaks they are nobody's call, after that they are the agent's."""

from __future__ import annotations

from typing import Any

import pytest
from common.events import (
    CallAbandoned,
    CallAnswered,
    CallbackFailed,
    CallMachineDetected,
    CallOfferMissed,
    CallWrappedUp,
    Event,
)
from routing.api.calls import view_of
from routing.api.streams import Seen, for_agent
from routing.domain import inputs
from routing.domain.configuration import CallbackRules

from .floors import Floor, at, names, only, profile, queue

RULES = {
    mode: CallbackRules(mode=mode, attempts=2, retry_seconds=60, ring_seconds=20, valid_seconds=3600)
    for mode in ("agent_first", "customer_first")
}


def floor(**changes: Any) -> Floor:
    return Floor(queue("sales", **changes), profile("ann"), profile("ben"))


def dialled(given: Floor, seconds: float) -> list[Event]:
    """A person, or so it seems, has answered the dialer."""
    return given.call(seconds, "c1", "sales", direction="outbound", max_wait_seconds=2.0, attempt_id="a1")


def detect(given: Floor, seconds: float, call_id: str = "c1") -> list[Event]:
    return given.give(inputs.MachineDetected, seconds, call_id=call_id)


def result(given: Floor, seconds: float, outcome: str, dial_id: str = "c1/1") -> list[Event]:
    call_id = dial_id.partition("/")[0]
    return given.give(inputs.DialResult, seconds, call_id=call_id, dial_id=dial_id, outcome=outcome)


def test_a_call_that_waits_is_withdrawn_and_counts_no_abandonment() -> None:
    given = floor()
    dialled(given, 0)
    abandoned = only(detect(given, 1), CallAbandoned)
    assert (abandoned.machine, abandoned.short, abandoned.reason) == (True, False, "hung_up")
    assert detect(given, 1) == []
    assert given.decision.refused == "no_live_call"


def test_a_call_that_rings_is_withdrawn_and_the_agent_is_free_without_wrap_up() -> None:
    given = floor()
    given.log_in(0, "ann")
    dialled(given, 10)
    events = detect(given, 11)
    assert names(events) == ["call.abandoned", "agent.state_changed:available"]
    assert only(events, CallAbandoned).machine
    assert given.agent("ann").state_name == "available"
    assert given.agent("ann").missed_offers == 0
    # The next one in the queue has the agent at once.
    given.call(12, "c2", "sales", contact_phone="+33639980002")
    assert given.agent("ann").state_name == "offered"


def test_the_agent_who_speaks_is_told_and_decides() -> None:
    given = floor()
    given.log_in(0, "ann")
    dialled(given, 10)
    given.accept(11, "c1", "ann")
    events = detect(given, 12)
    assert names(events) == ["call.machine_detected"]
    detected = only(events, CallMachineDetected)
    assert view_of("main", given.pool.calls["c1"]).machine
    (shown,) = for_agent("ann", 0, Seen("calls-0-1", detected, None))
    assert (shown.name, shown.data["type"]) == ("call", "call.machine_detected.v1")
    assert for_agent("ben", 0, Seen("calls-0-1", detected, None)) == []
    assert detect(given, 13) == []
    assert given.decision.refused is None
    given.hang_up(20, "c1")
    assert detect(given, 21) == []
    assert given.decision.refused == "no_longer_talking"
    wrapped_up = only(given.wrap_up(25, "c1", "ann", "machine"), CallWrappedUp)
    assert wrapped_up.disposition == "machine"
    assert len([event for event in given.events if isinstance(event, CallMachineDetected)]) == 1


def test_whoever_called_is_no_machine() -> None:
    given = floor()
    given.call(0, "c1", "sales")
    assert detect(given, 1) == []
    assert given.decision.refused == "not_dialled"


def called_back(mode: str) -> Floor:
    given = floor(callback=RULES[mode])
    given.call(0, "c1", "sales")
    given.give(inputs.RequestCallback, 30, call_id="c1", phone=None)
    return given


def test_the_agent_who_waits_for_a_customer_is_free_when_a_machine_answers() -> None:
    given = called_back("agent_first")
    given.log_in(40, "ann")
    given.accept(41, "c1", "ann")
    events = result(given, 50, "machine")
    failed = only(events, CallbackFailed)
    assert (failed.reason, failed.agent_id, failed.next_at) == ("machine", "ann", at(110))
    assert given.agent("ann").state_name == "available"
    assert result(given, 51, "machine") == []
    assert given.decision.refused == "dial_is_over"


def test_a_machine_that_is_recognised_while_the_agent_speaks_is_shown_to_them() -> None:
    given = called_back("agent_first")
    given.log_in(40, "ann")
    given.accept(41, "c1", "ann")
    only(result(given, 50, "answered"), CallAnswered)
    assert names(result(given, 52, "machine")) == ["call.machine_detected"]


@pytest.mark.parametrize("rings", [False, True])
def test_a_machine_does_not_wait_for_an_agent(rings: bool) -> None:
    given = called_back("customer_first")
    given.log_in(40, "ann")
    assert given.pool.calls["c1"].state_name == "calling_back"
    if not rings:
        given.log_out(41, "ann")
    result(given, 50, "answered")
    events = result(given, 51, "machine")
    failed = only(events, CallbackFailed)
    assert (failed.reason, failed.dial_id, failed.next_at) == ("machine", "c1/1", at(111))
    call = given.pool.calls["c1"]
    assert call.state_name == "held_place"
    assert call.callback is not None
    assert [dial.outcome for dial in call.callback.dials] == ["machine"]
    if rings:
        assert only(events, CallOfferMissed).reason == "interrupted"
        assert given.agent("ann").state_name == "available"
    assert result(given, 52, "machine") == []
    assert given.decision.refused == "dial_is_over"
    result(given, 53, "answered")
    assert given.decision.refused == "dial_is_over"


def test_two_machines_and_the_promise_is_over() -> None:
    given = called_back("customer_first")
    given.log_in(40, "ann")
    for attempt, seconds in ((1, 50), (2, 130)):
        given.tick(seconds - 5)
        result(given, seconds, "answered", f"c1/{attempt}")
        events = result(given, seconds + 1, "machine", f"c1/{attempt}")
    assert only(events, CallAbandoned).reason == "callback_unreached"
    assert given.agent("ann").state_name == "available"
