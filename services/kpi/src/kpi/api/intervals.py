"""Figures per step of time: calls, agents' time, cases, charges, dialling."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from common.database import Session
from common.errors import Invalid, NotFound
from common.fields import SLUG, TenantFilter
from common.http import Caller, Db, Model, Page, PageCursor, PageLimit, Router, decode_cursor, encode_cursor
from fastapi import Query, Request
from pydantic import Field

from kpi.api.models import (
    EARLIEST,
    LATEST,
    CallFigures,
    CaseFigures,
    DialingFigures,
    From,
    MoneyFigures,
    Reader,
    To,
    call_figures,
    check_tenant,
    window,
)
from kpi.domain.agents import ALL_AGENTS, OCCUPANCY, UTILISATION
from kpi.domain.counts import WHOLE_TENANT, C
from kpi.domain.figures import DEFAULT_SERVICE_LEVEL
from kpi.domain.steps import Step
from kpi.store import series, tenants
from kpi.store.series import Place, Series, SteppedRow, Window

router = Router(tags=["figures"], dependencies=[Reader])

StepParam = Annotated[
    Step,
    Query(
        description="Quarters of an hour, hours and days as the tenant's clock shows them: an hour that it shows twice "
        "is two steps, a day lasts from its first midnight to that of the next"
    ),
]
QueueId = Annotated[str | None, Query(pattern=SLUG, description="Only this queue")]
CampaignId = Annotated[str | None, Query(pattern=SLUG, description="Only this campaign")]
AgentId = Annotated[str | None, Query(pattern=SLUG, description="Only this agent")]
Level = Annotated[
    Literal["queue", "tenant"] | None,
    Query(description="`queue`: only rows of queues; `tenant`: only rows of whole tenants; both when absent"),
]


class Stepped(Model):
    """One step of time, with the tenant's offset from UTC."""

    tenant_id: str
    start: datetime = Field(examples=["2026-11-21T09:15:00+01:00"])
    end: datetime = Field(examples=["2026-11-21T09:30:00+01:00"])


class CallInterval(Stepped, CallFigures):
    """Calls that were offered in the step, whenever they were answered."""

    queue_id: str | None = Field(
        description="Null: the whole tenant, where each caller counts once, also one whom agents handed on"
    )


class AgentInterval(Stepped):
    """Time that was spent in the step."""

    agent_id: str | None = Field(description="Null: all agents, on this tenant's calls")
    available_seconds: float
    offered_seconds: float = Field(description="A call rang at the agent")
    busy_seconds: float
    wrap_up_seconds: float
    break_seconds: float
    occupancy: float | None
    utilisation: float | None


class CaseInterval(Stepped, CaseFigures):
    """What happened to cases in the step."""

    queue_id: str = Field(description="Queue of the call that opened the case")


class ChargeInterval(Stepped, MoneyFigures):
    """Money charged and taken back in the step."""


class DialingInterval(Stepped, DialingFigures):
    """Attempts that started in the step."""

    campaign_id: str


def _step(row: SteppedRow[Any]) -> dict[str, Any]:
    zone = ZoneInfo(row.time_zone)
    return {"tenant_id": row.tenant_id, "start": row.start.astimezone(zone), "end": row.end.astimezone(zone)}


async def _rows(
    session: Session, caller: Caller, of: Series[C], asked: Window, cursor: str | None, limit: int
) -> list[SteppedRow[C]]:
    """The page's rows. Raises NotFound for a tenant or key that the caller may not see or that has no figures."""
    await check_tenant(session, caller, asked.tenant_id)
    if asked.key is not None and not await series.has_key(session, of, asked.key):
        raise NotFound(f"there are no figures of {of.key} {asked.key}")
    after: Place | None = decode_cursor(cursor, datetime, str, str)
    if after is not None and (after[0].tzinfo is None or not EARLIEST <= after[0] <= LATEST):
        raise Invalid("this is not a cursor of this list", field="cursor")
    return await series.read(session, of, asked, after=after, limit=limit)


def _next(rows: Sequence[SteppedRow[Any]], limit: int) -> str | None:
    return encode_cursor(rows[-1].start, rows[-1].tenant_id, rows[-1].key) if len(rows) == limit else None


