"""When something is due in a pool. A call that has moved on leaves its timer behind; nobody takes it any more."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from enum import IntEnum

from routing.domain.call_states import CallingBack, HeldPlace, InFlow, Offered, Queued, WrappingUp
from routing.domain.calls import Call


class Timer(IntEnum):
    """What is due, for a queue, a tenant's share or a call. At one instant the lower comes first: queues have opened or
    closed and shares are switched before anything is decided by them, and agents are freed before callers are given up.
    Calls that widen, and places whose rest is over, at one instant are placed in the order of service."""

    QUEUE_HOURS = 0
    SHARE = 1
    WRAP_UP_LIMIT = 2
    OFFER_TIMEOUT = 3
    DIAL_LIMIT = 4
    CALLBACK_EXPIRES = 5
    REST_OVER = 6
    WIDEN = 7
    ALONE_LIMIT = 8
    OVERFLOW = 9
    WAIT_LIMIT = 10
    FLOW = 11
    ANNOUNCE = 12


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

    def set_share(self, tenant_id: str, at: datetime) -> None:
        """Something changes in the tenant's share at that time."""
        heapq.heappush(self._heap, (at, Timer.SHARE, tenant_id))

    def next_due(
        self, calls: Mapping[str, Call], changes_at: Callable[[Timer, str], datetime | None]
    ) -> datetime | None:
        """When the first timer fires that still means something; `changes_at`: when a queue or share changes."""
        while self._heap:
            at, timer, item_id = self._heap[0]
            if timer in (Timer.QUEUE_HOURS, Timer.SHARE):
                if changes_at(timer, item_id) == at:
                    return at
            elif (call := calls.get(item_id)) is not None and (timer, at) in _waits_of(call):
                return at
            heapq.heappop(self._heap)
        return None

    def is_next(self, timer: Timer) -> bool:
        """Whether the first is of this kind."""
        return bool(self._heap) and self._heap[0][1] is timer

    def take(self) -> tuple[datetime, Timer, str]:
        """The first, taken off: time, kind, id of its queue, tenant or call."""
        return heapq.heappop(self._heap)


def _waits_of(call: Call) -> Iterator[tuple[Timer, datetime]]:
    """What the call's state waits for, and until when."""
    waits: tuple[tuple[Timer, datetime | None], ...] = ()
    match call.state:
        case InFlow(due_at=due_at):
            waits = ((Timer.FLOW, due_at),)
        case Queued() as queued:
            waits = (
                (Timer.ALONE_LIMIT, queued.alone_until),
                (Timer.WIDEN, queued.widens_at),
                (Timer.OVERFLOW, queued.overflow_at),
                (Timer.WAIT_LIMIT, queued.limit_at),
                (Timer.ANNOUNCE, queued.announce_at),
            )
        case HeldPlace(expires_at=expires_at, rests_until=rests_until, widens_at=widens_at):
            waits = (
                (Timer.CALLBACK_EXPIRES, expires_at),
                (Timer.REST_OVER, rests_until),
                (Timer.WIDEN, widens_at),
            )
        case CallingBack(limit_at=limit_at):
            waits = ((Timer.DIAL_LIMIT, limit_at),)
        case Offered(expires_at=expires_at):
            waits = ((Timer.OFFER_TIMEOUT, expires_at),)
        case WrappingUp(limit_at=limit_at) if not call.is_paused:
            waits = ((Timer.WRAP_UP_LIMIT, limit_at),)
        case _:
            pass
    return ((timer, at) for timer, at in waits if at is not None)
