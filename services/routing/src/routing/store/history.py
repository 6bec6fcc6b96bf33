"""The history of the configuration: what was changed, by whom, when, and the whole new value. It is the audit's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
from common.database import Session


async def note(
    session: Session,
    *,
    tenant_id: str,
    actor: str,
    roles: Sequence[str],
    kind: str,
    item_id: str,
    action: str,
    version: int,
    value: dict[str, Any],
    reason: str | None,
    at: datetime,
) -> None:
    """Add a line about one change: it commits with the change or not at all."""
    detail = {"version": version, "roles": list(roles), "reason": reason, "value": value}
    await session.execute(
        "INSERT INTO audit (tenant_id, actor, action, subject, detail, happened_at) VALUES ($1, $2, $3, $4, $5, $6)",
        tenant_id,
        actor,
        f"{kind}.{action}",
        item_id,
        detail,
        at,
    )


async def changes(
    session: Session, before: int | None, limit: int, *, kind: str | None, item_id: str | None, tenant_id: str | None
) -> list[asyncpg.Record]:
    """Newest first, those before the line `before`; of a kind, a thing, a tenant if they are named."""
    return await session.fetch(
        """
        SELECT id AS number, tenant_id, actor, split_part(action, '.', 1) AS kind, split_part(action, '.', 2) AS action,
            subject, detail, happened_at FROM audit
        WHERE detail ? 'version' AND ($1::bigint IS NULL OR id < $1) AND ($4::text IS NULL OR subject = $4)
            AND ($3::text IS NULL OR split_part(action, '.', 1) = $3) AND ($5::text IS NULL OR tenant_id = $5)
        ORDER BY id DESC LIMIT $2
        """,
        before,
        limit,
        kind,
        item_id,
        tenant_id,
    )


async def last_word(session: Session, queue_id: str, by: datetime) -> asyncpg.Record | None:
    """What an operator had last said, by that time, of whether the queue is open; None: nothing."""
    return await session.fetchrow(
        """
        SELECT split_part(action, '.', 2) AS action, actor, detail, happened_at FROM audit
        WHERE subject = $1 AND action IN ('queue.opened', 'queue.closed', 'queue.draining', 'queue.follows_hours')
            AND happened_at <= $2
        ORDER BY id DESC LIMIT 1
        """,
        queue_id,
        by,
    )
