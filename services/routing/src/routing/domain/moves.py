"""Calls that go to a queue of another pool: who waits goes over at their place, who is spoken with finishes here.

A pool may know a queue that is at home elsewhere: the queue has moved there, live, or a rule here leads to it.
Whatever comes to such a queue here, or still waits in it (a missed offer, a flow, an overflow), is handed over whole,
by an input of the other pool that is published with the state in which this pool has no longer got the call. So a call
is in one pool, or on its way to one, and keeps its id, its history and its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from routing.domain import callbacks, consultations, entries, inputs
from routing.domain.agents import Available
from routing.domain.call_states import HeldPlace, Queued
from routing.domain.calls import Call, Phase, Removal

if TYPE_CHECKING:
    from routing.domain.turns import Turn


def hand_over(turn: Turn, call: Call, waiting: Queued | HeldPlace, pool_id: str, phase: Phase = "waits") -> None:
    """The call goes on in the other pool: it waits there at the place that its waiting time gives it, enters its queue,
    or is taken in by it. A consultation, whose agent speaks here, is given up."""
    if call.is_consultation:
        consultations.give_up(turn, call)
        return
    waiting = replace(waiting, ring=0, widens_at=None)
    if isinstance(waiting, Queued):
        waiting = replace(waiting, alone_until=None)
    removal = Removal(turn.pool.now, call.queue_id, turn.pool.id, pool_id, phase)
    call = replace(call, state=waiting, moving_to=pool_id, removals=(*call.removals, removal))
    turn.pool.hand_out(call)
    given = inputs.TakeOver(
        tenant_id=call.tenant_id, pool_id=pool_id, occurred_at=turn.pool.now, call=call, phase=phase
    )
    turn.publish(given, call.traceparent)


def take_over(turn: Turn, given: inputs.TakeOver) -> str | None:
    """The call is one of this pool from now on. Again is nothing."""
    call, queue, waiting = replace(given.call, moving_to=None), turn.pool.queue(given.call.queue_id), given.call.state
    if call.id in turn.pool.calls:
        return None
    if queue is None:
        return "unknown_queue"
    match given.phase:
        case "comes":
            entries.take_in(turn, call, queue)
        case "enters":
            entries.enter(turn, call, queue)
        case "waits" if isinstance(waiting, Queued):
            turn.place(call, waiting)
        case "waits" if isinstance(waiting, HeldPlace):
            call, freed = callbacks.take_over(turn, call)
            turn.pool.put_call(call)
            callbacks.place_after(turn, call, waiting, freed)
        case _:
            raise AssertionError(f"call {call.id} is {call.state_name} and cannot be handed over")
    return None


def tell_agents(turn: Turn, queue_id: str) -> None:
    """The queue has come or gone: whoever counts on the available agents who may serve it, as the dialer does, is told
    anew which queues they have. Agents with calls tell it when these are over."""
    for agent_id in sorted(turn.pool.agents):
        agent = turn.pool.agents[agent_id]
        if isinstance(agent.state, Available) and turn.pool.fits(agent_id, queue_id):
            turn.move(agent, Available(turn.pool.now), turn.traceparent)


def send_on(turn: Turn, given: inputs.OfferCall, pool_id: str) -> None:
    """A new call for the queue came to a pool where it is not at home."""
    turn.publish(replace(given, pool_id=pool_id), turn.traceparent)
