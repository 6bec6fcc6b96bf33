"""What happens in a pool: `decide(pool, input)`.

Every input first lets happen what was due before it, each timer at its own due time, so that the result does not depend
on how often somebody looks. The pool's time never runs backwards: an input that comes late is taken at the pool's time.

Rules of the match
- A call is offered to an available agent who meets its queue's requirement; of several, to the first in the queue's
  order of agents.
- A call that has waited for a relaxation's time may also be served by agents who meet that one.
- An agent who becomes available is offered the first of all calls that they may serve: priority with ageing, then the
  longest waiting.
- A call with a preferred agent is first offered to them; if they are logged in but not available, it waits for them
  alone for the queue's sticky time, and an agent who comes free takes such a call before all others.
- In a pool whose queues declare weights, queues are served by what a lost call costs instead, and an agent may be kept
  for dearer calls: see `policy`.
- In a pool where tenants have shares, agents may be kept for a tenant, a tenant may be full, and one below its
  guarantee comes first: see `sharing`. Everything else holds within these bounds.
- A call that an agent has handed on to a queue is not offered to them as long as anybody else is logged in who could
  serve it, now or in a later ring; if nobody is, it rings at them rather than wait for nobody.
- A missed offer returns the call to its queue at its place. The agent who let it time out or declined it goes on a
  break once they have missed as many in a row as the queue bears; until then they come behind all others available, so
  that the call rings at them again at once only when nobody else can take it.
- A call still waiting when its wait limit comes is abandoned; an offer that rings at that moment may still be accepted.
- A call overflows by the first of its queue's rules that holds and can be followed: to another queue, with its waiting
  time counted and never back, or to a message that ends it.
- A call from outside that comes to a queue outside its opening hours does not enter it: it goes where
  the queue's rule for that says, otherwise the caller hears `closed`.
  Calls that wait when it closes keep their place and are answered.
- An agent takes one call at a time, or as many of each channel as declared: see `capacity`.
- A waiting caller may hang up and keep the place to be called back: see `callbacks`. While they wait they hear what
  their queue has declared: see `announcements`.
- Log-out, break and availability asked for during a call take effect after its wrap-up; during several, after the last.
  So does an operator's drain, which keeps the agent logged out until it is cancelled.
"""

from __future__ import annotations

from typing import assert_never

import msgspec
from common.events import CallMachineDetected, CallOffered
from msgspec.structs import replace

from routing.domain import (
    assistance,
    callbacks,
    conversation,
    engagements,
    entries,
    flow_calls,
    holds,
    inputs,
    moves,
    shifts,
    sites,
)
from routing.domain.call_states import (
    Abandoned,
    CallingBack,
    Consultation,
    ConsultationOver,
    HeldPlace,
    InFlow,
    LeftInFlow,
    Offered,
    Queued,
    Redirected,
    Talking,
    WrappedUp,
    WrappingUp,
)
from routing.domain.calls import Call
from routing.domain.pool import Pool
from routing.domain.telling import Fact
from routing.domain.turns import Turn


class Decision(msgspec.Struct, frozen=True):
    """What an input came to. `refused` is None or why it changed nothing (timers that were due apart)."""

    facts: list[Fact]
    refused: str | None = None


def decide(pool: Pool, given: inputs.AnyInput, traceparent: str | None = None) -> Decision:
    """Apply one input to the pool. The same inputs in the same order give the same events."""
    turn = Turn(pool, traceparent)
    now = max(pool.now, given.occurred_at)
    turn.fire_due(now)
    pool.now = now
    refused = _apply(turn, given)
    turn.settle()
    turn.fire_due(now)
    return Decision(turn.facts, refused)


