"""What the floor's operator has declared about queues and agents."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

import msgspec
from common.events.routing import Channel
from common.hours import Hours, is_open, next_change
from common.requirements import AllOf, AnyOf, Has, Requirement, all_of, any_of, parse, with_skills
from msgspec.structs import replace

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
    """A call still waiting after `after_seconds` in the queue moves, once, to `queue_id`."""

    queue_id: str
    after_seconds: float


Override = Literal["open", "closed", "draining"]
"""draining: closed to new calls, while those that wait stay until they are answered."""
USUAL_PRIORITY: Final = 5
"""Of a queue. Steps of priority count from here, so that a queue's ageing says nothing where it has this one."""
ClosedBy = Literal["by_hours", "by_operator"]

_MOST_CHANGES: Final = 2000
"""Of hours and cover, looked at in search of the next opening."""


_AT_SITE: Final = "site:"
"""What no skill that people declare can begin with."""


def site_skill(site: str) -> str:
    """The implicit skill of the agents of a site: to ask for it is to ask for the site."""
    return f"{_AT_SITE}{site}"


def without_sites(skills: Iterable[str]) -> tuple[str, ...]:
    """The skills that people declared."""
    return tuple(skill for skill in skills if not skill.startswith(_AT_SITE))


class Site(msgspec.Struct, frozen=True):
    """A building or partner. While it is down its agents are offered nothing; who speaks there finishes. With `drain`,
    which says why, it is down too, and its agents are logged out once they have finished."""

    id: str
    down: bool
    version: int
    drain: str | None = None


class Cover(msgspec.Struct, frozen=True):
    """In these hours (None: always) agents of these sites serve the queue."""

    sites: tuple[str, ...]
    hours: Hours | None
    time_zone: str
    """That of the first site; it counts where the hours name none."""

    def is_on(self, at: datetime) -> bool:
        """Whether the sites cover the queue at that time."""
        return self.hours is None or is_open(self.hours, self.time_zone, at)


RecordingRule = Literal["never", "with_consent", "always"]
"""always: from the answer on (the caller was told before); with_consent: once the caller has said yes."""


class Waited(msgspec.Struct, frozen=True, tag="waited"):
    """The call has waited this long in the queue."""

    seconds: float


class QueueLength(msgspec.Struct, frozen=True, tag="queue_length"):
    """So many calls wait in the queue when another one enters it that no agent can take at once."""

    calls: int


class EstimatedWait(msgspec.Struct, frozen=True, tag="estimated_wait"):
    """A call that enters and finds no agent would wait this long, as far as the queue's last waits tell, or for ever:
    nobody is logged in who could serve it. While too few have waited there to tell, the rule does not hold."""

    seconds: float


class NobodyLoggedIn(msgspec.Struct, frozen=True, tag="nobody_logged_in"):
    """No agent is logged in who could serve the call, in whatever ring: when it enters, and as soon as the last one
    leaves while it waits. Who is on a break or busy is logged in. Who has asked to log out after a call, is being
    drained, or is reserved for other tenants as long as they stay, could not serve it."""


class Closed(msgspec.Struct, frozen=True, tag="closed"):
    """The call comes to the closed queue; with `waiting` also those that wait when it closes."""

    waiting: bool = False


class SiteDown(msgspec.Struct, frozen=True, tag="site_down"):
    """The site is down when a call enters that no agent can take at once; with `waiting` also for the calls that wait
    when it goes down."""

    site_id: str
    waiting: bool = False


class ToQueue(msgspec.Struct, frozen=True, tag="queue"):
    """Another queue of the same tenant. One that is closed, or that the call has left, is passed over."""

    queue_id: str


class ToSite(msgspec.Struct, frozen=True, tag="site"):
    """The call stays in its queue, for agents of this site only. One that is down is passed over."""

    site_id: str


class ToNumber(msgspec.Struct, frozen=True, tag="number"):
    """A number of the tenant's directory: a partner's, for example. The call is over for the floor. Only calls from
    outside go there; while the directory has no such name it is passed over."""

    name: str


class Stay(msgspec.Struct, frozen=True, tag="stay"):
    """The call enters its queue."""


class ToMessage(msgspec.Struct, frozen=True, tag="message"):
    """The caller hears the announcement of this name, and the call is over."""

    message: str


class ToCallback(msgspec.Struct, frozen=True, tag="callback"):
    """The caller hangs up, keeps the place and is called back. Passed over if they cannot be: no number, or one that
    waits for a callback already."""


When: TypeAlias = Waited | QueueLength | EstimatedWait | NobodyLoggedIn | SiteDown | Closed
To: TypeAlias = ToQueue | ToSite | ToNumber | ToMessage | ToCallback


class SplitPart(msgspec.Struct, frozen=True):
    """So many of 100 calls that come to the queue from outside go there. What cannot be followed stays."""

    percent: int
    to: ToQueue | ToSite | ToNumber | Stay


class Shared(msgspec.Struct, frozen=True, tag="shared"):
    """The call fell into this part of its queue's split. `passed_over`: it could not go where the part leads."""

    percent: int
    passed_over: bool = False


class OverflowRule(msgspec.Struct, frozen=True):
    """Of the rules that hold at a moment, the first one listed that can be followed is."""

    when: When
    to: To


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """What the policy by declared weights goes by. A pool follows that policy once one of its queues has weights; its
    queues without any then count with these defaults."""

    lost_call_cost: float = 1.0
    """Cost of one call that nobody answers, in any unit: only the ratio between the queues of a pool counts."""
    calls_per_hour: float | None = None
    """Expected; with 0 no agent is ever kept for the queue. None, here and below: as the pool has seen of late."""
    handling_seconds: float | None = None
    """Expected mean of conversation and wrap-up."""
    patience_seconds: float | None = None
    """Expected mean time after which a waiting caller hangs up."""
    service_level_target: float | None = None
    """Share of calls, between 0 and 1, to be answered within the queue's `service_level_seconds`."""
    late_call_cost: float | None = None
    """The most that is paid, beside `lost_call_cost`, to have one more call in time while the queue is below its
    target. None: as much as for a lost call."""


