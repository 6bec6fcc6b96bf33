"""What waiting callers hear by their queue's schedule, which begins when they enter it.

What would be due while the call rings at an agent is left out. A call that waits when its queue is given its first
announcement hears none.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from common.events import CallAnnounced
from msgspec.structs import replace

from routing.domain.call_states import Queued
from routing.domain.calls import Call
from routing.domain.configuration import Announcement, Queue
from routing.domain.notes import Heard, heard_once_more

if TYPE_CHECKING:
    from routing.domain.turns import Turn


def next_announcement(queue: Queue, queued_at: datetime, since: datetime) -> datetime | None:
    """The first time at or after `since` at which a call that entered then hears one; None: never any more."""
    times = (_next(one, queued_at, since) for one in queue.announcements)
    return min((at for at in times if at is not None), default=None)


def passed_over(queue: Queue, waiting: Queued, queued_at: datetime, now: datetime) -> Queued:
    """The call, waiting again, without the announcements that were due while it rang at an agent."""
    if waiting.announce_at is None or waiting.announce_at >= now:
        return waiting
    return replace(waiting, announce_at=next_announcement(queue, queued_at, now))


def announce(turn: Turn, call: Call, waiting: Queued) -> None:
    """The caller hears what is due now."""
    queue, now = turn.queue_of(call), turn.pool.now
    ahead = turn.pool.standing(call, waiting.ring)[3]
    wait = None if turn.pool.nobody_serves(call) else turn.pool.memories.wait(call.queue_id, ahead)
    for one in queue.announcements:
        if _next(one, call.queued_at, now) != now:
            continue
        position = ahead + 1 if "position" in one.tell else None
        estimate = wait if "estimated_wait" in one.tell else None
        heard = heard_once_more(call.heard, Heard(one.message, 1, now, position, estimate))
        call = replace(call, sequence=call.sequence + 1, heard=heard)
        turn.tell(CallAnnounced, call, message=one.message, position=position, estimated_wait_seconds=estimate)
    later = next_announcement(queue, call.queued_at, now + timedelta(microseconds=1))
    turn.pool.put_call(replace(call, state=replace(waiting, announce_at=later)))


def _next(one: Announcement, queued_at: datetime, since: datetime) -> datetime | None:
    first = queued_at + timedelta(seconds=one.after_seconds)
    if first >= since:
        return first
    if one.every_seconds is None:
        return None
    every = timedelta(seconds=one.every_seconds)
    return first - (first - since) // every * every
