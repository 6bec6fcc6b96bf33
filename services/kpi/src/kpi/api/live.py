"""What is the case now."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from common.fields import TenantFilter
from common.http import Caller, Db, Model, Router
from fastapi import Request
from pydantic import Field

from kpi.api.models import Reader, check_tenant
from kpi.domain.counts import WHOLE_TENANT
from kpi.domain.live import AGENT_STATES, SERVICE_LEVEL_WINDOW
from kpi.service import live
from kpi.service.live import LiveFigures
from kpi.store import tenants
from kpi.store.live import read_agents_of_pools, read_agents_of_queues

router = Router(tags=["live"], dependencies=[Reader])


class LiveCalls(Model):
    """Calls now, and the calls offered in the last 30 minutes."""

    tenant_id: str
    waiting: int = Field(description="Waiting, or ringing at an agent")
    talking: int
    wrap_up: int
    longest_wait_seconds: float = Field(description="Of the calls that wait now; 0 when none does")
    service_level: float | None = Field(
        description="Last 30 minutes, by the tenant's formula; calls that wait and are still in time are left out"
    )
    offered: int = Field(description="Offered in the last 30 minutes")
    answered: int = Field(description="Of these")
    abandoned: int = Field(description="Of these, short ones too")


class LiveQueue(LiveCalls):
    """One queue."""

    queue_id: str
    agents: dict[str, int] | None = Field(
        description="Agents logged in who may take its calls, by state; null for a tenant's caller"
    )


class LiveTenant(LiveCalls):
    """One tenant as a whole."""

    name: str | None = Field(description="Null for a tenant that was not declared here")


class LivePool(Model):
    """The agents of one pool."""

    pool_id: str
    agents: dict[str, int] = Field(examples=[{"available": 3, "busy": 2}])


class LiveView(Model):
    """The centre now."""

    at: datetime
    window_seconds: int = Field(description="How far back the service level looks", examples=[1800])
    agents: dict[str, int] | None = Field(
        description="All agents by state; null for a tenant's caller", examples=[{"available": 3, "busy": 2}]
    )
    pools: list[LivePool]
    tenants: list[LiveTenant]
    queues: list[LiveQueue]


def _calls(figures: LiveFigures) -> dict[str, Any]:
    return {
        "tenant_id": figures.tenant_id,
        "waiting": figures.waiting,
        "talking": figures.talking,
        "wrap_up": figures.wrap_up,
        "longest_wait_seconds": figures.longest_wait_seconds,
        "service_level": figures.service_level,
        "offered": figures.recent.offered,
        "answered": figures.recent.answered,
        "abandoned": figures.recent.abandoned,
    }


@router.get("/live")
async def show_live(session: Db, caller: Caller, request: Request, tenant_id: TenantFilter = None) -> LiveView:
    """Calls waiting, longest wait, agents by state, service level of the last 30 minutes: within a second of now."""
    await check_tenant(session, caller, tenant_id)
    now = request.app.state.runtime.clock.now()
    found = await live.look(session, now, tenant_id)
    names = await tenants.names(session)
    of_floor = caller.tenant_id is None
    pools = await read_agents_of_pools(session) if of_floor else {}
    per_queue = await read_agents_of_queues(session) if of_floor else {}
    return LiveView(
        at=now,
        window_seconds=int(SERVICE_LEVEL_WINDOW.total_seconds()),
        agents={state: sum(pool.get(state, 0) for pool in pools.values()) for state in AGENT_STATES}
        if of_floor
        else None,
        pools=[LivePool(pool_id=pool_id, agents=agents) for pool_id, agents in sorted(pools.items())],
        tenants=[
            LiveTenant(**_calls(figures), name=names.get(figures.tenant_id))
            for figures in found
            if figures.queue_id == WHOLE_TENANT
        ],
        queues=[
            LiveQueue(
                **_calls(figures),
                queue_id=figures.queue_id,
                agents=per_queue.get(figures.queue_id, {}) if of_floor else None,
            )
            for figures in found
            if figures.queue_id != WHOLE_TENANT
        ],
    )
