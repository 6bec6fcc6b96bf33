"""Virtual hold: a waiting caller hangs up, keeps the place in the order of service, and is called back.

- Agent first: the place is served as a waiting call is. The agent who accepts the offer is busy with the call while the
  customer is dialled; if nobody answers, the agent is free again, and what they have asked for meanwhile takes effect.
- Customer first: the customer is dialled when an agent who may serve the place is available, or is expected to be by
  the time that people take to answer, and never more customers at a time (those who have answered and wait for an
  agent included) than such agents. With nobody logged in, nobody is dialled. An agent who comes free while others wait
  behind the place takes it as agent first: nobody who comes later goes before it. Who answers waits at their place, up
  to the queue's longest wait; no rule of overflow sends them on.
- A caller who asks while the call rings at an agent leaves it to ring: the agent who accepts is connected by a dial.
- Each attempt has an id, is told once, and is over by the first fact about it or at its limit. Later facts are refused.
- After an attempt that failed the place is kept, but not served before the retry time. After the last one, or when the
  callback is not valid any more, the call is over. An attempt by which no telephone rang does not count: it is made
  once more, each time after twice the time.
- A number is dialled for one promise at a time. Two calls that one number had at the same time are two people: each
  keeps their own promise, and as long as both are kept, no later call from there takes one over.
- While the queue is closed places rest; they are served again when it opens. One that is drained serves them. Nobody
  is promised a callback that would not be valid any more when the queue next opens by its hours.
- A caller who calls the tenant again, in the same pool, takes over the place: the callback is over. One who asks for a
  callback in the flow of an entry point while another is pending takes over the place, and is called back for that.
- A flow has a callback begin at once, without a wait in the queue: also while the queue is closed, not while it drains,
  and without regard to the queue's split.
- What the PBX says of the caller's first leg, such as its hang-up, changes nothing once the place is held.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from common.events import CallbackDialled, CallbackFailed, CallbackReached, CallbackRequested
from common.events.routing import CallbackEnd, CallbackFailure
from msgspec.structs import replace

from routing.domain import engagements, inputs, moves
from routing.domain.announcements import next_announcement
from routing.domain.call_states import CallingBack, HeldPlace, Offered, Queued
from routing.domain.callback_places import is_near
from routing.domain.calls import Call, Callback, Dial
from routing.domain.configuration import CallbackRules, Queue
from routing.domain.telling import waited_seconds

if TYPE_CHECKING:
    from routing.domain.pool import Pool
    from routing.domain.turns import Turn

MARGIN_SECONDS: Final = 10.0
"""Beyond the ring time: how long the PBX may take to say what came of an attempt."""
ANSWER_SECONDS: Final = 12.0
"""People who answer a call take so long, on average."""
IN_USE_SECONDS: Final = 10.0
"""After which a place is looked at again whose number was in use."""
MOST_PAUSE_SECONDS: Final = 3600.0
"""The longest pause between attempts by which no telephone rings, unless the rule's own is longer."""


def request(turn: Turn, given: inputs.RequestCallback) -> str | None:
    """The waiting caller wants to be called back. The same again changes nothing."""
    call = turn.pool.calls.get(given.call_id)
    if call is None:
        return "no_live_call"
    if call.callback is not None:
        return None if call.held_place else "called_back_before"
    if not isinstance(call.state, Queued | Offered):
        return "not_waiting"
    refused = why_not(turn.pool, call, given.phone)
    if refused is None:
        hold(turn, call, given.phone)
    return refused


def why_not(pool: Pool, call: Call, phone: str | None = None) -> str | None:
    """Why the caller of this call of a queue cannot be called back; None: they can."""
    queue = pool.queue(call.queue_id)
    if queue is None or queue.callback is None:
        return "no_callbacks"
    if call.direction != "inbound" or call.channel != "voice" or call.is_consultation:
        return "not_an_inbound_call"
    if call.callback is not None:
        return "called_back_before"
    number = phone or call.contact_phone
    if not number:
        return "no_phone"
    if _stays_closed(pool, queue, queue.callback):
        return "closed"
    promises = [pool.calls[one] for one in pool.callbacks.pending(call.tenant_id, number, call.contact_phone)]
    return None if all(_are_two_people(call, one) for one in promises) else "callback_pending"


