"""Consultations as the API shows them, and as a PBX is told of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import partial

from common.events import (
    ConsultationAnswered,
    ConsultationAssigned,
    ConsultationEnded,
    ConsultationEvent,
    ConsultationOfferMissed,
)
from common.events.routing import ConsultationOutcome
from common.http import Model

from routing.api.streams import Seen, Sent, command_of
from routing.domain.call_states import Asked, AskedAgent, AskedNumber, AskedQueue, Talking
from routing.domain.calls import Call


class ConsultationView(Model):
    """An agent's question to somebody else: of `queue_id`, the colleague `asked_agent_id`, or a `number` outside."""

    consultation_id: str
    """Unless a number was asked: the call between the two agents."""
    agent_id: str
    """Who asks."""
    queue_id: str | None
    asked_agent_id: str | None
    number: str | None
    began_at: datetime
    joined: bool
    """The caller takes part, or did."""


class PastConsultationView(ConsultationView):
    ended_at: datetime
    answered_by: str | None
    """The agent who took it."""
    outcome: ConsultationOutcome


def open_consultation(call: Call) -> ConsultationView | None:
    """The one under way in the call."""
    state = call.state
    if not isinstance(state, Talking) or state.consultation is None:
        return None
    one = state.consultation
    return ConsultationView(
        consultation_id=one.id,
        agent_id=state.agent_id,
        began_at=one.began_at,
        joined=one.joined,
        **_asked(one.asked),
    )


def past_consultations(call: Call) -> list[PastConsultationView]:
    """Those of the call that are over, oldest first."""
    return [
        PastConsultationView(
            consultation_id=one.id,
            agent_id=one.agent_id,
            began_at=one.began_at,
            joined=one.joined,
            ended_at=one.ended_at,
            answered_by=one.answered_by,
            outcome=one.outcome,
            **_asked(one.asked),
        )
        for one in call.consulted
    ]


def _asked(asked: Asked) -> dict[str, str | None]:
    return {
        "queue_id": asked.queue_id if isinstance(asked, AskedQueue) else None,
        "asked_agent_id": asked.agent_id if isinstance(asked, AskedAgent) else None,
        "number": asked.number if isinstance(asked, AskedNumber) else None,
    }


def consultation_commands_of(event: ConsultationEvent, seen: Seen) -> Iterable[Sent]:
    """What a PBX has to do after an event of a consultation."""
    command = partial(command_of, event, seen, consults=event.consults, asked_by=event.asked_by)
    match event:
        case ConsultationAssigned():
            yield command("ring", agent_id=event.agent_id, offer=event.offer, expires_at=event.offer_expires_at)
        case ConsultationOfferMissed():
            yield command("stop_ringing", agent_id=event.agent_id, reason=event.reason)
        case ConsultationAnswered():
            yield command("bridge", agent_id=event.agent_id)
        case ConsultationEnded():
            if seen.ringing_at is not None:
                yield command("stop_ringing", agent_id=seen.ringing_at, reason=event.outcome)
            yield command("release")
        case _:
            return
