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
from routing.domain.recollection import recollect

NOTES: Final = (
    "Exact: arrivals, queues, what callers chose in their flow, agents' shifts and breaks, the patience of those who "
    "hung up, the length of conversations and wrap-ups that took place, agents' reactions to offers that were made.",
    "Drawn, by seed and call, alike in both simulations: the patience of those who were answered (Kaplan–Meier of "
    "their queue, longer than they are known to have waited), conversation and wrap-up of those who were not (from "
    "those of their queue), reactions to offers that were not made.",
    "A conversation lasts as long as it did, whoever has it. A caller who was handed on arrives when that "
    "conversation ends.",
    "recorded is what really happened; baseline is the day simulated as it was: how far the two agree says how far the "
    "simulation may be believed. The difference is changed minus baseline.",
    "The rules at the beginning are taken to be those before the first change that the inputs tell of.",
)


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
    changes: Changes


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """What it came to."""

    inputs: int
    refused_inputs: int
    """Of those, inputs that changed nothing when they were played again as they were."""
    calls: int
    patience_known: int
    conversation_known: int
    lines: list[Line]
    notes: tuple[str, ...] = NOTES


def simulate(task: Task, given: Sequence[AnyInput]) -> Iterator[float | Simulated]:
    """How far it has come, from 0 to 1, again and again; at last what it came to. `given`: the pool's inputs up to the
    end, in their order, from so long before the start that whoever is there at the start has come since."""
    given = [one for one in given if one.occurred_at <= task.end]
    begins = given[0].occurred_at if given else task.start
    recorded = recollect(task.pool_id, begins, task.queues, task.profiles, given, task.sites)
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
        lines=compare(happened, before, after),
    )


def _passed(event: Event, begins: datetime, end: datetime) -> float:
    """The part of the time that is over by then."""
    at: datetime = getattr(event, "occurred_at", begins)
    return min(1.0, (at - begins) / (end - begins)) if end > begins else 1.0
