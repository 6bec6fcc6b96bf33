"""While agent and caller speak: hold, recording, a supervisor on the line, transfer."""

from __future__ import annotations

from datetime import datetime

import msgspec
from common.auth import Principal, Role
from common.errors import Invalid
from common.events.routing import Recording, Supervision
from common.fields import Slug
from common.http import Caller, Model, PlainRouter, require
from common.ids import derived_id, new_id
from fastapi import Depends
from pydantic import Field

from routing.api.calls import ByAgent, about_call, by_agent
from routing.api.commands import Accepted
from routing.api.state import CallPath, Here, IdempotencyKey, QueueHome, State, acting_agent, check_floor
from routing.domain import inputs
from routing.domain.call_states import Talking, WrappedUp, WrappingUp
from routing.domain.calls import Call
from routing.domain.notes import Conversation

router = PlainRouter(tags=["calls"])


class RecordingChangeView(Model):
    """The recording was started (`on`), paused or stopped (`off`)."""

    changed_at: datetime
    recording: Recording
    consent: bool
    """The caller had said yes by then."""


class SupervisedView(Model):
    """A supervisor joined, changed how they take part, or left (`off`)."""

    happened_at: datetime
    supervisor_id: str
    mode: Supervision


class ConversationView(Model):
    """What happened while agent and caller spoke, and the agent's wrap-up of it."""

    agent_id: str
    answered_at: datetime
    holds: int = Field(examples=[2])
    """How often the caller was put on hold."""
    on_hold_since: datetime | None
    """Null: not on hold now."""
    held_seconds: float
    """On hold in all, but for the hold that goes on."""
    recordings: list[RecordingChangeView]
    """The newest ones, at most 20, oldest first."""
    supervisions: list[SupervisedView]
    """The same of them. To an agent those who only listened are not shown."""
    ended_at: datetime | None
    """Null: they speak still."""
    wrap_up_until: datetime | None
    """Of the wrap-up that goes on: its limit."""
    wrapped_up_at: datetime | None
    disposition: str | None = Field(examples=["solved"])


class TakeOverView(Model):
    """A supervisor took the caller over from an agent: told of the call before and of the one after."""

    taken_at: datetime
    supervisor_id: str
    agent_id: str


def conversation_view(call: Call) -> ConversationView | None:
    """None: nobody has answered."""
    state = call.state
    if not isinstance(state, Talking | WrappingUp | WrappedUp):
        return None
    happened = call.conversation or Conversation()
    return ConversationView(
        agent_id=state.agent_id,
        answered_at=state.answered_at,
        holds=happened.holds,
        on_hold_since=state.held_since if isinstance(state, Talking) else None,
        held_seconds=state.held_seconds,
        recordings=[RecordingChangeView(**msgspec.structs.asdict(one)) for one in happened.recordings],
        supervisions=[SupervisedView(**msgspec.structs.asdict(one)) for one in happened.supervisions],
        ended_at=None if isinstance(state, Talking) else state.ended_at,
        wrap_up_until=state.limit_at if isinstance(state, WrappingUp) else None,
        wrapped_up_at=state.wrapped_up_at if isinstance(state, WrappedUp) else None,
        disposition=state.disposition if isinstance(state, WrappedUp) else None,
    )


OrAgent = require(Role.OPERATOR, Role.SERVICE, Role.AGENT)


def made_for(what: str, call_id: str, caller: Principal, key: str | None) -> str:
    """The first part of the id of a call that comes of this one; the same for the same key."""
    return str(new_id() if key is None else derived_id(what, caller.tenant_id or "", caller.subject, call_id, key))


async def known_queue(queue_id: str, home: QueueHome, here: State) -> QueueHome:
    """The queue of the call's tenant, for calls of its channel. Raises Invalid."""
    target = (await here.directory.queues([queue_id])).get(queue_id)
    if target is None or target.tenant_id != home.tenant_id:
        raise Invalid(f"tenant {home.tenant_id} has no queue {queue_id}", field="queue_id")
    if target.channel != home.channel:
        raise Invalid(f"queue {queue_id} is for {target.channel}, not {home.channel}", field="queue_id")
    return target


async def known_number(name: str, home: QueueHome, here: State) -> str:
    """The number of that name in the directory of the call's tenant. Raises Invalid."""
    number = await here.directory.number(home.tenant_id, name)
    if number is None:
        raise Invalid(f"tenant {home.tenant_id} has no {name} in its directory", field="directory")
    return number


