"""Tenants and their tariffs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

import asyncpg
from common.database import Session
from common.money import Money

from billing.domain.tariffs import Tariff, Terms


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant as stored; `version` counts real changes."""

    tenant_id: str
    name: str
    time_zone: str
    currency: str
    version: int


async def lock_shared(session: Session) -> None:
    """Until the transaction ends, no tenant's terms change: what is rated now fits the terms read now."""
    await session.execute("SELECT pg_advisory_xact_lock_shared(hashtextextended(current_schema() || '.tariffs', 0))")


async def lock_exclusive(session: Session) -> None:
    """Wait for ratings under way and hold back new ones until the transaction ends: the terms may be changed."""
    await session.execute("SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.tariffs', 0))")


async def terms_of(session: Session, tenant_ids: Collection[str] | None = None) -> dict[str, Terms]:
    """The terms of these tenants (None: of all) that billing knows."""
    rows = await session.fetch(
        """
        SELECT tenant_id, time_zone, tariffs.version, valid_from, price_per_closed_case, tariffs.currency
        FROM tenants LEFT JOIN tariffs USING (tenant_id)
        WHERE $1::text[] IS NULL OR tenant_id = ANY($1)
        ORDER BY tenant_id, tariffs.version
        """,
        None if tenant_ids is None else list(tenant_ids),
    )
    zones: dict[str, ZoneInfo] = {}
    tariffs: dict[str, list[Tariff]] = {}
    for row in rows:
        zones[row["tenant_id"]] = ZoneInfo(row["time_zone"])
        versions = tariffs.setdefault(row["tenant_id"], [])
        if row["version"] is not None:
            versions.append(_tariff(row))
    return {tenant_id: Terms(zone, tuple(tariffs[tenant_id])) for tenant_id, zone in zones.items()}


async def tenant(session: Session, tenant_id: str) -> Tenant | None:
    """The tenant, if the transaction may see it."""
    row = await session.fetchrow(
        "SELECT tenant_id, name, time_zone, currency, version FROM tenants WHERE tenant_id = $1", tenant_id
    )
    return None if row is None else Tenant(**dict(row))


async def tenants(session: Session, after: str, limit: int) -> list[Tenant]:
    """Up to `limit` tenants in the order of their ids, those behind `after`."""
    rows = await session.fetch(
        """
        SELECT tenant_id, name, time_zone, currency, version FROM tenants
        WHERE tenant_id COLLATE "C" > $1 ORDER BY tenant_id COLLATE "C" LIMIT $2
        """,
        after,
        limit,
    )
    return [Tenant(**dict(row)) for row in rows]


async def save_tenant(session: Session, tenant: Tenant) -> None:
    """Create or replace the tenant."""
    await session.execute(
        """
        INSERT INTO tenants (tenant_id, name, time_zone, currency, version) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (tenant_id) DO UPDATE
        SET name = excluded.name, time_zone = excluded.time_zone, currency = excluded.currency,
            version = excluded.version, updated_at = now()
        """,
        tenant.tenant_id,
        tenant.name,
        tenant.time_zone,
        tenant.currency,
        tenant.version,
    )


async def add_tariff(session: Session, tenant_id: str, tariff: Tariff, now: datetime) -> None:
    """Store a new version."""
    await session.execute(
        """
        INSERT INTO tariffs (tenant_id, version, valid_from, price_per_closed_case, currency, created_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        """,
        tenant_id,
        tariff.version,
        tariff.valid_from,
        tariff.price.amount,
        tariff.price.currency,
        now,
    )


async def tariffs(session: Session, tenant_id: str, after: int, limit: int) -> list[tuple[Tariff, datetime]]:
    """Up to `limit` versions behind version `after`, each with the moment of its making."""
    rows = await session.fetch(
        """
        SELECT version, valid_from, price_per_closed_case, currency, created_at FROM tariffs
        WHERE tenant_id = $1 AND version > $2 ORDER BY version LIMIT $3
        """,
        tenant_id,
        after,
        limit,
    )
    return [(_tariff(row), row["created_at"]) for row in rows]


async def charged_within(session: Session, tenant_id: str, first: date, until: date | None) -> tuple[int, date | None]:
    """How many charges have a day from `first` until before `until`, and the last such day."""
    row = await session.fetchrow(
        """
        SELECT count(*), max(day) FROM ledger
        WHERE tenant_id = $1 AND kind = 'charge' AND day >= $2 AND ($3::date IS NULL OR day < $3)
        """,
        tenant_id,
        first,
        until,
    )
    assert row is not None
    return row[0], row[1]


async def is_charged(session: Session, tenant_id: str) -> bool:
    """Whether anything was ever charged to the tenant."""
    found: bool = await session.fetchval("SELECT EXISTS (SELECT FROM ledger WHERE tenant_id = $1)", tenant_id)
    return found


async def has_tariff(session: Session, tenant_id: str) -> bool:
    """Whether the tenant ever had a tariff."""
    found: bool = await session.fetchval("SELECT EXISTS (SELECT FROM tariffs WHERE tenant_id = $1)", tenant_id)
    return found


def _tariff(row: asyncpg.Record) -> Tariff:
    return Tariff(row["version"], row["valid_from"], Money(row["price_per_closed_case"], row["currency"]))
