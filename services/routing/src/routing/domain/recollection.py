"""A day of a pool, recovered from its inputs: what came from outside, apart from what routing decided.

The inputs are played again as they were, so that what really happened is known to the event. Out of that come, call by
call, arrival, queue, patience, conversation and wrap-up, who asked to be called back and what came of each attempt, and
how agents reacted to offers; agent by agent the shifts and breaks. These do not depend on who was offered what, so they
hold under another configuration too; what the day did not show of them is drawn (see `Day.draws`), for the same call
the same in every play of the day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Final, Literal, TypeVar

import msgspec
from common.events import (
    CallAbandoned,
    CallAnswered,
    CallAssigned,
    CallbackDialled,
    CallbackFailed,
    CallbackReached,
    CallbackRequested,
    CallEnded,
    CallLeftInFlow,
    CallOfferMissed,
    CallQueued,
    CallWrappedUp,
    Event,
)
from common.events.routing import AgentLoggedOut, AgentStateChanged, CallbackFailure
from msgspec.structs import replace

from routing.domain import inputs
from routing.domain.call_states import Offered, Queued
from routing.domain.configuration import AgentProfile, Queue, Site
from routing.domain.decisions import decide
from routing.domain.patience import Survival, kaplan_meier
from routing.domain.pool import Pool
from routing.domain.shares import Share

Reply = Literal["accept", "decline", "timeout", "cut_off"]
"""cut_off: nobody knows: the caller hung up before, or the agent was not there for the offer any more."""
DRAIN_EVERY: Final = 1000
RETURN_SECONDS: Final = 60.0
"""Break after a missed offer, where the day shows none."""
TALK_SECONDS: Final = 180.0
WRAP_UP_SECONDS: Final = 30.0
REACTION_SECONDS: Final = 3.0
"""Where the day shows no conversation, no wrap-up, no reaction at all."""
ANSWER_SECONDS: Final = 10.0
"""From a dial to the customer's answer, where the day shows no attempt."""
MISSED: Final = frozenset({"missed_offer", "declined"})


_REPLIES: Final[dict[str, Reply]] = {"timeout": "timeout", "declined": "decline"}


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


class Attempt(msgspec.Struct, frozen=True):
    """What came of dialling a customer, so many seconds after it."""

    outcome: Literal["answered", CallbackFailure]
    seconds: float


