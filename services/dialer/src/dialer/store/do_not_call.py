"""Each tenant's do-not-call list. Who changed it stands in the audit, which changes with it or not at all.

A number stays on the list until somebody takes it off: a prohibition has no end of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from common.database import Session

Action = Literal["added", "removed"]


@dataclass(frozen=True, slots=True)
class BarredNumber:
    """`phone` in E.164. `added_by`: who last put it on the list."""

    phone: str
    reason: str | None
    added_by: str
    added_at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """A line of the audit; `number` orders them."""

    number: int
    phone: str
    action: Action
    reason: str | None
    actor: str
    happened_at: datetime


async def add(
    session: Session, tenant_id: str, phones: Sequence[str], reason: str | None, actor: str, at: datetime
) -> list[str]:
    """Put numbers on the list; returns those that were not on it. One that was keeps its reason, and who gave it."""
    rows = await session.fetch(
        """
        WITH added AS (
            INSERT INTO do_not_call (tenant_id, phone, reason, added_by, added_at)
            SELECT $1::text, phone, $3::text, $4::text, $5::timestamptz FROM unnest($2::text[]) AS new (phone)
            ORDER BY phone
            ON CONFLICT DO NOTHING RETURNING phone
        ), noted AS (
            INSERT INTO audit (tenant_id, actor, action, subject, detail, happened_at)
            SELECT $1::text, $4::text, 'do_not_call.added', phone, jsonb_build_object('reason', $3::text),
                $5::timestamptz FROM added
        )
        SELECT phone FROM added ORDER BY phone
        """,
        tenant_id,
        list(phones),
        reason,
        actor,
        at,
    )
    return [row[0] for row in rows]


async def remove(session: Session, tenant_id: str, phone: str, actor: str, at: datetime) -> bool:
    """Take a number off the list, so that leads that it had barred are due again; False when it is not on it."""
    removed = await session.fetchval(
        """
        WITH removed AS (
            DELETE FROM do_not_call WHERE tenant_id = $1::text AND phone = $2::text RETURNING phone
        ), noted AS (
            INSERT INTO audit (tenant_id, actor, action, subject, detail, happened_at)
            SELECT $1::text, $3::text, 'do_not_call.removed', phone, jsonb_build_object('reason', NULL),
                $4::timestamptz FROM removed
        )
        SELECT true FROM removed
        """,
        tenant_id,
        phone,
        actor,
        at,
    )
    if not removed:
        return False
    await session.execute(
        "UPDATE leads SET state = 'pending', due_at = $3 WHERE tenant_id = $1 AND phone = $2 AND state = 'barred'",
        tenant_id,
        phone,
        at,
    )
    return True


async def get(session: Session, tenant_id: str, phone: str) -> BarredNumber | None:
    """One number of the list."""
    row = await session.fetchrow(
        "SELECT phone, reason, added_by, added_at FROM do_not_call WHERE tenant_id = $1 AND phone = $2",
        tenant_id,
        phone,
    )
    return None if row is None else BarredNumber(*row)


async def page(session: Session, tenant_id: str, after: str, limit: int) -> list[BarredNumber]:
    """Numbers of the list in their order, after one of them."""
    rows = await session.fetch(
        """
        SELECT phone, reason, added_by, added_at FROM do_not_call WHERE tenant_id = $1 AND phone > $2
        ORDER BY phone LIMIT $3
        """,
        tenant_id,
        after,
        limit,
    )
    return [BarredNumber(*row) for row in rows]


async def changes(session: Session, tenant_id: str, phone: str | None, before: int | None, limit: int) -> list[Change]:
    """The list's changes, the newest first, before one of them; of one number, if it is named."""
    rows = await session.fetch(
        """
        SELECT id, subject, split_part(action, '.', 2), detail ->> 'reason', actor, happened_at FROM audit
        WHERE tenant_id = $1 AND action IN ('do_not_call.added', 'do_not_call.removed')
            AND ($2::text IS NULL OR subject = $2) AND ($3::bigint IS NULL OR id < $3)
        ORDER BY id DESC LIMIT $4
        """,
        tenant_id,
        phone,
        before,
        limit,
    )
    return [Change(*row) for row in rows]
