"""The simulated PBX: it places calls, rings desks, bridges and releases, and tells routing every fact."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any, Final, Literal

from common.ids import derived_id

from plateau.client import Refused
from plateau.simulator.arrivals import exponential, lognormal
from plateau.simulator.desks import Desks
from plateau.simulator.people import Matter, disposition
from plateau.simulator.world import World

REMEMBERED: Final = 20_000
"""Calls that are over are known that long: what routing still says about them comes too late."""
LIVE: Final = ("queued", "offered", "talking", "wrapping_up")
"""States in which routing still holds a call."""


@dataclass(slots=True, eq=False)
class Call:
    """One call in progress."""

    call_id: str
    queue_id: str
    random: Random
    outbound: bool = False
    matter: Matter | None = None
    phase: Literal["waiting", "talking", "wrapping_up", "over"] = "waiting"
    agent_id: str | None = None
    offer: int = 0
    patience: asyncio.Task[Any] | None = None

    def lose_patience(self) -> None:
        """Stop the clock of the caller's patience."""
        if self.patience is not None:
            self.patience.cancel()
            self.patience = None


class Switch:
    """Calls in progress by id."""

    def __init__(self, world: World, desks: Desks) -> None:
        self._world = world
        self._desks = desks
        self._calls: dict[str, Call] = {}
        self._gone: OrderedDict[str, None] = OrderedDict()
        self.placing = 0
        """Calls on their way to routing."""

    @property
    def busy(self) -> bool:
        return bool(self._calls) or self.placing > 0

    def count(self, phase: str) -> int:
        return sum(1 for call in self._calls.values() if call.phase == phase)

    async def place(self, matter: Matter) -> None:
        """The caller calls: once, however often the request has to be sent."""
        world = self._world
        matter.calls += 1
        key = str(derived_id(world.seed, matter.queue_id, str(matter.number), str(matter.calls)))
        body = {
            "queue_id": matter.queue_id,
            "contact_phone": matter.phone,
            "channel": "voice",
            "direction": "inbound",
            "external_id": f"sim-{key}",
        }
        self.placing += 1
        try:
            taken = await world.client.post("routing", "/v1/calls", body, key=key)
        finally:
            self.placing -= 1
        world.counters.offered += 1
        if taken["call_id"] in self._gone:
            return  # over before the answer reached us
        call = self._call(taken["call_id"], matter.queue_id)
        call.matter = matter
        call.random = matter.random
        call.lose_patience()
        if call.phase == "waiting":
            call.patience = world.tasks.spawn(self._wait(call, matter.patience(world.inbound(matter.queue_id))))

    def on_event(self, kind: str, data: dict[str, Any]) -> None:
        """A command of routing: ring a desk, bridge, release."""
        if data.get("call_id") in self._gone:
            return
        match kind:
            case "ring":
                self._ring(data)
            case "bridge":
                self._bridge(self._call_of(data), data["agent_id"])
            case "release":
                call = self._calls.get(data["call_id"])
                if call is not None:
                    self._released(call)
            case _:
                return

    async def adopt(self) -> None:
        """Take over calls that routing holds and whose events were missed; drop those that are over."""
        live: dict[str, dict[str, Any]] = {}
        known = set(self._calls)
        for state in LIVE:
            async for view in self._world.client.pages("routing", "/v1/calls", state=state):
                live[view["call_id"]] = view
        for call_id in known - live.keys():
            gone = self._calls.get(call_id)
            if gone is not None and gone.phase != "wrapping_up":
                await self._check(gone)
        for call_id, view in live.items():
            if call_id in self._gone:
                continue
            if call_id not in self._calls:
                self._world.counters.adopted += 1
            self._adopt(call_id, view)

    def _adopt(self, call_id: str, view: dict[str, Any]) -> None:
        call = self._call_of(view)
        agent_id = view.get("agent_id")
        match view["state"]:
            case "queued" if call.patience is None and call.phase == "waiting" and not call.outbound:
                mean = self._world.inbound(call.queue_id).patience_seconds
                call.patience = self._world.tasks.spawn(self._wait(call, exponential(mean, call.random)))
            case "offered" if agent_id is not None and call.phase == "waiting":
                self._ring({**view, "call_id": call_id})
            case "talking" if agent_id is not None:
                self._bridge(call, agent_id)
            case "wrapping_up" if agent_id is not None and call.phase in ("waiting", "talking"):
                call.lose_patience()
                call.agent_id = agent_id
                self._world.tasks.spawn(self._wrap_up(call))
            case _:
                return

    async def _check(self, call: Call) -> None:
        """Routing no longer lists the call among the live ones: has it ended without our seeing it?"""
        try:
            view = await self._world.client.get("routing", f"/v1/calls/{call.call_id}")
        except Refused as refused:
            if refused.status != 404:
                raise
            return  # taken, but not handled yet: routing will come to it
        if view["state"] in ("abandoned", "wrapped_up"):
            self._released(call)

    def _call(self, call_id: str, queue_id: str) -> Call:
        call = self._calls.get(call_id)
        if call is None:
            call = self._calls[call_id] = Call(call_id, queue_id, self._world.random("call", call_id))
        return call

    def _call_of(self, data: dict[str, Any]) -> Call:
        call = self._call(data["call_id"], data.get("queue_id") or data["call_id"].rpartition(".")[2])
        call.outbound = call.outbound or data.get("direction") == "outbound" or bool(data.get("attempt_id"))
        return call

    def _ring(self, data: dict[str, Any]) -> None:
        call = self._call_of(data)
        if call.phase != "waiting":
            return
        agent_id: str = data["agent_id"]
        if call.agent_id is not None and call.agent_id != agent_id:
            self._desks.free(call.agent_id, call.call_id)
        call.agent_id = agent_id
        self._desks.ring(agent_id, call.call_id, call.outbound, self._timeout(data))

    def _timeout(self, data: dict[str, Any]) -> float:
        """Simulated seconds until the offer expires."""
        expires = data.get("expires_at") or data.get("offer_expires_at")
        if expires is None:
            return 20.0
        return max(1.0, (datetime.fromisoformat(expires) - self._world.clock.now()).total_seconds())

    def _bridge(self, call: Call, agent_id: str) -> None:
        if call.phase != "waiting":
            return
        call.lose_patience()
        call.phase, call.agent_id = "talking", agent_id
        self._world.counters.answered += 1
        self._desks.talk(agent_id, call.call_id)
        self._world.tasks.spawn(self._talk(call))

    def _released(self, call: Call) -> None:
        """Routing gave the call up (or it ended unseen): whoever waited is gone."""
        if call.phase == "waiting":
            if not call.outbound:
                self._world.counters.limit_passed += 1
            self._give_up(call)
        elif call.phase == "talking":
            self._over(call)

    def _give_up(self, call: Call) -> None:
        """Unanswered: perhaps the caller tries again later."""
        self._over(call)
        matter = call.matter
        if matter is None:
            return
        traffic = self._world.inbound(matter.queue_id)
        if matter.random.random() < traffic.redial:
            self._later(matter, exponential(traffic.call_back_seconds, matter.random))

    def _over(self, call: Call) -> None:
        call.lose_patience()
        call.phase = "over"
        self._calls.pop(call.call_id, None)
        self._gone[call.call_id] = None
        if len(self._gone) > REMEMBERED:
            self._gone.popitem(last=False)
        if call.agent_id is not None:
            self._desks.free(call.agent_id, call.call_id)

    def _later(self, matter: Matter, seconds: float) -> None:
        if not self._world.closing:
            self._world.tasks.spawn(self._call_again(matter, seconds))

    async def _call_again(self, matter: Matter, seconds: float) -> None:
        await self._world.pause(seconds)
        if not self._world.closing:
            await self.place(matter)

    async def _wait(self, call: Call, seconds: float) -> None:
        await self._world.pause(seconds)
        if call.phase == "waiting":
            call.patience = None
            self._world.counters.hung_up += 1
            self._world.facts.add("hung_up", call_id=call.call_id)
            self._give_up(call)

    async def _talk(self, call: Call) -> None:
        world = self._world
        if call.outbound:
            outbound = world.outbound(call.queue_id)
            mean, variation = outbound.talk_seconds, outbound.talk_variation
        else:
            inbound = world.inbound(call.queue_id)
            mean, variation = inbound.talk_seconds, inbound.talk_variation
        await world.pause(max(1.0, lognormal(mean, variation, call.random)))
        if call.phase == "talking":
            world.facts.add("hung_up", call_id=call.call_id)
            await self._wrap_up(call)

    async def _wrap_up(self, call: Call) -> None:
        world, matter = self._world, call.matter
        call.phase = "wrapping_up"
        world.counters.ended += 1
        traffic = world.outbound(call.queue_id) if call.outbound else world.inbound(call.queue_id)
        await world.pause(exponential(traffic.wrap_up_seconds, call.random))
        settled = self._is_settled(call)
        code = disposition(world.tenant_of(call.queue_id), settled, call.random)
        world.facts.add("wrapped_up", call_id=call.call_id, agent_id=call.agent_id, disposition=code)
        world.counters.wrapped_up += 1
        world.counters.settled += settled
        self._over(call)
        if matter is not None:
            self._after(matter, settled)

    def _is_settled(self, call: Call) -> bool:
        if call.outbound:
            return call.random.random() < self._world.outbound(call.queue_id).settled
        return call.matter is None or call.matter.calls_left <= 1

    def _after(self, matter: Matter, settled: bool) -> None:
        """An unsettled matter brings another call; a settled one seldom."""
        traffic = self._world.inbound(matter.queue_id)
        if not settled:
            matter.calls_left -= 1
            self._later(matter, exponential(traffic.call_back_seconds, matter.random))
        elif matter.phone is not None and matter.random.random() < traffic.return_after_closing:
            matter.calls_left = 1
            self._later(matter, exponential(traffic.call_back_seconds, matter.random))
