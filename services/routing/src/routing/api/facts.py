"""Telephony facts of the `http` port: a PBX or CPaaS posts them in batches, and they become inputs of their pools.

Nothing is decided here. What a PBX is told to do: `telephony`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

from common.auth import Principal, Role
from common.errors import Invalid
from common.fields import Line, Slug
from common.http import Caller, Model, PlainRouter, require
from common.ids import FLOOR, derived_id, new_id
from common.phone import InvalidPhone, normalise
from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from routing.api.agents import check_break_reason
from routing.api.callers import Callers, Shown, asks_for_last_agent, number_of, party_of
from routing.api.calls import CallOffer, offer_of
from routing.api.state import CallId, Entry, Here, IdempotencyKey, QueueHome, Seconds, entry_queue, may_see
from routing.domain import inputs
from routing.domain.flows import asks_for_contacts

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
    number: Annotated[str, Field(max_length=40, examples=["+33639980100"])]
    """In international form."""
    contact_phone: Shown = None
    external_id: Line | None = None
    preferred_agent_id: Slug | None = None
    """Who should take it, once its flow has led it to a queue; as of an offered call, if one of the queues that the
    flow names has `sticky_seconds`."""
    call_id: CallId | None = None

    def dialled(self) -> str:
        """The number in E.164. Raises Invalid."""
        try:
            return normalise(self.number, possible=True)
        except InvalidPhone as wrong:
            raise Invalid(f"number: {wrong}", field="number") from None


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
    """Where, in international form or national in the tenant's region; null: the number that the call came from."""


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


@dataclass(frozen=True, slots=True)
class UnreadFact:
    """A fact that is not as the document says: told for itself."""

    errors: list[dict[str, Any]]


def _read(given: Any, read: ValidatorFunctionWrapHandler) -> Any:
    try:
        return read(given)
    except ValidationError as wrong:
        found = wrong.errors(include_url=False, include_input=False, include_context=False)
        # The place begins with the fact's type, which is no field.
        return UnreadFact([{"field": ".".join(map(str, one["loc"][1:])), "reason": one["msg"]} for one in found])


class Facts(Model):
    """In the order in which they happened. A wrong one is told for itself, and the others happen."""

    facts: list[Annotated[AnyFact, WrapValidator(_read)]] = Field(min_length=1, max_length=1000)


class FactAccepted(Model):
    fact: int
    """Its place in the request, from 0."""
    command_id: UUID
    call_id: str | None


class FactRefused(Model):
    """What is wrong with a fact. Sending it again is of no use."""

    fact: int
    """Its place in the request, from 0."""
    field: str = Field(examples=["facts.1.queue_id"])
    reason: str


class FactsAccepted(Model):
    """The accepted facts are stored and will be decided in their order. Each fact is in one of the lists."""

    accepted: list[FactAccepted]
    refused: list[FactRefused]


Wrong: TypeAlias = dict[int, list[dict[str, Any]]]
"""What is wrong with which fact of a request."""


@router.post("/telephony/facts", status_code=202)
async def post_facts(body: Facts, caller: Caller, here: Here, key: IdempotencyKey = None) -> FactsAccepted:
    """Each fact for itself: a wrong one is listed in `refused` as `facts.<n>.<field>`, and the others happen. 422 when
    none of them can. What the network shows of a caller makes no fact wrong."""
    commands: dict[int, tuple[UUID, inputs.Input]] = {}
    wrong: Wrong = {}
    facts: list[tuple[int, AnyFact]] = []
    dialled: dict[int, str] = {}
    for number, fact in enumerate(body.facts):
        if isinstance(fact, UnreadFact):
            wrong[number] = fact.errors
            continue
        try:
            if isinstance(fact, Arrived):
                dialled[number] = fact.dialled()
            facts.append((number, fact))
        except Invalid as problem:
            wrong[number] = [{"field": problem.field, "reason": problem.detail}]
    if not facts:
        raise _none_of(body.facts, wrong)
    known = await _known(facts, dialled, here)
    now = here.sender.clock.now()
    for number, fact in facts:
        try:
            named = _Name(caller, fact.id, key, number)
            commands[number] = _command(fact, named, caller, known, dialled.get(number, ""), now)
        except Invalid as problem:
            wrong[number] = [{"field": problem.field, "reason": problem.detail}]
    if not commands:
        raise _none_of(body.facts, wrong)
    await here.sender.send(list(commands.values()))
    accepted = [
        FactAccepted(fact=number, command_id=sent, call_id=getattr(given, "call_id", None))
        for number, (sent, given) in commands.items()
    ]
    return FactsAccepted(accepted=accepted, refused=_refused(wrong))


def _refused(wrong: Wrong) -> list[FactRefused]:
    return [
        FactRefused(fact=number, field=f"facts.{number}.{error['field']}".rstrip("."), reason=error["reason"])
        for number in sorted(wrong)
        for error in wrong[number]
    ]


