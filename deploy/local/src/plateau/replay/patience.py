"""How long each caller would have waited.

A caller who hung up shows their patience; one who was answered only shows that it was longer than their wait: a
censored observation. So the patience of answered calls is drawn from the Kaplan–Meier estimate of their service type
(Kaplan and Meier 1958), on condition that it exceeds the wait that they are known to have borne. Where the largest
observation is censored, all that is left of the probability lies there (Efron 1967): nobody is given a patience that
the file has not seen.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from plateau.replay.calls import Outcome, PastCall


@dataclass(frozen=True, slots=True)
class Survival:
    """S(t) = P(patience > t): a step function that falls to `survivors[i]` at `times[i]` (seconds, ascending)."""

    times: Sequence[float]
    survivors: Sequence[float]

    def at(self, seconds: float) -> float:
        """P(patience > `seconds`)."""
        place = bisect_right(self.times, seconds)
        return 1.0 if place == 0 else self.survivors[place - 1]

    def draw(self, longer_than: float, random: Random) -> float:
        """A patience, given that it is longer than `longer_than`; one second longer where the file knows of none."""
        left = self.at(longer_than)
        if left <= 0:
            return longer_than + 1.0
        target = left * (1.0 - random.random())  # in (0, left]: the first time at which S falls below it
        for time, survivors in zip(self.times, self.survivors, strict=True):
            if time > longer_than and survivors < target:
                return time
        return max(self.times[-1], longer_than + 1.0)


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


def estimates(calls: Iterable[PastCall]) -> dict[str, Survival]:
    """One estimate per service type, from the calls that waited in a queue."""
    seen: dict[str, list[tuple[float, bool]]] = {}
    for call in calls:
        if call.offered:
            observed = seen.setdefault(call.service_type, [])
            if call.queued:
                observed.append((call.wait_seconds, call.outcome is Outcome.HANG))
    return {service_type: kaplan_meier(observed) for service_type, observed in seen.items()}


def patience_of(call: PastCall, survival: Mapping[str, Survival], seed: str) -> float:
    """Seconds that the caller waits: known for those who hung up, drawn for those who were answered.

    The same for the same seed, whatever other calls are played.
    """
    if call.outcome is Outcome.HANG:
        return call.wait_seconds
    estimate = survival[call.service_type]
    if not estimate.times:
        return call.wait_seconds + 1.0
    return estimate.draw(call.wait_seconds, Random(f"{seed}/patience/{call.number}"))
