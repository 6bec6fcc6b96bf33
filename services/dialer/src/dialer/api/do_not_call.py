"""Each tenant's do-not-call list."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from common.errors import Invalid, NotFound
from common.fields import Line, TenantPath
from common.http import Caller, Db, Model, Page, PageCursor, PageLimit, Router, creates, decode_key, page
from common.phone import InvalidPhone, normalise
from fastapi import Path, Query, Response
from pydantic import Field

from dialer.api.parameters import ListKeeper, Now, Reader, Shared
from dialer.domain.campaign import Tenant
from dialer.service import do_not_call as service
from dialer.store import campaigns
from dialer.store import do_not_call as store
from dialer.store.do_not_call import BarredNumber

router = Router(tags=["do not call"])

MOST_AT_ONCE = 10_000
Phone = Annotated[str, Path(max_length=40, examples=["+33639980001"], description="National numbers too")]


class BarringBody(Model):
    """Why a number is not to be called."""

    reason: Line | None = Field(default=None, examples=["asked on the telephone"])


class BarringsBody(BarringBody):
    """Numbers that are not to be called, all for one reason."""

    phones: list[Annotated[str, Field(max_length=40)]] = Field(
        min_length=1, max_length=MOST_AT_ONCE, examples=[["+33639980001"]], description="National numbers too"
    )


class BarredNumberView(Model):
    """A number that no campaign of the tenant dials."""

    phone: str
    reason: str | None
    added_by: str
    added_at: datetime


class BarredNumbers(Model):
    """What became of the numbers of one request; the same number twice counts once."""

    added: int
    unchanged: int = Field(description="On the list before")


class ListChangeView(Model):
    """Who put a number on the list, or took it off."""

    phone: str
    action: Literal["added", "removed"]
    reason: str | None
    actor: str
    happened_at: datetime


@router.post("/tenants/{tenant_id}/do-not-call", dependencies=[ListKeeper])
async def add_numbers(
    tenant_id: TenantPath, body: BarringsBody, session: Db, caller: Caller, clock: Now, shared: Shared
) -> BarredNumbers:
    """Put numbers on the list, all or none. Dials to them that nobody has answered are given up at once."""
    tenant = await _tenant(session, caller, tenant_id)
    phones, wrong = [], []
    for place, text in enumerate(body.phones):
        try:
            phones.append(normalise(text, tenant.region, possible=tenant.allow_possible_numbers))
        except InvalidPhone as problem:
            wrong.append({"field": f"phones.{place}", "reason": str(problem)})
    if wrong:
        raise Invalid(f"{len(wrong)} of {len(body.phones)} are no numbers", field=wrong[0]["field"], errors=wrong)
    added = await service.add(session, tenant_id, phones, body.reason, caller.subject, clock, shared.patience)
    session.after_commit(shared.dials.set)
    return BarredNumbers(added=added, unchanged=len(set(phones)) - added)


@router.put("/tenants/{tenant_id}/do-not-call/{phone}", dependencies=[ListKeeper], responses=creates(BarredNumberView))
async def put_number(
    tenant_id: TenantPath,
    phone: Phone,
    body: BarringBody,
    response: Response,
    session: Db,
    caller: Caller,
    clock: Now,
    shared: Shared,
) -> BarredNumberView:
    """Put one number on the list (201); one that is on it keeps its reason, and who gave it (200)."""
    tenant = await _tenant(session, caller, tenant_id)
    number = _normal(phone, tenant)
    added = await service.add(session, tenant_id, [number], body.reason, caller.subject, clock, shared.patience)
    session.after_commit(shared.dials.set)
    if added:
        response.status_code = 201
    barred = await store.get(session, tenant_id, number)
    assert barred is not None
    return _view(barred)


@router.delete("/tenants/{tenant_id}/do-not-call/{phone}", dependencies=[ListKeeper], status_code=204)
async def remove_number(tenant_id: TenantPath, phone: Phone, session: Db, caller: Caller, clock: Now) -> None:
    """Take one number off the list: leads that it had barred are due again. 404 when it is not on the list."""
    tenant = await _tenant(session, caller, tenant_id)
    number = _normal(phone, tenant)
    if not await store.remove(session, tenant_id, number, caller.subject, clock.now()):
        raise NotFound("the number is not on the do-not-call list")


@router.get("/tenants/{tenant_id}/do-not-call", dependencies=[Reader])
async def list_numbers(
    tenant_id: TenantPath, session: Db, caller: Caller, limit: PageLimit = 100, cursor: PageCursor = None
) -> Page[BarredNumberView]:
    """The list, by number."""
    await _tenant(session, caller, tenant_id)
    found = await store.page(session, tenant_id, decode_key(cursor, str) or "", limit)
    return page([_view(barred) for barred in found], limit, lambda last: (last.phone,))


@router.get("/tenants/{tenant_id}/do-not-call/{phone}", dependencies=[Reader])
async def get_number(tenant_id: TenantPath, phone: Phone, session: Db, caller: Caller) -> BarredNumberView:
    """One number of the list; 404 when it is not on it."""
    barred = await store.get(session, tenant_id, _normal(phone, await _tenant(session, caller, tenant_id)))
    if barred is None:
        raise NotFound("the number is not on the do-not-call list")
    return _view(barred)


@router.get("/tenants/{tenant_id}/do-not-call-changes", dependencies=[Reader])
async def list_changes(
    tenant_id: TenantPath,
    session: Db,
    caller: Caller,
    phone: Annotated[str | None, Query(max_length=40, description="Only of this number")] = None,
    limit: PageLimit = 100,
    cursor: PageCursor = None,
) -> Page[ListChangeView]:
    """Who changed the list and when, the newest first."""
    tenant = await _tenant(session, caller, tenant_id)
    number = None if phone is None else _normal(phone, tenant)
    found = await store.changes(session, tenant_id, number, decode_key(cursor, int), limit)
    return page(
        [
            ListChangeView(
                phone=change.phone,
                action=change.action,
                reason=change.reason,
                actor=change.actor,
                happened_at=change.happened_at,
            )
            for change in found
        ],
        limit,
        lambda _: (found[-1].number,),
    )


async def _tenant(session: Db, caller: Caller, tenant_id: str) -> Tenant:
    caller.check_tenant(tenant_id)
    found = await campaigns.tenant(session, tenant_id)
    if found is None:
        raise NotFound(f"no tenant {tenant_id}")
    return found[0]


def _normal(phone: str, tenant: Tenant) -> str:
    try:
        return normalise(phone, tenant.region, possible=tenant.allow_possible_numbers)
    except InvalidPhone as problem:
        raise Invalid(str(problem), field="phone") from None


def _view(barred: BarredNumber) -> BarredNumberView:
    return BarredNumberView(
        phone=barred.phone, reason=barred.reason, added_by=barred.added_by, added_at=barred.added_at
    )
