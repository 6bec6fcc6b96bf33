"""Calls: each has one unbroken history that ends in exactly one way, with one agent at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from common.events import (
    CallAbandoned,
    CallAnnounced,
    CallAnswered,
    CallArrived,
    CallAssigned,
    CallbackDialled,
    CallbackFailed,
    CallbackReached,
    CallbackRequested,
    CallConferenced,
    CallConsultationBegun,
    CallConsultationEnded,
    CallEnded,
    CallEvent,
    CallHeld,
    CallLeftInFlow,
    CallMachineDetected,
    CallOffered,
    CallOfferMissed,
    CallOverflowed,
    CallPrompted,
    CallQueued,
    CallRecordingChanged,
    CallRedirected,
    CallResumed,
    CallSupervised,
    CallWrappedUp,
    ConsultationAnswered,
    ConsultationAssigned,
    ConsultationEnded,
    ConsultationEvent,
    ConsultationOfferMissed,
    FlowEvent,
    VoicemailLeft,
)

from plateau.checker.callbacks import Callback

State = Literal[
    "new",
    "in_flow",
    "asked",
    "asked_ringing",
    "asked_talking",
    "offered",
    "waiting",
    "held",
    "leaving",
    "ringing",
    "dialling",
    "talking",
    "wrapping_up",
    "over",
]
"""asked: a consultation between two agents, which may yet become a customer's call."""

AnyCallEvent = CallEvent | FlowEvent | ConsultationEvent

_FROM: dict[type[AnyCallEvent], tuple[State, ...]] = {
    CallArrived: ("new",),
    CallPrompted: ("in_flow",),
    CallLeftInFlow: ("in_flow",),
    VoicemailLeft: ("in_flow",),
    ConsultationAssigned: ("new", "asked"),
    ConsultationOfferMissed: ("asked_ringing",),
    ConsultationAnswered: ("asked_ringing",),
    ConsultationEnded: ("new", "asked", "asked_ringing", "asked_talking"),
    CallOffered: ("new", "in_flow", "asked_talking"),
    CallQueued: ("offered", "leaving"),
    CallOverflowed: ("offered", "waiting"),
    CallAnnounced: ("waiting",),
    CallbackRequested: ("waiting", "ringing"),
    CallbackDialled: ("held", "ringing"),
    CallbackReached: ("dialling",),
    CallbackFailed: ("dialling", "waiting"),
    CallAssigned: ("waiting", "held"),
    CallOfferMissed: ("ringing",),
    CallAnswered: ("ringing", "dialling", "waiting"),
    CallAbandoned: ("offered", "waiting", "held", "ringing", "dialling"),
    CallRedirected: ("offered", "waiting"),
    CallHeld: ("talking",),
    CallResumed: ("talking",),
    CallMachineDetected: ("talking",),
    CallRecordingChanged: ("talking",),
    CallSupervised: ("talking",),
    CallConsultationBegun: ("talking",),
    CallConferenced: ("talking",),
    CallConsultationEnded: ("talking",),
    CallEnded: ("talking",),
    CallWrappedUp: ("wrapping_up",),
}
_TO: dict[type[AnyCallEvent], State] = {
    CallArrived: "in_flow",
    CallPrompted: "in_flow",
    CallLeftInFlow: "over",
    VoicemailLeft: "over",
    ConsultationAssigned: "asked_ringing",
    ConsultationOfferMissed: "asked",
    ConsultationAnswered: "asked_talking",
    ConsultationEnded: "over",
    CallOffered: "offered",
    CallQueued: "waiting",
    CallOverflowed: "leaving",
    CallAnnounced: "waiting",
    CallbackRequested: "held",
    CallbackDialled: "dialling",
    CallbackReached: "waiting",
    CallbackFailed: "held",
    CallAssigned: "ringing",
    CallOfferMissed: "waiting",
    CallAnswered: "talking",
    CallAbandoned: "over",
    CallRedirected: "over",
    CallHeld: "talking",
    CallResumed: "talking",
    CallMachineDetected: "talking",
    CallRecordingChanged: "talking",
    CallSupervised: "talking",
    CallConsultationBegun: "talking",
    CallConferenced: "talking",
    CallConsultationEnded: "talking",
    CallEnded: "wrapping_up",
    CallWrappedUp: "over",
}
_REPEATED = ("tenant_id", "channel", "direction", "contact_phone", "offered_at", "external_id", "attempt_id")
"""What every event of a call says alike."""


