"""KPI's routes."""

from __future__ import annotations

from kpi.api import definitions, intervals, live, summary, tenants

ROUTERS = (tenants.router, intervals.router, live.router, summary.router, definitions.router)
