"""What is the case now: calls waiting, longest wait, agents by state, service level of the last 30 minutes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from common.database import Session

from kpi.domain.counts import WHOLE_TENANT, CallCounts
from kpi.domain.figures import DEFAULT_SERVICE_LEVEL, SERVICE_LEVELS
from kpi.domain.live import SERVICE_LEVEL_WINDOW
from kpi.store import live, series, tenants
from kpi.store.live import QueueNow


@dataclass(frozen=True, slots=True)
class LiveFigures:
    """One queue, or (queue id '') one tenant, now. `recent` counts the calls offered in the last 30 minutes; a call
    that still waits and can still be answered in time is left out of the service level."""

    tenant_id: str
    queue_id: str
    waiting: int
    talking: int
    wrap_up: int
    longest_wait_seconds: float
    recent: CallCounts
    service_level: float | None


async def look(session: Session, now: datetime, tenant_id: str | None = None) -> list[LiveFigures]:
    """Every known queue, then every declared or seen tenant (or those of one tenant alone), in the order of ids."""
    formulas = await tenants.formulas(session)
    queues = await live.read_queues(session, now=now, window=SERVICE_LEVEL_WINDOW, tenant_id=tenant_id)
    window = series.Window("15m", now - SERVICE_LEVEL_WINDOW, now)
    recent = await series.read_minutes(session, window)

    def figures(of: Iterable[QueueNow], tenant: str, queue: str) -> LiveFigures:
        several = list(of)
        whole = queue == WHOLE_TENANT
        counts = recent.get((tenant, queue), CallCounts())
        undecided = sum(one.undecided_since_offer if whole else one.undecided for one in several)
        formula = SERVICE_LEVELS[formulas.get(tenant, DEFAULT_SERVICE_LEVEL)]
        since = [when for one in several if (when := one.waiting_since_offer if whole else one.waiting_since)]
        return LiveFigures(
            tenant_id=tenant,
            queue_id=queue,
            waiting=sum(one.waiting for one in several),
            talking=sum(one.talking for one in several),
            wrap_up=sum(one.wrap_up for one in several),
            longest_wait_seconds=max(0.0, (now - min(since)).total_seconds()) if since else 0.0,
            recent=counts,
            service_level=formula.value(replace(counts, offered=counts.offered - undecided), {}),
        )

    per_tenant: dict[str, list[QueueNow]] = {tenant: [] for tenant in formulas if tenant_id in (None, tenant)}
    for queue in queues:
        per_tenant.setdefault(queue.tenant_id, []).append(queue)
    return [
        *(figures([queue], queue.tenant_id, queue.queue_id) for queue in queues),
        *(figures(of, tenant, WHOLE_TENANT) for tenant, of in sorted(per_tenant.items())),
    ]
