"""The `http` telephony port tells a PBX or CPaaS what to do, by a stream: events become commands. What it posts:
`facts`.

Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial

from common.auth import Principal, Role
from common.database import Database
from common.events import (
    CallAbandoned,
    CallAnnounced,
    CallAnswered,
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
    CallOfferMissed,
    CallPrompted,
    CallQueued,
    CallRecordingChanged,
    CallRedirected,
    CallResumed,
    CallSupervised,
    ConsultationEvent,
    FlowEvent,
    VoicemailLeft,
)
from common.events.routing import CALLBACK_ENDS
from common.http import Caller, PlainRouter, require
from fastapi import Request
from fastapi.responses import StreamingResponse

from routing.api.calls import view_of
from routing.api.consultations import consultation_commands_of
from routing.api.state import Here
from routing.api.streams import STREAM, Seen, Sent, Streams, command_of, streamed
from routing.store import reading as store

router = PlainRouter(tags=["telephony"], dependencies=[require(Role.OPERATOR, Role.SERVICE)])


@router.get("/telephony/stream", response_class=StreamingResponse, responses=STREAM)
async def stream_commands(caller: Caller, here: Here, request: Request) -> StreamingResponse:
    """What a PBX has to do: `snapshot` (every live call, as `GET /v1/calls/{id}`; `awaits`: digits or a message that it
    should be collecting), then `ring`, `stop_ringing`,
    `bridge`, `hold`, `resume`, `record` (`recording`: on, paused, off), `supervise` (`supervisor_id`; `mode`: listen,
    whisper, barge, off), `play` (`what`: queue, no_agent, the name of an announcement, such as closed, or prompt with
    the name of the `prompt`), `release` and `transfer` (instead of release: the caller goes on as `to_call_id` or to
    `to_number`), each with call_id, external_id, queue_id, tenant_id; for a call in the flow of its entry point also
    `collect` (`prompt`, `longest` digits, `seconds` from the prompt's beginning) and `record_message` (`prompt`, at
    most `seconds`), with entry_point_id instead of queue_id. What is to be played is played in this order.

    The order holds for each call. `to_call_id` may be heard of, by `play` or `ring`, before the `transfer` that leads
    to it: the caller's leg is the one that its `external_id` names.

    While a call waits, `play` may come with `what: announcement`, its `message`, and `position` and
    `estimated_wait_seconds` where these are told.

    A caller who is called back: `hold_place` (play that, and release the caller's leg; the call lives on), then `dial`
    (`dial_id`, `attempt`, `phone`, `agent_id` of the agent who waits for the answer, `ring_seconds`, `limit_at`), which
    a `dial_result` fact answers. Each `dial_id` is dialled once: after a reconnection the snapshot shows the attempt
    under way as `callback.dial_id`, which a PBX that knows it goes on with, and one that does not dials. After
    `stop_dialling`, or `release` of the call, nobody is dialled any more, and a machine that has answered is released.

    An agent who asks somebody: `consult` (`consultation_id`; connect the agent with `to_number`, or with whoever takes
    the consultation). It has a call_id of its own, and its commands name the call that it `consults` and the agent who
    asks, `asked_by`: `ring`, `stop_ringing`, `bridge` (the two agents) and `release` (of their line, not of the
    caller). Of the call again: `conference` (connect all) and `end_consultation`, or `transfer` to the consultation's
    id, which is a call from then on: its `bridge`, without `consults`, connects the caller. In the snapshot:
    `consultation` of a call, `consults` of a consultation."""
    return streamed(_command_lines(caller, here.streams, request.app.state.runtime.database))


async def _command_lines(caller: Principal, streams: Streams, database: Database) -> AsyncIterator[bytes]:
    await streams.ready.wait()
    with streams.reader() as reader:
        async with database.transaction(caller.scope) as session:
            calls = await store.live_calls(session)
        known = {call.id: call.sequence for _, call in calls}
        views = [view_of(pool_id, call).model_dump() for pool_id, call in calls]
        yield Sent("snapshot", {"calls": views}).encoded()
        del calls, views
        async for line in streams.lines(reader, _only(caller, known)):
            yield line


def _only(caller: Principal, known: dict[str, int]) -> Callable[[Seen], list[Sent]]:
    """Commands for the caller's tenant (the floor: all), but none that the snapshot already shows."""

    def shown(seen: Seen) -> list[Sent]:
        event = seen.event
        if not isinstance(event, CallEvent | FlowEvent | ConsultationEvent) or event.sequence <= known.get(
            event.call_id, 0
        ):
            return []
        known.pop(event.call_id, None)
        if caller.tenant_id is not None and event.tenant_id != caller.tenant_id:
            return []
        match event:
            case FlowEvent():
                return list(flow_commands_of(event, seen))
            case ConsultationEvent():
                return list(consultation_commands_of(event, seen))
            case _:
                return list(commands_of(event, seen))

    return shown


def commands_of(event: CallEvent, seen: Seen) -> Iterable[Sent]:
    """What a PBX has to do after an event of a call."""
    command = partial(command_of, event, seen)
    match event:
        case CallQueued(taken_by=None):
            yield command("play", what="queue")
        case CallAssigned():
            yield command("ring", agent_id=event.agent_id, offer=event.offer, expires_at=event.offer_expires_at)
        case CallOfferMissed():
            yield command("stop_ringing", agent_id=event.agent_id, reason=event.reason)
        case CallAnswered():
            yield command("bridge", agent_id=event.agent_id)
        case CallAnnounced():
            told = {"position": event.position, "estimated_wait_seconds": event.estimated_wait_seconds}
            yield command("play", what="announcement", message=event.message, **told)
        case CallbackRequested():
            yield command("hold_place", phone=event.phone)
        case CallbackDialled():
            yield command(
                "dial",
                dial_id=event.dial_id,
                attempt=event.attempt,
                phone=event.phone,
                agent_id=event.agent_id,
                ring_seconds=event.ring_seconds,
                limit_at=event.limit_at,
            )
        case CallbackReached():
            yield command("play", what="queue")
        case CallbackFailed():
            yield command("stop_dialling", dial_id=event.dial_id)
        case CallAbandoned():
            if seen.ringing_at is not None:
                yield command("stop_ringing", agent_id=seen.ringing_at, reason="abandoned")
            if event.reason != "hung_up" and event.reason not in CALLBACK_ENDS:
                yield command("play", what=event.message or "no_agent")
            yield command("release")
        case CallRedirected():
            yield command("transfer", to_call_id=None, to_number=event.to_number)
        case CallHeld():
            yield command("hold")
        case CallResumed():
            yield command("resume")
        case CallRecordingChanged():
            yield command("record", recording=event.recording)
        case CallSupervised():
            yield command("supervise", supervisor_id=event.supervisor_id, mode=event.mode)
        case CallConsultationBegun():
            yield command(
                "consult", agent_id=event.agent_id, consultation_id=event.consultation_id, to_number=event.to_number
            )
        case CallConferenced():
            yield command("conference", agent_id=event.agent_id, consultation_id=event.consultation_id)
        case CallConsultationEnded(outcome=outcome) if outcome != "completed":
            yield command("end_consultation", consultation_id=event.consultation_id, outcome=outcome)
        case CallEnded(transferred_to_call_id=None, transferred_to_number=None):
            yield command("release")
        case CallEnded():
            yield command("transfer", to_call_id=event.transferred_to_call_id, to_number=event.transferred_to_number)
        case _:
            return


def flow_commands_of(event: FlowEvent, seen: Seen) -> Iterable[Sent]:
    """What a PBX has to do after an event of a call in its flow."""
    about = {
        "call_id": event.call_id,
        "external_id": event.external_id,
        "entry_point_id": event.entry_point_id,
        "tenant_id": event.tenant_id,
    }
    match event:
        case CallPrompted(action="play"):
            yield Sent("play", {**about, "what": "prompt", "prompt": event.prompt}, seen.id)
        case CallPrompted(action="collect"):
            asked = {"prompt": event.prompt, "longest": event.longest_digits, "seconds": event.seconds}
            yield Sent("collect", {**about, **asked}, seen.id)
        case CallPrompted():
            yield Sent("record_message", {**about, "prompt": event.prompt, "seconds": event.seconds}, seen.id)
        case CallLeftInFlow() | VoicemailLeft():
            yield Sent("release", about, seen.id)
        case _:
            return
