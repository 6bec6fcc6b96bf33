"""The pool in memory: calls, agents, rules, and the indexes and timers that follow their states by themselves.

Whoever changes a call or an agent does it with `put_call` and `put_agent`; these keep the waiting calls, the available
agents and the timers in step, so that no caller can forget one of them.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from datetime import datetime
from enum import IntEnum

from common.hours import is_open, next_change

from routing.domain.agents import Agent, Available, LoggedOut
from routing.domain.calls import Call, Offered, Queued, WrappingUp
from routing.domain.configuration import AgentProfile, Queue
from routing.domain.matching import Bins, Key


class Timer(IntEnum):
    """What is due, for a queue or a call. At one instant the lower comes first: queues have opened or closed before
    anything is decided in them, and agents are freed before callers are given up."""

    QUEUE_HOURS = 0
    WRAP_UP_LIMIT = 1
    OFFER_TIMEOUT = 2
    OVERFLOW = 3
    WAIT_LIMIT = 4


class _QueueSlot:
    """A queue's rules, the bin of its waiting calls and the bins of agents that may serve it."""

    __slots__ = ("changes_at", "fitting", "is_open", "number", "queue")

    def __init__(self, queue: Queue, number: int) -> None:
        self.queue = queue
        self.number = number
        self.fitting = 0
        self.is_open = True
        self.changes_at: datetime | None = None

    def follow_hours(self, at: datetime) -> None:
        """Whether it is open at that time by its hours, and until when."""
        hours, zone = self.queue.hours, self.queue.time_zone
        self.is_open = hours is None or is_open(hours, zone, at)
        self.changes_at = None if hours is None else next_change(hours, zone, at)

    def key(self, call: Call) -> Key:
        """Order of service: one step of priority is worth `ageing_seconds_per_priority` of waiting. Both grow at the
        same pace for all, so that the order never changes with time."""
        head_start = self.queue.priority * self.queue.ageing_seconds_per_priority
        return (call.first_queued_at.timestamp() - head_start, call.id)


