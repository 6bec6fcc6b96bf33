"""What the caller heard, what happened while they spoke with an agent, where they came from and went, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, assert_never

from common.events.routing import ConsultationOutcome, Recording, Supervision

from routing.domain.call_states import (
    Asked,
    AskedAgent,
    AskedNumber,
    AskedQueue,
    ConsultationOver,
    Redirected,
    Talking,
    WrappedUp,
    WrappingUp,
)
from routing.domain.calls import Call
from routing.domain.notes import Conversation, Heard
from routing.domain.saying import time_of

_OUTCOMES: Final[dict[ConsultationOutcome, str]] = {
    "completed": "the caller went on with them",
    "cancelled": "{agent} ended it",
    "left": "they left",
    "unanswered": "nobody took it",
    "call_over": "it was over with the call",
}
_RECORDINGS: Final[dict[Recording, str]] = {"on": "began", "paused": "was paused", "off": "was stopped"}
_SUPERVISIONS: Final[dict[Supervision, str]] = {
    "listen": "listened",
    "whisper": "spoke to the agent alone",
    "barge": "spoke with both",
    "off": "left",
}


def came_from(call: Call) -> Iterator[str]:
    """How the call began, if it goes on from another or is about one, or its caller spoke with somebody before."""
    if call.consults is not None:
        yield f"{call.consults.agent_id} asked for help with call {call.consults.call_id}."
    elif call.transferred_from is not None:
        by = f", handed on by {call.handed_on_by}" if call.handed_on_by is not None else ""
        yield f"Its caller comes from call {call.transferred_from}{by}."
    elif call.spoke_last:
        yield f"It is to go to {call.preferred_agent_id}, who last spoke with its caller."
    for one in call.take_overs:
        if one.supervisor_id == call.agent_id:
            yield f"{one.supervisor_id} took the caller over from {one.agent_id} at {time_of(one.taken_at)}."


def announced(call: Call) -> Iterator[str]:
    """What the caller heard while it waited."""
    for one in call.heard:
        often = "once, at" if one.times == 1 else f"{one.times} times, the last time at"
        yield f"The caller heard announcement {one.message} {often} {time_of(one.last_at)}{_figures(one)}."


def _figures(one: Heard) -> str:
    told = [] if one.position is None else [f"position {one.position}"]
    if one.estimated_wait_seconds is not None:
        told.append(f"an estimated wait of {one.estimated_wait_seconds:.0f} s")
    return f": it told {' and '.join(told)}" if told else ""


def spoke(call: Call) -> Iterator[str]:
    """Who answered, and what happened then but for consultations."""
    state = call.state
    if not isinstance(state, Talking | WrappingUp | WrappedUp):
        return
    if not any(one.supervisor_id == state.agent_id for one in call.take_overs):
        yield _answered(call, state)
    happened = call.conversation or Conversation()
    yield from _held(state, happened.holds)
    for change in happened.recordings:
        consent = "with the caller's consent" if change.consent else "without a consent on record"
        said = f", {consent}" if change.recording == "on" else ""
        yield f"At {time_of(change.changed_at)} the recording {_RECORDINGS[change.recording]}{said}."
    for one in happened.supervisions:
        yield f"At {time_of(one.happened_at)} supervisor {one.supervisor_id} {_SUPERVISIONS[one.mode]}."


def _answered(call: Call, state: Talking | WrappingUp | WrappedUp) -> str:
    """With the time from the offer to the answer, unless something else lay between."""
    last = call.assignments[-1] if call.assignments else None
    handed_on = call.consults is not None and not call.is_consultation
    if last is None or last.missed is not None or call.callback is not None or handed_on:
        return f"{state.agent_id} spoke with the caller from {time_of(state.answered_at)} on."
    after = (state.answered_at - last.assigned_at).total_seconds()
    return f"{state.agent_id} answered at {time_of(state.answered_at)}, {after:.0f} s after the offer."


def _held(state: Talking | WrappingUp | WrappedUp, holds: int) -> Iterator[str]:
    """A call that was saved before holds were counted has only their time."""
    often = {0: "", 1: " once"}.get(holds, f" {holds} times")
    if isinstance(state, Talking) and state.held_since is not None:
        before = f"; before that {state.held_seconds:.0f} s in all" if state.held_seconds else ""
        yield f"The caller was put on hold{often}, and is since {time_of(state.held_since)}{before}."
    elif holds or state.held_seconds:
        yield f"The caller was on hold{often}, {state.held_seconds:.0f} s in all."


def went_on(call: Call) -> Iterator[str]:
    """What happened while agent and caller spoke, and where the caller went."""
    if call.consults is not None and call.transferred_from is not None:
        yield f"Since {time_of(call.offered_at)} it is the caller's, who comes from call {call.transferred_from}."
    for one in call.consulted:
        who = _asked(one.asked)
        answered = f", where {one.answered_by} answered" if one.answered_by and one.answered_by != who else ""
        joined = ", the caller took part" if one.joined else ""
        outcome = _OUTCOMES[one.outcome].format(agent=one.agent_id)
        times = f"From {time_of(one.began_at)} to {time_of(one.ended_at)}"
        yield f"{times} {one.agent_id} consulted {who}{answered}{joined}; {outcome}."
    match call.state:
        case Talking(agent_id=agent_id, consultation=consultation) if consultation is not None:
            caller = "the caller takes part" if consultation.joined else "the caller does not hear it"
            since = time_of(consultation.began_at)
            yield f"Since {since} {agent_id} consults {_asked(consultation.asked)}; {caller}."
        case ConsultationOver(over_at=at, outcome=outcome) if call.consults is not None:
            yield f"It was over at {time_of(at)}: {_OUTCOMES[outcome].format(agent=call.consults.agent_id)}."
        case _:
            pass
    if call.transferred_to is not None and not isinstance(call.state, Redirected):
        kind = "to " if call.transferred_to.startswith("+") else "as call "
        taken = [one for one in call.take_overs if one.agent_id == call.agent_id]
        by = f", taken over by {taken[-1].supervisor_id}" if taken else ""
        yield f"The caller went on {kind}{call.transferred_to}{by}."


def wrapped_up(call: Call) -> Iterator[str]:
    """When the conversation was over, and how the agent's work for it ended."""
    match call.state:
        case WrappingUp(agent_id=agent_id, ended_at=ended_at, limit_at=limit_at):
            yield f"They spoke until {time_of(ended_at)}; {agent_id} wraps up, until {time_of(limit_at)} at the latest."
        case WrappedUp(agent_id=agent_id, ended_at=ended_at, wrapped_up_at=at, disposition=disposition):
            took = f"{(at - ended_at).total_seconds():.0f} s"
            noted = "without a disposition" if disposition is None else f"as {disposition!r}"
            yield f"They spoke until {time_of(ended_at)}; {agent_id} wrapped up {noted}, {took} later."
        case _:
            pass


def _asked(asked: Asked) -> str:
    match asked:
        case AskedQueue(queue_id=queue_id):
            return f"queue {queue_id}"
        case AskedAgent(agent_id=agent_id):
            return agent_id
        case AskedNumber(number=number):
            return number
        case _:
            assert_never(asked)
