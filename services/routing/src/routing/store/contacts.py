"""Contacts of the tenants: who calls, as far as flows ask."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from common.database import Session
from common.events.crm import ContactEvent


async def save(session: Session, contacts: Sequence[ContactEvent]) -> None:
    """The newest state of each contact; of one that comes twice, the last."""
    newest = {contact.contact_id: contact for contact in contacts}
    rows = [newest[contact_id] for contact_id in sorted(newest)]
    await session.execute(
        """
        INSERT INTO contacts (contact_id, tenant_id, phone, priority)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int[])
        ON CONFLICT (contact_id) DO UPDATE SET phone = excluded.phone, priority = excluded.priority
        """,
        [row.contact_id for row in rows],
        [row.tenant_id for row in rows],
        [row.phone for row in rows],
        [row.priority for row in rows],
    )


async def priorities(session: Session, callers: Collection[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Priority by (tenant, phone) of those callers who are contacts."""
    rows = await session.fetch(
        """
        SELECT tenant_id, phone, max(priority) AS priority
        FROM contacts JOIN unnest($1::text[], $2::text[]) AS wanted (tenant_id, phone) USING (tenant_id, phone)
        GROUP BY tenant_id, phone
        """,
        [tenant_id for tenant_id, _ in callers],
        [phone for _, phone in callers],
    )
    return {(row["tenant_id"], row["phone"]): row["priority"] for row in rows}
