"""Ways to serve the same callers with the same agents, so that one day of a file can be played under each.

privileged      callers to whom the file gives priority are ahead by 90 seconds of waiting, as its publishers describe;
                of several free agents the longest idle
first_come      all callers in the order of their arrival; the longest idle agent
least_flexible  as privileged; of several free agents the one who can serve the fewest types
weights         by declared weights: a privileged caller lost costs LOST_PRIVILEGED times another one; rates, handling
                times and patience as they were in what is played
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from plateau.floor import Floor
from plateau.floor.model import Queue
from plateau.replay.calls import PastCall
from plateau.replay.plan import Plan, queue_id_of

DEFAULT: Final = "privileged"
LOST_PRIVILEGED: Final = 3.0


def under(plan: Plan, policy: str) -> Plan:
    """The same plan with the queues' rules of this policy. KeyError: there is none of that name."""
    queues = POLICIES[policy](plan.floor, plan.past)
    return replace(plan, floor=replace(plan.floor, queues=tuple(queues)))


def _privileged(floor: Floor, past: Sequence[PastCall]) -> list[Queue]:
    return list(floor.queues)


def _first_come(floor: Floor, past: Sequence[PastCall]) -> list[Queue]:
    return [replace(queue, priority=0) for queue in floor.queues]


def _least_flexible(floor: Floor, past: Sequence[PastCall]) -> list[Queue]:
    return [replace(queue, agent_order="least_flexible") for queue in floor.queues]


def _weights(floor: Floor, past: Sequence[PastCall]) -> list[Queue]:
    calls: dict[str, list[PastCall]] = defaultdict(list)
    for call in past:
        calls[queue_id_of(call)].append(call)
    hours = sum(_hours_open([call for call in past if call.day == day]) for day in {call.day for call in past})
    return [
        replace(
            queue,
            weights={
                "lost_call_cost": LOST_PRIVILEGED if queue.priority else 1.0,
                "calls_per_hour": len(calls[queue.id]) / hours,
                "handling_seconds": _handling_seconds(calls[queue.id]),
                "patience_seconds": _patience_seconds(calls[queue.id]),
            },
        )
        for queue in floor.queues
    ]


def _hours_open(day: Sequence[PastCall]) -> float:
    """From the first arrival to the last, at least a quarter of an hour."""
    arrivals = [call.arrival for call in day]
    return max(0.25, (max(arrivals) - min(arrivals)).total_seconds() / 3600)


def _handling_seconds(calls: Sequence[PastCall]) -> float:
    served = [call.service_seconds for call in calls if call.answered]
    return max(1.0, sum(served) / len(served)) if served else 240.0


def _patience_seconds(calls: Sequence[PastCall]) -> float:
    """All waiting over the number of those who hung up: the likeliest mean of exponential patience, of which an answer
    shows only that it was longer than the wait."""
    lost = sum(not call.answered for call in calls)
    return min(3600.0, max(1.0, sum(call.wait_seconds for call in calls) / lost)) if lost else 3600.0


POLICIES: Final = MappingProxyType[str, Callable[[Floor, Sequence[PastCall]], list[Queue]]](
    {"privileged": _privileged, "first_come": _first_come, "least_flexible": _least_flexible, "weights": _weights}
)
