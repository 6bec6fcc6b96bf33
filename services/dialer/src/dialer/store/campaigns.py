"""Tenants and campaigns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import asyncpg
from common import hours
from common.database import Session

from dialer.domain.campaign import Campaign, Tenant
from dialer.domain.lead import CampaignRules, CampaignState


async def tenant(session: Session, tenant_id: str, *, lock: bool = False) -> tuple[Tenant, int] | None:
    """A tenant with its version."""
    row = await session.fetchrow(
        f"SELECT * FROM tenants WHERE tenant_id = $1 {'FOR NO KEY UPDATE' if lock else ''}",  # noqa: S608
        tenant_id,
    )
    return None if row is None else _tenant(row)


async def tenants(session: Session, after: str, limit: int) -> list[tuple[Tenant, int]]:
    """Tenants by id, after one id."""
    rows = await session.fetch("SELECT * FROM tenants WHERE tenant_id > $1 ORDER BY tenant_id LIMIT $2", after, limit)
    return [_tenant(row) for row in rows]


async def insert_tenant(session: Session, new: Tenant) -> bool:
    """False when there is one of that id."""
    return bool(
        await session.fetchval(
            """
            INSERT INTO tenants
                (tenant_id, name, time_zone, region, allow_possible_numbers, rest_after_call_minutes, version)
            VALUES ($1, $2, $3, $4, $5, $6, 1)
            ON CONFLICT DO NOTHING RETURNING true
            """,
            new.tenant_id,
            new.name,
            new.time_zone,
            new.region,
            new.allow_possible_numbers,
            new.rest_after_call // timedelta(minutes=1),
        )
    )


async def update_tenant(session: Session, changed: Tenant) -> None:
    """Save a tenant that is there; its version rises."""
    await session.execute(
        """
        UPDATE tenants SET name = $2, time_zone = $3, region = $4, allow_possible_numbers = $5,
            rest_after_call_minutes = $6, version = version + 1
        WHERE tenant_id = $1
        """,
        changed.tenant_id,
        changed.name,
        changed.time_zone,
        changed.region,
        changed.allow_possible_numbers,
        changed.rest_after_call // timedelta(minutes=1),
    )


async def campaign(session: Session, campaign_id: str, *, lock: bool = False) -> tuple[Campaign, int] | None:
    """A campaign with its version."""
    row = await session.fetchrow(
        f"SELECT * FROM campaigns WHERE campaign_id = $1 {'FOR NO KEY UPDATE' if lock else ''}",  # noqa: S608
        campaign_id,
    )
    return None if row is None else (_campaign(row), row["version"])


async def campaigns(session: Session, tenant_id: str | None, after: str, limit: int) -> list[tuple[Campaign, int]]:
    """Campaigns by id, after one id; of one tenant if given."""
    rows = await session.fetch(
        """
        SELECT * FROM campaigns WHERE campaign_id > $1 AND ($2::text IS NULL OR tenant_id = $2)
        ORDER BY campaign_id LIMIT $3
        """,
        after,
        tenant_id,
        limit,
    )
    return [(_campaign(row), row["version"]) for row in rows]


async def campaigns_of(session: Session, campaign_ids: Sequence[str]) -> dict[str, Campaign]:
    """Campaigns by id."""
    rows = await session.fetch("SELECT * FROM campaigns WHERE campaign_id = ANY($1::text[])", list(campaign_ids))
    return {row["campaign_id"]: _campaign(row) for row in rows}


async def insert_campaign(session: Session, new: Campaign, now: datetime) -> bool:
    """False when there is one of that id, whoever's."""
    return bool(
        await session.fetchval(
            """
            INSERT INTO campaigns (campaign_id, tenant_id, queue_id, name, calling_hours, max_attempts,
                retry_after_minutes, rest_after_abandon_minutes, ring_seconds, state, holidays, exceptions, version,
                created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1, $13)
            ON CONFLICT DO NOTHING RETURNING true
            """,
            *_values(new),
            now,
        )
    )


