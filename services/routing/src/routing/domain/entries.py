"""How a call comes into a queue, and where it goes on to from there: another queue, a site, a number, a message."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, assert_never

from common.events import CallOverflowed, CallQueued, CallRedirected
from msgspec.structs import replace

from routing.domain import announcements, callbacks, engagements, moves, overflows
from routing.domain.call_states import Queued, Redirected
from routing.domain.calls import Call, Move
from routing.domain.configuration import (
    Closed,
    Queue,
    Stay,
    ToCallback,
    ToMessage,
    ToNumber,
    ToQueue,
    ToSite,
    site_skill,
    without_sites,
)
from routing.domain.telling import seconds

if TYPE_CHECKING:
    from routing.domain.turns import Turn


def take_in(turn: Turn, call: Call, queue: Queue) -> None:
    """A call that was just offered enters its queue, unless that is closed to it: then it is turned away."""
    if queue.elsewhere is not None:
        moves.hand_over(turn, call, Queued(None, None), queue.elsewhere, "comes")
        return
    if turn.pool.takes(call, queue.id):
        if queue.split and call.direction == "inbound" and call.transferred_from is None:
            _share_out(turn, call, queue)
        else:
            enter(turn, call, queue)
        return
    move = overflows.move_possible(turn.pool, call, overflows.moves_when_closed(turn.pool, queue))
    move_on(turn, call, move or Move(turn.pool.now, queue.id, Closed(), ToMessage("closed")))


def _share_out(turn: Turn, call: Call, queue: Queue) -> None:
    """By the queue's split the call enters, for whatever agents or those of one site, or goes elsewhere."""
    move = overflows.move_by_share(turn.pool, queue, call)
    if isinstance(move.to, Stay):
        enter(turn, replace(call, moves=(*call.moves, move)), queue)
    else:
        move_on(turn, call, move)


def empty_if_closed(turn: Turn, queue_id: str) -> None:
    """The queue may just have closed: calls that wait in it go where a rule says so; others keep their place."""
    queue = turn.pool.queue(queue_id)
    if queue is None or turn.pool.is_open(queue_id) or queue.override == "draining":
        return
    moves = overflows.moves_when_closed(turn.pool, queue, waiting=True)
    for call in turn.pool.waiting_in(queue_id) if moves else ():
        move = overflows.move_possible(turn.pool, call, moves)
        if move is not None:
            move_on(turn, call, move)


def follow_cover(turn: Turn, queue_id: str) -> None:
    """Other sites may cover the queue: who waits in it is placed anew."""
    queue = turn.pool.queue(queue_id)
    if queue is not None and queue.cover:
        turn.serve_queue(queue_id)


def enter(turn: Turn, call: Call, queue: Queue, *, promised_by: str | None = None) -> None:
    """The call enters a queue: its first, or the one it overflows to. `promised_by`: the step of its flow by which
    the caller hangs up at once, to be called back."""
    if queue.elsewhere is not None and promised_by is None:
        moves.hand_over(turn, replace(call, queue_id=queue.id), Queued(None, None), queue.elsewhere, "enters")
        return
    freed = None
    if turn.pool.callbacks and call.entry == 0:
        call, freed = callbacks.take_over(turn, call)
    call = _queued(turn, call, queue)
    if promised_by is not None:
        callbacks.hold(turn, call, promised_by=promised_by, freed=freed)
        return
    if freed is not None:
        if isinstance(call.state, Queued) and turn.pool.preferred(call, call.state.ring) is None:
            call = replace(call, state=replace(call.state, alone_until=None))
        turn.pool.put_call(call)
        engagements.take_more(turn, freed)
        call = turn.pool.calls[call.id]
    if isinstance(call.state, Queued):
        _wait(turn, call, queue)


def _queued(turn: Turn, call: Call, queue: Queue) -> Call:
    """The call is one of the queue's; where it waits is still to be said."""
    now = turn.pool.now
    limits = []
    if queue.max_wait_seconds is not None:
        limits.append(now + timedelta(seconds=queue.max_wait_seconds))
    if call.max_wait_seconds is not None:
        limits.append(call.first_queued_at + timedelta(seconds=call.max_wait_seconds))
    alone_until = None
    if call.preferred_agent_id is not None and call.offers == 0 and queue.sticky_seconds > 0:
        alone_until = now + timedelta(seconds=queue.sticky_seconds)
    waiting = Queued(
        min(limits, default=None),
        overflows.next_overflow(queue, now),
        alone_until=alone_until,
        announce_at=announcements.next_announcement(queue, now, now),
    )
    call = replace(
        call,
        queue_id=queue.id,
        entry=call.entry + 1,
        queued_at=now,
        sequence=call.sequence + 1,
        state=waiting,
    )
    turn.tell(CallQueued, call)
    return call


