"""What runs beside requests and events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from common.clock import Clock
from common.database import TRANSIENT, Database
from common.stops import to_retry

from dialer.domain.attempt import Patience
from dialer.service.attempts import OVERDUE_BATCH, end_overdue, stop_refused
from dialer.service.pacing import complete_finished, pace
from dialer.service.state import State
from dialer.store import dials, floor, numbers

log = logging.getLogger(__name__)

SHORTEST_PAUSE_SECONDS: Final = 0.05
"""Real: however fast the service's clock runs, the database is asked no more often."""
PRUNE_SECONDS: Final = 3600.0


async def tick(database: Database, clock: Clock, patience: Patience) -> int:
    """One round of decisions on every pool, each in a transaction of its own; returns how many dials it started."""
    async with database.transaction() as session:
        pools = await floor.pools_to_pace(session)
    started = 0
    for pool_id in pools:
        async with database.transaction() as session:
            started += await pace(session, pool_id, clock, patience)
    async with database.transaction() as session:
        await stop_refused(session, clock, patience)
        await complete_finished(session, clock)
    looked_at = OVERDUE_BATCH
    while looked_at == OVERDUE_BATCH:
        async with database.transaction() as session:
            looked_at = await end_overdue(session, clock, patience)
    return started


async def pace_for_ever(database: Database, clock: Clock, state: State, seconds: float) -> None:
    """A tick every so many seconds of the service's clock."""

    async def step() -> None:
        await tick(database, clock, state.patience)

    async def pause() -> None:
        await asyncio.gather(clock.sleep(seconds), asyncio.sleep(SHORTEST_PAUSE_SECONDS))

    await _steadily("pacing", step, pause)


async def prune(database: Database, clock: Clock) -> None:
    """Forget dials that nobody may act on any more, and numbers that are not in use any more."""
    async with database.transaction() as session:
        await dials.prune(session)
        await numbers.prune(session, clock.now())


async def listen_for_ever(database: Database, state: State) -> None:
    """Wake this process's waiters when any replica has committed something for them."""

    async def step() -> None:
        connection = await database.connect()
        try:
            schema = await connection.fetchval("SELECT current_schema()")
            await connection.add_listener(f"dialer_{schema}", lambda *notice: state.wake(str(notice[-1])))
            while True:
                await asyncio.sleep(5)
                await connection.execute("SELECT 1")
        finally:
            connection.terminate()

    await _steadily("listening", step, lambda: asyncio.sleep(0))


async def _steadily(name: str, step: Callable[[], Awaitable[None]], pause: Callable[[], Awaitable[object]]) -> None:
    """Repeat; a failure that passes by itself is tried again after a growing pause."""
    delay = 0.1
    while True:
        try:
            await step()
            await pause()
            delay = 0.1
        except TRANSIENT as failure:
            if not to_retry(failure):
                raise
            log.warning("%s tries again: %s: %s", name, type(failure).__name__, failure)
            await asyncio.sleep(delay)
            delay = min(delay * 2, 5.0)
