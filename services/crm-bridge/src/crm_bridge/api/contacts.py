"""Contacts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from common.auth import Role
from common.errors import Invalid
from common.fields import Line, Slug, TenantFilter
from common.http import (
    Caller,
    Db,
    Model,
    Page,
    PageCursor,
    PageLimit,
    Router,
    check_if_match,
    decode_key,
    etag,
    page,
    require,
)
from fastapi import Query, Request, Response
from pydantic import Field, StringConstraints

from crm_bridge.api.parameters import Reader, shown_tenant
from crm_bridge.service import contacts as service
from crm_bridge.store import contacts as store
from crm_bridge.store.contacts import Contact

router = Router(tags=["contacts"])

Editor = require(Role.OPERATOR, Role.SUPERVISOR, Role.AGENT, Role.SERVICE, Role.TENANT)
Email = Annotated[str, StringConstraints(max_length=254, pattern=r"^[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+$")]
Phone = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class ContactPatch(Model):
    """What is absent stays as it is; null empties (a phone number cannot be emptied)."""

    phone: Phone | None = Field(default=None, description="National in the tenant's region, or international")
    name: Line | None = None
    email: Email | None = None
    priority: int | None = Field(default=None, ge=0, le=9)


class ContactBody(Model):
    """A new contact."""

    tenant_id: Slug | None = Field(
        default=None, description="May be absent when the caller belongs to a tenant", examples=["kettle"]
    )
    phone: Phone = Field(
        description="National in the tenant's region, or international", examples=["06 39 98 00 01", "+33639980001"]
    )
    name: Line | None = Field(default=None, examples=["Ada Martin"])
    email: Email | None = Field(default=None, examples=["ada@example.org"])
    priority: int = Field(default=0, ge=0, le=9, description="0 ordinary … 9 most urgent caller")


class ContactView(Model):
    """A contact. `phone` is E.164; null for a caller who withheld it."""

    id: UUID
    tenant_id: str
    phone: str | None
    name: str | None
    email: str | None
    priority: int
    last_call_at: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int


def _view(contact: Contact) -> ContactView:
    return ContactView(
        id=contact.id,
        tenant_id=contact.tenant_id,
        phone=contact.phone,
        name=contact.name,
        email=contact.email,
        priority=contact.priority,
        last_call_at=contact.last_call_at,
        created_at=contact.created_at,
        updated_at=contact.updated_at,
        version=contact.version,
    )


@router.post("/contacts", status_code=201, dependencies=[Editor])
async def create_contact(
    body: ContactBody, request: Request, response: Response, session: Db, caller: Caller
) -> ContactView:
    """Create a contact. 409 when the tenant has one with this number."""
    tenant_id = body.tenant_id or caller.tenant_id
    if tenant_id is None:
        raise Invalid("tenant_id: say whose contact this is", field="tenant_id")
    caller.check_tenant(tenant_id)
    details = service.Details(phone=body.phone, name=body.name, email=body.email, priority=body.priority)
    contact = await service.create(session, tenant_id, details, request.app.state.runtime.clock)
    response.headers["location"] = f"/v1/contacts/{contact.id}"
    response.headers["etag"] = etag(contact.version)
    return _view(contact)


@router.get("/contacts", dependencies=[Reader])
async def list_contacts(
    session: Db,
    caller: Caller,
    tenant_id: TenantFilter = None,
    phone: Annotated[str | None, Query(description="Exactly this number, in E.164", max_length=64)] = None,
    limit: PageLimit = 100,
    cursor: PageCursor = None,
) -> Page[ContactView]:
    """Newest first."""
    # A `+` that a client forgot to encode arrives as a blank.
    number = "+" + phone[1:] if phone and phone[0] == " " else phone
    found = await store.page(
        session,
        tenant_id=shown_tenant(caller, tenant_id),
        phone=number,
        before=decode_key(cursor, UUID),
        limit=limit,
    )
    return page([_view(contact) for contact in found], limit, lambda last: (last.id,))


@router.get("/contacts/{contact_id}", dependencies=[Reader])
async def get_contact(contact_id: UUID, response: Response, session: Db) -> ContactView:
    """One contact."""
    contact = await service.get(session, contact_id)
    response.headers["etag"] = etag(contact.version)
    return _view(contact)


@router.patch("/contacts/{contact_id}", dependencies=[Editor])
async def update_contact(
    contact_id: UUID, body: ContactPatch, request: Request, response: Response, session: Db
) -> ContactView:
    """Change what the body names. Send If-Match with the ETag that was read, so as not to undo others' work (412)."""
    present = await service.get(session, contact_id, locked=True)
    check_if_match(request, present.version)
    named = body.model_fields_set
    for field in ("phone", "priority"):
        if field in named and getattr(body, field) is None:
            raise Invalid(f"{field}: cannot be emptied", field=field)
    details = service.Details(
        phone=body.phone if body.phone is not None else (present.phone or ""),
        name=body.name if "name" in named else present.name,
        email=body.email if "email" in named else present.email,
        priority=body.priority if body.priority is not None else present.priority,
    )
    contact = await service.update(session, present, details, request.app.state.runtime.clock)
    response.headers["etag"] = etag(contact.version)
    return _view(contact)