def _are_two_people(call: Call, promised: Call) -> bool:
    """Whether both calls came from one number and were on the line at the same time, before either hung up to be called
    back."""
    together = (call.arrived_at or call.offered_at) < _callback(promised).requested_at
    return together and call.contact_phone == promised.contact_phone


def _stays_closed(pool: Pool, queue: Queue, rules: CallbackRules) -> bool:
    """Whether the queue is known not to open, by its hours, while a callback that is asked for now is valid."""
    if pool.is_open(queue.id) or queue.override is not None:
        return False
    changes_at = pool.changes_at(queue.id)
    return changes_at is None or changes_at >= pool.now + timedelta(seconds=rules.valid_seconds)


def why_not_from_a_flow(pool: Pool, call: Call) -> str | None:
    """The same, of a call in its flow, which is about to enter its queue; a callback that is pending it takes over."""
    queue = pool.queue(call.queue_id)
    if queue is not None and queue.override == "draining":
        return "draining"
    refused = why_not(pool, call)
    return None if refused == "callback_pending" else refused


def hold(
    turn: Turn, call: Call, phone: str | None = None, *, promised_by: str | None = None, freed: str | None = None
) -> None:
    """The caller, who can be called back, hangs up: the place is kept. `promised_by`: a step of the call's flow;
    `freed`: the agent of `take_over`."""
    now, rules = turn.pool.now, turn.queue_of(call).callback
    if rules is None:
        raise AssertionError(f"queue {call.queue_id} calls nobody back")
    held = HeldPlace(now + timedelta(seconds=rules.valid_seconds))
    callback = Callback(phone=phone or call.contact_phone, requested_at=now, rules=rules, promised_by=promised_by)
    ringing = call.state if isinstance(call.state, Offered) else None
    call = replace(call, callback=callback)
    call = turn.put(call, held if ringing is None else replace(ringing, waiting=held))
    turn.tell(
        CallbackRequested,
        call,
        phone=callback.phone,
        mode=rules.mode,
        attempts=rules.attempts,
        valid_until=held.expires_at,
        wait_seconds=waited_seconds(call, call.queued_at, now),
        ringing_at=None if ringing is None else ringing.agent_id,
    )
    if ringing is None:
        place_after(turn, call, held, freed)


def place_after(turn: Turn, call: Call, held: HeldPlace, freed: str | None) -> None:
    """Place the call, which is in line. Before that the agent of `take_over` takes the first of all that wait, unless
    the call goes to another pool at once."""
    if turn.queue_of(call).elsewhere is not None:
        place(turn, call, held)
    if freed is not None:
        engagements.take_more(turn, freed)
    now = turn.pool.calls.get(call.id)
    if now is not None and isinstance(now.state, HeldPlace):
        place(turn, now, now.state)


def place(turn: Turn, call: Call, held: HeldPlace) -> None:
    """Offer the call to the best available agent, or let its place wait in line; or rest while it cannot be served."""
    elsewhere = turn.queue_of(call).elsewhere
    if elsewhere is not None:
        moves.hand_over(turn, call, held, elsewhere)
        return
    held = _in_line(turn, call, held)
    if held.rests_until is None and not is_near(call):
        agent = turn.pool.preferred(call, held.ring) if call.offers == 0 else None
        if agent is None or not turn.pool.can_take(agent, call):
            agent = turn.pool.agent_for(call, held.ring)
        if agent is not None:
            turn.assign(call, held, agent, came_free=False)
            return
    turn.keep(call, held)


def rests(turn: Turn, call: Call, held: HeldPlace) -> bool:
    """Whether the place, which is in line, may not be served now: then it is not in line any more."""
    held = _in_line(turn, call, held)
    if held.rests_until is not None:
        turn.keep(call, held)
    return held.rests_until is not None


