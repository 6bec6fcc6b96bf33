"""Calling hours in the lead's time zone, across changes of clocks, over several zones, and on public holidays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from common.hours import WEEKDAYS, Closed, Hours, InvalidHours, parse
from dialer.domain.hours import closed_by, next_open
from dialer.domain.zones import zones_of
from hypothesis import given
from hypothesis import strategies as st


def calling(week: Mapping[str, Sequence[Sequence[str]]], **more: Any) -> Hours:
    return parse({"week": week, **more}, within_days=True)


FRENCH = calling({day: [["10:00", "13:00"], ["14:00", "20:00"]] for day in WEEKDAYS[:5]})
ALL_DAY = calling({day: [["00:00", "24:00"]] for day in WEEKDAYS})
PARIS = ("Europe/Paris",)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def is_open(hours: Hours, zones: tuple[str, ...], at: datetime) -> bool:
    return closed_by(hours, zones, at) is None


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-11-23T08:59:59", False),  # Monday 09:59:59 in Paris
        ("2026-11-23T09:00:00", True),
        ("2026-11-23T11:59:59", True),
        ("2026-11-23T12:00:00", False),  # 13:00: a span is open up to, not including, its end
        ("2026-11-23T13:00:00", True),
        ("2026-11-23T19:00:00", False),
        ("2026-11-22T10:00:00", False),  # Sunday
        ("2026-07-20T08:00:00", True),  # summer: 10:00 in Paris
        ("2026-07-20T18:00:00", False),
    ],
)
def test_spans_are_local_and_half_open(at: str, expected: bool) -> None:
    assert is_open(FRENCH, PARIS, utc(at)) is expected


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-11-23T10:00:00", "2026-11-23T10:00:00"),
        ("2026-11-23T12:30:00", "2026-11-23T13:00:00"),
        ("2026-11-20T19:30:00", "2026-11-23T09:00:00"),  # Friday evening to Monday morning
        ("2026-10-23T19:00:00", "2026-10-26T09:00:00"),  # the clocks went back in between: 10:00 is 09:00 UTC
        ("2026-03-27T20:00:00", "2026-03-30T08:00:00"),  # the clocks went forward: 10:00 is 08:00 UTC
    ],
)
def test_next_opening(at: str, expected: str) -> None:
    assert next_open(FRENCH, PARIS, utc(at)) == utc(expected)


def test_a_span_that_begins_in_the_hour_that_does_not_exist_opens_when_the_clock_has_jumped() -> None:
    hours = calling({"sun": [["02:30", "05:00"]]})
    before = utc("2026-03-29T00:30:00")
    assert next_open(hours, PARIS, before) == utc("2026-03-29T01:00:00")  # the wall goes from 01:59 to 03:00
    assert is_open(hours, PARIS, utc("2026-03-29T02:59:00"))
    assert not is_open(hours, PARIS, utc("2026-03-29T03:00:00"))


def test_the_end_of_a_day_has_no_gap() -> None:
    for day in ("2026-03-28", "2026-10-24", "2026-11-23"):
        for second in ("22:58:59", "22:59:00", "22:59:59", "23:00:00"):
            assert is_open(ALL_DAY, PARIS, utc(f"{day}T{second}")), (day, second)


def test_a_number_of_262_is_called_only_inside_the_hours_of_mayotte_and_reunion() -> None:
    """0709 4 is open to both; 0692 is Réunion's and 0639 Mayotte's."""
    assert zones_of("+262692123456", None, "Europe/Paris") == ("Indian/Reunion",)
    assert zones_of("+262639012345", None, "Europe/Paris") == ("Indian/Mayotte",)
    assert zones_of("+596696201234", None, "Europe/Paris") == ("America/Martinique",)
    zones = zones_of("+262709401234", None, "Europe/Paris")
    assert zones == ("Indian/Mayotte", "Indian/Reunion")
    # Monday: 10:00 on Réunion is 09:00 on Mayotte, and 13:00 on Réunion closes while Mayotte is at 12:00.
    assert not is_open(FRENCH, zones, utc("2026-11-23T06:00:00"))
    assert is_open(FRENCH, zones, utc("2026-11-23T07:00:00"))
    assert not is_open(FRENCH, zones, utc("2026-11-23T09:00:00"))
    assert next_open(FRENCH, zones, utc("2026-11-23T05:00:00")) == utc("2026-11-23T07:00:00")
    assert next_open(FRENCH, zones, utc("2026-11-23T08:59:30")) == utc("2026-11-23T08:59:30")
    assert next_open(FRENCH, zones, utc("2026-11-23T09:00:00")) == utc("2026-11-23T11:00:00")


def test_zones_come_from_the_file_then_the_number_then_the_tenant() -> None:
    assert zones_of("+262692123456", "Indian/Mayotte", "Europe/Paris") == ("Indian/Mayotte",)
    assert zones_of("+33639980001", None, "America/New_York") == ("Europe/Paris",)
    assert zones_of("+883510000000000", None, "Asia/Tokyo") == ("Asia/Tokyo",)
    assert len(zones_of("+18005551234", None, "Europe/Paris")) > 20


def test_hours_that_never_meet_are_never_open() -> None:
    hours = calling({"mon": [["10:00", "12:00"]]})
    assert next_open(hours, ("Asia/Tokyo", "America/New_York"), utc("2026-11-23T00:00:00")) is None


def test_a_public_holiday_closes_by_the_date_where_the_lead_lives_and_says_its_name() -> None:
    week = {day: [["08:00", "24:00"]] for day in WEEKDAYS}
    hours = calling(week, holidays="FR-national")
    noon = utc("2026-07-14T10:00:00")
    assert closed_by(hours, PARIS, noon) == Closed("holiday", "Fête nationale")
    assert next_open(hours, PARIS, noon) == utc("2026-07-15T06:00:00")
    # 23:30 of the 13th in Martinique is 05:30 of the 14th in Paris.
    assert is_open(hours, ("America/Martinique",), utc("2026-07-14T03:30:00"))
    assert closed_by(hours, ("America/Martinique",), noon) == Closed("holiday", "Fête nationale")
    assert closed_by(hours, PARIS, utc("2026-07-15T03:00:00")) == Closed("week")


def test_what_a_campaign_says_of_a_date_beats_the_week_and_the_holidays() -> None:
    week = {day: [["10:00", "20:00"]] for day in WEEKDAYS[:5]}
    said = {"2026-07-14": [["10:00", "12:00"]], "2026-07-15": []}
    hours = calling(week, holidays="FR-national", exceptions=said)
    assert is_open(hours, PARIS, utc("2026-07-14T09:00:00"))
    assert closed_by(hours, PARIS, utc("2026-07-14T12:00:00")) == Closed("exception")
    assert closed_by(hours, PARIS, utc("2026-07-15T12:00:00")) == Closed("exception")
    assert next_open(hours, PARIS, utc("2026-07-14T12:00:00")) == utc("2026-07-16T08:00:00")
    far = calling({}, exceptions={"2030-01-07": [["10:00", "12:00"]]})
    both = ("Europe/Lisbon", "Europe/Paris")
    assert next_open(far, both, utc("2026-07-14T12:00:00")) == utc("2030-01-07T10:00:00"), "however far off"
    assert next_open(far, both, utc("2030-01-07T11:00:00")) is None


def test_a_month_of_closed_days_is_waited_for() -> None:
    august: dict[str, list[list[str]]] = {f"2026-08-{day:02d}": [] for day in range(1, 32)}
    hours = calling({day: [["10:00", "20:00"]] for day in WEEKDAYS}, exceptions=august)
    both = ("Europe/Lisbon", "Europe/Paris")
    assert next_open(hours, both, utc("2026-07-31T19:00:00")) == utc("2026-09-01T09:00:00")


@pytest.mark.parametrize(
    ("week", "place"),
    [
        ({"monday": [["10:00", "13:00"]]}, "week.monday"),
        ({"mon": [["10:00"]]}, "week.mon.0"),
        ({"mon": [["10:00", "25:00"]]}, "week.mon.0"),
        ({"mon": [["10:00", "24:01"]]}, "week.mon.0"),
        ({"mon": [["10:00", "23:59:59"]]}, "week.mon.0"),
        ({"mon": [["10h", "13:00"]]}, "week.mon.0"),
        ({"mon": [["10:00", "13:00"], ["20:00", "14:00"]]}, "week.mon.1"),
        ({"mon": [["10:00", "00:00"]]}, "week.mon.0"),
        ({"mon": [["10:00", "13:00"], ["12:00", "14:00"]]}, "week.mon.1"),
        (
            {"mon": [[f"{hour:02d}:{half}0", f"{hour:02d}:{half}5"] for hour in range(24) for half in (0, 3)]},
            "week.mon",
        ),
        ({}, "week"),
        ({"mon": []}, "week"),
    ],
)
def test_wrong_hours_are_named(week: dict[str, list[list[str]]], place: str) -> None:
    with pytest.raises(InvalidHours) as wrong:
        calling(week)
    assert [fault.place for fault in wrong.value.faults] == [place]


zones = st.sampled_from(
    ["Europe/Paris", "Indian/Reunion", "Australia/Lord_Howe", "America/St_Johns", "Africa/Casablanca", "Pacific/Apia"]
)
minutes = st.integers(0, 1440)
instants = st.integers(0, 3 * 366 * 1440).map(lambda n: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=n))


@st.composite
def weeks(draw: st.DrawFn) -> Hours:
    week = {}
    for day in draw(st.sets(st.sampled_from(WEEKDAYS), min_size=1)):
        opens, closes = sorted(draw(st.lists(minutes, min_size=2, max_size=2, unique=True)))
        week[day] = [[f"{opens // 60:02d}:{opens % 60:02d}", f"{closes // 60:02d}:{closes % 60:02d}"]]
    return calling(week)


@given(hours=weeks(), places=st.lists(zones, min_size=1, max_size=3, unique=True).map(tuple), at=instants)
def test_the_next_opening_is_open_and_the_first(hours: Hours, places: tuple[str, ...], at: datetime) -> None:
    found = next_open(hours, places, at)
    # Every instant of a coarse grid, as a second opinion: offsets are multiples of a quarter of an hour here.
    grid = (at + timedelta(minutes=n) for n in range(0, 8 * 1440, 45))
    first = next((instant for instant in grid if is_open(hours, places, instant)), None)
    if found is None:
        assert first is None
    else:
        assert is_open(hours, places, found)
        assert first is None or found <= first
        if found > at:
            assert not is_open(hours, places, found - timedelta(seconds=1))


@given(at=instants, zone=zones)
def test_all_day_is_always_open(at: datetime, zone: str) -> None:
    assert is_open(ALL_DAY, (zone,), at)
