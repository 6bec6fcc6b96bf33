"""The end of a consultation, whatever ends it: nobody is left with it, and the caller's call goes on without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.events import CallConsultationEnded, ConsultationEnded
from common.events.routing import ConsultationOutcome
from msgspec.structs import replace

from routing.domain import engagements, holds
from routing.domain.call_states import Consultation, ConsultationOver, Offered, Talking
from routing.domain.calls import MOST_ASSIGNMENTS, Call, Consulted

if TYPE_CHECKING:
    from routing.domain.turns import Turn


def end(
    turn: Turn, call: Call, talking: Talking, consultation: Consultation, outcome: ConsultationOutcome
) -> tuple[Call, Talking]:
    """`consultation`, which is open in the conversation `talking` of `call`, is over: both agents are done with it,
    unless the caller goes on with the second one (completed). Returns call and conversation as they are then."""
    between = turn.pool.calls.get(consultation.id)
    spoke = between is not None and isinstance(between.state, Talking)
    consulted = Consulted(
        id=consultation.id,
        asked=consultation.asked,
        began_at=consultation.began_at,
        ended_at=turn.pool.now,
        agent_id=talking.agent_id,
        answered_by=between.agent_id if between is not None and spoke else None,
        joined=consultation.joined,
        outcome=outcome,
    )
    talking = replace(talking, consultation=None)
    call = turn.put(replace(call, consulted=(*call.consulted[1 - MOST_ASSIGNMENTS :], consulted)), talking)
    turn.tell(CallConsultationEnded, call, agent_id=talking.agent_id, consultation_id=consultation.id, outcome=outcome)
    if between is not None and outcome != "completed":
        _release(turn, between, outcome)
    return call, talking


def back_to_the_caller(turn: Turn, call: Call, talking: Talking, outcome: ConsultationOutcome) -> None:
    """The open consultation is over, and the agent speaks with the caller again."""
    if talking.consultation is not None:
        call, talking = end(turn, call, talking, talking.consultation, outcome)
    holds.end(turn, call, talking)


def give_up(turn: Turn, between: Call) -> None:
    """Nobody has taken the consultation."""
    call, talking = of(turn, between)
    back_to_the_caller(turn, call, talking, "unanswered")


def of(turn: Turn, between: Call) -> tuple[Call, Talking]:
    """The conversation that the consultation `between` two agents is about."""
    call = turn.pool.calls[between.consults.call_id] if between.consults is not None else None
    if call is None or not isinstance(call.state, Talking):
        raise AssertionError(f"consultation {between.id} is about a call that nobody speaks in")
    return call, call.state


def _release(turn: Turn, between: Call, outcome: ConsultationOutcome) -> None:
    """Whoever was asked is done with it, too. There is no wrap-up: they have nothing to note."""
    state = between.state
    between = turn.put(between, ConsultationOver(turn.pool.now, between.agent_id, outcome))
    turn.tell_consultation(
        ConsultationEnded, between, agent_id=between.agent_id, ended_at=turn.pool.now, outcome=outcome
    )
    match state:
        case Offered(agent_id=agent_id):
            engagements.free(turn, turn.pool.agents[agent_id], between)
        case Talking(agent_id=agent_id):
            engagements.finish(turn, turn.pool.agents[agent_id], between)
        case _:
            pass
