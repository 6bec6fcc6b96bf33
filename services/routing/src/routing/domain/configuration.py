"""What the floor's operator has declared about queues and agents."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, TypeAlias

import msgspec
from common.events.routing import Channel
from common.hours import Hours, is_open
from common.requirements import Requirement, all_of, any_of, parse, with_skills

AgentOrder = Literal["longest_idle", "best_level", "least_flexible", "fastest"]
"""Which of several available agents is offered a call first. Ties: the one with the fewest skills, then the longest
idle, then by id.

longest_idle    available for the longest time
best_level      highest level in one of the skills that the requirement names
least_flexible  fewest skills, so that those who can do much stay free for what only they can do
fastest         smallest mean handling time (talk and wrap-up) over their own calls; whoever had none yet comes first
"""


class Relaxation(msgspec.Struct, frozen=True):
    """After `after_seconds` in the queue, agents who meet `requirement` may serve the call too."""

    after_seconds: float
    requirement: str


class Overflow(msgspec.Struct, frozen=True):
    """A call still waiting after `after_seconds` in the queue moves, once, to `queue_id` of the same pool."""

    queue_id: str
    after_seconds: float


Override = Literal["open", "closed", "draining"]
"""draining: closed to new calls, while those that wait stay until they are answered."""

RecordingRule = Literal["never", "with_consent", "always"]
"""always: from the answer on (the caller was told before); with_consent: once the caller has said yes."""


class Waited(msgspec.Struct, frozen=True, tag="waited"):
    """The call has waited this long in the queue."""

    seconds: float


class QueueLength(msgspec.Struct, frozen=True, tag="queue_length"):
    """So many calls wait in the queue when another one enters it that no agent can take at once."""

    calls: int


class EstimatedWait(msgspec.Struct, frozen=True, tag="estimated_wait"):
    """A call that enters and finds no agent would wait this long, as far as the queue's last waits tell. While too few
    have waited there to tell, the rule does not hold."""

    seconds: float


class Closed(msgspec.Struct, frozen=True, tag="closed"):
    """The call comes to the closed queue; with `waiting` also those that wait when it closes."""

    waiting: bool = False


class ToQueue(msgspec.Struct, frozen=True, tag="queue"):
    """Another queue of the same pool and tenant. One that is closed, or that the call has left, is passed over."""

    queue_id: str


class ToMessage(msgspec.Struct, frozen=True, tag="message"):
    """The caller hears the announcement of this name, and the call is over."""

    message: str


When: TypeAlias = Waited | QueueLength | EstimatedWait | Closed
To: TypeAlias = ToQueue | ToMessage


class OverflowRule(msgspec.Struct, frozen=True):
    """Of the rules that hold at a moment, the first one listed that can be followed is."""

    when: When
    to: To


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """What the policy by declared weights goes by. A pool follows that policy once one of its queues has weights; its
    queues without any then count with these defaults."""

    lost_call_cost: float = 1.0
    """Cost of one call that nobody answers, in any unit: only the ratio between the queues of a pool counts."""
    calls_per_hour: float = 0.0
    """Expected; with 0 no agent is ever kept for the queue."""
    handling_seconds: float = 240.0
    """Expected mean of conversation and wrap-up."""
    patience_seconds: float = 120.0
    """Expected mean time after which a waiting caller hangs up."""


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """Rules of one queue. `version` grows with every change: an older one never replaces a newer one."""

    id: str
    tenant_id: str
    time_zone: str
    channel: Channel
    required_skills: tuple[str, ...]
    priority: int
    """0–9; the larger is served first."""
    ageing_seconds_per_priority: float
    """Waiting this long is worth one step of priority."""
    service_level_seconds: float
    short_abandon_seconds: float
    offer_timeout_seconds: float
    wrap_up_seconds: float
    """Limit of the wrap-up; 0 = none at all."""
    max_wait_seconds: float | None
    overflow: Overflow | None
    version: int
    recording: RecordingRule = "never"
    hours: Hours | None = None
    """When it takes calls from outside; None: always. Calls that the floor dials follow their campaign's hours."""
    requirement: str | None = None
    """Stands in the place of `required_skills`, which is empty then."""
    relaxations: tuple[Relaxation, ...] = ()
    """By rising time."""
    agent_order: AgentOrder = "longest_idle"
    sticky_seconds: float = 0.0
    """How long a call waits for its preferred agent alone, who is logged in but not available."""
    overflows: tuple[OverflowRule, ...] = ()
    override: Override | None = None
    """Said by an operator, against the hours; closed and draining: to calls that the floor dials, too."""
    weights: Weights | None = None
    missed_offers_before_break: int = 1
    """An agent who misses so many offers in a row, the last of them of this queue, goes on a break."""

    @property
    def rules(self) -> tuple[OverflowRule, ...]:
        """Every overflow rule in its order; the plain `overflow` is the last."""
        if self.overflow is None:
            return self.overflows
        last = OverflowRule(Waited(self.overflow.after_seconds), ToQueue(self.overflow.queue_id))
        return (*self.overflows, last)

    def is_open_at(self, at: datetime) -> bool:
        """Whether it takes calls from outside: as an operator said, else by its hours."""
        if self.override is not None:
            return self.override == "open"
        return self.hours is None or is_open(self.hours, self.time_zone, at)

    def rings(self, also: tuple[str, ...] = ()) -> list[Requirement]:
        """Who may serve, ring by ring: each is at least as wide as the one before. `also`: skills that a call itself
        asks for; no ring does without them."""
        rings = [all_of(self.required_skills) if self.requirement is None else parse(self.requirement)]
        for relaxation in self.relaxations:
            rings.append(any_of(rings[-1], parse(relaxation.requirement)))
        return [with_skills(ring, also) for ring in rings]

    def ring_at(self, queued_at: datetime, now: datetime) -> tuple[int, datetime | None]:
        """The ring that a call has reached, and when it reaches the next one (None: never)."""
        for number, relaxation in enumerate(self.relaxations):
            widens_at = queued_at + timedelta(seconds=relaxation.after_seconds)
            if widens_at > now:
                return number, widens_at
        return len(self.relaxations), None


class Capacity(msgspec.Struct, frozen=True):
    """How many calls of each channel an agent takes at a time; a channel that is not named is not taken. Voice is 1 at
    most. `interrupts`: the channels whose calls are paused while a call of that channel is spoken or wrapped up; voice
    is interrupted by nothing."""

    calls: dict[Channel, int]
    interrupts: dict[Channel, tuple[Channel, ...]] = {}


class AgentProfile(msgspec.Struct, frozen=True, kw_only=True):
    """An agent as declared. `skills`: level 1–10 by skill; a skill that is not named is not held. `capacity`: None for
    one call at a time, of whatever channel."""

    id: str
    skills: dict[str, int]
    version: int
    capacity: Capacity | None = None
    drain: str | None = None
    """Why an operator takes them out of service; None: they do not."""
