"""Values that several services read in the same way."""

from __future__ import annotations

import pytest
from common.fields import Line, Region, TimeZone
from common.time_zones import is_time_zone
from pydantic import TypeAdapter, ValidationError


@pytest.mark.parametrize("name", ["Mars/Olympus", "Europe", "../etc/passwd", "", "localtime", "Factory"])
def test_a_wrong_time_zone_is_named(name: str) -> None:
    assert not is_time_zone(name)
    with pytest.raises(ValidationError, match=f"there is no time zone '{name}'"):
        TypeAdapter(TimeZone).validate_python(name)


def test_a_time_zone_stays_as_it_is_written() -> None:
    assert TypeAdapter(TimeZone).validate_python("Europe/Paris") == "Europe/Paris"


@pytest.mark.parametrize("code", ["XX", "fr", ""])
def test_a_wrong_region_is_named(code: str) -> None:
    with pytest.raises(ValidationError, match=f"there is no region '{code}'"):
        TypeAdapter(Region).validate_python(code)


@pytest.mark.parametrize("text", ["", "x" * 201, "two\nlines", "nul\x00", "delete\x7f", "end\n"])
def test_a_line_is_one_line_of_text(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Line).validate_python(text)