def _in_line(turn: Turn, call: Call, held: HeldPlace) -> HeldPlace:
    pool, rests_until = turn.pool, None
    if held.not_before is not None and held.not_before > pool.now:
        rests_until = held.not_before
    elif not pool.is_open(call.queue_id) and turn.queue_of(call).override != "draining":
        rests_until = min(pool.changes_at(call.queue_id) or held.expires_at, held.expires_at)
    in_use = rests_until is None and pool.callbacks.is_in_use(call, _callback(call).phone)
    if in_use:
        rests_until = min(pool.now + timedelta(seconds=IN_USE_SECONDS), held.expires_at)
    ring, widens_at = turn.queue_of(call).ring_at(call.queued_at, pool.now)
    return replace(held, rests_until=rests_until, ring=ring, widens_at=widens_at, number_in_use=in_use)


def call_near(turn: Turn) -> None:
    """Customer first: dial those for whom an agent is there, or will be."""
    callbacks = turn.pool.callbacks
    for queue_id in sorted(callbacks.near):
        looked_at: set[tuple[tuple[str, ...], int]] = set()
        for _, call_id in list(callbacks.near.get(queue_id, ())):
            call = turn.pool.calls[call_id]
            held = call.state
            if not isinstance(held, HeldPlace) or (call.skills, held.ring) in looked_at:
                continue
            if rests(turn, call, held):
                continue
            if turn.pool.has_agent_for_one_more(call, held.ring, ANSWER_SECONDS):
                dial(turn, call, held, None)
            else:
                looked_at.add((call.skills, held.ring))


def dial(turn: Turn, call: Call, held: HeldPlace, agent_id: str | None) -> Call:
    """The PBX is to dial the customer: once."""
    now, callback = turn.pool.now, _callback(call)
    dial_id = f"{call.id}/{len(callback.dials) + 1}"
    ring_seconds = callback.rules.ring_seconds
    calling = CallingBack(dial_id, now, now + timedelta(seconds=ring_seconds + MARGIN_SECONDS), agent_id, held)
    made = replace(callback, dials=(*callback.dials, Dial(dial_id, now, agent_id)))
    call = turn.put(replace(call, callback=made), calling)
    turn.tell(
        CallbackDialled,
        call,
        dial_id=dial_id,
        attempt=made.attempt,
        phone=callback.phone,
        agent_id=agent_id,
        ring_seconds=ring_seconds,
        limit_at=calling.limit_at,
    )
    return call


def reach(turn: Turn, call: Call, calling: CallingBack) -> Call:
    """The customer is on the line again: with the agent who waits for them, or at their place in the queue."""
    now = turn.pool.now
    call = replace(call, callback=replace(_over(turn, call, "answered"), reached_at=now))
    if calling.agent_id is not None:
        return turn.answer(call, calling.agent_id)
    queue = turn.queue_of(call)
    waiting = Queued(
        None if queue.max_wait_seconds is None else now + timedelta(seconds=queue.max_wait_seconds),
        None,
        announce_at=next_announcement(queue, call.queued_at, now + timedelta(microseconds=1)),
    )
    call = turn.put(call, waiting)
    attempt = _callback(call).attempt
    turn.tell(CallbackReached, call, dial_id=calling.dial_id, attempt=attempt, away_seconds=call.away_seconds(now))
    turn.place(call, waiting)
    return call


def fail(turn: Turn, call: Call, calling: CallingBack, reason: CallbackFailure) -> None:
    """The attempt has not reached the customer."""
    _keep_place(turn, call, calling.place, reason, calling.agent_id)


