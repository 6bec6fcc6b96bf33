"""What the owner of a pool saves and loads, and the fence that keeps a former owner from saving."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from common import hours
from common.database import Session
from common.errors import StaleWriter
from common.ids import FLOOR

from routing.domain.agents import Agent
from routing.domain.call_states import Talking, WrappedUp, WrappingUp
from routing.domain.calls import Call
from routing.domain.configuration import (
    AgentProfile,
    Announcement,
    CallbackRules,
    Capacity,
    Cover,
    Overflow,
    OverflowRule,
    Queue,
    Relaxation,
    Site,
    SplitPart,
    Weights,
)
from routing.domain.memory import Memory
from routing.domain.pool import Pool
from routing.domain.shares import Share
from routing.store.shares import of_pools
from routing.store.sites import DRAINED, site_of

_encode = msgspec.json.Encoder().encode

NOT_STARTED = datetime(1970, 1, 1, tzinfo=UTC)
"""Time of a pool that has had no input yet."""


async def claim(session: Session, partitions: Collection[int], owner: str) -> dict[int, int]:
    """Become the writer of these partitions; returns their new epochs. Whoever held them cannot commit any more."""
    rows = await session.fetch(
        """
        INSERT INTO writers (partition, epoch, owner) SELECT p, 1, $2 FROM unnest($1::int[]) AS p ORDER BY p
        ON CONFLICT (partition) DO UPDATE SET epoch = writers.epoch + 1, owner = excluded.owner
        RETURNING partition, epoch
        """,
        sorted(partitions),
        owner,
    )
    return {row["partition"]: row["epoch"] for row in rows}


async def fence(session: Session, epochs: Mapping[int, int]) -> None:
    """Raises StaleWriter unless these are the present epochs; until the commit nobody else can claim the partitions."""
    held = await session.fetchval(
        """
        SELECT count(*) FROM (
            SELECT 1 FROM writers JOIN unnest($1::int[], $2::bigint[]) AS mine (partition, epoch)
                USING (partition, epoch)
            FOR SHARE OF writers
        ) AS held
        """,
        list(epochs.keys()),
        list(epochs.values()),
    )
    if held != len(epochs):
        raise StaleWriter(f"{len(epochs) - held} of the partitions {sorted(epochs)} belong to another process now")


async def save(session: Session, changes: Mapping[str, tuple[datetime, Sequence[Call], Sequence[Agent]]]) -> None:
    """Save what changed, by pool id: the pool's time, its calls and agents. One statement: a caller waits for it."""
    calls = [(pool_id, call) for pool_id, (_, some, _) in changes.items() for call in some]
    agents = [(pool_id, agent) for pool_id, (_, _, some) in changes.items() for agent in some]
    spoken = [_spoken(call) for _, call in calls]
    await session.execute(
        """
        WITH saved_clocks AS (
            INSERT INTO pool_clocks (pool_id, reached_at) SELECT * FROM unnest($1::text[], $2::timestamptz[])
            ON CONFLICT (pool_id) DO UPDATE SET reached_at = excluded.reached_at
        ), saved_agents AS (
            INSERT INTO agent_states (agent_id, tenant_id, pool_id, data)
            SELECT agent_id, $6, pool_id, data::jsonb
            FROM unnest($3::text[], $4::text[], $5::text[]) AS changed (agent_id, pool_id, data)
            ON CONFLICT (agent_id) DO UPDATE SET data = excluded.data
        )
        INSERT INTO calls
            (id, tenant_id, pool_id, queue_id, state, agent_id, over_at, live, data, spoke_with, answered_at)
        SELECT id, tenant_id, pool_id, queue_id, state, agent_id, over_at, over_at IS NULL, data::jsonb, spoke_with,
            answered_at
        FROM unnest(
            $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::timestamptz[], $14::text[],
            $15::text[], $16::timestamptz[]
        ) AS changed (id, tenant_id, pool_id, queue_id, state, agent_id, over_at, data, spoke_with, answered_at)
        ON CONFLICT (id) DO UPDATE SET pool_id = excluded.pool_id, queue_id = excluded.queue_id, state = excluded.state,
            agent_id = excluded.agent_id, over_at = excluded.over_at, live = excluded.live, data = excluded.data,
            spoke_with = excluded.spoke_with, answered_at = excluded.answered_at
        """,
        list(changes),
        [now for now, _, _ in changes.values()],
        [agent.id for _, agent in agents],
        [pool_id for pool_id, _ in agents],
        [_encode(agent).decode() for _, agent in agents],
        FLOOR,
        [call.id for _, call in calls],
        [call.tenant_id for _, call in calls],
        [pool_id for pool_id, _ in calls],
        [call.queue_id for _, call in calls],
        [call.state_name for _, call in calls],
        [call.agent_id for _, call in calls],
        [call.over_at for _, call in calls],
        [_encode(call).decode() for _, call in calls],
        [phone for phone, _ in spoken],
        [answered_at for _, answered_at in spoken],
    )


