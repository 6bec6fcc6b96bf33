"""Opening hours: when something is open, by the wall clock of one place.

A week of spans, public holidays (closed), and exceptions by date, which replace whatever the day would have been. A
span belongs to the day on which it opens, also when it closes after midnight. It is open from the first instant at
which the clock on the wall reads its opening time or a later one until the clock has read its closing time for the
last time: over a change of clocks there is no gap within a span, and a span that the clock jumps over does not exist.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from common import public_holidays, spelling
from common.time_zones import is_time_zone, remedy

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""In the order of `datetime.weekday()`."""
DAY: Final = 24 * 60
"""Minutes of a day by the wall clock."""
MOST_EXCEPTIONS: Final = 1000
HORIZON_DAYS: Final = 400
"""Further than this, or than the last exception, nobody looks: a year of holidays lies within it."""
LAST_YEAR: Final = 2100
"""Of exceptions: every day until the last one is looked at in search of a change."""
MOST_SPANS: Final = 24
"""Of one day."""
TIME_PATTERN: Final = "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"
"""A time of day; 24:00 is the end of one."""

_TIME = re.compile(TIME_PATTERN)


class Fault(msgspec.Struct, frozen=True):
    """One wrong value. `place` says where, as `week.mon.0`."""

    place: str
    reason: str