async def update_campaign(session: Session, changed: Campaign) -> None:
    """Save a campaign that is there; its version rises."""
    await session.execute(
        """
        UPDATE campaigns SET tenant_id = $2, queue_id = $3, name = $4, calling_hours = $5, max_attempts = $6,
            retry_after_minutes = $7, rest_after_abandon_minutes = $8, ring_seconds = $9, state = $10,
            holidays = $11, exceptions = $12,
            version = version + 1
        WHERE campaign_id = $1
        """,
        *_values(changed),
    )


async def zone_sets(session: Session, campaign_ids: Sequence[str]) -> dict[str, list[str]]:
    """The sets of time zones of each campaign's leads, in written form."""
    rows = await session.fetch(
        "SELECT campaign_id, array_agg(zones) FROM campaign_zones WHERE campaign_id = ANY($1::text[]) GROUP BY 1",
        list(campaign_ids),
    )
    return {row[0]: row[1] for row in rows}


async def lock_finished(session: Session) -> list[Campaign]:
    """Running campaigns of whose leads none is left to dial, locked; another replica's are left to it."""
    rows = await session.fetch(
        """
        SELECT * FROM campaigns WHERE state = 'running' AND EXISTS (
            SELECT 1 FROM leads WHERE leads.campaign_id = campaigns.campaign_id
        ) AND NOT EXISTS (
            SELECT 1 FROM leads WHERE leads.campaign_id = campaigns.campaign_id AND state IN ('pending', 'in_progress')
        ) FOR NO KEY UPDATE SKIP LOCKED
        """
    )
    return [_campaign(row) for row in rows]


async def lock_paced(session: Session, pool_id: str) -> list[Campaign]:
    """Running campaigns on queues of the pool's agents, locked; the one not dialled for longest first."""
    rows = await session.fetch(
        """
        SELECT * FROM campaigns WHERE state = 'running' AND queue_id = ANY(
            SELECT DISTINCT unnest(queue_ids) FROM agents WHERE pool_id = $1 AND state <> 'logged_out'
        ) ORDER BY last_dialled_at NULLS FIRST, campaign_id FOR NO KEY UPDATE SKIP LOCKED
        """,
        pool_id,
    )
    return [_campaign(row) for row in rows]


async def mark_dialled(session: Session, campaign_ids: Sequence[str], now: datetime) -> None:
    """Note that these campaigns had their turn."""
    await session.execute(
        "UPDATE campaigns SET last_dialled_at = $2 WHERE campaign_id = ANY($1::text[])", list(campaign_ids), now
    )


def _values(campaign: Campaign) -> tuple[Any, ...]:
    rules = campaign.rules
    said = rules.calling_hours.as_mapping()
    return (
        campaign.campaign_id,
        campaign.tenant_id,
        campaign.queue_id,
        campaign.name,
        said["week"],
        rules.max_attempts,
        rules.retry_after // timedelta(minutes=1),
        rules.rest_after_abandon // timedelta(minutes=1),
        campaign.ring_seconds,
        rules.state,
        said["holidays"],
        said["exceptions"],
    )


def _tenant(row: asyncpg.Record) -> tuple[Tenant, int]:
    owner = Tenant(
        row["tenant_id"],
        row["name"],
        row["time_zone"],
        row["region"],
        row["allow_possible_numbers"],
        timedelta(minutes=row["rest_after_call_minutes"]),
    )
    return owner, row["version"]


def _campaign(row: asyncpg.Record) -> Campaign:
    state: CampaignState = row["state"]
    said = {"week": row["calling_hours"], "holidays": row["holidays"], "exceptions": row["exceptions"]}
    return Campaign(
        campaign_id=row["campaign_id"],
        tenant_id=row["tenant_id"],
        queue_id=row["queue_id"],
        name=row["name"],
        ring_seconds=row["ring_seconds"],
        rules=CampaignRules(
            state=state,
            calling_hours=hours.restore(said),
            max_attempts=row["max_attempts"],
            retry_after=timedelta(minutes=row["retry_after_minutes"]),
            rest_after_abandon=timedelta(minutes=row["rest_after_abandon_minutes"]),
        ),
    )
