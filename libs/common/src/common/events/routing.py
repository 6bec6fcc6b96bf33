"""Events of routing: `calls` (key: call id), `agents` (key: agent id) and `queues` (key: queue id)."""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

import msgspec

from common.events.base import Event, Moment

Channel = Literal["voice", "chat", "email", "post"]
Direction = Literal["inbound", "outbound"]
CallbackEnd = Literal["callback_unreached", "callback_expired", "callback_cancelled", "called_again"]
AbandonReason = Literal["hung_up", "wait_limit", "no_agent", "closed", "overflow", CallbackEnd]
CALLBACK_ENDS: tuple[CallbackEnd, ...] = get_args(CallbackEnd)
"""Reasons of a CallAbandoned whose caller had hung up to be called back."""
CallbackFailure = Literal["busy", "no_answer", "failed", "timed_out", "agent_hung_up", "machine"]
"""timed_out: the PBX said nothing in time; agent_hung_up: the agent for whom the customer was dialled gave up; machine:
a voicemail is not the customer, also when it is recognised only after the answer."""
MissReason = Literal["timeout", "declined", "agent_gone", "interrupted"]
Recording = Literal["on", "paused", "off"]
Supervision = Literal["listen", "whisper", "barge", "off"]
ConsultationOutcome = Literal["completed", "cancelled", "left", "unanswered", "call_over"]
"""completed: the caller goes on with whoever was asked, the first agent has left; cancelled: by the agent who asked;
left: by the one who was asked; unanswered: nobody took it; call_over: the caller hung up or was handed on otherwise."""
AgentState = Literal["available", "offered", "busy", "wrap_up", "break", "logged_out"]


class CallEvent(Event, frozen=True, kw_only=True):
    """What every event of a call repeats, so that no reader needs a join or an order across topics."""

    TOPIC: ClassVar[str] = "calls"

    call_id: str
    sequence: int
    """1, 2, 3 … within the call: a reader that keeps the newest state compares it."""
    pool_id: str
    queue_id: str
    """The queue the call is in now."""
    entry: int
    """How many queues the call has entered: 1 in the first, 2 after one overflow. 0 before it is queued."""
    channel: Channel
    direction: Direction
    contact_phone: str
    """The other party, E.164; empty when withheld, or when nobody can be recognised by what the network shows."""
    service_level_seconds: float
    """The queue's threshold T of the service level X/T."""
    short_abandon_seconds: float
    time_zone: str
    """The tenant's IANA time zone."""
    occurred_at: Moment
    offered_at: Moment
    queued_at: Moment | None = None
    """When the call entered the queue that it is in now (after an overflow: the second one)."""
    campaign_id: str | None = None
    lead_id: str | None = None
    attempt_id: str | None = None
    external_id: str | None = None
    """The PBX's own id of the call."""
    contact_shown: str | None = None
    """What the network showed instead of a number of `contact_phone`, for people to read; None: nothing."""
    first_call_id: str | None = None
    """The first of the calls through which agents have handed this caller on to here; None: this one is the first."""
    first_offered_at: Moment | None = None
    """When that first call was offered; None: this one is the first, or it was handed on by an older release."""

    @property
    def subject(self) -> str:
        return self.call_id


class CallOffered(CallEvent, frozen=True, kw_only=True):
    """A PBX (or the dialer, after an answer) presented a call to a queue."""

    TYPE: ClassVar[str] = "call.offered.v1"

    transferred_from: str | None = None
    """The call that this one goes on from: the same caller, handed on by its agent."""


class CallQueued(CallEvent, frozen=True, kw_only=True):
    """The call entered a queue; `entry` says whether it is its first."""

    TYPE: ClassVar[str] = "call.queued.v1"

    taken_by: str | None = None
    """The agent who speaks with the caller at this very moment: the call goes on from another, and nobody waits. Its
    CallAnswered follows, without an offer."""


