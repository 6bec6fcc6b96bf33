"""Where the steps of time begin and end: quarters of an hour, hours and days of a tenant's clock. Said here alone.

Counts are kept per quarter of an hour of UTC (`kpi.domain.time.interval_of`), so every step consists of whole quarters.
The steps of a zone partition time: each ends where the next begins, and none is empty.

* A day begins with the first quarter in which the clock shows its date or a later one. So a date whose midnight occurs
  twice is one day, from the first midnight on; a date that the clock skips is none.
* An hour begins where the clock shows a full hour, and where its offset from UTC changes. So an hour that the clock
  shows twice is two steps, and a clock change of half an hour leaves a shorter step beside it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from kpi.domain.time import INTERVAL, interval_of

Step = Literal["15m", "1h", "1d"]

USUAL_LENGTH: dict[Step, timedelta] = {"15m": INTERVAL, "1h": timedelta(hours=1), "1d": timedelta(days=1)}
"""Of most steps; a clock change makes some shorter or longer."""

DAY = timedelta(days=1)


def start_of(step: Step, zone: ZoneInfo, when: datetime) -> datetime:
    """Start of the step that holds `when`, in UTC."""
    quarter = interval_of(when)
    match step:
        case "15m":
            return quarter
        case "1h":
            while _hour(zone, quarter - INTERVAL) == _hour(zone, quarter):
                quarter -= INTERVAL
            return quarter
        case "1d":
            day = quarter.astimezone(zone).date()
            # A clock that goes back over midnight shows yesterday's date again, and today has begun.
            while _midnight(zone, day + DAY) <= quarter:
                day += DAY
            return _midnight(zone, day)


def end_of(step: Step, zone: ZoneInfo, start: datetime) -> datetime:
    """End of the step that begins at `start`: where the next one begins, in UTC."""
    match step:
        case "15m":
            return start + INTERVAL
        case "1h":
            end = start + INTERVAL
            while _hour(zone, end) == _hour(zone, start):
                end += INTERVAL
            return end
        case "1d":
            return _midnight(zone, start.astimezone(zone).date() + DAY)


def cuts(step: Step, zone: ZoneInfo, since: datetime, until: datetime) -> list[datetime]:
    """The starts of all steps that overlap [since, until), and the end of the last one."""
    found = [start_of(step, zone, since)]
    while found[-1] < until:
        found.append(end_of(step, zone, found[-1]))
    return found


def _hour(zone: ZoneInfo, quarter: datetime) -> tuple[datetime, timedelta | None]:
    """What the quarters of one hour have in common: the full hour that the clock shows, and its offset from UTC."""
    local = quarter.astimezone(zone)
    return local.replace(minute=0, second=0, microsecond=0, tzinfo=None), local.utcoffset()


def _midnight(zone: ZoneInfo, day: date) -> datetime:
    """The first quarter in which the clock shows `day` or a later date."""
    # Of a midnight that occurs twice this is the first; of one that is skipped, an instant at or after the change.
    quarter = interval_of(datetime.combine(day, time(), zone).astimezone(UTC) + INTERVAL - timedelta(microseconds=1))
    while (quarter - INTERVAL).astimezone(zone).date() >= day:
        quarter -= INTERVAL
    return quarter