class InvalidHours(ValueError):
    """Opening hours that cannot be, with every fault."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(f"{fault.place}: {fault.reason}" for fault in faults))
        self.faults = tuple(faults)


class Span(msgspec.Struct, frozen=True, order=True):
    """Open from minute `opens` to before minute `closes` of its day by the wall clock: 0 ≤ opens < 1440,
    opens < closes < opens + 1440. From 1440 on it closes on the next day."""

    opens: int
    closes: int

    @property
    def texts(self) -> list[str]:
        """As it is written: ["22:00", "06:00"]."""
        return [text_of(self.opens), text_of(self.closes if self.closes <= DAY else self.closes - DAY)]


class Hours(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """`week`: the spans of each weekday, Monday first, sorted. `time_zone` None: that of whoever asks."""

    week: tuple[tuple[Span, ...], ...]
    time_zone: str | None = None
    holidays: str | None = None
    """Whose public holidays are closed days: a country (`JP`) or a part of one (`FR-57`), as `public_holidays` says."""
    exceptions: tuple[tuple[date, tuple[Span, ...]], ...] = ()
    """By date, sorted: the spans of that day; none at all: closed."""

    def as_mapping(self) -> dict[str, Any]:
        """What `parse` reads."""
        week = {day: [span.texts for span in spans] for day, spans in zip(WEEKDAYS, self.week, strict=True) if spans}
        exceptions = {day.isoformat(): [span.texts for span in spans] for day, spans in self.exceptions}
        return {"time_zone": self.time_zone, "week": week, "holidays": self.holidays, "exceptions": exceptions}


def parse(given: Mapping[str, Any], *, week_field: str = "week", within_days: bool = False) -> Hours:
    """Read `{"week": {"mon": [["08:00", "12:00"], …]}, "time_zone", "holidays", "exceptions": {"2026-12-25": []}}`.

    A weekday that is not named is closed; a span that closes at or before its opening time closes on the next day, or
    is refused with `within_days`; 24:00 ends a day. `week_field`: what the week is called. Raises InvalidHours with
    every fault.
    """
    faults: list[Fault] = []
    week, exceptions = _days(given, faults, week_field, within_days=within_days)
    if len(exceptions) > MOST_EXCEPTIONS:
        faults.append(Fault("exceptions", f"has {len(exceptions)} entries; at most {MOST_EXCEPTIONS} are taken"))
    if exceptions and (last := max(exceptions)).year > LAST_YEAR:
        faults.append(Fault(f"exceptions.{last.isoformat()}", f"is after the year {LAST_YEAR}"))
    placed = {f"{week_field}.{name}": spans for name, spans in zip(WEEKDAYS, week, strict=True)}
    placed |= {f"exceptions.{day.isoformat()}": spans for day, spans in exceptions.items()}
    for place, spans in placed.items():
        if len(spans) > MOST_SPANS:
            faults.append(Fault(place, f"has {len(spans)} spans; at most {MOST_SPANS} are taken"))
    time_zone, holidays = given.get("time_zone"), given.get("holidays")
    if time_zone is not None and not is_time_zone(time_zone):
        faults.append(Fault("time_zone", f"there is no time zone {time_zone!r}: {remedy(time_zone)}"))
    if holidays is not None and (wrong := public_holidays.fault_of(holidays)) is not None:
        faults.append(Fault("holidays", wrong))
    faults += _overlaps_of_week(week)
    faults += _overlaps_of_exceptions(week, exceptions)
    if not faults and not any(week) and not any(exceptions.values()):
        faults.append(Fault(week_field, "has no span, so it would never be open"))
    if faults:
        raise InvalidHours(faults)
    return _hours(given, week, exceptions)


def restore(saved: Mapping[str, Any]) -> Hours:
    """What `as_mapping` wrote, also in an earlier version, which took time zones and countries that `parse` refuses."""
    faults: list[Fault] = []
    week, exceptions = _days(saved, faults, "week")
    if faults:
        raise InvalidHours(faults)
    return _hours(saved, week, exceptions)


def near_misses(hours: Hours, week_field: str = "week") -> list[Fault]:
    """Spans that may stand but are hardly meant: those that close one minute before midnight. By their places."""
    days = [(f"{week_field}.{name}", spans) for name, spans in zip(WEEKDAYS, hours.week, strict=True)]
    days += [(f"exceptions.{day.isoformat()}", spans) for day, spans in hours.exceptions]
    reason = "closes one minute before midnight; the end of a day is 24:00"
    return [Fault(place, reason) for place, spans in days if any(span.closes % DAY == DAY - 1 for span in spans)]


_Placed = list[tuple[Span, str]]
"""The spans of one day, each with its place."""


def _days(
    given: Mapping[str, Any], faults: list[Fault], week_field: str, *, within_days: bool = False
) -> tuple[list[_Placed], dict[date, _Placed]]:
    """The days of the week and the exceptions."""
    week: list[_Placed] = [[] for _ in WEEKDAYS]
    for name, spans in (given.get(week_field) or {}).items():
        if name not in WEEKDAYS:
            faults.append(Fault(f"{week_field}.{name}", f"is no weekday; weekdays are {', '.join(WEEKDAYS)}"))
        else:
            week[WEEKDAYS.index(name)] = _spans(f"{week_field}.{name}", spans, faults, within_days)
    exceptions: dict[date, _Placed] = {}
    for text, spans in (given.get("exceptions") or {}).items():
        try:
            exceptions[spelling.day(text)] = _spans(f"exceptions.{text}", spans, faults, within_days)
        except ValueError:
            faults.append(Fault(f"exceptions.{text}", "is no date such as 2026-12-25"))
    return week, exceptions


def _hours(given: Mapping[str, Any], week: list[_Placed], exceptions: dict[date, _Placed]) -> Hours:
    return Hours(
        week=tuple(tuple(sorted(span for span, _ in spans)) for spans in week),
        time_zone=given.get("time_zone"),
        holidays=given.get("holidays"),
        exceptions=tuple((day, tuple(sorted(span for span, _ in spans))) for day, spans in sorted(exceptions.items())),
    )


def _spans(place: str, given: Any, faults: list[Fault], within_days: bool) -> _Placed:
    found = []
    for number, texts in enumerate(given or ()):
        at = f"{place}.{number}"
        try:
            found.append((_span(texts, within_days), at))
        except ValueError as wrong:
            faults.append(Fault(at, str(wrong)))
    return found


def _span(texts: Any, within_days: bool) -> Span:
    if not isinstance(texts, Sequence) or isinstance(texts, str) or len(texts) != 2:
        raise ValueError('a span is a pair of times: ["08:00", "12:00"]')
    opens, closes = (minute_of(str(text)) for text in texts)
    if opens == DAY:
        raise ValueError("a day begins at 00:00; 24:00 only ends one")
    if opens == closes:
        raise ValueError("is empty; a whole day is 00:00 to 24:00")
    if closes < opens and within_days:
        raise ValueError(f"closes at {texts[1]}, before it opens; the end of a day is 24:00")
    return Span(opens, closes if closes > opens else closes + DAY)


def _overlaps_of_week(week: Sequence[Sequence[tuple[Span, str]]]) -> Iterator[Fault]:
    placed = sorted(
        (number * DAY + span.opens, number * DAY + span.closes, place)
        for number, spans in enumerate(week)
        for span, place in spans
    )
    if len(placed) > 1:
        first = placed[0]
        placed.append((first[0] + 7 * DAY, first[1] + 7 * DAY, first[2]))
    yield from _overlaps(placed)


def _overlaps_of_exceptions(
    week: Sequence[Sequence[tuple[Span, str]]], exceptions: Mapping[date, Sequence[tuple[Span, str]]]
) -> Iterator[Fault]:
    """Spans of an exception against each other and against those of the days beside it."""
    told: set[str] = set()
    for day in sorted(exceptions):
        placed = sorted(
            (ahead * DAY + span.opens, ahead * DAY + span.closes, place)
            for ahead in (-1, 0, 1)
            for span, place in _of_day(week, exceptions, day, ahead)
        )
        for fault in _overlaps(placed):
            if f"exceptions.{day.isoformat()}" in f"{fault.place} {fault.reason}" and fault.place not in told:
                told.add(fault.place)
                yield fault


def _of_day(
    week: Sequence[Sequence[tuple[Span, str]]],
    exceptions: Mapping[date, Sequence[tuple[Span, str]]],
    day: date,
    ahead: int,
) -> Sequence[tuple[Span, str]]:
    if date.min < day < date.max:
        day += timedelta(days=ahead)
    return exceptions.get(day, week[day.weekday()])


def _overlaps(placed: Iterable[tuple[int, int, str]]) -> Iterator[Fault]:
    """`placed`: (opens, closes, place) in order."""
    for (_, closes, earlier), (opens, _, later) in pairwise(placed):
        if opens < closes:
            yield Fault(later, f"overlaps {earlier}")


def minute_of(text: str) -> int:
    """Minutes from midnight to a time of day; 24:00 is 1440. Raises ValueError."""
    if not _TIME.fullmatch(text):
        end = "; the end of a day is 24:00" if text.startswith(("23:59", "24:")) else ""
        raise ValueError(f"{text!r} is not a time of day like 09:30{end}")
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)


def text_of(minute: int) -> str:
    """What `minute_of` reads."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def is_open(hours: Hours, zone: str, at: datetime) -> bool:
    """Whether it is open at that instant; `zone` counts where the hours name none."""
    place = ZoneInfo(hours.time_zone or zone)
    today = at.astimezone(place).date()
    return any(opens <= at < closes for opens, closes in _around(hours, place, today, -2, 1))


