"""Client companies: their time zone, which bounds their hours and days, and how their service level is counted."""

from __future__ import annotations

from common.auth import Role
from common.errors import NotFound
from common.fields import Line, TenantPath, TimeZone
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
    require,
)
from fastapi import Request, Response
from pydantic import Field

from kpi.api.models import Reader
from kpi.domain.figures import DEFAULT_SERVICE_LEVEL, ServiceLevelFormula
from kpi.store import tenants
from kpi.store.tenants import Tenant

router = Router(tags=["tenants"])


class TenantBody(Model):
    """What KPI needs to know of a client company."""

    name: Line = Field(examples=["Kettle & Sons"])
    time_zone: TimeZone = Field(
        description="IANA name: hours, days and local times are of this zone", examples=["Europe/Paris"]
    )
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


@router.put("/tenants/{tenant_id}", dependencies=[require(Role.OPERATOR)], responses=creates(TenantView))
async def put_tenant(
    session: Db, request: Request, response: Response, tenant_id: TenantPath, body: TenantBody
) -> TenantView:
    """Create or replace; the version grows only when something changes."""
    await tenants.lock(session, tenant_id)
    present = await tenants.get(session, tenant_id)
    version = 1 if present is None else present.version
    check_if_match(request, None if present is None else present.version)
    wanted = Tenant(tenant_id, body.name, body.time_zone, body.service_level_formula, version)
    if present != wanted:
        if present is not None:
            wanted = Tenant(tenant_id, body.name, body.time_zone, body.service_level_formula, version + 1)
        await tenants.put(session, wanted)
    answer_put(response, wanted.version, created=present is None)
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
    found = await tenants.list_after(session, decode_key(cursor, str) or "", limit)
    return page([_view(tenant) for tenant in found], limit, lambda last: (last.tenant_id,))
