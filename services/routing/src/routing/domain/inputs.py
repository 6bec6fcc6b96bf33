"""Commands and facts that change a pool, in the order of the topic `routing-inputs` (key: pool id).

Private to routing: they are not in `common.events.CATALOGUE`. Durations derive from `occurred_at`, the time at which
the API took the input, never from the time at which it is handled.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal, TypeAlias
from uuid import UUID

from common.events.base import Event
from common.events.routing import Channel, Direction, Recording, Supervision

from routing.domain.call_states import Asked
from routing.domain.calls import Call, Phase
from routing.domain.configuration import AgentProfile, ClosedBy, Queue, Site
from routing.domain.flows import Flow
from routing.domain.shares import Share

TOPIC = "routing-inputs"


class Input(Event, frozen=True, kw_only=True):
    """What every input says: whose it is, for which pool, and when it came in."""

    TOPIC: ClassVar[str] = TOPIC

    pool_id: str
    occurred_at: datetime
    command_id: UUID | None = None
    """Under which its sender asks what became of it, where it was handed on from another pool; None: its own id."""

    @property
    def subject(self) -> str:
        return self.pool_id


class OfferCall(Input, frozen=True, kw_only=True):
    """A call for a queue. `max_wait_seconds` (outbound: 2) is the longest that it waits for an agent to be found;
    `preferred_agent_id` is who should take it if they may and can, and `spoke_last` that nobody said so: they are the
    one who last spoke with the caller;
    `contact_priority` is the caller's own as a contact of the tenant (None: nobody known), which counts beside the
    queue's. `priority` (None: that of the contact) and `skills` are what a transferred call has from its flow, and
    `handed_on_by` is the agent who transferred it."""

    TYPE: ClassVar[str] = "routing.offer_call.v1"

    call_id: str
    queue_id: str
    contact_phone: str
    channel: Channel
    direction: Direction
    contact_shown: str | None = None
    external_id: str | None = None
    max_wait_seconds: float | None = None
    campaign_id: str | None = None
    lead_id: str | None = None
    attempt_id: str | None = None
    transferred_from: str | None = None
    handed_on_by: str | None = None
    first_call_id: str | None = None
    first_offered_at: datetime | None = None
    preferred_agent_id: str | None = None
    spoke_last: bool = False
    contact_priority: int | None = None
    priority: int | None = None
    skills: tuple[str, ...] = ()


class TakeOver(Input, frozen=True, kw_only=True):
    """A call of a queue that is at home here; from a pool to which it came, or which the queue has left."""

    TYPE: ClassVar[str] = "routing.take_over.v1"

    call: Call
    phase: Phase = "waits"


class ArriveCall(Input, frozen=True, kw_only=True):
    """A call for an entry point, with the flow that it has at this time. `preferred_agent_id` and `spoke_last` as in
    `OfferCall`."""

    TYPE: ClassVar[str] = "routing.arrive_call.v1"

    call_id: str
    entry_point_id: str
    dialled: str
    contact_phone: str
    flow: Flow
    contact_shown: str | None = None
    contact_priority: int | None = None
    external_id: str | None = None
    preferred_agent_id: str | None = None
    spoke_last: bool = False


class Digits(Input, frozen=True, kw_only=True):
    """What the caller pressed at a menu; empty: nothing, in the time that the PBX gave."""

    TYPE: ClassVar[str] = "routing.digits.v1"

    call_id: str
    digits: str


class RecordingDone(Input, frozen=True, kw_only=True):
    """The PBX has the caller's message; `recording` is its own name of it."""

    TYPE: ClassVar[str] = "routing.recording_done.v1"

    call_id: str
    recording: str
    seconds: float


class RequestCallback(Input, frozen=True, kw_only=True):
    """The waiting caller hangs up and wants to be called back at their place: at `phone`, or where they called from."""

    TYPE: ClassVar[str] = "routing.request_callback.v1"

    call_id: str
    phone: str | None = None


class CancelCallback(Input, frozen=True, kw_only=True):
    """The caller is not to be called back any more; `by`: who says so."""

    TYPE: ClassVar[str] = "routing.cancel_callback.v1"

    call_id: str
    by: str


class DialResult(Input, frozen=True, kw_only=True):
    """What came of the attempt `dial_id` to reach the customer of a callback."""

    TYPE: ClassVar[str] = "routing.dial_result.v1"

    call_id: str
    dial_id: str
    outcome: Literal["answered", "busy", "no_answer", "failed", "machine"]


class HangUp(Input, frozen=True, kw_only=True):
    """The call is over: by its agent if `agent_id` is given (only while they talk), otherwise by the caller."""

    TYPE: ClassVar[str] = "routing.hang_up.v1"

    call_id: str
    agent_id: str | None = None


class MachineDetected(Input, frozen=True, kw_only=True):
    """An answering machine has answered the dial: the call is withdrawn, or shown to the agent who speaks already."""

    TYPE: ClassVar[str] = "routing.machine_detected.v1"

    call_id: str


