"""Who consulted whom, and where the caller came from and went to, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final, assert_never

from common.events.routing import ConsultationOutcome

from routing.domain.calls import Asked, AskedAgent, AskedNumber, AskedQueue, Call, ConsultationOver, Redirected, Talking

_OUTCOMES: Final[dict[ConsultationOutcome, str]] = {
    "completed": "the caller went on with them",
    "cancelled": "{agent} ended it",
    "left": "they left",
    "unanswered": "nobody took it",
    "call_over": "it was over with the call",
}


def came_from(call: Call) -> Iterator[str]:
    """How the call began, if it goes on from another or is about one, or its caller spoke with somebody before."""
    if call.consults is not None:
        yield f"{call.consults.agent_id} asked for help with call {call.consults.call_id}."
    elif call.transferred_from is not None:
        yield f"Its caller comes from call {call.transferred_from}."
    elif call.spoke_last:
        yield f"It is to go to {call.preferred_agent_id}, who last spoke with its caller."


def went_on(call: Call) -> Iterator[str]:
    """What happened while agent and caller spoke, and where the caller went."""
    if call.consults is not None and call.transferred_from is not None:
        yield f"Since {_time(call.offered_at)} it is the caller's, who comes from call {call.transferred_from}."
    for one in call.consulted:
        who = _asked(one.asked)
        answered = f", where {one.answered_by} answered" if one.answered_by and one.answered_by != who else ""
        joined = ", the caller took part" if one.joined else ""
        outcome = _OUTCOMES[one.outcome].format(agent=one.agent_id)
        times = f"From {_time(one.began_at)} to {_time(one.ended_at)}"
        yield f"{times} {one.agent_id} consulted {who}{answered}{joined}; {outcome}."
    match call.state:
        case Talking(agent_id=agent_id, consultation=consultation) if consultation is not None:
            caller = "the caller takes part" if consultation.joined else "the caller does not hear it"
            since = _time(consultation.began_at)
            yield f"Since {since} {agent_id} consults {_asked(consultation.asked)}; {caller}."
        case ConsultationOver(over_at=at, outcome=outcome) if call.consults is not None:
            yield f"It was over at {_time(at)}: {_OUTCOMES[outcome].format(agent=call.consults.agent_id)}."
        case _:
            pass
    if call.transferred_to is not None and not isinstance(call.state, Redirected):
        kind = "to " if call.transferred_to.startswith("+") else "as call "
        yield f"The caller went on {kind}{call.transferred_to}."


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


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
