"""The time zones that there are, and the changes of their clocks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from common.time_zones import is_time_zone

ZONES = frozenset(name for name in available_timezones() if is_time_zone(name))
FIRST, LAST = datetime(1971, 2, 1, tzinfo=UTC), datetime(2037, 1, 1, tzinfo=UTC)
MONTH = timedelta(days=28)


def transitions(zone: ZoneInfo, since: datetime = FIRST, until: datetime = LAST) -> Iterator[datetime]:
    """The instants at which the zone's offset from UTC changes; of two within four weeks perhaps one or none."""
    at, offset = since, since.astimezone(zone).utcoffset()
    while at < until:
        later = at + MONTH
        if later.astimezone(zone).utcoffset() != offset:
            low, high = at, later
            while high - low > timedelta(minutes=1):
                middle = low + (high - low) // timedelta(minutes=2) * timedelta(minutes=1)
                low, high = (middle, high) if middle.astimezone(zone).utcoffset() == offset else (low, middle)
            yield high
            later, offset = high, high.astimezone(zone).utcoffset()
        at = later


@cache
def distinct_transitions() -> tuple[tuple[ZoneInfo, datetime], ...]:
    """One change of each kind: offset before, offset after, time of the day."""
    kinds: dict[tuple[object, ...], tuple[ZoneInfo, datetime]] = {}
    for name in sorted(ZONES):
        zone = ZoneInfo(name)
        for change in transitions(zone):
            before, after = (change - timedelta(minutes=1)).astimezone(zone), change.astimezone(zone)
            kinds[before.utcoffset(), after.utcoffset(), after.time()] = (zone, change)
    return tuple(kinds.values())