def check_calls(events: Sequence[AnyCallEvent], *, complete: bool) -> list[str]:
    """Violations of each call's own history, and agents with two voice calls at a time."""
    of_call: dict[str, list[AnyCallEvent]] = defaultdict(list)
    for event in events:
        of_call[event.call_id].append(event)
    found: list[str] = []
    for call_id, history in of_call.items():
        found += _History(call_id).walk(history, complete)
    return found + _double_bookings(of_call)


class _History:
    """One call, followed event by event in the order of the log."""

    def __init__(self, call_id: str) -> None:
        self._call_id = call_id
        self._found: list[str] = []
        self._state: State = "new"
        self._endings: list[str] = []
        self._agent: str | None = None
        self._entry = 0
        self._queue: str | None = None
        self._offers = 0
        self._asked = 0
        self._last: CallEvent | None = None
        self._callback = Callback()

    def walk(self, history: Sequence[AnyCallEvent], complete: bool) -> list[str]:
        self._numbers([event.sequence for event in history])
        for event in history:
            self._step(event)
        if len(self._endings) > 1:
            self._say(f"ended {len(self._endings)} times: {', '.join(self._endings)}")
        if complete and self._state != "over":
            self._say(f"never ended: still {self._state} after event {history[-1].sequence}")
        return self._found

    def _say(self, what: str) -> None:
        self._found.append(f"call {self._call_id}: {what}")

    def _numbers(self, numbers: list[int]) -> None:
        if len(set(numbers)) < len(numbers):
            twice = sorted({number for number in numbers if numbers.count(number) > 1})
            self._say(f"forked: two different events have sequence {twice}")
        missing = sorted(set(range(1, max(numbers) + 1)) - set(numbers))
        if missing:
            self._say(f"has a gap: sequence {missing} is missing")
        if not missing and numbers != sorted(numbers):
            self._say(f"is out of order in the log: {numbers}")

    def _step(self, event: AnyCallEvent) -> None:
        kind = type(event)
        if self._state not in _FROM[kind]:
            self._say(f"{kind.TYPE} (sequence {event.sequence}) while {self._state}")
        if isinstance(
            event, CallAbandoned | CallRedirected | CallWrappedUp | CallLeftInFlow | VoicemailLeft | ConsultationEnded
        ):
            self._endings.append(kind.TYPE)
        if isinstance(event, FlowEvent | ConsultationEvent):
            self._ask(event)
            self._state = _TO[kind]
            return
        self._same_as_before(event)
        match event:
            case CallQueued():
                self._entry += 1
                if event.entry != self._entry:
                    self._say(f"entered a queue for the {self._entry}. time but says entry {event.entry}")
                if self._queue is not None and event.queue_id != self._queue:
                    self._say(f"overflowed to {self._queue} but was queued in {event.queue_id}")
                self._queue = event.queue_id
                if event.taken_by is not None:
                    if self._agent not in (None, event.taken_by):
                        self._say(f"was asked of {self._agent} but is taken by {event.taken_by}")
                    self._agent = event.taken_by
            case CallOverflowed():
                self._queue = event.to_queue_id
            case CallAssigned():
                self._offers += 1
                if event.offer != self._offers:
                    self._say(f"was offered for the {self._offers}. time but says offer {event.offer}")
                if self._state == "ringing" and self._agent != event.agent_id:
                    self._say(f"has two agents at once: {self._agent} and {event.agent_id}")
                self._agent = event.agent_id
            case CallOfferMissed() | CallAnswered() | CallEnded() | CallWrappedUp():
                if event.agent_id != self._agent:
                    self._say(f"has two agents at once: {self._agent} and {event.agent_id} ({kind.TYPE})")
                if isinstance(event, CallAnswered) and self._state == "waiting" and event.total_wait_seconds:
                    self._say("was answered by nobody whom it was offered to, after a wait")
                if isinstance(event, CallOfferMissed):
                    self._agent = None
            case _:
                pass
        for wrong in self._callback.follow(event):
            self._say(wrong)
        self._times(event)
        self._state = self._next(event)
        self._last = event

    def _next(self, event: CallEvent) -> State:
        """Where the event leads: a caller who has hung up waits on no line when an offer is missed."""
        match event:
            case CallOfferMissed(callback=True):
                return "held"
            case CallbackRequested(ringing_at=str()):
                return "ringing"
            case _:
                return _TO[type(event)]

    def _ask(self, event: FlowEvent | ConsultationEvent) -> None:
        """Whom a consultation rings at, and who takes it."""
        match event:
            case ConsultationAssigned():
                self._asked += 1
                if event.offer != self._asked:
                    self._say(f"was offered for the {self._asked}. time but says offer {event.offer}")
                self._agent = event.agent_id
            case ConsultationOfferMissed() | ConsultationAnswered():
                if event.agent_id != self._agent:
                    self._say(f"has two agents at once: {self._agent} and {event.agent_id} ({type(event).TYPE})")
            case _:
                pass

    def _same_as_before(self, event: CallEvent) -> None:
        last = self._last
        if last is None:
            return
        for name in _REPEATED:
            if getattr(event, name) != getattr(last, name):
                self._say(f"{name} changed from {getattr(last, name)!r} to {getattr(event, name)!r}")
        if event.pool_id != last.pool_id and self._state not in ("offered", "leaving", "waiting", "held"):
            self._say(f"went from pool {last.pool_id} to {event.pool_id} while {self._state}")
        if event.occurred_at < last.occurred_at and event.sequence > last.sequence:
            self._say(f"time runs backwards at sequence {event.sequence}")

    def _times(self, event: CallEvent) -> None:
        """Durations in the event are those between its times; what was paused is told apart."""
        told: list[tuple[str, float, datetime | None, datetime]] = []
        match event:
            case CallAnswered():
                waited = event.wait_seconds + event.away_seconds
                told = [("wait_seconds", waited, event.queued_at, event.answered_at)]
            case CallRedirected() if event.entry > 0:
                told = [("wait_seconds", event.wait_seconds, event.queued_at, event.redirected_at)]
            case CallAbandoned() if event.entry > 0:
                waited = event.wait_seconds + event.away_seconds
                told = [("wait_seconds", waited, event.queued_at, event.abandoned_at)]
            case CallEnded():
                talk = event.talk_seconds + event.talk_paused_seconds
                told = [("talk_seconds", talk, event.answered_at, event.ended_at)]
            case CallWrappedUp():
                talk = event.talk_seconds + event.talk_paused_seconds
                wrap_up = event.wrap_up_seconds + event.wrap_up_paused_seconds
                told = [
                    ("talk_seconds", talk, event.answered_at, event.ended_at),
                    ("wrap_up_seconds", wrap_up, event.ended_at, event.wrapped_up_at),
                ]
            case _:
                pass
        for name, value, start, end in told:
            if start is None or abs((end - start).total_seconds() - value) > 0.001 or value < 0:
                self._say(f"{name} of {type(event).TYPE} is {value}, its times say {start} to {end}")


