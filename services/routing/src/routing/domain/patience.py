"""How long callers are ready to wait, estimated from those who hung up and those who were answered before.

A caller who hung up shows their patience; one who was answered only shows that it was longer than their wait: a
censored observation. The estimate is that of Kaplan and Meier (1958). Where the largest observation is censored, all
that is left of the probability lies there (Efron 1967): nobody is given a patience that was not seen.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol


class Chance(Protocol):
    """Where draws come from."""

    def random(self) -> float:
        """Uniform, from 0 to below 1."""
        ...


@dataclass(frozen=True, slots=True)
class Survival:
    """S(t) = P(patience > t): a step function that falls to `survivors[i]` at `times[i]` (seconds, ascending)."""

    times: Sequence[float]
    survivors: Sequence[float]

    def at(self, seconds: float) -> float:
        """P(patience > `seconds`)."""
        place = bisect_right(self.times, seconds)
        return 1.0 if place == 0 else self.survivors[place - 1]

    def draw(self, longer_than: float, random: Chance) -> float:
        """A patience, given that it is longer than `longer_than`; one second longer where none such was seen."""
        left = self.at(longer_than)
        if left <= 0:
            return longer_than + 1.0
        target = left * (1.0 - random.random())  # in (0, left]: the first time at which S falls below it
        place = bisect_right(self.survivors, -target, key=lambda survivors: -survivors)
        place = max(place, bisect_right(self.times, longer_than))
        return self.times[place] if place < len(self.times) else max(self.times[-1], longer_than + 1.0)


def kaplan_meier(observations: Iterable[tuple[float, bool]]) -> Survival:
    """The estimate from (seconds, whether they hung up then; if not, they were answered then)."""
    ended: Counter[float] = Counter()
    left: Counter[float] = Counter()
    for seconds, hung_up in observations:
        left[seconds] += 1
        ended[seconds] += hung_up
    at_risk = left.total()
    survival = 1.0
    times: list[float] = []
    survivors: list[float] = []
    for seconds in sorted(left):
        if ended[seconds]:
            survival *= 1 - ended[seconds] / at_risk
            times.append(seconds)
            survivors.append(survival)
        at_risk -= left[seconds]
    if left and survival > 0:
        times.append(max(left))
        survivors.append(0.0)
    return Survival(times, survivors)