def _spoken(call: Call) -> tuple[str | None, datetime | None]:
    """The number of the caller with whom the call's agent speaks or spoke, and since when."""
    match call.state:
        case Talking(answered_at=at) | WrappingUp(answered_at=at) | WrappedUp(answered_at=at):
            return (call.contact_phone, at) if call.contact_phone and not call.is_consultation else (None, None)
        case _:
            return None, None


async def remember(session: Session, memories: Sequence[tuple[str, Memory]]) -> None:
    """Save what pools remember of their queues: (pool id, memory)."""
    await session.execute(
        """
        INSERT INTO queue_memories (queue_id, tenant_id, pool_id, data)
        SELECT queue_id, tenant_id, pool_id, data::jsonb
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS changed (queue_id, tenant_id, pool_id, data)
        ON CONFLICT (queue_id) DO UPDATE SET pool_id = excluded.pool_id, data = excluded.data
        """,
        [memory.queue_id for _, memory in memories],
        [memory.tenant_id for _, memory in memories],
        [pool_id for pool_id, _ in memories],
        [_encode(memory).decode() for _, memory in memories],
    )


async def refuse(session: Session, refusals: Sequence[tuple[UUID, str, str]]) -> None:
    """Note commands that changed nothing: (command id, tenant, reason)."""
    await session.execute(
        """
        INSERT INTO refusals (command_id, tenant_id, reason) SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[])
        ON CONFLICT DO NOTHING
        """,
        [command_id for command_id, _, _ in refusals],
        [tenant_id for _, tenant_id, _ in refusals],
        [reason for _, _, reason in refusals],
    )


async def forget(session: Session, calls_before: datetime) -> None:
    """Delete what nobody asks about any more: calls that were over by then, refusals older than a week."""
    await session.execute("DELETE FROM calls WHERE over_at < $1", calls_before)
    await session.execute("DELETE FROM refusals WHERE refused_at < now() - interval '7 days'")


async def pool_ids(session: Session) -> list[str]:
    """Every pool."""
    return [row[0] for row in await session.fetch("SELECT id FROM pools ORDER BY id")]


async def load(session: Session, wanted: Sequence[str]) -> dict[str, Pool]:
    """The pools as they were last saved; those that nobody declared are left out."""
    known = await session.fetch(
        """
        SELECT id, reached_at FROM pools LEFT JOIN pool_clocks ON pool_id = id WHERE id = ANY($1::text[]) ORDER BY id
        """,
        wanted,
    )
    queues: dict[str, list[Queue]] = {row["id"]: [] for row in known}
    profiles: dict[str, list[AgentProfile]] = {row["id"]: [] for row in known}
    agents: dict[str, list[Agent]] = {row["id"]: [] for row in known}
    calls: dict[str, list[Call]] = {row["id"]: [] for row in known}
    memories: dict[str, list[Memory]] = {row["id"]: [] for row in known}
    shares: dict[str, list[Share]] = {row["id"]: [] for row in known}
    for pool_id, queue in [*await _queues(session, list(queues)), *await _elsewhere(session, list(queues))]:
        queues[pool_id].append(queue)
    for pool_id, share in await of_pools(session, list(shares)):
        shares[pool_id].append(share)
    for pool_id, profile, agent in await _agents(session, list(queues)):
        profiles[pool_id].append(profile)
        if agent is not None:
            agents[pool_id].append(agent)
    for row in await session.fetch(
        """
        SELECT pool_id, data FROM calls WHERE live AND pool_id = ANY($1::text[]) AND data->>'moving_to' IS NULL
        ORDER BY id
        """,
        list(queues),
    ):
        calls[row["pool_id"]].append(msgspec.convert(row["data"], Call))
    for row in await session.fetch(
        "SELECT pool_id, data FROM queue_memories WHERE pool_id = ANY($1::text[]) ORDER BY queue_id", list(queues)
    ):
        memories[row["pool_id"]].append(msgspec.convert(row["data"], Memory))
    sites = await _sites(session)
    return {
        pool_id: Pool.load(
            pool_id,
            reached_at or NOT_STARTED,
            queues[pool_id],
            profiles[pool_id],
            agents[pool_id],
            calls[pool_id],
            memories[pool_id],
            sites,
            shares[pool_id],
        )
        for pool_id, reached_at in known
    }


