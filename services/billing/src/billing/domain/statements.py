"""The statement of a tenant's month, and how it is written as JSON or CSV, line by line and so of any length."""

from __future__ import annotations

import csv
import io
import re
from calendar import monthrange
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

from common.errors import Invalid
from common.money import Money

from billing.domain.rating import Entry, Kind, Month

_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])", re.ASCII)

COLUMNS = (
    "date",
    "case_id",
    "charge_code",
    "closing",
    "kind",
    "tariff_version",
    "quantity",
    "amount",
    "currency",
    "occurred_at",
    "charge_id",
    "reverses",
)
"""Of the CSV; `date` is a day of the tenant's time zone, `occurred_at` is UTC."""


def read_month(text: str) -> Month:
    """Read `2026-11`. Raises Invalid naming the value."""
    match = _MONTH.fullmatch(text)
    if match is None or match[1] == "0000":
        raise Invalid(f"{text!r} is not a month such as 2026-11", field="month")
    return Month(int(match[1]), int(match[2]))


def days_of(month: Month) -> tuple[date, date]:
    """The first and the last day of the month."""
    return date(month.year, month.month, 1), date(month.year, month.month, monthrange(month.year, month.month)[1])


@dataclass(slots=True)
class Totals:
    """Sums over the lines so far. `charges` + `reversals` = `net`; `reversals` is zero or negative."""

    currency: str
    charge_count: int = 0
    reversal_count: int = 0
    charges: Money = field(init=False)
    reversals: Money = field(init=False)

    def __post_init__(self) -> None:
        self.charges = Money.zero(self.currency)
        self.reversals = Money.zero(self.currency)

    def add(self, entry: Entry) -> None:
        """Count one line. Raises InvalidMoney when it is in another currency."""
        if entry.kind is Kind.CHARGE:
            self.charge_count += 1
            self.charges += entry.amount
        else:
            self.reversal_count += 1
            self.reversals += entry.amount

    @property
    def net(self) -> Money:
        return self.charges + self.reversals


@dataclass(frozen=True, slots=True)
class Sums:
    """What was charged to one tenant in one currency, and taken back (zero or negative); tenant "" stands for all."""

    tenant_id: str
    currency: str
    charge_count: int
    charges: Money
    reversal_count: int
    reversals: Money

    @property
    def net(self) -> Money:
        return self.charges + self.reversals


def by_currency(sums: Iterable[Sums]) -> list[Sums]:
    """The sums over all tenants, per currency."""
    totals: dict[str, Sums] = {}
    for each in sums:
        so_far = totals.get(each.currency)
        totals[each.currency] = Sums(
            "",
            each.currency,
            each.charge_count + (so_far.charge_count if so_far else 0),
            each.charges + so_far.charges if so_far else each.charges,
            each.reversal_count + (so_far.reversal_count if so_far else 0),
            each.reversals + so_far.reversals if so_far else each.reversals,
        )
    return [totals[currency] for currency in sorted(totals)]


def csv_header() -> str:
    """The first record of the CSV (RFC 4180: commas, CRLF, quotes where needed; UTF-8)."""
    return _records([COLUMNS])


def csv_lines(entries: Sequence[Entry]) -> str:
    """One record per entry."""
    return _records(
        [
            (
                entry.day.isoformat(),
                _text(entry.case_id),
                _text(entry.charge_code),
                str(entry.version),
                entry.kind.value,
                str(entry.tariff_version),
                str(entry.quantity),
                str(entry.amount.amount),
                entry.amount.currency,
                _utc(entry),
                str(entry.id),
                str(entry.reverses or ""),
            )
            for entry in entries
        ]
    )


def csv_totals(totals: Totals) -> str:
    """The last three records, told from lines by their `kind`."""
    net_count = totals.charge_count - totals.reversal_count
    return _records(
        [
            ("", "", "", "", kind, "", str(count), str(money.amount), money.currency, "", "", "")
            for kind, count, money in (
                ("total_charges", totals.charge_count, totals.charges),
                ("total_reversals", -totals.reversal_count, totals.reversals),
                ("total_net", net_count, totals.net),
            )
        ]
    )


def _utc(entry: Entry) -> str:
    return entry.occurred_at.isoformat().replace("+00:00", "Z")


def _text(value: str) -> str:
    """`value` for a cell that a spreadsheet must not take for a formula: those get a leading apostrophe."""
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r", "\n") else value


def _records(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue()
