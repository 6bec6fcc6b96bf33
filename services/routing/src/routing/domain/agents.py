"""An agent and their states.

LoggedOut ⇄ Available ⇄ OnBreak        an offer missed by time-out or declined, the last one of as many in a row as its
               │  ▲        ▲           queue bears, ends on a break, with that reason; one before it: available
               ▼  │        │
            Ringing ───────┤
               │           │
               ▼           │
             Busy ─▶ AfterCall ─▶ whatever `then` says: available, break or logged out
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, TypeAlias

import msgspec
from common.events.routing import AgentState as AgentStateName
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


class AfterCall(msgspec.Struct, frozen=True, tag="wrap_up"):
    """Wraps up; holds for every queue the agent serves."""

    since: datetime
    call_id: str
    call_tenant_id: str
    then: Then


AgentState: TypeAlias = LoggedOut | Available | OnBreak | Ringing | Busy | AfterCall

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
    any, they come behind all other available agents."""

    def learnt(self, seconds: float) -> Agent:
        """The agent with one more call handled: the exponential average with weight HANDLING_WEIGHT."""
        mean = self.handling_seconds
        mean = seconds if mean is None else mean + HANDLING_WEIGHT * (seconds - mean)
        return replace(self, handling_seconds=mean)

    @property
    def state_name(self) -> AgentStateName:
        return _NAMES[type(self.state)]
