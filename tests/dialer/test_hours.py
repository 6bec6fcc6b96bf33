"""Calling hours in the lead's time zone, across changes of clocks and over several zones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from common.hours import WEEKDAYS
from dialer.domain.hours import CallingHours, InvalidHours, is_open, next_open
from dialer.domain.zones import zones_of
from hypothesis import given
from hypothesis import strategies as st

FRENCH = CallingHours.parse({day: [["10:00", "13:00"], ["14:00", "20:00"]] for day in WEEKDAYS[:5]})
ALL_DAY = CallingHours.parse({day: [["00:00", "24:00"]] for day in WEEKDAYS})
PARIS = ("Europe/Paris",)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-11-23T08:59:59", False),  # Monday 09:59:59 in Paris
        ("2026-11-23T09:00:00", True),
        ("2026-11-23T11:59:59", True),
        ("2026-11-23T12:00:00", False),  # 13:00: a window is open up to, not including, its end
        ("2026-11-23T13:00:00", True),
        ("2026-11-23T19:00:00", False),
        ("2026-11-22T10:00:00", False),  # Sunday
        ("2026-07-20T08:00:00", True),  # summer: 10:00 in Paris
        ("2026-07-20T18:00:00", False),
    ],
)
def test_windows_are_local_and_half_open(at: str, expected: bool) -> None:
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


def test_a_window_that_begins_in_the_hour_that_does_not_exist_opens_when_the_clock_has_jumped() -> None:
    hours = CallingHours.parse({"sun": [["02:30", "05:00"]]})
    before = utc("2026-03-29T00:30:00")
    assert next_open(hours, PARIS, before) == utc("2026-03-29T01:00:00")  # the wall goes from 01:59 to 03:00
    assert is_open(hours, PARIS, utc("2026-03-29T02:59:00"))
    assert not is_open(hours, PARIS, utc("2026-03-29T03:00:00"))


def test_a_window_in_the_hour_that_comes_twice_is_open_both_times() -> None:
    hours = CallingHours.parse({"sun": [["02:15", "02:30"]]})
    first = next_open(hours, PARIS, utc("2026-10-24T22:00:00"))
    assert first == utc("2026-10-25T00:15:00")
    assert next_open(hours, PARIS, utc("2026-10-25T00:30:00")) == utc("2026-10-25T01:15:00")


def test_the_second_reading_of_an_hour_reopens_a_window_that_spans_the_jump() -> None:
    hours = CallingHours.parse({"sun": [["01:30", "02:30"]]})
    assert not is_open(hours, PARIS, utc("2026-10-25T00:45:00"))
    assert next_open(hours, PARIS, utc("2026-10-25T00:45:00")) == utc("2026-10-25T01:00:00")


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
    hours = CallingHours.parse({"mon": [["10:00", "12:00"]]})
    assert next_open(hours, ("Asia/Tokyo", "America/New_York"), utc("2026-11-23T00:00:00")) is None


@pytest.mark.parametrize(
    ("week", "place"),
    [
        ({"monday": [["10:00", "13:00"]]}, "monday"),
        ({"mon": [["10:00"]]}, "mon[0]"),
        ({"mon": [["10:00", "25:00"]]}, "mon[0]"),
        ({"mon": [["10:00", "24:01"]]}, "mon[0]"),
        ({"mon": [["10h", "13:00"]]}, "mon[0]"),
        ({"mon": [["10:00", "13:00"], ["20:00", "14:00"]]}, "mon[1]"),
        ({"mon": [["10:00", "13:00"], ["12:00", "14:00"]]}, "mon"),
        ({}, "calling_hours"),
        ({"mon": []}, "calling_hours"),
    ],
)
def test_wrong_hours_are_named(week: dict[str, list[list[str]]], place: str) -> None:
    with pytest.raises(InvalidHours) as wrong:
        CallingHours.parse(week)
    assert wrong.value.place == place


def test_hours_are_written_as_they_are_read() -> None:
    week = {"mon": [["10:00", "13:00"], ["14:00", "24:00"]], "sun": [["00:00", "01:05"]]}
    assert CallingHours.parse(week).as_mapping() == week


zones = st.sampled_from(
    ["Europe/Paris", "Indian/Reunion", "Australia/Lord_Howe", "America/St_Johns", "Africa/Casablanca", "Pacific/Apia"]
)
minutes = st.integers(0, 1440)
instants = st.integers(0, 3 * 366 * 1440).map(lambda n: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=n))


@st.composite
def weeks(draw: st.DrawFn) -> CallingHours:
    week = {}
    for day in draw(st.sets(st.sampled_from(WEEKDAYS), min_size=1)):
        opens, closes = sorted(draw(st.lists(minutes, min_size=2, max_size=2, unique=True)))
        week[day] = [[f"{opens // 60:02d}:{opens % 60:02d}", f"{closes // 60:02d}:{closes % 60:02d}"]]
    return CallingHours.parse(week)


@given(
    hours=weeks(),
    places=st.lists(zones, min_size=1, max_size=3, unique=True).map(tuple),
    at=instants,
)
def test_the_next_opening_is_open_and_the_first(hours: CallingHours, places: tuple[str, ...], at: datetime) -> None:
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
