"""The `http` telephony port: a PBX or CPaaS posts facts in batches and is told commands by a stream.

Nothing is decided here: facts become inputs, events become commands.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

from common.auth import Principal, Role
from common.database import Database
from common.errors import Invalid
from common.events import (
    CallAbandoned,
    CallAnnounced,
    CallAnswered,
    CallAssigned,
    CallbackDialled,
    CallbackFailed,
    CallbackReached,
    CallbackRequested,
    CallConferenced,
    CallConsultationBegun,
    CallConsultationEnded,
    CallEnded,
    CallEvent,
    CallHeld,
    CallLeftInFlow,
    CallOfferMissed,
    CallPrompted,
    CallQueued,
    CallRecordingChanged,
    CallRedirected,
    CallResumed,
    CallSupervised,
    ConsultationEvent,
    FlowEvent,
    VoicemailLeft,
)
from common.events.routing import CALLBACK_ENDS
from common.fields import Line, PhoneNumber, Slug
from common.http import Caller, Model, PlainRouter, require
from common.ids import FLOOR, derived_id, new_id
from fastapi import Request
from fastapi.responses import StreamingResponse
from pydantic import Field

from routing.api.agents import check_break_reason
from routing.api.callers import Callers, asks_for_last_agent, phone_of
from routing.api.calls import CallOffer, offer_of, view_of
from routing.api.consultations import consultation_commands_of
from routing.api.state import CallId, Entry, Here, IdempotencyKey, QueueHome, Seconds, entry_queue, may_see
from routing.api.streams import STREAM, Seen, Sent, Streams, command_of, streamed
from routing.domain import inputs
from routing.domain.flows import asks_for_contacts
from routing.store import reading as store

router = PlainRouter(tags=["telephony"], dependencies=[require(Role.OPERATOR, Role.SERVICE)])


class Fact(Model):
    """`id` is the PBX's own name of the fact: the same one again, from the same caller, takes effect once. A fact
    without one is named by the batch's Idempotency-Key and its place in it."""

    id: Line | None = None


class Offered(Fact, CallOffer):
    """A call for a queue. Its id may be chosen by the PBX (`<uuid>.<queue id>`), so that later facts can name it."""

    type: Literal["offered"]
    call_id: CallId | None = None


class Arrived(Fact):
    """Somebody dialled `number`: the call goes through the flow of that number's entry point. Its id may be chosen by
    the PBX (`<uuid>.@<entry point's id>`)."""

    type: Literal["arrived"]
    number: PhoneNumber = Field(examples=["+33639980100"])
    contact_phone: str | None = Field(None, max_length=40, examples=["+33639980001"])
    """International form; null when withheld."""
    external_id: Line | None = None
    preferred_agent_id: Slug | None = None
    """Who should take it, once its flow has led it to a queue; as of an offered call, if one of the queues that the
    flow names has `sticky_seconds`."""
    call_id: CallId | None = None


class Digits(Fact):
    """What the caller pressed after `collect`; empty when nothing came in time."""

    type: Literal["digits"]
    call_id: CallId
    digits: Annotated[str, Field(pattern=r"^[0-9*#]{0,20}$", examples=["1"])]


class RecordingDone(Fact):
    """The message that `record_message` asked for. Also when the caller hung up to end it."""

    type: Literal["recording_done"]
    call_id: CallId
    recording: Line
    """The PBX's own name of it."""
    seconds: Seconds


class CallbackAsked(Fact):
    """The waiting caller wants to hang up and be called back; as `POST /v1/calls/{id}/callback`."""

    type: Literal["callback_requested"]
    call_id: CallId
    contact_phone: str | None = Field(None, max_length=40, examples=["+33639980001"])
    """Where, in international form; null: the number that the call came from."""


class DialResult(Fact):
    """What came of the attempt that `dial` asked for. Only the first fact about an attempt counts, and only while it is
    under way: an answer that is refused (`dial_is_over`) is to be released."""

    type: Literal["dial_result"]
    call_id: CallId
    dial_id: Line
    outcome: Literal["answered", "busy", "no_answer", "failed", "machine"]
    """`machine`: a voicemail is not the customer. It may come after `answered`, while they wait for an agent."""


