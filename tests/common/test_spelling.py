"""One grammar for numbers, days and times, whoever reads them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from common import spelling
from common.hours import InvalidHours, parse
from common.money import InvalidMoney, Money
from common.requirements import WrongRequirement
from common.requirements import parse as parse_requirement
from hypothesis import given
from hypothesis import strategies as st
from plateau.floor import FloorInvalid
from plateau.floor import parse as parse_floor

TEN = datetime(2026, 11, 28, 10, tzinfo=timezone(timedelta(hours=1)))
RIGHT: list[tuple[Callable[[str], Any], str, Any]] = [
    (spelling.whole, "42", 42),
    (spelling.whole, "-7", -7),
    (spelling.decimal, "4.20", Decimal("4.20")),
    (spelling.decimal, "4", Decimal(4)),
    (spelling.day, "2026-11-28", date(2026, 11, 28)),
    (spelling.time_of_day, "09:30", time(9, 30)),
    (spelling.moment, "2026-11-28T10:00:00+01:00", TEN),
    (spelling.moment, "2026-11-28t09:00:00.000z", TEN.astimezone(UTC)),
    (spelling.truth, "true", True),
]
WRONG: dict[Callable[[str], Any], list[str]] = {
    spelling.whole: ["4_20", "1e1", "４２", "+4", " 4", "4\n", "4.0", "", "²", "0x1f"],
    spelling.decimal: ["4_20", "1_0_0", "1e1", "４.20", "+4", ".5", "5.", "NaN", "Infinity", "4,20", "4.20 ", ""],
    spelling.day: ["20261128", "2026-W48-6", "2026-11-31", "２０２６-11-28", "28.11.2026", "2026-11-28T00:00:00"],
    spelling.time_of_day: ["750", "9:30", "24:30", "０９:30", "09.30"],
    spelling.moment: ["1764320400", "2026-11-28", "2026-11-28T10:00:00", "2026-11-28 10:00:00 01:00", "20261128T10Z"],
    spelling.truth: ["True", "yes", "1", ""],
}


@pytest.mark.parametrize(("read", "text", "value"), RIGHT)
def test_what_is_written_right_is_read(read: Callable[[str], Any], text: str, value: Any) -> None:
    assert read(text) == value


@pytest.mark.parametrize(("read", "text"), [(read, text) for read, texts in WRONG.items() for text in texts])
def test_what_libraries_would_read_too_is_refused_with_the_value(read: Callable[[str], Any], text: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        read(text)
    assert repr(text) in str(refused.value)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9))
def test_every_amount_is_read_as_it_is_written(amount: Decimal) -> None:
    assert spelling.decimal(f"{amount:f}") == amount


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_moment_is_read_as_it_is_written_and_finds_its_plus_again(moment: datetime) -> None:
    text = moment.isoformat()
    if moment.year >= 1000:
        assert spelling.moment(text) == moment
        assert spelling.with_its_plus(text.replace("+", " ")) == text
        assert spelling.with_its_plus(text) == text


def test_money_hours_and_requirements_read_by_the_same_grammar() -> None:
    for amount in WRONG[spelling.decimal]:
        with pytest.raises(InvalidMoney):
            Money.of(amount, "EUR")
    for day in WRONG[spelling.day]:
        with pytest.raises(InvalidHours):
            parse({"week": {"mon": [["08:00", "12:00"]]}, "exceptions": {day: []}})
    for opens in WRONG[spelling.time_of_day]:
        with pytest.raises(InvalidHours):
            parse({"week": {"mon": [[opens, "23:00"]]}})
    for level in ("４", "1_0", "²"):
        with pytest.raises(WrongRequirement):
            parse_requirement(f"french:{level}")


FLOOR = """\
pools: {{main: {{name: Main, skills: [orders], agents: [{{id: ann, name: Ann, skills: {{orders: {level}}}}}]}}}}
tenants:
  kettle:
    name: Kettle & Quill (invented)
    time_zone: Europe/Paris
    closing_dispositions: [solved]
    tariff: {{price_per_closed_case: {price}, valid_from: {day}}}
    queues:
      orders: {{pool: main, priority: {priority}, wrap_up_seconds: {seconds}}}
"""
FIELDS = {"level": "5", "price": '"4.20"', "day": "2026-11-01", "priority": "5", "seconds": "30"}


@pytest.mark.parametrize(
    ("field", "text"),
    [
        *(("level", text) for text in ("1_0", "0x5", "+5", '"５"')),
        *(("price", text) for text in ("4_20", '"1_0_0"', "1e1", '"４.20"', "12:30", ".5")),
        *(("day", text) for text in ("20261101", "2026-W48-6", "2026-11-31")),
        *(("priority", text) for text in ("0_5", "0b1", '"５"', "1e0")),
        *(("seconds", text) for text in ("3_0", "12:30", "1e1", '"３０"', ".5")),
    ],
)
def test_a_floor_file_is_read_by_the_same_grammar(field: str, text: str) -> None:
    """Neither by YAML 1.1, which has `4_20` for 420 and `12:30` for 750, nor by Python's."""
    assert parse_floor(FLOOR.format(**FIELDS)).tenants
    with pytest.raises(FloorInvalid) as refused:
        parse_floor(FLOOR.format(**{**FIELDS, field: text}))
    (wrong,) = refused.value.wrong
    assert wrong.value == text.strip('"')
    assert "must be" in wrong.detail
