"""Dialer's routes, one module per noun."""

from __future__ import annotations

from dialer.api import attempts, campaigns, dials, leads, tenants

ROUTERS = (tenants.router, campaigns.router, leads.router, attempts.router, dials.router, dials.stream)