class HungUp(Fact):
    """By the caller, or by the agent named."""

    type: Literal["hung_up"]
    call_id: CallId
    agent_id: Slug | None = None


class OfferAnswered(Fact):
    type: Literal["accepted", "declined"]
    call_id: CallId
    agent_id: Slug


class WrappedUp(Fact):
    type: Literal["wrapped_up"]
    call_id: CallId
    agent_id: Slug
    disposition: Line | None = None


class AgentState(Fact):
    """`state`: logged_in (available), logged_out, available or break."""

    type: Literal["agent_state"]
    agent_id: Slug
    state: Literal["logged_in", "logged_out", "available", "break"]
    reason: Line | None = None
    """Of a break; one of those that the agent's pool declares, if it declares any."""


AnyFact = Annotated[
    Offered
    | Arrived
    | Digits
    | RecordingDone
    | CallbackAsked
    | DialResult
    | HungUp
    | OfferAnswered
    | WrappedUp
    | AgentState,
    Field(discriminator="type"),
]


class Facts(Model):
    """In the order in which they happened."""

    facts: list[AnyFact] = Field(min_length=1, max_length=1000)


class FactAccepted(Model):
    command_id: UUID
    call_id: str | None


class FactsAccepted(Model):
    """The facts are stored and will be decided in their order. One answer for each, in the same order."""

    accepted: list[FactAccepted]


@router.post("/telephony/facts", status_code=202)
async def post_facts(body: Facts, caller: Caller, here: Here, key: IdempotencyKey = None) -> FactsAccepted:
    """All or none: one wrong fact refuses the batch, and every wrong one is listed as `facts.<n>.<field>`."""
    queues = await here.directory.queues({_queue_of(fact) for fact in body.facts} - {""})
    agents = await here.directory.agents({fact.agent_id for fact in body.facts if isinstance(fact, AgentState)})
    arrived = {fact.number for fact in body.facts if isinstance(fact, Arrived)}
    entries = await here.directory.dialled(arrived) if arrived else {}
    giving = {fact.agent_id for fact in body.facts if isinstance(fact, AgentState) and fact.reason}
    break_reasons = await here.directory.break_reasons(giving)
    callers = await _callers(body.facts, queues, entries, here)
    now = here.sender.clock.now()
    commands: list[tuple[UUID, inputs.Input]] = []
    wrong: list[dict[str, Any]] = []
    for number, fact in enumerate(body.facts):
        try:
            name = _Name(caller, fact.id, key, number)
            commands.append(_command(fact, name, caller, queues, agents, entries, callers, now))
            if isinstance(fact, AgentState) and fact.state == "break":
                check_break_reason(fact.reason, break_reasons.get(fact.agent_id, []))
        except Invalid as problem:
            wrong.append({"field": f"facts.{number}.{problem.field}", "reason": problem.detail})
    if wrong:
        raise Invalid(f"{len(wrong)} of {len(body.facts)} facts are wrong", field=wrong[0]["field"], errors=wrong)
    await here.sender.send(commands)
    return FactsAccepted(
        accepted=[FactAccepted(command_id=sent, call_id=getattr(given, "call_id", None)) for sent, given in commands]
    )


async def _callers(
    facts: list[AnyFact], queues: dict[str, QueueHome], entries: dict[str, Entry], here: Here
) -> Callers:
    """Priorities of those who are offered to a queue, or come to a flow that asks for known contacts; last agents of
    those whose calls may wait for one."""
    contacts: list[tuple[str, str]] = []
    coming_again: list[tuple[str, str]] = []
    for fact in facts:
        with suppress(Invalid):  # it is told with its place when the fact becomes a command
            if isinstance(fact, Arrived) and fact.number in entries:
                entry = entries[fact.number]
                caller = (entry.home.tenant_id, phone_of(fact.contact_phone))
                if asks_for_contacts(entry.flow):
                    contacts.append(caller)
                if asks_for_last_agent(entry.home, fact.preferred_agent_id):
                    coming_again.append(caller)
            elif isinstance(fact, Offered) and fact.queue_id in queues:
                home = queues[fact.queue_id]
                contacts.append((home.tenant_id, phone_of(fact.contact_phone)))
                if asks_for_last_agent(home, fact.preferred_agent_id, fact.direction):
                    coming_again.append(contacts[-1])
    return Callers(await here.directory.contact_priorities(contacts), await here.directory.last_agents(coming_again))


