"""The ledger, what waits for a tariff, and sums."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from common.fields import TenantFilter
from common.http import Db, Model, Page, PageCursor, PageLimit, Router, decode_cursor, page

from billing.api.parameters import CaseFilter, FloorReader, MonthFilter, Reader
from billing.domain.statements import Sums, by_currency, days_of, read_month
from billing.service import rating as rating_service
from billing.service import statements as service
from billing.store import ledger as store

router = Router(tags=["charges"])


class Charge(Model):
    """One entry of the ledger. A reversal has quantity -1, a negative amount, and `reverses` names its charge."""

    charge_id: UUID
    tenant_id: str
    case_id: str
    charge_code: str
    closing: int
    kind: Literal["charge", "reversal"]
    tariff_version: int
    quantity: int
    amount: Decimal
    currency: str
    date: date
    month: str
    occurred_at: datetime
    reverses: UUID | None


class UnratedClosing(Model):
    """A closed case for which no tariff was valid, and why."""

    tenant_id: str
    case_id: str
    closing: int
    closed_at: datetime
    reopened_at: datetime | None
    reason: str


class Sum(Model):
    """Money in one currency: `charges` + `reversals` (zero or negative) = `net`."""

    currency: str
    charge_count: int
    charges: Decimal
    reversal_count: int
    reversals: Decimal
    net: Decimal


class TenantSum(Sum):
    """Of one tenant."""

    tenant_id: str


class Summary(Model):
    """Per tenant, per currency, and how many closings wait for a tariff."""

    tenants: list[TenantSum]
    totals: list[Sum]
    unrated: int


@router.get("/charges", dependencies=[Reader])
async def list_charges(
    session: Db,
    tenant_id: TenantFilter = None,
    case_id: CaseFilter = None,
    month: MonthFilter = None,
    limit: PageLimit = 100,
    cursor: PageCursor = None,
) -> Page[Charge]:
    """Charges and reversals in the order of their occurrence."""
    entries = await store.entries(
        session,
        tenant_id=tenant_id,
        case_id=case_id,
        days=None if month is None else days_of(read_month(month)),
        after=decode_cursor(cursor, datetime, UUID),
        limit=limit,
    )
    items = [Charge(**service.line(entry)) for entry in entries]
    return page(items, limit, lambda last: (last.occurred_at, last.charge_id))


@router.get("/unrated", dependencies=[Reader])
async def list_unrated(
    session: Db, tenant_id: TenantFilter = None, limit: PageLimit = 100, cursor: PageCursor = None
) -> Page[UnratedClosing]:
    """Closed cases that no tariff covers. Adding one that does charges them at once."""
    after = decode_cursor(cursor, str, datetime, str, int)
    ratings = await rating_service.unrated(session, tenant_id, limit, after)
    items = [
        UnratedClosing(
            tenant_id=rating.closing.tenant_id,
            case_id=rating.closing.case_id,
            closing=rating.closing.closing,
            closed_at=rating.closing.closed_at,
            reopened_at=rating.closing.reopened_at,
            reason=rating.reason,
        )
        for rating in ratings
    ]
    return page(items, limit, lambda last: (last.tenant_id, last.closed_at, last.case_id, last.closing))


@router.get("/summary", dependencies=[FloorReader])
async def get_summary(session: Db, month: MonthFilter = None) -> Summary:
    """What was charged and taken back, in one month or ever."""
    sums = await store.sums(session, None if month is None else days_of(read_month(month)))
    by_tenant = [TenantSum(tenant_id=each.tenant_id, **_sum(each)) for each in sums]
    totals = [Sum(**_sum(each)) for each in by_currency(sums)]
    return Summary(tenants=by_tenant, totals=totals, unrated=sum((await store.unrated_counts(session)).values()))


def _sum(sums: Sums) -> dict[str, Any]:
    return {
        "currency": sums.currency,
        "charge_count": sums.charge_count,
        "charges": sums.charges.amount,
        "reversal_count": sums.reversal_count,
        "reversals": sums.reversals.amount,
        "net": sums.net.amount,
    }
