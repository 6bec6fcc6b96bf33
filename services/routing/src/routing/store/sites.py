"""Sites: their rows, and who names them."""

from __future__ import annotations

from datetime import datetime

import asyncpg
import msgspec
from common.database import Session
from common.ids import FLOOR

from routing.domain.agents import Agent
from routing.domain.configuration import Site

DRAINED = "drained"
"""Reason of a drain for which the operator gave none."""


async def site(session: Session, site_id: str) -> asyncpg.Record | None:
    """The site's row."""
    return await session.fetchrow("SELECT * FROM sites WHERE id = $1", site_id)


async def sites(session: Session, after: str | None, limit: int) -> list[asyncpg.Record]:
    """By id, those after `after`."""
    return await session.fetch(
        "SELECT * FROM sites WHERE ($1::text IS NULL OR id > $1) ORDER BY id LIMIT $2", after, limit
    )


async def save(session: Session, site_id: str, name: str, time_zone: str) -> None:
    """Create or replace; the version grows."""
    await session.execute(
        """
        INSERT INTO sites (id, tenant_id, name, time_zone, version) VALUES ($1, $2, $3, $4, 1)
        ON CONFLICT (id) DO UPDATE SET name = excluded.name, time_zone = excluded.time_zone,
            version = sites.version + 1, updated_at = now()
        """,
        site_id,
        FLOOR,
        name,
        time_zone,
    )


async def set_down(session: Session, site_id: str, down: bool, actor: str, at: datetime, reason: str | None) -> None:
    """Note that an operator has set the site down, or up again; the version grows."""
    await session.execute(
        """
        UPDATE sites SET down = $2, down_by = $3, down_at = $4, down_reason = $5, version = version + 1,
            updated_at = now()
        WHERE id = $1
        """,
        site_id,
        down,
        actor if down else None,
        at if down else None,
        reason if down else None,
    )


async def drain(session: Session, site_id: str, actor: str | None, at: datetime | None, reason: str | None) -> None:
    """Note that the site is drained, by whom and why (None: not drained any more); the version grows."""
    await session.execute(
        """
        UPDATE sites SET drained_by = $2, drained_at = $3, drain_reason = $4, version = version + 1, updated_at = now()
        WHERE id = $1
        """,
        site_id,
        actor,
        at,
        reason,
    )


async def agents_of(session: Session, site_id: str) -> list[Agent]:
    """The states of the site's agents who have had a shift, by id."""
    rows = await session.fetch(
        "SELECT s.data FROM agents a JOIN agent_states s ON s.agent_id = a.id WHERE a.site_id = $1 ORDER BY a.id",
        site_id,
    )
    return [msgspec.convert(row["data"], Agent) for row in rows]


async def time_zones(session: Session) -> dict[str, str]:
    """The time zone of every site."""
    return {row["id"]: row["time_zone"] for row in await session.fetch("SELECT id, time_zone FROM sites")}


async def covered_by(session: Session, site_id: str) -> str | None:
    """A queue that the site covers; None if there is none."""
    found: str | None = await session.fetchval(
        """
        SELECT id FROM queues
        WHERE cover @> jsonb_build_array(jsonb_build_object('sites', jsonb_build_array($1::text))) ORDER BY id LIMIT 1
        """,
        site_id,
    )
    return found


def site_of(row: asyncpg.Record) -> Site:
    """The site as pools know it."""
    drain = None if row["drained_at"] is None else row["drain_reason"] or DRAINED
    return Site(row["id"], row["down"], row["version"], drain)
