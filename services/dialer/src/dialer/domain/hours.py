"""Calling hours: on which weekdays, between which wall-clock times, a person may be called.

Hours are local times of the person who is called. A window is open from its opening minute up to, not including, its
closing minute, by the clock on that person's wall: on the day of a change of clocks it opens and closes when the wall
clock says so, however long or short that day is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Final, Self
from zoneinfo import ZoneInfo

from common.hours import WEEKDAYS, clock_change, minute_of, text_of

_HORIZON_DAYS: Final = 9
"""A week and the days cut off at its ends by time zones: what is not open within it is not open in any week."""


class InvalidHours(ValueError):
    """Calling hours that cannot be. `place` names where, as `mon[0]`."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place = place
        self.reason = reason


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """Open from minute `opens` to before minute `closes` after local midnight; 0 ≤ opens < closes ≤ 1440."""

    opens: int
    closes: int


@dataclass(frozen=True, slots=True)
class CallingHours:
    """Windows of each weekday, Monday first, sorted and without overlap."""

    days: tuple[tuple[Window, ...], ...]

    @classmethod
    def parse(cls, week: Mapping[str, Sequence[Sequence[str]]]) -> Self:
        """Read `{"mon": [["10:00", "13:00"], …], …}`; a weekday that is not named is closed; 24:00 ends a day.

        Raises InvalidHours with the place of the first thing wrong, also when no day has a window.
        """
        for day in week:
            if day not in WEEKDAYS:
                raise InvalidHours(day, f"not a weekday; weekdays are {', '.join(WEEKDAYS)}")
        days = []
        for day in WEEKDAYS:
            windows = sorted(_window(f"{day}[{n}]", times) for n, times in enumerate(week.get(day, ())))
            for earlier, later in pairwise(windows):
                if later.opens < earlier.closes:
                    raise InvalidHours(day, f"{text_of(later.opens)} lies within another window")
            days.append(tuple(windows))
        if not any(days):
            raise InvalidHours("calling_hours", "no weekday has a window, so nobody could ever be called")
        return cls(tuple(days))

    def as_mapping(self) -> dict[str, list[list[str]]]:
        """What `parse` reads, of the days that have windows."""
        return {
            day: [[text_of(window.opens), text_of(window.closes)] for window in windows]
            for day, windows in zip(WEEKDAYS, self.days, strict=True)
            if windows
        }


def is_open(hours: CallingHours, zones: Sequence[str], at: datetime) -> bool:
    """Whether the hours are open at that instant in every one of the time zones."""
    for zone in zones:
        local = at.astimezone(ZoneInfo(zone))
        minute = local.hour * 60 + local.minute
        if not any(window.opens <= minute < window.closes for window in hours.days[local.weekday()]):
            return False
    return True


@lru_cache(maxsize=1024)
def next_open(hours: CallingHours, zones: tuple[str, ...], at: datetime) -> datetime | None:
    """The first instant from `at` on (UTC) at which the hours are open in all zones at once; None: in no week.

    Hours can only become open where some zone's wall clock reads an opening time or jumps, so only those are tried.
    """
    if is_open(hours, zones, at):
        return at
    candidates = {instant for zone in zones for instant in _changes(hours, zone, at)}
    return next((instant for instant in sorted(candidates) if instant > at and is_open(hours, zones, instant)), None)


def _changes(hours: CallingHours, zone: str, at: datetime) -> list[datetime]:
    """Instants after which the hours may have become open in the zone."""
    place = ZoneInfo(zone)
    midnight = at.astimezone(place).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    instants = []
    for ahead in range(-1, _HORIZON_DAYS):
        day = midnight + timedelta(days=ahead)
        for window in hours.days[day.weekday()]:
            opening = day + timedelta(minutes=window.opens)
            # On the night when clocks go back, the wall reads the opening time twice.
            instants += [opening.replace(tzinfo=place, fold=fold).astimezone(UTC) for fold in (0, 1)]
        start = at + timedelta(days=ahead)
        jump = clock_change(place, start, start + timedelta(days=1))
        if jump is not None:
            instants.append(jump)
    return instants


def _window(place: str, times: Sequence[str]) -> Window:
    if len(times) != 2:
        raise InvalidHours(place, 'a window is a pair of times: ["10:00", "13:00"]')
    opens, closes = (_minute(place, time) for time in times)
    if opens >= closes:
        raise InvalidHours(place, f"opens at {times[0]} but closes at {times[1]}")
    return Window(opens, closes)


def _minute(place: str, time: str) -> int:
    try:
        return minute_of(time)
    except ValueError as wrong:
        raise InvalidHours(place, str(wrong)) from None
