"""The states of a call.

InFlow ──▶ LeftInFlow         only a call that came by an entry point
  ▼
Queued ──▶ Offered ──▶ Talking ──▶ WrappingUp ──▶ WrappedUp
  ▲  │        │ │
  └──┼────────┘ │        missed offers return it to its queue, at its original place
     └──────────┴──▶ Abandoned          at once, without a wait, when it comes to a closed queue
Queued ──▶ Redirected                   to a number outside; also without having entered the queue

Queued ──▶ HeldPlace ──▶ Offered ──▶ CallingBack ──▶ Talking        the caller has hung up, and is called back
  ▲          ▲   │                      │  │  ▲                     agent first: as above
  │          └───┼──────────────────────┘  │  │                     nobody answered: the place is kept
  │              └─────────────────────────┼──┘                     customer first: no offer before
  └────────────────────────────────────────┘                        customer first, answered: waits at the place

A consultation is a call whose caller is an agent. It goes Queued ──▶ Offered ──▶ Talking, and from each of them to
ConsultationOver; or, talking, it becomes the call as which the caller of the agent goes on.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal, TypeAlias

import msgspec
from common.events.routing import AbandonReason, ConsultationOutcome, Recording

from routing.domain.flows import Collecting, Flow, FlowState
from routing.domain.flows import Recording as FlowRecording


class InFlow(msgspec.Struct, frozen=True, tag="in_flow"):
    """In the flow of its entry point, as it was when the call arrived. It has no queue yet."""

    flow: Flow
    at: FlowState

    @property
    def step(self) -> str | None:
        """The step that waits for something."""
        position = self.at.position
        return position.step if isinstance(position, Collecting | FlowRecording) else None

    @property
    def due_at(self) -> datetime | None:
        """When that wait is over."""
        position = self.at.position
        return position.due_at if isinstance(position, Collecting | FlowRecording) else None


class Queued(msgspec.Struct, frozen=True, tag="queued"):
    """Waits for an agent. `limit_at` ends the wait, `overflow_at` moves it to the second queue, `widens_at` takes it
    to the next ring of agents who may serve it; until `alone_until` it waits for its preferred agent alone."""

    limit_at: datetime | None
    overflow_at: datetime | None
    ring: int = 0
    widens_at: datetime | None = None
    alone_until: datetime | None = None
    announce_at: datetime | None = None
    """When the next announcement is due."""


class HeldPlace(msgspec.Struct, frozen=True, tag="held_place"):
    """The caller has hung up and keeps the place in the order of service; `Call.callback` says what was promised.

    In line unless it `rests_until` a time: until the next attempt, or until the queue opens."""

    expires_at: datetime
    not_before: datetime | None = None
    """When the next attempt may be made."""
    rests_until: datetime | None = None
    ring: int = 0
    widens_at: datetime | None = None
    number_in_use: bool = False
    """It rests because the number is being dialled or spoken with already, for another promise."""


class Offered(msgspec.Struct, frozen=True, tag="offered"):
    """Rings at one agent until `expires_at`; `waiting` is what it returns to when the offer is missed."""

    agent_id: str
    assigned_at: datetime
    expires_at: datetime
    waiting: Queued | HeldPlace


class CallingBack(msgspec.Struct, frozen=True, tag="calling_back"):
    """The customer is being dialled, for an agent who has accepted the call (None: customer first). Without a word of
    the PBX the attempt is over at `limit_at`; `place` is what the call returns to when nobody answers."""

    dial_id: str
    dialled_at: datetime
    limit_at: datetime
    agent_id: str | None
    place: HeldPlace


class AskedQueue(msgspec.Struct, frozen=True, tag="queue"):
    queue_id: str


class AskedAgent(msgspec.Struct, frozen=True, tag="agent"):
    agent_id: str


class AskedNumber(msgspec.Struct, frozen=True, tag="number"):
    number: str


Asked: TypeAlias = AskedQueue | AskedAgent | AskedNumber


class Consultation(msgspec.Struct, frozen=True):
    """An agent's question to somebody else, under way. Unless that is a number, the call of the same id is between the
    two agents. `joined`: the caller takes part."""

    id: str
    asked: Asked
    began_at: datetime
    joined: bool = False


class Talking(msgspec.Struct, frozen=True, tag="talking"):
    """`held_since` while the caller is on hold, `held_seconds` what was held before."""

    agent_id: str
    answered_at: datetime
    held_since: datetime | None = None
    held_seconds: float = 0.0
    recording: Recording = "off"
    consent: bool = False
    consultation: Consultation | None = None


class WrappingUp(msgspec.Struct, frozen=True, tag="wrapping_up"):
    """The conversation is over; the agent has until `limit_at` to finish."""

    agent_id: str
    answered_at: datetime
    ended_at: datetime
    limit_at: datetime
    held_seconds: float = 0.0


class Abandoned(msgspec.Struct, frozen=True, tag="abandoned"):
    """Terminal: nobody answered."""

    abandoned_at: datetime
    reason: AbandonReason


class Redirected(msgspec.Struct, frozen=True, tag="redirected"):
    """Terminal: sent to a number outside, unanswered."""

    redirected_at: datetime
    to_number: str


class WrappedUp(msgspec.Struct, frozen=True, tag="wrapped_up"):
    """Terminal: answered and done."""

    agent_id: str
    answered_at: datetime
    ended_at: datetime
    wrapped_up_at: datetime
    disposition: str | None
    held_seconds: float = 0.0


class LeftInFlow(msgspec.Struct, frozen=True, tag="left_in_flow"):
    """Terminal: over before a queue was reached; `voicemail`: with a message left."""

    left_at: datetime
    reason: Literal["hung_up", "released", "no_recording", "voicemail"]


class ConsultationOver(msgspec.Struct, frozen=True, tag="consultation_over"):
    """Terminal: a consultation of which no call has come. `agent_id`: who spoke, or at whom it rang last."""

    over_at: datetime
    agent_id: str | None
    outcome: ConsultationOutcome


Live: TypeAlias = InFlow | Queued | HeldPlace | Offered | CallingBack | Talking | WrappingUp
Terminal: TypeAlias = Abandoned | Redirected | WrappedUp | LeftInFlow | ConsultationOver
CallState: TypeAlias = Live | Terminal
CallStateName = Literal[
    "in_flow",
    "queued",
    "held_place",
    "offered",
    "calling_back",
    "talking",
    "wrapping_up",
    "abandoned",
    "redirected",
    "wrapped_up",
    "left_in_flow",
    "consultation_over",
]

NAMES: Final[dict[type[CallState], CallStateName]] = {
    InFlow: "in_flow",
    Queued: "queued",
    HeldPlace: "held_place",
    CallingBack: "calling_back",
    Offered: "offered",
    Talking: "talking",
    WrappingUp: "wrapping_up",
    Abandoned: "abandoned",
    Redirected: "redirected",
    WrappedUp: "wrapped_up",
    LeftInFlow: "left_in_flow",
    ConsultationOver: "consultation_over",
}
