"""Time as an argument: real, scaled (a day in minutes) or moved by hand.

Every process that is given the same `speed`, `origin` and `real_origin` reads the same simulated time.
"""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Where code reads the time. All times are aware and in UTC."""

    def now(self) -> datetime:
        """The current time."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return once `seconds` of this clock have passed; at once if not positive."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


class ScaledClock:
    """Runs `speed` times as fast as the machine's clock, reading `origin` when that reads `real_origin`."""

    def __init__(self, speed: float, origin: datetime, real_origin: datetime) -> None:
        if speed <= 0:
            raise ValueError(f"the speed of a clock must be positive, not {speed}")
        self.speed = speed
        self._origin = origin
        self._real_origin = real_origin

    def now(self) -> datetime:
        elapsed = datetime.now(UTC) - self._real_origin
        return self._origin + elapsed * self.speed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds) / self.speed)


class ManualClock:
    """Stands still until told to move; sleepers wake in the order in which they are due."""

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> datetime:
        return self._now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._now + timedelta(seconds=seconds), self._count, woken))
        await woken

    def advance(self, seconds: float) -> None:
        """Move forward and wake whoever is due."""
        self.set(self._now + timedelta(seconds=seconds))

    def set(self, moment: datetime) -> None:
        """Move to `moment` (never backwards) and wake whoever is due."""
        if moment < self._now:
            raise ValueError("a clock never runs backwards")
        self._now = moment
        while self._sleepers and self._sleepers[0][0] <= moment:
            _, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)