@router.get("/intervals")
async def list_call_intervals(
    session: Db,
    caller: Caller,
    request: Request,
    tenant_id: TenantFilter = None,
    queue_id: QueueId = None,
    level: Level = None,
    from_: From = None,
    to: To = None,
    step: StepParam = "15m",
    limit: PageLimit = 100,
    cursor: PageCursor = None,
) -> Page[CallInterval]:
    """Figures of calls per queue and per tenant, for every step that overlaps [from, to), by start, tenant and queue.

    A call belongs to the step in which it was offered: a late event restates that step.
    """
    if queue_id is not None and level == "tenant":
        raise Invalid("one queue is not at the level of tenants", field="level")
    now = request.app.state.runtime.clock.now()
    totals = None if level is None else level == "tenant"
    asked = window(now, start=from_, end=to, step=step, tenant_id=tenant_id, key=queue_id, totals=totals)
    rows = await _rows(session, caller, series.CALLS, asked, cursor, limit)
    sketches = await series.read_waits(session, rows)
    formulas = await tenants.formulas(session)
    items = [
        CallInterval(
            **_step(row),
            queue_id=None if row.key == WHOLE_TENANT else row.key,
            **call_figures(row.counts, waits, formulas.get(row.tenant_id, DEFAULT_SERVICE_LEVEL)),
        )
        for row, waits in zip(rows, sketches, strict=True)
    ]
    return Page(items=items, next_cursor=_next(rows, limit))


@router.get("/intervals/agents")
async def list_agent_intervals(
    session: Db,
    caller: Caller,
    request: Request,
    tenant_id: TenantFilter = None,
    agent_id: AgentId = None,
    from_: From = None,
    to: To = None,
    step: StepParam = "15m",
    limit: PageLimit = 100,
    cursor: PageCursor = None,
) -> Page[AgentInterval]:
    """Time by state, of each agent (tenant `floor`), and of all agents together on each tenant's calls."""
    now = request.app.state.runtime.clock.now()
    asked = window(now, start=from_, end=to, step=step, tenant_id=tenant_id, key=agent_id)
    rows = await _rows(session, caller, series.AGENT_TIME, asked, cursor, limit)
    items = [
        AgentInterval(
            **_step(row),
            agent_id=None if row.key == ALL_AGENTS else row.key,
            available_seconds=row.counts.available_ms / 1000,
            offered_seconds=row.counts.offered_ms / 1000,
            busy_seconds=row.counts.busy_ms / 1000,
            wrap_up_seconds=row.counts.wrap_up_ms / 1000,
            break_seconds=row.counts.break_ms / 1000,
            occupancy=None if row.key == ALL_AGENTS else OCCUPANCY.value(row.counts),
            utilisation=None if row.key == ALL_AGENTS else UTILISATION.value(row.counts),
        )
        for row in rows
    ]
    return Page(items=items, next_cursor=_next(rows, limit))


@router.get("/intervals/cases")
async def list_case_intervals(
    session: Db,
    caller: Caller,
    request: Request,
    tenant_id: TenantFilter = None,
    queue_id: QueueId = None,
    from_: From = None,
    to: To = None,
    step: StepParam = "15m",
    limit: PageLimit = 100,
    cursor: PageCursor = None,
) -> Page[CaseInterval]:
    """Cases by the queue of the call that opened them, in the step in which each thing happened."""
    now = request.app.state.runtime.clock.now()
    asked = window(now, start=from_, end=to, step=step, tenant_id=tenant_id, key=queue_id)
    rows = await _rows(session, caller, series.CASES, asked, cursor, limit)
    items = [CaseInterval(**_step(row), queue_id=row.key, **CaseFigures.of(row.counts).model_dump()) for row in rows]
    return Page(items=items, next_cursor=_next(rows, limit))


@router.get("/intervals/charges")
async def list_charge_intervals(
    session: Db,
    caller: Caller,
    request: Request,
    tenant_id: TenantFilter = None,
    from_: From = None,
    to: To = None,
    step: StepParam = "15m",
    limit: PageLimit = 100,
    cursor: PageCursor = None,
) -> Page[ChargeInterval]:
    """Charges and reversals by currency. For information: the statement is billing's."""
    now = request.app.state.runtime.clock.now()
    asked = window(now, start=from_, end=to, step=step, tenant_id=tenant_id)
    rows = await _rows(session, caller, series.CHARGES, asked, cursor, limit)
    items = [ChargeInterval(**_step(row), **MoneyFigures.of(row.key, row.counts).model_dump()) for row in rows]
    return Page(items=items, next_cursor=_next(rows, limit))


@router.get("/intervals/dialing")
async def list_dialing_intervals(
    session: Db,
    caller: Caller,
    request: Request,
    tenant_id: TenantFilter = None,
    campaign_id: CampaignId = None,
    from_: From = None,
    to: To = None,
    step: StepParam = "15m",
    limit: PageLimit = 100,
    cursor: PageCursor = None,
) -> Page[DialingInterval]:
    """Attempts of each campaign by the step in which the dial started."""
    now = request.app.state.runtime.clock.now()
    asked = window(now, start=from_, end=to, step=step, tenant_id=tenant_id, key=campaign_id)
    rows = await _rows(session, caller, series.DIALING, asked, cursor, limit)
    items = [
        DialingInterval(**_step(row), campaign_id=row.key, **DialingFigures.of(row.counts).model_dump()) for row in rows
    ]
    return Page(items=items, next_cursor=_next(rows, limit))