class CallOverflowed(CallEvent, frozen=True, kw_only=True):
    """The call left `queue_id` unanswered for `to_queue_id`; a CallQueued there follows. `entry` 0: the call never
    entered `queue_id`, which was closed or whose split gave it away."""

    TYPE: ClassVar[str] = "call.overflowed.v1"

    to_queue_id: str
    wait_seconds: float
    """Waited in the queue that it leaves."""


class CallAssigned(CallEvent, frozen=True, kw_only=True):
    """The call is offered to one agent, who has until `offer_expires_at` to accept."""

    TYPE: ClassVar[str] = "call.assigned.v1"

    agent_id: str
    assigned_at: Moment
    offer_expires_at: Moment
    offer: int
    """1 for the first agent tried, 2 for the second …"""
    callback: bool = False
    """The caller has hung up: once the agent accepts, they are dialled."""


class CallOfferMissed(CallEvent, frozen=True, kw_only=True):
    """The agent did not accept; the call is back in its queue with its waiting time kept."""

    TYPE: ClassVar[str] = "call.offer_missed.v1"

    agent_id: str
    offer: int
    reason: MissReason
    """interrupted: the agent answered another call that keeps them from calls of this channel; no miss of theirs."""
    callback: bool = False
    """The caller has hung up, and still waits to be called back."""


class CallAnswered(CallEvent, frozen=True, kw_only=True):
    """An agent accepted and speaks with the caller."""

    TYPE: ClassVar[str] = "call.answered.v1"

    agent_id: str
    answered_at: Moment
    wait_seconds: float
    """In the queue that it was answered from: from `queued_at`, over all offers, less `away_seconds`."""
    total_wait_seconds: float
    """From the first queue entry, less `away_seconds`."""
    away_seconds: float = 0.0
    """Of a caller who was called back: how long they were not on the line, from the request to the answer."""


class CallAbandoned(CallEvent, frozen=True, kw_only=True):
    """The call ended before an agent answered it. Terminal."""

    TYPE: ClassVar[str] = "call.abandoned.v1"

    abandoned_at: Moment
    wait_seconds: float
    """Less `away_seconds`, as is `total_wait_seconds`."""
    total_wait_seconds: float
    short: bool
    """Before the queue's short-abandon threshold."""
    reason: AbandonReason
    """hung_up: by the caller; wait_limit: its maximum wait passed (outbound: two seconds); closed: it came to a closed
    queue, which it never entered (`entry` 0): it counts neither as offered nor as abandoned there; overflow: a rule of
    its queue sent it to a message.

    Callers who wait to be called back: callback_unreached: the last attempt failed; callback_expired: it did not come
    about in time; callback_cancelled: somebody said so; called_again: they called themselves, and that call has taken
    over the place. These count as offered, and neither as answered nor as abandoned."""
    message: str | None = None
    """The announcement that the caller hears before the release, where a rule names one."""
    away_seconds: float = 0.0
    """How long the caller was not on the line, to be called back."""
    machine: bool = False
    """An answering machine had answered the dial: nobody was lost. It counts as offered, and neither as answered nor as
    abandoned."""


class CallAnnounced(CallEvent, frozen=True, kw_only=True):
    """The waiting caller hears an announcement of the queue's schedule."""

    TYPE: ClassVar[str] = "call.announced.v1"

    message: str
    position: int | None = None
    """1: the next of the queue. Only where the announcement tells it."""
    estimated_wait_seconds: float | None = None
    """Only where the announcement tells it and enough is known."""


class CallbackRequested(CallEvent, frozen=True, kw_only=True):
    """The waiting caller hangs up, keeps the place in the order of service and is called back."""

    TYPE: ClassVar[str] = "call.callback_requested.v1"

    phone: str
    """Where, E.164."""
    mode: Literal["agent_first", "customer_first"]
    attempts: int
    """Dials, at most."""
    valid_until: Moment
    wait_seconds: float
    """Waited in the queue until now."""
    ringing_at: str | None = None
    """The agent at whom the call rings at this moment: they may still accept."""


