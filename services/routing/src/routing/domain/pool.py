"""The pool in memory: which agent and which call go together, and why they do or do not."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from typing import Final

from common.events.routing import Channel

from routing.domain.agents import AfterCall, Agent, Busy, LoggedOut, Serving, ThenAvailable
from routing.domain.bidding import Bidding
from routing.domain.call_states import CallingBack, HeldPlace, Queued
from routing.domain.callback_places import is_near
from routing.domain.calls import Call, claim_of
from routing.domain.capacity import could_take
from routing.domain.groups import Group, Rule
from routing.domain.indexes import Indexes
from routing.domain.matching import numbers_in
from routing.domain.notes import Precedence
from routing.domain.sharing import Reason
from routing.domain.slots import QueueSlot, Skills

_AS_IT_IS: Final = nullcontext()


class Pool(Indexes):
    """Queues and agents that may serve each other. One process owns it at a time."""

    def length(self, queue_id: str) -> int:
        """How many calls wait in the queue, places in line that are kept for callbacks included."""
        waiting = sum(self._waiting.count(1 << number) for number in self._queues[queue_id].bins)
        return waiting + len(self.callbacks.near.get(queue_id, ()))

    def queue_ids_of(self, agent_id: str) -> list[str]:
        """Queues whose calls the agent may serve from the first moment on, by id."""
        if agent_id in self.seated:
            groups = self.seated[agent_id].values()
            return sorted(queue_id for group in groups for queue_id in self._queue_ids(group))
        return self._queue_ids(self._group_of[agent_id])

    def _queue_ids(self, group: Group) -> list[str]:
        if group.queue_ids is None:
            homes = (self._queue_of_bin.get(number) for number in numbers_in(group.fitting))
            here = (one for one in homes if one is not None and self._queues[one].queue.elsewhere is None)
            group.queue_ids = sorted(here)
        return group.queue_ids

    def may_serve(self, agent_id: str, call: Call, ring: int) -> bool:
        """Whether the agent takes calls of its channel and has the skills that it needs in this ring of its queue."""
        number = self._ring_of(call, ring).number
        if agent_id in self.seated:
            return any(group.fitting >> number & 1 for group in self.seated[agent_id].values())
        return bool(self._group_of[agent_id].fitting >> number & 1)

    def fits(self, agent_id: str, queue_id: str) -> bool:
        """Whether the agent may serve the queue from a call's first moment on, were it at home here."""
        number = self._queues[queue_id].rings[()][0].number
        groups = self.seated[agent_id].values() if agent_id in self.seated else [self._group_of[agent_id]]
        return any(group.fitting >> number & 1 for group in groups)

    def can_take(self, agent: Agent, call: Call) -> bool:
        """Whether the agent could take this call beside those at hand."""
        channel = self._queues[call.queue_id].queue.channel
        return could_take(agent.state, self.seats.capacity_of(agent.id), channel)

    def takes_of(self, agent: Agent) -> list[Channel] | None:
        """The channels of which the agent could take one more call; None: they take one call at a time, of any."""
        return list(self.seats.takes(agent)) if agent.id in self.seated else None

    def agents_at(self, site_id: str) -> list[Agent]:
        """The agents of a site by id. They are looked for among all: sites go down seldom."""
        return [self.agents[one] for one in sorted(self._profiles) if self._profiles[one].site_id == site_id]

    def kept_from(self, call: Call) -> tuple[list[str], bool]:
        """The tenants for which available agents are kept who could serve the waiting call, and whether its own tenant
        has as many agents as it may have."""
        if not isinstance(call.state, Queued | HeldPlace) or not self.sharing.slots:
            return [], False
        rule = self._ring_of(call, call.state.ring).rule
        keepers = self.sharing.keepers(call.tenant_id, rule, call.first_queued_at, self.now)
        return keepers, self.sharing.is_full(call.tenant_id)

    def why_shared(self, call: Call, agent: Agent, *, came_free: bool) -> Reason | None:
        """Which right of the call's tenant, or what else in the shares, made the call take the available agent."""
        if not self.sharing.slots:
            return None
        key = self._queues[call.queue_id].key(call)
        return self.sharing.reason(call, key, self._group_for(agent.id, call), came_free=came_free)

    # who is there

    def nobody_serves(self, call: Call, *, but: str | None = None) -> bool:
        """Whether no agent, `but` one who does not count, is logged in who could serve the call of a queue, in whatever
        ring; see `NobodyLoggedIn`."""
        return self._is_deserted(self._queues[call.queue_id], call.skills, but)

    def _is_deserted(self, slot: QueueSlot, skills: Skills, but: str | None = None) -> bool:
        groups = self._ring(slot, len(slot.queue.relaxations), skills).rule.groups
        if self.sharing.slots:
            groups &= self.sharing.lasting_groups(slot.queue.tenant_id)
        with self.hidden(but):
            return not groups & self._groups.staffed

    def unserved(self, queue_id: str) -> list[Call]:
        """The calls that wait in the queue and that no agent could serve, in the order of service."""
        slot = self._queues[queue_id]
        deserted = [skills for skills in slot.rings if self._is_deserted(slot, skills)]
        return [call for call in self.waiting_in(queue_id) if call.skills in deserted] if deserted else []

    def is_barred(self, agent_id: str, call: Call) -> bool:
        """Whether the agent has handed the call on, and somebody else could serve it."""
        return call.handed_on_by == agent_id and not self.nobody_serves(call, but=agent_id)

    def _barred_agent(self, call: Call) -> str | None:
        agent_id = call.handed_on_by
        return agent_id if agent_id is not None and self.is_barred(agent_id, call) else None

    def _barred_calls(self, agent_id: str) -> list[Call]:
        handed_on = self.staff.handed_on.get(agent_id)
        return [call for call in self.in_order(handed_on) if self.is_barred(agent_id, call)] if handed_on else []

    def hidden(self, agent_id: str | None) -> AbstractContextManager[None]:
        """Meanwhile no call finds the agent, as if they were not there. None, or of another pool: nobody is hidden."""
        agent = None if agent_id is None else self.agents.get(agent_id)
        return _AS_IT_IS if agent is None else self._hidden(agent)

    @contextmanager
    def _hidden(self, agent: Agent) -> Iterator[None]:
        groups, stays = self._groups_of(agent), self._stays(agent)
        for group, available in groups:
            self._groups.hide(agent, group, available=available, stays=stays)
        try:
            yield
        finally:
            for group, available in groups:
                self._groups.show(agent, group, available=available, stays=stays)

    def set_aside(self, calls: Sequence[Call]) -> AbstractContextManager[None]:
        """Meanwhile no agent finds these calls."""
        return self._set_aside(calls) if calls else _AS_IT_IS

    @contextmanager
    def _set_aside(self, calls: Sequence[Call]) -> Iterator[None]:
        for call in calls:
            self._unindex_call(call)
        try:
            yield
        finally:
            for call in calls:
                self._index_call(call)

    def agent_for(self, call: Call, ring: int) -> Agent | None:
        """The agent whom the call may have at once in this ring; None: it waits."""
        barred = self._barred_agent(call)
        return self.best_agent(call.queue_id, ring, call.skills, since=call.first_queued_at, barred=barred)

    def best_agent(
        self,
        queue_id: str,
        ring: int,
        skills: Skills = (),
        *,
        since: datetime | None = None,
        barred: str | None = None,
    ) -> Agent | None:
        """The first, in the queue's order of agents, of those available who may serve a call in this ring; by weights,
        of the group that the others need least, or None, so that the call waits. `since`: when the call came to its
        first queue; None: now. `barred`: an agent who is not for the call."""
        slot = self._queues[queue_id]
        rule, only, entitled = self._ring(slot, ring, skills).rule, -1, False
        if self.sharing.slots:
            tenant_id = slot.queue.tenant_id
            only = self.sharing.groups_for(tenant_id, since or self.now, self.now)
            entitled = self.sharing.is_entitled(tenant_id)
        with self.hidden(barred):
            if self._weighed:
                group = self._weighing.next_group(queue_id, rule, only, withhold=not entitled)
                only = 0 if group is None else 1 << group
            found = self._groups.best(rule, slot.queue.agent_order, only)
        if found is None:
            self.sharing.is_tight = True
            return None
        return self.agents[found]

    def best_call(self, agent_id: str) -> Call | None:
        """The first, by priority with ageing, of the calls that wait for the agent alone, then of all they may take; by
        weights, of the queue with the highest bid, or None, so that the agent is kept."""
        with self.set_aside(self._barred_calls(agent_id)):
            return self._best_call(agent_id)

    def _best_call(self, agent_id: str) -> Call | None:
        if self.sharing.slots:
            return self._best_shared(self.agents[agent_id])
        if agent_id in self.seated:
            return self._best_beside(self.agents[agent_id])
        if alone := self._alone.get(agent_id):
            return self.calls[alone[0][-1]]
        group = self._group_of[agent_id]
        key = self._weighing.next_call(group, self.now) if self._weighed else self._waiting.best(group.fitting)
        return self.calls[key[-1]] if key else None

    def _best_shared(self, agent: Agent) -> Call | None:
        """The same within the shares of the tenants."""
        groups = self._groups_taking(agent)
        alone = [(call, self._group_for(agent.id, call)) for call in self.waiting_for(agent.id)]
        weighing = self._weighing if self._weighed else None
        takeable = [(call, group) for call, group in alone if group in groups]
        found = self.sharing.next_call(groups, takeable, weighing, self.now)
        return None if found is None else self.calls[found]

    def _groups_taking(self, agent: Agent) -> list[Group]:
        """The groups in which the agent could take one more call."""
        if (seated := self.seated.get(agent.id)) is not None:
            return [seated[channel] for channel in self.seats.takes(agent)]
        return [self._group_of[agent.id]]

    def _group_for(self, agent_id: str, call: Call) -> Group:
        """The group in which the agent takes this call."""
        if agent_id in self.seated:
            return self.seated[agent_id][self._queues[call.queue_id].queue.channel]
        return self._group_of[agent_id]

    def _best_beside(self, agent: Agent) -> Call | None:
        """The same of the calls that the agent could take beside those at hand; by weights, channel after channel."""
        for call in self.waiting_for(agent.id):
            if self.can_take(agent, call):
                return call
        groups = self.seated[agent.id]
        fitting = 0
        for channel in self.seats.takes(agent):
            fitting |= groups[channel].fitting
            if self._weighed and (found := self._weighing.next_call(groups[channel], self.now)) is not None:
                return self.calls[found[-1]]
        key = None if self._weighed else self._waiting.best(fitting)
        return self.calls[key[-1]] if key else None

    def standing(self, call: Call, ring: int) -> tuple[str, int, int, int]:
        """What the ring asks for, how many agents who meet it are available and in how many groups, how many calls of
        the queue are before this one."""
        rule = self._ring_of(call, ring).rule
        with self.hidden(self._barred_agent(call)):
            return rule.text, *self._groups.available(rule), self._ahead(call)

    def behind(self, call: Call, ring: int) -> int:
        """How many of the available agents who meet what the ring asks for come behind the others."""
        with self.hidden(self._barred_agent(call)):
            return self._groups.behind(self._ring_of(call, ring).rule)

    def precedence(self, call: Call, agent: Agent) -> Precedence | None:
        """Before which call of another queue, the first of those that the available agent could take as well, this one
        goes. None: there is none, or it goes before this one by more than the order of service, as by weights."""
        if self._weighed:
            return None
        slot = self._queues[call.queue_id]
        fitting = 0
        for group in self._groups_taking(agent):
            fitting |= group.fitting
        for number in slot.bins:
            fitting &= ~(1 << number)
        with self.set_aside(self._barred_calls(agent.id)):
            key = self._waiting.best(fitting)
        if key is None or key < slot.key(call):
            return None
        other = self.calls[key[-1]]
        return Precedence(
            claim_of(call, slot.queue, self.now), claim_of(other, self._queues[other.queue_id].queue, self.now)
        )

    def _ahead(self, call: Call) -> int:
        slot = self._queues[call.queue_id]
        key = slot.key(call)
        ahead = sum(self._waiting.rank(number, key) for number in slot.bins)
        return ahead + bisect_left(self.callbacks.near.get(call.queue_id, []), key)

    def estimated_wait(self, call: Call) -> float | None:
        """Expected seconds for a call that enters its queue, if a rule asks for it, enough is known, and others wait
        before it: the first of a queue always stays, or the queue would learn no more of how long it takes."""
        ahead = self._ahead(call)
        return self.memories.wait(call.queue_id, ahead) if ahead else None

    def promised_before(self, call: Call, agent: Agent) -> Call | None:
        """The first of the places that are called back customer first, come before this waiting call in the order of
        service, and may be served by the agent. By weights and within shares there is none."""
        if not self.callbacks.near or self._weighed or self.sharing.slots or self._place_of(call) is None:
            return None
        found, before = None, self._queues[call.queue_id].key(call)
        if isinstance(call.state, Queued) and call.state.alone_until is not None:
            return None
        for keys in self.callbacks.near.values():
            for key in keys:
                if key >= before:
                    break
                one = self.calls[key[-1]]
                held = one.held_place
                if held is not None and self.can_take(agent, one) and self.may_serve(agent.id, one, held.ring):
                    found, before = one, key
                    break
        return found

    def has_agent_for_one_more(self, call: Call, ring: int, seconds: float) -> bool:
        """Whether one more customer may be dialled for whom no agent has been found: there is an agent for each of
        those who are dialled or wait after that, and for this one. An agent counts who may serve the place and is
        available, or who speaks or wraps up for now and by the queue's estimator will be there within `seconds`."""
        rule = self._ring_of(call, ring).rule
        others = sum(1 for one in self.callbacks.in_flight if self._competes(self.calls[one], rule))
        available = self._groups.available(rule)[0]
        if others < available:
            return True
        before = others - available + self._ahead(call)
        wait = self.memories.wait(call.queue_id, before)
        return wait is not None and wait <= seconds and self._at_work(call, ring, before + 1)

    def _competes(self, other: Call, rule: Rule) -> bool:
        """Whether agents who meet the rule may serve this call too."""
        match other.state:
            case CallingBack(place=HeldPlace(ring=ring)) | Queued(ring=ring):
                return bool(self._ring_of(other, ring).rule.groups & rule.groups)
            case _:
                return False

    def _at_work(self, call: Call, ring: int, agents: int) -> bool:
        """Whether so many agents who may serve it have calls for now and take more after these."""
        for agent in self.agents.values():
            match agent.state:
                case Busy(then=ThenAvailable()) | AfterCall(then=ThenAvailable()) | Serving(then=ThenAvailable()):
                    agents -= self.may_serve(agent.id, call, ring)
                case _:
                    pass
            if agents <= 0:
                return True
        return False

    def bidding(self, call: Call, agent_id: str) -> Bidding | None:
        """By weights: how the call's queue stands against the others that the available agent may serve."""
        if not self._weighed:
            return None
        return self._weighing.bidding(call, self._group_for(agent_id, call), self.now)

    def keeping(self, call: Call) -> Bidding | None:
        """By weights: the queues for which available agents are kept from the call; None if nobody is."""
        if not self._weighed:
            return None
        match call.state:
            case Queued(alone_until=None, ring=ring):
                pass
            case HeldPlace(rests_until=None, ring=ring) if not is_near(call):
                pass
            case _:
                return None
        with self.hidden(self._barred_agent(call)):
            return self._weighing.keeping(call.queue_id, self._ring_of(call, ring).rule, self.now)

    def releasable(self) -> Call | None:
        """A waiting call for which no available agent needs to be kept any more. Only by weights and by shares is there
        ever one."""
        barred = self.in_order(call.id for agent_id in self.staff.handed_on for call in self._barred_calls(agent_id))
        with self.set_aside(barred):
            found = self._releasable()
        if found is not None or not barred:
            return found
        # Each of these may go to everybody but one agent.
        self.sharing.is_tight = True
        return next((call for call in barred if self._may_be_released(call)), None)

    def _may_be_released(self, call: Call) -> bool:
        match call.state, self._place_of(call):
            case Queued(ring=ring) | HeldPlace(ring=ring), ("line", _, _):
                return self.agent_for(call, ring) is not None
            case _:
                return False

    def _releasable(self) -> Call | None:
        if self.sharing.may_release:
            found = self.sharing.releasable(self._weighing if self._weighed else None, self.now)
        else:
            found = self._weighing.releasable(self.now) if self._weighed else None
        return None if found is None else self.calls[found]

    def preferred(self, call: Call, ring: int) -> Agent | None:
        """The agent whom the call should go to, if they are logged in and may serve it in this ring, and are not
        available but kept for another tenant."""
        agent = self.agents.get(call.preferred_agent_id or "")
        if agent is None or isinstance(agent.state, LoggedOut) or not self.may_serve(agent.id, call, ring):
            return None
        if self.is_barred(agent.id, call):
            return None
        return None if self.sharing.slots and self.can_take(agent, call) and self.is_kept(agent, call) else agent

    def is_kept(self, agent: Agent, call: Call) -> bool:
        """Whether the available agent is kept from the call: for another tenant, or because its own has as many agents
        as it may have."""
        groups = self.sharing.groups_for(call.tenant_id, call.first_queued_at, self.now)
        return not groups >> self._group_for(agent.id, call).number & 1
