"""Closings and the ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

import asyncpg
from common.database import Session
from common.money import Money, round_money

from billing.domain.closings import Closing
from billing.domain.rating import Entry, Kind, Rated
from billing.domain.statements import Sums

_ENTRY = (
    "id, tenant_id, case_id, charge_code, version, kind, amount, currency, tariff_version, day, occurred_at, reverses"
)


@dataclass(frozen=True, slots=True)
class StoredClosing:
    """A closing with the tariff version that it was charged at, if any."""

    closing: Closing
    tariff_version: int | None


async def merge_closings(session: Session, told: Sequence[Closing]) -> list[StoredClosing]:
    """Store what is new in these closings (one per key); returns how each stands now. One statement.

    What is on record wins: the caller compares what comes back with what it told.
    """
    rows = await session.fetch(
        """
        INSERT INTO closings (tenant_id, case_id, closing, closed_at, reopened_at)
        SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::timestamptz[], $5::timestamptz[])
            AS told (tenant_id, case_id, closing, closed_at, reopened_at)
        ORDER BY tenant_id, case_id, closing
        ON CONFLICT (tenant_id, case_id, closing) DO UPDATE
        SET reopened_at = coalesce(closings.reopened_at, excluded.reopened_at)
        RETURNING tenant_id, case_id, closing, closed_at, reopened_at, tariff_version
        """,
        [one.tenant_id for one in told],
        [one.case_id for one in told],
        [one.closing for one in told],
        [one.closed_at for one in told],
        [one.reopened_at for one in told],
    )
    return [_stored(row) for row in rows]


async def pin(session: Session, rated: Sequence[Rated]) -> None:
    """Note the tariff that each closing is charged at. One statement."""
    await session.execute(
        """
        UPDATE closings SET tariff_version = rated.tariff_version
        FROM unnest($1::text[], $2::text[], $3::int[], $4::int[])
            AS rated (tenant_id, case_id, closing, tariff_version)
        WHERE closings.tenant_id = rated.tenant_id AND closings.case_id = rated.case_id
            AND closings.closing = rated.closing
        """,
        [one.closing.tenant_id for one in rated],
        [one.closing.case_id for one in rated],
        [one.closing.closing for one in rated],
        [one.tariff.version for one in rated],
    )


async def record(session: Session, entries: Sequence[Entry], now: datetime) -> set[UUID]:
    """Write the entries that are not yet in the ledger; returns their ids. One statement."""
    rows = await session.fetch(
        """
        INSERT INTO ledger (id, tenant_id, case_id, charge_code, version, kind, amount, currency, tariff_version,
                            day, occurred_at, reverses, recorded_at)
        SELECT *, $13::timestamptz
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::int[], $6::text[], $7::numeric[], $8::text[],
                    $9::int[], $10::date[], $11::timestamptz[], $12::uuid[])
        ON CONFLICT ON CONSTRAINT ledger_once DO NOTHING
        RETURNING id
        """,
        [entry.id for entry in entries],
        [entry.tenant_id for entry in entries],
        [entry.case_id for entry in entries],
        [entry.charge_code for entry in entries],
        [entry.version for entry in entries],
        [entry.kind.value for entry in entries],
        [entry.amount.amount for entry in entries],
        [entry.amount.currency for entry in entries],
        [entry.tariff_version for entry in entries],
        [entry.day for entry in entries],
        [entry.occurred_at for entry in entries],
        [entry.reverses for entry in entries],
        now,
    )
    return {row[0] for row in rows}


async def unrated_of(session: Session, tenant_id: str, limit: int, after: Closing | None) -> list[Closing]:
    """Up to `limit` unrated closings of the tenant, oldest first, those behind `after`."""
    rows = await session.fetch(
        """
        SELECT tenant_id, case_id, closing, closed_at, reopened_at, tariff_version FROM closings
        WHERE tariff_version IS NULL AND tenant_id = $1
            AND ($3::timestamptz IS NULL OR (closed_at, case_id, closing) > ($3, $4, $5))
        ORDER BY closed_at, case_id, closing LIMIT $2
        """,
        tenant_id,
        limit,
        None if after is None else after.closed_at,
        None if after is None else after.case_id,
        None if after is None else after.closing,
    )
    return [_stored(row).closing for row in rows]


async def unrated(
    session: Session, tenant_id: str | None, limit: int, after: tuple[str, datetime, str, int] | None
) -> list[Closing]:
    """Up to `limit` unrated closings (of one tenant or all) by tenant and age, those behind `after`."""
    position = after or (None, None, None, None)
    rows = await session.fetch(
        """
        SELECT tenant_id, case_id, closing, closed_at, reopened_at, tariff_version FROM closings
        WHERE tariff_version IS NULL AND ($1::text IS NULL OR tenant_id = $1)
            AND ($3::text IS NULL OR (tenant_id, closed_at, case_id, closing) > ($3, $4, $5, $6))
        ORDER BY tenant_id, closed_at, case_id, closing LIMIT $2
        """,
        tenant_id,
        limit,
        *position,
    )
    return [_stored(row).closing for row in rows]


async def unrated_counts(session: Session) -> dict[str, int]:
    """How many closings of each tenant wait for a tariff; tenants without any are left out."""
    rows = await session.fetch("SELECT tenant_id, count(*) FROM closings WHERE tariff_version IS NULL GROUP BY 1")
    return {row[0]: row[1] for row in rows}


async def entries(
    session: Session,
    *,
    tenant_id: str | None,
    case_id: str | None,
    days: tuple[date, date] | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Entry]:
    """Up to `limit` entries in the order of their occurrence, those behind `after`."""
    rows = await session.fetch(
        f"""
        SELECT {_ENTRY} FROM ledger
        WHERE ($1::text IS NULL OR tenant_id = $1) AND ($2::text IS NULL OR case_id = $2)
            AND ($3::date IS NULL OR day BETWEEN $3 AND $4)
            AND ($5::timestamptz IS NULL OR (occurred_at, id) > ($5, $6))
        ORDER BY occurred_at, id LIMIT $7
        """,  # noqa: S608  the columns are a constant
        tenant_id,
        case_id,
        *(days or (None, None)),
        *(after or (None, None)),
        limit,
    )
    return [_entry(row) for row in rows]


async def month_entries(session: Session, tenant_id: str, days: tuple[date, date]) -> AsyncIterator[Entry]:
    """The tenant's entries of these days by day and time, as one snapshot, however many."""
    rows = session.cursor(
        f"""
        SELECT {_ENTRY} FROM ledger WHERE tenant_id = $1 AND day BETWEEN $2 AND $3
        ORDER BY day, occurred_at, kind, id
        """,  # noqa: S608 - a constant
        tenant_id,
        *days,
    )
    async for row in rows:
        yield _entry(row)


