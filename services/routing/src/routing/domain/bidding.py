"""What queues bid for an agent by the declared weights, as it stood when a call was served or made to wait."""

from __future__ import annotations

import msgspec

HOUR = 3600
MOST_RIVALS = 5


class Rival(msgspec.Struct, frozen=True, array_like=True):
    """Another queue that the same agent may serve. Bid and price in lost-call cost per hour of an agent's time."""

    queue_id: str
    tenant_id: str
    bid: float
    price: float
    """Cost for this queue of one available agent fewer."""
    waits: bool
    """A call of it that the agent may take was waiting."""


class Bidding(msgspec.Struct, frozen=True, array_like=True):
    """The bid of a call's queue, in lost-call cost per hour of an agent's time, beside the others that mattered most:
    at most MOST_RIVALS, the highest bid first."""

    bid: float
    rivals: tuple[Rival, ...]
    in_time: float = 0.0
    """Part of the bid: what it was worth, for the target service level, that calls already waiting are answered in
    time."""
