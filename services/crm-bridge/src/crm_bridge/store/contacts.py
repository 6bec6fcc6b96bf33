"""Contacts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from common.database import Session

_CONTACT = "id, tenant_id, phone, name, email, priority, version, last_call_at, created_at, updated_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A person of a tenant. `phone` is E.164; None for one who withheld it."""

    id: UUID
    tenant_id: str
    phone: str | None
    name: str | None
    email: str | None
    priority: int
    version: int
    last_call_at: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Caller:
    """A contact as its first and last call of a batch show it; `id` is what it gets when it is new."""

    id: UUID
    tenant_id: str
    key: str
    phone: str | None
    first_call_at: datetime
    last_call_at: datetime


async def claim(session: Session, callers: Iterable[Caller]) -> dict[tuple[str, str], UUID]:
    """Find or create the contacts and lock them until the transaction ends; ids by tenant and key.

    A contact that calls create exists since the first of them, as its `contact.created.v1` says.
    One statement in one order, so that replicas that meet the same contacts wait for each other and never deadlock.
    """
    rows: Sequence[Caller] = sorted(callers, key=lambda caller: (caller.tenant_id, caller.key))
    if not rows:
        return {}
    found = await session.fetch(
        """
        INSERT INTO contacts (id, tenant_id, key, phone, created_at, updated_at, last_call_at, priority, version)
        SELECT caller.*, 0, 1
        FROM unnest(
            $1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $5::timestamptz[], $6::timestamptz[]
        ) AS caller
        ON CONFLICT (tenant_id, key) DO UPDATE SET
            last_call_at = greatest(contacts.last_call_at, EXCLUDED.last_call_at)
        RETURNING tenant_id, key, id
        """,
        [caller.id for caller in rows],
        [caller.tenant_id for caller in rows],
        [caller.key for caller in rows],
        [caller.phone for caller in rows],
        [caller.first_call_at for caller in rows],
        [caller.last_call_at for caller in rows],
    )
    return {(row[0], row[1]): row[2] for row in found}


async def lock(session: Session, ids: Iterable[UUID]) -> None:
    """Hold these contacts until the transaction ends."""
    await session.fetch("SELECT 1 FROM contacts WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE", sorted(ids))


async def by_id(session: Session, contact_id: UUID, *, locked: bool = False) -> Contact | None:
    """One contact, held until the transaction ends when `locked`."""
    lock_clause = "FOR UPDATE" if locked else ""
    row = await session.fetchrow(f"SELECT {_CONTACT} FROM contacts WHERE id = $1 {lock_clause}", contact_id)  # noqa: S608
    return None if row is None else Contact(**dict(row))


async def page(
    session: Session, *, tenant_id: str | None, phone: str | None, before: UUID | None, limit: int
) -> list[Contact]:
    """Newest first, from `before` on; None selects all."""
    rows = await session.fetch(
        f"""
        SELECT {_CONTACT} FROM contacts
        WHERE ($1::text IS NULL OR tenant_id = $1) AND ($2::text IS NULL OR key = $2) AND ($3::uuid IS NULL OR id < $3)
        ORDER BY id DESC LIMIT $4
        """,  # noqa: S608
        tenant_id,
        phone,
        before,
        limit,
    )
    return [Contact(**dict(row)) for row in rows]


async def insert(
    session: Session,
    *,
    contact_id: UUID,
    tenant_id: str,
    phone: str,
    name: str | None,
    email: str | None,
    priority: int,
    at: datetime,
) -> Contact | None:
    """A new contact, created at `at`; None when the tenant has one with this number."""
    row = await session.fetchrow(
        f"""
        INSERT INTO contacts (id, tenant_id, key, phone, name, email, priority, created_at, updated_at, version)
        VALUES ($1, $2, $3, $3, $4, $5, $6, $7, $7, 1) ON CONFLICT (tenant_id, key) DO NOTHING RETURNING {_CONTACT}
        """,  # noqa: S608
        contact_id,
        tenant_id,
        phone,
        name,
        email,
        priority,
        at,
    )
    return None if row is None else Contact(**dict(row))


async def update(session: Session, contact: Contact, *, at: datetime) -> Contact:
    """Overwrite what people may edit; the version goes up by one. asyncpg's UniqueViolationError: number taken."""
    row = await session.fetchrow(
        f"""
        UPDATE contacts SET phone = $2, key = coalesce($2, key), name = $3, email = $4, priority = $5,
            version = version + 1, updated_at = $6
        WHERE id = $1 RETURNING {_CONTACT}
        """,  # noqa: S608
        contact.id,
        contact.phone,
        contact.name,
        contact.email,
        contact.priority,
        at,
    )
    assert row is not None, "the caller holds the row"
    return Contact(**dict(row))
