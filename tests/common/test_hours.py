# ruff: noqa: DTZ001  (what a clock on the wall reads has no time zone)
"""Opening hours against their definition, over weeks with changes of clocks, holidays and exceptions."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from common.hours import (
    DAY,
    WEEKDAYS,
    Hours,
    InvalidHours,
    Span,
    is_open,
    next_change,
    next_closing,
    next_opening,
    parse,
    text_of,
)
from hypothesis import assume, given
from hypothesis import strategies as st

PARIS = "Europe/Paris"
OFFICE = parse({"week": {day: [["08:00", "12:00"], ["13:00", "18:00"]] for day in WEEKDAYS[:5]}})


def paris(text: str) -> datetime:
    """An instant by the clock on the wall in Paris."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(PARIS)).astimezone(UTC)


def test_several_spans_a_day_open_and_close_to_the_minute() -> None:
    for text, expected in [
        ("2026-03-02T07:59:59", False),
        ("2026-03-02T08:00:00", True),
        ("2026-03-02T11:59:59", True),
        ("2026-03-02T12:00:00", False),
        ("2026-03-02T13:00:00", True),
        ("2026-03-02T18:00:00", False),
        ("2026-03-07T10:00:00", False),
    ]:
        assert is_open(OFFICE, PARIS, paris(text)) is expected, text
    assert next_opening(OFFICE, PARIS, paris("2026-03-06T18:00")) == paris("2026-03-09T08:00")
    assert next_closing(OFFICE, PARIS, paris("2026-03-06T13:00")) == paris("2026-03-06T18:00")
    assert next_opening(OFFICE, PARIS, paris("2026-03-06T15:00")) == paris("2026-03-06T15:00")
    assert next_closing(OFFICE, PARIS, paris("2026-03-07T15:00")) == paris("2026-03-07T15:00")


def test_a_span_over_midnight_belongs_to_the_day_on_which_it_opens() -> None:
    night = parse({"week": {"fri": [["22:00", "06:00"]], "sun": [["22:00", "24:00"]], "mon": [["00:00", "01:00"]]}})
    assert is_open(night, PARIS, paris("2026-03-07T05:59"))
    assert not is_open(night, PARIS, paris("2026-03-07T06:00"))
    assert not is_open(night, PARIS, paris("2026-03-08T00:30"))
    assert next_closing(night, PARIS, paris("2026-03-08T23:00")) == paris("2026-03-09T01:00"), "touching spans are one"
    closed_saturday = parse({"week": {"fri": [["22:00", "06:00"]]}, "exceptions": {"2026-03-07": []}})
    assert is_open(closed_saturday, PARIS, paris("2026-03-07T05:00")), "it is Friday's span"


def test_holidays_are_closed_and_an_exception_beats_them() -> None:
    hours = parse(
        {
            **OFFICE.as_mapping(),
            "holidays": "FR-national",
            "exceptions": {"2026-07-14": [["10:00", "11:00"]], "2026-07-15": [], "2026-07-18": [["09:00", "10:00"]]},
        }
    )
    assert not is_open(hours, PARIS, paris("2026-05-01T10:00"))
    assert is_open(hours, PARIS, paris("2026-07-14T10:00"))
    assert not is_open(hours, PARIS, paris("2026-07-14T11:00"))
    assert not is_open(hours, PARIS, paris("2026-07-15T10:00"))
    assert is_open(hours, PARIS, paris("2026-07-18T09:00")), "a Saturday"
    assert next_opening(hours, PARIS, paris("2026-04-30T18:00")) == paris("2026-05-04T08:00")
    assert is_open(hours, PARIS, paris("2026-12-26T10:00")) is False
    monday = parse({"week": {"fri": [["08:00", "18:00"]]}, "holidays": "FR-57"})
    assert not is_open(monday, PARIS, paris("2026-04-03T10:00")), "Good Friday is a holiday in the Moselle"
    assert is_open(
        parse({"week": {"fri": [["08:00", "18:00"]]}, "holidays": "FR-national"}), PARIS, paris("2026-04-03T10:00")
    )