class Accept(Input, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "routing.accept.v1"

    call_id: str
    agent_id: str


class Decline(Input, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "routing.decline.v1"

    call_id: str
    agent_id: str


class WrapUp(Input, frozen=True, kw_only=True):
    """The agent's work for the ended call is done, with its code."""

    TYPE: ClassVar[str] = "routing.wrap_up.v1"

    call_id: str
    agent_id: str
    disposition: str | None = None


class Hold(Input, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "routing.hold.v1"

    call_id: str
    agent_id: str


class Resume(Input, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "routing.resume.v1"

    call_id: str
    agent_id: str


class Record(Input, frozen=True, kw_only=True):
    """`consent`: the caller has said yes, now or to another agent before."""

    TYPE: ClassVar[str] = "routing.record.v1"

    call_id: str
    agent_id: str
    recording: Recording
    consent: bool = False


class Supervise(Input, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "routing.supervise.v1"

    call_id: str
    supervisor_id: str
    mode: Supervision


class Transfer(Input, frozen=True, kw_only=True):
    """The agent hands the caller on: to a queue of whatever pool, as the new call `to_call_id`, or to a number.
    `to_closed`: the queue is closed, by what, and none of its rules says where its calls go then."""

    TYPE: ClassVar[str] = "routing.transfer.v1"

    call_id: str
    agent_id: str
    to_call_id: str | None = None
    to_queue_id: str | None = None
    to_pool_id: str | None = None
    to_number: str | None = None
    to_closed: ClosedBy | None = None


class Consult(Input, frozen=True, kw_only=True):
    """The agent asks somebody while the caller is on hold."""

    TYPE: ClassVar[str] = "routing.consult.v1"

    call_id: str
    agent_id: str
    consultation_id: str
    asked: Asked


class CancelConsultation(Input, frozen=True, kw_only=True):
    """Back to the caller."""

    TYPE: ClassVar[str] = "routing.cancel_consultation.v1"

    call_id: str
    agent_id: str


class Confer(Input, frozen=True, kw_only=True):
    """The caller and whoever was asked speak with each other and the agent."""

    TYPE: ClassVar[str] = "routing.confer.v1"

    call_id: str
    agent_id: str


class CompleteConsultation(Input, frozen=True, kw_only=True):
    """The caller goes on with whoever was asked, and the agent leaves."""

    TYPE: ClassVar[str] = "routing.complete_consultation.v1"

    call_id: str
    agent_id: str


class Relieve(Input, frozen=True, kw_only=True):
    """A supervisor takes the conversation from its agent: the caller goes on as the new call `to_call_id`."""

    TYPE: ClassVar[str] = "routing.relieve.v1"

    call_id: str
    supervisor_id: str
    to_call_id: str


class LogIn(Input, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "routing.log_in.v1"

    agent_id: str
    state: Literal["available", "break"] = "available"


class LogOut(Input, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "routing.log_out.v1"

    agent_id: str


class SetState(Input, frozen=True, kw_only=True):
    """The agent asks to take calls, or for a break with a reason."""

    TYPE: ClassVar[str] = "routing.set_state.v1"

    agent_id: str
    state: Literal["available", "break"]
    reason: str | None = None


class ConfigureQueue(Input, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "routing.queue_configured.v1"

    queue: Queue
    moved: bool = False
    """By this the queue moves from one pool to another."""


class ConfigureAgent(Input, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "routing.agent_configured.v1"

    agent: AgentProfile


class ConfigureSite(Input, frozen=True, kw_only=True):
    """To every pool: which of its agents are there, it knows."""

    TYPE: ClassVar[str] = "routing.site_configured.v1"

    site: Site


class ConfigureShare(Input, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "routing.share_configured.v1"

    share: Share


class Tick(Input, frozen=True, kw_only=True):
    """Time has come to `occurred_at`: whatever is due happens. Written by the pool's owner when a timer is due, so that
    timers have their place in the one order of the pool's inputs and a replay gives the same events."""

    TYPE: ClassVar[str] = "routing.tick.v1"


InConversation: TypeAlias = (
    Hold | Resume | Record | Transfer | Consult | CancelConsultation | Confer | CompleteConsultation
)
"""Of the agent who speaks with the caller."""

AnyInput: TypeAlias = (
    OfferCall
    | TakeOver
    | ArriveCall
    | Digits
    | RecordingDone
    | RequestCallback
    | CancelCallback
    | DialResult
    | HangUp
    | MachineDetected
    | Accept
    | Decline
    | WrapUp
    | InConversation
    | Supervise
    | Relieve
    | LogIn
    | LogOut
    | SetState
    | ConfigureQueue
    | ConfigureAgent
    | ConfigureSite
    | ConfigureShare
    | Tick
)

INPUTS: dict[str, type[Event]] = {
    cls.TYPE: cls
    for cls in (
        OfferCall,
        TakeOver,
        ArriveCall,
        Digits,
        RecordingDone,
        RequestCallback,
        CancelCallback,
        DialResult,
        HangUp,
        MachineDetected,
        Accept,
        Decline,
        WrapUp,
        Hold,
        Resume,
        Record,
        Supervise,
        Transfer,
        Consult,
        CancelConsultation,
        Confer,
        CompleteConsultation,
        Relieve,
        LogIn,
        LogOut,
        SetState,
        ConfigureQueue,
        ConfigureAgent,
        ConfigureSite,
        ConfigureShare,
        Tick,
    )
}
"""Every input by its CloudEvents type, for the consumer that decodes them."""
