"""What an agent asks of others while a caller is on hold, and what comes of it; a supervisor who takes a call over.

    consult ──▶ rings, talks ──┬── cancel, or whoever was asked leaves ──▶ back to the caller
                               ├── confer ──▶ all three ──▶ either agent leaves
                               └── complete ──▶ the caller goes on with whoever was asked

A consultation is a call between two agents: the ordinary match finds who takes it, in the order and with the
requirement of the queue that is asked. It is no customer's call. Hours and overflows of the queue are not for it; it
ends, unanswered, at the queue's longest wait, and one to a colleague by name with the first offer that they miss.

Completed, the caller goes on as a new call, under the consultation's id, which names the one that it goes on from and
is offered, queued and answered in that moment. So a call has one agent for ever. A supervisor takes over in the same
way. They must be available or on a break, to which they then return.
"""

from __future__ import annotations

from datetime import timedelta
from typing import assert_never

from common.events import CallAnswered, CallConferenced, CallConsultationBegun, CallOffered, CallQueued
from msgspec.structs import replace

from routing.domain import consultations, conversation, engagements, holds, inputs
from routing.domain.agents import Available, OnBreak, Then, ThenAvailable, ThenBreak
from routing.domain.call_states import (
    AskedAgent,
    AskedNumber,
    AskedQueue,
    CallState,
    Consultation,
    Offered,
    Queued,
    Talking,
)
from routing.domain.calls import Call, Consults
from routing.domain.configuration import without_sites
from routing.domain.notes import TakeOver
from routing.domain.turns import Turn


def consult(turn: Turn, call: Call, talking: Talking, given: inputs.Consult) -> str | None:
    """The same consultation again is nothing."""
    if given.consultation_id in (one.id for one in call.consulted):
        return None
    if talking.consultation is not None:
        return None if talking.consultation.id == given.consultation_id else "consultation_open"
    refused = _unfit(turn, call, given)
    if refused is not None:
        return refused
    call, talking = holds.begin(turn, call, talking)
    call = turn.put(
        call, replace(talking, consultation=Consultation(given.consultation_id, given.asked, turn.pool.now))
    )
    asked = given.asked
    turn.tell(
        CallConsultationBegun,
        call,
        agent_id=given.agent_id,
        consultation_id=given.consultation_id,
        to_queue_id=asked.queue_id if isinstance(asked, AskedQueue) else None,
        to_agent_id=asked.agent_id if isinstance(asked, AskedAgent) else None,
        to_number=asked.number if isinstance(asked, AskedNumber) else None,
    )
    match asked:
        case AskedNumber():
            pass
        case AskedQueue(queue_id=queue_id):
            turn.place(*_between(turn, call, given, queue_id))
        case AskedAgent(agent_id=agent_id):
            turn.assign(*_between(turn, call, given, call.queue_id), turn.pool.agents[agent_id], came_free=False)
        case _:
            assert_never(asked)
    return None


def _unfit(turn: Turn, call: Call, given: inputs.Consult) -> str | None:
    """Why there can be no such consultation, if so."""
    if not _is_spoken(turn, call):
        return "voice_only"
    match given.asked:
        case AskedQueue(queue_id=queue_id):
            queue = turn.pool.queue(queue_id)
            if queue is None or queue.elsewhere is not None:
                return "queue_of_another_pool"
            if queue.tenant_id != call.tenant_id or queue.channel != call.channel:
                return "unknown_queue"
            return "queue_closed" if queue.override in ("closed", "draining") else None
        case AskedAgent(agent_id=agent_id):
            agent = turn.pool.agents.get(agent_id)
            if agent is None:
                return "agent_of_another_pool"
            between, _ = _between(turn, call, given, call.queue_id)
            if turn.pool.is_away(agent_id) or not turn.pool.can_take(agent, between):
                return "agent_not_available"
            return "agent_kept" if turn.pool.is_kept(agent, between) else None
        case AskedNumber():
            return None
        case _:
            assert_never(given.asked)


def _is_spoken(turn: Turn, call: Call) -> bool:
    """Whether it is a voice call, and its agent has it at hand as one: who speaks takes no other voice call."""
    return call.channel == turn.queue_of(call).channel == "voice"


def _between(turn: Turn, call: Call, given: inputs.Consult, queue_id: str) -> tuple[Call, Queued]:
    """The consultation, which nobody has been asked to take yet. A colleague by name is asked once: there is nothing to
    wait for."""
    now, queue = turn.pool.now, turn.pool.queue(queue_id)
    limit, agent_id = (None if queue is None else queue.max_wait_seconds), None
    if isinstance(given.asked, AskedAgent):
        limit, agent_id = 0.0, given.asked.agent_id
    waiting = Queued(None if limit is None else now + timedelta(seconds=limit), None)
    between = _after(turn, call, given.consultation_id, queue_id, waiting)
    return replace(between, preferred_agent_id=agent_id, consults=Consults(call.id, given.agent_id)), waiting


def _after(turn: Turn, call: Call, call_id: str, queue_id: str, state: CallState) -> Call:
    """A call of the same caller that begins now. No event has told of it yet."""
    now = turn.pool.now
    return Call(
        id=call_id,
        tenant_id=call.tenant_id,
        queue_id=queue_id,
        channel=call.channel,
        direction=call.direction,
        contact_phone=call.contact_phone,
        contact_shown=call.contact_shown,
        offered_at=now,
        first_queued_at=now,
        queued_at=now,
        external_id=call.external_id,
        traceparent=call.traceparent,
        state=state,
        contact_priority=call.contact_priority,
        priority=call.priority,
        skills=without_sites(call.skills),
    )


