"""Routes of crm-bridge, one module per noun."""

from __future__ import annotations

from crm_bridge.api import cases, contacts, tenants, webhooks

ROUTERS = (tenants.router, contacts.router, cases.router, webhooks.router)
