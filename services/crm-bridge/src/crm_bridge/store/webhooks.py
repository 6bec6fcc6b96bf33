"""Endpoints of tenants."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from common.database import Session

_WEBHOOK = """
id, tenant_id, url, event_types, enabled, disabled_reason, failing_since, secret, previous_secret,
previous_secret_until, version, created_at, updated_at
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One endpoint; the secrets are encrypted. `previous_secret` signs beside the new one until its time is over."""

    id: str
    tenant_id: str
    url: str
    event_types: list[str]
    enabled: bool
    disabled_reason: str | None
    failing_since: datetime | None
    secret: bytes
    previous_secret: bytes | None
    previous_secret_until: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime


async def by_id(session: Session, webhook_id: str, *, locked: bool = False) -> Webhook | None:
    """One endpoint, held until the transaction ends when `locked`."""
    lock_clause = "FOR NO KEY UPDATE" if locked else ""
    row = await session.fetchrow(f"SELECT {_WEBHOOK} FROM webhooks WHERE id = $1 {lock_clause}", webhook_id)  # noqa: S608
    return None if row is None else Webhook(**dict(row))


async def page(session: Session, *, tenant_id: str | None, after: str | None, limit: int) -> list[Webhook]:
    """By id, from `after` on; None selects all."""
    rows = await session.fetch(
        f"""
        SELECT {_WEBHOOK} FROM webhooks
        WHERE ($1::text IS NULL OR tenant_id = $1) AND ($2::text IS NULL OR id > $2) ORDER BY id LIMIT $3
        """,  # noqa: S608
        tenant_id,
        after,
        limit,
    )
    return [Webhook(**dict(row)) for row in rows]


async def insert(
    session: Session, *, webhook_id: str, tenant_id: str, url: str, event_types: list[str], enabled: bool, secret: bytes
) -> Webhook | None:
    """A new endpoint; None when the id is taken."""
    row = await session.fetchrow(
        f"""
        INSERT INTO webhooks (id, tenant_id, url, event_types, enabled, secret, version)
        VALUES ($1, $2, $3, $4, $5, $6, 1) ON CONFLICT (id) DO NOTHING RETURNING {_WEBHOOK}
        """,  # noqa: S608
        webhook_id,
        tenant_id,
        url,
        event_types,
        enabled,
        secret,
    )
    return None if row is None else Webhook(**dict(row))


async def update(session: Session, webhook: Webhook) -> Webhook:
    """Overwrite a held endpoint; the version goes up by one."""
    row = await session.fetchrow(
        f"""
        UPDATE webhooks SET url = $2, event_types = $3, enabled = $4, disabled_reason = $5, failing_since = $6,
            secret = $7, previous_secret = $8, previous_secret_until = $9, version = version + 1, updated_at = now()
        WHERE id = $1 RETURNING {_WEBHOOK}
        """,  # noqa: S608
        webhook.id,
        webhook.url,
        webhook.event_types,
        webhook.enabled,
        webhook.disabled_reason,
        webhook.failing_since,
        webhook.secret,
        webhook.previous_secret,
        webhook.previous_secret_until,
    )
    assert row is not None, "the caller holds the row"
    return Webhook(**dict(row))


async def delete(session: Session, webhook_id: str) -> bool:
    """Remove the endpoint and its deliveries; whether there was one."""
    return await session.fetchval("DELETE FROM webhooks WHERE id = $1 RETURNING true", webhook_id) is not None


async def subscribed(session: Session, tenant_ids: Iterable[str]) -> list[tuple[str, str, list[str]]]:
    """Enabled endpoints as (id, tenant, event types); they cannot be deleted before the transaction ends."""
    rows = await session.fetch(
        """
        SELECT id, tenant_id, event_types FROM webhooks WHERE enabled AND tenant_id = ANY($1::text[])
        ORDER BY id FOR KEY SHARE
        """,
        list(tenant_ids),
    )
    return [(row["id"], row["tenant_id"], row["event_types"]) for row in rows]


async def succeeded(session: Session, webhook_id: str) -> None:
    """Something got through: whatever failed before is forgotten."""
    await session.execute(
        "UPDATE webhooks SET failing_since = NULL WHERE id = $1 AND failing_since IS NOT NULL", webhook_id
    )


async def failed(session: Session, webhook_id: str, *, at: datetime) -> None:
    """A try failed: remember the first since the last success."""
    await session.execute(
        "UPDATE webhooks SET failing_since = $2 WHERE id = $1 AND failing_since IS NULL", webhook_id, at
    )


async def disable(session: Session, webhook_id: str, *, reason: str) -> None:
    """Stop sending to the endpoint until somebody enables it again."""
    await session.execute(
        """
        UPDATE webhooks SET enabled = false, disabled_reason = $2, version = version + 1, updated_at = now()
        WHERE id = $1 AND enabled
        """,
        webhook_id,
        reason,
    )
