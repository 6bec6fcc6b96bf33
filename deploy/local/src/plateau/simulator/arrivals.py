"""When callers call: non-homogeneous Poisson arrivals by the tenant's time of day; and the times that they take."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

SHAPES: Final[dict[str, tuple[float, ...]]] = {
    "flat": (1.0,) * 24,
    "office": (
        *(0.0,) * 7, 0.15, 0.55, 0.9, 1.0, 0.95, 0.6, 0.6, 0.85, 0.9, 0.85, 0.7, 0.45, 0.2, *(0.0,) * 4,
    ),
    "round-the-clock": (
        0.12, 0.08, 0.06, 0.05, 0.08, 0.2, 0.5, 0.85, 1.0, 0.95, 0.9, 0.9,
        0.85, 0.8, 0.8, 0.85, 0.95, 1.0, 0.9, 0.7, 0.5, 0.4, 0.3, 0.2,
    ),
}  # fmt: skip
"""Share of the peak rate by hour of the tenant's day."""

_SECOND: Final = timedelta(seconds=1)


def rate_of_day(peak_per_hour: float, shape: Sequence[float], time_zone: str) -> Callable[[datetime], float]:
    """Calls per hour at a moment: the peak times the hour's share, in the tenant's time zone."""
    zone = ZoneInfo(time_zone)

    def rate(moment: datetime) -> float:
        return peak_per_hour * shape[moment.astimezone(zone).hour]

    return rate


def arrivals(
    rate: Callable[[datetime], float], peak_per_hour: float, start: datetime, random: Random
) -> Iterator[datetime]:
    """Arrival times after `start`, for ever: thinning (Lewis and Shedler 1979). `rate` must not pass the peak.

    Yields nothing when the peak is not positive.
    """
    if peak_per_hour <= 0:
        return
    moment = start
    while True:
        moment += timedelta(seconds=random.expovariate(peak_per_hour / 3600))
        if random.random() * peak_per_hour < rate(moment):
            yield moment


def lognormal(mean: float, variation: float, random: Random) -> float:
    """A lognormal duration with this mean and this coefficient of variation (standard deviation over mean)."""
    variance = math.log(1 + variation * variation)
    return random.lognormvariate(math.log(mean) - variance / 2, math.sqrt(variance))


def exponential(mean: float, random: Random) -> float:
    """An exponential duration with this mean."""
    return random.expovariate(1 / mean)


def seconds_between(earlier: datetime, later: datetime) -> float:
    return (later - earlier) / _SECOND
