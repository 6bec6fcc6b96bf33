"""What a pool remembers of its queues beside the calls in them, for those whose rules need it; saved with the calls."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from routing.domain.call_states import Abandoned, HeldPlace, Offered, Queued
from routing.domain.calls import Call
from routing.domain.configuration import EstimatedWait, Queue
from routing.domain.estimates import Estimator
from routing.domain.figures import Figures


class Shares(msgspec.Struct):
    """How many calls have fallen into each share of a split. The next one falls into the share that lags most behind
    its percentage, the first listed of equals: so of any number of calls each of two shares has its part to within one
    call, and after every 100 exactly."""

    percents: tuple[int, ...]
    counts: list[int]

    def next(self) -> int:
        """The share of one more call."""
        calls = sum(self.counts) + 1
        lags = [percent * calls - 100 * count for percent, count in zip(self.percents, self.counts, strict=True)]
        found = lags.index(max(lags))
        self.counts[found] += 1
        return found


class Memory(msgspec.Struct, kw_only=True):
    """Of one queue. Nothing is kept that no rule of the queue asks for."""

    queue_id: str
    tenant_id: str
    estimator: Estimator | None = None
    """How its calls have waited. A call counts until it is first offered to an agent: one that comes back after a
    missed offer was served as soon as somebody could."""
    shares: Shares | None = None
    figures: Figures | None = None
    """What the policy by declared weights has to estimate."""


class Memories:
    """Those of one pool by queue. Empty, it costs nothing."""

    def __init__(self) -> None:
        self._of: dict[str, Memory] = {}
        self._changed: dict[str, Memory] = {}

    def __bool__(self) -> bool:
        return bool(self._of)

    def load(self, saved: Iterable[Memory]) -> None:
        """Take over what was saved, as far as the rules still ask for it. The rules and the calls are loaded before."""
        for queue_id in list(self._of):
            self._set_figures(queue_id, None)
        for memory in saved:
            if memory.figures is not None:
                self.learn(memory.figures)
            known = self._of.get(memory.queue_id)
            if known is None:
                continue
            if known.estimator is not None and memory.estimator is not None:
                known.estimator = memory.estimator
            if (
                known.shares is not None
                and memory.shares is not None
                and known.shares.percents == memory.shares.percents
            ):
                known.shares = memory.shares
        self._changed.clear()

    def drain(self) -> list[Memory]:
        """Those changed since the last time."""
        changed = list(self._changed.values())
        self._changed.clear()
        return changed

    def all(self) -> list[Memory]:
        """Every one, by queue."""
        return [self._of[queue_id] for queue_id in sorted(self._of)]

    def configure(self, queue: Queue, waiting: Iterable[Call], now: datetime) -> None:
        """The queue has these rules now; `waiting`: the calls in it."""
        known = self._of.get(queue.id)
        estimates = any(isinstance(rule.when, EstimatedWait) for rule in queue.overflows)
        estimates = estimates or any("estimated_wait" in one.tell for one in queue.announcements)
        estimates = estimates or (queue.callback is not None and queue.callback.mode == "customer_first")
        percents = tuple(share.percent for share in queue.split)
        if known is None and not estimates and not percents:
            return
        if known is None:
            known = self._of[queue.id] = Memory(queue_id=queue.id, tenant_id=queue.tenant_id)
        if not percents:
            known.shares = None
        elif known.shares is None or known.shares.percents != percents:
            known.shares = Shares(percents, [0] * len(percents))
        if not estimates:
            known.estimator = None
        elif known.estimator is None:
            known.estimator = Estimator(waiting=sum(_counted_in(call) == queue.id for call in waiting), at=now)
        self._changed[queue.id] = known
        self._forget_if_empty(known)

    def figures_of(self, queue_id: str) -> Figures | None:
        """What is estimated of the queue."""
        known = self._of.get(queue_id)
        return None if known is None else known.figures

    def figures(self) -> list[Figures]:
        """Those of every queue that has some, by queue."""
        return [known.figures for known in self.all() if known.figures is not None]

    def learn(self, figures: Figures) -> None:
        """The queue's estimates are these now."""
        if figures.queue_id not in self._of:
            self._of[figures.queue_id] = Memory(queue_id=figures.queue_id, tenant_id=figures.tenant_id)
        self._set_figures(figures.queue_id, figures)

    def _set_figures(self, queue_id: str, figures: Figures | None) -> None:
        known = self._changed[queue_id] = self._of[queue_id]
        known.figures = figures
        self._forget_if_empty(known)

    def _forget_if_empty(self, known: Memory) -> None:
        if known.estimator is None and known.shares is None and known.figures is None:
            del self._of[known.queue_id]

    def follow(self, before: Call | None, call: Call, now: datetime) -> None:
        """A call has a new state."""
        was, stays = _counted_in(before), _counted_in(call)
        if was == stays:
            return
        if (estimator := self._estimator(was)) is not None:
            match call.state:
                case Offered():
                    estimator.serve(now)
                case Abandoned(reason="hung_up" | "wait_limit" | "no_agent"):
                    estimator.abandon(now)
                case _:
                    estimator.move_on(now)
        if (estimator := self._estimator(stays)) is not None:
            estimator.enter(now)

    def wait(self, queue_id: str, ahead: int) -> float | None:
        """Expected seconds of a call that enters with so many before it; None: not known."""
        memory = self._of.get(queue_id)
        return None if memory is None or memory.estimator is None else memory.estimator.seconds(ahead)

    def next_share(self, queue_id: str) -> int:
        """The share of its split, which it has, into which the queue's next call falls."""
        memory = self._of[queue_id]
        if memory.shares is None:
            raise AssertionError(f"queue {queue_id} has no split")
        self._changed[queue_id] = memory
        return memory.shares.next()

    def _estimator(self, queue_id: str | None) -> Estimator | None:
        memory = self._of.get(queue_id or "")
        if memory is None or memory.estimator is None:
            return None
        self._changed[memory.queue_id] = memory
        return memory.estimator


def _counted_in(call: Call | None) -> str | None:
    """The queue in which the call, or the place that its caller keeps in line, waits for its first agent."""
    if call is None or call.offers > 0 or call.moving_to is not None:
        return None
    match call.state:
        case Queued() | HeldPlace(rests_until=None):
            return call.queue_id
        case _:
            return None
