"""What a pool learns, call by call, of the queues whose weights do not say everything."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from routing.domain.call_states import Abandoned, Offered, Queued, Talking, WrappedUp
from routing.domain.calls import Call
from routing.domain.configuration import Queue
from routing.domain.figures import Figures, Used
from routing.domain.memory import Memories

LEAST_SECONDS: Final = 30.0
SECONDS_PER_QUEUE: Final = 0.1
"""New estimates are taken over at most so often: working out a policy takes some milliseconds a queue."""


class Learning:
    """The figures in a pool's memories."""

    def __init__(self, memories: Memories) -> None:
        self._memories = memories
        self._taken_at: datetime | None = None

    def resume(self) -> None:
        """The memories were loaded: go on from there."""
        since = [one.used_since for one in self._memories.figures() if one.used_since]
        self._taken_at = max(since, default=None)

    def used(self, queue_id: str) -> Used:
        """The estimates to go by."""
        known = self._memories.figures_of(queue_id)
        return known.used if known else Used()

    def observe(self, queues: Mapping[str, Queue], before: Call | None, call: Call, now: datetime) -> bool:
        """A call has a new state. Returns whether new estimates were taken over."""
        for queue_id in dict.fromkeys((call.queue_id, before.queue_id if before else call.queue_id)):
            queue = queues.get(queue_id)
            if queue is None or not _learns(queue):
                continue
            known = self._memories.figures_of(queue_id) or Figures(queue_id=queue_id, tenant_id=queue.tenant_id, at=now)
            figures = _seen(known, queue, before, call, now)
            if figures is not known:
                self._memories.learn(figures)
        last = self._memories.figures_of(call.queue_id)
        if last is None or not _learns(queues[call.queue_id]):
            return False
        if self._too_soon(len(queues), now) or not last.moved(now):
            return False
        self._taken_at = now
        for one in self._memories.figures():
            if one.moved(now):
                self._memories.learn(replace(one, used=one.estimated(now), used_since=now))
        return True

    def _too_soon(self, queues: int, now: datetime) -> bool:
        pause = timedelta(seconds=max(LEAST_SECONDS, SECONDS_PER_QUEUE * queues))
        return self._taken_at is not None and now < self._taken_at + pause


def _learns(queue: Queue) -> bool:
    """Whether the policy goes by something of the queue that is not declared."""
    weights = queue.weights
    if weights is None or weights.service_level_target is not None:
        return True
    return None in (weights.calls_per_hour, weights.handling_seconds, weights.patience_seconds)


def _seen(figures: Figures, queue: Queue, before: Call | None, call: Call, now: datetime) -> Figures:
    """What the call's new state tells of one of its queues: that which it is in, or was in before."""
    here = call.queue_id == queue.id
    if here and call.entry > (before.entry if before else 0):
        figures = figures.arrived(now)
    if before is None or before.queue_id != queue.id:
        return figures
    left = not here or call.entry > before.entry
    called_back = call.callback is not None
    match before.state, call.state:
        case (Queued() | Offered(), Queued() | Offered()) if not left:
            pass
        case (Queued() | Offered(), state) if not called_back:
            seconds = (now - before.queued_at).total_seconds()
            hung_up = isinstance(state, Abandoned) and state.reason == "hung_up"
            figures = figures.waited(seconds, hung_up=hung_up)
            target = queue.weights.service_level_target if queue.weights else None
            short = isinstance(state, Abandoned) and seconds < queue.short_abandon_seconds
            if target is not None and not short:
                answered = isinstance(state, Talking) and not left
                figures = figures.was_due(target, in_time=answered and seconds <= queue.service_level_seconds)
        case (_, WrappedUp(answered_at=answered_at)):
            figures = figures.was_handled((now - answered_at).total_seconds())
        case _:
            pass
    return figures