def _queue_of(fact: AnyFact) -> str:
    match fact:
        case Offered(queue_id=queue_id):
            return queue_id
        case Digits(call_id=call_id) | RecordingDone(call_id=call_id):
            return entry_queue(call_id)
        case CallbackAsked(call_id=call_id) | DialResult(call_id=call_id):
            return entry_queue(call_id)
        case HungUp(call_id=call_id) | OfferAnswered(call_id=call_id) | WrappedUp(call_id=call_id):
            return entry_queue(call_id)
        case _:
            return ""


@dataclass(frozen=True, slots=True)
class _Name:
    """What a fact's ids are derived from, so that the same fact has the same ones: its own id, else its place in a
    batch with a key. New ids for a fact that has neither."""

    caller: Principal
    id: str | None
    key: str | None
    place: int

    def __call__(self, *parts: str) -> UUID:
        whose = (self.caller.tenant_id or "", self.caller.subject)
        if self.id is not None:
            return derived_id("fact", *whose, self.id, *parts)
        if self.key is not None:
            return derived_id("fact of batch", *whose, self.key, str(self.place), *parts)
        return new_id()


def _command(
    fact: AnyFact,
    named: _Name,
    caller: Principal,
    queues: dict[str, QueueHome],
    agents: dict[str, str],
    entries: dict[str, Entry],
    callers: Callers,
    now: datetime,
) -> tuple[UUID, inputs.Input]:
    """The input for one fact and its id. Raises Invalid with the fact's own field."""

    if isinstance(fact, AgentState):
        pool_id = agents.get(fact.agent_id)
        if pool_id is None or caller.tenant_id is not None:
            raise Invalid(f"there is no agent {fact.agent_id}", field="agent_id")
        about: dict[str, Any] = {"tenant_id": FLOOR, "pool_id": pool_id, "occurred_at": now, "agent_id": fact.agent_id}
        match fact.state:
            case "logged_in":
                return named(), inputs.LogIn(**about)
            case "logged_out":
                return named(), inputs.LogOut(**about)
            case "available":
                return named(), inputs.SetState(**about, state="available")
            case "break":
                return named(), inputs.SetState(**about, state="break", reason=fact.reason)
    if isinstance(fact, Arrived):
        entry = entries.get(fact.number)
        if entry is None or not may_see(caller, entry.home):
            raise Invalid(f"{fact.number} leads to no entry point", field="number")
        call_id = fact.call_id or f"{named('call')}.@{entry.id}"
        if entry_queue(call_id) != f"@{entry.id}":
            raise Invalid("the call's id does not end in its entry point's", field="call_id")
        return derived_id("arrive", call_id), inputs.ArriveCall(
            tenant_id=entry.home.tenant_id,
            pool_id=entry.home.pool_id,
            occurred_at=now,
            call_id=call_id,
            entry_point_id=entry.id,
            dialled=fact.number,
            flow=entry.flow,
            external_id=fact.external_id,
            **callers.fields_of(entry.home, phone_of(fact.contact_phone), fact.preferred_agent_id),
        )
    queue_id = _queue_of(fact)
    home = queues.get(queue_id)
    if home is None or not may_see(caller, home):
        if isinstance(fact, Offered):
            raise Invalid(f"there is no queue {queue_id}", field="queue_id")
        raise Invalid(f"there is no call {fact.call_id}", field="call_id")
    if isinstance(fact, Offered):
        call_id = fact.call_id or f"{named('call')}.{queue_id}"
        if entry_queue(call_id) != queue_id:
            raise Invalid("the call's id does not end in its queue's", field="call_id")
        return derived_id("offer", call_id), offer_of(fact, call_id, home, now, callers)
    place: dict[str, Any] = {"tenant_id": home.tenant_id, "pool_id": home.pool_id, "occurred_at": now}
    match fact:
        case Digits(call_id=call_id, digits=digits):
            return named(), inputs.Digits(**place, call_id=call_id, digits=digits)
        case RecordingDone(call_id=call_id, recording=recording, seconds=seconds):
            return named(), inputs.RecordingDone(**place, call_id=call_id, recording=recording, seconds=seconds)
        case CallbackAsked(call_id=call_id, contact_phone=phone):
            called = phone_of(phone) or None
            return named(), inputs.RequestCallback(**place, call_id=call_id, phone=called)
        case DialResult(call_id=call_id, dial_id=dial_id, outcome=outcome):
            return named(), inputs.DialResult(**place, call_id=call_id, dial_id=dial_id, outcome=outcome)
        case HungUp(call_id=call_id, agent_id=agent_id):
            return named(), inputs.HangUp(**place, call_id=call_id, agent_id=agent_id)
        case OfferAnswered(type="accepted"):
            return named(), inputs.Accept(**place, call_id=fact.call_id, agent_id=fact.agent_id)
        case OfferAnswered():
            return named(), inputs.Decline(**place, call_id=fact.call_id, agent_id=fact.agent_id)
        case WrappedUp(call_id=call_id, agent_id=agent_id, disposition=disposition):
            return named(), inputs.WrapUp(**place, call_id=call_id, agent_id=agent_id, disposition=disposition)


