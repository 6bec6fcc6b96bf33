"""What the PBX is told: as a stream, or asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from common.fields import TenantFilter
from common.http import Caller, Db, Model, Page, PageLimit, PlainRouter, Router
from fastapi import Header, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import Field

from dialer.api.parameters import Now, Shared, Telephony
from dialer.service.state import wait
from dialer.store import dials as store
from dialer.store.dials import Command, Dial

router = Router(tags=["dials"])
stream = PlainRouter(tags=["dials"])

_POLL_SECONDS: Final = 1.0
_AT_ONCE: Final = 500

_LARGEST = (1 << 63) - 1
Position = Annotated[int, Query(ge=0, le=_LARGEST, description="`next_cursor` of the answer before")]


class DialView(Model):
    """A command to the PBX about one attempt; not to be carried out after `expires_at`.

    `dial`: call the number, for at most `ring_seconds`. `handed_over`: routing has the answered call as `call_id`.
    `play_abandonment_message`, then `hang_up`: nobody can take the answered call. `hang_up` alone: give the dial up,
    or release the call; of a dial that the PBX never began, there is nothing to do.
    """

    position: int = Field(description="Rises from command to command")
    command: Command
    attempt_id: UUID
    campaign_id: str
    queue_id: str
    tenant_id: str
    phone: str
    ring_seconds: float
    call_id: str | None
    expires_at: datetime


@router.get("/dials", dependencies=[Telephony])
async def list_dials(
    session: Db, clock: Now, after: Position = 0, tenant_id: TenantFilter = None, limit: PageLimit = 100
) -> Page[DialView]:
    """Commands that hold now. `next_cursor` is always there: ask again with `after=next_cursor` for what is new."""
    found = await store.after(session, after, tenant_id, clock.now(), limit)
    return Page(items=[_view(dial) for dial in found], next_cursor=str(found[-1].position if found else after))


@stream.get("/dials/stream", dependencies=[Telephony], response_class=EventSourceResponse)
async def stream_dials(
    request: Request,
    caller: Caller,
    clock: Now,
    shared: Shared,
    tenant_id: TenantFilter = None,
    last_event_id: Annotated[str | None, Header(pattern=r"^[0-9]{1,18}$")] = None,
) -> AsyncIterator[ServerSentEvent]:
    """Commands as they come, each named after its command. `id` is the position: a reconnect that sends it as
    `Last-Event-ID` misses nothing that still holds, whichever replica answers."""
    runtime = request.app.state.runtime
    position = int(last_event_id or 0)
    while not runtime.stopping.is_set():
        ticket = shared.dials.ticket()
        async with runtime.database.transaction(caller.scope) as session:
            found = await store.after(session, position, tenant_id, clock.now(), _AT_ONCE)
        for dial in found:
            position = dial.position
            yield ServerSentEvent(event=dial.command, id=str(position), data=_view(dial).model_dump(mode="json"))
        if not found:
            await wait(ticket, _POLL_SECONDS)


def _view(dial: Dial) -> DialView:
    return DialView(
        position=dial.position,
        command=dial.command,
        attempt_id=dial.attempt_id,
        campaign_id=dial.campaign_id,
        queue_id=dial.queue_id,
        tenant_id=dial.tenant_id,
        phone=dial.phone,
        ring_seconds=dial.ring_seconds,
        call_id=dial.call_id,
        expires_at=dial.expires_at,
    )
