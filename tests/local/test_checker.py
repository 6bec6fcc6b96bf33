"""The checker: silent on histories as the services write them, and not silent on any planted violation."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from common import envelope
from common.events import (
    AgentLoggedIn,
    AgentStateChanged,
    AttemptEnded,
    CallAnswered,
    CallEnded,
    CallWrappedUp,
    CaseCallLinked,
    CaseClosed,
    CaseOpened,
    CaseReopened,
    ChargeRecorded,
    ChargeReversed,
    Event,
)
from common.events.routing import CallAtHand, Channel
from common.kafka import Kafka
from local.histories import START, TENANT, History, at, day
from msgspec.structs import replace
from plateau.checker import Recorded, check, violations
from plateau.checker.log import Log, log_of
from plateau.checker.report import report_of


def test_a_clean_day_has_no_violation() -> None:
    events = day().events
    assert violations(events, complete=True) == []
    assert violations(events) == []


def test_work_in_progress_is_a_violation_only_at_rest() -> None:
    """Whatever the moment at which the log is read, a right history is right."""
    events = day().events
    for length in range(len(events)):
        assert [one for one in violations(events[:length]) if "never answered" not in one] == []
    assert violations(events[:12], complete=True) != []


def test_counts_and_amounts() -> None:
    report = report_of(Log(events=[Recorded("test", uuid4(), event) for event in day().events]))
    expected = {
        "calls_offered": 4,
        "calls_answered": 3,
        "calls_abandoned": 1,
        "cases_opened": 1,
        "cases_closed": 2,
        "cases_reopened": 1,
        "charges": 2,
        "reversals": 1,
        "attempts_ended": 2,
    }
    assert {name: report.counts[name] for name in expected} == expected
    assert report.amounts == {"EUR": Decimal("6.80")}
    assert report.net_charges == 1


Change = Callable[[list[Event]], list[Event]]


def without(kind: type[Event], number: int = 0) -> Change:
    def change(events: list[Event]) -> list[Event]:
        left = list(events)
        left.remove([event for event in events if type(event) is kind][number])
        return left

    return change


def changed(kind: type[Event], number: int = 0, /, **fields: Any) -> Change:
    def change(events: list[Event]) -> list[Event]:
        target = [event for event in events if type(event) is kind][number]
        return [replace(event, **fields) if event is target else event for event in events]

    return change


def twice(kind: type[Event], number: int = 0, /, **fields: Any) -> Change:
    """The same event under a new id: not a repeat, but a second effect."""

    def change(events: list[Event]) -> list[Event]:
        return [*events, replace([event for event in events if type(event) is kind][number], **fields)]

    return change


def also(write: Callable[[History], None]) -> Change:
    def change(events: list[Event]) -> list[Event]:
        more = History()
        write(more)
        return [*events, *more.events]

    return change


def second_ending(history: History) -> None:
    history.offered("call-9", 600)
    history.abandoned("call-9", 610)
    history.abandoned("call-9", 611)


def abandoned_after_all(history: History) -> None:
    history.offered("call-1", 600)
    history.abandoned("call-1", 610)


def never_ending(history: History) -> None:
    history.offered("call-9", 600)


def two_agents(history: History) -> None:
    history.agent("carla", "available", 590)
    history.agent("dario", "available", 590)
    history.offered("call-9", 600)
    history.assigned("call-9", 601, "carla")
    history.assigned("call-9", 602, "dario", offer=2)
    history.answered("call-9", 603, "dario")


def two_calls(history: History) -> None:
    history.agent("carla", "available", 590)
    history.offered("call-8", 600)
    history.offered("call-9", 600)
    history.assigned("call-8", 601, "carla")
    history.answered("call-8", 602, "carla")
    history.assigned("call-9", 603, "carla")


def second_open_case(history: History) -> None:
    history.case(CaseOpened, 1, 250, 0, case_id="case-2")


PLANTED: dict[str, tuple[Change, str]] = {
    "call ended twice": (also(second_ending), "call call-9: ended 2 times"),
    "call abandoned and handled": (
        also(abandoned_after_all),
        "call call-1: ended 2 times",
    ),
    "call lost": (also(never_ending), "call call-9: never ended"),
    "call's last event lost": (without(CallWrappedUp, 2), "call call-3: never ended"),
    "gap in a call": (without(CallEnded), "call call-1: has a gap: sequence [5]"),
    "fork in a call": (twice(CallAnswered, occurred_at=at(104)), "call call-1: forked"),
    "illegal order": (without(CallAnswered), "call call-1: call.ended.v1 (sequence 5) while ringing"),
    "call with two agents": (also(two_agents), "call call-9: has two agents at once: carla and dario"),
    "another agent answers": (changed(CallAnswered, agent_id="bruno"), "call call-1: has two agents at once"),
    "agent with two calls": (also(two_calls), "agent carla: has two calls at"),
    "agent in two states": (
        changed(AgentStateChanged, 1, previous_state="break"),
        "agent alma: was offered but sequence 3 says break",
    ),
    "gap in an agent's history": (without(AgentStateChanged, 1), "agent alma: has a gap: sequence [3]"),
    "agent's time is not accounted for": (
        changed(AgentStateChanged, 1, seconds_in_previous=99.0),
        "agent alma: seconds_in_previous of sequence 3",
    ),
    "agent and call disagree": (changed(AgentStateChanged, 1, call_id="call-7"), "call call-1: busy with agent alma"),
    "wrong duration": (changed(CallAnswered, wait_seconds=30.0), "call call-1: wait_seconds of call.answered.v1 is 30"),
    "call changes its caller": (changed(CallEnded, contact_phone="+33639980000"), "call call-1: contact_phone changed"),
    "second open case of a contact": (also(second_open_case), "contact ada: has two open cases"),
    "closing number repeated": (changed(CaseClosed, 1, closing=1), "case case-1: closing 1 follows closing 1"),
    "closed twice in a row": (without(CaseReopened), "case case-1: closed (sequence 6) while it was not open"),
    "reopened while open": (without(CaseClosed), "case case-1: reopened (sequence 3) while it was not closed"),
    "gap in a case": (without(CaseCallLinked), "case case-1: has a gap: sequence [4]"),
    "fork in a case": (twice(CaseClosed, disposition="refunded"), "case case-1: forked"),
    "closing not charged": (without(ChargeRecorded, 1), "case case-1 of moon-kettles, closing 2: never charged"),
    "closing charged twice": (
        twice(ChargeRecorded, 1, charge_id="charge-2b"),
        "case case-1 of moon-kettles, closing 2: charged 2 times for case: charge-2, charge-2b",
    ),
    "reopening not reversed": (without(ChargeReversed), "closing 1: reopened but not reversed"),
    "reversed twice": (twice(ChargeReversed, charge_id="reversal-1b"), "closing 1: reversed 2 times"),
    "reversed by another amount": (
        changed(ChargeReversed, amount=Decimal("-6.00")),
        "closing 1: charged 6.80 EUR but reversed -6.00 EUR",
    ),
    "charged without closing": (also(lambda history: history.charge(7)), "closing 7: charged (charge-7) but never"),
    "reversed without reopening": (
        also(lambda history: history.charge(2, charge_id="r2", reverses="charge-2", amount=Decimal("-6.80"))),
        "closing 2: reversed (r2) but never reopened",
    ),
    "answered call in no case": (changed(CaseCallLinked, 1, call_id=None), "call call-3: answered but linked to no"),
    "answered call linked twice": (
        changed(CaseCallLinked, 1, call_id="call-2"),
        "call call-2: linked 2 times: case-1, case-1",
    ),
    "unanswered call in a case": (changed(CaseCallLinked, 1, call_id="call-4"), "which was never answered"),
    "lead dialled twice at a time": (without(AttemptEnded), "lead lead-1: attempt try-2 began during try-1"),
    "attempt never ended": (without(AttemptEnded, 1), "lead lead-1: attempt try-2 never ended"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_violation_is_found(name: str) -> None:
    change, expected = PLANTED[name]
    found = violations(change(day().events), complete=True)
    assert any(expected in one for one in found), found


def test_an_exact_repeat_is_harmless_and_another_one_is_not() -> None:
    events = day().events
    records = [Recorded("routing", uuid4(), event, "calls", b"same") for event in events]
    log = log_of([*records, *records])
    assert report_of(log, complete=True).violations == []
    assert log.repeated == len(events)
    first = records[0]
    other = Recorded("routing", first.id, replace(first.event, tenant_id="gale"), "calls", b"same")
    found = violations([*records, other], complete=True)
    assert found == [
        f"event routing/{first.id}: repeated with other content (agent.logged_in.v1 of alma on calls, "
        "first agent.logged_in.v1 of alma)"
    ]
    assert violations([*records, Recorded("billing", first.id, records[1].event, "calls", b"same")]) != []


def test_a_call_on_two_channels_is_no_double_booking() -> None:
    history = History()
    history.agent("carla", "available", 0)
    history.offered("call-8", 1)
    history.offered("chat-1", 1, channel="chat")
    history.assigned("call-8", 2, "carla")
    history.assigned("chat-1", 3, "carla")
    assert not any("two calls" in one for one in violations(history.events))


State = tuple[str, list[CallAtHand], list[Channel]]


def several(*states: State) -> list[str]:
    """What is wrong with an agent who logs in for voice and three chats and then comes into these states: state, calls
    at hand, what they could take."""
    about: dict[str, Any] = {"tenant_id": "floor", "agent_id": "ada", "pool_id": "main", "queue_ids": []}
    takes: list[Channel] = ["voice", "chat"]
    events: list[Event] = [
        AgentLoggedIn(**about, sequence=1, occurred_at=at(0), state="available", takes=takes),
    ]
    before = "available"
    for number, (state, calls, takes) in enumerate(states, 1):
        changed: dict[str, Any] = {"state": state, "previous_state": before, "since_previous": at(number - 1)}
        changed |= {"seconds_in_previous": 1.0, "calls": calls, "call_id": calls[0].call_id if calls else None}
        events.append(AgentStateChanged(**about, **changed, sequence=number + 1, occurred_at=at(number), takes=takes))
        before = state
    return violations(events)


def at_hand(call_id: str, state: Any, channel: Channel = "chat") -> CallAtHand:
    return CallAtHand(call_id, TENANT, channel, state)


def test_several_calls_of_an_agent_are_followed_each() -> None:
    """Right as long as each goes its way and none is offered beyond what they said that they could take."""
    one: State = ("offered", [at_hand("a", "offered")], ["chat"])
    two: State = ("offered", [at_hand("a", "offered"), at_hand("b", "offered")], ["chat"])
    busy: State = ("busy", [at_hand("a", "busy"), at_hand("b", "offered")], ["chat"])
    done: State = ("wrap_up", [at_hand("a", "wrap_up")], ["chat"])
    free: State = ("available", [], ["voice", "chat"])
    assert several(one, two, busy, done, free) == []
    assert any("lost call a while busy" in told for told in several(one, two, busy, free))
    assert any("took no more of chat" in told for told in several((*one[:2], []), two))
    assert any(
        "took no more of voice" in told
        for told in several(one, ("offered", [*one[1], at_hand("v", "offered", "voice")], []))
    )
    assert any("from offered to wrap_up" in told for told in several(one, done))
    voice = [at_hand("v", "offered", "voice"), at_hand("w", "offered", "voice")]
    assert any("two voice calls" in told for told in several(("offered", voice, [])))
    paused = replace(at_hand("a", "busy"), paused=True)
    assert any("is busy by call a" in told for told in several(one, ("busy", [paused], [])))


def test_a_withheld_number_belongs_to_no_case() -> None:
    history = History()
    history.agent("carla", "available", 0)
    history.offered("call-8", 1, contact_phone="")
    history.assigned("call-8", 2, "carla")
    history.answered("call-8", 3, "carla")
    history.ended("call-8", 4, "carla")
    history.wrapped_up("call-8", 5, "carla")
    assert violations(history.events, complete=True) == []


async def test_the_whole_log_is_read_from_a_broker(stack: Any) -> None:
    """Every topic, repeats and dead letters included; nothing is left out and nothing waits for more."""
    assert (await check(stack.bootstrap_servers, complete=True)).counts["events"] == 0
    events = day().events
    kafka: Kafka = stack.kafka
    async with kafka.producer() as producer:
        for event in events:
            await _produce(producer, event, times=2)
        await producer.send_and_wait("calls.dead-letters", b"{}", headers=[("ce_type", b"call.odd.v1")])
        await producer.send_and_wait("calls", b"not an event")
    report = await check(stack.bootstrap_servers, complete=True)
    assert report.counts["events"] == report.counts["repeated"] == len(events)
    assert report.dead_letters == ["calls.dead-letters: call.odd.v1: no cause given"]
    assert len(report.violations) == 1
    assert "header ce_type is missing" in report.violations[0]


async def _produce(producer: AIOKafkaProducer, event: Event, times: int) -> None:
    headers, value = envelope.encode(event, event_id=uuid4(), source="test", time=START, traceparent=None)
    for _ in range(times):
        await producer.send_and_wait(event.TOPIC, value, key=event.key.encode(), headers=headers)
