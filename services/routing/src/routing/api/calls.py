"""Calls: offered, accepted, declined, hung up, wrapped up; and read."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, assert_never

from common.auth import Principal, Role
from common.database import Session
from common.errors import Conflict, Invalid, NotFound
from common.events.routing import Channel, Direction, Recording
from common.fields import SLUG, Line, Slug, TenantFilter
from common.http import (
    Caller,
    Db,
    Model,
    Page,
    PageCursor,
    PageLimit,
    PlainRouter,
    Router,
    decode_key,
    page,
    require,
)
from common.ids import derived_id, new_id
from fastapi import Query
from pydantic import Field

from routing.api.callers import Callers, Shown, asks_for_last_agent, party_of
from routing.api.commands import Accepted
from routing.api.consultations import ConsultationView, open_consultation
from routing.api.state import (
    CallPath,
    Here,
    IdempotencyKey,
    QueueHome,
    Seconds,
    acting_agent,
    command_id,
)
from routing.api.waiting import CallbackView, callback_view
from routing.domain import inputs
from routing.domain.call_states import (
    Abandoned,
    CallStateName,
    HeldPlace,
    InFlow,
    Queued,
    Talking,
    WrappedUp,
    WrappingUp,
)
from routing.domain.calls import Call
from routing.domain.estimates import ahead_of, learn
from routing.domain.flows import Collect, Record, awaited
from routing.store import reading as store
from routing.store.configuration import queue as queue_row
from routing.store.states import queue_of

router = PlainRouter(tags=["calls"])
reading = Router(tags=["calls"])

Floor = require(Role.OPERATOR, Role.SERVICE)
OrAgent = require(Role.OPERATOR, Role.SERVICE, Role.AGENT)


class CallOffer(Model):
    """A call for a queue. `max_wait_seconds`: how long it waits for an agent (outbound: 2)."""

    queue_id: Slug
    contact_phone: Shown = None
    channel: Channel = "voice"
    direction: Direction = "inbound"
    external_id: Line | None = None
    max_wait_seconds: Seconds | None = None
    campaign_id: Line | None = None
    lead_id: Line | None = None
    attempt_id: Line | None = None
    preferred_agent_id: Slug | None = None
    """Who should take it. The queue's `sticky_seconds` says how long it waits for them alone; an agent who may not
    serve the queue, or is not there, makes no difference. Null: for an inbound call of a queue with `sticky_seconds`
    the agent who last answered a call of this phone number for the same tenant, if there is one."""


class CallAccepted(Accepted):
    call_id: str


class ByAgent(Model):
    """Who acts. An agent's own token says it by itself."""

    agent_id: Slug | None = None


class HangUpBody(Model):
    """Whose side hung up: the caller's, or that of the agent named."""

    agent_id: Slug | None = None


class WrapUpBody(ByAgent):
    disposition: Line | None = Field(None, examples=["sold"])


class AwaitedView(Model):
    """What a call in its flow waits for; as the command of the same name on the telephony stream."""

    action: Literal["collect", "record_message"]
    prompt: str
    longest: int | None
    """Digits; null for a message."""
    seconds: float | None
    """At most so long; null for digits."""
    due_at: datetime | None
    """Digits that come later are too late; null for a message."""


