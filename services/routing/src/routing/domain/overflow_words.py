"""How an overflow rule is said: where it leads, why it held."""

from __future__ import annotations

from typing import Final, assert_never

from routing.domain.calls import Move
from routing.domain.configuration import (
    Closed,
    EstimatedWait,
    NobodyLoggedIn,
    QueueLength,
    Shared,
    SiteDown,
    Stay,
    To,
    ToCallback,
    ToMessage,
    ToNumber,
    ToQueue,
    ToSite,
    Waited,
)
from routing.domain.saying import time_of

_NOBODY: Final = "no agent who could serve it was logged in"


def said_of(move: Move) -> str:
    """One sentence on a rule that moved a call."""
    return f"At {time_of(move.moved_at)} a rule of queue {move.queue_id} sent it to {place_of(move.to)}: {_held(move)}."


def place_of(to: To | Stay) -> str:
    """Where a rule leads."""
    match to:
        case ToQueue(queue_id=queue_id):
            return f"queue {queue_id}"
        case ToSite(site_id=site_id):
            return f"the agents of site {site_id}"
        case ToNumber(name=name):
            return f"number {name}"
        case Stay():
            return "its own agents"
        case ToMessage(message=message):
            return f"message {message}"
        case ToCallback():
            return "a callback"
        case _:
            assert_never(to)


def _held(move: Move) -> str:
    measured = move.measured or 0.0
    match move.why:
        case Waited(seconds=seconds):
            return f"it had waited {measured:.0f} s, and the rule is for {seconds:g} s or more"
        case QueueLength(calls=calls):
            return f"{measured:.0f} calls were waiting, and the rule is for {calls} or more"
        case EstimatedWait(seconds=seconds) if move.measured is None:
            return f"{_NOBODY}, and the rule is for an estimated wait of {seconds:g} s or more"
        case EstimatedWait(seconds=seconds):
            return f"the estimated wait was {measured:.0f} s, and the rule is for {seconds:g} s or more"
        case NobodyLoggedIn():
            return _NOBODY
        case SiteDown(site_id=site_id):
            return f"site {site_id} was {'being drained' if move.drained else 'down'}"
        case Shared(percent=percent, passed_over=True):
            return f"it fell into a share of {percent} % of the calls, which could not go where it should"
        case Shared(percent=percent):
            return f"it fell into the share of {percent} % of the calls"
        case Closed():
            return "the queue was closed"
        case _:
            assert_never(move.why)
