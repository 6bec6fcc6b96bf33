"""Waiting callers who hang up and are called back: asked for, and cancelled."""

from __future__ import annotations

from common.http import Caller, Model, PlainRouter
from pydantic import Field

from routing.api.callers import number_of
from routing.api.calls import Floor, OrAgent, about_call
from routing.api.commands import Accepted
from routing.api.state import CallPath, Here, IdempotencyKey
from routing.domain import inputs

router = PlainRouter(tags=["callbacks"])


class CallbackRequestBody(Model):
    """`contact_phone`: where to call, in international form or national in the tenant's region; null: the number that
    the call came from."""

    contact_phone: str | None = Field(None, max_length=40, examples=["+33639980001"])


@router.post("/calls/{call_id}/callback", status_code=202, dependencies=[Floor])
async def request_callback(
    call_id: CallPath, caller: Caller, here: Here, body: CallbackRequestBody | None = None, key: IdempotencyKey = None
) -> Accepted:
    """The waiting caller hangs up, keeps the place in the order of service and is called back. From here on a hang-up
    of the caller's leg means nothing. Refused (see the command): `no_callbacks`, `not_waiting`, `no_phone`,
    `not_an_inbound_call`, `callback_pending` (the number has one already), `called_back_before`, `closed` (the queue
    opens only when the callback would not be valid any more): then the caller goes on waiting."""
    phone = None
    if body and body.contact_phone:
        phone = number_of(body.contact_phone, await here.directory.home_of_call(call_id, caller))
    return await about_call(inputs.RequestCallback, call_id, caller, here, key, phone=phone)


@router.post("/calls/{call_id}/cancel-callback", status_code=202, dependencies=[OrAgent])
async def cancel_callback(call_id: CallPath, caller: Caller, here: Here, key: IdempotencyKey = None) -> Accepted:
    """The caller is not to be called back any more: the call is over. Refused: `no_callback_pending`."""
    return await about_call(inputs.CancelCallback, call_id, caller, here, key, by=caller.subject)
