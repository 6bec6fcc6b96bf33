"""A call, and what it remembers of its way."""

from __future__ import annotations

from datetime import datetime
from itertools import takewhile
from typing import Final, Literal

import msgspec
from common.events.routing import CallbackFailure, Channel, ConsultationOutcome, Direction
from msgspec.structs import replace

from routing.domain.bidding import Bidding
from routing.domain.call_states import (
    NAMES,
    Abandoned,
    Asked,
    CallingBack,
    CallState,
    CallStateName,
    ConsultationOver,
    HeldPlace,
    LeftInFlow,
    Offered,
    Redirected,
    Talking,
    WrappedUp,
    WrappingUp,
)
from routing.domain.configuration import (
    USUAL_PRIORITY,
    AgentOrder,
    CallbackRules,
    Closed,
    Queue,
    Shared,
    Stay,
    To,
    When,
)
from routing.domain.notes import Claim, Conversation, Heard, Missed, Precedence, TakeOver

MOST_ASSIGNMENTS = 20


class Beside(msgspec.Struct, frozen=True, array_like=True):
    """What an agent who takes several calls had at hand when they were offered one more."""

    at_hand: int
    """Calls of its channel."""
    capacity: int
    """How many of its channel they take at a time."""
    interrupts: tuple[str, ...]
    """Their other calls that are paused once they answer this one."""


class Assignment(msgspec.Struct, frozen=True, array_like=True):
    """Why an agent was offered the call, as things stood at that moment."""

    agent_id: str
    assigned_at: datetime
    queue_id: str
    ring: int
    requirement: str
    """What the ring asked of agents; empty: nothing."""
    order: AgentOrder
    came_free: bool
    """The agent came free and took the first call that they may serve, by weights that of the highest bid; otherwise
    the call took the first agent."""
    agents: int
    """How many agents who meet the requirement were available."""
    groups: int
    """Sets of skills that those agents have."""
    ahead: int
    """Calls waiting in the queue that were before this one in the order of service."""
    waited_seconds: float
    """In this queue."""
    preferred: bool = False
    """The agent is the one that the call was to go to."""
    bidding: Bidding | None = None
    """By declared weights: the queue's bid, and the other queues that wanted the agent or might have."""
    beside: Beside | None = None
    """None: the agent takes one call at a time."""
    share: Literal["reserved", "guaranteed", "released"] | None = None
    """What in the tenants' shares made it so: see `sharing.Reason`."""
    behind: int = 0
    """How many of the available agents came behind the others, because they had missed their last offer."""
    was_behind: bool = False
    """The agent is one of those."""
    precedence: Precedence | None = None
    """Before which call of another queue it went when the agent came free; None: there was none that they might have
    taken, or it did not go by the order of service alone."""
    missed: Missed | None = None
    """How the offer ended, if without an answer."""


class Move(msgspec.Struct, frozen=True, array_like=True):
    """One rule that moved the call, and what was measured when it held."""

    moved_at: datetime
    queue_id: str
    """Where the rule is from. The call may not have entered it."""
    why: When | Shared
    to: To | Stay
    measured: float | None = None
    """Seconds waited or estimated, calls waiting; None: nothing to measure."""
    drained: bool = False
    """The site was not down otherwise: an operator drained it."""

    @property
    def reason(self) -> Literal["closed", "overflow"]:
        """In the event of a call that is over by it."""
        return "closed" if isinstance(self.why, Closed) else "overflow"


Phase = Literal["comes", "enters", "waits"]
"""How far a call is that goes to a queue of another pool: just offered to it, sent to it by a rule, waiting in it."""


class Removal(msgspec.Struct, frozen=True, array_like=True):
    """The call went to another pool, where its queue is at home."""

    removed_at: datetime
    queue_id: str
    from_pool_id: str
    to_pool_id: str
    phase: Phase


class Pauses(msgspec.Struct, frozen=True):
    """How long other calls of its agent have interrupted a call: they count neither as talk nor as wrap-up."""

    times: int
    by: str
    """The call that did it last."""
    since: datetime | None
    """Of the pause that goes on."""
    talk_seconds: float = 0.0
    wrap_up_seconds: float = 0.0

    def until(self, now: datetime, *, wrapping_up: bool) -> Pauses:
        """With the time up to now; a pause that goes on begins anew."""
        if self.since is None:
            return self
        seconds = (now - self.since).total_seconds()
        if wrapping_up:
            return replace(self, since=now, wrap_up_seconds=self.wrap_up_seconds + seconds)
        return replace(self, since=now, talk_seconds=self.talk_seconds + seconds)


