"""The pool in memory: calls, agents, rules, and the indexes and timers that follow their states by themselves.

Whoever changes a call or an agent does it with `put_call` and `put_agent`; these keep the waiting calls, the available
agents and the timers in step, so that no caller can forget one of them.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Literal

from common.events.routing import Channel

from routing.domain.agents import Agent, Available, LoggedOut
from routing.domain.bidding import Bidding
from routing.domain.callback_places import CallbackPlaces, is_near
from routing.domain.calls import Call, HeldPlace, Queued
from routing.domain.capacity import could_take
from routing.domain.configuration import AgentProfile, Queue, Site, site_skill
from routing.domain.groups import Group, Groups
from routing.domain.matching import Bins, numbers_in
from routing.domain.memory import Memories, Memory
from routing.domain.seats import Seats
from routing.domain.shares import Share
from routing.domain.sharing import Reason, Sharing, TenantRing
from routing.domain.slots import QueueSlot, Ring, Skills, WaitingKey
from routing.domain.timers import Timer, Timers
from routing.domain.weighing import WeighedQueue, Weighing


class Pool:
    """Queues and agents that may serve each other. One process owns it at a time."""

    def __init__(self, pool_id: str, now: datetime) -> None:
        self.id = pool_id
        self.now = now
        self.calls: dict[str, Call] = {}
        """Those that are not over."""
        self.agents: dict[str, Agent] = {}
        self.changed_calls: dict[str, Call] = {}
        """What `drain` has to hand out: calls and agents changed since then."""
        self.changed_agents: dict[str, Agent] = {}
        self._profiles: dict[str, AgentProfile] = {}
        self._queues: dict[str, QueueSlot] = {}
        self._queue_of_bin: dict[int, str] = {}
        """The queue whose first ring has this bin."""
        self._groups = Groups()
        self._group_of: dict[str, Group] = {}
        """Of agents who take one call at a time; the others are in `seats`."""
        self.seats = Seats(self._groups)
        self.seated = self.seats.of
        self._waiting: Bins[WaitingKey] = Bins()
        self._alone: dict[str, list[WaitingKey]] = {}
        """Agent -> the calls that wait for them alone, in the order of service."""
        self.memories = Memories()
        self._weighing = Weighing(self._groups, self._waiting, self.calls, self.memories)
        self._weighed: set[str] = set()
        """The queues that have weights: if there are any, all are served by the policy by declared weights."""
        self._timers = Timers()
        self._sites: dict[str, Site] = {}
        self.callbacks = CallbackPlaces()
        self.sharing = Sharing(self._groups, self._waiting, self._timers, self._tenant_rings)

    @classmethod
    def load(
        cls,
        pool_id: str,
        now: datetime,
        queues: Iterable[Queue],
        profiles: Iterable[AgentProfile],
        agents: Iterable[Agent],
        calls: Iterable[Call],
        memories: Iterable[Memory] = (),
        sites: Iterable[Site] = (),
        shares: Iterable[Share] = (),
    ) -> Pool:
        """The pool as it was saved: the same inputs then give the same events as if it had never left memory."""
        pool = cls(pool_id, now)
        for site in sites:
            pool.configure_site(site)
        for queue in queues:
            pool.configure_queue(queue)
        for share in shares:
            pool.configure_share(share)
        for profile in profiles:
            pool.configure_agent(profile)
        for agent in agents:
            pool.put_agent(agent)
        for call in calls:
            pool.put_call(call)
        pool.memories.load(memories)
        pool._weighing.learning.resume()
        pool.drain()
        return pool

    def drain(self) -> tuple[list[Call], list[Agent]]:
        """The calls and agents changed since the last time, newest state of each."""
        calls, agents = list(self.changed_calls.values()), list(self.changed_agents.values())
        self.changed_calls.clear()
        self.changed_agents.clear()
        return calls, agents

    # rules

    def queue(self, queue_id: str) -> Queue | None:
        slot = self._queues.get(queue_id)
        return slot.queue if slot else None

    def is_open(self, queue_id: str) -> bool:
        """Whether the queue takes calls from outside at the pool's time."""
        return self._queues[queue_id].is_open

    def takes(self, call: Call, queue_id: str) -> bool:
        """Whether the queue is open to this call: hours are for calls from outside, an operator's word for all."""
        slot = self._queues[queue_id]
        return slot.is_open or (call.direction == "outbound" and slot.queue.override is None)

    def changes_at(self, queue_id: str) -> datetime | None:
        """When the queue opens or closes by its hours; None: never, or an operator has said."""
        return self._queues[queue_id].changes_at

    @property
    def is_weighed(self) -> bool:
        """Whether one of its queues declares weights."""
        return bool(self._weighed)

    def length(self, queue_id: str) -> int:
        """How many calls wait in the queue, places in line that are kept for callbacks included."""
        waiting = sum(self._waiting.count(1 << number) for number in self._queues[queue_id].bins)
        return waiting + len(self.callbacks.near.get(queue_id, ()))

    @property
    def queues(self) -> list[Queue]:
        return [slot.queue for slot in self._queues.values()]

    @property
    def profiles(self) -> list[AgentProfile]:
        return list(self._profiles.values())

    def drained(self, agent_id: str) -> str | None:
        """Why the agent, or their whole site, is being taken out of service; None: they are not."""
        profile = self._profiles[agent_id]
        if profile.drain is not None or profile.site_id is None:
            return profile.drain
        site = self._sites.get(profile.site_id)
        return None if site is None else site.drain

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

    def configure_queue(self, queue: Queue) -> bool:
        """Take over new rules unless newer ones are known; calls that wait are put in order by the new ones."""
        slot = self._queues.get(queue.id)
        before = None if slot is None else slot.queue.elsewhere
        if slot is None:
            slot = self._queues[queue.id] = QueueSlot(queue)
        elif queue.version <= slot.queue.version:
            return False
        waiting = self.waiting_in(queue.id)
        for call in waiting:
            self._unindex_call(call)
        slot.queue = queue
        slot.follow_hours(self.now)
        for skills in slot.rings:
            self._lay_rings(slot, skills)
        if queue.agent_order == "fastest":
            self._groups.order_by_speed(self.agents)
        (self._weighed.discard if queue.weights is None else self._weighed.add)(queue.id)
        self._weigh(slot)
        for call in waiting:
            self._index_call(call)
        self.memories.configure(queue, waiting, self.now)
        if queue.elsewhere != before:
            for group in self._groups.numbered():
                group.queue_ids = None
        self.follow_hours(queue.id, self.now)
        return True

    def _ring(self, slot: QueueSlot, number: int, skills: Skills) -> Ring:
        """A call that was saved under other rules may have reached a ring that is no more: then the last one."""
        if skills not in slot.rings:
            slot.rings[skills], slot.numbers[skills] = [], []
            self._lay_rings(slot, skills)
            self._weigh(slot)
        rings = slot.rings[skills]
        return rings[min(number, len(rings) - 1)]

    def _ring_of(self, call: Call, number: int) -> Ring:
        return self._ring(self._queues[call.queue_id], number, call.skills)

    def _weigh(self, slot: QueueSlot) -> None:
        rings = [(ring.number, ring.rule) for rings in slot.rings.values() for ring in rings]
        self._weighing.configure(WeighedQueue(slot.queue, rings))

    def _lay_rings(self, slot: QueueSlot, skills: Skills) -> None:
        self.sharing.is_laid = False
        requirements, numbers = slot.queue.rings(skills, slot.covering), slot.numbers[skills]
        if [ring.rule.requirement for ring in slot.rings[skills]] == requirements:
            return
        for ring in slot.rings[skills]:
            self._groups.detach(ring.rule, ring.number)
        while len(numbers) < len(requirements):
            numbers.append(self._waiting.open())
        if not skills:
            self._queue_of_bin[numbers[0]] = slot.queue.id
        slot.rings[skills] = [
            Ring(number, self._groups.attach(requirement, slot.queue.channel, number))
            for number, requirement in zip(numbers, requirements, strict=False)
        ]

    def follow_hours(self, queue_id: str, at: datetime) -> None:
        """The queue is open or closed, and covered by sites, as its hours say for that time, until they say otherwise;
        who waits is to be placed anew if it has a cover."""
        slot = self._queues[queue_id]
        before = slot.covering
        slot.follow_hours(at)
        if slot.covering != before:
            for skills in slot.rings:
                self._lay_rings(slot, skills)
            self._weigh(slot)
        if slot.changes_at is not None:
            self._timers.set_hours(queue_id, slot.changes_at)

    def configure_agent(self, profile: AgentProfile) -> bool:
        """Take over new skills and capacity unless newer ones are known; an unknown agent starts logged out."""
        known = self._profiles.get(profile.id)
        if known is not None and profile.version <= known.version:
            return False
        agent = self.agents.get(profile.id) or Agent(id=profile.id, sequence=0, state=LoggedOut(since=self.now))
        if known is not None:
            self._unindex_agent(agent)
        self._profiles[profile.id] = profile
        self.sharing.is_laid = False
        self.seats.configure(profile)
        if profile.capacity is None:
            self._group_of[profile.id] = self._groups.group(profile.levels)
        self._index_agent(agent)
        self.agents[profile.id] = agent
        return True

    def _index_agent(self, agent: Agent) -> None:
        if agent.id in self.seated:
            self.seats.add(agent)
        else:
            self._groups.add(agent, self._group_of[agent.id], available=isinstance(agent.state, Available))

    def _unindex_agent(self, agent: Agent) -> None:
        if agent.id in self.seated:
            self.seats.remove(agent)
        else:
            self._groups.remove(agent, self._group_of[agent.id], available=isinstance(agent.state, Available))

    def configure_site(self, site: Site) -> bool:
        """Take over whether a site is down or drained unless newer is known."""
        known, was_down = self._sites.get(site.id), self.is_down(site.id)
        if known is not None and site.version <= known.version:
            return False
        self._sites[site.id] = site
        if self.is_down(site.id) != was_down:
            self._groups.set_down(site_skill(site.id), down=not was_down)
            self.sharing.is_laid = False
            self._weighing.forget()
        return True

    def is_down(self, site_id: str) -> bool:
        """Whether the site's agents are offered nothing: it is down, or drained."""
        site = self._sites.get(site_id)
        return site is not None and (site.down or site.drain is not None)

    def is_only_drained(self, site_id: str) -> bool:
        """Whether it is drained and not down."""
        site = self._sites.get(site_id)
        return site is not None and site.drain is not None and not site.down

    def is_away(self, agent_id: str) -> bool:
        """Whether the agent's site is down."""
        return self.is_down(self._profiles[agent_id].site_id or "")

    @property
    def sites(self) -> list[Site]:
        return list(self._sites.values())

    def agents_at(self, site_id: str) -> list[Agent]:
        """The agents of a site by id. They are looked for among all: sites go down seldom."""
        return [self.agents[one] for one in sorted(self._profiles) if self._profiles[one].site_id == site_id]

    # shares of tenants

    def configure_share(self, share: Share) -> bool:
        """Take over a tenant's share unless a newer one is known."""
        if not self.sharing.configure(share, self.now, self.agents.values()):
            return False
        for call in self.calls.values():
            match self._place_of(call):
                case "line", int(number), key:
                    self.sharing.add(call, number, key, self.now, only=share.tenant_id)
        return True

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

    def _tenant_rings(self) -> Iterator[TenantRing]:
        for slot in self._queues.values():
            if slot.queue.elsewhere is not None:
                continue
            first = slot.rings[()][0]
            yield TenantRing(slot.queue.tenant_id, first.number, first.rule)
            for numbers in slot.numbers.values():
                for number in numbers:
                    yield TenantRing(slot.queue.tenant_id, number, None)

    # the two sides of the match

    def best_agent(
        self, queue_id: str, ring: int, skills: Skills = (), *, since: datetime | None = None
    ) -> Agent | None:
        """The first, in the queue's order of agents, of those available who may serve a call in this ring; by weights,
        of the group that the others need least, or None, so that the call waits. `since`: when the call came to its
        first queue; None: now."""
        slot = self._queues[queue_id]
        rule, only, entitled = self._ring(slot, ring, skills).rule, -1, False
        if self.sharing.slots:
            tenant_id = slot.queue.tenant_id
            only = self.sharing.groups_for(tenant_id, since or self.now, self.now)
            entitled = self.sharing.is_entitled(tenant_id)
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
        if (seated := self.seated.get(agent.id)) is not None:
            groups = [seated[channel] for channel in self.seats.takes(agent)]
        else:
            groups = [self._group_of[agent.id]]
        alone = [(call, self._group_for(agent.id, call)) for call in self.waiting_for(agent.id)]
        weighing = self._weighing if self._weighed else None
        takeable = [(call, group) for call, group in alone if group in groups]
        found = self.sharing.next_call(groups, takeable, weighing, self.now)
        return None if found is None else self.calls[found]

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
        return rule.text, *self._groups.available(rule), self._ahead(call)

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
        return self._weighing.keeping(call.queue_id, self._ring_of(call, ring).rule, self.now)

    def releasable(self) -> Call | None:
        """A waiting call for which no available agent needs to be kept any more. Only by weights and by shares is there
        ever one."""
        if self.sharing.may_release:
            found = self.sharing.releasable(self._weighing if self._weighed else None, self.now)
        else:
            found = self._weighing.releasable(self.now) if self._weighed else None
        return None if found is None else self.calls[found]

    def waiting_in(self, queue_id: str) -> list[Call]:
        """The calls waiting in one queue, in the order of service, places in line that are kept included."""
        slot = self._queues[queue_id]
        keys = [key for number in slot.bins for key in self._waiting.keys(number)]
        keys += [key for keys in self._alone.values() for key in keys if self.calls[key[-1]].queue_id == queue_id]
        keys += self.callbacks.near.get(queue_id, [])
        return [self.calls[key[-1]] for key in sorted(keys)]

    def waiting_for(self, agent_id: str) -> list[Call]:
        """The calls that wait for the agent alone, in the order of service."""
        return [self.calls[key[-1]] for key in self._alone.get(agent_id, [])]

    def preferred(self, call: Call, ring: int) -> Agent | None:
        """The agent whom the call should go to, if they are logged in and may serve it in this ring, and are not
        available but kept for another tenant."""
        agent = self.agents.get(call.preferred_agent_id or "")
        if agent is None or isinstance(agent.state, LoggedOut) or not self.may_serve(agent.id, call, ring):
            return None
        return None if self.sharing.slots and self.can_take(agent, call) and self.is_kept(agent, call) else agent

    def is_kept(self, agent: Agent, call: Call) -> bool:
        """Whether the available agent is kept from the call: for another tenant, or because its own has as many agents
        as it may have."""
        groups = self.sharing.groups_for(call.tenant_id, call.first_queued_at, self.now)
        return not groups >> self._group_for(agent.id, call).number & 1

    # states

    def put_agent(self, agent: Agent) -> None:
        """The agent, who must be configured, has a new state."""
        before = self.agents[agent.id]
        self._unindex_agent(before)
        self._index_agent(agent)
        if self.sharing.slots:
            self.sharing.count(before, -1)
            self.sharing.count(agent, 1)
        self.agents[agent.id] = agent
        self.changed_agents[agent.id] = agent

    def put_call(self, call: Call) -> None:
        """The call, whose queue must be configured, has a new state; once over, it leaves the pool."""
        before = self.calls.get(call.id)
        if before is not None:
            self._unindex_call(before)
        if call.callback is not None:
            self.callbacks.follow(before, call)
        self.changed_calls[call.id] = call
        if self.memories:
            self.memories.follow(before, call, self.now)
        if self._weighed and not call.is_consultation:
            self._weighing.observe(before, call, self.now)
        if call.is_over:
            self.calls.pop(call.id, None)
            return
        self.calls[call.id] = call
        self._index_call(call)
        self._timers.set(call)

    def hand_out(self, call: Call) -> None:
        """The call goes to another pool, in this state; it leaves this one."""
        before = self.calls.pop(call.id, None)
        if before is not None:
            self._unindex_call(before)
        if call.callback is not None:
            self.callbacks.follow(before, call)
        if self.memories:
            self.memories.follow(before, call, self.now)
        self.changed_calls[call.id] = call

    def _index_call(self, call: Call) -> None:
        match self._place_of(call):
            case "alone", str(agent_id), key:
                insort(self._alone.setdefault(agent_id, []), key)
            case "near", str(queue_id), key:
                insort(self.callbacks.near.setdefault(queue_id, []), key)
            case "line", int(number), key:
                self._waiting.add(number, key)
                if self.sharing.slots:
                    self.sharing.add(call, number, key, self.now)

    def _unindex_call(self, call: Call) -> None:
        match self._place_of(call):
            case "alone", str(agent_id), key:
                self._alone[agent_id].remove(key)
                if not self._alone[agent_id]:
                    del self._alone[agent_id]
            case "near", str(queue_id), key:
                self.callbacks.leave(queue_id, key)
            case "line", int(number), key:
                self._waiting.remove(number, key)
                if self.sharing.slots:
                    self.sharing.remove(call, number, key)

    def _place_of(self, call: Call) -> tuple[Literal["alone", "near", "line"], str | int, WaitingKey] | None:
        """Where the call waits: for an agent alone, for its customer to be dialled, or in a bin; None: it does not."""
        match call.state:
            case Queued(alone_until=alone_until) if alone_until is not None and call.preferred_agent_id is not None:
                return "alone", call.preferred_agent_id, self._queues[call.queue_id].key(call)
            case HeldPlace(rests_until=None) if is_near(call):
                return "near", call.queue_id, self._queues[call.queue_id].key(call)
            case Queued(ring=ring) | HeldPlace(rests_until=None, ring=ring):
                return "line", self._ring_of(call, ring).number, self._queues[call.queue_id].key(call)
            case _:
                return None

    # timers

    def next_due(self) -> datetime | None:
        """When the next timer fires; None if there is none."""
        return self._timers.next_due(self.calls, self._changes_at)

    def take_due(self, now: datetime) -> tuple[datetime, Timer, str] | None:
        """The first timer due at or before `now`, taken off, with the id of its queue, tenant or call; None: there
        is none."""
        due = self.next_due()
        return self._timers.take() if due is not None and due <= now else None

    def _changes_at(self, timer: Timer, item_id: str) -> datetime | None:
        return self.sharing.due(item_id) if timer is Timer.SHARE else self._queues[item_id].changes_at
