"""A tenant's statement of a month."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

from common.fields import TenantPath
from common.http import Caller, Model, PlainRouter
from fastapi import Request
from fastapi.responses import StreamingResponse

from billing.api.charges import Charge
from billing.api.parameters import MonthInPath, Reader
from billing.domain.statements import csv_header, read_month
from billing.service import statements as service

router = PlainRouter(tags=["statements"])


class StatementTotals(Model):
    """`charges` + `reversals` (zero or negative) = `net`."""

    charge_count: int
    charges: Decimal
    reversal_count: int
    reversals: Decimal
    net: Decimal
    currency: str


class Statement(Model):
    """All of a month: charges by the day of closing, reversals by the day of reopening, in the tenant's time zone."""

    tenant_id: str
    name: str
    month: str
    time_zone: str
    currency: str
    lines: list[Charge]
    totals: StatementTotals


_CSV: dict[str, Any] = {
    "text/csv": {
        "schema": {"type": "string"},
        "example": csv_header(),
    }
}


@router.get(
    "/tenants/{tenant_id}/statements/{month}.csv",
    dependencies=[Reader],
    response_class=StreamingResponse,
    responses={200: {"description": "The statement, its last three records the totals", "content": _CSV}},
)
async def get_statement_csv(tenant_id: TenantPath, month: MonthInPath, request: Request, caller: Caller) -> Any:
    """The statement as CSV (RFC 4180, UTF-8): one record per line, then total_charges, total_reversals, total_net."""
    chunks = service.as_csv(request.app.state.runtime.database, caller.scope, tenant_id, read_month(month))
    name = f'attachment; filename="statement-{tenant_id}-{month}.csv"'
    return await _stream(chunks, "text/csv; charset=utf-8", {"content-disposition": name})


@router.get(
    "/tenants/{tenant_id}/statements/{month}",
    dependencies=[Reader],
    response_class=StreamingResponse,
    responses={200: {"model": Statement, "description": "The whole statement", "content": _CSV}},
)
async def get_statement(
    tenant_id: TenantPath,
    month: MonthInPath,
    request: Request,
    caller: Caller,
) -> Any:
    """The statement as JSON, or as CSV with `Accept: text/csv`. An empty month has no lines and zero totals."""
    if "text/csv" in request.headers.get("accept", ""):
        return await get_statement_csv(tenant_id, month, request, caller)
    chunks = service.as_json(request.app.state.runtime.database, caller.scope, tenant_id, read_month(month))
    return await _stream(chunks, "application/json", {})


async def _stream(chunks: AsyncIterator[bytes], media_type: str, headers: dict[str, str]) -> StreamingResponse:
    """Stream from the first chunk on: until that is there, a problem document can still be the answer."""
    first = await anext(chunks)

    async def body() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    return StreamingResponse(body(), media_type=media_type, headers={"vary": "accept", **headers})
