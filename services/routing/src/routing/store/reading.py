"""Calls and commands as they are read."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal
from uuid import UUID

import msgspec
from common.database import Session

from routing.domain.agents import Agent
from routing.domain.call_states import CallStateName
from routing.domain.calls import Call
from routing.domain.configuration import AgentProfile
from routing.store.states import agent_profile


async def call(session: Session, call_id: str) -> tuple[str, Call] | None:
    """A call with its pool's id; None if it has not reached its pool."""
    row = await session.fetchrow("SELECT pool_id, data FROM calls WHERE id = $1", call_id)
    return (row["pool_id"], msgspec.convert(row["data"], Call)) if row else None


async def call_named(session: Session, name: UUID) -> str | None:
    """The id of the call whose first part is `name`; None if none has reached its pool."""
    found: str | None = await session.fetchval(
        # A collation that passes over punctuation may miss it, and never finds another.
        "SELECT id FROM calls WHERE id > $1 AND id < $1 || 'g' AND starts_with(id, $1 || '.')",
        str(name),
    )
    return found


async def calls(
    session: Session,
    before: str | None,
    limit: int,
    *,
    queue_id: str | None,
    state: CallStateName | None,
    tenant_id: str | None,
) -> list[tuple[str, Call]]:
    """Newest first (ids of calls grow with time), those before `before`."""
    rows = await session.fetch(
        """
        SELECT pool_id, data FROM calls
        WHERE ($1::text IS NULL OR id < $1) AND ($3::text IS NULL OR queue_id = $3)
            AND ($4::text IS NULL OR state = $4) AND ($5::text IS NULL OR tenant_id = $5)
        ORDER BY id DESC LIMIT $2
        """,
        before,
        limit,
        queue_id,
        state,
        tenant_id,
    )
    return [(row["pool_id"], msgspec.convert(row["data"], Call)) for row in rows]


LAST_AGENTS = """
    SELECT wanted.tenant_id, wanted.phone, newest.agent_id
    FROM unnest($1::text[], $2::text[]) AS wanted (tenant_id, phone) CROSS JOIN LATERAL (
        SELECT agent_id FROM calls
        WHERE calls.tenant_id = wanted.tenant_id AND spoke_with = wanted.phone AND answered_at IS NOT NULL
        ORDER BY answered_at DESC LIMIT 1
    ) AS newest
"""


async def last_agents(session: Session, callers: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """By (tenant, phone) the agent who last answered a call of that caller, as far as anybody has."""
    rows = await session.fetch(LAST_AGENTS, [tenant_id for tenant_id, _ in callers], [phone for _, phone in callers])
    return {(row["tenant_id"], row["phone"]): row["agent_id"] for row in rows}


async def live_calls(session: Session) -> list[tuple[str, Call]]:
    """Every call that is not over, with its pool's id."""
    rows = await session.fetch("SELECT pool_id, data FROM calls WHERE live ORDER BY id")
    return [(row["pool_id"], msgspec.convert(row["data"], Call)) for row in rows]


async def waiting_calls(session: Session, pool_id: str, queue_id: str) -> list[Call]:
    """The calls that wait in one queue, places that are kept included, in no order."""
    rows = await session.fetch(
        """
        SELECT data FROM calls
        WHERE live AND pool_id = $1 AND queue_id = $2 AND state IN ('queued', 'held_place')
        """,
        pool_id,
        queue_id,
    )
    return [msgspec.convert(row["data"], Call) for row in rows]


async def with_agents(session: Session, queue_id: str) -> int:
    """How many calls of one queue ring at agents, are spoken with or wrapped up."""
    found: int = await session.fetchval(
        "SELECT count(*) FROM calls WHERE live AND queue_id = $1 AND agent_id IS NOT NULL", queue_id
    )
    return found


async def recent_calls(session: Session, queue_id: str) -> list[Call]:
    """The queue's newest calls, over or not."""
    rows = await session.fetch("SELECT data FROM calls WHERE queue_id = $1 ORDER BY id DESC LIMIT 300", queue_id)
    return [msgspec.convert(row["data"], Call) for row in rows]


async def staff(session: Session, pool_id: str) -> list[tuple[AgentProfile, Agent]]:
    """The pool's agents who have had a shift, with what was declared about them; none of a site that is down or
    drained."""
    rows = await session.fetch(
        """
        SELECT a.id, a.skills, a.capacity, a.version, a.site_id, a.drained_at, a.drain_reason, p.interrupts,
            p.version AS pool_version, s.data
        FROM agents a JOIN pools p ON p.id = a.pool_id JOIN agent_states s ON s.agent_id = a.id
            LEFT JOIN sites ON sites.id = a.site_id
        WHERE a.pool_id = $1 AND sites.down IS NOT TRUE AND sites.drained_at IS NULL
        """,
        pool_id,
    )
    return [(agent_profile(row), msgspec.convert(row["data"], Agent)) for row in rows]


def agent_of(saved: Any) -> Agent | None:
    """An agent's state from the `saved` of their row."""
    return None if saved is None else msgspec.convert(saved, Agent)


async def command(session: Session, command_id: UUID) -> tuple[Literal["pending", "applied", "refused"], str | None]:
    """Whether a command has been decided, and why it changed nothing if it was refused."""
    row = await session.fetchrow(
        """
        SELECT (SELECT reason FROM refusals WHERE command_id = $1) AS reason,
            EXISTS (SELECT 1 FROM inbox WHERE id = $1 AND source = $2) AS decided
        """,
        command_id,
        session.source,
    )
    assert row is not None
    if row["reason"] is not None:
        return "refused", row["reason"]
    return ("applied" if row["decided"] else "pending"), None
