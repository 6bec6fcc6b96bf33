"""Endpoints of tenants."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from common.database import Session

from crm_bridge.domain.webhooks import ReplacedSecret

_WEBHOOK = """
id, tenant_id, url, event_types, enabled, disabled_reason, failing_since, paused_until, resuming, secret,
previous_secret, previous_secret_until, older_secrets, version, created_at, updated_at
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One endpoint; the secrets are encrypted, and the replaced ones go back from the one replaced last.

    `resuming`: it was enabled again, and not all of the messages that waited for it are in order yet.
    """

    id: str
    tenant_id: str
    url: str
    event_types: list[str]
    enabled: bool
    disabled_reason: str | None
    failing_since: datetime | None
    paused_until: datetime | None
    resuming: bool
    secret: bytes
    replaced_secrets: tuple[ReplacedSecret, ...]
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def previous_secret_until(self) -> datetime | None:
        """When the secret that was replaced last stops signing."""
        return self.replaced_secrets[0].until if self.replaced_secrets else None


def replaced_secrets(row: Any) -> tuple[ReplacedSecret, ...]:
    """Take the replaced secrets out of a row with `previous_secret`, `previous_secret_until` and `older_secrets`.

    The one replaced last has columns of its own: processes of the version before this know no others.
    """
    if row["previous_secret"] is None:
        return ()
    previous = ReplacedSecret(row["previous_secret"], row["previous_secret_until"])
    return (previous, *msgspec.convert(row["older_secrets"], list[ReplacedSecret]))


def _webhook(row: Any) -> Webhook:
    fields = {name: value for name, value in row.items() if name not in _SECRETS}
    return Webhook(**fields, replaced_secrets=replaced_secrets(row))


_SECRETS = ("previous_secret", "previous_secret_until", "older_secrets")


async def by_id(session: Session, webhook_id: str, *, locked: bool = False) -> Webhook | None:
    """One endpoint, held until the transaction ends when `locked`."""
    lock_clause = "FOR NO KEY UPDATE" if locked else ""
    row = await session.fetchrow(f"SELECT {_WEBHOOK} FROM webhooks WHERE id = $1 {lock_clause}", webhook_id)  # noqa: S608
    return None if row is None else _webhook(row)


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
    return [_webhook(row) for row in rows]


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
    return None if row is None else _webhook(row)


async def update(session: Session, webhook: Webhook) -> Webhook:
    """Overwrite a held endpoint; the version goes up by one."""
    row = await session.fetchrow(
        f"""
        UPDATE webhooks SET url = $2, event_types = $3, enabled = $4, disabled_reason = $5, failing_since = $6,
            paused_until = $7, resuming = $8, secret = $9, previous_secret = $10, previous_secret_until = $11,
            older_secrets = $12, version = version + 1, updated_at = now()
        WHERE id = $1 RETURNING {_WEBHOOK}
        """,  # noqa: S608
        webhook.id,
        webhook.url,
        webhook.event_types,
        webhook.enabled,
        webhook.disabled_reason,
        webhook.failing_since,
        webhook.paused_until,
        webhook.resuming,
        webhook.secret,
        webhook.replaced_secrets[0].secret if webhook.replaced_secrets else None,
        webhook.previous_secret_until,
        webhook.replaced_secrets[1:],
    )
    assert row is not None, "the caller holds the row"
    return _webhook(row)


async def delete(session: Session, webhook_id: str) -> bool:
    """Remove the endpoint and its deliveries; whether there was one."""
    return await session.fetchval("DELETE FROM webhooks WHERE id = $1 RETURNING true", webhook_id) is not None


async def subscribed(session: Session, tenant_ids: Iterable[str]) -> list[tuple[str, str, list[str]]]:
    """Endpoints, disabled ones too, as (id, tenant, event types); none can be deleted before the transaction ends."""
    rows = await session.fetch(
        """
        SELECT id, tenant_id, event_types FROM webhooks WHERE tenant_id = ANY($1::text[])
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


async def failing_since(session: Session, webhook_id: str) -> datetime | None:
    """The endpoint's first failure after its last success; holds the endpoint's row."""
    moment: datetime | None = await session.fetchval(
        "SELECT failing_since FROM webhooks WHERE id = $1 FOR NO KEY UPDATE", webhook_id
    )
    return moment


async def pause(session: Session, webhook_id: str, *, until: datetime) -> None:
    """Send nothing to the endpoint before then."""
    await session.execute(
        "UPDATE webhooks SET paused_until = greatest(paused_until, $2) WHERE id = $1", webhook_id, until
    )


async def resuming(session: Session) -> list[str]:
    """Endpoints that were enabled again and whose messages are not all in order yet; held by nobody else."""
    rows = await session.fetch(
        "SELECT id FROM webhooks WHERE enabled AND resuming ORDER BY id FOR NO KEY UPDATE SKIP LOCKED"
    )
    return [row["id"] for row in rows]


async def resumed(session: Session, webhook_id: str) -> None:
    """All that waited for the endpoint is in order."""
    await session.execute("UPDATE webhooks SET resuming = false WHERE id = $1", webhook_id)


async def disable(session: Session, webhook_id: str, *, reason: str) -> bool:
    """Stop sending to the endpoint until somebody enables it again; False when it is disabled already."""
    disabled = await session.fetchval(
        """
        UPDATE webhooks SET enabled = false, disabled_reason = $2, version = version + 1, updated_at = now()
        WHERE id = $1 AND enabled RETURNING true
        """,
        webhook_id,
        reason,
    )
    return disabled is not None