class Dial(msgspec.Struct, frozen=True, array_like=True):
    """One attempt to reach the customer. `outcome` None: under way."""

    dial_id: str
    dialled_at: datetime
    agent_id: str | None
    outcome: Literal["answered", CallbackFailure] | None = None
    over_at: datetime | None = None


UNRUNG: Final = ("failed", "timed_out")
"""Outcomes of attempts by which no telephone is known to have rung."""


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """A promise to call the caller back, by the rules that the queue had when it was made, and what came of it."""

    phone: str
    """E.164."""
    requested_at: datetime
    """From here on the caller is not on the line."""
    rules: CallbackRules
    dials: tuple[Dial, ...] = ()
    reached_at: datetime | None = None
    """The customer is on the line again."""
    ended_by: str | None = None
    """Who cancelled it: the caller's next call, or whoever gave the command."""
    promised_by: str | None = None
    """The step of the call's flow that did; None: the caller asked for it while waiting, or a rule of the queue did."""

    @property
    def attempt(self) -> int:
        """The number of the newest attempt, 1 for the first. One by which no telephone rang is made once more."""
        return 1 + sum(dial.outcome not in UNRUNG for dial in self.dials[:-1])

    @property
    def attempts_left(self) -> int:
        return self.rules.attempts - sum(dial.outcome not in UNRUNG for dial in self.dials)

    @property
    def unrung(self) -> int:
        """How many of the newest attempts, one after the other, no telephone rang by."""
        return len(list(takewhile(lambda dial: dial.outcome in UNRUNG, reversed(self.dials))))

    def away_seconds(self, now: datetime) -> float:
        """How long the caller was not on the line until then."""
        return ((self.reached_at or now) - self.requested_at).total_seconds()


class Consulted(msgspec.Struct, frozen=True, array_like=True):
    """A consultation that is over."""

    id: str
    asked: Asked
    began_at: datetime
    ended_at: datetime
    agent_id: str
    """Who asked."""
    answered_by: str | None
    """The agent who took it."""
    joined: bool
    outcome: ConsultationOutcome


