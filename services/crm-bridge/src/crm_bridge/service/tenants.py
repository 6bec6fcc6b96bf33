"""Tenants' settings."""

from __future__ import annotations

from common.database import Session
from common.errors import Invalid, NotFound

from crm_bridge.domain.settings import TenantSettings
from crm_bridge.store import tenants as store
from crm_bridge.store.tenants import Tenant


async def get(session: Session, tenant_id: str) -> tuple[Tenant, int]:
    """The tenant and its version. Raises NotFound."""
    found = await store.by_id(session, tenant_id)
    if found is None:
        raise NotFound(f"no tenant {tenant_id}")
    return found


async def known(session: Session, tenant_id: str) -> TenantSettings:
    """Settings of the tenant that a request body names. Raises Invalid: a mistyped tenant must not collect data."""
    settings = (await store.settings(session, [tenant_id])).get(tenant_id)
    if settings is None:
        raise Invalid(f"tenant_id: there is no tenant {tenant_id!r}", field="tenant_id")
    return settings
