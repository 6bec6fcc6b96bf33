"""The newest state of calls and agents: kept by sequence, so that an older event changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from common.database import Session

from kpi.domain.live import WAITING, LiveAgent, LiveCall


async def put_calls(session: Session, calls: Sequence[LiveCall]) -> None:
    """Store the states that are newer than what is known. Idempotent."""
    if not calls:
        return
    rows = sorted(calls, key=lambda call: call.call_id)
    await session.execute(
        """
        INSERT INTO live_calls AS t (call_id, sequence, tenant_id, queue_id, state, offered_at, queued_at,
                                     service_level_ms, occurred_at, handed_on)
        SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::timestamptz[],
                             $7::timestamptz[], $8::bigint[], $9::timestamptz[], $10::boolean[])
        ON CONFLICT (call_id) DO UPDATE SET
            sequence = excluded.sequence, tenant_id = excluded.tenant_id, queue_id = excluded.queue_id,
            state = excluded.state, offered_at = excluded.offered_at, queued_at = excluded.queued_at,
            service_level_ms = excluded.service_level_ms, occurred_at = excluded.occurred_at,
            handed_on = excluded.handed_on
        WHERE t.sequence < excluded.sequence
        """,
        [call.call_id for call in rows],
        [call.sequence for call in rows],
        [call.tenant_id for call in rows],
        [call.queue_id for call in rows],
        [call.state for call in rows],
        [call.offered_at for call in rows],
        [call.queued_at for call in rows],
        [call.service_level_ms for call in rows],
        [call.occurred_at for call in rows],
        [call.handed_on for call in rows],
    )


async def put_agents(session: Session, agents: Sequence[LiveAgent]) -> None:
    """Store the states that are newer than what is known. Idempotent."""
    if not agents:
        return
    rows = sorted(agents, key=lambda agent: agent.agent_id)
    await session.execute(
        """
        INSERT INTO live_agents AS t (agent_id, sequence, tenant_id, pool_id, queue_ids, state, since)
        SELECT agent_id, sequence, tenant_id, pool_id, string_to_array(queue_ids, ','), state, since
        FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
             AS given (agent_id, sequence, tenant_id, pool_id, queue_ids, state, since)
        ON CONFLICT (agent_id) DO UPDATE SET
            sequence = excluded.sequence, tenant_id = excluded.tenant_id, pool_id = excluded.pool_id,
            queue_ids = excluded.queue_ids, state = excluded.state, since = excluded.since
        WHERE t.sequence < excluded.sequence
        """,
        [agent.agent_id for agent in rows],
        [agent.sequence for agent in rows],
        [agent.tenant_id for agent in rows],
        [agent.pool_id for agent in rows],
        [",".join(agent.queue_ids) for agent in rows],
        [agent.state for agent in rows],
        [agent.since for agent in rows],
    )


async def know_queues(session: Session, queues: set[tuple[str, str]]) -> None:
    """Remember (queue, tenant)s that are not known yet. Idempotent."""
    if not queues:
        return
    rows = sorted(queues)
    await session.execute(
        """
        INSERT INTO queues (queue_id, tenant_id) SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING
        """,
        [queue_id for queue_id, _ in rows],
        [tenant_id for _, tenant_id in rows],
    )


async def prune_calls(session: Session, before: datetime) -> None:
    """Forget the calls that were over before then."""
    await session.execute("DELETE FROM live_calls WHERE state = 'done' AND occurred_at < $1", before)


@dataclass(frozen=True, slots=True)
class QueueNow:
    """Calls of one queue that are not over. `undecided`: waiting, and not longer than the queue's threshold yet, since
    the start of the sliding window; `undecided_since_offer` the same, measured from the first queue, of callers whom no
    agent has handed on: those count for the tenant as answered."""

    tenant_id: str
    queue_id: str
    waiting: int
    talking: int
    wrap_up: int
    waiting_since: datetime | None
    waiting_since_offer: datetime | None
    undecided: int
    undecided_since_offer: int


async def read_queues(session: Session, *, now: datetime, window: timedelta, tenant_id: str | None) -> list[QueueNow]:
    """Every known queue, by tenant and id."""
    rows = await session.fetch(
        """
        WITH open AS (
            SELECT *, state = ANY($4::text[]) AS waits FROM live_calls
            WHERE state <> 'done' AND ($3::text IS NULL OR tenant_id = $3)
        )
        SELECT q.tenant_id, q.queue_id,
               count(*) FILTER (WHERE waits) AS waiting,
               count(*) FILTER (WHERE state = 'talking') AS talking,
               count(*) FILTER (WHERE state = 'wrap_up') AS wrap_up,
               min(queued_at) FILTER (WHERE waits) AS waiting_since,
               min(offered_at) FILTER (WHERE waits) AS waiting_since_offer,
               count(*) FILTER (WHERE waits AND queued_at > $2
                   AND queued_at + service_level_ms * interval '1 millisecond' >= $1) AS undecided,
               count(*) FILTER (WHERE waits AND NOT handed_on AND offered_at > $2
                   AND offered_at + service_level_ms * interval '1 millisecond' >= $1) AS undecided_since_offer
        FROM queues q LEFT JOIN open o ON o.queue_id = q.queue_id AND o.tenant_id = q.tenant_id
        WHERE $3::text IS NULL OR q.tenant_id = $3
        GROUP BY q.tenant_id, q.queue_id ORDER BY q.tenant_id, q.queue_id
        """,
        now,
        now - window,
        tenant_id,
        list(WAITING),
    )
    return [QueueNow(**dict(row)) for row in rows]


async def read_agents_of_queues(session: Session) -> dict[str, dict[str, int]]:
    """Agents logged in by state, for each queue whose calls they may take (an agent counts in each of them)."""
    rows = await session.fetch(
        """
        SELECT queue_id, state, count(*) AS agents FROM live_agents, unnest(queue_ids) AS queue_id
        WHERE state <> 'logged_out' GROUP BY queue_id, state
        """
    )
    queues: dict[str, dict[str, int]] = {}
    for row in rows:
        queues.setdefault(row["queue_id"], {})[row["state"]] = row["agents"]
    return queues


async def read_agents_of_pools(session: Session) -> dict[str, dict[str, int]]:
    """Agents by pool and state."""
    rows = await session.fetch("SELECT pool_id, state, count(*) AS agents FROM live_agents GROUP BY pool_id, state")
    pools: dict[str, dict[str, int]] = {}
    for row in rows:
        pools.setdefault(row["pool_id"], {})[row["state"]] = row["agents"]
    return pools
