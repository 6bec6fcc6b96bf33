"""What an agent says of themselves: here, gone, ready, on a break; or an operator of them. During a call it takes
effect after the wrap-up."""

from __future__ import annotations

from typing import assert_never

from common.events import AgentLoggedIn
from msgspec.structs import replace

from routing.domain import engagements, inputs
from routing.domain.agents import (
    AfterCall,
    Agent,
    AgentState,
    Available,
    Busy,
    LoggedOut,
    OnBreak,
    Ringing,
    Serving,
    ThenAvailable,
    ThenBreak,
    ThenLogOut,
)
from routing.domain.turns import Turn


def log_in(turn: Turn, given: inputs.LogIn) -> str | None:
    agent = turn.pool.agents.get(given.agent_id)
    if agent is None:
        return "unknown_agent"
    if turn.pool.drained(agent.id) is not None:
        return "drained"
    match agent.state:
        case LoggedOut():
            now = turn.pool.now
            state: AgentState = Available(now) if given.state == "available" else OnBreak(now, None)
            agent = replace(agent, sequence=agent.sequence + 1, state=state, missed_offers=0)
            turn.pool.put_agent(agent)
            turn.tell_agent(AgentLoggedIn, agent, turn.traceparent, state=agent.state_name)
            if given.state == "available":
                turn.serve(agent)
        case Serving(then=ThenLogOut()) as serving:
            engagements.ask(turn, agent, serving, ThenAvailable() if given.state == "available" else ThenBreak(None))
        case Busy(then=ThenLogOut()) | AfterCall(then=ThenLogOut()):
            turn.defer(agent, ThenAvailable() if given.state == "available" else ThenBreak(None))
        case _:
            pass
    return None


def log_out(turn: Turn, given: inputs.LogOut) -> str | None:
    agent = turn.pool.agents.get(given.agent_id)
    if agent is None:
        return "unknown_agent"
    match agent.state:
        case LoggedOut():
            pass
        case Available() | OnBreak():
            turn.leave(agent, turn.traceparent)
        case Ringing(call_id=call_id):
            turn.let_go(call_id, LoggedOut(turn.pool.now))
        case Busy() | AfterCall():
            turn.defer(agent, ThenLogOut())
        case Serving() as serving:
            engagements.ask(turn, agent, serving, ThenLogOut())
        case _:
            assert_never(agent.state)
    return None


def set_state(turn: Turn, given: inputs.SetState) -> str | None:
    agent = turn.pool.agents.get(given.agent_id)
    if agent is None:
        return "unknown_agent"
    wants_break = given.state == "break"
    match agent.state:
        case LoggedOut():
            return "logged_out"
        case Available():
            if wants_break:
                turn.move(agent, OnBreak(turn.pool.now, given.reason), turn.traceparent)
        case OnBreak(reason=reason):
            if not wants_break:
                turn.serve(turn.move(agent, Available(turn.pool.now), turn.traceparent))
            elif reason != given.reason:
                turn.move(agent, OnBreak(turn.pool.now, given.reason), turn.traceparent)
        case Ringing(call_id=call_id):
            if wants_break:
                turn.let_go(call_id, OnBreak(turn.pool.now, given.reason))
        case Busy() | AfterCall():
            turn.defer(agent, ThenBreak(given.reason) if wants_break else ThenAvailable())
        case Serving() as serving:
            engagements.ask(turn, agent, serving, ThenBreak(given.reason) if wants_break else ThenAvailable())
        case _:
            assert_never(agent.state)
    return None


def drain(turn: Turn, agent: Agent, reason: str) -> None:
    """An operator takes the agent out of service: no offer any more, what rings at them goes back to its place. A
    conversation and its wrap-up finish; then `Turn.finish` logs the agent out. Again is nothing."""
    match agent.state:
        case Available() | OnBreak():
            turn.leave(agent, turn.traceparent, reason)
        case Ringing(call_id=call_id):
            turn.let_go(call_id, LoggedOut(turn.pool.now, reason))
        case Serving() as serving:
            engagements.ask(turn, agent, serving, ThenLogOut())
        case LoggedOut() | Busy() | AfterCall():
            pass
        case _:
            assert_never(agent.state)
