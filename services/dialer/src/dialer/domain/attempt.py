"""One dial from its start to its outcome, as a state machine.

    Dialling ─▶ Ringing ─▶ HandedOver ─▶ Assigned ─▶ Connected ─▶ Ended(answered)
        │          │           │  ▲          │
        │          │           │  └─ missed ─┤
        ▼          ▼           ▼             ▼
       Ended(busy | no_answer | failed | machine | refused)   Ended(abandoned | machine)

Facts come from a PBX and from routing, each over its own way, repeated, late or out of order. Each either happens, or
the decision says why not; nothing leaves Ended.

Detection of answering machines may come after the answer. While no agent speaks yet, the call is withdrawn and the
attempt has reached a machine; nobody was abandoned. Once an agent speaks, it is noted and they are told, and what
became of the lead is for them to say: with the disposition `machine` the attempt has reached a machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, Literal, assert_never
from uuid import UUID

from common.events.dialer import AttemptOutcome

StoppedBy = Literal["do_not_call", "person_calls", "lead_removed"]
"""do_not_call: the number came onto the tenant's list; person_calls: who is dialled calls the tenant themselves;
lead_removed: somebody took the lead off its list."""

# ---------------------------------------------------------------- states


@dataclass(frozen=True, slots=True)
class Dialling:
    """The PBX has been told to dial."""


@dataclass(frozen=True, slots=True)
class Ringing:
    """The other side rings."""


@dataclass(frozen=True, slots=True)
class HandedOver:
    """The person answered and waits for an agent; `call_id` once routing has the call."""

    call_id: str | None = None
    gone: bool = False
    """The person hung up before routing's id of the call was known."""


@dataclass(frozen=True, slots=True)
class Assigned:
    """Routing offers the call to an agent."""

    call_id: str


@dataclass(frozen=True, slots=True)
class Connected:
    """An agent speaks with the person, or wraps up."""

    call_id: str
    machine: bool = False
    """The PBX says that it is an answering machine."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Over. Final."""

    outcome: AttemptOutcome
    by: Literal["pbx", "routing", "time_out", "hand_over_failed", StoppedBy]
    call_id: str | None = None
    disposition: str | None = None


Live = Dialling | Ringing | HandedOver | Assigned | Connected
AttemptState = Live | Ended

# ---------------------------------------------------------------- what happens


class PbxFact(Enum):
    """What a PBX tells of a dial."""

    RINGING = "ringing"
    ANSWERED = "answered"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    FAILED = "failed"
    MACHINE = "machine"
    HUNG_UP = "hung_up"


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The facts that should have come by now have not."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The number must not ring any more."""

    by: StoppedBy


@dataclass(frozen=True, slots=True)
class RoutingHasCall:
    """Routing accepted the call, or told of it (offered, queued)."""

    call_id: str


@dataclass(frozen=True, slots=True)
class RoutingUnreachable:
    """Routing took the call neither in time nor at all."""


@dataclass(frozen=True, slots=True)
class AgentAssigned:
    """Routing offers the call to an agent."""

    call_id: str


@dataclass(frozen=True, slots=True)
class AgentMissed:
    """The agent did not take it; the call waits again."""

    call_id: str


@dataclass(frozen=True, slots=True)
class AgentAnswered:
    """The agent speaks with the person."""

    call_id: str


@dataclass(frozen=True, slots=True)
class CallLost:
    """The call ended without an agent."""

    call_id: str
    hung_up: bool


@dataclass(frozen=True, slots=True)
class CallDone:
    """The agent has wrapped up."""

    call_id: str
    disposition: str | None


RoutingFact = RoutingHasCall | AgentAssigned | AgentMissed | AgentAnswered | CallLost | CallDone
Fact = PbxFact | TimedOut | Stopped | RoutingUnreachable | RoutingFact

# ---------------------------------------------------------------- what to do about it


@dataclass(frozen=True, slots=True)
class HandOver:
    """Offer the call to routing."""


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Tell routing that the caller is gone."""

    call_id: str


@dataclass(frozen=True, slots=True)
class TellMachine:
    """Tell routing that an answering machine has answered: it withdraws the call, or shows it to the agent."""

    call_id: str


@dataclass(frozen=True, slots=True)
class PlayAbandonmentMessage:
    """Tell the PBX to play the legally required message, then to hang up."""


@dataclass(frozen=True, slots=True)
class StopDial:
    """Tell the PBX to give the dial up, or to release the line."""


Effect = HandOver | Withdraw | TellMachine | PlayAbandonmentMessage | StopDial

WhyNot = Literal["repeated", "answered", "not_answered", "overtaken", "over"]
"""Why a fact does not happen. repeated: it was told before; answered: the line has been answered, so it does not ring,
is not busy and does not go unanswered; not_answered: nobody has answered yet; overtaken: routing has told of something
later; over: the attempt has ended."""

MACHINE: Final = "machine"
"""The disposition by which an agent says that an answering machine has answered."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The state after a fact, and what is to be done; `why_not` of a fact that does not happen."""

    state: AttemptState
    effects: tuple[Effect, ...] = ()
    why_not: WhyNot | None = None


