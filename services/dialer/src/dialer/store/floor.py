"""What is known of agents and of calls that wait: a copy of routing's events, written in batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from common.database import Session
from common.events.routing import AgentState, Channel

from dialer.domain.pacing import Floor
from dialer.store import attempts


@dataclass(frozen=True, slots=True)
class KnownAgent:
    """What an agent's newest event says. `several_calls`: they may have other calls beside an outbound one."""

    pool_id: str
    queue_ids: list[str]
    state: AgentState
    sequence: int
    several_calls: bool = False


async def save_agents(session: Session, newest: Mapping[str, KnownAgent]) -> None:
    """Agents by id. An older sequence than the known one changes nothing."""
    rows = sorted(newest.items())
    await session.execute(
        "INSERT INTO pools SELECT DISTINCT * FROM unnest($1::text[]) AS pool ORDER BY 1 ON CONFLICT DO NOTHING",
        [agent.pool_id for _, agent in rows],
    )
    # Arrays of different lengths do not nest, so each agent's queues travel as one text.
    await session.execute(
        """
        INSERT INTO agents (agent_id, pool_id, queue_ids, state, sequence, several_calls)
        SELECT agent_id, pool_id, string_to_array(queues, ' '), state, sequence, several_calls
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[], $6::bool[])
            AS new (agent_id, pool_id, queues, state, sequence, several_calls)
        ON CONFLICT (agent_id) DO UPDATE SET pool_id = excluded.pool_id, queue_ids = excluded.queue_ids,
            state = excluded.state, sequence = excluded.sequence, several_calls = excluded.several_calls
        WHERE agents.sequence < excluded.sequence
        """,
        [agent_id for agent_id, _ in rows],
        [agent.pool_id for _, agent in rows],
        [" ".join(sorted(set(agent.queue_ids))) for _, agent in rows],
        [agent.state for _, agent in rows],
        [agent.sequence for _, agent in rows],
        [agent.several_calls for _, agent in rows],
    )


async def save_engagements(session: Session, released: Sequence[str], given: Mapping[str, tuple[str, Channel]]) -> None:
    """Calls that hold no agent any more, then calls by id with the agent whom they were given to, and their channel."""
    if released:
        await session.execute(
            """
            UPDATE agents SET call_id = NULL WHERE agent_id IN (
                SELECT agent_id FROM agents WHERE call_id = ANY($1::text[]) ORDER BY agent_id FOR NO KEY UPDATE)
            """,
            list(released),
        )
    engaged: dict[str, tuple[str, Channel]] = {}
    for call_id, (agent_id, channel) in given.items():
        if channel == "voice" or engaged.get(agent_id, ("", channel))[1] != "voice":
            engaged[agent_id] = (call_id, channel)
    if engaged:
        rows = sorted(engaged.items())
        await session.execute(
            """
            UPDATE agents SET call_id = new.call_id
            FROM unnest($1::text[], $2::text[], $3::text[]) AS new (agent_id, call_id, channel)
            WHERE agents.agent_id = new.agent_id AND (new.channel = 'voice' OR NOT agents.several_calls)
            """,
            [agent_id for agent_id, _ in rows],
            [call_id for _, (call_id, _) in rows],
            [channel for _, (_, channel) in rows],
        )


async def save_waiting(session: Session, calls: Mapping[str, str | None]) -> None:
    """Calls by id with the queue that they wait in; None: they no longer wait."""
    gone = sorted(call_id for call_id, queue_id in calls.items() if queue_id is None)
    waiting = sorted((call_id, queue_id) for call_id, queue_id in calls.items() if queue_id is not None)
    if gone:
        await session.execute("DELETE FROM waiting_calls WHERE call_id = ANY($1::text[])", gone)
    if waiting:
        await session.execute(
            """
            INSERT INTO waiting_calls SELECT * FROM unnest($1::text[], $2::text[])
            ON CONFLICT (call_id) DO UPDATE SET queue_id = excluded.queue_id
            """,
            *(list(column) for column in zip(*waiting, strict=True)),
        )


async def pools_to_pace(session: Session) -> list[str]:
    """Pools with an agent logged in who serves a running campaign."""
    rows = await session.fetch(
        """
        SELECT DISTINCT pool_id FROM agents WHERE state <> 'logged_out'
            AND queue_ids && (SELECT array_agg(queue_id::varchar) FROM campaigns WHERE state = 'running')
        ORDER BY 1
        """
    )
    return [row[0] for row in rows]


async def lock_pool(session: Session, pool_id: str) -> bool:
    """Become the one who paces the pool until the transaction ends; False when another replica is."""
    return bool(await session.fetchval("SELECT true FROM pools WHERE pool_id = $1 FOR UPDATE SKIP LOCKED", pool_id))


async def load(session: Session, pool_id: str) -> Floor:
    """What pacing needs to know of one pool."""
    idle = await session.fetch(
        """
        SELECT queue_ids, count(*) FROM agents WHERE pool_id = $1 AND state = 'available' AND call_id IS NULL
        GROUP BY 1
        """,
        pool_id,
    )
    queue_ids = sorted({queue_id for row in idle for queue_id in row[0]})
    demand = await attempts.in_flight(session, queue_ids)
    waiting = await session.fetch(
        "SELECT queue_id, count(*) FROM waiting_calls WHERE queue_id = ANY($1::text[]) GROUP BY 1", queue_ids
    )
    for queue_id, calls in waiting:
        demand[queue_id] = demand.get(queue_id, 0) + calls
    return Floor({frozenset(row[0]): row[1] for row in idle}, demand)


async def logged_in(session: Session, queue_id: str) -> tuple[str | None, int]:
    """The pool whose agents serve the queue, and how many of them are logged in."""
    row = await session.fetchrow(
        """
        SELECT min(pool_id), count(*) FROM agents WHERE state <> 'logged_out' AND $1::varchar = ANY(queue_ids)
        """,
        queue_id,
    )
    assert row is not None
    return row[0], row[1]
