"""Where a call goes that its queue cannot keep: which rules hold, and which of them it can follow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from routing.domain.calls import Call
from routing.domain.configuration import Closed, Queue, QueueLength, ToMessage, ToQueue, Waited
from routing.domain.pool import Pool

Way = ToQueue | ToMessage


def way_possible(pool: Pool, call: Call, ways: Iterable[Way]) -> Way | None:
    """The first of these ways that the call can go: not to where it has been, nor to a queue that is closed to it."""
    for to in ways:
        match to:
            case ToMessage():
                return to
            case ToQueue(queue_id=queue_id):
                been = queue_id == call.queue_id or queue_id in call.left_queues
                if not been and pool.queue(queue_id) is not None and pool.takes(call, queue_id):
                    return to
    return None


def ways_when_closed(queue: Queue, *, waiting: bool = False) -> list[Way]:
    """For calls that come to the closed queue; `waiting`: for those that wait in it when it closes."""
    return [rule.to for rule in queue.rules if isinstance(rule.when, Closed) and (rule.when.waiting or not waiting)]


def ways_when_long(queue: Queue, length: int) -> list[Way]:
    """For a call that enters when so many wait."""
    return [rule.to for rule in queue.rules if isinstance(rule.when, QueueLength) and length >= rule.when.calls]


def ways_when_waited(queue: Queue, queued_at: datetime, now: datetime) -> list[Way]:
    """For a call that has waited since then."""
    return [to for at, to in _waited(queue, queued_at) if at <= now]


def next_overflow(queue: Queue, queued_at: datetime, after: datetime | None = None) -> datetime | None:
    """When the first rule about waiting comes to hold (later than `after`) for a call that entered at `queued_at`."""
    return min((at for at, _ in _waited(queue, queued_at) if after is None or at > after), default=None)


def _waited(queue: Queue, queued_at: datetime) -> list[tuple[datetime, Way]]:
    return [
        (queued_at + timedelta(seconds=rule.when.seconds), rule.to)
        for rule in queue.rules
        if isinstance(rule.when, Waited)
    ]


def circle(queue_id: str, targets: Sequence[str], others: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """For each of the queue's targets the shortest way back to the queue along the others' overflows; [] if none."""
    return [_way_back(queue_id, target, others) for target in targets]


def _way_back(queue_id: str, target: str, others: Mapping[str, Sequence[str]]) -> list[str]:
    ways, seen = [[queue_id, target]], {target}
    for way in ways:
        if way[-1] == queue_id:
            return way
        for step in others.get(way[-1], ()):
            if step not in seen:
                seen.add(step)
                ways.append([*way, step])
    return []