def decide(state: AttemptState, fact: Fact) -> Decision:
    """What `fact` makes of an attempt in `state`. Total: every fact happens in every state, or is told why not."""
    match state:
        case Dialling() | Ringing():
            return _while_ringing(state, fact)
        case HandedOver():
            return _while_waiting(state, fact)
        case Assigned():
            return _while_assigned(state, fact)
        case Connected():
            return _while_connected(state, fact)
        case Ended():
            return _when_over(state, fact)
        case _ as unreachable:
            assert_never(unreachable)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One dial: what it is, its state, and when it got there (UTC)."""

    attempt_id: UUID
    tenant_id: str
    campaign_id: str
    queue_id: str
    lead_id: UUID
    number: int
    """1 for the first dial of the lead."""
    phone: str
    ring_seconds: float
    started_at: datetime
    deadline_at: datetime | None
    """When facts that have not come by then never will; None once an agent speaks with the person."""
    state: AttemptState = field(default_factory=Dialling)
    ringing_at: datetime | None = None
    answered_at: datetime | None = None
    machine_at: datetime | None = None
    """When the PBX said that an answering machine has answered."""
    ended_at: datetime | None = None
    traceparent: str | None = None

    @property
    def rang_seconds(self) -> float:
        """From the first ring (or the start) to the answer or the end."""
        until = self.answered_at or self.ended_at
        return 0.0 if until is None else max(0.0, (until - (self.ringing_at or self.started_at)).total_seconds())

    @property
    def call_id(self) -> str | None:
        """Routing's id of the call, once known."""
        match self.state:
            case HandedOver() | Assigned() | Connected() | Ended():
                return self.state.call_id
            case Dialling() | Ringing():
                return None
            case _ as unreachable:
                assert_never(unreachable)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long facts may take: `ring` beyond the ring time; `routing` from the answer to an agent or a loss."""

    ring: timedelta
    routing: timedelta


def step(attempt: Attempt, fact: Fact, at: datetime, patience: Patience) -> tuple[Attempt, tuple[Effect, ...]]:
    """The attempt after `fact`, known at `at`, and what is to be done; the same attempt when nothing changed."""
    decision = decide(attempt.state, fact)
    if decision.state == attempt.state:
        return attempt, decision.effects
    changed = replace(attempt, state=decision.state)
    if fact is PbxFact.MACHINE:
        changed = replace(changed, machine_at=at)
    match decision.state:
        case Ringing():
            deadline = at + timedelta(seconds=attempt.ring_seconds) + patience.ring
            changed = replace(changed, ringing_at=at, deadline_at=deadline)
        case HandedOver() | Assigned():
            answered = attempt.answered_at or at
            changed = replace(changed, answered_at=answered, deadline_at=answered + patience.routing)
        case Connected():
            changed = replace(changed, deadline_at=None)
        case Ended():
            changed = replace(changed, ended_at=at, deadline_at=None)
        case Dialling():
            pass
        case _ as unreachable:
            assert_never(unreachable)
    return changed, decision.effects


def _while_ringing(state: Dialling | Ringing, fact: Fact) -> Decision:
    match fact:
        case PbxFact.RINGING:
            return Decision(state, why_not="repeated") if isinstance(state, Ringing) else Decision(Ringing())
        case PbxFact.ANSWERED:
            return Decision(HandedOver(), (HandOver(),))
        case PbxFact.BUSY:
            return Decision(Ended("busy", "pbx"))
        case PbxFact.NO_ANSWER | PbxFact.HUNG_UP:
            return Decision(Ended("no_answer", "pbx"))
        case PbxFact.FAILED:
            return Decision(Ended("failed", "pbx"))
        case PbxFact.MACHINE:
            return Decision(Ended("machine", "pbx"))
        case TimedOut():
            return Decision(Ended("failed", "time_out"))
        case Stopped(by):
            return Decision(Ended("refused", by), (StopDial(),))
        case RoutingUnreachable() | RoutingHasCall() | AgentAssigned() | AgentMissed() | AgentAnswered():
            return Decision(state, why_not="not_answered")
        case CallLost() | CallDone():
            return Decision(state, why_not="not_answered")
        case _ as unreachable:
            assert_never(unreachable)


def _while_waiting(state: HandedOver, fact: Fact) -> Decision:
    match fact:
        case RoutingHasCall(call_id):
            known = replace(state, call_id=call_id)
            return Decision(known, (Withdraw(call_id),) if state.gone and state.call_id is None else ())
        case RoutingUnreachable():
            if state.call_id is not None:
                return Decision(state, why_not="overtaken")
            message = () if state.gone else (PlayAbandonmentMessage(),)
            return Decision(Ended("abandoned", "hand_over_failed"), message)
        case AgentAssigned(call_id):
            return Decision(Assigned(call_id), (Withdraw(call_id),) if state.gone else ())
        case AgentAnswered(call_id):
            return Decision(Connected(call_id), (Withdraw(call_id),) if state.gone else ())
        case AgentMissed():
            return Decision(state, why_not="repeated")
        case CallLost(call_id, hung_up):
            return _abandoned(call_id, hung_up or state.gone)
        case CallDone(call_id, disposition):
            return Decision(Ended("answered", "routing", call_id, disposition))
        case PbxFact.HUNG_UP | PbxFact.FAILED:
            if state.gone:
                return Decision(state, why_not="repeated")
            return Decision(replace(state, gone=True), () if state.call_id is None else (Withdraw(state.call_id),))
        case PbxFact.MACHINE:
            return _machine(state.call_id)
        case PbxFact.ANSWERED:
            return Decision(state, why_not="repeated")
        case PbxFact.RINGING | PbxFact.BUSY | PbxFact.NO_ANSWER | Stopped():
            return Decision(state, why_not="answered")
        case TimedOut():
            return Decision(Ended("abandoned", "time_out", state.call_id))
        case _ as unreachable:
            assert_never(unreachable)


def _while_assigned(state: Assigned, fact: Fact) -> Decision:
    match fact:
        case AgentMissed(call_id):
            return Decision(HandedOver(call_id))
        case AgentAnswered(call_id):
            return Decision(Connected(call_id))
        case CallLost(call_id, hung_up):
            return _abandoned(call_id, hung_up)
        case CallDone(call_id, disposition):
            return Decision(Ended("answered", "routing", call_id, disposition))
        case AgentAssigned():
            return Decision(state, why_not="repeated")
        case RoutingHasCall() | RoutingUnreachable():
            return Decision(state, why_not="overtaken")
        case PbxFact.HUNG_UP | PbxFact.FAILED:
            return Decision(state, (Withdraw(state.call_id),))
        case PbxFact.MACHINE:
            return _machine(state.call_id)
        case PbxFact.ANSWERED:
            return Decision(state, why_not="repeated")
        case PbxFact.RINGING | PbxFact.BUSY | PbxFact.NO_ANSWER | Stopped():
            return Decision(state, why_not="answered")
        case TimedOut():
            return Decision(Ended("abandoned", "time_out", state.call_id))
        case _ as unreachable:
            assert_never(unreachable)


def _while_connected(state: Connected, fact: Fact) -> Decision:
    match fact:
        case CallDone(call_id, disposition):
            reached_machine = state.machine and disposition == MACHINE
            return Decision(Ended("machine" if reached_machine else "answered", "routing", call_id, disposition))
        case AgentAnswered():
            return Decision(state, why_not="repeated")
        case RoutingHasCall() | RoutingUnreachable() | AgentAssigned() | AgentMissed() | CallLost() | TimedOut():
            return Decision(state, why_not="overtaken")
        case PbxFact.HUNG_UP | PbxFact.FAILED:
            return Decision(state, (Withdraw(state.call_id),))
        case PbxFact.MACHINE:
            if state.machine:
                return Decision(state, why_not="repeated")
            return Decision(replace(state, machine=True), (TellMachine(state.call_id),))
        case PbxFact.ANSWERED:
            return Decision(state, why_not="repeated")
        case PbxFact.RINGING | PbxFact.BUSY | PbxFact.NO_ANSWER | Stopped():
            return Decision(state, why_not="answered")
        case _ as unreachable:
            assert_never(unreachable)


def _when_over(state: Ended, fact: Fact) -> Decision:
    match fact:
        case PbxFact.ANSWERED if state.by == "time_out" and state.outcome == "failed":
            # Somebody is on the line whom no agent will take any more.
            return Decision(state, (PlayAbandonmentMessage(),))
        case RoutingHasCall(call_id) | AgentAssigned(call_id) if state.by == "hand_over_failed":
            # Routing's answer was lost, not the request: it has a call whose person has been sent away.
            return Decision(state, (Withdraw(call_id),))
        case RoutingHasCall(call_id) | AgentAssigned(call_id) | AgentAnswered(call_id) if (
            state.outcome == "machine" and state.by == "pbx" and state.call_id is None
        ):
            # The hand-over was on its way when the PBX told of the machine.
            return Decision(state, (TellMachine(call_id),))
        case PbxFact() | TimedOut() | Stopped() | RoutingUnreachable() | RoutingHasCall() | AgentAssigned():
            return Decision(state, why_not="over")
        case AgentMissed() | AgentAnswered() | CallLost() | CallDone():
            return Decision(state, why_not="over")
        case _ as unreachable:
            assert_never(unreachable)


def _abandoned(call_id: str, hung_up: bool) -> Decision:
    return Decision(Ended("abandoned", "routing", call_id), () if hung_up else (PlayAbandonmentMessage(),))


def _machine(call_id: str | None) -> Decision:
    told = () if call_id is None else (TellMachine(call_id),)
    return Decision(Ended("machine", "pbx", call_id), (*told, StopDial()))
