"""A day of a pool, recovered from its inputs: what came from outside, apart from what routing decided.

The inputs are played again as they were, so that what really happened is known to the event. Out of that come, call by
call, arrival, queue, patience, conversation and wrap-up, and how agents reacted to offers; agent by agent the shifts
and breaks. These do not depend on who was offered what, so they hold under another configuration too; what the day did
not show of them is drawn (see `Day.draws`), for the same call the same in every play of the day.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Final, Literal, TypeVar

import msgspec
from common.events import (
    CallAbandoned,
    CallAnswered,
    CallAssigned,
    CallEnded,
    CallLeftInFlow,
    CallOfferMissed,
    CallQueued,
    CallWrappedUp,
    Event,
)
from common.events.routing import AgentLoggedOut, AgentStateChanged
from msgspec.structs import replace

from routing.domain import inputs
from routing.domain.configuration import AgentProfile, Queue, Site
from routing.domain.decisions import decide
from routing.domain.patience import Survival, kaplan_meier
from routing.domain.pool import Pool

Reply = Literal["accept", "decline", "timeout"]
DRAIN_EVERY: Final = 1000
RETURN_SECONDS: Final = 60.0
"""Break after a missed offer, where the day shows none."""
TALK_SECONDS: Final = 180.0
WRAP_UP_SECONDS: Final = 30.0
REACTION_SECONDS: Final = 3.0
"""Where the day shows no conversation, no wrap-up, no reaction at all."""
MISSED: Final = frozenset({"missed_offer", "declined"})


class Chance:
    """Draws that hang on nothing but a seed and what they are for: the same whatever else is drawn, on any machine."""

    def __init__(self, seed: str, *about: str) -> None:
        self._about = "\x1f".join((seed, *about))

    def random(self) -> float:
        """Uniform, from 0 to below 1."""
        return int.from_bytes(blake2b(self._about.encode(), digest_size=7).digest()) / 2**56


class Handled(msgspec.Struct, frozen=True):
    """One conversation, and the wrap-up after it."""

    talk_seconds: float
    wrap_up_seconds: float
    disposition: str | None


class Reaction(msgspec.Struct, frozen=True):
    """What an agent did with an offer, so many seconds after it."""

    reply: Reply
    seconds: float


class Caller(msgspec.Struct, kw_only=True):
    """What the day showed of one call that entered a queue."""

    queue_id: str
    queued_at: datetime
    waited_seconds: float = 0.0
    """Borne at least; with `hung_up` exactly their patience."""
    hung_up: bool = False
    handled: Handled | None = None
    reactions: list[Reaction] = []


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is played: the rules at its beginning, what came from outside in its order, and the callers."""

    pool_id: str
    begins: datetime
    queues: tuple[Queue, ...]
    profiles: tuple[AgentProfile, ...]
    sites: tuple[Site, ...]
    given: tuple[inputs.AnyInput, ...]
    callers: dict[str, Caller]
    children: dict[str, inputs.OfferCall]
    """By the call that was handed on: they arrive when that conversation ends."""
    patience: dict[str, Survival]
    """By queue."""
    returns: tuple[float, ...]
    """Seconds on a break after a missed offer."""
    refused: int
    """Inputs that changed nothing when played again."""
    draws: dict[str, int]
    """Of how many calls patience and conversation are known, and of how many they are drawn."""


class Recorded(msgspec.Struct, frozen=True):
    """The day, and what really happened in it."""

    day: Day
    events: list[Event]


def recollect(
    pool_id: str,
    begins: datetime,
    queues: Iterable[Queue],
    profiles: Iterable[AgentProfile],
    given: Sequence[inputs.AnyInput],
    sites: Iterable[Site] = (),
) -> Recorded:
    """`queues`, `profiles`: as they are now. The rules at the beginning were the same but for what the inputs change:
    of that they had what the first change says, for what was before is not in the inputs."""
    first_queues = _first(queues, (one.queue for one in given if isinstance(one, inputs.ConfigureQueue)))
    first_profiles = _first(profiles, (one.agent for one in given if isinstance(one, inputs.ConfigureAgent)))
    start = tuple(replace(one, version=-1) for one in first_queues)
    staff = tuple(replace(one, version=-1, drain=None) for one in first_profiles)
    buildings = tuple(
        replace(one, version=-1)
        for one in _first(sites, (one.site for one in given if isinstance(one, inputs.ConfigureSite)))
    )
    told = _Told()
    refused = 0
    pool = Pool.load(pool_id, begins, start, staff, (), (), sites=buildings)
    for number, one in enumerate(given):
        decision = decide(pool, one)
        refused += decision.refused is not None
        for fact in decision.facts:
            told.hear(fact.event)
        if number % DRAIN_EVERY == 0:
            pool.drain()
    told.end(pool.now)
    callers = told.callers
    children: dict[str | None, inputs.OfferCall] = {
        one.transferred_from: one
        for one in given
        if isinstance(one, inputs.OfferCall) and one.transferred_from in callers
    }
    waits: dict[str, list[tuple[float, bool]]] = {}
    for caller in callers.values():
        waits.setdefault(caller.queue_id, []).append((caller.waited_seconds, caller.hung_up))
    day = Day(
        pool_id=pool_id,
        begins=begins,
        queues=start,
        profiles=staff,
        sites=buildings,
        given=tuple(one for one in given if _from_outside(one, told.left_in_flow, children)),
        callers=callers,
        children={parent: child for parent, child in children.items() if parent is not None},
        patience={queue_id: kaplan_meier(seen) for queue_id, seen in waits.items()},
        returns=tuple(told.returns),
        refused=refused,
        draws={
            "calls": len(callers),
            "patience_known": sum(caller.hung_up for caller in callers.values()),
            "conversation_known": sum(caller.handled is not None for caller in callers.values()),
        },
    )
    return Recorded(day, told.events)


