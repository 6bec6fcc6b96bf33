"""The life of an attempt: from its start to one outcome, whatever comes, how often and in what order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from dialer.domain.attempt import (
    AgentAnswered,
    AgentAssigned,
    AgentMissed,
    Assigned,
    Attempt,
    AttemptState,
    CallDone,
    CallLost,
    Connected,
    Dialling,
    Effect,
    Ended,
    Fact,
    HandedOver,
    HandOver,
    Patience,
    PbxFact,
    PlayAbandonmentMessage,
    Ringing,
    RoutingHasCall,
    RoutingUnreachable,
    StopDial,
    Stopped,
    TellMachine,
    TimedOut,
    WhyNot,
    Withdraw,
    decide,
    step,
)
from hypothesis import given
from hypothesis import strategies as st

START = datetime(2026, 11, 23, 10, tzinfo=UTC)
PATIENCE = Patience(ring=timedelta(seconds=15), routing=timedelta(seconds=300))
NEW = Attempt(
    attempt_id=UUID(int=1),
    tenant_id="kettle",
    campaign_id="renewals",
    queue_id="sales",
    lead_id=UUID(int=2),
    number=1,
    phone="+33639980001",
    ring_seconds=25,
    started_at=START,
    deadline_at=START + timedelta(seconds=40),
)
CALL = "call-1"


def play(*facts: Fact) -> tuple[Attempt, list[Effect]]:
    """The attempt after these facts, a second apart, and all effects."""
    attempt, effects = NEW, list[Effect]()
    for second, fact in enumerate(facts, 1):
        attempt, more = step(attempt, fact, START + timedelta(seconds=second), PATIENCE)
        effects += more
    return attempt, effects


def test_from_dial_to_wrap_up() -> None:
    attempt, effects = play(
        PbxFact.RINGING,
        PbxFact.ANSWERED,
        RoutingHasCall(CALL),
        AgentAssigned(CALL),
        AgentAnswered(CALL),
        CallDone(CALL, "sold"),
    )
    assert attempt.state == Ended("answered", "routing", CALL, "sold")
    assert effects == [HandOver()]
    assert attempt.rang_seconds == 1.0
    assert attempt.ended_at == START + timedelta(seconds=6)
    assert attempt.deadline_at is None


@pytest.mark.parametrize(
    ("fact", "outcome"),
    [
        (PbxFact.BUSY, "busy"),
        (PbxFact.NO_ANSWER, "no_answer"),
        (PbxFact.FAILED, "failed"),
        (PbxFact.MACHINE, "machine"),
        (PbxFact.HUNG_UP, "no_answer"),
        (TimedOut(), "failed"),
    ],
)
@pytest.mark.parametrize("before", [(), (PbxFact.RINGING,)])
def test_dials_that_reach_nobody(before: tuple[Fact, ...], fact: Fact, outcome: str) -> None:
    attempt, effects = play(*before, fact)
    assert isinstance(attempt.state, Ended)
    assert attempt.state.outcome == outcome
    assert effects == []


def test_no_agent_in_time_is_an_abandoned_attempt_with_the_message() -> None:
    attempt, effects = play(PbxFact.ANSWERED, RoutingHasCall(CALL), CallLost(CALL, hung_up=False))
    assert attempt.state == Ended("abandoned", "routing", CALL)
    assert effects == [HandOver(), PlayAbandonmentMessage()]


def test_a_person_who_hangs_up_hears_no_message() -> None:
    attempt, effects = play(PbxFact.ANSWERED, CallLost(CALL, hung_up=True))
    assert attempt.state == Ended("abandoned", "routing", CALL)
    assert effects == [HandOver()]


def test_routing_out_of_reach() -> None:
    attempt, effects = play(PbxFact.ANSWERED, RoutingUnreachable())
    assert attempt.state == Ended("abandoned", "hand_over_failed")
    assert effects == [HandOver(), PlayAbandonmentMessage()]


def test_a_call_that_routing_has_after_all_is_withdrawn() -> None:
    _, effects = play(PbxFact.ANSWERED, RoutingUnreachable(), RoutingHasCall(CALL), AgentAssigned(CALL))
    assert effects == [HandOver(), PlayAbandonmentMessage(), Withdraw(CALL), Withdraw(CALL)]


def test_routing_told_of_the_call_before_its_http_answer_was_lost() -> None:
    attempt, effects = play(PbxFact.ANSWERED, RoutingHasCall(CALL), RoutingUnreachable())
    assert attempt.state == HandedOver(CALL)
    assert effects == [HandOver()]


def test_hanging_up_while_the_hand_over_is_on_its_way_withdraws_the_call_once_it_is_known() -> None:
    attempt, effects = play(PbxFact.ANSWERED, PbxFact.HUNG_UP, RoutingHasCall(CALL), CallLost(CALL, hung_up=True))
    assert attempt.state == Ended("abandoned", "routing", CALL)
    assert effects == [HandOver(), Withdraw(CALL)]
    attempt, effects = play(PbxFact.ANSWERED, PbxFact.HUNG_UP, RoutingUnreachable())
    assert attempt.state == Ended("abandoned", "hand_over_failed")
    assert effects == [HandOver()]


STATES: dict[str, AttemptState] = {
    "dialling": Dialling(),
    "ringing": Ringing(),
    "handed over": HandedOver(),
    "handed over with a call": HandedOver(CALL),
    "handed over, gone": HandedOver(CALL, gone=True),
    "assigned": Assigned(CALL),
    "connected": Connected(CALL),
    "connected with a machine": Connected(CALL, machine=True),
    "failed by the PBX": Ended("failed", "pbx"),
    "failed by time-out": Ended("failed", "time_out"),
    "machine": Ended("machine", "pbx", CALL),
    "abandoned": Ended("abandoned", "routing", CALL),
    "answered": Ended("answered", "routing", CALL, "sold"),
    "refused": Ended("refused", "do_not_call"),
}
FACTS = list(PbxFact)
Row = dict[str, AttemptState | WhyNot]
REACHED_NOBODY: Row = {
    "ringing": Ringing(),
    "answered": HandedOver(),
    "busy": Ended("busy", "pbx"),
    "no_answer": Ended("no_answer", "pbx"),
    "failed": Ended("failed", "pbx"),
    "machine": Ended("machine", "pbx"),
    "hung_up": Ended("no_answer", "pbx"),
}
BY_MACHINE = Ended("machine", "pbx", CALL)
GONE = HandedOver(CALL, gone=True)
OVER: Row = {fact.value: "over" for fact in PbxFact}
IS_ANSWERED: Row = {"answered": "repeated", "ringing": "answered", "busy": "answered", "no_answer": "answered"}
TABLE: dict[str, Row] = {
    "dialling": {**REACHED_NOBODY},
    "ringing": {**REACHED_NOBODY, "ringing": "repeated"},
    "handed over": {
        **IS_ANSWERED,
        "hung_up": HandedOver(None, gone=True),
        "failed": HandedOver(None, gone=True),
        "machine": Ended("machine", "pbx"),
    },
    "handed over with a call": {**IS_ANSWERED, "hung_up": GONE, "failed": GONE, "machine": BY_MACHINE},
    "handed over, gone": {**IS_ANSWERED, "hung_up": "repeated", "failed": "repeated", "machine": BY_MACHINE},
    "assigned": {**IS_ANSWERED, "hung_up": Assigned(CALL), "failed": Assigned(CALL), "machine": BY_MACHINE},
    "connected": {
        **IS_ANSWERED,
        "hung_up": Connected(CALL),
        "failed": Connected(CALL),
        "machine": Connected(CALL, machine=True),
    },
    "connected with a machine": {
        **IS_ANSWERED,
        "hung_up": Connected(CALL, machine=True),
        "failed": Connected(CALL, machine=True),
        "machine": "repeated",
    },
    **dict.fromkeys(("failed by the PBX", "machine", "abandoned", "answered", "refused"), OVER),
    "failed by time-out": {
        **OVER,
        "answered": Ended("failed", "time_out"),  # and the message is played
    },
}
"""What each fact makes of each state: a state in which it has happened, or why it has not."""


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.value)
@pytest.mark.parametrize("name", STATES)
def test_every_fact_of_the_pbx_happens_or_is_told_why_not(name: str, fact: PbxFact) -> None:
    before, wanted = STATES[name], TABLE[name][fact.value]
    decision = decide(before, fact)
    if isinstance(wanted, str):
        assert (decision.state, decision.effects, decision.why_not) == (before, (), wanted)
    else:
        assert (decision.state, decision.why_not) == (wanted, None)
        assert decision.state != before or decision.effects, "a fact that happens changes something, or has it done"


def test_a_machine_that_is_recognised_before_an_agent_speaks_is_withdrawn_and_nobody_was_abandoned() -> None:
    for before in ([RoutingHasCall(CALL)], [AgentAssigned(CALL)]):
        attempt, effects = play(PbxFact.RINGING, PbxFact.ANSWERED, *before, PbxFact.MACHINE)
        assert attempt.state == Ended("machine", "pbx", CALL)
        assert effects == [HandOver(), TellMachine(CALL), StopDial()]
        # What routing tells of the withdrawal, and what comes out of order, changes nothing.
        for late in (CallLost(CALL, hung_up=True), AgentMissed(CALL), AgentAnswered(CALL), CallDone(CALL, None)):
            after, more = step(attempt, late, START + timedelta(seconds=9), PATIENCE)
            assert (after, more) == (attempt, ())
    assert attempt.machine_at == START + timedelta(seconds=4)


def test_a_machine_that_is_recognised_while_the_hand_over_is_on_its_way_is_withdrawn_once_the_call_is_known() -> None:
    attempt, effects = play(PbxFact.ANSWERED, PbxFact.MACHINE, RoutingHasCall(CALL))
    assert attempt.state == Ended("machine", "pbx")
    assert effects == [HandOver(), StopDial(), TellMachine(CALL)]
    _, effects = play(PbxFact.ANSWERED, PbxFact.MACHINE, RoutingUnreachable())
    assert effects == [HandOver(), StopDial()]


@pytest.mark.parametrize(("disposition", "outcome"), [("sold", "answered"), (None, "answered"), ("machine", "machine")])
def test_of_a_machine_that_an_agent_speaks_with_the_disposition_decides(disposition: str | None, outcome: str) -> None:
    attempt, effects = play(PbxFact.ANSWERED, AgentAnswered(CALL), PbxFact.MACHINE)
    assert attempt.state == Connected(CALL, machine=True)
    assert attempt.machine_at == START + timedelta(seconds=3)
    assert effects == [HandOver(), TellMachine(CALL)]
    attempt, _ = step(attempt, CallDone(CALL, disposition), START + timedelta(seconds=60), PATIENCE)
    assert isinstance(attempt.state, Ended)
    assert (attempt.state.outcome, attempt.state.disposition) == (outcome, disposition)


def test_a_disposition_makes_no_machine_of_a_person() -> None:
    attempt, _ = play(PbxFact.ANSWERED, AgentAnswered(CALL), CallDone(CALL, "machine"))
    assert attempt.state == Ended("answered", "routing", CALL, "machine")


@pytest.mark.parametrize("before", [[RoutingHasCall(CALL)], [AgentAssigned(CALL)]])
def test_a_call_of_which_routing_tells_no_more_counts_as_abandoned(before: list[Fact]) -> None:
    attempt, _ = play(PbxFact.ANSWERED, *before, TimedOut())
    assert attempt.state == Ended("abandoned", "time_out", CALL)


@pytest.mark.parametrize("state", [HandedOver(CALL), Assigned(CALL), Connected(CALL)])
def test_hanging_up_reaches_routing(state: HandedOver | Assigned | Connected) -> None:
    assert decide(state, PbxFact.HUNG_UP).effects == (Withdraw(CALL),)


def test_a_missed_offer_waits_again() -> None:
    attempt, _ = play(PbxFact.ANSWERED, AgentAssigned(CALL), AgentMissed(CALL))
    assert attempt.state == HandedOver(CALL)
    assert attempt.deadline_at == START + timedelta(seconds=301)


def test_an_answer_after_the_time_out_is_told_the_message() -> None:
    attempt, effects = play(TimedOut(), PbxFact.ANSWERED)
    assert attempt.state == Ended("failed", "time_out")
    assert effects == [PlayAbandonmentMessage()]


def test_ringing_gives_the_whole_ring_time_from_the_first_ring() -> None:
    attempt, _ = step(NEW, PbxFact.RINGING, START + timedelta(seconds=9), PATIENCE)
    assert attempt.deadline_at == START + timedelta(seconds=9 + 25 + 15)


calls = st.sampled_from([CALL])
facts = st.one_of(
    st.sampled_from(list(PbxFact)),
    st.builds(TimedOut),
    st.builds(Stopped, st.sampled_from(["do_not_call", "person_calls", "lead_removed"])),
    st.builds(RoutingUnreachable),
    st.builds(RoutingHasCall, calls),
    st.builds(AgentAssigned, calls),
    st.builds(AgentMissed, calls),
    st.builds(AgentAnswered, calls),
    st.builds(CallLost, calls, st.booleans()),
    st.builds(CallDone, calls, st.sampled_from([None, "sold"])),
)


@given(st.lists(facts, max_size=12))
def test_any_history_is_harmless(history: list[Fact]) -> None:
    attempt, handed_over, ended = NEW, 0, None
    for second, fact in enumerate(history, 1):
        at = START + timedelta(seconds=second)
        after, effects = step(attempt, fact, at, PATIENCE)
        handed_over += effects.count(HandOver())
        if ended is not None:
            assert after == attempt
        if isinstance(after.state, Ended) and ended is None:
            ended = after.state
        assert isinstance(after.state, Ended) == (after.ended_at is not None)
        assert (after.deadline_at is None) == isinstance(after.state, Ended | Connected)
        # A repetition changes nothing and asks for no second hand-over.
        again, more = step(after, fact, at, PATIENCE)
        if not isinstance(fact, AgentMissed):
            assert again == after
        assert HandOver() not in more
        attempt = after
    assert handed_over <= 1
    if handed_over == 0 and ended is not None:
        assert ended.outcome in {"busy", "no_answer", "failed", "machine", "refused"}
    assert attempt.rang_seconds >= 0


@given(st.lists(facts, max_size=8))
def test_no_answer_no_agent(history: list[Fact]) -> None:
    attempt, _ = play(*(fact for fact in history if fact is not PbxFact.ANSWERED))
    assert isinstance(attempt.state, Dialling | Ringing | Ended)
    assert attempt.answered_at is None
    assert replace(attempt, state=Dialling()).call_id is None
