"""Contacts: made by calls, by people and by the tenant's own systems."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from common import outbox
from common.clock import Clock
from common.database import Session
from common.errors import Conflict, Invalid, NotFound
from common.events import ContactCreated, ContactUpdated
from common.ids import new_id
from common.phone import InvalidPhone, normalise

from crm_bridge.domain.settings import TenantSettings
from crm_bridge.service import tenants
from crm_bridge.store import contacts as store
from crm_bridge.store.contacts import Contact


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What people know of a contact. `phone` as typed: national in the tenant's region, or international."""

    phone: str
    name: str | None
    email: str | None
    priority: int


async def create(session: Session, tenant_id: str, details: Details, clock: Clock) -> Contact:
    """A new contact. Raises Invalid (phone, tenant), or Conflict when the tenant has one with this number."""
    settings = await tenants.known(session, tenant_id)
    now = clock.now()
    contact = await store.insert(
        session,
        contact_id=new_id(),
        tenant_id=tenant_id,
        phone=read_phone(details.phone, settings),
        name=details.name,
        email=details.email,
        priority=details.priority,
        at=now,
    )
    if contact is None:
        raise Conflict("the tenant has a contact with this number", field="phone")
    outbox.add(
        session,
        ContactCreated(
            tenant_id=tenant_id,
            contact_id=str(contact.id),
            phone=contact.phone or "",
            name=contact.name,
            email=contact.email,
            priority=contact.priority,
            occurred_at=now,
        ),
    )
    return contact


async def get(session: Session, contact_id: UUID, *, locked: bool = False) -> Contact:
    """Raises NotFound."""
    contact = await store.by_id(session, contact_id, locked=locked)
    if contact is None:
        raise NotFound(f"no contact {contact_id}")
    return contact


async def update(session: Session, present: Contact, details: Details, clock: Clock) -> Contact:
    """Change a contact that the caller holds. Nothing is written or published when nothing changes.

    Raises Invalid (phone), or Conflict when another contact of the tenant has the number.
    """
    phone = present.phone
    if details.phone != (present.phone or ""):
        settings = await tenants.known(session, present.tenant_id)
        phone = read_phone(details.phone, settings)
    wanted = replace(present, phone=phone, name=details.name, email=details.email, priority=details.priority)
    if wanted == present:
        return present
    if phone != present.phone:
        others = await store.page(session, tenant_id=present.tenant_id, phone=phone, before=None, limit=1)
        if others:
            raise Conflict("another contact of the tenant has this number", field="phone")
    now = clock.now()
    contact = await store.update(session, wanted, at=now)
    outbox.add(
        session,
        ContactUpdated(
            tenant_id=contact.tenant_id,
            contact_id=str(contact.id),
            phone=contact.phone or "",
            name=contact.name,
            email=contact.email,
            priority=contact.priority,
            occurred_at=now,
        ),
    )
    return contact


def read_phone(text: str, settings: TenantSettings) -> str:
    """E.164, read as the tenant's numbers are. Raises Invalid."""
    try:
        return normalise(text, settings.region, possible=settings.allow_possible_numbers)
    except InvalidPhone as wrong:
        raise Invalid(f"phone: {wrong}", field="phone", errors=[{"field": "phone", "reason": str(wrong)}]) from None
