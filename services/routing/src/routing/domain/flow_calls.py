"""A call in the flow of its entry point: what the interpreter commands becomes events, until a queue has the call.

A hang-up while a message is recorded ends the recording, not the wait for it: the PBX hands it in a moment later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from common.events import (
    CallArrived,
    CallLeftInFlow,
    CallOffered,
    CallPrompted,
    FlowEvent,
    VoicemailLeft,
)
from msgspec.structs import replace

from routing.domain import callbacks, entries, inputs
from routing.domain.call_states import InFlow, LeftInFlow, Queued
from routing.domain.calls import Call
from routing.domain.flows import (
    Arrived,
    Ask,
    Caller,
    Collect,
    Command,
    Digits,
    Enter,
    FlowInput,
    FlowState,
    KeepPlace,
    KeepVoicemail,
    Play,
    Record,
    Recording,
    RecordingDone,
    Release,
    TimedOut,
    advance,
)

if TYPE_CHECKING:
    from routing.domain.turns import Turn


def arrive(turn: Turn, given: inputs.ArriveCall) -> str | None:
    """The call begins its flow. The same call again changes nothing."""
    if given.call_id in turn.pool.calls:
        return None
    now = turn.pool.now
    state = InFlow(given.flow, FlowState())
    call = Call(
        id=given.call_id,
        tenant_id=given.tenant_id,
        queue_id="",
        channel="voice",
        direction="inbound",
        contact_phone=given.contact_phone,
        contact_shown=given.contact_shown,
        offered_at=now,
        first_queued_at=now,
        queued_at=now,
        external_id=given.external_id,
        traceparent=turn.traceparent,
        state=state,
        entry_point_id=given.entry_point_id,
        dialled=given.dialled,
        arrived_at=now,
        contact_priority=given.contact_priority,
        preferred_agent_id=given.preferred_agent_id,
        spoke_last=given.spoke_last,
    )
    call = _tell(turn, CallArrived, call)
    _advance(turn, call, state, Arrived())
    return None


def press(turn: Turn, given: inputs.Digits) -> str | None:
    """Digits at a menu."""
    return _take(turn, given.call_id, Digits(given.digits), "no_menu")


def keep_recording(turn: Turn, given: inputs.RecordingDone) -> str | None:
    """The message is recorded."""
    return _take(turn, given.call_id, RecordingDone(given.recording, given.seconds), "not_recording")


def _take(turn: Turn, call_id: str, happened: FlowInput, unfit: str) -> str | None:
    call = turn.pool.calls.get(call_id)
    if call is None:
        return "no_live_call"
    if not isinstance(call.state, InFlow):
        return "not_in_a_flow"
    before = call.state
    return None if _advance(turn, call, before, happened) else unfit


def time_out(turn: Turn, call: Call, in_flow: InFlow) -> None:
    """What the step waited for has not come."""
    _advance(turn, call, in_flow, TimedOut())


def hang_up(turn: Turn, call: Call, in_flow: InFlow) -> None:
    """The caller has gone."""
    if not isinstance(in_flow.at.position, Recording):
        _leave(turn, call, in_flow, "hung_up")


def _advance(turn: Turn, call: Call, in_flow: InFlow, happened: FlowInput) -> bool:
    """Whether the input fits; the call is then where it leads."""
    caller = Caller(call.contact_phone, call.contact_priority)
    ask = Ask(
        is_open=lambda queue_id, _: turn.pool.is_open(queue_id),
        why_no_callback=lambda queue_id: callbacks.why_not_from_a_flow(turn.pool, replace(call, queue_id=queue_id)),
    )
    at, commands = advance(in_flow.flow, in_flow.at, happened, turn.pool.now, caller, ask)
    if at == in_flow.at and not commands:
        return False
    state = InFlow(in_flow.flow, at)
    call = replace(call, state=state, priority=at.priority, skills=at.skills, no_callback=at.no_callback)
    for command in commands:
        call = _obey(turn, call, in_flow, command)
    if isinstance(call.state, InFlow):
        turn.pool.put_call(call)
    return True


def _obey(turn: Turn, call: Call, before: InFlow, command: Command) -> Call:
    now = turn.pool.now
    match command:
        case Play(step=step, prompt=prompt):
            return _tell(turn, CallPrompted, call, step=step, action="play", prompt=prompt)
        case Collect(step=step, prompt=prompt, longest=longest, due_at=due_at):
            seconds = (due_at - now).total_seconds()
            return _tell(
                turn,
                CallPrompted,
                call,
                step=step,
                action="collect",
                prompt=prompt,
                longest_digits=longest,
                seconds=seconds,
            )
        case Record(step=step, prompt=prompt, max_seconds=seconds):
            return _tell(turn, CallPrompted, call, step=step, action="record", prompt=prompt, seconds=seconds)
        case Enter(queue_id=queue_id):
            return _enter(turn, call, queue_id)
        case KeepPlace(step=step, queue_id=queue_id):
            return _enter(turn, call, queue_id, promised_by=step)
        case KeepVoicemail(queue_id=queue_id, recording=recording, seconds=seconds):
            call = replace(call, state=LeftInFlow(now, "voicemail"))
            call = _tell(
                turn, VoicemailLeft, call, queue_id=queue_id, recording=recording, seconds=seconds, left_at=now
            )
            turn.pool.put_call(call)
            return call
        case Release():
            reason = "no_recording" if isinstance(before.at.position, Recording) else "released"
            return _leave(turn, call, before, reason)
        case _:
            assert_never(command)


def _enter(turn: Turn, call: Call, queue_id: str, *, promised_by: str | None = None) -> Call:
    """From here on it is a call like any other, offered now; with `promised_by` one whose caller hangs up at once."""
    queue = turn.pool.queue(queue_id)
    if queue is None:
        raise AssertionError(f"call {call.id} is sent to queue {queue_id}, which pool {turn.pool.id} does not know")
    now = turn.pool.now
    call = replace(
        call,
        queue_id=queue_id,
        offered_at=now,
        first_queued_at=now,
        queued_at=now,
        sequence=call.sequence + 1,
        state=Queued(None, None),
    )
    turn.tell(CallOffered, call)
    if promised_by is None:
        entries.take_in(turn, call, queue)
    else:
        entries.enter(turn, call, queue, promised_by=promised_by)
    return call


def _leave(turn: Turn, call: Call, before: InFlow, reason: Any) -> Call:
    now = turn.pool.now
    call = replace(call, state=LeftInFlow(now, reason))
    step = None if reason == "released" else before.step
    call = _tell(turn, CallLeftInFlow, call, left_at=now, step=step, reason=reason)
    turn.pool.put_call(call)
    return call


def _tell(turn: Turn, kind: type[FlowEvent], call: Call, **more: Any) -> Call:
    """Add the call's next event; returns the call with its number."""
    call = replace(call, sequence=call.sequence + 1)
    event = kind(
        tenant_id=call.tenant_id,
        call_id=call.id,
        sequence=call.sequence,
        pool_id=turn.pool.id,
        entry_point_id=call.entry_point_id or "",
        dialled=call.dialled or "",
        contact_phone=call.contact_phone,
        contact_shown=call.contact_shown,
        occurred_at=turn.pool.now,
        arrived_at=call.arrived_at or turn.pool.now,
        external_id=call.external_id,
        **more,
    )
    turn.publish(event, call.traceparent)
    return call