class CallbackDialled(CallEvent, frozen=True, kw_only=True):
    """The customer is to be dialled: once for each `dial_id`, however often this is read."""

    TYPE: ClassVar[str] = "call.callback_dialled.v1"

    dial_id: str
    attempt: int
    """1, 2, 3 …"""
    phone: str
    agent_id: str | None
    """The agent who has accepted and waits for the answer; None: customer first."""
    ring_seconds: float
    limit_at: Moment
    """Without a word of the PBX by then, the attempt has failed."""


class CallbackReached(CallEvent, frozen=True, kw_only=True):
    """Customer first: the customer has answered and waits at the place that was kept."""

    TYPE: ClassVar[str] = "call.callback_reached.v1"

    dial_id: str
    attempt: int
    away_seconds: float


class CallbackFailed(CallEvent, frozen=True, kw_only=True):
    """The attempt has not reached the customer. The place is kept; after the last attempt a CallAbandoned follows."""

    TYPE: ClassVar[str] = "call.callback_failed.v1"

    dial_id: str
    attempt: int
    reason: CallbackFailure
    agent_id: str | None
    """Who waited for the answer, and is free again."""
    next_at: Moment | None
    """When the next attempt may be made at the soonest; None: there is none."""


class CallRedirected(CallEvent, frozen=True, kw_only=True):
    """A rule of its queue sent the caller to a number outside, unanswered. Terminal: what happens there is not ours.
    `entry` 0: the call never entered the queue, whose split or closing rule gave it away."""

    TYPE: ClassVar[str] = "call.redirected.v1"

    redirected_at: Moment
    to_number: str
    """E.164."""
    to_name: str
    """Of the number in the tenant's directory."""
    wait_seconds: float
    total_wait_seconds: float


class CallHeld(CallEvent, frozen=True, kw_only=True):
    """The agent has put the caller on hold."""

    TYPE: ClassVar[str] = "call.held.v1"

    agent_id: str


class CallResumed(CallEvent, frozen=True, kw_only=True):
    """Agent and caller speak again."""

    TYPE: ClassVar[str] = "call.resumed.v1"

    agent_id: str
    held_seconds: float
    """This time."""


class CallMachineDetected(CallEvent, frozen=True, kw_only=True):
    """The PBX says that an answering machine has answered the dial, while the agent is on the line already."""

    TYPE: ClassVar[str] = "call.machine_detected.v1"

    agent_id: str


class CallRecordingChanged(CallEvent, frozen=True, kw_only=True):
    """The conversation is recorded from now on, or no longer (paused: the same recording may go on)."""

    TYPE: ClassVar[str] = "call.recording_changed.v1"

    agent_id: str
    recording: Recording
    consent: bool
    """Whether the caller has said yes; a queue that records always asks before (an announcement), not here."""


class CallSupervised(CallEvent, frozen=True, kw_only=True):
    """A supervisor hears the call (listen), is heard by the agent alone (whisper) or by both (barge); off: no more."""

    TYPE: ClassVar[str] = "call.supervised.v1"

    agent_id: str
    supervisor_id: str
    mode: Supervision


class CallConsultationBegun(CallEvent, frozen=True, kw_only=True):
    """The agent asks somebody while the caller is on hold: whoever takes it of a queue, a colleague, or a number
    outside (one of the three). Of the first two the ConsultationEvents of `consultation_id` tell more."""

    TYPE: ClassVar[str] = "call.consultation_begun.v1"

    agent_id: str
    consultation_id: str
    """The call's id if the caller goes on with whoever is asked."""
    to_queue_id: str | None = None
    to_agent_id: str | None = None
    to_number: str | None = None


class CallConferenced(CallEvent, frozen=True, kw_only=True):
    """Caller, agent and whoever was asked speak together."""

    TYPE: ClassVar[str] = "call.conferenced.v1"

    agent_id: str
    consultation_id: str


class CallConsultationEnded(CallEvent, frozen=True, kw_only=True):
    """The agent no longer speaks with whom they asked."""

    TYPE: ClassVar[str] = "call.consultation_ended.v1"

    agent_id: str
    consultation_id: str
    outcome: ConsultationOutcome


