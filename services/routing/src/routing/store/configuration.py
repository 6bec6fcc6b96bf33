"""What the operator has declared: tenants, pools, queues, agents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg
from common.database import Session
from common.events.routing import Channel
from common.ids import FLOOR
from common.phone import DEFAULT_REGION

from routing.domain.configuration import AgentProfile, Queue
from routing.store.states import agent_profile, elsewhere, queue_of


async def lock(session: Session, kind: str, item_id: str) -> None:
    """One change of a thing at a time, also of one that does not exist yet."""
    await session.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"{kind}:{item_id}")


async def tenant(session: Session, tenant_id: str) -> asyncpg.Record | None:
    """The tenant's row."""
    return await session.fetchrow("SELECT * FROM tenants WHERE tenant_id = $1", tenant_id)


async def save_tenant(
    session: Session,
    tenant_id: str,
    name: str,
    time_zone: str,
    directory: Mapping[str, str],
    region: str = DEFAULT_REGION,
    *,
    allow_possible_numbers: bool = False,
) -> asyncpg.Record | None:
    """Create or replace; the version grows."""
    return await session.fetchrow(
        """
        INSERT INTO tenants (tenant_id, name, time_zone, directory, region, allow_possible_numbers, version)
        VALUES ($1, $2, $3, $4, $5, $6, 1)
        ON CONFLICT (tenant_id) DO UPDATE SET name = excluded.name, time_zone = excluded.time_zone,
            directory = excluded.directory, region = excluded.region,
            allow_possible_numbers = excluded.allow_possible_numbers, version = tenants.version + 1, updated_at = now()
        RETURNING *
        """,
        tenant_id,
        name,
        time_zone,
        directory,
        region,
        allow_possible_numbers,
    )


async def tenants(session: Session, after: str | None, limit: int) -> list[asyncpg.Record]:
    """By id, those after `after`."""
    return await session.fetch(
        "SELECT * FROM tenants WHERE ($1::text IS NULL OR tenant_id > $1) ORDER BY tenant_id LIMIT $2", after, limit
    )


async def pool(session: Session, pool_id: str, *, hold: bool = False) -> asyncpg.Record | None:
    """The pool's row; with `hold` nobody changes it before the commit."""
    return await session.fetchrow(f"SELECT * FROM pools WHERE id = $1{' FOR SHARE' if hold else ''}", pool_id)  # noqa: S608


async def save_pool(
    session: Session,
    pool_id: str,
    name: str,
    skills: Sequence[str],
    interrupts: Mapping[Channel, Sequence[Channel]],
    break_reasons: Sequence[str],
) -> asyncpg.Record | None:
    """Create or replace; the version grows."""
    return await session.fetchrow(
        """
        INSERT INTO pools (id, tenant_id, name, skills, interrupts, break_reasons, version)
        VALUES ($1, $2, $3, $4, $5, $6, 1)
        ON CONFLICT (id) DO UPDATE SET name = excluded.name, skills = excluded.skills,
            interrupts = excluded.interrupts, break_reasons = excluded.break_reasons, version = pools.version + 1,
            updated_at = now()
        RETURNING *
        """,
        pool_id,
        FLOOR,
        name,
        skills,
        interrupts,
        break_reasons,
    )


async def pools(session: Session, after: str | None, limit: int) -> list[asyncpg.Record]:
    """By id, those after `after`."""
    return await session.fetch(
        "SELECT * FROM pools WHERE ($1::text IS NULL OR id > $1) ORDER BY id LIMIT $2", after, limit
    )


async def who_needs(session: Session, pool_id: str, skills: Sequence[str]) -> str | None:
    """An agent or entry point of the pool that names one of the skills, in words; None if nobody does."""
    found: str | None = await session.fetchval(
        """
        SELECT 'agent ' || id FROM agents WHERE pool_id = $1 AND skills ?| $2::text[]
        UNION ALL SELECT 'entry point ' || id FROM entry_points WHERE pool_id = $1 AND EXISTS (
            SELECT 1 FROM jsonb_path_query(flow, '$.steps.*.choices[*].skill') AS skill
            WHERE skill #>> '{}' = ANY($2::text[])
        ) LIMIT 1
        """,
        pool_id,
        skills,
    )
    return found


