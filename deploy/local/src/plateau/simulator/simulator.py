"""All simulated people together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Final

from common.clock import Clock

from plateau.client import Client
from plateau.floor import Floor, Queue
from plateau.simulator.arrivals import SHAPES, arrivals, rate_of_day, seconds_between
from plateau.simulator.counters import Counters
from plateau.simulator.desks import Desks
from plateau.simulator.dials import Dials
from plateau.simulator.facts import Facts
from plateau.simulator.people import Matter, new_matter
from plateau.simulator.streams import follow
from plateau.simulator.switch import Switch
from plateau.simulator.traffic import Inbound, Traffic
from plateau.simulator.world import Tasks, World

RECONCILE_SECONDS: Final = 5.0
"""Real seconds between two looks at what the services hold."""
_POLL: Final = 0.05
_LONGEST_BACKLOG: Final = timedelta(seconds=120)
"""A simulator that falls further behind than this skips arrivals rather than offering them all at once."""


class Simulator:
    """Plays callers, callees, agents and the PBX of `floor` against the services at `urls`.

    `seed` fixes who calls when, how long each waits, talks and wraps up; the answers' timing is the services' own.
    `token` (or a function that gives a fresh one) needs the roles service and operator. Requests without an answer
    are repeated with the same Idempotency-Key for ever, so that it plays on through faults.

        async with simulator.playing():
            await asyncio.sleep(60)
            await simulator.drain(10)
    """

    def __init__(
        self,
        urls: Mapping[str, str],
        token: str | Callable[[], str],
        floor: Floor,
        clock: Clock,
        seed: int | str,
        traffic: Traffic | None = None,
        *,
        dialer: bool | None = None,
    ) -> None:
        self._urls = urls
        self._token = token
        self._floor = floor
        self._clock = clock
        self._seed = str(seed)
        self._traffic = traffic or Traffic.for_floor(floor)
        self._dialer = bool(floor.campaigns) if dialer is None else dialer
        self.counters = Counters()
        self.skipped = 0
        """Arrivals not played because the simulator fell behind."""
        self._world: World | None = None
        self._switch: Switch | None = None
        self._desks: Desks | None = None
        self._dials: Dials | None = None

    @asynccontextmanager
    async def playing(self) -> AsyncIterator[Simulator]:
        """Plays while the block runs; a defect of the simulator or a refused request ends it with that error."""
        async with Client(self._urls, self._token, patience=None) as client:
            tasks = Tasks()
            facts = Facts(client)
            world = self._world = World(
                client, facts, self._clock, self._floor, self._traffic, self._seed, tasks, self.counters
            )
            desks = self._desks = Desks(world)
            switch = self._switch = Switch(world, desks)
            dials = self._dials = Dials(world)
            block = asyncio.current_task()
            assert block is not None
            tasks.failed.add_done_callback(lambda _: block.cancel() if not tasks.failed.cancelled() else None)
            try:
                tasks.spawn(facts.run(), name="facts")
                tasks.spawn(
                    follow(
                        client,
                        "routing",
                        "/v1/telephony/stream",
                        on_event=switch.on_event,
                        on_connected=_nothing,
                    ),
                    name="telephony",
                )
                if self._dialer:
                    tasks.spawn(
                        follow(client, "dialer", "/v1/dials/stream", on_event=dials.on_event, on_connected=dials.adopt),
                        name="dials",
                    )
                await desks.log_in()
                for queue in self._floor.queues:
                    if (inbound := self._traffic.queues.get(queue.id)) is not None:
                        tasks.spawn(self._arrivals(world, switch, queue, inbound), name=f"arrivals {queue.id}")
                tasks.spawn(self._reconcile(switch, desks, dials), name="reconcile")
                yield self
            except asyncio.CancelledError:
                if tasks.failed.done() and (failure := tasks.failed.exception()) is not None:
                    block.uncancel()
                    raise failure from None
                raise
            finally:
                await tasks.stop()

    @property
    def repeated(self) -> int:
        """Requests that had to be sent again."""
        return 0 if self._world is None else self._world.client.repeated

    @property
    def refusals(self) -> list[str]:
        """The newest facts that routing refused, with its reasons."""
        return [] if self._world is None else self._world.facts.refusals

    async def drain(self, seconds: float, *, grace: float = 15.0) -> bool:
        """No new calls; wait up to `seconds` (real) for those in progress, then end them quickly; all agents log out.

        Returns whether nothing was left after `grace` more seconds.
        """
        world, switch, desks, dials = self._world, self._switch, self._desks, self._dials
        if world is None or switch is None or desks is None or dials is None:
            raise RuntimeError("the simulator does not play")
        world.closing = True
        desks.log_out(outbound_only=True)

        def idle() -> bool:
            return not switch.busy and dials.in_progress == 0 and world.facts.all_sent

        await _until(idle, seconds)
        world.hurry()
        drained = await _until(idle, grace)
        desks.log_out()
        await _until(lambda: world.facts.all_sent, grace)
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                while any(state != "logged_out" for state in (await desks.states()).values()):  # noqa: ASYNC110 - a poll
                    await asyncio.sleep(_POLL)
        return drained

    async def _arrivals(self, world: World, switch: Switch, queue: Queue, inbound: Inbound) -> None:
        tenant = self._floor.tenant(queue.tenant_id)
        rate = rate_of_day(inbound.calls_per_hour, SHAPES[inbound.shape], tenant.time_zone)
        random = world.random("arrivals", queue.id)
        start = world.clock.now()
        for number, moment in enumerate(arrivals(rate, inbound.calls_per_hour, start, random), 1):
            ahead = seconds_between(world.clock.now(), moment)
            if ahead > 0:
                await world.clock.sleep(ahead)
            elif -ahead > _LONGEST_BACKLOG.total_seconds():
                self.skipped += 1
                continue
            if world.closing:
                return
            matter: Matter = new_matter(queue.id, number, inbound, tenant.region, self._seed)
            switch.place(matter)

    async def _reconcile(self, switch: Switch, desks: Desks, dials: Dials) -> None:
        while True:
            await asyncio.sleep(RECONCILE_SECONDS)
            await switch.reconcile()
            await desks.reconcile()
            if self._dialer:
                await dials.adopt()


async def _nothing() -> None:
    """Routing's stream begins with a snapshot: there is nothing to read beside it."""


async def _until(fulfilled: Callable[[], bool], seconds: float) -> bool:
    """Whether the condition came true within `seconds` (real)."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while not fulfilled():
        if loop.time() > until:
            return False
        await asyncio.sleep(_POLL)
    return True