class _Group:
    """Agents with the same skills: the bin of those available, the bins of calls that they may take."""

    __slots__ = ("fitting", "number", "queue_ids", "skills")

    def __init__(self, skills: frozenset[str], number: int) -> None:
        self.skills = skills
        self.number = number
        self.fitting = 0
        self.queue_ids: list[str] = []


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
        self._queues: dict[str, _QueueSlot] = {}
        self._groups: dict[frozenset[str], _Group] = {}
        self._group_of: dict[str, _Group] = {}
        self._waiting = Bins()
        self._idle = Bins()
        self._timers: list[tuple[datetime, Timer, str]] = []

    @classmethod
    def load(
        cls,
        pool_id: str,
        now: datetime,
        queues: Iterable[Queue],
        profiles: Iterable[AgentProfile],
        agents: Iterable[Agent],
        calls: Iterable[Call],
    ) -> Pool:
        """The pool as it was saved: the same inputs then give the same events as if it had never left memory."""
        pool = cls(pool_id, now)
        for queue in queues:
            pool.configure_queue(queue)
        for profile in profiles:
            pool.configure_agent(profile)
        for agent in agents:
            pool.put_agent(agent)
        for call in calls:
            pool.put_call(call)
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

    @property
    def queues(self) -> list[Queue]:
        return [slot.queue for slot in self._queues.values()]

    @property
    def profiles(self) -> list[AgentProfile]:
        return list(self._profiles.values())

    def queue_ids_of(self, agent_id: str) -> list[str]:
        """Queues whose required skills the agent has."""
        return self._group_of[agent_id].queue_ids

    def configure_queue(self, queue: Queue) -> bool:
        """Take over new rules unless newer ones are known; calls that wait are put in order by the new ones."""
        slot = self._queues.get(queue.id)
        if slot is None:
            slot = self._queues[queue.id] = _QueueSlot(queue, self._waiting.open())
        elif queue.version <= slot.queue.version:
            return False
        waiting = [(key, self.calls[key[1]]) for key in self._waiting.keys(slot.number)]
        for key, _ in waiting:
            self._waiting.remove(slot.number, key)
        slot.queue = queue
        for _, call in waiting:
            self._waiting.add(slot.number, slot.key(call))
        for group in self._groups.values():
            self._fit(slot, group)
        self.follow_hours(queue.id, self.now)
        return True

    def follow_hours(self, queue_id: str, at: datetime) -> None:
        """The queue is open or closed as its hours say for that time, until they say otherwise."""
        slot = self._queues[queue_id]
        slot.follow_hours(at)
        if slot.changes_at is not None:
            heapq.heappush(self._timers, (slot.changes_at, Timer.QUEUE_HOURS, queue_id))

    def configure_agent(self, profile: AgentProfile) -> bool:
        """Take over new skills unless newer ones are known; an unknown agent starts logged out."""
        known = self._profiles.get(profile.id)
        if known is not None and profile.version <= known.version:
            return False
        agent = self.agents.get(profile.id) or Agent(id=profile.id, sequence=0, state=LoggedOut(since=self.now))
        if known is not None:
            self._unindex_agent(agent)
        self._profiles[profile.id] = profile
        self._group_of[profile.id] = self._group(frozenset(profile.skills))
        self._index_agent(agent)
        self.agents[profile.id] = agent
        return True

    def _group(self, skills: frozenset[str]) -> _Group:
        group = self._groups.get(skills)
        if group is None:
            group = self._groups[skills] = _Group(skills, self._idle.open())
            for slot in self._queues.values():
                self._fit(slot, group)
        return group

    @staticmethod
    def _fit(slot: _QueueSlot, group: _Group) -> None:
        """Note in both whether the group's agents may take the queue's calls."""
        fits = group.skills.issuperset(slot.queue.required_skills)
        if fits == bool(group.fitting >> slot.number & 1):
            return
        group.fitting ^= 1 << slot.number
        slot.fitting ^= 1 << group.number
        queue_ids = set(group.queue_ids) ^ {slot.queue.id}
        group.queue_ids = sorted(queue_ids)

    # the two sides of the match

    def best_agent(self, queue_id: str) -> Agent | None:
        """The longest idle of the available agents who have the queue's skills."""
        key = self._idle.best(self._queues[queue_id].fitting)
        return self.agents[key[1]] if key else None

    def best_call(self, agent_id: str) -> Call | None:
        """The first, by priority with ageing, of the calls waiting in the agent's queues."""
        key = self._waiting.best(self._group_of[agent_id].fitting)
        return self.calls[key[1]] if key else None

    def first_waiting(self, queue_id: str) -> Call | None:
        """The first call waiting in one queue."""
        key = self._waiting.best(1 << self._queues[queue_id].number)
        return self.calls[key[1]] if key else None

    # states

    def put_agent(self, agent: Agent) -> None:
        """The agent, who must be configured, has a new state."""
        self._unindex_agent(self.agents[agent.id])
        self._index_agent(agent)
        self.agents[agent.id] = agent
        self.changed_agents[agent.id] = agent

    def _index_agent(self, agent: Agent) -> None:
        if isinstance(agent.state, Available):
            self._idle.add(self._group_of[agent.id].number, (agent.state.since.timestamp(), agent.id))

    def _unindex_agent(self, agent: Agent) -> None:
        if isinstance(agent.state, Available):
            self._idle.remove(self._group_of[agent.id].number, (agent.state.since.timestamp(), agent.id))

    def put_call(self, call: Call) -> None:
        """The call, whose queue must be configured, has a new state; once over, it leaves the pool."""
        before = self.calls.get(call.id)
        if before is not None and isinstance(before.state, Queued):
            slot = self._queues[before.queue_id]
            self._waiting.remove(slot.number, slot.key(before))
        self.changed_calls[call.id] = call
        if call.is_over:
            self.calls.pop(call.id, None)
            return
        self.calls[call.id] = call
        match call.state:
            case Queued(limit_at=limit_at, overflow_at=overflow_at):
                slot = self._queues[call.queue_id]
                self._waiting.add(slot.number, slot.key(call))
                if overflow_at is not None:
                    heapq.heappush(self._timers, (overflow_at, Timer.OVERFLOW, call.id))
                if limit_at is not None:
                    heapq.heappush(self._timers, (limit_at, Timer.WAIT_LIMIT, call.id))
            case Offered(expires_at=expires_at):
                heapq.heappush(self._timers, (expires_at, Timer.OFFER_TIMEOUT, call.id))
            case WrappingUp(limit_at=limit_at):
                heapq.heappush(self._timers, (limit_at, Timer.WRAP_UP_LIMIT, call.id))
            case _:
                pass

    # timers

    def next_due(self) -> datetime | None:
        """When the next timer fires; None if there is none."""
        while self._timers and not self._holds(*self._timers[0]):
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def take_due(self, now: datetime) -> tuple[datetime, Timer, str] | None:
        """The first timer due at or before `now`, taken off, with the id of its queue or call; None: there is none."""
        due = self.next_due()
        if due is None or due > now:
            return None
        return heapq.heappop(self._timers)

    def _holds(self, due: datetime, timer: Timer, item_id: str) -> bool:
        """Whether the timer still means something: the call has moved on from most of them."""
        if timer is Timer.QUEUE_HOURS:
            return self._queues[item_id].changes_at == due
        call = self.calls.get(item_id)
        if call is None:
            return False
        match timer, call.state:
            case Timer.WRAP_UP_LIMIT, WrappingUp(limit_at=at):
                return at == due
            case Timer.OFFER_TIMEOUT, Offered(expires_at=at):
                return at == due
            case Timer.OVERFLOW, Queued(overflow_at=until):
                return until == due
            case Timer.WAIT_LIMIT, Queued(limit_at=until):
                return until == due
            case _:
                return False