def _none_of(facts: list[Any], wrong: Wrong) -> Invalid:
    errors = [{"field": one.field, "reason": one.reason} for one in _refused(wrong)]
    return Invalid(f"none of {len(facts)} facts can be taken", field=errors[0]["field"], errors=errors)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the facts of a request name, as far as it exists."""

    queues: dict[str, QueueHome]
    agents: dict[str, str]
    entries: dict[str, Entry]
    break_reasons: dict[str, list[str]]
    callers: Callers


async def _known(facts: list[tuple[int, AnyFact]], dialled: dict[int, str], here: Here) -> _Known:
    queues = await here.directory.queues({_queue_of(fact) for _, fact in facts} - {""})
    agents = await here.directory.agents({fact.agent_id for _, fact in facts if isinstance(fact, AgentState)})
    entries = await here.directory.dialled(set(dialled.values())) if dialled else {}
    giving = {fact.agent_id for _, fact in facts if isinstance(fact, AgentState) and fact.reason}
    break_reasons = await here.directory.break_reasons(giving)
    callers = await _callers(facts, queues, {number: entries.get(to) for number, to in dialled.items()}, here)
    return _Known(queues, agents, entries, break_reasons, callers)


async def _callers(
    facts: list[tuple[int, AnyFact]], queues: dict[str, QueueHome], entries: dict[int, Entry | None], here: Here
) -> Callers:
    """Priorities of those who are offered to a queue, or come to a flow that asks for known contacts; last agents of
    those whose calls may wait for one."""
    contacts: list[tuple[str, str]] = []
    coming_again: list[tuple[str, str]] = []
    for number, fact in facts:
        entry = entries.get(number)
        if isinstance(fact, Arrived) and entry is not None:
            caller = (entry.home.tenant_id, party_of(fact.contact_phone, entry.home).phone)
            if asks_for_contacts(entry.flow):
                contacts.append(caller)
            if asks_for_last_agent(entry.home, fact.preferred_agent_id):
                coming_again.append(caller)
        elif isinstance(fact, Offered) and fact.queue_id in queues:
            home = queues[fact.queue_id]
            contacts.append((home.tenant_id, party_of(fact.contact_phone, home, fact.direction).phone))
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
    fact: AnyFact, named: _Name, caller: Principal, known: _Known, dialled: str, now: datetime
) -> tuple[UUID, inputs.Input]:
    """The input for one fact and its id; `dialled`: the number of one that arrived. Raises Invalid with the fact's own
    field."""

    if isinstance(fact, AgentState):
        pool_id = known.agents.get(fact.agent_id)
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
                check_break_reason(fact.reason, known.break_reasons.get(fact.agent_id, []))
                return named(), inputs.SetState(**about, state="break", reason=fact.reason)
    if isinstance(fact, Arrived):
        entry = known.entries.get(dialled)
        if entry is None or not may_see(caller, entry.home):
            raise Invalid(f"{dialled} leads to no entry point", field="number")
        call_id = fact.call_id or f"{named('call')}.@{entry.id}"
        if entry_queue(call_id) != f"@{entry.id}":
            raise Invalid("the call's id does not end in its entry point's", field="call_id")
        return derived_id("arrive", call_id), inputs.ArriveCall(
            tenant_id=entry.home.tenant_id,
            pool_id=entry.home.pool_id,
            occurred_at=now,
            call_id=call_id,
            entry_point_id=entry.id,
            dialled=dialled,
            flow=entry.flow,
            external_id=fact.external_id,
            **known.callers.fields_of(entry.home, party_of(fact.contact_phone, entry.home), fact.preferred_agent_id),
        )
    queue_id = _queue_of(fact)
    home = known.queues.get(queue_id)
    if home is None or not may_see(caller, home):
        if isinstance(fact, Offered):
            raise Invalid(f"there is no queue {queue_id}", field="queue_id")
        raise Invalid(f"there is no call {fact.call_id}", field="call_id")
    if isinstance(fact, Offered):
        call_id = fact.call_id or f"{named('call')}.{queue_id}"
        if entry_queue(call_id) != queue_id:
            raise Invalid("the call's id does not end in its queue's", field="call_id")
        return derived_id("offer", call_id), offer_of(fact, call_id, home, now, known.callers)
    place: dict[str, Any] = {"tenant_id": home.tenant_id, "pool_id": home.pool_id, "occurred_at": now}
    match fact:
        case Digits(call_id=call_id, digits=digits):
            return named(), inputs.Digits(**place, call_id=call_id, digits=digits)
        case RecordingDone(call_id=call_id, recording=recording, seconds=seconds):
            return named(), inputs.RecordingDone(**place, call_id=call_id, recording=recording, seconds=seconds)
        case CallbackAsked(call_id=call_id, contact_phone=phone):
            called = number_of(phone, home) if phone else None
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
