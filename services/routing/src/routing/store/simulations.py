"""Simulations: what was asked, how far each has come, what it came to. One process at a time works at one of them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from common.database import Session
from common.ids import FLOOR

from routing.domain.simulation import Simulated, Task

SILENT_SECONDS = 60
"""Who has not been heard of for so long is dead: another process begins the simulation anew, to the same result."""


async def add(session: Session, simulation_id: UUID, asked_by: str, task: Task) -> None:
    """Somebody asks for one."""
    await session.execute(
        "INSERT INTO simulations (id, tenant_id, pool_id, asked_by, task) VALUES ($1, $2, $3, $4, $5)",
        simulation_id,
        FLOOR,
        task.pool_id,
        asked_by,
        msgspec.to_builtins(task),
    )


async def waiting(session: Session) -> int:
    """How many are not over."""
    found: int = await session.fetchval("SELECT count(*) FROM simulations WHERE result IS NULL AND failure IS NULL")
    return found


async def simulation(session: Session, simulation_id: UUID) -> asyncpg.Record | None:
    """One of them."""
    return await session.fetchrow("SELECT * FROM simulations WHERE id = $1", simulation_id)


async def take(session: Session) -> tuple[UUID, Task] | None:
    """The first that nobody works at; from now on the caller does."""
    row = await session.fetchrow(
        """
        UPDATE simulations SET alive_at = now() WHERE id = (
            SELECT id FROM simulations WHERE result IS NULL AND failure IS NULL
                AND (alive_at IS NULL OR alive_at < now() - make_interval(secs => $1))
            ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
        ) RETURNING id, task
        """,
        SILENT_SECONDS,
    )
    return (row["id"], msgspec.convert(row["task"], Task)) if row else None


async def note_progress(session: Session, simulation_id: UUID, progress: float) -> None:
    """It is being worked at, and this much is done."""
    await session.execute(
        "UPDATE simulations SET progress = greatest(progress, $2), alive_at = now() WHERE id = $1",
        simulation_id,
        progress,
    )


async def end(session: Session, simulation_id: UUID, outcome: Simulated | str) -> None:
    """It is over, with a result or with a failure."""
    result: Any = None if isinstance(outcome, str) else msgspec.to_builtins(outcome)
    await session.execute(
        "UPDATE simulations SET progress = 1, result = $2, failure = $3 WHERE id = $1",
        simulation_id,
        result,
        outcome if isinstance(outcome, str) else None,
    )


async def forget(session: Session) -> None:
    """Delete those that were asked for more than a month ago."""
    await session.execute("DELETE FROM simulations WHERE asked_at < now() - interval '30 days'")