def _double_bookings(of_call: Mapping[str, Sequence[AnyCallEvent]]) -> list[str]:
    """Agents who have two voice calls at the same time: from the offer to its miss, the abandon or the wrap-up."""
    booked: dict[str, list[tuple[datetime, datetime, str]]] = defaultdict(list)
    for call_id, history in of_call.items():
        current: tuple[str, datetime] | None = None
        for event in sorted(history, key=lambda one: one.sequence):
            if isinstance(event, FlowEvent) or (isinstance(event, CallEvent) and event.channel != "voice"):
                continue
            match event:
                case CallAssigned() | ConsultationAssigned():
                    current = (event.agent_id, event.occurred_at)
                case CallQueued(taken_by=str(agent_id)) if current is None:
                    current = (agent_id, event.occurred_at)
                case (
                    CallOfferMissed()
                    | CallbackFailed()
                    | CallAbandoned()
                    | CallWrappedUp()
                    | ConsultationOfferMissed()
                    | ConsultationEnded()
                ) if current is not None:
                    booked[current[0]].append((current[1], event.occurred_at, call_id))
                    current = None
                case _:
                    pass
        if current is not None:
            booked[current[0]].append((current[1], datetime.max.replace(tzinfo=current[1].tzinfo), call_id))
    found = []
    for agent_id, bookings in booked.items():
        bookings.sort()
        until, holder = bookings[0][1], bookings[0][2]
        for start, end, call_id in bookings[1:]:
            if start < until:
                found.append(f"agent {agent_id}: has two calls at {start.isoformat()}: {holder} and {call_id}")
            if end >= until:
                until, holder = end, call_id
    return found