def test_the_hours_may_name_their_own_time_zone() -> None:
    tokyo = parse({"week": {"mon": [["09:00", "10:00"]]}, "time_zone": "Asia/Tokyo"})
    assert is_open(tokyo, PARIS, datetime(2026, 3, 2, 0, 30, tzinfo=UTC))
    assert not is_open(tokyo, PARIS, paris("2026-03-02T09:30"))


def test_changes_of_clocks() -> None:
    """29 March 2026: 02:00 becomes 03:00. 25 October 2026: 03:00 becomes 02:00."""
    early = parse({"week": {"sun": [["02:15", "02:45"], ["02:50", "04:00"]]}})
    assert next_opening(early, PARIS, paris("2026-03-29T00:00")) == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    assert next_closing(early, PARIS, datetime(2026, 3, 29, 1, 0, tzinfo=UTC)) == paris("2026-03-29T04:00")
    long = parse({"week": {"sun": [["01:30", "02:30"]]}})
    opening = paris("2026-10-25T01:30")
    assert next_closing(long, PARIS, opening) == opening + timedelta(hours=2), "until 02:30 comes for the last time"
    twice = parse({"week": {"sun": [["02:30", "05:00"]]}})
    assert next_opening(twice, PARIS, opening) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    skipped = parse({"week": {day: [["10:00", "12:00"]] for day in WEEKDAYS}})
    apia = datetime(2011, 12, 29, 12, 0, tzinfo=ZoneInfo("Pacific/Apia"))
    assert next_opening(skipped, "Pacific/Apia", apia) == datetime(
        2011, 12, 31, 10, 0, tzinfo=ZoneInfo("Pacific/Apia")
    ), "there was no 30 December in Samoa"


def test_what_never_changes_has_no_next_change() -> None:
    always = parse({"week": {day: [["00:00", "24:00"]] for day in WEEKDAYS}})
    assert next_change(always, PARIS, paris("2026-03-02T10:00")) is None
    once = parse({"exceptions": {"2030-01-01": [["10:00", "11:00"]]}})
    assert next_opening(once, PARIS, paris("2026-03-02T10:00")) == paris("2030-01-01T10:00"), "however far off"
    assert next_opening(once, PARIS, paris("2030-01-01T11:00")) is None


def test_every_fault_is_listed_by_its_place() -> None:
    with pytest.raises(InvalidHours) as refused:
        parse(
            {
                "week": {
                    "mon": [["08:00", "12:00"], ["11:00", "13:00"], ["14:00", "14:00"], ["15:00"]],
                    "sun": [["22:00", "08:30"], ["9:00", "25:00"], ["24:00", "01:00"]],
                    "noday": [],
                },
                "time_zone": "Europe/Nowhere",
                "holidays": "FR-XX",
                "exceptions": {
                    "2026-13-01": [],
                    "2026-12-24": [["20:00", "04:00"]],
                    "2026-12-25": [["03:00", "05:00"], ["06:00", "06:00"]],
                },
            }
        )
    assert [fault.place for fault in refused.value.faults] == [
        "week.mon.2",
        "week.mon.3",
        "week.sun.1",
        "week.sun.2",
        "week.noday",
        "exceptions.2026-13-01",
        "exceptions.2026-12-25.1",
        "time_zone",
        "holidays",
        "week.mon.1",
        "week.mon.0",
        "exceptions.2026-12-25.0",
    ]
    with pytest.raises(InvalidHours, match="never be open"):
        parse({"week": {"mon": []}})


def pairs(latest: int) -> st.SearchStrategy[list[tuple[int, int]]]:
    """Spans one after the other, as minutes."""
    minutes = st.lists(st.integers(0, latest), unique=True, max_size=12).map(sorted)
    return minutes.map(lambda some: list(zip(some[::2], some[1::2], strict=False)))


FRANCE = parse({"week": {"mon": [["08:00", "12:00"]]}, "holidays": "FR-national"}).holidays
"""Read here, so that no drawn example waits for the library to load."""


