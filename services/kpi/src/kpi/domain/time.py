"""Instants and durations as the figures use them: intervals of 15 minutes in UTC, durations as whole milliseconds.

Sums of floats depend on their order, so every duration becomes an integer before it is added to anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from common.errors import InvalidEvent

INTERVAL = timedelta(minutes=15)
INTERVAL_MILLISECONDS = 15 * 60 * 1000
MILLISECOND = timedelta(milliseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_YEAR = 3000
LONGEST_SECONDS = 366 * 86_400.0
"""Nothing that is counted here lasts longer; a longer duration is an error of the producer."""


def milliseconds(seconds: float) -> int:
    """Whole milliseconds of a duration in seconds, half up, from its microseconds (the clock's resolution).

    Raises InvalidEvent for a negative, infinite or absurdly long duration.
    """
    if not 0 <= seconds <= LONGEST_SECONDS:
        raise InvalidEvent(f"a duration of {seconds} s is not between 0 and {LONGEST_SECONDS:.0f} s")
    return (round(seconds * 1_000_000) + 500) // 1000


def interval_of(when: datetime) -> datetime:
    """Start of the 15 minutes that hold `when`."""
    utc = _utc(when)
    return utc.replace(minute=utc.minute - utc.minute % 15, second=0, microsecond=0)


def minute_of(when: datetime) -> datetime:
    """Start of the minute that holds `when`."""
    return _utc(when).replace(second=0, microsecond=0)


def _utc(when: datetime) -> datetime:
    if when.tzinfo is None:
        raise InvalidEvent(f"the time {when.isoformat()} has no offset from UTC")
    if not EPOCH.year < when.year < LAST_YEAR:
        raise InvalidEvent(f"the time {when.isoformat()} is not of our age")
    return when if when.tzinfo is UTC else when.astimezone(UTC)


def split(start: datetime, duration: int) -> Iterator[tuple[datetime, int]]:
    """Splits `duration` milliseconds from `start` over the intervals that they span; the parts add up to `duration`."""
    at = (_utc(start) - EPOCH) // MILLISECOND
    end = at + duration
    while at < end:
        interval = at - at % INTERVAL_MILLISECONDS
        until = min(end, interval + INTERVAL_MILLISECONDS)
        yield EPOCH + timedelta(milliseconds=interval), until - at
        at = until