async def load_staff(session: Session, pool_id: str, now: datetime) -> Pool:
    """The pool at that time without its calls: to look at, not to decide in."""
    queues, shares = await queues_of(session, pool_id), await of_pools(session, [pool_id])
    staff = await _agents(session, [pool_id])
    profiles, agents = [profile for _, profile, _ in staff], [agent for _, _, agent in staff if agent is not None]
    sites = await _sites(session)
    return Pool.load(pool_id, now, queues, profiles, agents, [], sites=sites, shares=[share for _, share in shares])


async def _sites(session: Session) -> list[Site]:
    return [site_of(row) for row in await session.fetch("SELECT * FROM sites ORDER BY id")]


async def _agents(session: Session, pool_ids: Sequence[str]) -> list[tuple[str, AgentProfile, Agent | None]]:
    """The agents of these pools: pool, what is declared, their state (None: never logged in)."""
    rows = await session.fetch(
        """
        SELECT a.pool_id, a.id, a.skills, a.capacity, a.version, a.site_id, a.drained_at, a.drain_reason, p.interrupts,
            p.version AS pool_version, s.data
        FROM agents a JOIN pools p ON p.id = a.pool_id LEFT JOIN agent_states s ON s.agent_id = a.id
        WHERE a.pool_id = ANY($1::text[]) ORDER BY a.id
        """,
        pool_ids,
    )
    return [
        (row["pool_id"], agent_profile(row), None if row["data"] is None else msgspec.convert(row["data"], Agent))
        for row in rows
    ]


async def queues_of(session: Session, pool_id: str) -> list[Queue]:
    """The present rules of a pool's queues."""
    return [queue for _, queue in await _queues(session, [pool_id])]


async def queues_known_in(session: Session, pool_id: str) -> list[Queue]:
    """Those, and the queues of other pools that it knows beside."""
    found = [*await _queues(session, [pool_id]), *await _elsewhere(session, [pool_id])]
    return [queue for _, queue in found]


async def _queues(session: Session, wanted: Sequence[str]) -> list[tuple[str, Queue]]:
    rows = await session.fetch(
        """
        SELECT q.*, t.time_zone, t.directory, t.version AS tenant_version
        FROM queues q JOIN tenants t USING (tenant_id) WHERE q.pool_id = ANY($1::text[]) ORDER BY q.id
        """,
        wanted,
    )
    return [(row["pool_id"], queue_of(row)) for row in rows]


async def _elsewhere(session: Session, pool_ids: Sequence[str]) -> list[tuple[str, Queue]]:
    """The queues of other pools that these know."""
    rows = await session.fetch(
        """
        SELECT q.*, t.time_zone, t.directory, t.version AS tenant_version
        FROM queues q JOIN tenants t USING (tenant_id) WHERE q.known_in && $1::text[] ORDER BY q.id
        """,
        pool_ids,
    )
    return [(pool_id, elsewhere(row)) for row in rows for pool_id in row["known_in"] if pool_id in pool_ids]


def elsewhere(row: asyncpg.Record | Mapping[str, Any]) -> Queue:
    """A queue as a pool knows it where it is not at home: calls that come to it go to where it is."""
    return queue_of(row).at_home_in(row["pool_id"])


