"""How a caller was called back, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from routing.domain.call_states import CallingBack, HeldPlace, Offered
from routing.domain.calls import UNRUNG, Call, Callback, Dial
from routing.domain.saying import time_of

_OUTCOMES: Final = {
    "answered": "the customer answered",
    "busy": "busy",
    "no_answer": "nobody answered",
    "failed": "it failed",
    "timed_out": "the PBX said nothing in time",
    "agent_hung_up": "the agent hung up",
    "machine": "an answering machine answered",
}


_REFUSED: Final = {
    "no_phone": "the number is withheld",
    "no_callbacks": "the queue calls nobody back",
    "draining": "the queue was being drained",
    "closed": "the queue opens only when the callback would not be valid any more",
}


def told_refusal(call: Call) -> Iterator[str]:
    """Why its flow, which would have had the caller called back, did not."""
    if call.no_callback is not None:
        why = _REFUSED.get(call.no_callback, call.no_callback)
        yield f"Its flow would have had the caller called back, but {why}: it went on instead."


def told_callback(call: Call) -> Iterator[str]:
    """What was promised, every attempt, and how the callback stands."""
    callback = call.callback
    if call.place_at is not None:
        yield f"It took over the place of a callback to its caller, who had waited since {time_of(call.place_at)}."
    if callback is None:
        return
    mode = callback.rules.mode.replace("_", " ")
    by_flow = f" as step {callback.promised_by} of the flow says" if callback.promised_by else ""
    asked = f"At {time_of(callback.requested_at)} the caller hung up to be called back{by_flow}, {mode}"
    yield f"{asked}: the place since {time_of(call.place_at or call.first_queued_at)} is kept."
    number = 1
    for dial in callback.dials:
        yield _dialled(number, dial, callback)
        number += dial.outcome not in UNRUNG
    if callback.ended_by is not None:
        yield f"The callback was ended by {callback.ended_by}."
    match call.state:
        case HeldPlace() as held:
            yield _stands(held, callback)
        case CallingBack(limit_at=limit_at):
            yield f"The customer is being dialled, until {time_of(limit_at)} at the latest."
        case Offered(waiting=HeldPlace()):
            yield "The customer is dialled once the agent accepts."
        case _:
            pass


def _dialled(number: int, dial: Dial, callback: Callback) -> str:
    waits = f" for {dial.agent_id}" if dial.agent_id else ""
    made = f"Attempt {number} of {callback.rules.attempts} at {time_of(dial.dialled_at)}{waits}"
    if dial.outcome is not None:
        uncounted = ", which does not count" if dial.outcome in UNRUNG else ""
        return f"{made}: {_OUTCOMES[dial.outcome]}{uncounted}."
    return f"{made} was called off." if dial.over_at else f"{made} is under way."


def _stands(held: HeldPlace, callback: Callback) -> str:
    left = callback.attempts_left
    if held.number_in_use:
        when = "The number is in use: somebody else there is being dialled, or spoken with"
    elif held.rests_until is not None and held.rests_until == held.not_before:
        when = f"The next attempt is made from {time_of(held.rests_until)} on"
    elif held.rests_until is not None:
        when = f"The queue is closed: the place rests until {time_of(held.rests_until)}"
    else:
        when = "The place is in line"
    return f"{when}; attempts left: {left}. The callback is valid until {time_of(held.expires_at)}."
