"""Opening hours: when something is open, by the wall clock of one place.

A week of spans, public holidays (closed), and exceptions by date, which replace whatever the day would have been. A
span belongs to the day on which it opens, also when it closes after midnight. It is open from the first instant at
which the clock on the wall reads its opening time or a later one until the clock has read its closing time for the
last time: over a change of clocks there is no gap within a span, and a span that the clock jumps over does not exist.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import msgspec

from common import spelling
from common.time_zones import is_time_zone

if TYPE_CHECKING:
    from holidays import HolidayBase

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""In the order of `datetime.weekday()`."""
DAY: Final = 24 * 60
"""Minutes of a day by the wall clock."""
MOST_EXCEPTIONS: Final = 1000
HORIZON_DAYS: Final = 400
"""Further than this, or than the last exception, nobody looks: a year of holidays lies within it."""

_TIME = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])")


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


class Hours(msgspec.Struct, frozen=True, kw_only=True):
    """`week`: the spans of each weekday, Monday first, sorted. `time_zone` None: that of whoever asks."""

    week: tuple[tuple[Span, ...], ...]
    time_zone: str | None = None
    holidays: str | None = None
    """Whose public holidays are closed days: a country (`FR`) or a part of one (`FR-57`), ISO 3166."""
    exceptions: tuple[tuple[date, tuple[Span, ...]], ...] = ()
    """By date, sorted: the spans of that day; none at all: closed."""

    def as_mapping(self) -> dict[str, Any]:
        """What `parse` reads."""
        week = {day: [span.texts for span in spans] for day, spans in zip(WEEKDAYS, self.week, strict=True) if spans}
        exceptions = {day.isoformat(): [span.texts for span in spans] for day, spans in self.exceptions}
        return {"time_zone": self.time_zone, "week": week, "holidays": self.holidays, "exceptions": exceptions}


def parse(given: Mapping[str, Any]) -> Hours:
    """Read `{"week": {"mon": [["08:00", "12:00"], …]}, "time_zone", "holidays", "exceptions": {"2026-12-25": []}}`.

    A weekday that is not named is closed; a span that closes at or before its opening time closes on the next day;
    24:00 ends a day. Raises InvalidHours with every fault.
    """
    faults: list[Fault] = []
    week: list[list[tuple[Span, str]]] = [[] for _ in WEEKDAYS]
    for name, spans in (given.get("week") or {}).items():
        if name not in WEEKDAYS:
            faults.append(Fault(f"week.{name}", f"is no weekday; weekdays are {', '.join(WEEKDAYS)}"))
        else:
            week[WEEKDAYS.index(name)] = _spans(f"week.{name}", spans, faults)
    exceptions: dict[date, list[tuple[Span, str]]] = {}
    for text, spans in (given.get("exceptions") or {}).items():
        try:
            exceptions[spelling.day(text)] = _spans(f"exceptions.{text}", spans, faults)
        except ValueError:
            faults.append(Fault(f"exceptions.{text}", "is no date such as 2026-12-25"))
    if len(exceptions) > MOST_EXCEPTIONS:
        faults.append(Fault("exceptions", f"has {len(exceptions)} entries; at most {MOST_EXCEPTIONS} are taken"))
    time_zone, holidays = given.get("time_zone"), given.get("holidays")
    if time_zone is not None and not is_time_zone(time_zone):
        faults.append(Fault("time_zone", f"there is no time zone {time_zone!r}"))
    if holidays is not None and not _is_known(holidays):
        faults.append(Fault("holidays", f"there are no public holidays of {holidays!r}; FR or FR-57 would be known"))
    faults += _overlaps_of_week(week)
    faults += _overlaps_of_exceptions(week, exceptions)
    if not faults and not any(week) and not any(exceptions.values()):
        faults.append(Fault("week", "has no span, so it would never be open"))
    if faults:
        raise InvalidHours(faults)
    return Hours(
        week=tuple(tuple(sorted(span for span, _ in spans)) for spans in week),
        time_zone=time_zone,
        holidays=holidays,
        exceptions=tuple((day, tuple(sorted(span for span, _ in spans))) for day, spans in sorted(exceptions.items())),
    )


def _spans(place: str, given: Any, faults: list[Fault]) -> list[tuple[Span, str]]:
    """The spans of one day, each with its place."""
    found = []
    for number, texts in enumerate(given or ()):
        at = f"{place}.{number}"
        try:
            found.append((_span(texts), at))
        except ValueError as wrong:
            faults.append(Fault(at, str(wrong)))
    return found


def _span(texts: Any) -> Span:
    if not isinstance(texts, Sequence) or isinstance(texts, str) or len(texts) != 2:
        raise ValueError('a span is a pair of times: ["08:00", "12:00"]')
    opens, closes = (minute_of(str(text)) for text in texts)
    if opens == DAY:
        raise ValueError("a day begins at 00:00; 24:00 only ends one")
    if opens == closes:
        raise ValueError("is empty; a whole day is 00:00 to 24:00")
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
    read = _TIME.fullmatch(text)
    minute = DAY + 1 if read is None else int(read[1]) * 60 + int(read[2])
    if minute > DAY:
        raise ValueError(f"{text!r} is not a time of day like 09:30")
    return minute


def text_of(minute: int) -> str:
    """What `minute_of` reads."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def is_open(hours: Hours, zone: str, at: datetime) -> bool:
    """Whether it is open at that instant; `zone` counts where the hours name none."""
    place = ZoneInfo(hours.time_zone or zone)
    today = at.astimezone(place).date()
    return any(opens <= at < closes for opens, closes in _around(hours, place, today, -2, 1))


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
    for exception, spans in hours.exceptions:
        if exception == day:
            return spans
    if hours.holidays is not None and day in _holidays_of(hours.holidays):
        return ()
    return hours.week[day.weekday()]


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


# The library is heavy and few queues observe holidays: it is loaded when the first one does.


def _is_known(code: str) -> bool:
    from holidays import list_supported_countries

    country, _, part = code.partition("-")
    parts = list_supported_countries().get(country)
    return parts is not None and (part in parts if part else "-" not in code)


@lru_cache(maxsize=256)
def _holidays_of(code: str) -> HolidayBase:
    """The public holidays of a country or a part of one; years are added as they are asked for."""
    from holidays import country_holidays

    country, _, part = code.partition("-")
    return country_holidays(country, subdiv=part or None)
