"""What an agent asks of others while a caller is on hold, and a supervisor who takes a call over."""

from __future__ import annotations

from common.auth import Role
from common.errors import Invalid
from common.fields import Slug
from common.http import Caller, PlainRouter, require
from fastapi import Depends
from pydantic import Field

from routing.api.calls import ByAgent, about_call, by_agent
from routing.api.commands import Accepted
from routing.api.conversation import OrAgent, known_number, known_queue, made_for
from routing.api.state import (
    CallPath,
    Here,
    IdempotencyKey,
    QueueHome,
    State,
    acting_agent,
    check_floor,
    entry_queue,
)
from routing.domain import inputs
from routing.domain.call_states import Asked, AskedAgent, AskedNumber, AskedQueue

router = PlainRouter(tags=["calls"])


class ConsultationBody(ByAgent):
    """Exactly one of the three: a queue of the same tenant and pool, a colleague of the pool, or a name of the tenant's
    directory. `agent_id` is who asks."""

    queue_id: Slug | None = Field(None, examples=["level-2"])
    colleague_id: Slug | None = None
    directory: Slug | None = None


class ConsultationAccepted(Accepted):
    """`consultation_id`: the call between the two agents, which the caller goes on as when it is completed."""

    consultation_id: str


class TakenOver(Accepted):
    """`to_call_id`: the call that the caller goes on as."""

    to_call_id: str


@router.post("/calls/{call_id}/consultation", status_code=202, dependencies=[OrAgent])
async def consult(
    call_id: CallPath, body: ConsultationBody, caller: Caller, here: Here, key: IdempotencyKey = None
) -> ConsultationAccepted:
    """Ask somebody; the caller is put on hold. Of a queue, the first agent who may serve it is offered the
    consultation, as any call; a colleague must be available, and not kept for another tenant. It is no customer's call,
    and counts in no figure. One at a time. To a queue or a colleague of another pool than the one that has the call, it
    is refused: there the caller can be transferred."""
    agent_id = acting_agent(caller, body.agent_id)
    home = await here.directory.home_of_call(call_id, caller)
    asked = await _asked(body, home, here)
    queue_id = body.queue_id or entry_queue(call_id)
    consultation_id = f"{made_for('consultation', call_id, caller, key)}.{queue_id}"
    sent = await about_call(
        inputs.Consult,
        call_id,
        caller,
        here,
        key,
        agent_id=agent_id,
        consultation_id=consultation_id,
        asked=asked,
    )
    return ConsultationAccepted(command_id=sent.command_id, consultation_id=consultation_id)


async def _asked(body: ConsultationBody, home: QueueHome, here: State) -> Asked:
    """Raises Invalid for what the call's tenant does not have."""
    if [body.queue_id, body.colleague_id, body.directory].count(None) != 2:
        raise Invalid("say one of a queue, a colleague and a name of the directory", field="queue_id")
    if body.queue_id is not None:
        await known_queue(body.queue_id, home, here)
        return AskedQueue(body.queue_id)
    if body.colleague_id is not None:
        await _check_agent(body.colleague_id, here, "colleague_id")
        return AskedAgent(body.colleague_id)
    return AskedNumber(await known_number(body.directory or "", home, here))


async def _check_agent(agent_id: str, here: State, field: str) -> None:
    if agent_id not in await here.directory.agents([agent_id]):
        raise Invalid(f"there is no agent {agent_id}", field=field)


@router.post("/calls/{call_id}/consultation/cancel", status_code=202, dependencies=[OrAgent])
async def cancel(
    call_id: CallPath, caller: Caller, here: Here, body: ByAgent | None = None, key: IdempotencyKey = None
) -> Accepted:
    """Back to the caller, whether the consultation rings or is spoken in."""
    return await by_agent(inputs.CancelConsultation, call_id, caller, here, body, key)


@router.post("/calls/{call_id}/consultation/confer", status_code=202, dependencies=[OrAgent])
async def confer(
    call_id: CallPath, caller: Caller, here: Here, body: ByAgent | None = None, key: IdempotencyKey = None
) -> Accepted:
    """The caller, the agent and whoever was asked speak together. Either agent may then hang up their own call: the
    caller stays with the other one."""
    return await by_agent(inputs.Confer, call_id, caller, here, body, key)


@router.post("/calls/{call_id}/consultation/complete", status_code=202, dependencies=[OrAgent])
async def complete(
    call_id: CallPath, caller: Caller, here: Here, body: ByAgent | None = None, key: IdempotencyKey = None
) -> Accepted:
    """Hand the caller on (warm) to whoever was asked and has answered: the agent wraps up, the caller goes on as the
    call `consultation_id`, which names this one, with the same contact and so the same case; or at the number."""
    return await by_agent(inputs.CompleteConsultation, call_id, caller, here, body, key)


@router.post(
    "/calls/{call_id}/take-over",
    status_code=202,
    dependencies=[require(Role.OPERATOR, Role.SUPERVISOR), Depends(check_floor)],
)
async def take_over(
    call_id: CallPath, caller: Caller, here: Here, body: ByAgent | None = None, key: IdempotencyKey = None
) -> TakenOver:
    """Take the conversation from its agent, who wraps up, as who is asking (`agent_id`, if another): an agent of the
    pool who is available, or on a break and then goes on with it."""
    supervisor_id = (body.agent_id if body else None) or caller.subject
    await _check_agent(supervisor_id, here, "agent_id")
    to_call_id = f"{made_for('take over', call_id, caller, key)}.{entry_queue(call_id)}"
    sent = await about_call(
        inputs.Relieve, call_id, caller, here, key, supervisor_id=supervisor_id, to_call_id=to_call_id
    )
    return TakenOver(command_id=sent.command_id, to_call_id=to_call_id)
