"""What a pool has seen of a queue: how often calls come, how long they take, how long callers wait, and how far the
queue is from its target service level.

calls a second    Σ calls / Σ seconds, both halved with every hour that passes
handling          Σ seconds / Σ calls, both halved with every HALF_LIFE_CALLS calls handled
patience          Σ seconds waited by all / Σ hang-ups: of exponential patience the most likely mean, with the waits
                  that ended otherwise as censored; halved likewise
late              the multiplier of the target, between 0 (easily met) and 1: by each call that is not answered in time
                  (short abandons apart) it rises by LATE_STEP × target, by each that is it falls by
                  LATE_STEP × (1 - target), so that it rests where the target is just met (dual ascent; Boyd and
                  Vandenberghe, "Convex optimization", ch. 5)

Each begins as if a few calls with the usual figures had been seen. What the policy goes by (`used`) follows only when
an estimate has moved by more than MOVED, so that the policy is seldom worked out anew.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Final

import msgspec
from msgspec.structs import replace

HALF_LIFE_SECONDS: Final = 3600.0
HALF_LIFE_CALLS: Final = 500.0
FIRST_SECONDS: Final = 300.0
"""Without any call, that are thought to have gone before the first."""
USUAL_HANDLING: Final = (5.0, 240.0)
"""Calls that are thought to have been handled before the first, and their mean."""
USUAL_PATIENCE: Final = (2.0, 120.0)
"""The same of hang-ups."""
LATE_STEP: Final = 0.05
MOVED: Final = 1.2
"""A ratio by which an estimate must have moved; `late`: by MOVED - 1 itself."""
_ONE_AN_HOUR: Final = 1 / 3600
"""Calls a second; rates are compared with this much added, so that one call in a quiet hour is no news."""
_DAY_SECONDS: Final = 86_400.0
_KEEP: Final = 0.5 ** (1 / HALF_LIFE_CALLS)


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """The estimates that the policy goes by."""

    calls_per_second: float = 0.0
    handling_seconds: float = USUAL_HANDLING[1]
    patience_seconds: float = USUAL_PATIENCE[1]
    late: float = 1.0


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One queue. Saved with its pool."""

    queue_id: str
    tenant_id: str
    at: datetime
    """Of `calls` and `seconds`."""
    calls: float = 0.0
    seconds: float = FIRST_SECONDS
    handled: float = USUAL_HANDLING[0]
    handled_seconds: float = USUAL_HANDLING[0] * USUAL_HANDLING[1]
    hung_up: float = USUAL_PATIENCE[0]
    waited_seconds: float = USUAL_PATIENCE[0] * USUAL_PATIENCE[1]
    late: float = 1.0
    used: Used = Used()
    used_since: datetime | None = None
    """When the estimates were last taken over; None: not yet."""

    def _until(self, now: datetime) -> Figures:
        passed = max(0.0, (now - self.at).total_seconds())
        keep = 0.5 ** (passed / HALF_LIFE_SECONDS)
        new_seconds = (1 - keep) * HALF_LIFE_SECONDS / math.log(2)
        return replace(self, at=now, calls=self.calls * keep, seconds=self.seconds * keep + new_seconds)

    def arrived(self, now: datetime) -> Figures:
        """One more call has entered the queue."""
        until = self._until(now)
        return replace(until, calls=until.calls + 1)

    def waited(self, seconds: float, *, hung_up: bool) -> Figures:
        """A caller's wait is over, by themselves or otherwise."""
        if seconds <= 0:
            return self
        return replace(
            self,
            hung_up=self.hung_up * _KEEP + hung_up,
            waited_seconds=self.waited_seconds * _KEEP + seconds,
        )

    def was_handled(self, seconds: float) -> Figures:
        """A call's conversation and wrap-up took so long."""
        return replace(self, handled=self.handled * _KEEP + 1, handled_seconds=self.handled_seconds * _KEEP + seconds)

    def was_due(self, target: float, *, in_time: bool) -> Figures:
        """A call was answered within the threshold of the service level, or it was not."""
        step = LATE_STEP * (target - in_time)
        return replace(self, late=min(1.0, max(0.0, self.late + step)))

    def estimated(self, now: datetime) -> Used:
        """What is estimated at this time."""
        until = self._until(now)
        return Used(
            calls_per_second=until.calls / until.seconds,
            handling_seconds=max(1.0, self.handled_seconds / self.handled),
            patience_seconds=min(_DAY_SECONDS, max(1.0, self.waited_seconds / max(self.hung_up, 1e-9))),
            late=self.late,
        )

    def moved(self, now: datetime) -> bool:
        """Whether an estimate is far from what is used."""
        new, used = self.estimated(now), self.used
        pairs = (
            (new.calls_per_second + _ONE_AN_HOUR, used.calls_per_second + _ONE_AN_HOUR),
            (new.handling_seconds, used.handling_seconds),
            (new.patience_seconds, used.patience_seconds),
        )
        return abs(new.late - used.late) > MOVED - 1 or any(
            not 1 / MOVED <= one / other <= MOVED for one, other in pairs
        )
