"""The pool in memory: calls, agents, rules, and the indexes and timers that follow their states by themselves.

Whoever changes a call or an agent does it with `put_call` and `put_agent`; these keep the waiting calls, the available
agents and the timers in step, so that no caller can forget one of them.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Literal, Self

from routing.domain.agents import Agent, Available, LoggedOut
from routing.domain.call_states import HeldPlace, Queued
from routing.domain.callback_places import CallbackPlaces, is_near
from routing.domain.calls import Call
from routing.domain.configuration import AgentProfile, Queue, Site, site_skill
from routing.domain.groups import Group, Groups
from routing.domain.matching import Bins
from routing.domain.memory import Memories, Memory
from routing.domain.seats import Seats
from routing.domain.shares import Share
from routing.domain.sharing import Sharing, TenantRing
from routing.domain.slots import QueueSlot, Ring, Skills, WaitingKey
from routing.domain.staff import Staff
from routing.domain.timers import Timer, Timers
from routing.domain.weighing import WeighedQueue, Weighing


class Indexes:
    """What a pool consists of."""

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
        self.staff = Staff()
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
    ) -> Self:
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
        pool.staff.look()
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
        self.staff.watch(queue)
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
        self.staff.changed = True
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
        self.staff.changed = True
        return True

    def _index_agent(self, agent: Agent) -> bool:
        """Returns whether they stay, as below."""
        stays = self._stays(agent)
        for group, available in self._groups_of(agent):
            self._groups.add(agent, group, available=available, stays=stays)
        return stays

    def _unindex_agent(self, agent: Agent) -> bool:
        stays = self._stays(agent)
        for group, available in self._groups_of(agent):
            self._groups.remove(agent, group, available=available, stays=stays)
        return stays

    def _groups_of(self, agent: Agent) -> list[tuple[Group, bool]]:
        """The agent's groups, and whether they could take a call there."""
        if agent.id in self.seated:
            return self.seats.groups_of(agent)
        return [(self._group_of[agent.id], isinstance(agent.state, Available))]

    def _stays(self, agent: Agent) -> bool:
        """Whether the agent may serve calls that wait: they are logged in and not about to leave. Those of a site that
        is down or drained belong to no rule's groups."""
        return agent.stays and self._profiles[agent.id].drain is None

    def configure_site(self, site: Site) -> bool:
        """Take over whether a site is down or drained unless newer is known."""
        known, was_down = self._sites.get(site.id), self.is_down(site.id)
        if known is not None and site.version <= known.version:
            return False
        self._sites[site.id] = site
        if self.is_down(site.id) != was_down:
            self._groups.set_down(site_skill(site.id), down=not was_down)
            self.sharing.is_laid = False
            self.staff.changed = True
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

    # shares of tenants

    def configure_share(self, share: Share) -> bool:
        """Take over a tenant's share unless a newer one is known."""
        if not self.sharing.configure(share, self.now, self.agents.values()):
            return False
        self.staff.changed = True
        for call in self.calls.values():
            match self._place_of(call):
                case "line", int(number), key:
                    self.sharing.add(call, number, key, self.now, only=share.tenant_id)
        return True

    def _tenant_rings(self) -> Iterator[TenantRing]:
        for slot in self._queues.values():
            if slot.queue.elsewhere is not None:
                continue
            first = slot.rings[()][0]
            yield TenantRing(slot.queue.tenant_id, first.number, first.rule)
            for numbers in slot.numbers.values():
                for number in numbers:
                    yield TenantRing(slot.queue.tenant_id, number, None)

    def waiting_in(self, queue_id: str) -> list[Call]:
        """The calls waiting in one queue, in the order of service, places in line that are kept included."""
        slot = self._queues[queue_id]
        keys = [key for number in slot.bins for key in self._waiting.keys(number)]
        keys += [key for keys in self._alone.values() for key in keys if self.calls[key[-1]].queue_id == queue_id]
        keys += self.callbacks.near.get(queue_id, [])
        return [self.calls[key[-1]] for key in sorted(keys)]

    def in_order(self, call_ids: Iterable[str]) -> list[Call]:
        """Of these calls, each of a queue, those that the pool still has, in the order of service."""
        calls = [self.calls[call_id] for call_id in call_ids if call_id in self.calls]
        return sorted(calls, key=lambda call: self._queues[call.queue_id].key(call))

    def waiting_for(self, agent_id: str) -> list[Call]:
        """The calls that wait for the agent alone, in the order of service."""
        return [self.calls[key[-1]] for key in self._alone.get(agent_id, [])]

    # states

    def put_agent(self, agent: Agent) -> None:
        """The agent, who must be configured, has a new state."""
        before = self.agents[agent.id]
        if self._unindex_agent(before) is not self._index_agent(agent):
            self.staff.changed = True
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
            self.callbacks.follow(call)
        self.changed_calls[call.id] = call
        if self.memories:
            self.memories.follow(before, call, self.now)
        if self._weighed and not call.is_consultation:
            self._weighing.observe(before, call, self.now)
        self.staff.follow(before, call)
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
            self.callbacks.follow(call)
        if self.memories:
            self.memories.follow(before, call, self.now)
        self.staff.follow(before, call)
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

    def take_alike(self, at: datetime, timer: Timer) -> list[str]:
        """The ids of all items for which the same is due at the same instant as just now, taken off."""
        taken = []
        while self.next_due() == at and self._timers.is_next(timer):
            taken.append(self._timers.take()[-1])
        return taken

    def _changes_at(self, timer: Timer, item_id: str) -> datetime | None:
        return self.sharing.due(item_id) if timer is Timer.SHARE else self._queues[item_id].changes_at