class CallView(Model):
    """A call as it is now. Times that have not come are null."""

    call_id: str
    tenant_id: str
    pool_id: str
    queue_id: str | None
    """Null while the call is in the flow of its entry point."""
    state: CallStateName
    entry: int
    channel: Channel
    direction: Direction
    contact_phone: str
    """E.164; empty when nobody can be recognised by what was shown."""
    contact_shown: str | None
    """What the network showed instead of a number; null: nothing, the caller withheld it."""
    agent_id: str | None
    offers: int
    offered_at: datetime
    queued_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    wrapped_up_at: datetime | None
    abandoned_at: datetime | None
    disposition: str | None
    machine: bool
    """The PBX says that an answering machine has answered it."""
    external_id: str | None
    campaign_id: str | None
    lead_id: str | None
    attempt_id: str | None
    on_hold: bool
    recording: Recording | None
    """Null: nobody speaks."""
    transferred_from: str | None
    transferred_to: str | None
    """The call that the caller went on as, or the number outside."""
    consultation: ConsultationView | None
    """What its agent asks of somebody else meanwhile."""
    consults: str | None
    """It is no customer's call: two agents speak of the call with this id."""
    entry_point_id: str | None
    dialled: str | None
    arrived_at: datetime | None
    """At its entry point."""
    flow_step: str | None
    """Where its flow waits for digits or a message."""
    awaits: AwaitedView | None
    """What it waits for there."""
    priority: int
    """Steps beside its queue's: as its flow has found, or the contact's own for a call that had no flow."""
    skills: list[str]
    """Beside those of its queue, as its flow has found."""
    paused: bool
    """Interrupted by another call of its agent."""
    callback: CallbackView | None
    """Null: its caller did not ask to be called back."""


class OneCallView(CallView):
    """`position`: 1 for the first of the queue's waiting calls, null when it does not wait.
    `estimated_wait_seconds`: from now on, if the caller stays; null when too few have waited there lately."""

    position: int | None = Field(examples=[2])
    estimated_wait_seconds: float | None = Field(examples=[42.5])


def offer_of(offer: CallOffer, call_id: str, home: QueueHome, now: datetime, callers: Callers) -> inputs.OfferCall:
    """The input for an offered call. Raises Invalid for a channel that does not fit."""
    if offer.channel != home.channel:
        raise Invalid(f"queue {offer.queue_id} is for {home.channel}, not {offer.channel}", field="channel")
    return inputs.OfferCall(
        tenant_id=home.tenant_id,
        pool_id=home.pool_id,
        occurred_at=now,
        call_id=call_id,
        queue_id=offer.queue_id,
        channel=offer.channel,
        direction=offer.direction,
        external_id=offer.external_id,
        max_wait_seconds=offer.max_wait_seconds,
        campaign_id=offer.campaign_id,
        lead_id=offer.lead_id,
        attempt_id=offer.attempt_id,
        **callers.fields_of(
            home,
            party_of(offer.contact_phone, home, offer.direction),
            offer.preferred_agent_id,
            offer.direction,
        ),
    )


@router.post("/calls", status_code=202, dependencies=[Floor])
async def offer_call(offer: CallOffer, caller: Caller, here: Here, key: IdempotencyKey = None) -> CallAccepted:
    """Offer a call to a queue. The same Idempotency-Key gives the same call; with another queue it is refused (409).
    The priority of a caller who is a contact of the tenant counts beside the queue's. A caller for whose agent the
    queue may wait (`sticky_seconds`) is preferred for the one who last spoke with them, unless another one is named.
    """
    home = await here.directory.queue(offer.queue_id, caller)
    if key is None:
        made = new_id()
    else:
        made = derived_id("call", caller.tenant_id or "", caller.subject, key)
        if await here.directory.call_named(made) not in (None, f"{made}.{offer.queue_id}"):
            raise Conflict("this Idempotency-Key was used for a call of another queue", field="Idempotency-Key")
    known = [(home.tenant_id, party_of(offer.contact_phone, home, offer.direction).phone)]
    coming_again = known if asks_for_last_agent(home, offer.preferred_agent_id, offer.direction) else []
    callers = Callers(await here.directory.contact_priorities(known), await here.directory.last_agents(coming_again))
    given = offer_of(offer, f"{made}.{offer.queue_id}", home, here.sender.clock.now(), callers)
    sent = derived_id("offer", str(made))
    await here.sender.send([(sent, given)])
    return CallAccepted(command_id=sent, call_id=given.call_id)