class Caller(msgspec.Struct, kw_only=True):
    """What the day showed of one call that entered a queue."""

    queue_id: str
    queued_at: datetime
    waited_seconds: float = 0.0
    """Borne at least; with `hung_up` exactly their patience. Of one who was called back, until they hung up for it."""
    hung_up: bool = False
    handled: Handled | None = None
    reactions: list[Reaction] = []
    promised: bool = False
    """They hung up to be called back."""
    attempts: list[Attempt] = []
    again_seconds: float = 0.0
    """Borne at least once they were on the line again; with `hung_up_again` exactly."""
    hung_up_again: bool = False


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is played: the rules at its beginning, what came from outside in its order, and the callers."""

    pool_id: str
    begins: datetime
    queues: tuple[Queue, ...]
    profiles: tuple[AgentProfile, ...]
    sites: tuple[Site, ...]
    shares: tuple[Share, ...]
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
    shares: Iterable[Share] = (),
) -> Recorded:
    """`queues`, `profiles`, `sites`, `shares`: as they are now. The rules at the beginning were the same but for what
    the inputs change: of that they had what the first change says, for what was before is not in the inputs; and no
    operator had said anything yet against the hours of those that were changed."""
    start = _first(
        queues,
        (replace(one.queue, override=None) for one in given if isinstance(one, inputs.ConfigureQueue)),
        lambda queue: queue.id,
    )
    staff = _first(
        (replace(one, drain=None) for one in profiles),
        (replace(one.agent, drain=None) for one in given if isinstance(one, inputs.ConfigureAgent)),
        lambda agent: agent.id,
    )
    buildings = _first(
        sites,
        (replace(one.site, down=False, drain=None) for one in given if isinstance(one, inputs.ConfigureSite)),
        lambda site: site.id,
    )
    parts = _first(
        shares,
        (replace(one.share, burst_override=None) for one in given if isinstance(one, inputs.ConfigureShare)),
        lambda share: share.tenant_id,
    )
    told = _Told()
    refused = 0
    pool = Pool.load(pool_id, begins, start, staff, (), (), sites=buildings, shares=parts)
    for number, one in enumerate(given):
        if isinstance(one, inputs.TakeOver):
            told.came(one)
        decision = decide(pool, one)
        refused += decision.refused is not None
        for fact in decision.facts:
            told.hear(fact.event)
        if number % DRAIN_EVERY == 0:
            pool.drain()
    told.end(pool.now, [call.id for call in pool.calls.values() if isinstance(call.state, Queued | Offered)])
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
        shares=parts,
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
            "promised": sum(caller.promised for caller in callers.values()),
            "attempts": sum(len(caller.attempts) for caller in callers.values()),
        },
    )
    return Recorded(day, told.events)


T = TypeVar("T", Queue, AgentProfile, Site, Share)


def _first(now: Iterable[T], changes: Iterable[T], name_of: Callable[[T], str]) -> tuple[T, ...]:
    """As the first change of each says, where there is one; older than any change of the day."""
    earliest: dict[str, T] = {}
    for one in changes:
        earliest.setdefault(name_of(one), one)
    found = [earliest.pop(name_of(one), one) for one in now] + list(earliest.values())
    return tuple(replace(one, version=-1) for one in found)


def _from_outside(given: inputs.AnyInput, left_in_flow: set[str], children: dict[str | None, inputs.OfferCall]) -> bool:
    match given:
        case inputs.Accept() | inputs.Decline() | inputs.WrapUp() | inputs.DialResult() | inputs.Tick():
            return False
        case inputs.Hold() | inputs.Resume() | inputs.Record() | inputs.Supervise() | inputs.Transfer():
            return False
        case inputs.Consult() | inputs.CancelConsultation() | inputs.Confer() | inputs.CompleteConsultation():
            return False
        case inputs.Relieve() | inputs.MachineDetected():
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
        self._dialled: dict[str, datetime] = {}
        self._reached: dict[str, datetime] = {}
        self._missing: dict[str, datetime] = {}
        """Agents on a break after a missed offer, since when."""

    def came(self, given: inputs.TakeOver) -> None:
        """From another pool, where the call may have entered its first queue: what it has waited there is not known."""
        self.callers[given.call.id] = Caller(queue_id=given.call.queue_id, queued_at=given.occurred_at)

    def hear(self, event: Event) -> None:
        self.events.append(event)
        match event:
            case CallQueued(entry=1, taken_by=None) if event.call_id not in self.callers:
                self.callers[event.call_id] = Caller(queue_id=event.queue_id, queued_at=event.occurred_at)
            case CallAssigned():
                self._assigned[event.call_id] = event.assigned_at
                self._waited(event.call_id, event.assigned_at)
            case CallOfferMissed():
                self._react(event.call_id, _REPLIES.get(event.reason, "cut_off"), event.occurred_at)
            case CallAnswered():
                self._attempted(event.call_id, "answered", event.answered_at)
                self._react(event.call_id, "accept", event.answered_at)
                self._waited(event.call_id, event.answered_at)
            case CallbackRequested():
                self._waited(event.call_id, event.occurred_at)
                if event.call_id in self.callers:
                    self.callers[event.call_id].promised = True
            case CallbackDialled():
                self._dialled[event.call_id] = event.occurred_at
                if event.agent_id is not None:
                    self._react(event.call_id, "accept", event.occurred_at)
            case CallbackReached():
                self._attempted(event.call_id, "answered", event.occurred_at)
                self._reached[event.call_id] = event.occurred_at
            case CallbackFailed():
                self._attempted(event.call_id, event.reason, event.occurred_at)
            case CallAbandoned():
                self._react(event.call_id, "cut_off", event.abandoned_at)
                self._waited(event.call_id, event.abandoned_at)
                self._gone(event.call_id, hung_up=event.reason == "hung_up")
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

    def end(self, at: datetime, waiting: Iterable[str]) -> None:
        """Who has not come back by then is away for that long; these have waited until then."""
        for call_id in waiting:
            self._waited(call_id, at)
        for agent_id in list(self._missing):
            self._returned(agent_id, at)

    def _waited(self, call_id: str, until: datetime) -> None:
        caller = self.callers.get(call_id)
        if caller is None:
            return
        if not caller.promised:
            caller.waited_seconds = (until - caller.queued_at).total_seconds()
        elif call_id in self._reached:
            caller.again_seconds = (until - self._reached[call_id]).total_seconds()

    def _gone(self, call_id: str, *, hung_up: bool) -> None:
        caller = self.callers.get(call_id)
        if caller is not None:
            caller.hung_up = hung_up and not caller.promised
            caller.hung_up_again = hung_up and caller.promised

    def _attempted(self, call_id: str, outcome: Literal["answered", CallbackFailure], at: datetime) -> None:
        caller, dialled = self.callers.get(call_id), self._dialled.pop(call_id, None)
        if caller is not None and dialled is not None:
            caller.attempts = [*caller.attempts, Attempt(outcome, (at - dialled).total_seconds())]

    def _react(self, call_id: str, reply: Reply, at: datetime) -> None:
        caller, assigned = self.callers.get(call_id), self._assigned.pop(call_id, None)
        if caller is not None and assigned is not None:
            caller.reactions = [*caller.reactions, Reaction(reply, (at - assigned).total_seconds())]