class RecordingBody(ByAgent):
    """`consent`: the caller has said yes; it holds for the rest of the call, and not for the one as which the caller
    goes on when they are handed on: whoever takes them on asks again."""

    recording: Recording
    consent: bool = False


class SupervisionBody(ByAgent):
    """`listen`: to both; `whisper`: heard by the agent alone; `barge`: heard by both; `off`: leave."""

    mode: Supervision


class TransferBody(ByAgent):
    """Exactly one of the two: a queue of the same tenant (of any pool), or a name of the tenant's directory."""

    queue_id: Slug | None = None
    directory: Slug | None = Field(None, examples=["night-desk"])


class Transferred(Accepted):
    """`to_call_id`: the call that the caller goes on as, when it is to a queue."""

    to_call_id: str | None


@router.post("/calls/{call_id}/hold", status_code=202, dependencies=[OrAgent])
async def hold(
    call_id: CallPath, caller: Caller, here: Here, body: ByAgent | None = None, key: IdempotencyKey = None
) -> Accepted:
    """Put the caller on hold."""
    return await by_agent(inputs.Hold, call_id, caller, here, body, key)


@router.post("/calls/{call_id}/resume", status_code=202, dependencies=[OrAgent])
async def resume(
    call_id: CallPath, caller: Caller, here: Here, body: ByAgent | None = None, key: IdempotencyKey = None
) -> Accepted:
    """Speak with the caller again."""
    return await by_agent(inputs.Resume, call_id, caller, here, body, key)


@router.post("/calls/{call_id}/recording", status_code=202, dependencies=[OrAgent])
async def record(
    call_id: CallPath, body: RecordingBody, caller: Caller, here: Here, key: IdempotencyKey = None
) -> Accepted:
    """Start (`on`), pause or stop (`off`) the recording. The command is refused when the queue's rule or the missing
    consent does not allow it, to stop it too where the rule is `always`: `GET /v1/commands/{command_id}`."""
    return await by_agent(
        inputs.Record, call_id, caller, here, body, key, recording=body.recording, consent=body.consent
    )


@router.post(
    "/calls/{call_id}/supervision",
    status_code=202,
    dependencies=[require(Role.OPERATOR, Role.SUPERVISOR), Depends(check_floor)],
)
async def supervise(
    call_id: CallPath, body: SupervisionBody, caller: Caller, here: Here, key: IdempotencyKey = None
) -> Accepted:
    """Listen, whisper or barge in, as who is asking (`agent_id` of a supervisor who is an agent too, if another)."""
    supervisor_id = body.agent_id or caller.subject
    return await about_call(inputs.Supervise, call_id, caller, here, key, supervisor_id=supervisor_id, mode=body.mode)


@router.post("/calls/{call_id}/transfer", status_code=202, dependencies=[OrAgent])
async def transfer(
    call_id: CallPath, body: TransferBody, caller: Caller, here: Here, key: IdempotencyKey = None
) -> Transferred:
    """Hand the caller on (cold): the agent wraps up, the caller waits in the queue as a new call that names this one,
    with the same contact and so the same case; or is connected to the number. The new call does not ring at this agent,
    unless nobody else is logged in who could serve it, at once or once its queue's requirement is relaxed. The command
    is refused while the queue is closed, unless one of its rules says where calls go then:
    `GET /v1/commands/{command_id}`."""
    if (body.queue_id is None) == (body.directory is None):
        raise Invalid("say either a queue or a name of the directory", field="queue_id")
    agent_id = acting_agent(caller, body.agent_id)
    home = await here.directory.home_of_call(call_id, caller)
    if body.directory is not None:
        number = await known_number(body.directory, home, here)
        sent = await about_call(inputs.Transfer, call_id, caller, here, key, agent_id=agent_id, to_number=number)
        return Transferred(command_id=sent.command_id, to_call_id=None)
    target = await known_queue(body.queue_id or "", home, here)
    to_call_id = f"{made_for('transfer', call_id, caller, key)}.{body.queue_id}"
    sent = await about_call(
        inputs.Transfer,
        call_id,
        caller,
        here,
        key,
        agent_id=agent_id,
        to_call_id=to_call_id,
        to_queue_id=body.queue_id,
        to_pool_id=target.pool_id,
        to_closed=await here.directory.turns_away(body.queue_id or "", here.sender.clock.now()),
    )
    return Transferred(command_id=sent.command_id, to_call_id=to_call_id)
