"""What all simulated people share."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from random import Random
from typing import Any

from common.clock import Clock

from plateau.client import Client
from plateau.floor import Floor, Tenant
from plateau.simulator.counters import Counters
from plateau.simulator.facts import Facts
from plateau.simulator.traffic import Inbound, Outbound, Traffic


class Tasks:
    """Tasks that nobody waits for. The first that fails sets `failed`; none is lost silently."""

    def __init__(self) -> None:
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any], name: str | None = None) -> asyncio.Task[Any]:
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None and not self.failed.done():
            self.failed.set_exception(failure)

    async def stop(self) -> None:
        """Cancel all and wait for them."""
        while self._running:
            ending = list(self._running)
            for task in ending:
                task.cancel()
            await asyncio.wait(ending)
        self.failed.cancel()


@dataclass(slots=True)
class World:
    """The floor, its traffic, and the way to the services."""

    client: Client
    facts: Facts
    clock: Clock
    floor: Floor
    traffic: Traffic
    seed: str
    tasks: Tasks
    counters: Counters = field(default_factory=Counters)
    closing: bool = False
    """True: no new calls, breaks or call-backs; what is in progress goes to its end."""
    hurried: bool = False
    _sleeping: set[asyncio.Future[None]] = field(default_factory=set)

    def random(self, *parts: str) -> Random:
        """Draws that depend on the seed and on whose they are, not on what happened before."""
        return Random("/".join((self.seed, *parts)))

    def tenant_of(self, queue_id: str) -> Tenant | None:
        for queue in self.floor.queues:
            if queue.id == queue_id:
                return self.floor.tenant(queue.tenant_id)
        return None

    def inbound(self, queue_id: str) -> Inbound:
        """Behaviour of the queue's callers; a queue that only catches overflow has those of the queue before it."""
        named = self.traffic.queues.get(queue_id)
        if named is not None:
            return named
        for queue in self.floor.queues:
            if queue.overflow is not None and queue.overflow.queue_id == queue_id and queue.id in self.traffic.queues:
                return self.traffic.queues[queue.id]
        return Inbound(calls_per_hour=0)

    def outbound(self, queue_id: str) -> Outbound:
        for campaign in self.floor.campaigns:
            if campaign.queue_id == queue_id and campaign.id in self.traffic.campaigns:
                return self.traffic.campaigns[campaign.id]
        return Outbound()

    async def pause(self, seconds: float) -> None:
        """Let simulated time pass; cut short by `hurry`."""
        if self.hurried:
            return
        sleeping = asyncio.ensure_future(self.clock.sleep(seconds))
        self._sleeping.add(sleeping)
        try:
            await sleeping
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self.hurried or (task is not None and task.cancelling()):
                raise
        finally:
            self._sleeping.discard(sleeping)

    def hurry(self) -> None:
        """Conversations, wrap-ups and waits in progress end now; later ones take no time."""
        self.hurried = True
        for sleeping in list(self._sleeping):
            sleeping.cancel()
