"""How long a call will wait: learnt from those that waited in the same queue before it.

A queue with calls in it is emptied at the rate μ at which its waiting calls reach agents, whoever these are and
whatever else they serve, and each caller who waits gives up at a rate θ. Then a caller who stays, with k others ahead,
waits Σ 1 / (μ + iθ) over i = 0 … k on average: of M/M/n+M, each of n busy agents done at rate μ/n. Both rates are
measured while somebody waits, the last departures counting most.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from routing.domain.call_states import Abandoned, Offered, Queued
from routing.domain.calls import Call, order_of_service
from routing.domain.configuration import Queue

MEMORY: float = 100
"""A departure counts 1/e when so many more have come after it."""
FEWEST: float = 3
"""Departures to an agent without which nothing is foretold."""


class Estimator(msgspec.Struct):
    """One queue, as its waiting calls come and go in order of time. A call that an agent takes at once never waits."""

    memory: float = MEMORY
    waiting: int = 0
    at: datetime | None = None
    """Of what happened last."""
    served: float = 0.0
    abandoned: float = 0.0
    busy_seconds: float = 0.0
    waiting_seconds: float = 0.0

    def enter(self, at: datetime) -> None:
        """A call begins to wait."""
        self._pass_time(at)
        self.waiting += 1

    def serve(self, at: datetime) -> None:
        """A waiting call reaches an agent."""
        self._leave(at)
        self.served += 1

    def abandon(self, at: datetime) -> None:
        """A waiting caller gives up."""
        self._leave(at)
        self.abandoned += 1

    def move_on(self, at: datetime) -> None:
        """A waiting call goes elsewhere: nothing is learnt of agents or patience but the time it was here."""
        self._pass_time(at)
        self.waiting -= 1

    def _leave(self, at: datetime) -> None:
        self._pass_time(at)
        self.waiting -= 1
        keep = 1 - 1 / self.memory
        self.served *= keep
        self.abandoned *= keep
        self.busy_seconds *= keep
        self.waiting_seconds *= keep

    def _pass_time(self, at: datetime) -> None:
        if self.at is not None and self.waiting > 0:
            seconds = (at - self.at).total_seconds()
            self.busy_seconds += seconds
            self.waiting_seconds += self.waiting * seconds
        self.at = at

    def seconds(self, ahead: int) -> float | None:
        """Expected wait, from now on, of a caller who stays, with `ahead` others before them; None: not known yet."""
        if self.served < FEWEST or self.busy_seconds <= 0:
            return None
        rate = self.served / self.busy_seconds
        patience = self.abandoned / self.waiting_seconds
        return sum(1 / (rate + others * patience) for others in range(ahead + 1))


def learn(calls: Iterable[Call], queue_id: str, memory: float = MEMORY) -> Estimator:
    """What these calls of the queue, in any order, tell about it. Calls that an agent took at once tell nothing."""
    moments: list[tuple[datetime, int, str]] = []
    for call in calls:
        if call.queue_id != queue_id or call.entry == 0:
            continue
        match call.state:
            case Queued() if call.callback is None:
                moments.append((call.queued_at, 0, "enter"))
            case Abandoned(abandoned_at=at) if call.callback is None:
                moments += [(call.queued_at, 0, "enter"), (at, 1, "abandon")]
            case _:
                # A caller who is called back tells of the wait for an agent, but not of how patient callers are.
                reached = _reached(call)
                if reached is not None and reached > call.queued_at:
                    moments += [(call.queued_at, 0, "enter"), (reached, 1, "serve")]
    estimator = Estimator(memory)
    for at, _, what in sorted(moments):
        match what:
            case "enter":
                estimator.enter(at)
            case "serve":
                estimator.serve(at)
            case _:
                estimator.abandon(at)
    return estimator


def _reached(call: Call) -> datetime | None:
    """When its last agent was found for it."""
    if isinstance(call.state, Offered):
        return call.state.assigned_at
    return call.assignments[-1].assigned_at if call.assignments else None


def ahead_of(call: Call, waiting: Iterable[Call], queue: Queue) -> int:
    """How many of the queue's waiting calls come before this one."""
    place = order_of_service(call, queue)
    return sum(order_of_service(one, queue) < place for one in waiting)
