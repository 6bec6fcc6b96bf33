"""Tenants, as far as dialer has to know them."""

from __future__ import annotations

from datetime import timedelta

from common.errors import Invalid, NotFound
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

from dialer.api.parameters import Operator, Reader
from dialer.domain.campaign import Tenant
from dialer.service import campaigns as service
from dialer.store import campaigns as store

router = Router(tags=["tenants"])


class TenantBody(Model):
    """What dialer must know of a tenant."""

    name: Line = Field(examples=["Kettle & Sons"])
    time_zone: TimeZone = Field(description="IANA name: for leads whose number names none", examples=["Europe/Paris"])
    region: Region = Field(
        default=DEFAULT_REGION, description="ISO 3166: how national phone numbers are read", examples=["FR"]
    )
    allow_possible_numbers: AllowPossibleNumbers = False
    rest_after_call_minutes: int = Field(
        default=60,
        ge=0,
        le=43_200,
        description="How long no campaign dials a person after a call with the tenant, inbound or outbound",
    )


class TenantView(TenantBody):
    """A tenant; `version` counts its changes and is its ETag."""

    tenant_id: str
    version: int


@router.put("/tenants/{tenant_id}", dependencies=[Operator], responses=creates(TenantView))
async def put_tenant(
    tenant_id: TenantPath, body: TenantBody, request: Request, response: Response, session: Db, caller: Caller
) -> TenantView:
    """Create (201) or replace (200). Leads keep the time zones that they were imported with."""
    caller.check_tenant(tenant_id)
    if tenant_id == FLOOR:
        raise Invalid(f"{FLOOR} is the floor itself, not a client company", field="tenant_id")
    tenant, version, created = await service.put_tenant(
        session,
        Tenant(
            tenant_id,
            body.name,
            body.time_zone,
            body.region,
            body.allow_possible_numbers,
            timedelta(minutes=body.rest_after_call_minutes),
        ),
        lambda present: check_if_match(request, present),
    )
    answer_put(response, version, created=created)
    return _view(tenant, version)


@router.get("/tenants/{tenant_id}", dependencies=[Reader])
async def get_tenant(tenant_id: TenantPath, response: Response, session: Db) -> TenantView:
    """One tenant."""
    found = await store.tenant(session, tenant_id)
    if found is None:
        raise NotFound(f"no tenant {tenant_id}")
    response.headers["etag"] = etag(found[1])
    return _view(*found)


@router.get("/tenants", dependencies=[Reader])
async def list_tenants(session: Db, limit: PageLimit = 100, cursor: PageCursor = None) -> Page[TenantView]:
    """All tenants by id."""
    found = await store.tenants(session, decode_key(cursor, str) or "", limit)
    return page([_view(*each) for each in found], limit, lambda last: (last.tenant_id,))


def _view(tenant: Tenant, version: int) -> TenantView:
    return TenantView(
        tenant_id=tenant.tenant_id,
        name=tenant.name,
        time_zone=tenant.time_zone,
        region=tenant.region,
        allow_possible_numbers=tenant.allow_possible_numbers,
        rest_after_call_minutes=tenant.rest_after_call // timedelta(minutes=1),
        version=version,
    )
