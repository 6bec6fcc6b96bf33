"""Client companies: their time zone, which cuts their days, and how their service level is counted."""

from __future__ import annotations

import zoneinfo
from typing import Annotated, Any

from common.auth import Role
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
    require,
)
from fastapi import Path, Request, Response
from pydantic import Field, StringConstraints

from kpi.api.models import SLUG, Reader
from kpi.domain.figures import DEFAULT_SERVICE_LEVEL, ServiceLevelFormula
from kpi.store import tenants
from kpi.store.tenants import Tenant

router = Router(tags=["tenants"])

TenantPath = Annotated[str, Path(pattern=SLUG, examples=["kettle"])]
CREATED: dict[int | str, dict[str, Any]] = {201: {"description": "Created"}}


class TenantBody(Model):
    """What KPI needs to know of a client company."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]*$")] = Field(
        examples=["Kettle & Sons"]
    )
    time_zone: str = Field(description="IANA name: days and local times are of this zone", examples=["Europe/Paris"])
    service_level_formula: ServiceLevelFormula = Field(
        default=DEFAULT_SERVICE_LEVEL, description="`GET /v1/definitions` shows each"
    )


class TenantView(TenantBody):
    """The tenant with its version, which is in the ETag too."""

    tenant_id: str
    version: int


def _view(tenant: Tenant) -> TenantView:
    return TenantView(
        tenant_id=tenant.tenant_id,
        name=tenant.name,
        time_zone=tenant.time_zone,
        service_level_formula=tenant.service_level_formula,
        version=tenant.version,
    )


@router.put("/tenants/{tenant_id}", dependencies=[require(Role.OPERATOR)], responses=CREATED)
async def put_tenant(
    session: Db, request: Request, response: Response, tenant_id: TenantPath, body: TenantBody
) -> TenantView:
    """Create or replace; the version grows only when something changes."""
    if body.time_zone not in zoneinfo.available_timezones() or not await tenants.knows_time_zone(
        session, body.time_zone
    ):
        raise Invalid(f"there is no time zone {body.time_zone!r}", field="time_zone")
    await tenants.lock(session, tenant_id)
    present = await tenants.get(session, tenant_id)
    version = 1 if present is None else present.version
    if present is not None:
        check_if_match(request, present.version)
    wanted = Tenant(tenant_id, body.name, body.time_zone, body.service_level_formula, version)
    if present != wanted:
        if present is not None:
            wanted = Tenant(tenant_id, body.name, body.time_zone, body.service_level_formula, version + 1)
        await tenants.put(session, wanted)
    response.status_code = 201 if present is None else 200
    response.headers["etag"] = etag(wanted.version)
    return _view(wanted)


@router.get("/tenants/{tenant_id}", dependencies=[Reader])
async def show_tenant(session: Db, caller: Caller, response: Response, tenant_id: TenantPath) -> TenantView:
    """One tenant."""
    caller.check_tenant(tenant_id)
    tenant = await tenants.get(session, tenant_id)
    if tenant is None:
        raise NotFound(f"no tenant {tenant_id}")
    response.headers["etag"] = etag(tenant.version)
    return _view(tenant)


@router.get("/tenants", dependencies=[Reader])
async def list_tenants(session: Db, limit: PageLimit = 100, cursor: PageCursor = None) -> Page[TenantView]:
    """The tenants that the caller may see, by id."""
    after = decode_cursor(cursor, str)
    found = await tenants.list_after(session, after[0] if after else "", limit)
    items = [_view(tenant) for tenant in found]
    return Page(items=items, next_cursor=encode_cursor(items[-1].tenant_id) if len(items) == limit else None)
