"""An agent and their states.

LoggedOut ⇄ Available ⇄ OnBreak        an offer missed by time-out or declined, the last one of as many in a row as its
               │  ▲        ▲           queue bears, ends on a break, with that reason; one before it: available
               ▼  │        │
            Ringing ───────┤
               │           │
               ▼           │
             Busy ─▶ AfterCall ─▶ whatever `then` says: available, break or logged out

An agent with a declared capacity has several calls at a time. They are Serving from the first offer until the last of
these calls is over, each in its own phase, and then go where `then` says.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal, TypeAlias, get_args

import msgspec
from common.events.routing import AgentState as AgentStateName
from common.events.routing import Channel
from msgspec.structs import replace

HANDLING_WEIGHT: Final = 0.1
"""Of the newest call in the mean handling time: about the last 20 calls count."""


class LoggedOut(msgspec.Struct, frozen=True, tag="logged_out"):
    since: datetime
    reason: str | None = None
    """Why an operator ended the shift; None: the agent did."""


class Available(msgspec.Struct, frozen=True, tag="available"):
    since: datetime


class OnBreak(msgspec.Struct, frozen=True, tag="break"):
    since: datetime
    reason: str | None


class Ringing(msgspec.Struct, frozen=True, tag="offered"):
    since: datetime
    call_id: str
    call_tenant_id: str
    channel: Channel = "voice"


class ThenAvailable(msgspec.Struct, frozen=True, tag="available"):
    """After the call: take the next one."""


class ThenBreak(msgspec.Struct, frozen=True, tag="break"):
    """After the call: a break that was asked for meanwhile."""

    reason: str | None


class ThenLogOut(msgspec.Struct, frozen=True, tag="logged_out"):
    """After the call: log out, as was asked meanwhile. A log-out never cuts a conversation or its wrap-up."""


Then: TypeAlias = ThenAvailable | ThenBreak | ThenLogOut


class Busy(msgspec.Struct, frozen=True, tag="busy"):
    since: datetime
    call_id: str
    call_tenant_id: str
    then: Then
    channel: Channel = "voice"


class AfterCall(msgspec.Struct, frozen=True, tag="wrap_up"):
    """Wraps up; holds for every queue the agent serves."""

    since: datetime
    call_id: str
    call_tenant_id: str
    then: Then
    channel: Channel = "voice"


Phase = Literal["busy", "wrap_up", "offered"]
_PHASES: Final[tuple[Phase, ...]] = get_args(Phase)
CHANNELS: Final[tuple[Channel, ...]] = get_args(Channel)


class Engagement(msgspec.Struct, frozen=True):
    """One of the calls that an agent has at hand. `paused`: another of them has interrupted it."""

    since: datetime
    """Of its phase."""
    call_id: str
    call_tenant_id: str
    channel: Channel
    phase: Phase
    paused: bool = False


class Serving(msgspec.Struct, frozen=True, tag="serving"):
    """Has calls at hand, at least one, in the order in which they were offered; may be offered more of them unless
    `then` says otherwise. `since`: the last change."""

    since: datetime
    calls: tuple[Engagement, ...]
    then: Then

    @property
    def foremost(self) -> Engagement:
        """The call that names the agent's state: of those that are not paused, first one that is spoken, then one that
        is wrapped up, then one that rings; of several, voice before chat, email and post; then the first offered."""
        return min(self.calls, key=lambda one: (one.paused, _PHASES.index(one.phase), CHANNELS.index(one.channel)))

    def without(self, *call_ids: str) -> tuple[Engagement, ...]:
        """The other calls."""
        return tuple(one for one in self.calls if one.call_id not in call_ids)


AgentState: TypeAlias = LoggedOut | Available | OnBreak | Ringing | Busy | AfterCall | Serving

_NAMES: dict[type[AgentState], AgentStateName] = {
    LoggedOut: "logged_out",
    Available: "available",
    OnBreak: "break",
    Ringing: "offered",
    Busy: "busy",
    AfterCall: "wrap_up",
}


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """One agent's state. `sequence` is that of their newest event."""

    id: str
    sequence: int
    state: AgentState
    handling_seconds: float | None = None
    """Mean of talk and wrap-up over their calls, the newest counting most; None before the first."""
    missed_offers: int = 0
    """In a row, in this shift: since the last one that they accepted, or the break that the last ones came to. With
    any, they come behind all other available agents, in the queue's order among themselves."""

    def learnt(self, seconds: float) -> Agent:
        """The agent with one more call handled: the exponential average with weight HANDLING_WEIGHT."""
        mean = self.handling_seconds
        mean = seconds if mean is None else mean + HANDLING_WEIGHT * (seconds - mean)
        return replace(self, handling_seconds=mean)

    @property
    def state_name(self) -> AgentStateName:
        return self.state.foremost.phase if isinstance(self.state, Serving) else _NAMES[type(self.state)]

    @property
    def asked_for(self) -> ThenBreak | ThenLogOut | None:
        """The break or log-out that was asked for during a call, and is to come after it; None: none was."""
        match self.state:
            case Busy(then=then) | AfterCall(then=then) | Serving(then=then) if not isinstance(then, ThenAvailable):
                return then
            case _:
                return None

    @property
    def stays(self) -> bool:
        """Whether they are logged in, and have not asked to log out after a call."""
        return not isinstance(self.state, LoggedOut) and not isinstance(self.asked_for, ThenLogOut)

    @property
    def foremost(self) -> Engagement | None:
        """The call that names the state; None: they have none."""
        if isinstance(self.state, Serving):
            return self.state.foremost
        return next(iter(self.calls), None)

    @property
    def calls(self) -> tuple[Engagement, ...]:
        """Every call at hand, in the order in which they were offered."""
        match self.state:
            case Serving(calls=calls):
                return calls
            case Ringing(since=since, call_id=call_id, call_tenant_id=tenant_id, channel=channel):
                return (Engagement(since, call_id, tenant_id, channel, "offered"),)
            case Busy(since=since, call_id=call_id, call_tenant_id=tenant_id, channel=channel):
                return (Engagement(since, call_id, tenant_id, channel, "busy"),)
            case AfterCall(since=since, call_id=call_id, call_tenant_id=tenant_id, channel=channel):
                return (Engagement(since, call_id, tenant_id, channel, "wrap_up"),)
            case _:
                return ()