_QUEUES = (
    "SELECT q.*, t.time_zone, t.directory, t.version AS tenant_version FROM queues q JOIN tenants t USING (tenant_id)"
)


async def queue(session: Session, queue_id: str) -> asyncpg.Record | None:
    """The queue's row joined with its tenant's time zone and version."""
    return await session.fetchrow(f"{_QUEUES} WHERE q.id = $1", queue_id)


async def save_queue(session: Session, queue_id: str, rules: dict[str, Any]) -> asyncpg.Record | None:
    """Create or replace; the version grows. `rules`: the columns by name."""
    names = list(rules)
    values = ", ".join(f"${number}" for number in range(2, len(names) + 2))
    changes = ", ".join(f"{name} = excluded.{name}" for name in names)
    await session.execute(
        f"""
        INSERT INTO queues (id, {", ".join(names)}, version) VALUES ($1, {values}, 1)
        ON CONFLICT (id) DO UPDATE SET {changes}, version = queues.version + 1, updated_at = now()
        """,  # noqa: S608 - column names from our own code
        queue_id,
        *rules.values(),
    )
    return await queue(session, queue_id)


async def override_queue(
    session: Session, queue_id: str, state: str | None, actor: str, at: datetime, reason: str | None
) -> asyncpg.Record | None:
    """Note what an operator said of the queue (None: the hours decide again); the version grows."""
    await session.execute(
        """
        UPDATE queues SET override = $2, override_by = $3, override_at = $4, override_reason = $5,
            version = version + 1, updated_at = now()
        WHERE id = $1
        """,
        queue_id,
        state,
        actor if state else None,
        at if state else None,
        reason if state else None,
    )
    return await queue(session, queue_id)


async def make_known(session: Session, queue_ids: Sequence[str], pool_id: str) -> list[asyncpg.Record]:
    """The pool knows these queues from now on. Returns those of them that are at home in others."""
    await session.execute(
        """
        UPDATE queues SET known_in = array_append(known_in, $2)
        WHERE id = ANY($1::text[]) AND pool_id <> $2 AND NOT $2 = ANY(known_in)
        """,
        queue_ids,
        pool_id,
    )
    return await session.fetch(f"{_QUEUES} WHERE q.id = ANY($1::text[]) AND $2 = ANY(q.known_in)", queue_ids, pool_id)


async def overflows_of_tenant(session: Session, tenant_id: str) -> dict[str, list[str]]:
    """Where the tenant's queues overflow to, by queue."""
    rows = await session.fetch(
        "SELECT id, overflow_queue_id, overflows, split FROM queues WHERE tenant_id = $1", tenant_id
    )
    return {
        row["id"]: [
            rule["to"]["queue_id"] for rule in (*row["overflows"], *row["split"]) if rule["to"]["type"] == "queue"
        ]
        + ([row["overflow_queue_id"]] if row["overflow_queue_id"] else [])
        for row in rows
    }


async def queues(
    session: Session, after: str | None, limit: int, *, tenant_id: str | None = None, pool_id: str | None = None
) -> list[asyncpg.Record]:
    """By id, those after `after`, of a tenant or a pool if one is named."""
    return await session.fetch(
        f"""
        {_QUEUES} WHERE ($1::text IS NULL OR q.id > $1) AND ($3::text IS NULL OR q.tenant_id = $3)
            AND ($4::text IS NULL OR q.pool_id = $4)
        ORDER BY q.id LIMIT $2
        """,
        after,
        limit,
        tenant_id,
        pool_id,
    )


async def rules_of_tenant(session: Session, tenant_id: str) -> list[tuple[str, Queue]]:
    """The tenant's queues as the owners of pools know them, each with its pool's id."""
    rows = await session.fetch(f"{_QUEUES} WHERE q.tenant_id = $1 ORDER BY q.id", tenant_id)
    at_home = [(row["pool_id"], queue_of(row)) for row in rows]
    return at_home + [(pool_id, elsewhere(row)) for row in rows for pool_id in row["known_in"]]