T = TypeVar("T", Queue, AgentProfile, Site)


def _first(now: Iterable[T], changes: Iterable[T]) -> list[T]:
    earliest: dict[str, T] = {}
    for one in changes:
        earliest.setdefault(one.id, one)
    return [earliest.pop(one.id, one) for one in now] + list(earliest.values())


def _from_outside(given: inputs.AnyInput, left_in_flow: set[str], children: dict[str | None, inputs.OfferCall]) -> bool:
    match given:
        case inputs.Accept() | inputs.Decline() | inputs.WrapUp() | inputs.Tick():
            return False
        case inputs.Hold() | inputs.Resume() | inputs.Record() | inputs.Supervise() | inputs.Transfer():
            return False
        case inputs.HangUp(call_id=call_id):
            return call_id in left_in_flow
        case inputs.OfferCall(transferred_from=parent):
            return parent not in children
        case _:
            return True


class _Told:
    """What the events of the day tell."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.callers: dict[str, Caller] = {}
        self.left_in_flow: set[str] = set()
        self.returns: list[float] = []
        self._assigned: dict[str, datetime] = {}
        self._missing: dict[str, datetime] = {}
        """Agents on a break after a missed offer, since when."""

    def hear(self, event: Event) -> None:
        self.events.append(event)
        match event:
            case CallQueued(entry=1):
                self.callers[event.call_id] = Caller(queue_id=event.queue_id, queued_at=event.occurred_at)
            case CallAssigned():
                self._assigned[event.call_id] = event.assigned_at
                self._waited(event.call_id, event.assigned_at)
            case CallOfferMissed(reason="timeout" | "declined"):
                self._react(event.call_id, "timeout" if event.reason == "timeout" else "decline", event.occurred_at)
            case CallAnswered():
                self._react(event.call_id, "accept", event.answered_at)
                self._waited(event.call_id, event.answered_at)
            case CallAbandoned():
                self._waited(event.call_id, event.abandoned_at)
                if event.call_id in self.callers:
                    self.callers[event.call_id].hung_up = event.reason == "hung_up"
            case CallEnded() | CallWrappedUp():
                handled = Handled(event.talk_seconds, 0.0, None)
                if isinstance(event, CallWrappedUp):
                    handled = Handled(event.talk_seconds, event.wrap_up_seconds, event.disposition)
                if event.call_id in self.callers:
                    self.callers[event.call_id].handled = handled
            case CallLeftInFlow(reason="hung_up"):
                self.left_in_flow.add(event.call_id)
            case AgentStateChanged(state="break", reason=reason) if reason in MISSED:
                self._missing[event.agent_id] = event.occurred_at
            case AgentStateChanged(state="available") if event.agent_id in self._missing:
                self._returned(event.agent_id, event.occurred_at)
            case AgentLoggedOut() if event.agent_id in self._missing:
                self._returned(event.agent_id, event.occurred_at)
            case _:
                pass

    def _returned(self, agent_id: str, at: datetime) -> None:
        self.returns.append((at - self._missing.pop(agent_id)).total_seconds())

    def end(self, at: datetime) -> None:
        """Who has not come back by then is away for that long."""
        for agent_id in list(self._missing):
            self._returned(agent_id, at)

    def _waited(self, call_id: str, until: datetime) -> None:
        caller = self.callers.get(call_id)
        if caller is not None:
            caller.waited_seconds = (until - caller.queued_at).total_seconds()

    def _react(self, call_id: str, reply: Reply, at: datetime) -> None:
        caller, assigned = self.callers.get(call_id), self._assigned.get(call_id)
        if caller is not None and assigned is not None:
            caller.reactions = [*caller.reactions, Reaction(reply, (at - assigned).total_seconds())]