class Closed(msgspec.Struct, frozen=True):
    """Which rule closes: the week, what is said of that date, or a public holiday, by its name."""

    rule: Literal["week", "exception", "holiday"]
    holiday: str | None = None


def closed_by(hours: Hours, zone: str, at: datetime) -> Closed | None:
    """Why it is closed at that instant, by the date of the place; None: it is open."""
    if is_open(hours, zone, at):
        return None
    today = at.astimezone(ZoneInfo(hours.time_zone or zone)).date()
    if _exception_on(hours, today) is not None:
        return Closed("exception")
    name = _holiday_on(hours, today)
    return Closed("week") if name is None else Closed("holiday", name)


@lru_cache(maxsize=4096)
def next_opening(hours: Hours, zone: str, at: datetime) -> datetime | None:
    """The first instant from `at` on (UTC) at which it is open; None: not within the horizon."""
    if is_open(hours, zone, at):
        return at
    place = ZoneInfo(hours.time_zone or zone)
    today = at.astimezone(place).date()
    for ahead in range(_horizon(hours, today)):
        openings = [opens for opens, _ in _around(hours, place, today, ahead - 1, ahead + 1) if opens > at]
        if openings:
            return min(openings)
    return None


@lru_cache(maxsize=4096)
def next_closing(hours: Hours, zone: str, at: datetime) -> datetime | None:
    """The first instant from `at` on (UTC) at which it is closed; None: not within the horizon."""
    place = ZoneInfo(hours.time_zone or zone)
    today = at.astimezone(place).date()
    until = at
    for ahead in range(_horizon(hours, today)):
        before = until
        # Spans that touch are one stretch: each lengthens it as far as it goes.
        for opens, closes in sorted(_around(hours, place, today, ahead - 2, ahead + 1)):
            if opens <= until < closes:
                until = closes
        if until == before and until.astimezone(place).date() < today + timedelta(days=ahead):
            return until
    return None


