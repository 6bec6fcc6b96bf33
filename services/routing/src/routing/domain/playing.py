"""A recovered day played through `decide`, under the rules that it had or under others.

What came from outside comes at its time; agents and callers answer what routing decides: an offer is accepted, missed
or declined as that call's was, a conversation lasts as long as it did, a caller hangs up when their patience is over.
Two plays of a day differ by their rules alone: every draw hangs on the seed and the call, never on the order of events.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias, TypeVar

import msgspec
from common.events import CallAnswered, CallAssigned, CallEnded, CallQueued, Event
from common.events.routing import AgentStateChanged
from msgspec.structs import replace

from routing.domain import inputs
from routing.domain.calls import Offered, Queued
from routing.domain.configuration import AgentProfile, Queue
from routing.domain.decisions import decide
from routing.domain.pool import Pool
from routing.domain.recollection import (
    DRAIN_EVERY,
    MISSED,
    REACTION_SECONDS,
    RETURN_SECONDS,
    TALK_SECONDS,
    WRAP_UP_SECONDS,
    Chance,
    Day,
    Handled,
    Reaction,
)

T = TypeVar("T")
At: TypeAlias = tuple[datetime, int, inputs.AnyInput]
PLAYED: Final = ""
"""Tenant of inputs that the play itself has made."""


class AddedAgent(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who was not there."""

    id: str
    skills: dict[str, int]
    shifts_of: str | None = None
    """Comes and goes as this agent did; None: is there from the beginning to the end."""


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What is other than it was. `queues`: the changed rules by queue; they hold against any change of the day."""

    queues: dict[str, Queue] = {}
    fields: dict[str, list[str]] = {}
    """Names of the rules that are changed, by queue."""
    skills: dict[str, dict[str, int]] = {}
    """By agent."""
    removed: tuple[str, ...] = ()
    added: tuple[AddedAgent, ...] = ()

    def queue(self, recorded: Queue) -> Queue:
        """The rules instead of those."""
        changed = self.queues.get(recorded.id)
        if changed is None:
            return recorded
        return replace(recorded, **{name: getattr(changed, name) for name in self.fields[recorded.id]})

    def agent(self, recorded: AgentProfile) -> AgentProfile:
        """The agent instead of that one."""
        skills = self.skills.get(recorded.id)
        return recorded if skills is None else replace(recorded, skills=skills)


NOTHING = Changes()


def play(day: Day, changes: Changes, seed: str, until: datetime) -> Iterator[Event]:
    """Everything that happens up to `until`."""
    return _Player(day, changes, seed).run(until)


class _Player:
    def __init__(self, day: Day, changes: Changes, seed: str) -> None:
        self._day = day
        self._changes = changes
        self._seed = seed
        self._heap: list[At] = []
        self._count = 0
        queues = [changes.queue(queue) for queue in day.queues]
        staff = [changes.agent(one) for one in day.profiles]
        staff += [AgentProfile(id=one.id, skills=one.skills, version=0) for one in changes.added]
        self._pool = Pool.load(day.pool_id, day.begins, queues, staff, (), (), sites=day.sites)
        self._handled = {
            queue_id: [
                caller.handled for caller in day.callers.values() if caller.queue_id == queue_id and caller.handled
            ]
            for queue_id in {caller.queue_id: None for caller in day.callers.values()}
        }
        self._all_handled = [handled for some in self._handled.values() for handled in some]
        self._reactions = [one for caller in day.callers.values() for one in caller.reactions]
        self._offers: dict[str, int] = {}
        self._first_queue: dict[str, str] = {}
        for given in day.given:
            self._bring(given)
        for one in changes.added:
            if one.shifts_of is None:
                self._give(day.begins, inputs.LogIn, agent_id=one.id)

    # from outside

    def _bring(self, given: inputs.AnyInput) -> None:
        """As it came, but for what is changed."""
        match given:
            case inputs.ConfigureQueue(queue=queue):
                self._put(replace(given, queue=self._changes.queue(queue)))
            case inputs.ConfigureAgent(agent=agent):
                self._put(replace(given, agent=self._changes.agent(agent)))
            case inputs.LogIn() | inputs.LogOut() | inputs.SetState():
                if given.agent_id not in self._changes.removed:
                    self._put(given)
                for one in self._changes.added:
                    if one.shifts_of == given.agent_id:
                        self._put(replace(given, agent_id=one.id))
            case _:
                self._put(given)

    def _put(self, given: inputs.AnyInput) -> None:
        self._count += 1
        heapq.heappush(self._heap, (given.occurred_at, self._count, given))

    def _give(self, at: datetime, kind: type[Any], **fields: Any) -> None:
        self._put(kind(tenant_id=PLAYED, pool_id=self._day.pool_id, occurred_at=at, **fields))

    # the play

    def run(self, until: datetime) -> Iterator[Event]:
        decided = 0
        while True:
            due = self._pool.next_due()
            next_at = self._heap[0][0] if self._heap else None
            if due is not None and (next_at is None or due <= next_at):
                if due > until:
                    return
                given: inputs.AnyInput = inputs.Tick(tenant_id=PLAYED, pool_id=self._day.pool_id, occurred_at=due)
            elif next_at is not None and next_at <= until:
                given = heapq.heappop(self._heap)[2]
                if not self._holds(given):
                    continue
            else:
                return
            for fact in decide(self._pool, given).facts:
                self._answer(fact.event)
                yield fact.event
            decided += 1
            if decided % DRAIN_EVERY == 0:
                self._pool.drain()

    def _holds(self, given: inputs.AnyInput) -> bool:
        """Whether a caller whose patience is over still waits; everything else comes whatever has happened."""
        if isinstance(given, inputs.HangUp) and given.tenant_id == PLAYED and given.agent_id is None:
            call = self._pool.calls.get(given.call_id)
            return call is not None and isinstance(call.state, Queued | Offered)
        return True

    # how callers and agents answer

    def _answer(self, event: Event) -> None:
        match event:
            case CallQueued(entry=1, call_id=call_id):
                self._first_queue[call_id] = event.queue_id
                self._give(event.occurred_at + seconds(self._patience(call_id)), inputs.HangUp, call_id=call_id)
            case CallAssigned(call_id=call_id, agent_id=agent_id):
                reaction = self._reaction(call_id)
                at = event.assigned_at + seconds(reaction.seconds)
                if reaction.reply == "accept":
                    self._give(at, inputs.Accept, call_id=call_id, agent_id=agent_id)
                elif reaction.reply == "decline":
                    self._give(at, inputs.Decline, call_id=call_id, agent_id=agent_id)
            case CallAnswered(call_id=call_id, agent_id=agent_id):
                at = event.answered_at + seconds(self._conversation(call_id).talk_seconds)
                self._give(at, inputs.HangUp, call_id=call_id, agent_id=agent_id)
            case CallEnded(call_id=call_id, agent_id=agent_id):
                done = self._conversation(call_id)
                at = event.ended_at + seconds(done.wrap_up_seconds)
                self._give(at, inputs.WrapUp, call_id=call_id, agent_id=agent_id, disposition=done.disposition)
                if (child := self._day.children.get(call_id)) is not None:
                    self._put(replace(child, occurred_at=event.ended_at))
            case AgentStateChanged(state="break", reason=reason) if reason in MISSED:
                chance = Chance(self._seed, "return", event.agent_id, str(event.sequence))
                at = event.occurred_at + seconds(_pick(self._day.returns, chance, RETURN_SECONDS))
                self._give(at, inputs.SetState, agent_id=event.agent_id, state="available")
            case _:
                pass

    def _patience(self, call_id: str) -> float:
        """Known of those who hung up; of the others drawn, longer than what they are known to have borne."""
        caller = self._day.callers.get(call_id)
        borne = caller.waited_seconds if caller else 0.0
        if caller is not None and caller.hung_up:
            return borne
        estimate = self._day.patience.get(self._first_queue[call_id])
        if estimate is None or not estimate.times:
            return borne + TALK_SECONDS
        return estimate.draw(borne, Chance(self._seed, "patience", call_id))

    def _conversation(self, call_id: str) -> Handled:
        caller = self._day.callers.get(call_id)
        if caller is not None and caller.handled is not None:
            return caller.handled
        donors = self._handled.get(self._first_queue.get(call_id, "")) or self._all_handled
        return _pick(donors, Chance(self._seed, "conversation", call_id), Handled(TALK_SECONDS, WRAP_UP_SECONDS, None))

    def _reaction(self, call_id: str) -> Reaction:
        """To the first offer as to the first of that day, to the second as to the second …"""
        number = self._offers[call_id] = self._offers.get(call_id, -1) + 1
        caller = self._day.callers.get(call_id)
        if caller is not None and number < len(caller.reactions):
            return caller.reactions[number]
        chance = Chance(self._seed, "reaction", call_id, str(number))
        return _pick(self._reactions, chance, Reaction("accept", REACTION_SECONDS))


def _pick(donors: Sequence[T], chance: Chance, otherwise: T) -> T:
    return donors[int(chance.random() * len(donors))] if donors else otherwise


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)