@router.get("/telephony/stream", response_class=StreamingResponse, responses=STREAM)
async def stream_commands(caller: Caller, here: Here, request: Request) -> StreamingResponse:
    """What a PBX has to do: `snapshot` (every live call, as `GET /v1/calls/{id}`; `awaits`: digits or a message that it
    should be collecting), then `ring`, `stop_ringing`,
    `bridge`, `hold`, `resume`, `record` (`recording`: on, paused, off), `supervise` (`supervisor_id`; `mode`: listen,
    whisper, barge, off), `play` (`what`: queue, no_agent, the name of an announcement, such as closed, or prompt with
    the name of the `prompt`), `release` and `transfer` (instead of release: the caller goes on as `to_call_id` or to
    `to_number`), each with call_id, external_id, queue_id, tenant_id; for a call in the flow of its entry point also
    `collect` (`prompt`, `longest` digits, `seconds` from the prompt's beginning) and `record_message` (`prompt`, at
    most `seconds`), with entry_point_id instead of queue_id. What is to be played is played in this order.

    The order holds for each call. `to_call_id` may be heard of, by `play` or `ring`, before the `transfer` that leads
    to it: the caller's leg is the one that its `external_id` names.

    While a call waits, `play` may come with `what: announcement`, its `message`, and `position` and
    `estimated_wait_seconds` where these are told.

    A caller who is called back: `hold_place` (play that, and release the caller's leg; the call lives on), then `dial`
    (`dial_id`, `attempt`, `phone`, `agent_id` of the agent who waits for the answer, `ring_seconds`, `limit_at`), which
    a `dial_result` fact answers. Each `dial_id` is dialled once: after a reconnection the snapshot shows the attempt
    under way as `callback.dial_id`, which a PBX that knows it goes on with, and one that does not dials. After
    `stop_dialling`, or `release` of the call, nobody is dialled any more, and a machine that has answered is released.

    An agent who asks somebody: `consult` (`consultation_id`; connect the agent with `to_number`, or with whoever takes
    the consultation). It has a call_id of its own, and its commands name the call that it `consults` and the agent who
    asks, `asked_by`: `ring`, `stop_ringing`, `bridge` (the two agents) and `release` (of their line, not of the
    caller). Of the call again: `conference` (connect all) and `end_consultation`, or `transfer` to the consultation's
    id, which is a call from then on: its `bridge`, without `consults`, connects the caller. In the snapshot:
    `consultation` of a call, `consults` of a consultation."""
    return streamed(_command_lines(caller, here.streams, request.app.state.runtime.database))


async def _command_lines(caller: Principal, streams: Streams, database: Database) -> AsyncIterator[bytes]:
    await streams.ready.wait()
    with streams.reader() as reader:
        async with database.transaction(caller.scope) as session:
            calls = await store.live_calls(session)
        known = {call.id: call.sequence for _, call in calls}
        views = [view_of(pool_id, call).model_dump() for pool_id, call in calls]
        yield Sent("snapshot", {"calls": views}).encoded()
        del calls, views
        async for line in streams.lines(reader, _only(caller, known)):
            yield line


