"""Shares of tenants by their definition, looked at agent by agent and call by call: what the pool's bit sets must
come to."""

from __future__ import annotations

from typing import Any

from common.events import CallbackDialled, CallEvent
from common.requirements import is_met
from routing.domain.agents import Agent, Available, LoggedOut, OnBreak, ThenLogOut
from routing.domain.call_states import CallingBack, HeldPlace, Queued
from routing.domain.calls import Call
from routing.domain.configuration import Queue
from routing.domain.pool import Pool
from routing.domain.shares import Positions, Share
from routing.domain.turns import Turn

from . import declared_order


def share(
    tenant_id: str,
    reserved: int = 0,
    guaranteed: int = 0,
    most: int | None = None,
    version: int = 1,
    figures: Positions | None = None,
    **more: Any,
) -> Share:
    """A share with these figures."""
    usual = figures or positions(reserved, guaranteed, most)
    return Share(tenant_id=tenant_id, time_zone="Europe/Paris", version=version, usual=usual, **more)


def positions(reserved: int = 0, guaranteed: int = 0, most: int | None = None) -> Positions:
    return Positions(reserved_positions=reserved, guaranteed_positions=guaranteed, most_positions=most)


def in_force(pool: Pool) -> dict[str, Positions]:
    """The figures by tenant; those at a moment's very instant depend on which timer came first, so they are asked."""
    return {tenant_id: slot.positions for tenant_id, slot in pool.sharing.slots.items()}


def serving(pool: Pool, tenant_id: str) -> int:
    """How many agents serve the tenant; who has several calls of it at hand counts with each."""
    return sum(one.call_tenant_id == tenant_id for agent in pool.agents.values() for one in agent.calls)


def serves_tenant(pool: Pool, agent_id: str, tenant_id: str, channel: str | None) -> bool:
    """Whether the agent may serve one of the tenant's queues, of the channel, from a call's first moment on."""
    return any(
        channel in (None, queue.channel) and _has_skills(pool, agent_id, queue)
        for queue in pool.queues
        if queue.tenant_id == tenant_id and queue.elsewhere is None
    )


def places(pool: Pool, agent: Agent) -> list[str | None]:
    """What the agent is available for: a channel each; None: any, for one call at a time."""
    takes = pool.takes_of(agent)
    return list(takes) if takes is not None else [None] if isinstance(agent.state, Available) else []


def is_permitted(pool: Pool, call: Call, agent_id: str) -> bool:
    """Whether the shares let the call take the available agent."""
    figures = in_force(pool)
    own = figures.get(call.tenant_id, Positions())
    if own.most_positions is not None and serving(pool, call.tenant_id) >= own.most_positions:
        return False
    if serving(pool, call.tenant_id) < own.reserved_positions:
        return True
    releases = {one.tenant_id: one.release_after_seconds for one in pool.sharing.known}
    takes = pool.takes_of(pool.agents[agent_id])
    queue = pool.queue(call.queue_id)
    assert queue is not None
    place = None if takes is None else queue.channel
    for tenant_id, other in figures.items():
        short = other.reserved_positions - serving(pool, tenant_id)
        if tenant_id == call.tenant_id or short <= 0 or not serves_tenant(pool, agent_id, tenant_id, place):
            continue
        after = releases[tenant_id]
        if after is not None and (pool.now - call.first_queued_at).total_seconds() >= after:
            continue
        available = [
            agent.id
            for agent in pool.agents.values()
            for one in places(pool, agent)
            if serves_tenant(pool, agent.id, tenant_id, one)
        ]
        if len(available) - 1 < short:
            return False
    return True


def could_serve(pool: Pool, agent_id: str, call: Call) -> bool:
    """Whether the agent is there and could serve the call at one time or another, while figures and agents stay as they
    are."""
    if not _stays(pool, agent_id):
        return False
    queue, figures = declared_order.rules_of(pool, call), in_force(pool)
    if not declared_order.may_serve(pool, agent_id, call, len(queue.relaxations)):
        return False
    own = figures.get(call.tenant_id, Positions())
    if own.most_positions == 0:
        return False
    if own.reserved_positions:
        return True
    releases = {one.tenant_id: one.release_after_seconds for one in pool.sharing.known}
    place = None if declared_order.declared(pool, agent_id).capacity is None else queue.channel
    for tenant_id, other in figures.items():
        if tenant_id == call.tenant_id or not other.reserved_positions or releases[tenant_id] is not None:
            continue
        there = sum(
            serves_tenant(pool, one, tenant_id, channel)
            for one in pool.agents
            if _stays(pool, one)
            for channel in _channels(pool, one)
        )
        if there <= other.reserved_positions and serves_tenant(pool, agent_id, tenant_id, place):
            return False
    return True


def _stays(pool: Pool, agent_id: str) -> bool:
    """Whether the agent is logged in, has not asked to log out, and is not drained."""
    state, declared = pool.agents[agent_id].state, declared_order.declared(pool, agent_id)
    if isinstance(state, LoggedOut) or getattr(state, "then", None) == ThenLogOut():
        return False
    site_is_down = declared.site_id is not None and pool.is_down(declared.site_id)
    return declared.drain is None and not site_is_down


def _channels(pool: Pool, agent_id: str) -> list[str | None]:
    """Those that the agent takes; None: any, one call at a time."""
    capacity = declared_order.declared(pool, agent_id).capacity
    return [None] if capacity is None else [channel for channel, calls in capacity.calls.items() if calls]