class Consults(msgspec.Struct, frozen=True, array_like=True):
    """What a consultation is about: the call, and its agent, who asks."""

    call_id: str
    agent_id: str


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call. `sequence` is that of its newest event; `offers` counts the agents tried.

    `queued_at` is the entry into the queue it is in now, `first_queued_at` into its first: by the latter it is ordered,
    so that neither a missed offer nor an overflow costs the caller the time already waited. In the flow of its entry
    point a call has no queue: `queue_id` is empty, and those times are its arrival.
    """

    id: str
    tenant_id: str
    queue_id: str
    channel: Channel
    direction: Direction
    contact_phone: str
    offered_at: datetime
    first_queued_at: datetime
    queued_at: datetime
    state: CallState
    contact_shown: str | None = None
    """What the network showed instead of a number that can be recognised."""
    entry: int = 0
    """How many queues it has entered."""
    sequence: int = 0
    offers: int = 0
    max_wait_seconds: float | None = None
    campaign_id: str | None = None
    lead_id: str | None = None
    attempt_id: str | None = None
    external_id: str | None = None
    traceparent: str | None = None
    left_queues: tuple[str, ...] = ()
    """Those it has overflowed from: it never comes back to one."""
    transferred_from: str | None = None
    handed_on_by: str | None = None
    """The agent who handed its caller on to a queue: it rings at them only while nobody else could serve it."""
    first_call_id: str | None = None
    """The first of the calls through which its caller was handed on; None: this one is the first."""
    first_offered_at: datetime | None = None
    """When that first call was offered; None with it, and of a call that was handed on before this was noted."""
    transferred_to: str | None = None
    """Another call's id, or a number outside."""
    preferred_agent_id: str | None = None
    """Who should take it if they may and can; once it was offered to anybody it is a call as all others."""
    spoke_last: bool = False
    """They are the one who last spoke with the caller, as routing has found: nobody else had said who should."""
    assignments: tuple[Assignment, ...] = ()
    """The newest MOST_ASSIGNMENTS; a call that was saved before they were noted has none."""
    moves: tuple[Move, ...] = ()
    """The rules that moved it, oldest first; a call that was saved before they were noted has none."""
    entry_point_id: str | None = None
    dialled: str | None = None
    """The number that it came in by; None: it was offered to its queue directly."""
    arrived_at: datetime | None = None
    contact_priority: int | None = None
    """Of the caller as a contact of the tenant, when the call arrived; None: nobody known."""
    priority: int = 0
    """Steps beside its queue's: as its flow has found, or the contact's own if it was offered to its queue directly."""
    skills: tuple[str, ...] = ()
    """What it asks for beside its queue's skills: its language."""
    pauses: Pauses | None = None
    """None: no other call of its agent has interrupted it."""
    callback: Callback | None = None
    no_callback: str | None = None
    """Why its flow, which would have had its caller called back, sent it on instead."""
    place_at: datetime | None = None
    """Entry into the first queue of the call whose place it took over: by that it is ordered."""

    removals: tuple[Removal, ...] = ()
    moving_to: str | None = None
    """On its way to this pool, in none meanwhile."""

    consults: Consults | None = None
    """It began as a consultation. `preferred_agent_id` is then the colleague who was asked by name, if one was."""
    consulted: tuple[Consulted, ...] = ()
    """The newest MOST_ASSIGNMENTS of its agent's that are over."""

    heard: tuple[Heard, ...] = ()
    """The announcements that its caller heard while it waited, the one heard last at the end."""
    conversation: Conversation | None = None
    """None: nobody was on hold, nothing was recorded, no supervisor took part."""
    machine_at: datetime | None = None
    """When the PBX said that an answering machine has answered the dial."""
    take_overs: tuple[TakeOver, ...] = ()
    """By supervisors: into this call, which then is the supervisor's, and from it; so at most two."""

    @property
    def is_consultation(self) -> bool:
        """Whether it is between two agents, and no customer's call."""
        return self.consults is not None and self.transferred_from is None

    @property
    def state_name(self) -> CallStateName:
        return NAMES[type(self.state)]

    @property
    def agent_id(self) -> str | None:
        """The agent it rings at, speaks with, or was handled by."""
        match self.state:
            case Offered(agent_id=agent_id) | Talking(agent_id=agent_id) | CallingBack(agent_id=agent_id):
                return agent_id
            case WrappingUp(agent_id=agent_id) | WrappedUp(agent_id=agent_id) | ConsultationOver(agent_id=agent_id):
                return agent_id
            case _:
                return None

    @property
    def is_paused(self) -> bool:
        return self.pauses is not None and self.pauses.since is not None

    @property
    def over_at(self) -> datetime | None:
        """When its last state began; None while it lives."""
        match self.state:
            case (
                Abandoned(abandoned_at=at)
                | Redirected(redirected_at=at)
                | WrappedUp(wrapped_up_at=at)
                | LeftInFlow(left_at=at)
            ):
                return at
            case ConsultationOver(over_at=at):
                return at
            case _:
                return None

    @property
    def is_over(self) -> bool:
        return self.over_at is not None

    @property
    def held_place(self) -> HeldPlace | None:
        """The place of a caller who has hung up and is still to be reached."""
        match self.state:
            case HeldPlace() as held:
                return held
            case CallingBack(place=held) | Offered(waiting=HeldPlace() as held):
                return held
            case _:
                return None

    def offer_missed(self, missed: Missed) -> Call:
        """With a note that its last offer ended like this."""
        if not self.assignments:
            return self
        return replace(self, assignments=(*self.assignments[:-1], replace(self.assignments[-1], missed=missed)))

    def away_seconds(self, now: datetime) -> float:
        """How long the caller was not on the line until then, because they are called back."""
        return 0.0 if self.callback is None else self.callback.away_seconds(now)


def order_of_service(call: Call, queue: Queue) -> tuple[float, str]:
    """The smaller is served first; the id is the tie-break. One step of priority, counted from USUAL_PRIORITY, is worth
    `ageing_seconds_per_priority` of waiting. Waiting grows at the same pace for all, so that the order never changes
    with time."""
    head_start = (queue.priority - USUAL_PRIORITY + call.priority) * queue.ageing_seconds_per_priority
    return ((call.place_at or call.first_queued_at).timestamp() - head_start, call.id)


def claim_of(call: Call, queue: Queue, now: datetime) -> Claim:
    """What `order_of_service` makes its place of."""
    return Claim(
        queue_id=queue.id,
        tenant_id=queue.tenant_id,
        queue_priority=queue.priority,
        priority=call.priority,
        ageing_seconds_per_priority=queue.ageing_seconds_per_priority,
        waited_seconds=(now - (call.place_at or call.first_queued_at)).total_seconds(),
    )
