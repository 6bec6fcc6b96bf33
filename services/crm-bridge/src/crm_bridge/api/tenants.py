"""What a tenant decides about its contacts and cases."""

from __future__ import annotations

from common.errors import Invalid
from common.fields import AllowPossibleNumbers, Line, Region, TenantPath, TimeZone
from common.http import (
    Caller,
    Db,
    Model,
    Page,
    PageCursor,
    PageLimit,
    Router,
    answer_put,
    check_if_match,
    creates,
    decode_key,
    etag,
    page,
)
from common.ids import FLOOR
from common.phone import DEFAULT_REGION
from fastapi import Request, Response
from pydantic import Field

from crm_bridge.api.parameters import Disposition, Operator, Reader
from crm_bridge.domain.settings import DEFAULT_CLOSING_DISPOSITIONS, DEFAULT_REOPEN_WINDOW_DAYS
from crm_bridge.service import tenants as service
from crm_bridge.store import tenants as store
from crm_bridge.store.tenants import Tenant

router = Router(tags=["tenants"])


class TenantBody(Model):
    """Replaces the tenant's settings whole. Calls that come before they are set are handled with the defaults."""

    name: Line = Field(examples=["Kettle & Sons"])
    time_zone: TimeZone = Field(description="IANA name", examples=["Europe/Paris"])
    region: Region = Field(
        default=DEFAULT_REGION,
        description="ISO 3166: how national phone numbers are read",
        examples=["FR"],
    )
    allow_possible_numbers: AllowPossibleNumbers = False
    reopen_window_days: int = Field(
        default=DEFAULT_REOPEN_WINDOW_DAYS,
        ge=0,
        le=3650,
        description="A call within so many days after the last closing reopens the case; a later one opens another",
    )
    closing_dispositions: list[Disposition] = Field(
        default=list(DEFAULT_CLOSING_DISPOSITIONS),
        max_length=200,
        description="Wrap-up codes that close the contact's case",
        examples=[["resolved", "refunded"]],
    )


class TenantView(TenantBody):
    """The settings with their version, which is in the ETag too."""

    tenant_id: str
    version: int


def _view(tenant: Tenant, version: int) -> TenantView:
    return TenantView(
        tenant_id=tenant.tenant_id,
        name=tenant.name,
        time_zone=tenant.time_zone,
        region=tenant.region,
        allow_possible_numbers=tenant.allow_possible_numbers,
        reopen_window_days=tenant.reopen_window_days,
        closing_dispositions=tenant.closing_dispositions,
        version=version,
    )


@router.put("/tenants/{tenant_id}", dependencies=[Operator], responses=creates(TenantView))
async def put_tenant(
    tenant_id: TenantPath, body: TenantBody, request: Request, response: Response, session: Db, caller: Caller
) -> TenantView:
    """Create (201) or replace (200); the version grows only when something changes.

    New settings hold for what comes: cases that are closed stay so.
    """
    caller.check_tenant(tenant_id)
    if tenant_id == FLOOR:
        raise Invalid(f"tenant_id: {FLOOR} is the floor itself and has no contacts", field="tenant_id")
    if "if-match" in request.headers:
        present = await store.by_id(session, tenant_id, locked=True)
        check_if_match(request, None if present is None else present[1])
    tenant = Tenant(
        tenant_id=tenant_id,
        name=body.name,
        time_zone=body.time_zone,
        region=body.region,
        allow_possible_numbers=body.allow_possible_numbers,
        reopen_window_days=body.reopen_window_days,
        closing_dispositions=sorted(set(body.closing_dispositions)),
    )
    version, created = await store.put(session, tenant)
    answer_put(response, version, created=created)
    return _view(tenant, version)


@router.get("/tenants/{tenant_id}", dependencies=[Reader])
async def get_tenant(tenant_id: TenantPath, response: Response, session: Db) -> TenantView:
    """One tenant."""
    tenant, version = await service.get(session, tenant_id)
    response.headers["etag"] = etag(version)
    return _view(tenant, version)


@router.get("/tenants", dependencies=[Reader])
async def list_tenants(session: Db, limit: PageLimit = 100, cursor: PageCursor = None) -> Page[TenantView]:
    """The tenants that the caller may see, by id."""
    found = await store.page(session, after=decode_key(cursor, str), limit=limit)
    return page([_view(*each) for each in found], limit, lambda last: (last.tenant_id,))
