"""Where a call goes that its queue cannot keep: which rules hold, and which of them it can follow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from routing.domain import callbacks
from routing.domain.calls import Call, Move
from routing.domain.configuration import (
    Closed,
    EstimatedWait,
    NobodyLoggedIn,
    OverflowRule,
    Queue,
    QueueLength,
    Shared,
    SiteDown,
    Stay,
    ToCallback,
    ToMessage,
    ToNumber,
    ToQueue,
    ToSite,
    Waited,
    site_skill,
)
from routing.domain.pool import Pool


def move_possible(pool: Pool, call: Call, moves: Iterable[Move]) -> Move | None:
    """The first of these that the call can follow: not to where it has been, nor to a queue that is closed to it.
    Whose caller was promised a callback stays, and so does a consultation where it was asked."""
    if call.callback is not None or call.is_consultation:
        return None
    for move in moves:
        match move.to:
            case ToMessage() | Stay():
                return move
            case ToCallback():
                if callbacks.why_not(pool, call) is None:
                    return move
            case ToNumber(name=name):
                queue = pool.queue(move.queue_id)
                if call.direction == "inbound" and queue is not None and name in queue.numbers:
                    return move
            case ToQueue(queue_id=queue_id):
                been = queue_id == call.queue_id or queue_id in call.left_queues
                if not been and pool.queue(queue_id) is not None and pool.takes(call, queue_id):
                    return move
            case ToSite(site_id=site_id):
                if site_skill(site_id) not in call.skills and not pool.is_down(site_id):
                    return move
    return None


def move_by_share(pool: Pool, queue: Queue, call: Call) -> Move:
    """For a call from outside that comes to a queue with a split: where its share leads if it can be followed."""
    share = queue.split[pool.memories.next_share(queue.id)]
    move = Move(pool.now, queue.id, Shared(share.percent), share.to)
    return move_possible(pool, call, [move]) or Move(pool.now, queue.id, Shared(share.percent, True), Stay())


def moves_when_closed(pool: Pool, queue: Queue, *, waiting: bool = False) -> list[Move]:
    """For calls that come to the closed queue; `waiting`: for those that wait in it when it closes."""
    return [
        Move(pool.now, queue.id, rule.when, rule.to)
        for rule in queue.rules
        if isinstance(rule.when, Closed) and (rule.when.waiting or not waiting)
    ]


def moves_when_down(pool: Pool, queue: Queue, site_id: str) -> list[Move]:
    """For the calls that wait when a site goes down."""
    drained = pool.is_only_drained(site_id)
    return [
        Move(pool.now, queue.id, rule.when, rule.to, drained=drained)
        for rule in queue.overflows
        if isinstance(rule.when, SiteDown) and rule.when.site_id == site_id and rule.when.waiting
    ]


def moves_on_entry(pool: Pool, queue: Queue, call: Call) -> Iterator[Move]:
    """For a call that enters and that no agent can take at once."""
    for rule in queue.overflows:
        match rule.when:
            case QueueLength(calls=calls):
                length = pool.length(queue.id)
                if length >= calls:
                    yield Move(pool.now, queue.id, rule.when, rule.to, length)
            case EstimatedWait(seconds=seconds):
                estimate = pool.estimated_wait(call)
                if pool.nobody_serves(call):
                    yield Move(pool.now, queue.id, rule.when, rule.to)
                elif estimate is not None and estimate >= seconds:
                    yield Move(pool.now, queue.id, rule.when, rule.to, estimate)
            case NobodyLoggedIn():
                if pool.nobody_serves(call):
                    yield from _moves_once(pool, queue, call, rule)
            case SiteDown(site_id=site_id):
                if pool.is_down(site_id):
                    drained = pool.is_only_drained(site_id)
                    yield Move(pool.now, queue.id, rule.when, rule.to, drained=drained)
            case _:
                pass


def moves_when_nobody_serves(pool: Pool, queue: Queue, call: Call) -> list[Move]:
    """For a call that waits, and that no agent could serve any more."""
    return [
        move
        for rule in queue.overflows
        if isinstance(rule.when, NobodyLoggedIn)
        for move in _moves_once(pool, queue, call, rule)
    ]


def _moves_once(pool: Pool, queue: Queue, call: Call, rule: OverflowRule) -> list[Move]:
    """A rule that sends the call to a site and keeps it in its queue is followed once: the call could go round."""
    followed = any((one.queue_id, one.why, one.to) == (queue.id, rule.when, rule.to) for one in call.moves)
    return [] if followed else [Move(pool.now, queue.id, rule.when, rule.to)]


def moves_when_waited(queue: Queue, queued_at: datetime, now: datetime) -> list[Move]:
    """For a call that has waited since then."""
    waited = (now - queued_at).total_seconds()
    return [Move(now, queue.id, rule.when, rule.to, waited) for at, rule in _waited(queue, queued_at) if at <= now]


def next_overflow(queue: Queue, queued_at: datetime, after: datetime | None = None) -> datetime | None:
    """When the first rule about waiting comes to hold (later than `after`) for a call that entered at `queued_at`."""
    return min((at for at, _ in _waited(queue, queued_at) if after is None or at > after), default=None)


def rules_due(queue: Queue, queued_at: datetime, at: datetime) -> list[OverflowRule]:
    """The rules about waiting that come to hold at that very time."""
    return [rule for due, rule in _waited(queue, queued_at) if due == at]


def _waited(queue: Queue, queued_at: datetime) -> list[tuple[datetime, OverflowRule]]:
    return [
        (queued_at + timedelta(seconds=rule.when.seconds), rule)
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