CallbackMode = Literal["agent_first", "customer_first"]
"""agent_first: an agent is found, and the customer is dialled for them; customer_first: the customer is dialled when
their turn is near, and waits at their place once they answer."""


class CallbackRules(msgspec.Struct, frozen=True, kw_only=True):
    """How callers of a queue are called back who hang up and keep their place."""

    mode: CallbackMode
    attempts: int = 3
    """Dials, at most."""
    retry_seconds: float = 300.0
    """From a dial that nobody answered to the next one, at least."""
    ring_seconds: float = 30.0
    valid_seconds: float = 14_400.0
    """From the request on: a callback that has not come about by then is given up."""


Tell = Literal["position", "estimated_wait"]


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """What callers hear after so many seconds in the queue, while they wait, and then again and again."""

    message: str
    after_seconds: float
    every_seconds: float | None = None
    tell: tuple[Tell, ...] = ()
    """What of the moment's figures it says."""


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
    """Waiting this long is worth one step of priority above or below USUAL_PRIORITY."""
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
    elsewhere: str | None = None
    """The pool where it is at home, when it is another than the one that knows it so; None: this one."""
    missed_offers_before_break: int = 1
    """An agent who misses so many offers in a row, the last of them of this queue, goes on a break."""
    split: tuple[SplitPart, ...] = ()
    """Where calls from outside that are offered to it go, in turns that keep the percentages at every moment; those
    that overflow into it stay. None: all stay."""
    numbers: dict[str, str] = {}
    """Those of the tenant's directory, by name, that its rules or its split name."""
    cover: tuple[Cover, ...] = ()
    """Which sites serve it, and when; none: every site always. At a time that none covers it is closed, and calls that
    still wait are served by every site."""
    callback: CallbackRules | None = None
    """None: callers of this queue are not called back."""
    announcements: tuple[Announcement, ...] = ()

    @property
    def rules(self) -> tuple[OverflowRule, ...]:
        """Every overflow rule in its order; the plain `overflow` is the last."""
        if self.overflow is None:
            return self.overflows
        last = OverflowRule(Waited(self.overflow.after_seconds), ToQueue(self.overflow.queue_id))
        return (*self.overflows, last)

    def at_home_in(self, pool_id: str) -> Queue:
        """The queue as another pool than that one knows it: when it is open, and how calls of it are finished there."""
        return replace(self, elsewhere=pool_id, weights=None, overflow=None, overflows=(), split=(), announcements=())

    def is_open_at(self, at: datetime) -> bool:
        """Whether it takes calls from outside: as an operator said, else by its hours."""
        if self.override is not None:
            return self.override == "open"
        if self.cover and self.covering_at(at) is None:
            return False
        return self.hours is None or is_open(self.hours, self.time_zone, at)

    def turns_away_at(self, at: datetime) -> ClosedBy | None:
        """By what it is closed, if it is and no rule says where its calls go then."""
        if self.is_open_at(at) or any(isinstance(rule.when, Closed) for rule in self.rules):
            return None
        return "by_hours" if self.override is None else "by_operator"

    def covering_at(self, at: datetime) -> tuple[str, ...] | None:
        """The sites that cover it, by id; None: every site serves it."""
        return tuple(sorted({site for one in self.cover if one.is_on(at) for site in one.sites})) or None

    def next_change(self, at: datetime) -> datetime | None:
        """When it next opens or closes by its hours, or other sites cover it; None: never."""
        timed = [(one.hours, one.time_zone) for one in self.cover]
        if self.override is None:
            timed.append((self.hours, self.time_zone))
        changes = [next_change(hours, time_zone, at) for hours, time_zone in timed if hours is not None]
        return min((change for change in changes if change is not None), default=None)

    def next_time(self, at: datetime, *, is_open: bool) -> datetime | None:
        """When it is next open, or closed: `at` itself if it is; None: not within the next changes of its hours and
        cover, of which there is a year or more."""
        moment: datetime | None = at
        for _ in range(_MOST_CHANGES):
            if moment is None or self.is_open_at(moment) is is_open:
                return moment
            moment = self.next_change(moment)
        return None

    def rings(self, also: tuple[str, ...] = (), sites: tuple[str, ...] | None = None) -> list[Requirement]:
        """Who may serve, ring by ring: each is at least as wide as the one before. `also`: skills that a call itself
        asks for; no ring does without them. `sites`: those that cover the queue; a call that asks for one goes there
        whatever the cover."""
        rings = [all_of(self.required_skills) if self.requirement is None else parse(self.requirement)]
        for relaxation in self.relaxations:
            rings.append(any_of(rings[-1], parse(relaxation.requirement)))
        if sites is not None and without_sites(also) == also:
            covered = tuple(Has(site_skill(site)) for site in sites)
            at_sites = covered[0] if len(covered) == 1 else AnyOf(covered)
            rings = [AllOf((*(ring.parts if isinstance(ring, AllOf) else (ring,)), at_sites)) for ring in rings]
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
    site_id: str | None = None

    @property
    def levels(self) -> dict[str, int]:
        """The skills, and that of the site."""
        return self.skills if self.site_id is None else {**self.skills, site_skill(self.site_id): 1}
