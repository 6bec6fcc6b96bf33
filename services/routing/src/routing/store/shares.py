"""Shares of tenants in a pool's agents: their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec
from common import hours
from common.database import Session

from routing.domain.shares import Positions, Share

_SHARES = "SELECT s.*, t.time_zone, t.version AS tenant_version FROM shares s JOIN tenants t USING (tenant_id)"


async def share(session: Session, pool_id: str, tenant_id: str) -> asyncpg.Record | None:
    """The share's row joined with its tenant's time zone and version, also when it was taken away (`rules` null)."""
    return await session.fetchrow(f"{_SHARES} WHERE s.pool_id = $1 AND s.tenant_id = $2", pool_id, tenant_id)


async def shares(session: Session, pool_id: str, after: str | None, limit: int) -> list[asyncpg.Record]:
    """The pool's shares by tenant, those after `after`."""
    return await session.fetch(
        f"""
        {_SHARES} WHERE s.pool_id = $1 AND s.rules IS NOT NULL AND ($2::text IS NULL OR s.tenant_id > $2)
        ORDER BY s.tenant_id LIMIT $3
        """,
        pool_id,
        after,
        limit,
    )


async def shares_of_tenant(session: Session, tenant_id: str) -> list[tuple[str, Share]]:
    """The tenant's shares as their pools' owners know them, each with its pool's id."""
    rows = await session.fetch(f"{_SHARES} WHERE s.tenant_id = $1 ORDER BY s.pool_id", tenant_id)
    return [(row["pool_id"], share_of(row)) for row in rows]


async def of_pools(session: Session, pool_ids: Sequence[str]) -> list[tuple[str, Share]]:
    """Every share that there is or was in these pools, as their owners know them, each with its pool's id."""
    rows = await session.fetch(f"{_SHARES} WHERE s.pool_id = ANY($1::text[]) ORDER BY s.tenant_id", pool_ids)
    return [(row["pool_id"], share_of(row)) for row in rows]


async def save_share(
    session: Session, pool_id: str, tenant_id: str, rules: Mapping[str, Any] | None
) -> asyncpg.Record | None:
    """Create, replace, or take away (None); the version grows. What an operator said of the burst stays only while
    there is one."""
    await session.execute(
        """
        INSERT INTO shares (pool_id, tenant_id, rules, version) VALUES ($1, $2, $3, 1)
        ON CONFLICT (pool_id, tenant_id) DO UPDATE SET rules = excluded.rules, version = shares.version + 1,
            updated_at = now()
        """,
        pool_id,
        tenant_id,
        rules,
    )
    if rules is None or rules["burst"] is None:
        await session.execute(
            """
            UPDATE shares SET burst_override = NULL, burst_override_by = NULL, burst_override_at = NULL,
                burst_override_reason = NULL
            WHERE pool_id = $1 AND tenant_id = $2
            """,
            pool_id,
            tenant_id,
        )
    return await share(session, pool_id, tenant_id)


async def override_burst(
    session: Session, pool_id: str, tenant_id: str, state: str | None, actor: str, at: datetime, reason: str | None
) -> asyncpg.Record | None:
    """Note what an operator said of the burst (None: its hours decide again); the version grows."""
    await session.execute(
        """
        UPDATE shares SET burst_override = $3, burst_override_by = $4, burst_override_at = $5,
            burst_override_reason = $6, version = version + 1, updated_at = now()
        WHERE pool_id = $1 AND tenant_id = $2
        """,
        pool_id,
        tenant_id,
        state,
        actor if state else None,
        at if state else None,
        reason if state else None,
    )
    return await share(session, pool_id, tenant_id)


def share_of(row: asyncpg.Record | Mapping[str, Any]) -> Share:
    """A share from its row joined with its tenant's. Both versions only grow, and so does their sum."""
    said: dict[str, Any] = {}
    if (rules := row["rules"]) is not None:
        burst_hours = rules["burst_hours"]
        said = {
            "usual": msgspec.convert(rules["usual"], Positions),
            "burst": None if rules["burst"] is None else msgspec.convert(rules["burst"], Positions),
            "burst_hours": None if burst_hours is None else hours.restore(burst_hours),
            "burst_override": row["burst_override"],
            "release_after_seconds": rules["release_after_seconds"],
        }
    version = row["version"] + row["tenant_version"]
    return Share(tenant_id=row["tenant_id"], time_zone=row["time_zone"], version=version, **said)