def _apply(turn: Turn, given: inputs.AnyInput) -> str | None:
    """Apply one input at the pool's time; returns why it is refused, or None."""
    match given:
        case inputs.OfferCall():
            return _offer_call(turn, given)
        case inputs.TakeOver():
            return moves.take_over(turn, given)
        case inputs.ArriveCall():
            return flow_calls.arrive(turn, given)
        case inputs.Digits():
            return flow_calls.press(turn, given)
        case inputs.RecordingDone():
            return flow_calls.keep_recording(turn, given)
        case inputs.RequestCallback():
            return callbacks.request(turn, given)
        case inputs.CancelCallback():
            return callbacks.cancel(turn, given)
        case inputs.DialResult():
            return _dial_result(turn, given)
        case inputs.HangUp():
            return _hang_up(turn, given)
        case inputs.MachineDetected():
            return _detect_machine(turn, given)
        case inputs.Accept():
            return _accept(turn, given)
        case inputs.Decline():
            return _decline(turn, given)
        case inputs.WrapUp():
            return _wrap_up(turn, given)
        case inputs.Hold() | inputs.Resume() | inputs.Record() | inputs.Transfer():
            return _in_conversation(turn, given)
        case inputs.Consult() | inputs.CancelConsultation() | inputs.Confer() | inputs.CompleteConsultation():
            return _in_conversation(turn, given)
        case inputs.Supervise():
            return conversation.supervise(turn, given)
        case inputs.Relieve():
            return assistance.relieve(turn, given)
        case inputs.LogIn():
            return shifts.log_in(turn, given)
        case inputs.LogOut():
            return shifts.log_out(turn, given)
        case inputs.SetState():
            return shifts.set_state(turn, given)
        case inputs.ConfigureQueue(queue=queue, moved=moved):
            weighed = turn.pool.is_weighed
            turn.pool.configure_queue(queue)
            entries.empty_if_closed(turn, queue.id)
            turn.serve_queue(queue.id)
            if weighed and not turn.pool.is_weighed:
                turn.serve_all()
            if moved:
                moves.tell_agents(turn, queue.id)
            return None
        case inputs.ConfigureAgent(agent=profile):
            engagements.configure(turn, profile)
            agent, drain = turn.pool.agents[profile.id], turn.pool.drained(profile.id)
            if drain is not None:
                shifts.drain(turn, agent, drain)
            return None
        case inputs.ConfigureSite(site=site):
            sites.configure(turn, site)
            return None
        case inputs.ConfigureShare(share=share):
            # Whoever may be let go by the new figures is, after this as after every input.
            turn.pool.configure_share(share)
            return None
        case inputs.Tick():
            return None
        case _:
            assert_never(given)


# inputs about a call


def _in_conversation(turn: Turn, given: inputs.InConversation) -> str | None:
    """What only the agent who speaks with the caller may do."""
    spoken = turn.spoken(given.call_id, given.agent_id)
    if spoken is None:
        return "not_the_agents_call"
    match given:
        case inputs.Hold():
            holds.begin(turn, *spoken)
            return None
        case inputs.Resume():
            holds.end(turn, *spoken)
            return None
        case inputs.Record():
            return conversation.record(turn, *spoken, given)
        case inputs.Transfer():
            return conversation.transfer(turn, *spoken, given)
        case inputs.Consult():
            return assistance.consult(turn, *spoken, given)
        case inputs.CancelConsultation():
            return assistance.cancel(turn, *spoken)
        case inputs.Confer():
            return assistance.confer(turn, *spoken)
        case inputs.CompleteConsultation():
            return assistance.complete(turn, *spoken)
        case _:
            assert_never(given)


def _offer_call(turn: Turn, given: inputs.OfferCall) -> str | None:
    queue = turn.pool.queue(given.queue_id)
    if queue is None:
        return "unknown_queue"
    if given.call_id in turn.pool.calls:
        return None
    if queue.elsewhere is not None:
        moves.send_on(turn, given, queue.elsewhere)
        return None
    now = turn.pool.now
    call = Call(
        id=given.call_id,
        tenant_id=queue.tenant_id,
        queue_id=queue.id,
        channel=given.channel,
        direction=given.direction,
        contact_phone=given.contact_phone,
        contact_shown=given.contact_shown,
        offered_at=now,
        first_queued_at=now,
        queued_at=now,
        max_wait_seconds=given.max_wait_seconds,
        campaign_id=given.campaign_id,
        lead_id=given.lead_id,
        attempt_id=given.attempt_id,
        external_id=given.external_id,
        traceparent=turn.traceparent,
        sequence=1,
        state=Queued(None, None),
        transferred_from=given.transferred_from,
        handed_on_by=given.handed_on_by,
        first_call_id=given.first_call_id or given.transferred_from,
        first_offered_at=given.first_offered_at,
        preferred_agent_id=given.preferred_agent_id,
        spoke_last=given.spoke_last,
        contact_priority=given.contact_priority,
        priority=given.priority if given.priority is not None else given.contact_priority or 0,
        skills=given.skills,
    )
    turn.tell(CallOffered, call, transferred_from=given.transferred_from)
    entries.take_in(turn, call, queue)
    return None