def next_change(hours: Hours, zone: str, at: datetime) -> datetime | None:
    """The first instant after `at` (UTC) at which it opens or closes; None: not within the horizon."""
    return next_closing(hours, zone, at) if is_open(hours, zone, at) else next_opening(hours, zone, at)


def clock_change(place: ZoneInfo, start: datetime, end: datetime) -> datetime | None:
    """The second, within (start, end], in which the zone's offset from UTC changed; None: it did not."""
    before = start.astimezone(place).utcoffset()
    if end.astimezone(place).utcoffset() == before:
        return None
    low, high = int(start.timestamp()), int(end.timestamp()) + 1
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, place).utcoffset() == before:
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)


def _horizon(hours: Hours, today: date) -> int:
    last = hours.exceptions[-1][0] if hours.exceptions else today
    return max(HORIZON_DAYS, (last - today).days + 8)


def _around(hours: Hours, place: ZoneInfo, today: date, first: int, last: int) -> Iterator[tuple[datetime, datetime]]:
    """When the spans of these days, counted from `today`, open and close."""
    for ahead in range(first, last + 1):
        day = today + timedelta(days=ahead)
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - what the clock on the wall reads
        for span in _spans_on(hours, day):
            opens, _ = _reads(place, midnight + timedelta(minutes=span.opens))
            _, closes = _reads(place, midnight + timedelta(minutes=span.closes))
            if opens < closes:
                yield opens, closes


def _spans_on(hours: Hours, day: date) -> tuple[Span, ...]:
    exception = _exception_on(hours, day)
    if exception is not None:
        return exception
    return () if _holiday_on(hours, day) is not None else hours.week[day.weekday()]


def _exception_on(hours: Hours, day: date) -> tuple[Span, ...] | None:
    at = bisect_left(hours.exceptions, day, key=lambda exception: exception[0])
    return hours.exceptions[at][1] if hours.exceptions[at : at + 1] and hours.exceptions[at][0] == day else None


def _holiday_on(hours: Hours, day: date) -> str | None:
    return None if hours.holidays is None else public_holidays.name_on(hours.holidays, day)


def _reads(place: ZoneInfo, wall: datetime) -> tuple[datetime, datetime]:
    """The first instant at which the clock on the wall reads this time or a later one, and the first from which on it
    reads no earlier one any more. They differ in the hour that comes twice."""
    first = wall.replace(tzinfo=place, fold=0).astimezone(UTC)
    last = wall.replace(tzinfo=place, fold=1).astimezone(UTC)
    if first <= last:
        return first, last
    # The clock never reads this time: it jumps over it.
    jump = clock_change(place, last, first)
    return (first, last) if jump is None else (jump, jump)
