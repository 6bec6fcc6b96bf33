"""What happens while agent and caller speak: hold, recording, a supervisor on the line, and handing the caller on.

Nothing of this changes who speaks with whom but the transfer: it ends the conversation for the agent, who wraps up as
after any other, and offers the caller as a new call that names the one it goes on from. So a call has one agent for
ever, an escalation from level 1 to 2 to 3 is a chain of calls, and each of them counts in the queue that it was for.
"""

from __future__ import annotations

from common.events import CallRecordingChanged, CallSupervised
from common.events.routing import Recording
from msgspec.structs import replace

from routing.domain import inputs
from routing.domain.call_states import Talking
from routing.domain.calls import Call
from routing.domain.configuration import without_sites
from routing.domain.notes import Conversation, RecordingChange, Supervised
from routing.domain.turns import Turn


def begin(turn: Turn, call: Call) -> None:
    """The call was answered: a queue that always records begins now."""
    if turn.queue_of(call).recording == "always" and isinstance(call.state, Talking) and not call.is_consultation:
        _set_recording(turn, call, call.state, "on")


def record(turn: Turn, call: Call, talking: Talking, given: inputs.Record) -> str | None:
    """Start, pause or stop the recording, as the queue's rule allows: where it is always on, an agent may pause it, as
    while a card's number is said, and not stop it. A consent once given holds for the call."""
    talking = replace(talking, consent=talking.consent or given.consent)
    rule = turn.queue_of(call).recording
    if given.recording == "off" and rule == "always":
        return "recording_required"
    if given.recording == "on":
        if rule == "never":
            return "recording_not_allowed"
        if rule == "with_consent" and not talking.consent:
            return "consent_missing"
    elif given.recording == "paused" and talking.recording == "off":
        return "not_recording"
    if given.recording != talking.recording:
        _set_recording(turn, call, talking, given.recording)
    elif talking != call.state:
        turn.pool.put_call(replace(call, state=talking))
    return None


def _set_recording(turn: Turn, call: Call, talking: Talking, recording: Recording) -> None:
    change = RecordingChange(turn.pool.now, recording, talking.consent)
    call = replace(call, conversation=(call.conversation or Conversation()).recorded(change))
    call = turn.put(call, replace(talking, recording=recording))
    turn.tell(CallRecordingChanged, call, agent_id=talking.agent_id, recording=recording, consent=talking.consent)


def supervise(turn: Turn, given: inputs.Supervise) -> str | None:
    """A supervisor joins or leaves a conversation. Several may; the PBX holds who is on the line."""
    call = turn.pool.calls.get(given.call_id)
    if call is None or not isinstance(call.state, Talking) or call.is_consultation:
        return "no_conversation"
    if call.state.agent_id == given.supervisor_id:
        return "own_call"
    one = Supervised(turn.pool.now, given.supervisor_id, given.mode)
    call = replace(call, conversation=(call.conversation or Conversation()).supervised(one))
    call = turn.put(call, call.state)
    turn.tell(CallSupervised, call, agent_id=call.agent_id, supervisor_id=given.supervisor_id, mode=given.mode)
    return None


def transfer(turn: Turn, call: Call, talking: Talking, given: inputs.Transfer) -> str | None:
    """The conversation ends for the agent; the caller goes on as a new call, or at a number. Not to a closed queue,
    where nobody would take the caller on. The new call rings at this agent only while nobody else is logged in who
    could serve it."""
    if given.to_closed == "by_operator" or (given.to_closed == "by_hours" and call.direction == "inbound"):
        return "queue_closed"
    turn.end(call, talking, to_call_id=given.to_call_id, to_number=given.to_number)
    if given.to_call_id is not None and given.to_queue_id is not None and given.to_pool_id is not None:
        offered = inputs.OfferCall(
            tenant_id=call.tenant_id,
            pool_id=given.to_pool_id,
            occurred_at=turn.pool.now,
            call_id=given.to_call_id,
            queue_id=given.to_queue_id,
            contact_phone=call.contact_phone,
            contact_shown=call.contact_shown,
            channel=call.channel,
            direction=call.direction,
            external_id=call.external_id,
            transferred_from=call.id,
            handed_on_by=talking.agent_id,
            first_call_id=call.first_call_id or call.id,
            first_offered_at=call.first_offered_at or call.offered_at,
            contact_priority=call.contact_priority,
            priority=call.priority,
            skills=without_sites(call.skills),
        )
        turn.publish(offered, call.traceparent)
    return None
