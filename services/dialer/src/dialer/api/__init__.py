"""Dialer's routes, one module per noun."""

from __future__ import annotations

from dialer.api import attempts, campaigns, dials, do_not_call, leads, tenants

ROUTERS = (
    tenants.router,
    do_not_call.router,
    campaigns.router,
    leads.router,
    attempts.router,
    dials.router,
    dials.stream,
)
