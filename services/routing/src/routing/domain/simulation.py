"""A day of a pool under a changed configuration, beside the same day as it was: one answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Final

import msgspec
from common.events import Event

from routing.domain.configuration import AgentProfile, Queue, Site
from routing.domain.inputs import AnyInput
from routing.domain.outcomes import Line, Tally, compare
from routing.domain.playing import NOTHING, Changes, play
from routing.domain.recollection import ANSWER_SECONDS, Day, recollect
from routing.domain.shares import Share

NOTES: Final = (
    "Exact: arrivals, queues, what callers chose in their flow, agents' shifts and breaks, the patience of those who "
    "hung up, who asked to be called back and what came of each attempt that was made, the length of conversations and "
    "wrap-ups that took place, agents' reactions to offers that were made, shares and their bursts, capacities.",
    "Drawn, by seed and call, alike in both simulations: the patience of those who were answered (Kaplan–Meier of "
    "their queue, longer than they are known to have waited), conversation and wrap-up of those who were not (from "
    "those of their queue), reactions to offers and outcomes of attempts to call back that were not made.",
    "A conversation lasts as long as it did, whoever has it. A caller who was handed on arrives when that "
    "conversation ends.",
    "recorded is what really happened; baseline is the day simulated as it was: how far the two agree says how far the "
    "simulation may be believed. The difference is changed minus baseline.",
    "The rules at the beginning are taken to be those before the first change that the inputs tell of.",
)
"""Of every simulation; what one could not know for its own day or changes is told after them."""


PART: Final = 10_000
"""Events between two words of progress."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a simulation depends on."""

    pool_id: str
    start: datetime
    end: datetime
    seed: str
    queues: tuple[Queue, ...]
    profiles: tuple[AgentProfile, ...]
    sites: tuple[Site, ...] = ()
    shares: tuple[Share, ...] = ()
    changes: Changes


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """What it came to."""

    inputs: int
    refused_inputs: int
    """Of those, inputs that changed nothing when they were played again as they were."""
    calls: int
    patience_known: int
    conversation_known: int
    called_back: int = 0
    """Callers who hung up to be called back."""
    lines: list[Line]
    notes: tuple[str, ...] = NOTES


def simulate(task: Task, given: Sequence[AnyInput]) -> Iterator[float | Simulated]:
    """How far it has come, from 0 to 1, again and again; at last what it came to. `given`: the pool's inputs up to the
    end, in their order, from so long before the start that whoever is there at the start has come since."""
    given = [one for one in given if one.occurred_at <= task.end]
    begins = given[0].occurred_at if given else task.start
    recorded = recollect(task.pool_id, begins, task.queues, task.profiles, given, task.sites, task.shares)
    day = recorded.day
    yield 0.3
    happened = Tally(task.start, task.end).hear(recorded.events)
    yield 0.4
    before, after = Tally(task.start, task.end), Tally(task.start, task.end)
    for tally, changes, done in ((before, NOTHING, 0.4), (after, task.changes, 0.7)):
        events = play(day, changes, task.seed, task.end)
        while part := list(islice(events, PART)):
            tally.hear(part)
            yield done + 0.3 * _passed(part[-1], begins, task.end)
    yield Simulated(
        inputs=len(given),
        refused_inputs=day.refused,
        calls=day.draws["calls"],
        patience_known=day.draws["patience_known"],
        conversation_known=day.draws["conversation_known"],
        called_back=day.draws["promised"],
        lines=compare(happened, before, after),
        notes=(*NOTES, *_unknown(day, task.changes)),
    )


def _unknown(day: Day, changes: Changes) -> Iterator[str]:
    """What this day could not tell of these changes."""
    promised = {caller.queue_id for caller in day.callers.values() if caller.promised}
    recorded = {queue.id: queue.callback is not None for queue in day.queues}
    for queue_id, queue in sorted(changes.queues.items()):
        if "callback" not in changes.fields[queue_id]:
            continue
        if queue.callback is None and queue_id in promised:
            yield (
                f"What callers of queue {queue_id} who were called back would have borne on the line is not known: "
                "they wait with a patience that is drawn, longer than they had waited when they hung up."
            )
        elif queue.callback is not None and not recorded.get(queue_id, False):
            yield (
                f"Which callers of queue {queue_id} would have asked to be called back is not known: only those are "
                "whom a rule of overflow or a flow of that day sends there."
            )
    if not day.draws["attempts"] and any(queue.callback for queue in changes.queues.values()):
        yield (
            "Nobody was dialled to be called back that day: every attempt is taken to be answered after "
            f"{ANSWER_SECONDS:g} s."
        )
    if changes.capacities or any(one.capacity for one in changes.added):
        yield (
            "Whether a conversation takes longer beside others is not known: each lasts as long as it did, without the "
            "time for which it is interrupted."
        )
    for tenant_id in sorted(changes.shares):
        burst = changes.shares[tenant_id].burst
        said = any(one.tenant_id == tenant_id and one.burst is not None for one in day.shares)
        if burst is not None and not said:
            yield f"When an operator would have switched {tenant_id}'s burst is not known: it is on in its hours."


def _passed(event: Event, begins: datetime, end: datetime) -> float:
    """The part of the time that is over by then."""
    at: datetime = getattr(event, "occurred_at", begins)
    return min(1.0, (at - begins) / (end - begins)) if end > begins else 1.0
