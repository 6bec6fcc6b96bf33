"""Tenants and tariffs."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

from common.errors import Invalid
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
)
from common.ids import FLOOR
from common.money import EXPONENTS
from fastapi import Request, Response
from pydantic import AfterValidator, Field, JsonValue

from billing.api.parameters import Operator, Reader
from billing.domain.tariffs import PRICE, Tariff, price_text
from billing.service import tariffs as service
from billing.store import tariffs as store

router = Router(tags=["tariffs"])

_CURRENCIES: list[JsonValue] = [*sorted(EXPONENTS)]


class TenantBody(Model):
    """What billing must know of a tenant."""

    name: Line = Field(examples=["Kettle & Sons"])
    time_zone: TimeZone = Field(description="IANA name: decides the days and months", examples=["Europe/Paris"])
    currency: str = Field(max_length=3, description="ISO 4217", json_schema_extra={"enum": _CURRENCIES})


class TenantView(TenantBody):
    """A tenant; `version` counts its changes and is its ETag."""

    tenant_id: str
    version: int


class TariffBody(Model):
    """A price per closed case from a day on (default: today in the tenant's time zone)."""

    price_per_closed_case: Annotated[str, AfterValidator(price_text)] = Field(
        max_length=40,
        description="Zero or more, in the tenant's currency, with no more digits than that has",
        examples=["4.20"],
        json_schema_extra={"pattern": PRICE},
    )
    valid_from: date | None = Field(None, examples=["2026-11-01"])


class TariffView(Model):
    """One version of a tariff: it never changes."""

    tenant_id: str
    version: int
    valid_from: date
    price_per_closed_case: Decimal
    currency: str


class TariffOutcome(TariffView):
    """The tariff that now holds from that day; `charged` waiting cases were charged by it just now."""

    charged: int


class TariffListed(TariffView):
    """With the moment of its making."""

    created_at: datetime


def _fields(tenant_id: str, tariff: Tariff) -> dict[str, Any]:
    return {
        "tenant_id": tenant_id,
        "version": tariff.version,
        "valid_from": tariff.valid_from,
        "price_per_closed_case": tariff.price.amount,
        "currency": tariff.price.currency,
    }


def _tenant(tenant: store.Tenant) -> TenantView:
    return TenantView(
        tenant_id=tenant.tenant_id,
        name=tenant.name,
        time_zone=tenant.time_zone,
        currency=tenant.currency,
        version=tenant.version,
    )


@router.put("/tenants/{tenant_id}", dependencies=[Operator], responses=creates(TenantView))
async def put_tenant(
    tenant_id: TenantPath, body: TenantBody, request: Request, response: Response, session: Db, caller: Caller
) -> TenantView:
    """Create (201) or replace (200) a tenant. The currency stays once there is a tariff, the time zone once something
    was charged (409): both would change what was charged."""
    caller.check_tenant(tenant_id)
    if tenant_id == FLOOR:
        raise Invalid(f"{FLOOR} is the floor itself and is never billed", field="tenant_id")
    wanted = store.Tenant(tenant_id, body.name, body.time_zone, body.currency, version=0)
    tenant, created = await service.put_tenant(
        session,
        wanted,
        request.app.state.runtime.clock,
        lambda version: check_if_match(request, version),
    )
    answer_put(response, tenant.version, created=created)
    return _tenant(tenant)


@router.get("/tenants/{tenant_id}", dependencies=[Reader])
async def get_tenant(tenant_id: TenantPath, response: Response, session: Db) -> TenantView:
    """One tenant."""
    tenant = await service.tenant(session, tenant_id)
    response.headers["etag"] = etag(tenant.version)
    return _tenant(tenant)


@router.get("/tenants", dependencies=[Reader])
async def list_tenants(session: Db, limit: PageLimit = 100, cursor: PageCursor = None) -> Page[TenantView]:
    """Tenants by id."""
    tenants = await store.tenants(session, decode_key(cursor, str) or "", limit)
    return page([_tenant(tenant) for tenant in tenants], limit, lambda last: (last.tenant_id,))


@router.put(
    "/tenants/{tenant_id}/tariff",
    dependencies=[Operator],
    responses={201: {"model": TariffOutcome, "description": "A new version"}},
)
async def put_tariff(
    tenant_id: TenantPath, body: TariffBody, request: Request, response: Response, session: Db, caller: Caller
) -> TariffOutcome:
    """Let the price hold from a day on: a new version (201), or the one that says so already (200).

    409 when a case that is already charged would get another price. Cases that waited for a tariff are charged now.
    """
    caller.check_tenant(tenant_id)
    clock = request.app.state.runtime.clock
    outcome = await service.put_tariff(session, tenant_id, body.price_per_closed_case, body.valid_from, clock)
    response.status_code = 201 if outcome.created else 200
    return TariffOutcome(**_fields(tenant_id, outcome.tariff), charged=outcome.charged)


@router.get("/tenants/{tenant_id}/tariffs", dependencies=[Reader])
async def list_tariffs(
    tenant_id: TenantPath, session: Db, limit: PageLimit = 100, cursor: PageCursor = None
) -> Page[TariffListed]:
    """Every version of the tenant's tariff, oldest first."""
    await service.tenant(session, tenant_id)
    versions = await store.tariffs(session, tenant_id, decode_key(cursor, int) or 0, limit)
    items = [TariffListed(**_fields(tenant_id, tariff), created_at=made) for tariff, made in versions]
    return page(items, limit, lambda last: (last.version,))