def _hang_up(turn: Turn, given: inputs.HangUp) -> str | None:
    call = turn.pool.calls.get(given.call_id)
    if call is None:
        return "no_live_call"
    if call.is_consultation:
        return assistance.hang_up(turn, call, given)
    if given.agent_id is not None and call.agent_id != given.agent_id:
        return "not_the_agents_call"
    match call.state:
        case InFlow() as in_flow:
            flow_calls.hang_up(turn, call, in_flow)
        case Queued():
            turn.abandon(call, "hung_up")
        case HeldPlace():
            pass
        case CallingBack() as calling:
            if given.agent_id is not None:
                callbacks.fail(turn, call, calling, "agent_hung_up")
        case Offered(agent_id=agent_id, waiting=waiting):
            if given.agent_id is not None:
                return "not_answered"
            if isinstance(waiting, HeldPlace):
                return None
            turn.abandon(call, "hung_up")
            engagements.free(turn, turn.pool.agents[agent_id], call)
        case Talking(consultation=Consultation(joined=True) as joined) as talking if given.agent_id is not None:
            assistance.hand_over(turn, call, talking, joined)
        case Talking() as talking:
            turn.end(call, talking)
        case WrappingUp() | Abandoned() | Redirected() | WrappedUp() | LeftInFlow() | ConsultationOver():
            pass
        case _:
            assert_never(call.state)
    return None


def _detect_machine(turn: Turn, given: inputs.MachineDetected) -> str | None:
    call = turn.pool.calls.get(given.call_id)
    if call is None:
        return "no_live_call"
    if call.direction != "outbound" or call.is_consultation:
        return "not_dialled"
    machine = replace(call, machine_at=turn.pool.now)
    match call.state:
        case Queued():
            turn.abandon(machine, "hung_up")
        case Offered(agent_id=agent_id):
            turn.abandon(machine, "hung_up")
            engagements.free(turn, turn.pool.agents[agent_id], machine)
        case Talking() as talking:
            _show_machine(turn, call, talking)
        case WrappingUp():
            return "no_longer_talking"
        case _:
            return "not_dialled"
    return None


def _accept(turn: Turn, given: inputs.Accept) -> str | None:
    call = turn.pool.calls.get(given.call_id)
    if call is None:
        return "no_live_call"
    match call.state:
        case Offered(agent_id=agent_id, waiting=waiting) if agent_id == given.agent_id:
            agent = replace(turn.pool.agents[agent_id], missed_offers=0)
            if isinstance(waiting, HeldPlace):
                call = callbacks.dial(turn, call, waiting, agent_id)
                engagements.answer(turn, agent, call)
                return None
            call = turn.answer(call, agent_id)
            engagements.answer(turn, agent, call)
            conversation.begin(turn, call)
            return None
        case Talking(agent_id=agent_id) | CallingBack(agent_id=agent_id) if agent_id == given.agent_id:
            return None
        case _:
            return "not_offered_to_the_agent"


def _dial_result(turn: Turn, given: inputs.DialResult) -> str | None:
    call = turn.pool.calls.get(given.call_id)
    if call is None:
        return "no_live_call"
    if given.outcome == "machine" and not isinstance(call.state, CallingBack):
        return _late_machine(turn, call, given.dial_id)
    if not isinstance(call.state, CallingBack) or call.state.dial_id != given.dial_id:
        return "dial_is_over"
    if given.outcome != "answered":
        callbacks.fail(turn, call, call.state, given.outcome)
        return None
    call = callbacks.reach(turn, call, call.state)
    conversation.begin(turn, call)
    return None


def _late_machine(turn: Turn, call: Call, dial_id: str) -> str | None:
    """The PBX has recognised an answering machine after the answer to a callback's attempt."""
    newest = call.callback.dials[-1] if call.callback is not None and call.callback.dials else None
    if newest is None or newest.dial_id != dial_id or newest.outcome != "answered":
        return "dial_is_over"
    if isinstance(call.state, Talking):
        _show_machine(turn, call, call.state)
        return None
    return callbacks.find_machine(turn, call, dial_id)


def _show_machine(turn: Turn, call: Call, talking: Talking) -> None:
    """The agent who speaks is told; what they make of it is theirs."""
    if call.machine_at is None:
        call = turn.put(replace(call, machine_at=turn.pool.now), talking)
        turn.tell(CallMachineDetected, call, agent_id=talking.agent_id)


def _decline(turn: Turn, given: inputs.Decline) -> str | None:
    call = turn.pool.calls.get(given.call_id)
    if call is None:
        return "no_live_call"
    match call.state:
        case Offered(agent_id=agent_id) as offered if agent_id == given.agent_id:
            turn.miss(call, offered, "declined")
            return None
        case _:
            return "not_offered_to_the_agent"


def _wrap_up(turn: Turn, given: inputs.WrapUp) -> str | None:
    call = turn.pool.calls.get(given.call_id)
    if call is None:
        return "no_live_call"
    match call.state:
        case WrappingUp(agent_id=agent_id) as wrapping_up if agent_id == given.agent_id:
            turn.finish(call, wrapping_up, given.disposition)
            return None
        case Talking(agent_id=agent_id) if agent_id == given.agent_id:
            return "still_talking"
        case _:
            return "not_the_agents_call"