@st.composite
def hours(draw: st.DrawFn) -> Hours:
    week: dict[str, list[list[str]]] = {}
    for opens, closes in draw(pairs(7 * DAY - 1)):
        if closes - opens < DAY:
            week.setdefault(WEEKDAYS[opens // DAY], []).append([text_of(opens % DAY), text_of(closes % DAY)])
    around = draw(st.sampled_from([date(2026, 3, 29), date(2026, 10, 25), date(2026, 4, 5), date(2026, 10, 31)]))
    exceptions = {
        (around + timedelta(days=ahead)).isoformat(): [[text_of(opens), text_of(closes)] for opens, closes in some]
        for ahead, some in draw(st.dictionaries(st.integers(-3, 3), pairs(DAY - 1), max_size=2)).items()
    }
    try:
        return parse({"week": week, "exceptions": exceptions, "holidays": draw(st.sampled_from([None, FRANCE]))})
    except InvalidHours:
        assume(False)
        raise


zones = st.sampled_from([PARIS, "America/New_York", "Australia/Lord_Howe", "UTC"])
instants = st.datetimes(datetime(2026, 3, 25), datetime(2026, 4, 8)) | st.datetimes(
    datetime(2026, 10, 22), datetime(2026, 11, 3)
)


def defined(given_hours: Hours, zone: str, at: datetime) -> bool:
    """By the definition: a span of some day whose opening time the wall has read, and whose closing time it has not
    yet left behind for good."""
    place = ZoneInfo(zone)

    def wall(instant: datetime) -> datetime:
        return instant.astimezone(place).replace(tzinfo=None)

    # The clock goes back by an hour at most, so what it reads from now on is never earlier than this.
    ever_later = min(wall(at + timedelta(minutes=minutes)) for minutes in range(0, 181, 30))
    ever_before = max(wall(at - timedelta(minutes=minutes)) for minutes in range(0, 181, 30))
    for ahead in range(-2, 2):
        day = wall(at).date() + timedelta(days=ahead)
        exceptions = dict(given_hours.exceptions)
        closed = given_hours.holidays is not None and day in HOLIDAYS
        some = exceptions.get(day, () if closed else given_hours.week[day.weekday()])
        midnight = datetime(day.year, day.month, day.day)
        for span in some:
            opens, closes = midnight + timedelta(minutes=span.opens), midnight + timedelta(minutes=span.closes)
            if opens <= max(ever_before, wall(at)) and min(ever_later, wall(at)) < closes:
                return True
    return False


HOLIDAYS = {date(2026, 4, 6), date(2026, 11, 1)}


@given(hours(), zones, instants)
def test_is_open_agrees_with_the_definition(given_hours: Hours, zone: str, naive: datetime) -> None:
    at = naive.replace(tzinfo=UTC, second=0, microsecond=0)
    assert is_open(given_hours, zone, at) == defined(given_hours, zone, at)


@given(hours(), zones, instants)
def test_nothing_changes_before_the_next_change(given_hours: Hours, zone: str, naive: datetime) -> None:
    at = naive.replace(tzinfo=UTC)
    now = is_open(given_hours, zone, at)
    change = next_change(given_hours, zone, at)
    assert (next_opening(given_hours, zone, at) == at) is now
    assert (next_closing(given_hours, zone, at) == at) is not now
    until = change or at + timedelta(days=30)
    assert until > at
    step = (until - at) / 97
    assert all(is_open(given_hours, zone, at + number * step) is now for number in range(97))
    if change is not None:
        assert is_open(given_hours, zone, change) is not now
        assert is_open(given_hours, zone, change - timedelta(microseconds=1)) is now


@given(hours())
def test_hours_written_and_read_again_are_the_same(given_hours: Hours) -> None:
    assert parse(given_hours.as_mapping()) == given_hours
    assert all(isinstance(span, Span) and span.opens < span.closes for day in given_hours.week for span in day)