_AGENTS = """
    SELECT a.*, p.interrupts, p.version AS pool_version, s.data AS saved
    FROM agents a JOIN pools p ON p.id = a.pool_id LEFT JOIN agent_states s ON s.agent_id = a.id
"""


async def agent(session: Session, agent_id: str) -> asyncpg.Record | None:
    """The agent's row, with their state as `saved` (None: never logged in)."""
    return await session.fetchrow(f"{_AGENTS} WHERE a.id = $1", agent_id)


async def save_agent(
    session: Session,
    agent_id: str,
    pool_id: str,
    name: str,
    skills: dict[str, int],
    capacity: Mapping[Channel, int],
    site_id: str | None = None,
) -> asyncpg.Record | None:
    """Create or replace; the version grows."""
    await session.execute(
        """
        INSERT INTO agents (id, tenant_id, pool_id, name, skills, capacity, site_id, version)
        VALUES ($1, $2, $3, $4, $5, $6, $7, 1)
        ON CONFLICT (id) DO UPDATE SET pool_id = excluded.pool_id, name = excluded.name, skills = excluded.skills,
            capacity = excluded.capacity, site_id = excluded.site_id, version = agents.version + 1, updated_at = now()
        """,
        agent_id,
        FLOOR,
        pool_id,
        name,
        skills,
        capacity,
        site_id,
    )
    return await agent(session, agent_id)


async def drain_agent(
    session: Session, agent_id: str, actor: str | None, at: datetime | None, reason: str | None
) -> asyncpg.Record | None:
    """Note that the agent is drained, by whom and why (None: not drained any more); the version grows."""
    await session.execute(
        """
        UPDATE agents SET drained_by = $2, drained_at = $3, drain_reason = $4, version = version + 1, updated_at = now()
        WHERE id = $1
        """,
        agent_id,
        actor,
        at,
        reason,
    )
    return await agent(session, agent_id)


async def agents(session: Session, after: str | None, limit: int, *, pool_id: str | None) -> list[asyncpg.Record]:
    """By id, those after `after`, of a pool if one is named."""
    return await session.fetch(
        f"""
        {_AGENTS} WHERE ($1::text IS NULL OR a.id > $1) AND ($3::text IS NULL OR a.pool_id = $3)
        ORDER BY a.id LIMIT $2
        """,
        after,
        limit,
        pool_id,
    )


async def sharing_agents(session: Session, pool_id: str) -> list[AgentProfile]:
    """The pool's agents with a declared capacity, as their pool's owner knows them."""
    rows = await session.fetch(f"{_AGENTS} WHERE a.pool_id = $1 AND a.capacity <> '{{}}' ORDER BY a.id", pool_id)
    return [agent_profile(row) for row in rows]


async def homes_of_queues(session: Session, queue_ids: Sequence[str]) -> list[asyncpg.Record]:
    """(id, tenant_id, pool_id, channel, sticky_seconds) of those queues that exist, with how their tenants read
    numbers (region, allow_possible_numbers)."""
    return await session.fetch(
        """
        SELECT q.id, q.tenant_id, q.pool_id, q.channel, q.sticky_seconds, t.region, t.allow_possible_numbers
        FROM queues q JOIN tenants t USING (tenant_id) WHERE q.id = ANY($1::text[])
        """,
        queue_ids,
    )


async def homes_of_agents(session: Session, agent_ids: Sequence[str]) -> list[asyncpg.Record]:
    """(id, pool_id) of those agents that exist."""
    return await session.fetch("SELECT id, pool_id FROM agents WHERE id = ANY($1::text[])", agent_ids)


async def break_reasons_of(session: Session, agent_ids: Sequence[str]) -> dict[str, list[str]]:
    """By agent, those that their pool declares."""
    rows = await session.fetch(
        """
        SELECT a.id, p.break_reasons FROM agents a JOIN pools p ON p.id = a.pool_id WHERE a.id = ANY($1::text[])
        """,
        agent_ids,
    )
    return {row["id"]: row["break_reasons"] for row in rows}
