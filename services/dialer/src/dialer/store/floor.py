"""What is known of agents and of calls that wait: a copy of routing's events, written in batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from common.database import Session
from common.events.routing import AgentState

from dialer.domain.pacing import Floor
from dialer.store import attempts


async def save_agents(session: Session, newest: Mapping[str, tuple[str, list[str], AgentState, int]]) -> None:
    """Agents by id: pool, queues, state, sequence. An older sequence than the known one changes nothing."""
    rows = sorted(newest.items())
    await session.execute(
        "INSERT INTO pools SELECT DISTINCT * FROM unnest($1::text[]) AS pool ORDER BY 1 ON CONFLICT DO NOTHING",
        [pool_id for _, (pool_id, _, _, _) in rows],
    )
    # Arrays of different lengths do not nest, so each agent's queues travel as one text.
    await session.execute(
        """
        INSERT INTO agents (agent_id, pool_id, queue_ids, state, sequence)
        SELECT agent_id, pool_id, string_to_array(queues, ' '), state, sequence
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[])
            AS new (agent_id, pool_id, queues, state, sequence)
        ON CONFLICT (agent_id) DO UPDATE SET pool_id = excluded.pool_id, queue_ids = excluded.queue_ids,
            state = excluded.state, sequence = excluded.sequence
        WHERE agents.sequence < excluded.sequence
        """,
        [agent_id for agent_id, _ in rows],
        [pool_id for _, (pool_id, _, _, _) in rows],
        [" ".join(sorted(set(queue_ids))) for _, (_, queue_ids, _, _) in rows],
        [state for _, (_, _, state, _) in rows],
        [sequence for _, (_, _, _, sequence) in rows],
    )


async def save_engagements(session: Session, released: Sequence[str], engaged: Mapping[str, str]) -> None:
    """Calls that hold no agent any more, then agents (by id) with the call that they were given."""
    if released:
        await session.execute(
            """
            UPDATE agents SET call_id = NULL WHERE agent_id IN (
                SELECT agent_id FROM agents WHERE call_id = ANY($1::text[]) ORDER BY agent_id FOR NO KEY UPDATE)
            """,
            list(released),
        )
    if engaged:
        await session.execute(
            """
            UPDATE agents SET call_id = new.call_id FROM unnest($1::text[], $2::text[]) AS new (agent_id, call_id)
            WHERE agents.agent_id = new.agent_id
            """,
            *(list(column) for column in zip(*sorted(engaged.items()), strict=True)),
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
