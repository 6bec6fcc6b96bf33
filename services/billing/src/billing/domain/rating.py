"""Rating: from a closing and the tenant's tariffs to the entries of the ledger, the same ones every time.

A closed case is one charge at the tariff valid on the day of closing; a reopening takes that charge back whole, at the
same tariff; the next closing is a charge of its own. An entry is named by (tenant, case, charge code, version, kind),
and its id is derived from that name, so a replay from zero gives the very same ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from common.events import ChargeRecorded, ChargeReversed
from common.ids import derived_id
from common.money import Money

from billing.domain.closings import Closing
from billing.domain.tariffs import Tariff, Terms, day_of, tariff_on

CASE = "case"
"""The charge code of a closed case."""


class Kind(StrEnum):
    """Whether an entry charges or takes back."""

    CHARGE = "charge"
    REVERSAL = "reversal"


class Month(NamedTuple):
    """A calendar month of a tenant's time zone."""

    year: int
    month: int

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"


class EntryKey(NamedTuple):
    """Names one entry of the ledger for ever."""

    tenant_id: str
    case_id: str
    charge_code: str
    version: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger: written once, never changed.

    `amount` is negative in a reversal, which names the charge it takes back in `reverses`. `day` is the day of
    `occurred_at` (the closing of a charge, the reopening of a reversal) in the tenant's time zone; it decides the
    month.
    """

    tenant_id: str
    case_id: str
    charge_code: str
    version: int
    kind: Kind
    amount: Money
    tariff_version: int
    occurred_at: datetime
    day: date
    reverses: UUID | None

    @property
    def key(self) -> EntryKey:
        return EntryKey(self.tenant_id, self.case_id, self.charge_code, self.version, self.kind)

    @property
    def id(self) -> UUID:
        return entry_id(self.key)

    @property
    def month(self) -> str:
        return str(Month(self.day.year, self.day.month))

    @property
    def quantity(self) -> int:
        return -1 if self.kind is Kind.REVERSAL else 1


@dataclass(frozen=True, slots=True)
class Rated:
    """The closing under its tariff: a charge, and its reversal when the case was reopened."""

    closing: Closing
    tariff: Tariff
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Unrated:
    """No tariff was valid when the case was closed: nothing is charged until one is added for that day."""

    closing: Closing
    reason: str


def entry_id(key: EntryKey) -> UUID:
    """The id that this entry has in every ledger."""
    return derived_id(key.tenant_id, key.case_id, key.charge_code, str(key.version), key.kind.value)


def rate(closing: Closing, terms: Terms | None, pinned: int | None = None) -> Rated | Unrated:
    """What the closing costs. `terms` is None for a tenant that billing was not told of.

    `pinned` is the tariff version that the closing was charged at before: its reversal is at that same version.
    """
    if terms is None:
        return Unrated(closing, f"billing knows no tenant {closing.tenant_id}")
    day = day_of(closing.closed_at, terms.time_zone)
    candidates = terms.tariffs if pinned is None else [one for one in terms.tariffs if one.version == pinned]
    tariff = tariff_on(candidates, day)
    if tariff is None:
        return Unrated(closing, f"no tariff is valid on {day}")
    charge = Entry(
        tenant_id=closing.tenant_id,
        case_id=closing.case_id,
        charge_code=CASE,
        version=closing.closing,
        kind=Kind.CHARGE,
        amount=tariff.price,
        tariff_version=tariff.version,
        occurred_at=closing.closed_at,
        day=day,
        reverses=None,
    )
    if closing.reopened_at is None:
        return Rated(closing, tariff, (charge,))
    reversal = Entry(
        tenant_id=closing.tenant_id,
        case_id=closing.case_id,
        charge_code=CASE,
        version=closing.closing,
        kind=Kind.REVERSAL,
        amount=-charge.amount,
        tariff_version=tariff.version,
        occurred_at=closing.reopened_at,
        day=day_of(closing.reopened_at, terms.time_zone),
        reverses=charge.id,
    )
    return Rated(closing, tariff, (charge, reversal))


def ledger_of(closings: Iterable[Closing], terms: Mapping[str, Terms]) -> dict[EntryKey, Entry]:
    """The whole ledger of these closings (one per key), by the name of each entry."""
    rated = (rate(closing, terms.get(closing.tenant_id)) for closing in closings)
    return {entry.key: entry for rating in rated if isinstance(rating, Rated) for entry in rating.entries}


def event_of(entry: Entry) -> ChargeRecorded | ChargeReversed:
    """The event that tells the others of an entry."""
    common: dict[str, Any] = {
        "tenant_id": entry.tenant_id,
        "charge_id": str(entry.id),
        "case_id": entry.case_id,
        "charge_code": entry.charge_code,
        "version": entry.version,
        "amount": entry.amount.amount,
        "currency": entry.amount.currency,
        "tariff_version": entry.tariff_version,
        "month": entry.month,
        "occurred_at": entry.occurred_at,
    }
    if entry.reverses is None:
        return ChargeRecorded(**common)
    return ChargeReversed(**common, reverses=str(entry.reverses))
