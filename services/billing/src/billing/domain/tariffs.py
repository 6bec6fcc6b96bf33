"""Tariffs: what a tenant pays per closed case, in versions that never change.

The tariff of a day is the version with the latest `valid_from` on or before it; of two versions from the same day the
later one holds. Days are those of the tenant's time zone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from common import spelling
from common.errors import Conflict, Invalid
from common.money import EXPONENTS, Money, round_money

HIGHEST_PRICE = Decimal(999_999_999)
PRICE = r"^[0-9]{1,9}(\.[0-9]{1,3})?$"
"""How a price is written."""
"""More than any case costs in any currency: a higher price is a slip of the pen."""


@dataclass(frozen=True, slots=True)
class Tariff:
    """One version of a tenant's tariff, for ever as it was made."""

    version: int
    valid_from: date
    price: Money
    """Per closed case."""


@dataclass(frozen=True, slots=True)
class Terms:
    """All that rating needs to know of a tenant."""

    time_zone: ZoneInfo
    tariffs: tuple[Tariff, ...]


def currency(code: str) -> str:
    """`code`, if it can be billed in. Raises Invalid naming field and value."""
    if code not in EXPONENTS:
        raise Invalid(f"{code!r} is not one of the currencies {', '.join(sorted(EXPONENTS))}", field="currency")
    return code


def price_text(text: str) -> str:
    """`text`, if a price is written so, such as 4.20. Raises ValueError with what is wrong and how to write it."""
    amount = spelling.decimal(text)
    if amount < 0:
        raise ValueError(f"a price cannot be {text}: it must be zero or more")
    if amount > HIGHEST_PRICE:
        raise ValueError(f"a price cannot be {text}: it must be at most {HIGHEST_PRICE}")
    if not re.fullmatch(PRICE, text):
        raise ValueError(f"{text!r}: write at most 9 digits before the point and 3 after it, such as 4.20")
    return text


def price(text: str, code: str) -> Money:
    """Read a price per closed case, such as 4.20.

    Raises Invalid naming field and value when it is no amount, negative, absurd, or finer than the currency's smallest
    unit.
    """
    field = "price_per_closed_case"
    try:
        amount = Decimal(price_text(text))
    except ValueError as wrong:
        raise Invalid(str(wrong), field=field) from None
    rounded = round_money(amount, code)
    if rounded != amount:
        raise Invalid(f"a price cannot be {text}: {code} has {EXPONENTS[code]} digits after the point", field=field)
    return Money(rounded, code)


def day_of(moment: datetime, zone: ZoneInfo) -> date:
    """The calendar day of `moment` in the zone."""
    return moment.astimezone(zone).date()


def tariff_on(tariffs: Iterable[Tariff], day: date) -> Tariff | None:
    """The version that holds on `day`; None before the first."""
    begun = (tariff for tariff in tariffs if tariff.valid_from <= day)
    return max(begun, key=lambda tariff: (tariff.valid_from, tariff.version), default=None)


def reach(tariffs: Sequence[Tariff], added: Tariff) -> tuple[date, date | None]:
    """The days for which `added` decides beside `tariffs`: from the first, until before the second (None: for ever)."""
    later = [tariff.valid_from for tariff in tariffs if tariff.valid_from > added.valid_from]
    return added.valid_from, min(later, default=None)


def next_tariff(tariffs: Sequence[Tariff], valid_from: date, price: Money) -> Tariff | None:
    """The version to add so that `price` holds from `valid_from`; None when that is already so."""
    holds = tariff_on(tariffs, valid_from)
    if holds is not None and holds.price == price:
        return None
    return Tariff(max((tariff.version for tariff in tariffs), default=0) + 1, valid_from, price)


def refuse_rewriting(added: Tariff, charged: int, last_day: date | None) -> None:
    """Raises Conflict when `charged` cases, the last closed on `last_day`, were rated within the reach of `added`."""
    if charged:
        raise Conflict(
            f"a tariff from {added.valid_from} would change {charged} case(s) already charged, the last closed on "
            f"{last_day}: what is charged stays charged. Choose a later valid_from."
        )
