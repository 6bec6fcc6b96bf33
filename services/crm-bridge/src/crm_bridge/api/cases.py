"""Cases."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, assert_never
from uuid import UUID

from common.fields import TenantFilter
from common.http import Caller, Db, Model, Page, PageCursor, PageLimit, Router, decode_key, page
from fastapi import Query, Request
from pydantic import Field

from crm_bridge.api.parameters import Disposition, Reader, Worker, shown_tenant
from crm_bridge.domain.book import CaseCall
from crm_bridge.domain.cases import Case, Closed, Open
from crm_bridge.service import cases as service
from crm_bridge.store import cases as store

router = Router(tags=["cases"])

Status = Literal["open", "closed"]


class CaseView(Model):
    """One matter of one contact."""

    id: UUID
    tenant_id: str
    contact_id: UUID
    queue_id: str = Field(description="Queue of the call that opened it")
    status: Status
    opened_at: datetime
    active_at: datetime = Field(description="The latest of its opening, its reopenings and the answers of its calls")
    calls: int
    closings: int = Field(description="How often it has been closed; each closing has its charge")
    closed_at: datetime | None
    disposition: str | None
    sequence: int = Field(description="Number of its events so far")


class CaseCallView(Model):
    """A call of the case. The last two are null until the agent has wrapped up."""

    call_id: str
    queue_id: str
    direction: str
    agent_id: str | None
    """Null: the caller left a message."""
    answered_at: datetime
    wrapped_up_at: datetime | None
    disposition: str | None


class CaseWhole(CaseView):
    """With its calls, in the order in which they were answered."""

    linked_calls: list[CaseCallView]


class Closing(Model):
    """Why the case is closed."""

    disposition: Disposition = Field(examples=["resolved"])


def _view(case: Case) -> CaseView:
    closed_at: datetime | None
    disposition: str | None
    status: Status
    match case:
        case Open():
            status, closed_at, disposition = "open", None, None
        case Closed():
            status, closed_at, disposition = "closed", case.closed_at, case.disposition
        case _:
            assert_never(case)
    return CaseView(
        id=case.id,
        tenant_id=case.tenant_id,
        contact_id=case.contact_id,
        queue_id=case.queue_id,
        status=status,
        opened_at=case.opened_at,
        active_at=case.active_at,
        calls=case.calls,
        closings=case.closings,
        closed_at=closed_at,
        disposition=disposition,
        sequence=case.sequence,
    )


def _call(call: CaseCall) -> CaseCallView:
    return CaseCallView(
        call_id=call.call_id,
        queue_id=call.queue_id,
        direction=call.direction,
        agent_id=call.agent_id,
        answered_at=call.answered_at,
        wrapped_up_at=call.wrapped_up_at,
        disposition=call.disposition,
    )


@router.get("/cases", dependencies=[Reader])
async def list_cases(
    session: Db,
    caller: Caller,
    tenant_id: TenantFilter = None,
    status: Status | None = None,
    contact_id: Annotated[UUID | None, Query(description="Only this contact's")] = None,
    limit: PageLimit = 100,
    cursor: PageCursor = None,
) -> Page[CaseView]:
    """Newest first."""
    found = await store.page(
        session,
        tenant_id=shown_tenant(caller, tenant_id),
        status=status,
        contact_id=contact_id,
        before=decode_key(cursor, UUID),
        limit=limit,
    )
    return page([_view(case) for case in found], limit, lambda last: (last.id,))


@router.get("/cases/{case_id}", dependencies=[Reader])
async def get_case(case_id: UUID, session: Db) -> CaseWhole:
    """One case with its calls."""
    case, calls = await service.get_with_calls(session, case_id)
    return CaseWhole(**_view(case).model_dump(), linked_calls=[_call(call) for call in calls])


@router.post("/cases/{case_id}/close", dependencies=[Worker])
async def close_case(case_id: UUID, body: Closing, request: Request, session: Db) -> CaseView:
    """Close an open case: it is charged. 409 when it is closed already."""
    return _view(await service.close(session, case_id, body.disposition, request.app.state.runtime.clock))


@router.post("/cases/{case_id}/reopen", dependencies=[Worker])
async def reopen_case(case_id: UUID, request: Request, session: Db) -> CaseView:
    """Reopen a closed case: its charge is taken back. 409 when it is open, or its contact has another open case."""
    return _view(await service.reopen(session, case_id, request.app.state.runtime.clock))
