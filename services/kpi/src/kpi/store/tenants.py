"""Client companies as KPI knows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from common.database import Session

from kpi.domain.figures import ServiceLevelFormula

UNDECLARED_TIME_ZONE = "UTC"
"""Of a tenant of which only calls are known."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """A client company: its days are those of its time zone, its service level is by its formula."""

    tenant_id: str
    name: str
    time_zone: str
    service_level_formula: ServiceLevelFormula
    version: int


async def get(session: Session, tenant_id: str) -> Tenant | None:
    """The tenant, or None."""
    row = await session.fetchrow("SELECT * FROM tenants WHERE tenant_id = $1", tenant_id)
    return None if row is None else Tenant(**dict(row))


async def lock(session: Session, tenant_id: str) -> None:
    """Hold the tenant, whether it exists or not, until the transaction ends."""
    await session.execute("SELECT pg_advisory_xact_lock(hashtext($1))", f"kpi.tenant.{tenant_id}")


async def put(session: Session, tenant: Tenant) -> None:
    """Create or replace the row."""
    await session.execute(
        """
        INSERT INTO tenants (tenant_id, name, time_zone, service_level_formula, version) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (tenant_id) DO UPDATE SET name = excluded.name, time_zone = excluded.time_zone,
            service_level_formula = excluded.service_level_formula, version = excluded.version
        """,
        tenant.tenant_id,
        tenant.name,
        tenant.time_zone,
        tenant.service_level_formula,
        tenant.version,
    )


async def list_after(session: Session, after: str, limit: int) -> list[Tenant]:
    """Tenants with ids behind `after`, by id."""
    rows = await session.fetch("SELECT * FROM tenants WHERE tenant_id > $1 ORDER BY tenant_id LIMIT $2", after, limit)
    return [Tenant(**dict(row)) for row in rows]


async def names(session: Session) -> dict[str, str]:
    """Names of the tenants that the caller may see, by id."""
    rows = await session.fetch("SELECT tenant_id, name FROM tenants")
    return {row["tenant_id"]: row["name"] for row in rows}


async def formulas(session: Session) -> dict[str, ServiceLevelFormula]:
    """Service-level formulas of the tenants that the caller may see, by id."""
    rows = await session.fetch("SELECT tenant_id, service_level_formula FROM tenants")
    return {row["tenant_id"]: cast("ServiceLevelFormula", row["service_level_formula"]) for row in rows}


async def is_known(session: Session, tenant_id: str) -> bool:
    """Whether the tenant was declared, or calls of it have been seen."""
    found = await session.fetchval(
        """
        SELECT EXISTS (SELECT FROM tenants WHERE tenant_id = $1) OR EXISTS (SELECT FROM queues WHERE tenant_id = $1)
        """,
        tenant_id,
    )
    return bool(found)


async def time_zones(session: Session, tenant_id: str | None = None) -> list[str]:
    """Every time zone of a tenant that the caller may see (or of this one), and that of undeclared ones."""
    rows = await session.fetch(
        "SELECT DISTINCT time_zone FROM tenants WHERE $1::text IS NULL OR tenant_id = $1", tenant_id
    )
    return sorted({UNDECLARED_TIME_ZONE, *(row["time_zone"] for row in rows)})