async def place_of(session: Session, call_id: str) -> tuple[str, bool] | None:
    """The pool that has a live call or is about to get it, and whether it has it. None: there is no such call."""
    row = await session.fetchrow(
        "SELECT pool_id, data->>'moving_to' AS moving_to FROM calls WHERE id = $1 AND live", call_id
    )
    return None if row is None else (row["moving_to"] or row["pool_id"], row["moving_to"] is None)


def queue_of(row: asyncpg.Record | Mapping[str, Any]) -> Queue:
    """A queue's rules from its row joined with its tenant's. Both versions only grow, and so does their sum."""
    overflow = None
    if row["overflow_queue_id"] is not None:
        overflow = Overflow(row["overflow_queue_id"], row["overflow_after_seconds"])
    return Queue(
        id=row["id"],
        tenant_id=row["tenant_id"],
        time_zone=row["time_zone"],
        channel=row["channel"],
        required_skills=tuple(row["required_skills"]),
        priority=row["priority"],
        ageing_seconds_per_priority=row["ageing_seconds_per_priority"],
        service_level_seconds=row["service_level_seconds"],
        short_abandon_seconds=row["short_abandon_seconds"],
        offer_timeout_seconds=row["offer_timeout_seconds"],
        wrap_up_seconds=row["wrap_up_seconds"],
        max_wait_seconds=row["max_wait_seconds"],
        overflow=overflow,
        recording=row["recording"],
        version=row["version"] + row["tenant_version"],
        hours=None if row["hours"] is None else hours.restore(row["hours"]),
        requirement=row["requirement"],
        relaxations=tuple(msgspec.convert(one, Relaxation) for one in row["relaxations"]),
        agent_order=row["agent_order"],
        overflows=msgspec.convert(row["overflows"], tuple[OverflowRule, ...]),
        override=row["override"],
        sticky_seconds=row["sticky_seconds"],
        split=msgspec.convert(row["split"], tuple[SplitPart, ...]),
        numbers=_numbers(row),
        cover=tuple(_cover(one) for one in row["cover"]),
        weights=None if row["weights"] is None else msgspec.convert(row["weights"], Weights),
        missed_offers_before_break=row["missed_offers_before_break"],
        callback=None if row["callback"] is None else msgspec.convert(row["callback"], CallbackRules),
        announcements=msgspec.convert(row["announcements"], tuple[Announcement, ...]),
    )


def _numbers(row: asyncpg.Record | Mapping[str, Any]) -> dict[str, str]:
    """Of the tenant's directory, as far as the queue's rules name them."""
    ways = [one["to"] for one in (*row["overflows"], *row["split"])]
    named = sorted({to["name"] for to in ways if to["type"] == "number"})
    return {name: row["directory"][name] for name in named if name in row["directory"]}


def _cover(saved: Mapping[str, Any]) -> Cover:
    said = None if saved["hours"] is None else hours.restore(saved["hours"])
    return Cover(tuple(saved["sites"]), said, saved["time_zone"])


async def site(session: Session, site_id: str) -> Site:
    """A site that there is."""
    (row,) = await session.fetch("SELECT * FROM sites WHERE id = $1", site_id)
    return site_of(row)


async def profile_of(session: Session, pool_id: str, agent_id: str) -> AgentProfile | None:
    """An agent of the pool as declared; None if there is none."""
    row = await session.fetchrow(
        """
        SELECT a.*, p.interrupts, p.version AS pool_version FROM agents a JOIN pools p ON p.id = a.pool_id
        WHERE a.id = $1 AND a.pool_id = $2
        """,
        agent_id,
        pool_id,
    )
    return agent_profile(row) if row else None


def agent_profile(row: asyncpg.Record) -> AgentProfile:
    """An agent from their row joined with their pool's. Both versions only grow, and so does their sum."""
    capacity = None
    if row["capacity"]:
        capacity = msgspec.convert({"calls": row["capacity"], "interrupts": row["interrupts"]}, Capacity)
    return AgentProfile(
        id=row["id"],
        skills=row["skills"],
        version=row["version"] + row["pool_version"],
        capacity=capacity,
        site_id=row["site_id"],
        drain=None if row["drained_at"] is None else row["drain_reason"] or DRAINED,
    )
