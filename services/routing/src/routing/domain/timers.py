"""When something is due in a pool. A call that has moved on leaves its timer behind; nobody takes it any more."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from enum import IntEnum

from routing.domain.calls import Call, InFlow, Offered, Queued, WrappingUp


class Timer(IntEnum):
    """What is due, for a queue or a call. At one instant the lower comes first: queues have opened or closed before
    anything is decided in them, and agents are freed before callers are given up."""

    QUEUE_HOURS = 0
    WRAP_UP_LIMIT = 1
    OFFER_TIMEOUT = 2
    WIDEN = 3
    ALONE_LIMIT = 4
    OVERFLOW = 5
    WAIT_LIMIT = 6
    FLOW = 7


class Timers:
    """What is due, the soonest first."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, Timer, str]] = []

    def set(self, call: Call) -> None:
        """Everything that its state waits for."""
        for timer, at in _waits_of(call):
            heapq.heappush(self._heap, (at, timer, call.id))

    def set_hours(self, queue_id: str, at: datetime) -> None:
        """The queue opens or closes at that time."""
        heapq.heappush(self._heap, (at, Timer.QUEUE_HOURS, queue_id))

    def next_due(self, calls: Mapping[str, Call], changes_at: Callable[[str], datetime | None]) -> datetime | None:
        """When the first timer fires that still means something; `changes_at`: when a queue opens or closes."""
        while self._heap:
            at, timer, item_id = self._heap[0]
            if timer is Timer.QUEUE_HOURS:
                if changes_at(item_id) == at:
                    return at
            elif (call := calls.get(item_id)) is not None and (timer, at) in _waits_of(call):
                return at
            heapq.heappop(self._heap)
        return None

    def take(self) -> tuple[datetime, Timer, str]:
        """The first, taken off: time, kind, id of its queue or call."""
        return heapq.heappop(self._heap)


def _waits_of(call: Call) -> Iterator[tuple[Timer, datetime]]:
    """What the call's state waits for, and until when."""
    waits: tuple[tuple[Timer, datetime | None], ...] = ()
    match call.state:
        case InFlow(due_at=due_at):
            waits = ((Timer.FLOW, due_at),)
        case Queued(limit_at=limit_at, overflow_at=overflow_at, widens_at=widens_at, alone_until=alone_until):
            waits = (
                (Timer.ALONE_LIMIT, alone_until),
                (Timer.WIDEN, widens_at),
                (Timer.OVERFLOW, overflow_at),
                (Timer.WAIT_LIMIT, limit_at),
            )
        case Offered(expires_at=expires_at):
            waits = ((Timer.OFFER_TIMEOUT, expires_at),)
        case WrappingUp(limit_at=limit_at) if not call.is_paused:
            waits = ((Timer.WRAP_UP_LIMIT, limit_at),)
        case _:
            pass
    return ((timer, at) for timer, at in waits if at is not None)
