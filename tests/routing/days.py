"""Days of a floor whose callers and agents act by chance, to be simulated again."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from typing import Any

from common.events import CallAnswered, CallAssigned, CallEnded, CallOfferMissed
from common.events.base import Event
from routing.domain import inputs

from .floors import Floor, at


class Day:
    """What is still to come on the floor, and how agents react. A share `miss` of the offers is missed."""

    def __init__(self, floor: Floor, seed: int, miss: float) -> None:
        self.floor = floor
        self.chance = random.Random(seed)
        self._miss = miss
        self._heap: list[tuple[float, int, Any, dict[str, Any]]] = []
        self.planned = 0
        """How much was planned until now: a number for the next one."""

    def plan(self, seconds: float, kind: Any, **fields: Any) -> None:
        """An input, or whatever else `kind` names, at that time; times are whole milliseconds."""
        self.planned += 1
        heapq.heappush(self._heap, (round(seconds, 3), self.planned, kind, fields))

    def callers(self, until: float, an_hour: float, *queue_ids: str) -> Iterator[tuple[float, str]]:
        """When callers come, and for which of the queues."""
        seconds = 0.0
        while (seconds := seconds + self.chance.expovariate(an_hour / 3600)) < until:
            yield seconds, self.chance.choice(queue_ids)

    def steps(self) -> Iterator[tuple[float, Any, dict[str, Any]]]:
        """What is planned, in its order, until nothing is left; the pool's timers in between."""
        while self._heap:
            due = self.floor.pool.next_due()
            if due is not None and due <= at(self._heap[0][0]):
                yield (due - at(0)).total_seconds(), inputs.Tick, {}
            else:
                seconds, _, kind, fields = heapq.heappop(self._heap)
                yield seconds, kind, fields

    def react(self, event: Event) -> None:
        """Agents accept after a moment, talk, wrap up, and come back a minute after they missed an offer."""
        now, chance = seconds_of(event), self.chance
        match event:
            case CallOfferMissed():
                self.plan(now + 60, inputs.SetState, agent_id=event.agent_id, state="available")
            case CallAssigned() if chance.random() >= self._miss:
                self.plan(now + chance.uniform(1, 6), inputs.Accept, call_id=event.call_id, agent_id=event.agent_id)
            case CallAnswered():
                self.plan(now + chance.expovariate(1 / 200), inputs.HangUp, call_id=event.call_id)
            case CallEnded():
                self.plan(now + chance.uniform(3, 20), inputs.WrapUp, call_id=event.call_id, agent_id=event.agent_id)
            case _:
                pass


def seconds_of(event: Event) -> float:
    """When it happened, on the floor's clock."""
    return (event.occurred_at - at(0)).total_seconds()  # type: ignore[attr-defined, no-any-return]