def _wait(turn: Turn, call: Call, queue: Queue) -> None:
    now = turn.pool.now
    open_ring = queue.ring_at(now, now)[0]
    if queue.overflows and turn.pool.agent_for(call, open_ring) is None:
        move = overflows.move_possible(turn.pool, call, overflows.moves_on_entry(turn.pool, queue, call))
        if move is not None:
            move_on(turn, call, move)
            return
    if isinstance(call.state, Queued):
        turn.place(call, call.state)


def follow_staff(turn: Turn) -> None:
    """After agents have come or gone, and other changes of who could serve whom: a call that nobody could serve any
    more goes where a rule of its queue says so; one that was handed on rings at who did if nobody else is left."""
    pool = turn.pool
    while pool.staff.is_to_be_looked_at:
        queue_ids, handed_on = pool.staff.look()
        for queue_id in queue_ids:
            for call in pool.unserved(queue_id):
                move = overflows.move_possible(
                    pool, call, overflows.moves_when_nobody_serves(pool, turn.queue_of(call), call)
                )
                if move is not None:
                    move_on(turn, call, move)
        turn.place_anew(one.id for one in pool.in_order(handed_on) if not pool.is_barred(one.handed_on_by or "", one))


def overflow(turn: Turn, call: Call) -> None:
    """The call has waited as long as a rule of its queue allows, or allowed when it came."""
    if not isinstance(call.state, Queued):
        raise AssertionError(f"call {call.id} is {call.state_name} and cannot overflow")
    now, queue = turn.pool.now, turn.queue_of(call)
    move = overflows.move_possible(turn.pool, call, overflows.moves_when_waited(queue, call.queued_at, now))
    later = replace(call.state, overflow_at=overflows.next_overflow(queue, call.queued_at, after=now))
    if move is not None:
        move_on(turn, replace(call, state=later), move)
        return
    # It stays until the next such rule, if there is one: where this one leads is closed, or it was taken away.
    turn.place(call, later)


def move_on(turn: Turn, call: Call, move: Move) -> None:
    """The call leaves its queue, which it may not even have entered."""
    call = replace(call, moves=(*call.moves, move))
    match move.to:
        case ToMessage(message=message):
            turn.abandon(call, move.reason, message)
        case ToCallback():
            callbacks.hold(turn, call if call.entry else _queued(turn, call, turn.queue_of(call)))
        case ToQueue(queue_id=queue_id):
            _go_to(turn, call, queue_id)
        case ToNumber(name=name):
            _redirect(turn, call, name)
        case ToSite(site_id=site_id):
            call = replace(call, skills=(*without_sites(call.skills), site_skill(site_id)))
            if not call.entry:
                enter(turn, call, turn.queue_of(call))
            elif isinstance(call.state, Queued):
                turn.place(call, call.state)
        case Stay():
            raise AssertionError(f"call {call.id} stays, and does not move on")
        case _:
            assert_never(move.to)


def _redirect(turn: Turn, call: Call, name: str) -> None:
    """The caller goes to a number outside: the call is over."""
    now, number = turn.pool.now, turn.queue_of(call).numbers[name]
    call = turn.put(replace(call, transferred_to=number), Redirected(now, number))
    turn.tell(
        CallRedirected,
        call,
        redirected_at=now,
        to_number=number,
        to_name=name,
        wait_seconds=seconds(call.queued_at, now),
        total_wait_seconds=seconds(call.first_queued_at, now),
    )


def _go_to(turn: Turn, call: Call, queue_id: str) -> None:
    target = turn.pool.queue(queue_id)
    if target is None:
        raise AssertionError(f"call {call.id} cannot go to queue {queue_id}, which nobody knows")
    call = replace(call, sequence=call.sequence + 1)
    waited = seconds(call.queued_at, turn.pool.now)
    turn.tell(CallOverflowed, call, to_queue_id=target.id, wait_seconds=waited)
    left = (*call.left_queues, call.queue_id)
    enter(turn, replace(call, left_queues=left, skills=without_sites(call.skills)), target)