async def whole_ledger(session: Session) -> AsyncIterator[tuple[Entry, UUID]]:
    """Every entry with the id it is stored under, as one snapshot."""
    async for row in session.cursor(f"SELECT {_ENTRY} FROM ledger"):  # noqa: S608
        yield _entry(row), row["id"]


async def sums(session: Session, days: tuple[date, date] | None) -> list[Sums]:
    """What was charged and taken back per tenant and currency, within these days or ever."""
    rows = await session.fetch(
        """
        SELECT tenant_id, currency,
            count(*) FILTER (WHERE kind = 'charge') AS charge_count,
            coalesce(sum(amount) FILTER (WHERE kind = 'charge'), 0) AS charges,
            count(*) FILTER (WHERE kind = 'reversal') AS reversal_count,
            coalesce(sum(amount) FILTER (WHERE kind = 'reversal'), 0) AS reversals
        FROM ledger WHERE $1::date IS NULL OR day BETWEEN $1 AND $2
        GROUP BY tenant_id, currency ORDER BY tenant_id, currency
        """,
        *(days or (None, None)),
    )
    return [
        Sums(
            row["tenant_id"],
            row["currency"],
            row["charge_count"],
            Money(round_money(row["charges"], row["currency"]), row["currency"]),
            row["reversal_count"],
            Money(round_money(row["reversals"], row["currency"]), row["currency"]),
        )
        for row in rows
    ]


def _stored(row: asyncpg.Record) -> StoredClosing:
    closing = Closing(row["tenant_id"], row["case_id"], row["closing"], row["closed_at"], row["reopened_at"])
    return StoredClosing(closing, row["tariff_version"])


def _entry(row: asyncpg.Record) -> Entry:
    return Entry(
        tenant_id=row["tenant_id"],
        case_id=row["case_id"],
        charge_code=row["charge_code"],
        version=row["version"],
        kind=Kind(row["kind"]),
        amount=Money(row["amount"], row["currency"]),
        tariff_version=row["tariff_version"],
        occurred_at=row["occurred_at"],
        day=row["day"],
        reverses=row["reverses"],
    )
