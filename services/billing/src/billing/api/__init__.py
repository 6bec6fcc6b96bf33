"""Billing's routes, one module per noun."""

from __future__ import annotations

from billing.api import charges, replay_checks, statements, tenants

ROUTERS = (tenants.router, charges.router, statements.router, replay_checks.router)
