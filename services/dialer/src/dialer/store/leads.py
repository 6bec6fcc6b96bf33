"""Leads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, assert_never
from uuid import UUID

import asyncpg
from common.database import Session
from common.events.dialer import AttemptOutcome

from dialer.domain.lead import Barred, Done, Exhausted, InProgress, Lead, LeadState, ListedLead, Pending, Removed
from dialer.domain.zones import SEPARATOR

Action = Literal["corrected", "removed"]


async def lock_due(
    session: Session, campaign_id: str, open_zones: Sequence[str], now: datetime, limit: int
) -> list[ListedLead]:
    """Up to `limit` pending leads that are due and in one of these sets of zones, longest due first, locked."""
    rows = await session.fetch(
        """
        SELECT due.* FROM unnest($2::text[]) AS place CROSS JOIN LATERAL (
            SELECT * FROM leads
            WHERE campaign_id = $1 AND zones = place AND state = 'pending' AND due_at <= $3
            ORDER BY due_at, lead_id LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED
        ) AS due ORDER BY due_at, lead_id LIMIT $4
        """,
        campaign_id,
        list(open_zones),
        now,
        limit,
    )
    return [_lead(row) for row in rows]


async def lock(session: Session, lead_ids: Sequence[UUID]) -> dict[UUID, ListedLead]:
    """These leads, locked."""
    rows = await session.fetch(
        "SELECT * FROM leads WHERE lead_id = ANY($1::uuid[]) ORDER BY lead_id FOR NO KEY UPDATE", sorted(lead_ids)
    )
    return {row["lead_id"]: _lead(row) for row in rows}


async def save(session: Session, leads: Sequence[tuple[UUID, Lead, AttemptOutcome | None]]) -> None:
    """The new states of leads that the transaction holds locked; an outcome of None keeps the last one."""
    states = [_state(lead.state) for _, lead, _ in leads]
    await session.execute(
        """
        UPDATE leads SET state = new.state, due_at = coalesce(new.due_at, leads.due_at), attempts = new.attempts,
            last_outcome = coalesce(new.outcome, leads.last_outcome)
        FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::int[], $5::text[])
            AS new (lead_id, state, due_at, attempts, outcome)
        WHERE leads.lead_id = new.lead_id
        """,
        [lead_id for lead_id, _, _ in leads],
        [name for name, _ in states],
        [due_at for _, due_at in states],
        [lead.attempts for _, lead, _ in leads],
        [outcome for _, _, outcome in leads],
    )


async def get(session: Session, lead_id: UUID, *, lock: bool = False) -> ListedLead | None:
    """One lead, also a removed one."""
    row = await session.fetchrow(
        f"SELECT * FROM leads WHERE lead_id = $1 {'FOR NO KEY UPDATE' if lock else ''}",  # noqa: S608
        lead_id,
    )
    return None if row is None else _lead(row)


async def with_phone(session: Session, campaign_id: str, phone: str) -> ListedLead | None:
    """The lead of a campaign's list with this number, also a removed one."""
    row = await session.fetchrow("SELECT * FROM leads WHERE campaign_id = $1 AND phone = $2", campaign_id, phone)
    return None if row is None else _lead(row)


async def correct(session: Session, corrected: ListedLead, tenant_id: str) -> None:
    """Save what is said of a lead, and its state; its version rises. The transaction holds it locked."""
    zones = SEPARATOR.join(corrected.lead.zones)
    await session.execute(
        "INSERT INTO campaign_zones (campaign_id, zones, tenant_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        corrected.campaign_id,
        zones,
        tenant_id,
    )
    state, due_at = _state(corrected.lead.state)
    await session.execute(
        """
        UPDATE leads SET phone = $2, name = $3, external_id = $4, zones = $5, state = $6,
            due_at = coalesce($7, due_at), version = version + 1
        WHERE lead_id = $1
        """,
        corrected.lead_id,
        corrected.phone,
        corrected.name,
        corrected.external_id,
        zones,
        state,
        due_at,
    )


async def note(
    session: Session, tenant_id: str, lead_id: UUID, actor: str, action: Action, columns: Sequence[str], at: datetime
) -> None:
    """Add a line to the audit: who did what to a lead, and which of its columns changed. Never their values."""
    await session.execute(
        "INSERT INTO audit (tenant_id, actor, action, subject, detail, happened_at) VALUES ($1, $2, $3, $4, $5, $6)",
        tenant_id,
        actor,
        f"lead.{action}",
        str(lead_id),
        {"columns": list(columns)},
        at,
    )


async def page(
    session: Session, campaign_id: str, state: str | None, after: UUID | None, limit: int
) -> list[ListedLead]:
    """Leads of a campaign in the order of their lists, after one id; removed ones only if asked for by their state."""
    rows = await session.fetch(
        """
        SELECT * FROM leads WHERE campaign_id = $1 AND (state = $2 OR $2::text IS NULL AND state <> 'removed')
            AND ($3::uuid IS NULL OR lead_id > $3)
        ORDER BY lead_id LIMIT $4
        """,
        campaign_id,
        state,
        after,
        limit,
    )
    return [_lead(row) for row in rows]


async def counts(session: Session, campaign_id: str) -> dict[str, int]:
    """Leads of a campaign by state."""
    rows = await session.fetch("SELECT state, count(*) FROM leads WHERE campaign_id = $1 GROUP BY 1", campaign_id)
    return {row[0]: row[1] for row in rows}


async def any_open(session: Session, campaign_id: str) -> bool:
    """Whether a lead is left to dial, or is being dialled."""
    return bool(
        await session.fetchval(
            "SELECT EXISTS (SELECT 1 FROM leads WHERE campaign_id = $1 AND state IN ('pending', 'in_progress'))",
            campaign_id,
        )
    )


def _state(state: LeadState) -> tuple[str, datetime | None]:
    match state:
        case Pending(due_at):
            return "pending", due_at
        case InProgress():
            return "in_progress", None
        case Done():
            return "done", None
        case Exhausted():
            return "exhausted", None
        case Barred():
            return "barred", None
        case Removed():
            return "removed", None
        case _ as unreachable:
            assert_never(unreachable)


def _lead(row: asyncpg.Record) -> ListedLead:
    state: LeadState
    match row["state"]:
        case "pending":
            state = Pending(row["due_at"])
        case "in_progress":
            state = InProgress()
        case "done":
            state = Done()
        case "exhausted":
            state = Exhausted()
        case "barred":
            state = Barred()
        case "removed":
            state = Removed()
        case other:
            raise AssertionError(f"a lead cannot be {other!r}")
    return ListedLead(
        lead_id=row["lead_id"],
        campaign_id=row["campaign_id"],
        phone=row["phone"],
        name=row["name"],
        external_id=row["external_id"],
        last_outcome=row["last_outcome"],
        created_at=row["created_at"],
        version=row["version"],
        lead=Lead(state, row["attempts"], tuple(row["zones"].split(SEPARATOR))),
    )