def cancel(turn: Turn, call: Call, talking: Talking) -> str | None:
    """Back to the caller."""
    if talking.consultation is None:
        return "no_consultation"
    consultations.back_to_the_caller(turn, call, talking, "cancelled")
    return None


def confer(turn: Turn, call: Call, talking: Talking) -> str | None:
    """All three speak. Again is nothing."""
    consultation = talking.consultation
    if consultation is None:
        return "no_consultation"
    if consultation.joined:
        return None
    if not _answered(turn, consultation):
        return "consultation_not_answered"
    call, talking = holds.end(turn, call, talking)
    call = turn.put(call, replace(talking, consultation=replace(consultation, joined=True)))
    turn.tell(CallConferenced, call, agent_id=talking.agent_id, consultation_id=consultation.id)
    return None


def complete(turn: Turn, call: Call, talking: Talking) -> str | None:
    """The caller goes on with whoever was asked."""
    if talking.consultation is None:
        return "no_consultation"
    if not _answered(turn, talking.consultation):
        return "consultation_not_answered"
    hand_over(turn, call, talking, talking.consultation)
    return None


def _answered(turn: Turn, consultation: Consultation) -> bool:
    """Whether somebody speaks there; of a number outside only the agent knows."""
    between = turn.pool.calls.get(consultation.id)
    return between is None or isinstance(between.state, Talking)


def hand_over(turn: Turn, call: Call, talking: Talking, consultation: Consultation) -> None:
    """The first agent leaves: the caller goes on with whoever was asked, who has answered."""
    call, talking = consultations.end(turn, call, talking, consultation, "completed")
    if isinstance(consultation.asked, AskedNumber):
        turn.end(call, talking, to_number=consultation.asked.number)
        return
    between = turn.pool.calls[consultation.id]
    turn.end(call, talking, to_call_id=between.id)
    _go_on(turn, call, between, between.agent_id or "")


def hang_up(turn: Turn, between: Call, given: inputs.HangUp) -> str | None:
    """The consultation's own line is over: by the one who was asked, who leaves, or by the one who asked."""
    call, talking = consultations.of(turn, between)
    if given.agent_id is None or given.agent_id == talking.agent_id:
        consultations.back_to_the_caller(turn, call, talking, "cancelled")
        return None
    match between.state:
        case Talking(agent_id=agent_id) if agent_id == given.agent_id:
            consultations.back_to_the_caller(turn, call, talking, "left")
            return None
        case Offered(agent_id=agent_id) if agent_id == given.agent_id:
            return "not_answered"
        case _:
            return "not_the_agents_call"


def relieve(turn: Turn, given: inputs.Relieve) -> str | None:
    """The caller goes on with the supervisor; the agent wraps up, and a consultation is over."""
    call = turn.pool.calls.get(given.call_id)
    if call is None or not isinstance(call.state, Talking) or call.is_consultation:
        return "no_conversation"
    if not _is_spoken(turn, call):
        return "voice_only"
    talking = call.state
    if talking.agent_id == given.supervisor_id:
        return "own_call"
    supervisor = turn.pool.agents.get(given.supervisor_id)
    if supervisor is None:
        return "agent_of_another_pool"
    capacity = turn.pool.seats.capacity_of(supervisor.id)
    then: Then
    match supervisor.state:
        case _ if capacity is not None and not capacity.calls.get("voice", 0):
            return "supervisor_not_free"
        case Available():
            then = ThenAvailable()
        case OnBreak(reason=reason):
            then = ThenBreak(reason)
        case _:
            return "supervisor_not_free"
    new = _after(turn, call, given.to_call_id, call.queue_id, Talking(supervisor.id, turn.pool.now))
    take_over = TakeOver(turn.pool.now, supervisor.id, talking.agent_id)
    call, new = replace(call, take_overs=(*call.take_overs, take_over)), replace(new, take_overs=(take_over,))
    # First of all: what ends below may free others' calls, and none of them must find the supervisor free.
    engagements.take(turn, replace(supervisor, missed_offers=0), new, then)
    turn.end(call, talking, to_call_id=new.id)
    _go_on(turn, call, new, supervisor.id)
    return None


def _go_on(turn: Turn, before: Call, call: Call, agent_id: str) -> None:
    """`call` is the caller's from now on, after `before`: offered, queued and answered at once by its agent, who speaks
    already."""
    now = turn.pool.now
    talking = Talking(agent_id, now)
    call = replace(
        call,
        offered_at=now,
        first_queued_at=now,
        queued_at=now,
        transferred_from=before.id,
        first_call_id=before.first_call_id or before.id,
        first_offered_at=before.first_offered_at or before.offered_at,
    )
    call = turn.put(call, talking)
    turn.tell(CallOffered, call, transferred_from=before.id)
    call = turn.put(replace(call, entry=1), talking)
    turn.tell(CallQueued, call, taken_by=agent_id)
    call = turn.put(call, talking)
    turn.tell(CallAnswered, call, agent_id=agent_id, answered_at=now, wait_seconds=0.0, total_wait_seconds=0.0)
    conversation.begin(turn, call)