def find_machine(turn: Turn, call: Call, dial_id: str) -> str | None:
    """Customer first: whoever answered the attempt, and waits for an agent, is an answering machine. Who is asked to
    take the call is free at once, and the attempt has failed."""
    callback = call.callback
    if callback is None or callback.reached_at is None or callback.dials[-1].dial_id != dial_id:
        return "dial_is_over"
    agent_id: str | None = None
    match call.state:
        case Queued():
            pass
        case Offered() as offered:
            agent_id = offered.agent_id
            call = turn.give_back(call, offered, "interrupted")
        case _:
            return "dial_is_over"
    held = HeldPlace(callback.requested_at + timedelta(seconds=callback.rules.valid_seconds))
    call = replace(call, callback=replace(callback, reached_at=None))
    _keep_place(turn, call, held, "machine", None)
    if agent_id is not None:
        engagements.free(turn, turn.pool.agents[agent_id], call)
    return None


def _keep_place(turn: Turn, call: Call, held: HeldPlace, reason: CallbackFailure, agent_id: str | None) -> None:
    callback = _over(turn, call, reason)
    rules: CallbackRules = callback.rules
    pause = rules.retry_seconds
    if callback.unrung:
        pause = max(pause, min(pause * 2.0 ** min(callback.unrung - 1, 30), MOST_PAUSE_SECONDS))
    not_before = turn.pool.now + timedelta(seconds=pause)
    last = callback.attempts_left <= 0
    again = not last and not_before < held.expires_at
    held = replace(held, not_before=not_before, rests_until=not_before)
    call = turn.put(replace(call, callback=callback), held)
    turn.tell(
        CallbackFailed,
        call,
        dial_id=callback.dials[-1].dial_id,
        attempt=callback.attempt,
        reason=reason,
        agent_id=agent_id,
        next_at=not_before if again else None,
    )
    if not again:
        turn.abandon(call, "callback_unreached" if last else "callback_expired")
    else:
        place(turn, call, held)
    if agent_id is not None:
        engagements.free(turn, turn.pool.agents[agent_id], call)


def cancel(turn: Turn, given: inputs.CancelCallback) -> str | None:
    """Nobody is to be called back. The same again is refused: there is no callback any more."""
    call = turn.pool.calls.get(given.call_id)
    if call is None:
        return "no_live_call"
    if call.held_place is None:
        return "no_callback_pending"
    freed = end(turn, call, "callback_cancelled", given.by)
    if freed is not None:
        engagements.take_more(turn, freed)
    return None


def expire(turn: Turn, call: Call) -> None:
    """The place was kept as long as it is valid."""
    turn.abandon(call, "callback_expired")


def take_over(turn: Turn, call: Call) -> tuple[Call, str | None]:
    """The call, about to enter its first queue, at the place that is kept for its caller, if there is one; and the
    agent who was busy with that and has nothing to do for now: they take the first of all that wait, this call among
    them."""
    if call.direction != "inbound" or call.transferred_from is not None:
        return call, None
    pending = [turn.pool.calls[one] for one in turn.pool.callbacks.pending(call.tenant_id, call.contact_phone)]
    if len(pending) != 1 or _are_two_people(call, pending[0]):
        return call, None
    before = pending[0]
    freed = end(turn, before, "called_again", call.id)
    return replace(call, place_at=before.place_at or before.first_queued_at), freed


def end(turn: Turn, call: Call, reason: CallbackEnd, by: str) -> str | None:
    """The caller is not called back; returns the agent who was busy with that, to be served."""
    agent_id, callback = call.agent_id, _callback(call)
    if isinstance(call.state, CallingBack):
        callback = _over(turn, call, None)
    turn.abandon(replace(call, callback=replace(callback, ended_by=by)), reason)
    if agent_id is not None:
        engagements.let_off(turn, turn.pool.agents[agent_id], call)
    return agent_id


def _over(turn: Turn, call: Call, outcome: str | None) -> Callback:
    """The callback with its newest attempt over. `outcome` None: called off."""
    callback = _callback(call)
    newest = replace(callback.dials[-1], outcome=outcome, over_at=turn.pool.now)
    return replace(callback, dials=(*callback.dials[:-1], newest))


def _callback(call: Call) -> Callback:
    if call.callback is None:
        raise AssertionError(f"call {call.id} is {call.state_name} without a callback")
    return call.callback
