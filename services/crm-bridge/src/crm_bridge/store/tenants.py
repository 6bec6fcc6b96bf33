"""Tenants' settings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from common.database import Session

from crm_bridge.domain.settings import TenantSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """What a tenant decides about its contacts and cases."""

    tenant_id: str
    name: str
    time_zone: str
    region: str
    allow_possible_numbers: bool = False
    reopen_window_days: int
    closing_dispositions: list[str]

    def settings(self) -> TenantSettings:
        """As the decisions read it."""
        return TenantSettings(
            region=self.region,
            allow_possible_numbers=self.allow_possible_numbers,
            reopen_window=timedelta(days=self.reopen_window_days),
            closing_dispositions=frozenset(self.closing_dispositions),
        )


_TENANT = "tenant_id, name, time_zone, region, allow_possible_numbers, reopen_window_days, closing_dispositions"


async def settings(session: Session, tenant_ids: Iterable[str]) -> dict[str, TenantSettings]:
    """The settings of those of the tenants that have any."""
    rows = await session.fetch(
        f"SELECT {_TENANT} FROM tenants WHERE tenant_id = ANY($1::text[])",  # noqa: S608
        list(tenant_ids),
    )
    return {row["tenant_id"]: Tenant(**dict(row)).settings() for row in rows}


async def by_id(session: Session, tenant_id: str, *, locked: bool = False) -> tuple[Tenant, int] | None:
    """The tenant and its version, held until the transaction ends when `locked`."""
    lock_clause = "FOR NO KEY UPDATE" if locked else ""
    row = await session.fetchrow(
        f"SELECT {_TENANT}, version FROM tenants WHERE tenant_id = $1 {lock_clause}",  # noqa: S608
        tenant_id,
    )
    return None if row is None else _with_version(dict(row))


async def page(session: Session, *, after: str | None, limit: int) -> list[tuple[Tenant, int]]:
    """By id, from `after` on."""
    rows = await session.fetch(
        f"""
        SELECT {_TENANT}, version FROM tenants WHERE $1::text IS NULL OR tenant_id > $1 ORDER BY tenant_id LIMIT $2
        """,  # noqa: S608
        after,
        limit,
    )
    return [_with_version(dict(row)) for row in rows]


async def put(session: Session, tenant: Tenant) -> tuple[int, bool]:
    """Create or replace. The version (up by one on a real change only), and whether it is new."""
    row = await session.fetchrow(
        """
        INSERT INTO tenants AS present (
            tenant_id, name, time_zone, region, reopen_window_days, closing_dispositions, allow_possible_numbers,
            version
        )
        VALUES ($1, $2, $3, $4, $5, $6, $7, 1)
        ON CONFLICT (tenant_id) DO UPDATE SET
            name = EXCLUDED.name, time_zone = EXCLUDED.time_zone, region = EXCLUDED.region,
            reopen_window_days = EXCLUDED.reopen_window_days, closing_dispositions = EXCLUDED.closing_dispositions,
            allow_possible_numbers = EXCLUDED.allow_possible_numbers,
            version = present.version + 1, updated_at = now()
        WHERE (
            present.name, present.time_zone, present.region, present.reopen_window_days, present.closing_dispositions,
            present.allow_possible_numbers
        ) IS DISTINCT FROM (
            EXCLUDED.name, EXCLUDED.time_zone, EXCLUDED.region, EXCLUDED.reopen_window_days,
            EXCLUDED.closing_dispositions, EXCLUDED.allow_possible_numbers
        )
        RETURNING version
        """,
        tenant.tenant_id,
        tenant.name,
        tenant.time_zone,
        tenant.region,
        tenant.reopen_window_days,
        tenant.closing_dispositions,
        tenant.allow_possible_numbers,
    )
    if row is not None:
        return row["version"], row["version"] == 1
    version: int = await session.fetchval("SELECT version FROM tenants WHERE tenant_id = $1", tenant.tenant_id)
    return version, False


def _with_version(fields: dict[str, object]) -> tuple[Tenant, int]:
    version = fields.pop("version")
    assert isinstance(version, int)
    return Tenant(**fields), version  # type: ignore[arg-type]