def _only(caller: Principal, known: dict[str, int]) -> Callable[[Seen], list[Sent]]:
    """Commands for the caller's tenant (the floor: all), but none that the snapshot already shows."""

    def shown(seen: Seen) -> list[Sent]:
        event = seen.event
        if not isinstance(event, CallEvent | FlowEvent | ConsultationEvent) or event.sequence <= known.get(
            event.call_id, 0
        ):
            return []
        known.pop(event.call_id, None)
        if caller.tenant_id is not None and event.tenant_id != caller.tenant_id:
            return []
        match event:
            case FlowEvent():
                return list(flow_commands_of(event, seen))
            case ConsultationEvent():
                return list(consultation_commands_of(event, seen))
            case _:
                return list(commands_of(event, seen))

    return shown


def commands_of(event: CallEvent, seen: Seen) -> Iterable[Sent]:
    """What a PBX has to do after an event of a call."""
    command = partial(command_of, event, seen)
    match event:
        case CallQueued(taken_by=None):
            yield command("play", what="queue")
        case CallAssigned():
            yield command("ring", agent_id=event.agent_id, offer=event.offer, expires_at=event.offer_expires_at)
        case CallOfferMissed():
            yield command("stop_ringing", agent_id=event.agent_id, reason=event.reason)
        case CallAnswered():
            yield command("bridge", agent_id=event.agent_id)
        case CallAnnounced():
            told = {"position": event.position, "estimated_wait_seconds": event.estimated_wait_seconds}
            yield command("play", what="announcement", message=event.message, **told)
        case CallbackRequested():
            yield command("hold_place", phone=event.phone)
        case CallbackDialled():
            yield command(
                "dial",
                dial_id=event.dial_id,
                attempt=event.attempt,
                phone=event.phone,
                agent_id=event.agent_id,
                ring_seconds=event.ring_seconds,
                limit_at=event.limit_at,
            )
        case CallbackReached():
            yield command("play", what="queue")
        case CallbackFailed():
            yield command("stop_dialling", dial_id=event.dial_id)
        case CallAbandoned():
            if seen.ringing_at is not None:
                yield command("stop_ringing", agent_id=seen.ringing_at, reason="abandoned")
            if event.reason != "hung_up" and event.reason not in CALLBACK_ENDS:
                yield command("play", what=event.message or "no_agent")
            yield command("release")
        case CallRedirected():
            yield command("transfer", to_call_id=None, to_number=event.to_number)
        case CallHeld():
            yield command("hold")
        case CallResumed():
            yield command("resume")
        case CallRecordingChanged():
            yield command("record", recording=event.recording)
        case CallSupervised():
            yield command("supervise", supervisor_id=event.supervisor_id, mode=event.mode)
        case CallConsultationBegun():
            yield command(
                "consult", agent_id=event.agent_id, consultation_id=event.consultation_id, to_number=event.to_number
            )
        case CallConferenced():
            yield command("conference", agent_id=event.agent_id, consultation_id=event.consultation_id)
        case CallConsultationEnded(outcome=outcome) if outcome != "completed":
            yield command("end_consultation", consultation_id=event.consultation_id, outcome=outcome)
        case CallEnded(transferred_to_call_id=None, transferred_to_number=None):
            yield command("release")
        case CallEnded():
            yield command("transfer", to_call_id=event.transferred_to_call_id, to_number=event.transferred_to_number)
        case _:
            return


def flow_commands_of(event: FlowEvent, seen: Seen) -> Iterable[Sent]:
    """What a PBX has to do after an event of a call in its flow."""
    about = {
        "call_id": event.call_id,
        "external_id": event.external_id,
        "entry_point_id": event.entry_point_id,
        "tenant_id": event.tenant_id,
    }
    match event:
        case CallPrompted(action="play"):
            yield Sent("play", {**about, "what": "prompt", "prompt": event.prompt}, seen.id)
        case CallPrompted(action="collect"):
            asked = {"prompt": event.prompt, "longest": event.longest_digits, "seconds": event.seconds}
            yield Sent("collect", {**about, **asked}, seen.id)
        case CallPrompted():
            yield Sent("record_message", {**about, "prompt": event.prompt, "seconds": event.seconds}, seen.id)
        case CallLeftInFlow() | VoicemailLeft():
            yield Sent("release", about, seen.id)
        case _:
            return
