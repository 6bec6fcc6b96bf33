"""The simulated PBX: it places calls, rings desks, bridges and releases, and tells routing every fact."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
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
RINGS_SECONDS: Final = 8.0
"""How long a customer who is called back lets it ring, on average."""
REACHED: Final = 0.8
"""Share of the attempts to call back that are answered."""
ASKS: Final = 0.5
"""Share of the callers who have lost patience that would rather be called back, where their queue does that."""
LIVE: Final = ("queued", "held_place", "offered", "calling_back", "talking", "wrapping_up")
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
    dial_id: str | None = None
    """The newest attempt to call the caller back: it is dialled once."""

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
        self._campaign_queues = {campaign.queue_id for campaign in world.floor.campaigns}

    @property
    def busy(self) -> bool:
        return bool(self._calls)

    def count(self, phase: str) -> int:
        return sum(1 for call in self._calls.values() if call.phase == phase)

    def place(self, matter: Matter) -> str:
        """The caller calls; the call's id is ours, so that nothing said about it can come too early."""
        world = self._world
        matter.calls += 1
        name = derived_id(world.seed, matter.queue_id, str(matter.number), str(matter.calls))
        call_id = f"{name}.{matter.queue_id}"
        world.facts.add(
            "offered",
            call_id=call_id,
            queue_id=matter.queue_id,
            contact_phone=matter.phone,
            external_id=f"sim-{matter.queue_id}-{matter.number}-{matter.calls}",
        )
        world.counters.offered += 1
        call = self._call(call_id, matter.queue_id)
        call.matter = matter
        call.random = matter.random
        call.patience = world.tasks.spawn(self._wait(call, matter.patience(world.inbound(matter.queue_id))))
        return call_id

    def on_event(self, kind: str, data: dict[str, Any]) -> None:
        """A command of routing: ring a desk, bridge, release."""
        if data.get("call_id") in self._gone:
            return
        match kind:
            case "snapshot":
                self._take_over({view["call_id"]: view for view in data["calls"]})
            case "ring":
                self._ring(data)
            case "stop_ringing":
                self._desks.missed(data["agent_id"], data["call_id"], data["reason"])
            case "bridge":
                self._bridge(self._call_of(data), data["agent_id"])
            case "hold_place":
                self._call_of(data).lose_patience()
            case "dial":
                self._dial(self._call_of(data), data["dial_id"])
            case "release":
                call = self._calls.get(data["call_id"])
                if call is not None:
                    self._released(call)
            case _:
                return

    async def reconcile(self) -> None:
        """Take over calls that routing holds and whose events were missed; drop those that are over."""
        known = list(self._calls)
        live = {
            view["call_id"]: view
            for state in LIVE
            async for view in self._world.client.pages("routing", "/v1/calls", state=state)
        }
        for call_id in known:
            gone = self._calls.get(call_id)
            if call_id not in live and gone is not None and gone.phase != "wrapping_up":
                await self._check(gone)
        self._take_over(live)

    def _take_over(self, live: Mapping[str, Mapping[str, Any]]) -> None:
        for call_id, view in live.items():
            if call_id not in self._gone:
                self._world.counters.adopted += call_id not in self._calls
                self._adopt(call_id, view)

    def _adopt(self, call_id: str, view: Mapping[str, Any]) -> None:
        call = self._call_of(view)
        agent_id = view.get("agent_id")
        match view["state"]:
            case "queued" if call.patience is None and call.phase == "waiting" and not call.outbound:
                mean = self._world.inbound(call.queue_id).patience_seconds
                call.patience = self._world.tasks.spawn(self._wait(call, exponential(mean, call.random)))
            case "offered" if agent_id is not None and call.phase == "waiting":
                self._ring(view)
            case "held_place":
                call.lose_patience()
            case "calling_back":
                call.lose_patience()
                self._dial(call, view["callback"]["dial_id"])
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
        if view["state"] == "abandoned":
            self._released(call)
        elif view["state"] == "wrapped_up":
            self._over(call)

    def _call(self, call_id: str, queue_id: str) -> Call:
        call = self._calls.get(call_id)
        if call is None:
            call = self._calls[call_id] = Call(call_id, queue_id, self._world.random("call", call_id))
        return call

    def _call_of(self, data: Mapping[str, Any]) -> Call:
        """The call that is spoken of. One on a campaign's queue that we did not place is the dialer's."""
        call = self._call(data["call_id"], data["queue_id"])
        call.queue_id = data["queue_id"]
        if call.matter is None and (data.get("direction") == "outbound" or call.queue_id in self._campaign_queues):
            call.outbound = True
        return call

    def _dial(self, call: Call, dial_id: str) -> None:
        """Call a customer back, once for each attempt, however often it is told."""
        if call.dial_id != dial_id:
            call.dial_id = dial_id
            self._world.counters.callbacks[dial_id] += 1
            self._world.tasks.spawn(self._reach(call, dial_id))

    async def _reach(self, call: Call, dial_id: str) -> None:
        await self._world.pause(exponential(RINGS_SECONDS, call.random))
        outcome = "answered" if call.random.random() < REACHED else "no_answer"
        if call.dial_id == dial_id and call.phase == "waiting":
            self._world.facts.add("dial_result", call_id=call.call_id, dial_id=dial_id, outcome=outcome)

    def _ring(self, data: Mapping[str, Any]) -> None:
        call = self._call_of(data)
        if call.phase != "waiting":
            return
        agent_id: str = data["agent_id"]
        if call.agent_id is not None and call.agent_id != agent_id:
            self._desks.free(call.agent_id, call.call_id)
        call.agent_id = agent_id
        self._desks.ring(agent_id, call.call_id, call.outbound, self._timeout(data))

    def _timeout(self, data: Mapping[str, Any]) -> float:
        """Simulated seconds until the offer expires."""
        expires = data.get("expires_at")
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
        """Routing gave the call up, or it ended without our hanging up."""
        if call.phase == "waiting":
            if not call.outbound:
                self._world.counters.limit_passed += 1
            self._give_up(call)
        elif call.phase == "talking":
            self._world.tasks.spawn(self._wrap_up(call))

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
            self.place(matter)

    async def _wait(self, call: Call, seconds: float) -> None:
        await self._world.pause(seconds)
        if call.phase == "waiting":
            call.patience = None
            if self._called_back(call):
                self._world.facts.add("callback_requested", call_id=call.call_id)
                # Until routing has taken the request the caller is on the line, and does not wait for ever.
                call.patience = self._world.tasks.spawn(self._wait(call, seconds))
                return
            self._world.counters.hung_up += 1
            self._world.facts.add("hung_up", call_id=call.call_id)
            self._give_up(call)

    def _called_back(self, call: Call) -> bool:
        """Whether a caller who has lost patience asks to be called back."""
        matter = call.matter
        if call.dial_id is not None or matter is None or matter.phone is None:
            return False
        return self._world.floor.queue(call.queue_id).callback is not None and call.random.random() < ASKS

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