async def about_call(
    kind: type[Any], call_id: str, caller: Caller, here: Here, key: str | None, **fields: Any
) -> Accepted:
    """Send an input about a call to its pool. Raises NotFound for a call of no queue that the caller may see."""
    home = await here.directory.home_of_call(call_id, caller)
    given = kind(
        tenant_id=home.tenant_id,
        pool_id=home.pool_id,
        occurred_at=here.sender.clock.now(),
        call_id=call_id,
        **fields,
    )
    sent = command_id(caller, f"{kind.TYPE} {call_id}", key)
    await here.sender.send([(sent, given)])
    return Accepted(command_id=sent)


async def by_agent(
    kind: type[Any],
    call_id: str,
    caller: Caller,
    here: Here,
    body: ByAgent | None,
    key: str | None,
    **fields: Any,
) -> Accepted:
    """As `about_call`, for what an agent does: the caller, or the one whom the body names."""
    agent_id = acting_agent(caller, body.agent_id if body else None)
    return await about_call(kind, call_id, caller, here, key, agent_id=agent_id, **fields)


@router.post("/calls/{call_id}/hang-up", status_code=202, dependencies=[OrAgent])
async def hang_up(
    call_id: CallPath, caller: Caller, here: Here, body: HangUpBody | None = None, key: IdempotencyKey = None
) -> Accepted:
    """The call is over: abandoned if nobody had answered it, ended otherwise."""
    agent_id = body.agent_id if body else None
    if agent_id is not None or not caller.has(Role.OPERATOR, Role.SERVICE):
        agent_id = acting_agent(caller, agent_id)
    return await about_call(inputs.HangUp, call_id, caller, here, key, agent_id=agent_id)


@router.post("/calls/{call_id}/machine", status_code=202, dependencies=[require(Role.OPERATOR, Role.SERVICE)])
async def detect_machine(call_id: CallPath, caller: Caller, here: Here, key: IdempotencyKey = None) -> Accepted:
    """An answering machine has answered this outbound call. While it waits or rings, it is withdrawn: the agent is free
    at once, and nobody was abandoned. Once an agent speaks, it is shown to them (`machine`), and the call goes on."""
    return await about_call(inputs.MachineDetected, call_id, caller, here, key)


@router.post("/calls/{call_id}/accept", status_code=202, dependencies=[OrAgent])
async def accept(
    call_id: CallPath, caller: Caller, here: Here, body: ByAgent | None = None, key: IdempotencyKey = None
) -> Accepted:
    """The agent takes the call that rings at them."""
    return await by_agent(inputs.Accept, call_id, caller, here, body, key)


@router.post("/calls/{call_id}/decline", status_code=202, dependencies=[OrAgent])
async def decline(
    call_id: CallPath, caller: Caller, here: Here, body: ByAgent | None = None, key: IdempotencyKey = None
) -> Accepted:
    """The agent does not take the call: it goes back to its place, the agent on a break."""
    return await by_agent(inputs.Decline, call_id, caller, here, body, key)


@router.post("/calls/{call_id}/wrap-up", status_code=202, dependencies=[OrAgent])
async def wrap_up(
    call_id: CallPath, caller: Caller, here: Here, body: WrapUpBody | None = None, key: IdempotencyKey = None
) -> Accepted:
    """The agent's work for the ended call is done."""
    return await by_agent(
        inputs.WrapUp, call_id, caller, here, body, key, disposition=body.disposition if body else None
    )


@reading.get(
    "/calls/{call_id}",
    dependencies=[require(Role.OPERATOR, Role.SUPERVISOR, Role.SERVICE, Role.TENANT, Role.AGENT)],
)
async def get_call(call_id: CallPath, session: Db, caller: Caller) -> OneCallView:
    """A call, also after its end. An agent sees only calls of their own."""
    pool_id, call = await call_seen_by(caller, call_id, session)
    position = estimate = None
    row = await queue_row(session, call.queue_id) if isinstance(call.state, Queued | HeldPlace) else None
    if row is not None:
        ahead = ahead_of(call, await store.waiting_calls(session, pool_id, call.queue_id), queue_of(row))
        position = ahead + 1
        estimate = learn(await store.recent_calls(session, call.queue_id), call.queue_id).seconds(ahead)
    return OneCallView(**view_of(pool_id, call).model_dump(), position=position, estimated_wait_seconds=estimate)


