"""Every name of the tz database is the time zone of a place, or refused with what to write instead."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from zoneinfo import ZoneInfo, available_timezones

import pytest
from common.fields import TimeZone
from common.time_zones import is_time_zone, remedy
from phonenumbers.tzdata import TIMEZONE_DATA
from pydantic import TypeAdapter, ValidationError

NAMES = sorted(available_timezones())
IANA = TypeAdapter(TimeZone)


@pytest.mark.parametrize(
    "name",
    [
        "EST",
        "MST",
        "HST",
        "EST5EDT",
        "CST6CDT",
        "MST7MDT",
        "PST8PDT",
        "CET",
        "MET",
        "EET",
        "WET",
        "GMT",
        "GMT0",
        "GMT+0",
        "Greenwich",
        "UCT",
        "Zulu",
        "Universal",
        "Etc/UTC",
        "Etc/GMT",
        "Etc/GMT+5",
        "Etc/GMT-14",
        "Etc/Unknown",
        "Factory",
        "localtime",
        "posix/Europe/Paris",
        "right/Europe/Paris",
        "posixrules",
        "SystemV/EST5",
        "Japan",
        "GB",
        "europe/paris",
        "Paris",
        "+01:00",
        "UTC+1",
    ],
)
def test_what_is_no_place_is_refused_with_the_remedy(name: str) -> None:
    assert not is_time_zone(name)
    with pytest.raises(ValidationError) as refused:
        IANA.validate_python(name)
    said = str(refused.value)
    assert f"there is no time zone {name!r}: {remedy(name)}" in said
    assert re.search(r"name a city, such as [A-Z]\w+/\w+|write UTC", said)


@pytest.mark.parametrize(
    "name",
    [
        "UTC",
        "Europe/Paris",
        "America/Indiana/Knox",
        "America/Argentina/Buenos_Aires",
        "Indian/Reunion",
        "Antarctica/Troll",
        "Asia/Calcutta",
        "Europe/Kiev",
        "US/Eastern",
        "Canada/Newfoundland",
        "Brazil/East",
        "Australia/ACT",
        "Arctic/Longyearbyen",
    ],
)
def test_places_are_taken_by_their_older_names_too(name: str) -> None:
    assert IANA.validate_python(name) == name


def test_every_name_is_a_place_or_refused_with_a_city_that_is_taken() -> None:
    assert len(NAMES) > 500
    for name in NAMES:
        if is_time_zone(name):
            assert ZoneInfo(name)
            assert name == "UTC" or re.fullmatch(r"[A-Z]\w+(/[\w-]+)+", name)
        else:
            assert "/" not in name or name.startswith("Etc/"), name
            city = remedy(name).removeprefix("name a city, such as ").removeprefix("write ")
            assert is_time_zone(city), (name, city)


def test_a_country_that_is_no_time_zone_is_shown_its_city() -> None:
    assert [remedy(name) for name in ("Japan", "Eire", "Hongkong", "Europe/Pari", "utc")] == [
        "name a city, such as Asia/Tokyo",
        "name a city, such as Europe/Dublin",
        "name a city, such as Asia/Hong_Kong",
        "name a city, such as Europe/Paris",
        "write UTC",
    ]


def test_every_place_of_the_table_of_countries_is_taken() -> None:
    rows = (files("tzdata") / "zoneinfo" / "zone1970.tab").read_text().splitlines()
    places = [row.split("\t")[2] for row in rows if not row.startswith("#")]
    assert len(places) > 300
    assert [place for place in places if not is_time_zone(place)] == []


def test_whatever_a_phone_number_says_is_a_place() -> None:
    named = {zone for zones in TIMEZONE_DATA.values() for zone in zones}
    assert {zone for zone in named if not is_time_zone(zone)} <= {"Etc/Unknown"}


def test_what_is_refused_keeps_no_summer_time_of_a_place() -> None:
    """The reason for the rule: by Etc/GMT+5, a day in New York is an hour off for more than half of the year."""
    noons = [datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(days=day) for day in range(365)]
    place, offset = ZoneInfo("America/New_York"), ZoneInfo("Etc/GMT+5")
    wrong = [noon for noon in noons if noon.astimezone(place).utcoffset() != noon.astimezone(offset).utcoffset()]
    assert len(wrong) > 200
