"""When a person may be called: the campaign's hours, by the clock on that person's wall, wherever they may be.

The hours are those of `common.hours`, without a time zone of their own. Of a person who may be in several time zones
(see `zones`), they count in all of them at once. A span ends on the day on which it begins: nobody means to call
people through the night.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from common import hours as common
from common.hours import Closed, Hours

_HORIZON_DAYS: Final = 30
"""Further than this, or than a week after the last exception, nobody looks: zones that do not meet in a month of weeks
do not meet."""


@lru_cache(maxsize=1024)
def closed_by(hours: Hours, zones: tuple[str, ...], at: datetime) -> Closed | None:
    """Why nobody may be called at that instant: the rule of the first zone in which it is closed. None: it is open."""
    closed = (common.closed_by(hours, zone, at) for zone in zones)
    return next((reason for reason in closed if reason is not None), None)


@lru_cache(maxsize=1024)
def next_open(hours: Hours, zones: tuple[str, ...], at: datetime) -> datetime | None:
    """The first instant from `at` on (UTC) at which the hours are open in all zones at once; None: not foreseen."""
    exceptions_end = (hours.exceptions[-1][0] - at.date()).days + 8 if hours.exceptions else 0
    last = at + timedelta(days=max(_HORIZON_DAYS, exceptions_end))
    instant = at
    while True:
        # No zone is open before the instant to which this goes on, so no opening is passed over.
        begun = instant
        for zone in zones:
            opening = common.next_opening(hours, zone, instant)
            if opening is None:
                return None
            instant = opening
        if instant == begun:
            return instant
        if begun > last:
            return None
