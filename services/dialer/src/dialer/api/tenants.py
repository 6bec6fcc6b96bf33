"""Tenants, as far as dialer has to know them."""

from __future__ import annotations

import phonenumbers
from common.auth import FLOOR
from common.errors import Invalid, NotFound
from common.http import (
    Caller,
    Db,
    Model,
    Page,
    PageCursor,
    PageLimit,
    Router,
    check_if_match,
    decode_cursor,
    encode_cursor,
    etag,
)
from fastapi import Request, Response
from pydantic import Field

from dialer.api.parameters import NO_CONTROL, Operator, Reader, TenantId
from dialer.domain.campaign import Tenant
from dialer.domain.hours import is_time_zone
from dialer.service import campaigns as service
from dialer.store import campaigns as store

router = Router(tags=["tenants"])


class TenantBody(Model):
    """What dialer must know of a tenant."""

    name: str = Field(min_length=1, max_length=200, pattern=NO_CONTROL, examples=["Kettle & Sons"])
    time_zone: str = Field(
        max_length=64, description="IANA name: for leads whose number names none", examples=["Europe/Paris"]
    )
    region: str = Field(
        default="FR", max_length=2, description="ISO 3166: how national phone numbers are read", examples=["FR"]
    )


class TenantView(TenantBody):
    """A tenant; `version` counts its changes and is its ETag."""

    tenant_id: str
    version: int


@router.put(
    "/tenants/{tenant_id}", dependencies=[Operator], responses={201: {"model": TenantView, "description": "Created"}}
)
async def put_tenant(
    tenant_id: TenantId, body: TenantBody, request: Request, response: Response, session: Db, caller: Caller
) -> TenantView:
    """Create (201) or replace (200). Leads keep the time zones that they were imported with."""
    caller.check_tenant(tenant_id)
    if tenant_id == FLOOR:
        raise Invalid(f"{FLOOR} is the floor itself, not a client company", field="tenant_id")
    if not is_time_zone(body.time_zone):
        raise Invalid(f"{body.time_zone!r} is not an IANA time zone", field="time_zone")
    if body.region not in phonenumbers.SUPPORTED_REGIONS:
        raise Invalid(f"{body.region!r} is not a region with a numbering plan", field="region")
    tenant, version, created = await service.put_tenant(
        session,
        Tenant(tenant_id, body.name, body.time_zone, body.region),
        lambda present: check_if_match(request, present),
    )
    response.status_code = 201 if created else 200
    response.headers["etag"] = etag(version)
    return _view(tenant, version)


@router.get("/tenants/{tenant_id}", dependencies=[Reader])
async def get_tenant(tenant_id: TenantId, response: Response, session: Db) -> TenantView:
    """One tenant."""
    found = await store.tenant(session, tenant_id)
    if found is None:
        raise NotFound(f"no tenant {tenant_id}")
    response.headers["etag"] = etag(found[1])
    return _view(*found)


@router.get("/tenants", dependencies=[Reader])
async def list_tenants(session: Db, limit: PageLimit = 100, cursor: PageCursor = None) -> Page[TenantView]:
    """All tenants by id."""
    after = decode_cursor(cursor, str)
    items = [_view(*found) for found in await store.tenants(session, after[0] if after else "", limit)]
    return Page(items=items, next_cursor=encode_cursor(items[-1].tenant_id) if len(items) == limit else None)


def _view(tenant: Tenant, version: int) -> TenantView:
    return TenantView(
        tenant_id=tenant.tenant_id,
        name=tenant.name,
        time_zone=tenant.time_zone,
        region=tenant.region,
        version=version,
    )
