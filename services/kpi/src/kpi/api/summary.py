"""The whole floor and each tenant over one stretch of time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from common.auth import Role
from common.http import Db, Model, Router, require
from fastapi import Request

from kpi.api.models import CallFigures, CaseFigures, DialingFigures, From, MoneyFigures, To, call_figures, window
from kpi.domain.counts import CallCounts, CaseCounts, ChargeCounts, DialingCounts, total
from kpi.domain.figures import DEFAULT_SERVICE_LEVEL, ServiceLevelFormula
from kpi.store import series, tenants

router = Router(tags=["figures"])


class Totals(Model):
    """Everything that is counted, over the stretch."""

    calls: CallFigures
    cases: CaseFigures
    charges: list[MoneyFigures]
    dialing: DialingFigures


class TenantTotals(Totals):
    """The totals of one tenant."""

    tenant_id: str
    name: str | None


class Summary(Model):
    """The floor and its tenants. The stretch is that asked for; the quarters of an hour that overlap it count whole."""

    start: datetime
    end: datetime
    floor: Totals
    tenants: list[TenantTotals]


def _merged(sketches: Iterable[dict[int, int]]) -> dict[int, int]:
    merged: dict[int, int] = {}
    for sketch in sketches:
        for bucket, calls in sketch.items():
            merged[bucket] = merged.get(bucket, 0) + calls
    return merged


@router.get("/summary", dependencies=[require(Role.OPERATOR, Role.SERVICE)])
async def show_summary(session: Db, request: Request, from_: From = None, to: To = None) -> Summary:
    """Calls, cases, money and dialling of the floor and of each tenant; 24 hours unless said otherwise."""
    asked = window(request.app.state.runtime.clock.now(), start=from_, end=to)
    wholes = series.Window(asked.step, asked.start, asked.end, totals=True)
    calls = await series.read_totals(session, series.CALLS, wholes)
    waits = await series.read_total_waits(session, asked)
    cases = await series.read_totals(session, series.CASES, asked)
    charges = await series.read_totals(session, series.CHARGES, asked)
    dialing = await series.read_totals(session, series.DIALING, asked)
    names = await tenants.names(session)
    formulas = await tenants.formulas(session)

    def totals(of: set[str], formula: ServiceLevelFormula) -> dict[str, Any]:
        currencies = sorted({currency for tenant, currency in charges if tenant in of})
        return {
            "calls": call_figures(
                total(CallCounts(), (counts for (tenant, _), counts in calls.items() if tenant in of)),
                _merged(sketch for tenant, sketch in waits.items() if tenant in of),
                formula,
            ),
            "cases": CaseFigures.of(
                total(CaseCounts(), (counts for (tenant, _), counts in cases.items() if tenant in of))
            ),
            "charges": [
                MoneyFigures.of(
                    currency,
                    total(
                        ChargeCounts(),
                        (money for (tenant, code), money in charges.items() if tenant in of and code == currency),
                    ),
                )
                for currency in currencies
            ],
            "dialing": DialingFigures.of(
                total(DialingCounts(), (counts for (tenant, _), counts in dialing.items() if tenant in of))
            ),
        }

    known = set(names) | {tenant for rows in (calls, cases, charges, dialing) for tenant, _ in rows}
    return Summary(
        start=asked.start,
        end=asked.end,
        floor=Totals(**totals(known, DEFAULT_SERVICE_LEVEL)),
        tenants=[
            TenantTotals(
                tenant_id=tenant,
                name=names.get(tenant),
                **totals({tenant}, formulas.get(tenant, DEFAULT_SERVICE_LEVEL)),
            )
            for tenant in sorted(known)
        ],
    )
