"""Entry points: their rows, and the way from a dialled number to one."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
import msgspec
from common.database import Session

from routing.domain.flows import Flow


async def entry_point(session: Session, entry_point_id: str) -> asyncpg.Record | None:
    """The entry point's row."""
    return await session.fetchrow("SELECT * FROM entry_points WHERE id = $1", entry_point_id)


async def entry_points(
    session: Session, after: str | None, limit: int, *, tenant_id: str | None, pool_id: str | None
) -> list[asyncpg.Record]:
    """By id, those after `after`, of a tenant or a pool if one is named."""
    return await session.fetch(
        """
        SELECT * FROM entry_points WHERE ($1::text IS NULL OR id > $1) AND ($3::text IS NULL OR tenant_id = $3)
            AND ($4::text IS NULL OR pool_id = $4)
        ORDER BY id LIMIT $2
        """,
        after,
        limit,
        tenant_id,
        pool_id,
    )


async def save_entry_point(
    session: Session, entry_point_id: str, tenant_id: str, pool_id: str, numbers: Sequence[str], flow: Flow
) -> None:
    """Create or replace; the version grows."""
    await session.execute(
        """
        INSERT INTO entry_points (id, tenant_id, pool_id, numbers, flow, version) VALUES ($1, $2, $3, $4, $5, 1)
        ON CONFLICT (id) DO UPDATE SET numbers = excluded.numbers, flow = excluded.flow,
            version = entry_points.version + 1, updated_at = now()
        """,
        entry_point_id,
        tenant_id,
        pool_id,
        numbers,
        msgspec.to_builtins(flow),
    )
    await session.execute(
        "DELETE FROM entry_point_numbers WHERE entry_point_id = $1 AND number <> ALL($2::text[])",
        entry_point_id,
        numbers,
    )
    await session.execute(
        """
        INSERT INTO entry_point_numbers (number, tenant_id, entry_point_id)
        SELECT number, $2, $3 FROM unnest($1::text[]) AS number ON CONFLICT (number) DO NOTHING
        """,
        numbers,
        tenant_id,
        entry_point_id,
    )


async def owners_of(session: Session, numbers: Sequence[str]) -> dict[str, str]:
    """The entry point of each of those numbers that has one."""
    rows = await session.fetch(
        "SELECT number, entry_point_id FROM entry_point_numbers WHERE number = ANY($1::text[])", numbers
    )
    return {row["number"]: row["entry_point_id"] for row in rows}


async def of_numbers(session: Session, numbers: Sequence[str]) -> list[asyncpg.Record]:
    """The entry points that these numbers lead to, each with its `number` and how its tenant reads numbers."""
    return await session.fetch(
        """
        SELECT e.id, e.tenant_id, e.pool_id, e.flow, n.number, t.region, t.allow_possible_numbers
        FROM entry_point_numbers n JOIN entry_points e ON e.id = n.entry_point_id
            JOIN tenants t ON t.tenant_id = e.tenant_id
        WHERE n.number = ANY($1::text[])
        """,
        numbers,
    )


async def homes_of(session: Session, entry_point_ids: Sequence[str]) -> list[asyncpg.Record]:
    """(id, tenant_id, pool_id) of those entry points that exist, with how their tenants read numbers."""
    return await session.fetch(
        """
        SELECT e.id, e.tenant_id, e.pool_id, t.region, t.allow_possible_numbers
        FROM entry_points e JOIN tenants t USING (tenant_id) WHERE e.id = ANY($1::text[])
        """,
        entry_point_ids,
    )


async def voice_queues(session: Session, tenant_id: str) -> dict[str, bool]:
    """The queues that a flow of the tenant may name, in whatever pool: whether each calls its callers back."""
    rows = await session.fetch(
        """
        SELECT id, callback IS NOT NULL AS calls_back FROM queues
        WHERE tenant_id = $1 AND channel = 'voice' ORDER BY id
        """,
        tenant_id,
    )
    return {row["id"]: row["calls_back"] for row in rows}


def flow_of(row: asyncpg.Record) -> Flow:
    """The flow of an entry point's row."""
    return msgspec.convert(row["flow"], Flow)