class CallEnded(CallEvent, frozen=True, kw_only=True):
    """The conversation is over; the agent wraps up. A transferred caller goes on elsewhere: as another call of ours, or
    at a number outside."""

    TYPE: ClassVar[str] = "call.ended.v1"

    agent_id: str
    answered_at: Moment
    ended_at: Moment
    wait_seconds: float
    talk_seconds: float
    """With the time on hold, without the time in which another call of the agent had interrupted this one."""
    held_seconds: float = 0.0
    talk_paused_seconds: float = 0.0
    """In which it was interrupted."""
    transferred_to_call_id: str | None = None
    transferred_to_number: str | None = None


class CallWrappedUp(CallEvent, frozen=True, kw_only=True):
    """The agent's work for the call is done. Terminal."""

    TYPE: ClassVar[str] = "call.wrapped_up.v1"

    agent_id: str
    answered_at: Moment
    ended_at: Moment
    wrapped_up_at: Moment
    wait_seconds: float
    talk_seconds: float
    wrap_up_seconds: float
    disposition: str | None
    """None when the wrap-up time ran out without a code."""
    talk_paused_seconds: float = 0.0
    """In which another call of the agent had interrupted this one: not in `talk_seconds`."""
    wrap_up_paused_seconds: float = 0.0
    """The same, not in `wrap_up_seconds`."""


class QueueDeclared(Event, frozen=True, kw_only=True):
    """There is a queue: told when an operator declares it, and again with every change of its declaration."""

    TOPIC: ClassVar[str] = "queues"
    TYPE: ClassVar[str] = "queue.declared.v1"

    queue_id: str
    pool_id: str
    channel: Channel
    occurred_at: Moment

    @property
    def subject(self) -> str:
        return self.queue_id


class FlowEvent(Event, frozen=True, kw_only=True):
    """What every event of a call in the flow of its entry point repeats: no queue has it yet, and it counts in no
    queue's figures. Its numbers go on in the events after CallOffered."""

    TOPIC: ClassVar[str] = "calls"

    call_id: str
    sequence: int
    pool_id: str
    entry_point_id: str
    dialled: str
    """The number of ours that was dialled, E.164."""
    contact_phone: str
    """The caller, E.164; empty when withheld, or when nobody can be recognised by what the network shows."""
    occurred_at: Moment
    arrived_at: Moment
    external_id: str | None = None
    """The PBX's own id of the call."""
    contact_shown: str | None = None
    """As in CallEvent."""

    @property
    def subject(self) -> str:
        return self.call_id


class CallArrived(FlowEvent, frozen=True, kw_only=True):
    """Somebody dialled a number of an entry point: the call begins its flow."""

    TYPE: ClassVar[str] = "call.arrived.v1"


class CallPrompted(FlowEvent, frozen=True, kw_only=True):
    """A step of the flow has something played: `play` alone, `collect` and asks for digits, `record` and records."""

    TYPE: ClassVar[str] = "call.prompted.v1"

    step: str
    action: Literal["play", "collect", "record"]
    prompt: str
    longest_digits: int | None = None
    """Of collect: so many digits are enough."""
    seconds: float | None = None
    """How long digits are waited for, from the beginning of the prompt; how long a recording may be."""


class CallLeftInFlow(FlowEvent, frozen=True, kw_only=True):
    """The call was over before it reached a queue: no abandon, for nobody was asked to answer it. Terminal."""

    TYPE: ClassVar[str] = "call.left_in_flow.v1"

    left_at: Moment
    step: str | None
    """Where it waited; None when the flow's own end released it."""
    reason: Literal["hung_up", "released", "no_recording"]


class VoicemailLeft(FlowEvent, frozen=True, kw_only=True):
    """The caller has spoken a message for a queue. Terminal."""

    TYPE: ClassVar[str] = "call.voicemail_left.v1"

    queue_id: str
    recording: str
    """The PBX's own name of what it recorded."""
    seconds: float
    left_at: Moment


