"""How good the estimated waits are: `python tests/bench/bench_estimates.py [calls.csv]`.

Simulated M/M/n+M queues, where everybody who has to wait is told an estimate at once, and it is compared with how long
they would have waited if they had stayed (for those who gave up, until an agent came free with nobody before them);
beside it, told to the same callers, the naive reference: the wait of the last caller who reached an agent. With a
call-by-call file in the format of the Technion's anonymous bank also on its calls, of which only those who reached an
agent can be compared. Last line: one line of JSON, of the simulated queues.
"""

from __future__ import annotations

import csv
import heapq
import json
import random
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from floors import Loop, ratio
from routing.domain.estimates import Estimator

START = datetime(2026, 3, 2, tzinfo=UTC)
WARM_UP = 200
"""Callers who wait before the first comparison."""
WAITS = 20_000
"""Callers who wait in each case."""
CASES = ((6.0, 240.0, 120.0, 24), (200 / 60, 180.0, 180.0, 12), (48.0, 60.0, 120.0, 50), (1.0, 300.0, 600.0, 5))
"""Calls a minute, mean handling and patience in seconds, agents."""


@dataclass
class Told:
    """What a caller was told on arrival, and when that was."""

    at: float
    estimate: float | None
    naive: float | None
    gone: bool = False


@dataclass
class Errors:
    """Differences between told and true waits, in seconds."""

    estimated: list[float] = field(default_factory=list)
    naive: list[float] = field(default_factory=list)

    def add(self, told: Told, wait: float) -> None:
        if told.estimate is not None and told.naive is not None:
            self.estimated.append(told.estimate - wait)
            self.naive.append(told.naive - wait)

    def figures(self) -> dict[str, float]:
        return {
            "estimate_mae_seconds": round(_mean([abs(one) for one in self.estimated]), 2),
            "estimate_bias_seconds": round(_mean(self.estimated), 2),
            "naive_mae_seconds": round(_mean([abs(one) for one in self.naive]), 2),
        }


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _moment(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def simulate(rate: float, handling: float, patience: float, agents: int, waits: int, seed: int) -> Errors:
    """One queue in which `waits` callers have to wait."""
    chance, errors, estimator = random.Random(seed), Errors(), Estimator()
    queue: deque[Told] = deque()
    agenda: list[tuple[float, int, str, Told | None]] = [(0.0, 0, "arrival", None)]
    number, busy, waited, last = 0, 0, 0, None
    while waited < waits:
        now, _, what, caller = heapq.heappop(agenda)
        number += 1
        if what == "arrival":
            heapq.heappush(agenda, (now + chance.expovariate(rate / 60), number, "arrival", None))
            number += 1
            if busy < agents:
                busy += 1
                heapq.heappush(agenda, (now + chance.expovariate(1 / handling), number, "end", None))
                continue
            waited += 1
            known = waited > WARM_UP
            told = Told(now, estimator.seconds(estimator.waiting) if known else None, last if known else None)
            queue.append(told)
            estimator.enter(_moment(now))
            heapq.heappush(agenda, (now + chance.expovariate(1 / patience), number, "patience", told))
        elif what == "patience":
            assert caller is not None
            if not caller.gone:
                caller.gone = True
                estimator.abandon(_moment(now))
        else:
            served = None
            while queue and served is None:
                first = queue.popleft()
                # Who gave up and would be first by now: this agent would have been theirs, and the next one too.
                errors.add(first, now - first.at)
                served = None if first.gone else first
            if served is None:
                busy -= 1
                continue
            served.gone = True
            last = now - served.at
            estimator.serve(_moment(now))
            heapq.heappush(agenda, (now + chance.expovariate(1 / handling), number, "end", None))
    return errors


def recorded(path: str) -> Errors:
    """The file's queue entries and exits, service type by service type."""
    errors = Errors()
    by_type: dict[str, list[tuple[float, int, int, str]]] = {}
    with open(path, newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            if int(row["q_time"]) > 0 and row["outcome"] in ("AGENT", "HANG"):
                entered = _seconds(row["date"], row["q_start"])
                moments = by_type.setdefault(row["type"], [])
                moments.append((entered, 0, number, row["outcome"]))
                moments.append((entered + int(row["q_time"]), 1, number, row["outcome"]))
    for moments in by_type.values():
        estimator, told, last = Estimator(), dict[int, Told](), None
        for at, leaves, number, outcome in sorted(moments):
            if not leaves:
                told[number] = Told(at, estimator.seconds(estimator.waiting), last)
                estimator.enter(_moment(at))
            elif outcome == "AGENT":
                last = at - told[number].at
                errors.add(told[number], last)
                estimator.serve(_moment(at))
            else:
                estimator.abandon(_moment(at))
    return errors


def _seconds(date: str, clock: str) -> float:
    hours, minutes, seconds = (int(part) for part in clock.split(":"))
    day = datetime.fromisoformat(date).replace(tzinfo=UTC)
    return (day - START).total_seconds() + hours * 3600 + minutes * 60 + seconds


def cases(waits: int) -> Iterator[tuple[str, Errors]]:
    for seed, (rate, handling, patience, agents) in enumerate(CASES):
        title = f"{agents} agents, {rate:.1f} calls/min of {handling:.0f} s, patience {patience:.0f} s"
        yield title, simulate(rate, handling, patience, agents, waits, seed)


def main() -> None:
    whole, loop, took = Errors(), Loop(), 0.0
    each = cases(WAITS)
    for _ in CASES:
        loop.sample()
        began = time.perf_counter()
        title, errors = next(each)
        took += time.perf_counter() - began
        print(f"{title}: {errors.figures()}", flush=True)
        whole.estimated += errors.estimated
        whole.naive += errors.naive
    for path in sys.argv[1:2]:
        print(f"{path}, calls that reached an agent: {recorded(path).figures()}")
    rate = WAITS * len(CASES) / took
    speed = {"estimates_per_second": round(rate), "estimates_vs_loop": ratio(rate, loop.per_second)}
    print(json.dumps(whole.figures() | speed | loop.figures()))


if __name__ == "__main__":
    main()