def nobody_serves(pool: Pool, call: Call, but: str | None = None) -> bool:
    """Whether no agent is there who could serve the call, but one who does not count."""
    return not any(could_serve(pool, one, call) for one in pool.agents if one != but)


def is_barred(pool: Pool, agent_id: str, call: Call) -> bool:
    """Whether the agent has handed the call on, and somebody else could serve it."""
    return call.handed_on_by == agent_id and not nobody_serves(pool, call, agent_id)


def is_owed(pool: Pool, tenant_id: str) -> bool:
    """Whether fewer agents serve the tenant than it is guaranteed."""
    return serving(pool, tenant_id) < in_force(pool).get(tenant_id, Positions()).guaranteed_positions


class CheckedTurn(Turn):
    """A turn in which every assignment is held against the definition: of the shares, of the order of service, of the
    order of agents; and every dial of a customer against the agents who are there for them."""

    def tell(self, kind: type[CallEvent], call: Call, **more: Any) -> None:
        super().tell(kind, call, **more)
        if kind is CallbackDialled:
            assert call.callback is not None
            pool, number = self.pool, (call.tenant_id, call.callback.phone)
            others = [
                one
                for one in pool.calls.values()
                if one.id != call.id and isinstance(one.state, CallingBack) and one.callback is not None
                if (one.tenant_id, one.callback.phone) == number
            ]
            assert not others, "a number is dialled for one promise at a time"
            if more["agent_id"] is None:
                self._are_there_agents(call)

    def _are_there_agents(self, call: Call) -> None:
        """For all whom these agents may serve and who are dialled before one is found, or wait for one after that."""
        pool = self.pool
        present = [one.id for one in pool.agents.values() if not isinstance(one.state, LoggedOut | OnBreak)]
        there = [one for one in present if pool.may_serve(one, call, self._ring(call))]
        called = [pool.calls[one] for one in sorted(pool.callbacks.in_flight)]
        customers = [
            one.id for one in called if any(pool.may_serve(agent_id, one, self._ring(one)) for agent_id in there)
        ]
        assert call.id in customers
        assert len(customers) <= len(there), f"{customers} are called for {there}"

    def _ring(self, call: Call) -> int:
        assert isinstance(call.state, CallingBack | Queued)
        return call.state.place.ring if isinstance(call.state, CallingBack) else call.state.ring

    def assign(self, call: Call, waiting: Queued | HeldPlace, agent: Agent, *, came_free: bool) -> None:
        assert is_permitted(self.pool, call, agent.id), f"{agent.id} is not for {call.id}"
        assert not is_barred(self.pool, agent.id, call), f"{agent.id} has handed {call.id} on to others"
        before = [one.id for one in self._calls(agent) if self._goes_before(one, call, agent.id, came_free=came_free)]
        assert not before, f"{agent.id} takes {call.id} before {before}"
        if not came_free:
            first = self._first_agent(call, waiting, agent)
            assert first == agent.id, f"{call.id} takes {agent.id} before {first}"
        super().assign(call, waiting, agent, came_free=came_free)

    def _permits(self, call: Call, agent: Agent) -> bool:
        return is_permitted(self.pool, call, agent.id) and not is_barred(self.pool, agent.id, call)

    def _calls(self, agent: Agent) -> list[Call]:
        return declared_order.calls_for(self.pool, agent, self._permits)

    def _goes_before(self, one: Call, call: Call, agent_id: str, *, came_free: bool) -> bool:
        """Whether the agent should have taken the other call, `one`."""
        if one.id == call.id:
            return False
        owed, owes = is_owed(self.pool, call.tenant_id), is_owed(self.pool, one.tenant_id)
        if came_free and owed != owes:
            return owes
        if not came_free and (self.pool.is_weighed or self.pool.sharing.slots):
            return False
        if self.pool.is_weighed and one.queue_id != call.queue_id:
            return False
        alone, waits_alone = declared_order.is_alone(call), declared_order.is_alone(one)
        if alone != waits_alone:
            return waits_alone
        return declared_order.is_before(self.pool, one, call)

    def _first_agent(self, call: Call, waiting: Queued | HeldPlace, agent: Agent) -> str:
        pool = self.pool
        if call.consults is not None and call.preferred_agent_id == agent.id:
            return agent.id
        ring = declared_order.ring_reached(pool, call, waiting)
        able = declared_order.agents_for(pool, call, ring, self._permits)
        if call.offers == 0 and call.preferred_agent_id in [one.id for one in able]:
            return call.preferred_agent_id
        if pool.is_weighed:
            able = [one for one in able if declared_order.alike(pool, one.id, agent.id)]
        return min(able, key=lambda one: declared_order.place_of(pool, one, call, ring)).id


def _has_skills(pool: Pool, agent_id: str, queue: Queue) -> bool:
    """As the queue asks at first; who may serve a call in its ring, others look at."""
    (agent,) = [one for one in pool.profiles if one.id == agent_id]
    covering = pool._queues[queue.id].covering  # at the very instant of a change it depends on which timer came first
    site_is_down = agent.site_id is not None and pool.is_down(agent.site_id)
    return not site_is_down and is_met(queue.rings((), covering)[0], agent.levels)
