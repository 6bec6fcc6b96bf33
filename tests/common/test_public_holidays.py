"""Every country of the library: the part is asked for exactly where parts have holidays of their own."""

from __future__ import annotations

from datetime import date

import pytest
from common.hours import InvalidHours, parse, restore
from common.public_holidays import fault_of, name_on
from holidays import country_holidays, list_supported_countries

COUNTRIES = list_supported_countries(include_aliases=False)
YEARS = range(2024, 2030)
WEEK = {"fri": [["08:00", "18:00"]]}


def days(country: str, part: str | None = None) -> set[date]:
    return set(country_holidays(country, subdiv=part, years=YEARS))


def test_every_country_asks_for_the_part_if_and_only_if_its_parts_differ() -> None:
    assert len(COUNTRIES) > 200
    asked = set()
    for country, parts in COUNTRIES.items():
        whole = days(country)
        differ = any(days(country, part) != whole for part in parts)
        fault = fault_of(country)
        assert (fault is not None) is differ, (country, fault)
        assert fault_of(f"{country}-national") is None
        assert [part for part in parts if fault_of(f"{country}-{part}") is not None] == []
        if fault is not None:
            asked.add(country)
            assert [part for part in parts if f"{country}-{part}" not in fault] == [], fault
    assert {"GB", "DE", "CH", "ES", "AU", "CA", "US", "FR"} <= asked
    assert not {"JP", "AT", "NL", "PL", "SE", "LU", "MC"} & asked


@pytest.mark.parametrize("code", ["GB", "GBR", "DE"])
def test_the_message_lists_the_parts_with_their_names(code: str) -> None:
    with pytest.raises(InvalidHours) as refused:
        parse({"week": WEEK, "holidays": code})
    (fault,) = refused.value.faults
    assert fault.place == "holidays"
    some = {"GB": "GB-SCT (Scotland)", "GBR": "GBR-ENG (England)", "DE": "DE-BY (Bayern)"}[code]
    assert f"the public holidays of {code} differ by part: name one of" in fault.reason
    assert some in fault.reason
    assert f"{code}-national" in fault.reason


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("XX", "a country such as JP or a part such as GB-ENG"),
        ("GB-", "a country such as JP or a part such as GB-ENG"),
        ("gb", "a country such as JP or a part such as GB-ENG"),
        ("", "a country such as JP or a part such as GB-ENG"),
        ("GB-XX", "its parts are GB-ENG (England)"),
        ("JP-13", "JP has no parts: write JP"),
    ],
)
def test_an_unknown_code_is_refused_with_the_remedy(code: str, remedy: str) -> None:
    assert remedy in (fault_of(code) or "")


def test_a_part_has_its_own_days_and_the_whole_country_only_those_of_all() -> None:
    easter_monday, christmas = date(2026, 4, 6), date(2026, 12, 25)
    assert name_on("GB-ENG", easter_monday) == "Easter Monday"
    assert name_on("GB-SCT", easter_monday) is None
    assert name_on("GB-national", easter_monday) is None
    assert name_on("GB-national", christmas) == "Christmas Day"


def test_hours_of_an_earlier_version_are_read_as_they_were_meant() -> None:
    """A queue that was declared when `GB` and `EST` were taken must not stop its pool."""
    saved = {"week": WEEK, "time_zone": "EST", "holidays": "GB", "exceptions": {"2026-12-24": []}}
    hours = restore(saved)
    assert hours.as_mapping() == saved
    assert name_on("GB", date(2026, 12, 25)) == "Christmas Day"
    with pytest.raises(InvalidHours) as refused:
        parse(saved)
    assert [fault.place for fault in refused.value.faults] == ["time_zone", "holidays"]
