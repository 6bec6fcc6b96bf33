"""A recovered day played through `decide`, under the rules that it had or under others.

What came from outside comes at its time; agents and callers answer what routing decides: an offer is accepted, missed
or declined as that call's was, a conversation lasts as long as it did, a caller hangs up when their patience is over.
Two plays of a day differ by their rules alone: every draw hangs on the seed and the call, never on the order of events.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias, TypeVar

import msgspec
from common.events import (
    CallAnswered,
    CallAssigned,
    CallbackDialled,
    CallbackReached,
    CallbackRequested,
    CallEnded,
    CallQueued,
    Event,
)
from common.events.routing import AgentStateChanged
from msgspec.structs import replace

from routing.domain import inputs
from routing.domain.call_states import Offered, Queued, Talking, WrappingUp
from routing.domain.calls import Call, Pauses
from routing.domain.configuration import AgentProfile, Capacity, Queue
from routing.domain.decisions import decide
from routing.domain.pool import Pool
from routing.domain.recollection import (
    ANSWER_SECONDS,
    DRAIN_EVERY,
    MISSED,
    REACTION_SECONDS,
    RETURN_SECONDS,
    TALK_SECONDS,
    WRAP_UP_SECONDS,
    Attempt,
    Chance,
    Day,
    Handled,
    Reaction,
)
from routing.domain.shares import Share

T = TypeVar("T")
At: TypeAlias = tuple[datetime, int, inputs.AnyInput]
MOMENT: Final = 1e-5
"""Seconds: less is nothing left."""
PLAYED: Final = ""
"""Tenant of inputs that the play itself has made."""


class AddedAgent(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who was not there."""

    id: str
    skills: dict[str, int]
    shifts_of: str | None = None
    """Comes and goes as this agent did; None: is there from the beginning to the end."""
    capacity: Capacity | None = None


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What is other than it was. `queues`: the changed rules by queue; they hold against any change of the day."""

    queues: dict[str, Queue] = {}
    fields: dict[str, list[str]] = {}
    """Names of the rules that are changed, by queue."""
    skills: dict[str, dict[str, int]] = {}
    """By agent."""
    capacities: dict[str, Capacity | None] = {}
    """By agent; None: one call at a time."""
    shares: dict[str, Share] = {}
    """By tenant, instead of theirs; one that says nothing takes it away. What an operator said of the burst on that day
    still holds."""
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
        return replace(
            recorded,
            skills=self.skills.get(recorded.id, recorded.skills),
            capacity=self.capacities.get(recorded.id, recorded.capacity),
        )

    def share(self, recorded: Share) -> Share:
        """The share instead of that one."""
        changed = self.shares.get(recorded.tenant_id)
        if changed is None:
            return recorded
        return replace(changed, version=recorded.version, burst_override=recorded.burst_override)


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
        staff += [AgentProfile(id=one.id, skills=one.skills, version=0, capacity=one.capacity) for one in changes.added]
        shares = {one.tenant_id: replace(one, version=-1) for one in changes.shares.values()}
        shares |= {one.tenant_id: changes.share(one) for one in day.shares}
        self._pool = Pool.load(day.pool_id, day.begins, queues, staff, (), (), sites=day.sites, shares=shares.values())
        self._handled = {
            queue_id: [
                caller.handled for caller in day.callers.values() if caller.queue_id == queue_id and caller.handled
            ]
            for queue_id in {caller.queue_id: None for caller in day.callers.values()}
        }
        self._all_handled = [handled for some in self._handled.values() for handled in some]
        reactions = [one for caller in day.callers.values() for one in caller.reactions if one.reply != "cut_off"]
        self._reactions = sorted(reactions, key=lambda one: one.seconds)
        self._attempts = [one for caller in day.callers.values() for one in caller.attempts]
        self._offers: dict[str, int] = {}
        self._halted: dict[str, inputs.HangUp | inputs.WrapUp] = {}
        """By call that is paused."""
        self._gives_up: dict[str, datetime] = {}
        """When the patience of each caller on the line is over."""
        self._reacts: dict[str, datetime] = {}
        """When each call's newest offer has its reaction, if that is still to come."""
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
            case inputs.ConfigureShare(share=share):
                self._put(replace(given, share=self._changes.share(share)))
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
            if isinstance(given, inputs.TakeOver) and given.phase == "waits":
                self._comes(given.call, given.occurred_at)
            for fact in decide(self._pool, given).facts:
                self._answer(fact.event)
                yield fact.event
            if self._halted:
                self._go_on()
            decided += 1
            if decided % DRAIN_EVERY == 0:
                self._pool.drain()

    def _holds(self, given: inputs.AnyInput) -> bool:
        """Whether a caller whose patience is over still waits, a reaction is to the call's newest offer, a conversation
        or wrap-up that would be over was not interrupted meanwhile: then it comes later. Everything else comes whatever
        has happened."""
        if given.tenant_id != PLAYED:
            return True
        if isinstance(given, inputs.Accept | inputs.Decline):
            return self._reacts.get(given.call_id) == given.occurred_at
        if not isinstance(given, inputs.HangUp | inputs.WrapUp):
            return True
        call = self._pool.calls.get(given.call_id)
        if isinstance(given, inputs.HangUp) and given.agent_id is None:
            waits = call is not None and isinstance(call.state, Queued | Offered)
            return waits and self._gives_up.get(given.call_id) == given.occurred_at
        left = 0.0 if call is None or call.pauses is None else self._left(call, call.pauses, given.occurred_at)
        if left <= MOMENT:
            return True
        if call is not None and call.is_paused:
            self._halted[call.id] = given
        else:
            self._put(replace(given, occurred_at=given.occurred_at + seconds(left)))
        return False

    def _go_on(self) -> None:
        """What would have been over while it stood still, and does not any more, comes after the rest of its time."""
        for call_id, given in list(self._halted.items()):
            call = self._pool.calls.get(call_id)
            if call is None or not call.is_paused:
                del self._halted[call_id]
                self._put(replace(given, occurred_at=self._pool.now))

    def _left(self, call: Call, pauses: Pauses, now: datetime) -> float:
        """What is still to come, in seconds, of the conversation or wrap-up of a call that was interrupted."""
        done = self._conversation(call.id)
        match call.state:
            case Talking(answered_at=began):
                paused = pauses.until(now, wrapping_up=False).talk_seconds
                return done.talk_seconds - ((now - began).total_seconds() - paused)
            case WrappingUp(ended_at=began):
                paused = pauses.until(now, wrapping_up=True).wrap_up_seconds
                return done.wrap_up_seconds - ((now - began).total_seconds() - paused)
            case _:
                return 0.0

    # how callers and agents answer

    def _answer(self, event: Event) -> None:
        match event:
            case CallQueued(entry=1, call_id=call_id):
                self._first_queue[call_id] = event.queue_id
                self._wait(call_id, event.occurred_at, self._patience(call_id))
            case CallbackRequested(call_id=call_id):
                self._gives_up.pop(call_id, None)
            case CallbackReached(call_id=call_id):
                self._wait(call_id, event.occurred_at, self._patience_again(call_id))
            case CallbackDialled():
                self._dial(event)
            case CallAssigned(call_id=call_id, agent_id=agent_id):
                reaction = self._reaction(call_id)
                at = self._reacts[call_id] = event.assigned_at + seconds(reaction.seconds)
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
                    self._put(replace(child, occurred_at=event.ended_at, handed_on_by=child.handed_on_by and agent_id))
            case AgentStateChanged(state="break", reason=reason) if reason in MISSED:
                chance = Chance(self._seed, "return", event.agent_id, str(event.sequence))
                at = event.occurred_at + seconds(_pick(self._day.returns, chance, RETURN_SECONDS))
                self._give(at, inputs.SetState, agent_id=event.agent_id, state="available")
            case _:
                pass

    def _comes(self, call: Call, at: datetime) -> None:
        """From another pool, and waits."""
        self._first_queue[call.id] = call.queue_id
        if call.held_place is None:
            self._wait(call.id, at, self._patience(call.id))

    def _wait(self, call_id: str, since: datetime, patience: float) -> None:
        self._gives_up[call_id] = since + seconds(patience)
        self._give(self._gives_up[call_id], inputs.HangUp, call_id=call_id)

    def _dial(self, event: CallbackDialled) -> None:
        """The first attempt has the outcome of that day's first, the second of its second …"""
        call_id, number = event.call_id, event.attempt - 1
        caller = self._day.callers.get(call_id)
        if caller is not None and number < len(caller.attempts):
            attempt = caller.attempts[number]
        else:
            chance = Chance(self._seed, "attempt", call_id, str(number))
            attempt = _pick(self._attempts, chance, Attempt("answered", ANSWER_SECONDS))
        at = event.occurred_at + seconds(attempt.seconds)
        match attempt.outcome:
            case "timed_out":
                pass
            case "agent_hung_up":
                if event.agent_id is not None:
                    self._give(at, inputs.HangUp, call_id=call_id, agent_id=event.agent_id)
            case outcome:
                self._give(at, inputs.DialResult, call_id=call_id, dial_id=event.dial_id, outcome=outcome)

    def _patience_again(self, call_id: str) -> float:
        """Of a customer who was called back and waits on the line for an agent."""
        caller = self._day.callers.get(call_id)
        if caller is not None and caller.hung_up_again:
            return caller.again_seconds
        borne = caller.again_seconds if caller else 0.0
        return self._drawn_patience(call_id, borne, Chance(self._seed, "patience", call_id, "again"))

    def _patience(self, call_id: str) -> float:
        """Known of those who hung up; of the others drawn, longer than what they are known to have borne."""
        caller = self._day.callers.get(call_id)
        borne = caller.waited_seconds if caller else 0.0
        if caller is not None and caller.hung_up:
            return borne
        return self._drawn_patience(call_id, borne, Chance(self._seed, "patience", call_id))

    def _drawn_patience(self, call_id: str, borne: float, chance: Chance) -> float:
        estimate = self._day.patience.get(self._first_queue[call_id])
        if estimate is None or not estimate.times:
            return borne + TALK_SECONDS
        return estimate.draw(borne, chance)

    def _conversation(self, call_id: str) -> Handled:
        caller = self._day.callers.get(call_id)
        if caller is not None and caller.handled is not None:
            return caller.handled
        donors = self._handled.get(self._first_queue.get(call_id, "")) or self._all_handled
        return _pick(donors, Chance(self._seed, "conversation", call_id), Handled(TALK_SECONDS, WRAP_UP_SECONDS, None))

    def _reaction(self, call_id: str) -> Reaction:
        """To the first offer as to the first of that day, to the second as to the second … What was cut off is drawn,
        later than it was."""
        number = self._offers[call_id] = self._offers.get(call_id, -1) + 1
        caller = self._day.callers.get(call_id)
        borne = 0.0
        if caller is not None and number < len(caller.reactions):
            known = caller.reactions[number]
            if known.reply != "cut_off":
                return known
            borne = known.seconds
        chance = Chance(self._seed, "reaction", call_id, str(number))
        first = bisect_right(self._reactions, borne, key=lambda one: one.seconds)
        return _pick(self._reactions, chance, Reaction("accept", borne + REACTION_SECONDS), first)


def _pick(donors: Sequence[T], chance: Chance, otherwise: T, first: int = 0) -> T:
    """One of the donors, from the first that may be taken on."""
    count = len(donors) - first
    return donors[first + int(chance.random() * count)] if count else otherwise


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)
