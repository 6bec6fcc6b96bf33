"""What becomes of an agent with a call: offered, answered, ended, over. One call at a time, or several side by side.

A call that interrupts others pauses them from its answer to the end of its wrap-up: they count no time meanwhile. Calls
of those channels that still ring at the agent then go back to their places, which is no miss of the agent's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from msgspec.structs import replace

from routing.domain.agents import (
    AfterCall,
    Agent,
    Available,
    Busy,
    Engagement,
    LoggedOut,
    OnBreak,
    Phase,
    Ringing,
    Serving,
    Then,
    ThenAvailable,
    ThenBreak,
    ThenLogOut,
)
from routing.domain.call_states import WrappingUp
from routing.domain.calls import Beside, Call, Pauses
from routing.domain.capacity import at_hand, interrupted
from routing.domain.configuration import AgentProfile

if TYPE_CHECKING:
    from routing.domain.turns import Turn


def offer(turn: Turn, agent: Agent, call: Call) -> None:
    """The call rings at the agent, who can take it."""
    now = turn.pool.now
    if agent.id not in turn.pool.seated:
        turn.move(agent, Ringing(now, call.id, call.tenant_id, call.channel), call.traceparent)
        return
    new = Engagement(now, call.id, call.tenant_id, turn.queue_of(call).channel, "offered")
    before = agent.state.calls if isinstance(agent.state, Serving) else ()
    turn.move(agent, Serving(now, (*before, new), ThenAvailable()), call.traceparent)


def answer(turn: Turn, agent: Agent, call: Call) -> None:
    """The agent has accepted the call."""
    match agent.state:
        case Ringing():
            busy = Busy(turn.pool.now, call.id, call.tenant_id, ThenAvailable(), call.channel)
            turn.move(agent, busy, call.traceparent)
        case Serving() as serving:
            _go_on(turn, agent, _in_phase(turn, serving, call, "busy"), serving.then, call)
        case _:
            raise AssertionError(f"agent {agent.id} accepts call {call.id} but is {agent.state_name}")


def take(turn: Turn, agent: Agent, call: Call, then: Then) -> None:
    """The agent, who has no call, speaks in this one without an offer; `then` says what is to be after it."""
    now = turn.pool.now
    if agent.id in turn.pool.seated:
        engaged = Engagement(now, call.id, call.tenant_id, call.channel, "busy")
        turn.move(agent, Serving(now, (engaged,), then), call.traceparent)
    else:
        turn.move(agent, Busy(now, call.id, call.tenant_id, then, call.channel), call.traceparent)


def end(turn: Turn, agent: Agent, call: Call) -> None:
    """The conversation is over, the agent wraps up."""
    match agent.state:
        case Busy(then=then):
            wrapping_up = AfterCall(turn.pool.now, call.id, call.tenant_id, then, call.channel)
            turn.move(agent, wrapping_up, call.traceparent)
        case Serving() as serving:
            _go_on(turn, agent, _in_phase(turn, serving, call, "wrap_up"), serving.then, call)
        case _:
            raise AssertionError(f"agent {agent.id} talks but is {agent.state_name}")


def finish(turn: Turn, agent: Agent, call: Call) -> None:
    """The wrap-up, or a consultation, is over: the agent goes on with their other calls, or where they asked to go."""
    match agent.state:
        case AfterCall(then=then) | Busy(then=then):
            _leave_calls(turn, agent, then, call.traceparent)
            take_more(turn, agent.id)
        case Serving() as serving:
            _go_on(turn, agent, serving.without(call.id), serving.then, call)
        case _:
            raise AssertionError(f"agent {agent.id} wraps up but is {agent.state_name}")


def free(turn: Turn, agent: Agent, call: Call) -> None:
    """The caller has gone while the call rang at the agent, or cannot be reached for them."""
    let_off(turn, agent, call)
    take_more(turn, agent.id)


def let_off(turn: Turn, agent: Agent, call: Call) -> None:
    """The agent has nothing to do with the call any more. Others are offered to them by `take_more`."""
    match agent.state:
        case Serving() as serving:
            _carry_on(turn, agent, serving.without(call.id), serving.then, call)
        case Busy(then=then):
            _leave_calls(turn, agent, then, call.traceparent)
        case Ringing():
            _leave_calls(turn, agent, ThenAvailable(), call.traceparent)
        case _:
            raise AssertionError(f"agent {agent.id} has nothing to do with call {call.id}: {agent.state_name}")


def miss(turn: Turn, agent: Agent, call: Call, then: OnBreak | LoggedOut | None) -> None:
    """The agent did not take the call: they go where `then` says, from other calls once these are over; None: they
    stay, and nothing is offered to them before `stay`."""
    if isinstance(agent.state, Serving) and then is None:
        turn.pool.put_agent(replace(agent, state=replace(agent.state, then=ThenBreak(None))))
    elif isinstance(agent.state, Serving):
        wanted = agent.state.then
        if isinstance(then, LoggedOut):
            wanted = ThenLogOut()
        elif then is not None and not isinstance(wanted, ThenLogOut):
            wanted = ThenBreak(then.reason)
        _carry_on(turn, agent, agent.state.without(call.id), wanted, call)
    elif isinstance(then, LoggedOut):
        turn.leave(agent, call.traceparent, then.reason)
    elif then is not None:
        turn.move(agent, then, call.traceparent)


def take_back(turn: Turn, agent: Agent, call_id: str) -> None:
    """The call rings at the agent no longer, which is no miss of theirs, and goes on to others."""
    call = turn.give_back(*turn.offered(call_id), "agent_gone")
    if isinstance(agent.state, Serving):
        _carry_on(turn, agent, agent.state.without(call.id), agent.state.then, call)
    else:
        _leave_calls(turn, agent, ThenAvailable(), call.traceparent)
    turn.wait_again(call)


def stay(turn: Turn, agent: Agent, call: Call) -> None:
    """After a miss: the agent, as they were then, takes calls again."""
    if isinstance(agent.state, Ringing):
        turn.move(agent, Available(turn.pool.now), call.traceparent)
    elif isinstance(agent.state, Serving):
        _carry_on(turn, agent, agent.state.without(call.id), agent.state.then, call)
    take_more(turn, agent.id)


def ask(turn: Turn, agent: Agent, serving: Serving, then: Then) -> None:
    """The agent says what is to be after the calls at hand: what rings at them goes back if they want to leave. Whom an
    operator takes out of service leaves."""
    drain = turn.pool.drained(agent.id)
    if drain is not None:
        then = ThenLogOut()
    if serving.then != then:
        agent = turn.move(agent, replace(serving, since=turn.pool.now, then=then), turn.traceparent)
    if isinstance(then, ThenAvailable):
        turn.serve(agent)
        return
    leaving = LoggedOut(turn.pool.now, drain) if isinstance(then, ThenLogOut) else OnBreak(turn.pool.now, then.reason)
    for one in serving.calls:
        if one.phase == "offered":
            turn.let_go(one.call_id, leaving)


def beside(turn: Turn, agent: Agent, call: Call) -> Beside | None:
    """For the note of an assignment; None for an agent who takes one call at a time."""
    capacity = turn.pool.seats.capacity_of(agent.id)
    if capacity is None:
        return None
    channel = turn.queue_of(call).channel
    others = capacity.interrupts.get(channel, ())
    return Beside(
        at_hand(channel, agent.calls),
        capacity.calls.get(channel, 0),
        tuple(
            one.call_id for one in agent.calls if one.channel in others and one.phase != "offered" and not one.paused
        ),
    )


def configure(turn: Turn, profile: AgentProfile) -> None:
    """Skills or capacity of the agent have changed: what they have at hand stays, what they may take now is taken."""
    known = turn.pool.agents.get(profile.id)
    took = None if known is None else turn.pool.takes_of(known)
    if not turn.pool.configure_agent(profile):
        return
    turn.release(profile.id)
    if turn.pool.drained(profile.id) is not None:
        return
    agent = turn.pool.agents[profile.id]
    match agent.state:
        case Available():
            if turn.pool.takes_of(agent) != took:
                # Whoever counts on their taking a channel must know.
                agent = turn.move(agent, Available(turn.pool.now), turn.traceparent)
            turn.serve(agent)
        case Serving(calls=calls, then=then):
            _go_on(turn, agent, calls, then, None)
        case _:
            pass


def _in_phase(turn: Turn, serving: Serving, call: Call, phase: Phase) -> tuple[Engagement, ...]:
    return tuple(
        replace(one, phase=phase, since=turn.pool.now) if one.call_id == call.id else one for one in serving.calls
    )


def _go_on(turn: Turn, agent: Agent, calls: tuple[Engagement, ...], then: Then, by: Call | None) -> None:
    """The agent has these calls now, if any, and takes more if they can; `by`: the call by which that came."""
    _carry_on(turn, agent, calls, then, by)
    take_more(turn, agent.id)


def take_more(turn: Turn, agent_id: str) -> None:
    """The agent is offered what they may take now, if they are there for it."""
    agent = turn.pool.agents[agent_id]
    match agent.state:
        case Available() | Serving(then=ThenAvailable()):
            turn.serve(agent)
        case _:
            pass


def _carry_on(turn: Turn, agent: Agent, calls: tuple[Engagement, ...], then: Then, by: Call | None) -> None:
    trace = turn.traceparent if by is None else by.traceparent
    if not calls:
        _leave_calls(turn, agent, then, trace)
        return
    now, before = turn.pool.now, agent.calls
    halted = interrupted(calls, turn.pool.seats.capacity_of(agent.id))
    called_off = [one for one in calls if one.phase == "offered" and one.channel in halted]
    calls = tuple(
        replace(one, paused=one.phase != "offered" and one.channel in halted) for one in calls if one not in called_off
    )
    turn.move(agent, Serving(now, calls, then), trace)
    paused_before = {one.call_id: one.paused for one in before}
    for one in calls:
        if one.paused is not paused_before.get(one.call_id, False):
            _pause(turn, one, None if by is None else by.id)
    for one in called_off:
        _call_off(turn, one)


def _pause(turn: Turn, one: Engagement, by: str | None) -> None:
    """The call begins to stand still, or goes on."""
    now, call = turn.pool.now, turn.pool.calls[one.call_id]
    if one.paused:
        pauses = call.pauses or Pauses(0, "", None)
        turn.pool.put_call(replace(call, pauses=replace(pauses, times=pauses.times + 1, by=by or "", since=now)))
        return
    if call.pauses is None or call.pauses.since is None:
        raise AssertionError(f"call {call.id} goes on but did not stand still")
    state = call.state
    pauses = call.pauses.until(now, wrapping_up=isinstance(state, WrappingUp))
    if isinstance(state, WrappingUp):
        stood_since = max(call.pauses.since, state.ended_at)
        state = replace(state, limit_at=state.limit_at + (now - stood_since))
    turn.pool.put_call(replace(call, state=state, pauses=replace(pauses, since=None)))


def _call_off(turn: Turn, one: Engagement) -> None:
    turn.wait_again(turn.give_back(*turn.offered(one.call_id), "interrupted"))


def _leave_calls(turn: Turn, agent: Agent, then: Then, traceparent: str | None) -> None:
    """No call is left: the agent goes where they asked to go, or an operator wants them."""
    drain = turn.pool.drained(agent.id)
    if drain is not None:
        turn.leave(agent, traceparent, drain)
        return
    match then:
        case ThenAvailable():
            turn.move(agent, Available(turn.pool.now), traceparent)
        case ThenBreak(reason=reason):
            turn.move(agent, OnBreak(turn.pool.now, reason), traceparent)
        case ThenLogOut():
            turn.leave(agent, traceparent)
        case _:
            assert_never(then)
