"""Agents at their desks: they take offers, overlook a few, rest, and come back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal

from plateau.floor import Agent
from plateau.simulator.arrivals import exponential
from plateau.simulator.world import World

Activity = Literal["away", "free", "ringing", "busy", "resting"]


@dataclass(slots=True, eq=False)
class Desk:
    """One agent, as far as the simulator knows."""

    agent: Agent
    activity: Activity = "away"
    call_id: str | None = None


class Desks:
    """All agents of the floor."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._desks = {agent.id: Desk(agent) for agent in world.floor.agents}
        self._reasons = {pool.id: pool.break_reasons[0] for pool in world.floor.pools if pool.break_reasons}

    def desk(self, agent_id: str) -> Desk | None:
        return self._desks.get(agent_id)

    def count(self, activity: Activity) -> int:
        return sum(1 for desk in self._desks.values() if desk.activity == activity)

    async def log_in(self) -> None:
        """Everybody who is not there yet logs in. Those who are on a break take calls again."""
        states = await self._states()
        for desk in self._desks.values():
            state = states.get(desk.agent.id)
            if state in (None, "logged_out"):
                self._tell(desk, "logged_in")
            elif state == "break":
                self._tell(desk, "available")
            desk.activity = "busy" if state in ("busy", "wrap_up", "offered") else "free"
            self._world.tasks.spawn(self._rests(desk), name=f"rests of {desk.agent.id}")

    def log_out(self, *, outbound_only: bool = False) -> None:
        """Everybody leaves (or those who take only campaigns' calls); who is in a conversation leaves after it."""
        for desk in self._desks.values():
            if desk.activity != "away" and (not outbound_only or self._serves_only_campaigns(desk)):
                desk.activity = "away"
                self._tell(desk, "logged_out")

    def _serves_only_campaigns(self, desk: Desk) -> bool:
        floor = self._world.floor
        dialled = {campaign.queue_id for campaign in floor.campaigns}
        return all(queue.id in dialled for queue in floor.queues if desk.agent in floor.agents_of(queue))

    def ring(self, agent_id: str, call_id: str, outbound: bool, timeout_seconds: float) -> None:
        """An offer reaches the desk."""
        desk = self._desks.get(agent_id)
        if desk is None or (desk.activity == "ringing" and desk.call_id == call_id):
            return
        desk.activity, desk.call_id = "ringing", call_id
        self._world.tasks.spawn(self._react(desk, call_id, outbound, timeout_seconds))

    def missed(self, agent_id: str, call_id: str, reason: str) -> None:
        """The offer is withdrawn; unless the caller has gone, the agent finds the desk on a break."""
        self.free(agent_id, call_id)
        desk = self._desks.get(agent_id)
        if desk is not None and reason in ("timeout", "declined"):
            self._world.counters.missed += 1
            self._world.tasks.spawn(self._notice(desk))

    def talk(self, agent_id: str, call_id: str) -> None:
        desk = self._desks.get(agent_id)
        if desk is not None:
            desk.activity, desk.call_id = "busy", call_id

    def free(self, agent_id: str, call_id: str) -> None:
        """The call no longer concerns the desk. Harmless when the desk is with another one."""
        desk = self._desks.get(agent_id)
        if desk is not None and desk.call_id == call_id:
            desk.call_id = None
            if desk.activity in ("ringing", "busy"):
                desk.activity = "free"

    async def reconcile(self) -> None:
        """Set right what an event that never came has left wrong: agents put on a break who do not rest."""
        for agent_id, state in (await self._states()).items():
            desk = self._desks.get(agent_id)
            if desk is None or self._world.closing:
                continue
            if state == "break" and desk.activity == "free":
                self._tell(desk, "available")
            elif state == "logged_out" and desk.activity == "free":
                self._tell(desk, "logged_in")
            elif state == "available" and desk.activity in ("ringing", "busy"):
                desk.activity, desk.call_id = "free", None

    async def states(self) -> dict[str, str]:
        """State of each agent of the floor, as routing has it."""
        return await self._states()

    async def _states(self) -> dict[str, str]:
        return {
            agent["id"]: agent.get("state") or "logged_out"
            async for agent in self._world.client.pages("routing", "/v1/agents")
            if agent["id"] in self._desks
        }

    async def _react(self, desk: Desk, call_id: str, outbound: bool, timeout_seconds: float) -> None:
        world, work = self._world, self._world.traffic.work
        random = world.random("reaction", desk.agent.id, call_id)
        draw = random.random()
        if not outbound and not world.closing:
            if draw < work.miss:
                return  # overlooked: routing lets the offer expire
            await world.pause(min(exponential(work.reaction_seconds, random), timeout_seconds * 0.6))
            if draw < work.miss + work.decline:
                world.facts.add("declined", call_id=call_id, agent_id=desk.agent.id)
                return
        if desk.call_id == call_id and desk.activity == "ringing":
            world.facts.add("accepted", call_id=call_id, agent_id=desk.agent.id)

    async def _notice(self, desk: Desk) -> None:
        """Routing puts an agent who missed an offer on a break; the agent notices and takes calls again."""
        random = self._world.random("notice", desk.agent.id, str(self._world.counters.missed))
        await self._world.pause(exponential(self._world.traffic.work.reaction_seconds * 4, random))
        if desk.activity == "free":
            self._tell(desk, "available")

    def _tell(self, desk: Desk, state: str, **fields: str) -> None:
        self._world.facts.add("agent_state", agent_id=desk.agent.id, state=state, **fields)

    async def _rests(self, desk: Desk) -> None:
        world, work = self._world, self._world.traffic.work
        random = world.random("rests", desk.agent.id)
        while True:
            await world.clock.sleep(exponential(work.break_every_seconds, random))
            while desk.activity != "free":
                if desk.activity == "away" or world.closing:
                    return
                await world.clock.sleep(5)
            self._tell(desk, "break", reason=self._reasons.get(desk.agent.pool_id, "rest"))
            desk.activity = "resting"
            await world.pause(exponential(work.break_seconds, random))
            if desk.activity == "resting":
                desk.activity = "free"
                self._tell(desk, "available")
            await asyncio.sleep(0)