class CallAtHand(msgspec.Struct, frozen=True):
    """One of the calls of an agent who has several at a time. `paused`: another of them has interrupted it."""

    call_id: str
    tenant_id: str
    channel: Channel
    state: Literal["busy", "wrap_up", "offered"]
    paused: bool = False


class ConsultationEvent(Event, frozen=True, kw_only=True):
    """What every event of a consultation repeats: an agent asks another while a caller is on hold. It is no customer's
    call and counts in no queue's figures. If the caller goes on with whoever was asked, it becomes a call under its own
    id: a CallOffered follows, and the numbers go on."""

    TOPIC: ClassVar[str] = "calls"

    call_id: str
    """The consultation's own."""
    sequence: int
    pool_id: str
    queue_id: str
    """The queue that is asked; of a colleague who was asked by name: the queue of the call that it is about."""
    consults: str
    """The call that it is about."""
    asked_by: str
    """That call's agent."""
    contact_phone: str
    """That call's."""
    occurred_at: Moment
    external_id: str | None = None
    """That call's, at the PBX."""

    @property
    def subject(self) -> str:
        return self.call_id


class ConsultationAssigned(ConsultationEvent, frozen=True, kw_only=True):
    """It rings at an agent, who has until `offer_expires_at` to accept."""

    TYPE: ClassVar[str] = "consultation.assigned.v1"

    agent_id: str
    assigned_at: Moment
    offer_expires_at: Moment
    offer: int
    """1 for the first agent tried, 2 for the second …"""


class ConsultationOfferMissed(ConsultationEvent, frozen=True, kw_only=True):
    """The agent did not accept."""

    TYPE: ClassVar[str] = "consultation.offer_missed.v1"

    agent_id: str
    offer: int
    reason: MissReason


class ConsultationAnswered(ConsultationEvent, frozen=True, kw_only=True):
    """The two agents speak."""

    TYPE: ClassVar[str] = "consultation.answered.v1"

    agent_id: str
    answered_at: Moment


class ConsultationEnded(ConsultationEvent, frozen=True, kw_only=True):
    """It is over, and no call has come of it. Terminal."""

    TYPE: ClassVar[str] = "consultation.ended.v1"

    agent_id: str | None
    """Who spoke, or at whom it rang; None: at nobody."""
    ended_at: Moment
    outcome: ConsultationOutcome


class AgentEvent(Event, frozen=True, kw_only=True):
    """What every event of an agent repeats. `tenant_id` is the floor's own: agents serve several tenants."""

    TOPIC: ClassVar[str] = "agents"

    agent_id: str
    sequence: int
    pool_id: str
    queue_ids: list[str]
    """Queues whose required skills the agent has."""
    occurred_at: Moment
    takes: list[Channel] | None = None
    """The channels of which the agent could be offered one more call now; None: they take one call at a time, of any
    channel, while they are available."""

    @property
    def subject(self) -> str:
        return self.agent_id


class AgentLoggedIn(AgentEvent, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "agent.logged_in.v1"

    state: AgentState


class AgentStateChanged(AgentEvent, frozen=True, kw_only=True):
    """The agent moved from one state to another; `seconds_in_previous` counts for the interval it was spent in.

    Of an agent with several calls at a time every change of one of them is told, also when the state stays the same.
    Their one state is that of a call which is not paused: busy before wrap_up before offered; of several such calls,
    voice before chat, email and post, then the first offered. `call_id` is that call."""

    TYPE: ClassVar[str] = "agent.state_changed.v1"

    state: AgentState
    previous_state: AgentState
    since_previous: Moment
    """When the previous state began."""
    seconds_in_previous: float
    reason: str | None = None
    call_id: str | None = None
    call_tenant_id: str | None = None
    """Tenant of the call that the agent is busy with, if any."""
    calls: list[CallAtHand] = msgspec.field(default_factory=list)
    """Every call at hand of an agent with a declared capacity; of others, empty."""


class AgentLoggedOut(AgentEvent, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "agent.logged_out.v1"

    previous_state: AgentState
    since_previous: Moment
    seconds_in_previous: float
    reason: str | None = None
    """Why an operator ended the shift; None: the agent did."""