async def call_seen_by(caller: Principal, call_id: str, session: Session) -> tuple[str, Call]:
    """The call with its pool's id. Raises NotFound also for a call that the caller may not see."""
    found = await store.call(session, call_id)
    only_own = not caller.has(Role.OPERATOR, Role.SUPERVISOR, Role.SERVICE, Role.TENANT)
    if found is None or (only_own and found[1].agent_id != caller.subject):
        raise NotFound(f"there is no call {call_id}")
    return found


@reading.get("/calls", dependencies=[require(Role.OPERATOR, Role.SUPERVISOR, Role.SERVICE, Role.TENANT)])
async def list_calls(
    session: Db,
    queue_id: Annotated[str | None, Query(pattern=SLUG)] = None,
    tenant_id: TenantFilter = None,
    state: CallStateName | None = None,
    limit: PageLimit = 100,
    cursor: PageCursor = None,
) -> Page[CallView]:
    """Newest first."""
    found = await store.calls(
        session, decode_key(cursor, str), limit, queue_id=queue_id, state=state, tenant_id=tenant_id
    )
    return page([view_of(pool_id, call) for pool_id, call in found], limit, lambda last: (last.call_id,))


def _awaited(state: InFlow) -> AwaitedView | None:
    asked = awaited(state.flow, state.at)
    match asked:
        case Collect():
            return AwaitedView(
                action="collect", prompt=asked.prompt, longest=asked.longest, seconds=None, due_at=asked.due_at
            )
        case Record():
            return AwaitedView(
                action="record_message", prompt=asked.prompt, longest=None, seconds=asked.max_seconds, due_at=None
            )
        case None:
            return None
        case _:
            assert_never(asked)


def view_of(pool_id: str, call: Call) -> CallView:
    """The call as the API shows it."""
    state = call.state
    answered = state if isinstance(state, Talking | WrappingUp | WrappedUp) else None
    ended = state if isinstance(state, WrappingUp | WrappedUp) else None
    done = state if isinstance(state, WrappedUp) else None
    return CallView(
        call_id=call.id,
        tenant_id=call.tenant_id,
        pool_id=pool_id,
        queue_id=call.queue_id or None,
        state=call.state_name,
        entry=call.entry,
        channel=call.channel,
        direction=call.direction,
        contact_phone=call.contact_phone,
        contact_shown=call.contact_shown,
        agent_id=call.agent_id,
        offers=call.offers,
        offered_at=call.offered_at,
        queued_at=call.queued_at,
        answered_at=answered.answered_at if answered else None,
        ended_at=ended.ended_at if ended else None,
        wrapped_up_at=done.wrapped_up_at if done else None,
        abandoned_at=state.abandoned_at if isinstance(state, Abandoned) else None,
        disposition=done.disposition if done else None,
        machine=call.machine_at is not None,
        external_id=call.external_id,
        campaign_id=call.campaign_id,
        lead_id=call.lead_id,
        attempt_id=call.attempt_id,
        on_hold=isinstance(state, Talking) and state.held_since is not None,
        recording=state.recording if isinstance(state, Talking) else None,
        transferred_from=call.transferred_from,
        transferred_to=call.transferred_to,
        consultation=open_consultation(call),
        consults=call.consults.call_id if call.consults is not None and call.is_consultation else None,
        entry_point_id=call.entry_point_id,
        dialled=call.dialled,
        arrived_at=call.arrived_at,
        flow_step=state.step if isinstance(state, InFlow) else None,
        awaits=_awaited(state) if isinstance(state, InFlow) else None,
        priority=call.priority,
        skills=list(call.skills),
        paused=call.is_paused,
        callback=callback_view(call),
    )
