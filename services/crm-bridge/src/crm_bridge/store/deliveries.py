"""Messages to endpoints, and who is sending them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from common.database import Session

_DELIVERY = """
id, tenant_id, webhook_id, event_type, case_id, body, state, attempts, next_attempt_at, expires_at, last_status,
last_error, last_excerpt, created_at, delivered_at
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message to one endpoint. `attempts` counts the tries that were begun."""

    id: UUID
    tenant_id: str
    webhook_id: str
    event_type: str
    case_id: UUID
    body: str
    state: str
    attempts: int
    next_attempt_at: datetime
    expires_at: datetime
    last_status: int | None
    last_error: str | None
    last_excerpt: str | None
    created_at: datetime
    delivered_at: datetime | None


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be sent to an endpoint."""

    id: UUID
    tenant_id: str
    webhook_id: str
    event_type: str
    case_id: UUID
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A delivery that this process alone may try, until its lease is over."""

    id: UUID
    webhook_id: str
    body: str
    attempt: int
    expires_at: datetime
    url: str
    secret: bytes
    previous_secret: bytes | None
    previous_secret_until: datetime | None


async def insert(session: Session, messages: Sequence[Message], *, lifetime: timedelta) -> None:
    """Deliveries that are due at once."""
    if not messages:
        return
    await session.execute(
        """
        INSERT INTO deliveries (
            id, tenant_id, webhook_id, event_type, case_id, body, state, attempts, next_attempt_at, expires_at
        )
        SELECT message.*, 'pending', 0, now(), now() + $7::interval
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::text[]) AS message
        """,
        [message.id for message in messages],
        [message.tenant_id for message in messages],
        [message.webhook_id for message in messages],
        [message.event_type for message in messages],
        [message.case_id for message in messages],
        [message.body for message in messages],
        lifetime,
    )


async def claim(
    session: Session, *, now: datetime, lease: timedelta, limit: int, per_webhook: int, busy: Iterable[str]
) -> list[Claim]:
    """Take due deliveries of enabled endpoints: nobody else gets them before the lease is over.

    At most `per_webhook` of one endpoint, and none of the `busy` ones, so that a slow receiver delays only itself.
    """
    rows = await session.fetch(
        """
        WITH due AS (
            SELECT delivery.id, webhook.url, webhook.secret, webhook.previous_secret, webhook.previous_secret_until
            FROM webhooks AS webhook CROSS JOIN LATERAL (
                SELECT id FROM deliveries
                WHERE webhook_id = webhook.id AND state = 'pending' AND next_attempt_at <= $1
                ORDER BY next_attempt_at LIMIT $4 FOR UPDATE SKIP LOCKED
            ) AS delivery
            WHERE webhook.enabled AND webhook.id <> ALL ($5::text[])
            LIMIT $3
        )
        UPDATE deliveries SET attempts = attempts + 1, next_attempt_at = $1 + $2::interval
        FROM due WHERE deliveries.id = due.id
        RETURNING deliveries.id, webhook_id, body, attempts AS attempt, expires_at, url, secret, previous_secret,
            previous_secret_until
        """,
        now,
        lease,
        limit,
        per_webhook,
        list(busy),
    )
    return [Claim(**dict(row)) for row in rows]


async def record(
    session: Session,
    claim: Claim,
    *,
    state: str,
    at: datetime,
    next_attempt_at: datetime,
    status: int | None,
    error: str | None,
    excerpt: str | None,
) -> bool:
    """Store what came of a try; False when the lease was over and somebody else has tried since (or it is deleted)."""
    stored = await session.fetchval(
        """
        UPDATE deliveries SET state = $3::varchar, next_attempt_at = $4, last_status = $5, last_error = $6,
            last_excerpt = $7, delivered_at = CASE WHEN $3::varchar = 'delivered' THEN $8::timestamptz END
        WHERE id = $1 AND attempts = $2 AND state = 'pending' RETURNING true
        """,
        claim.id,
        claim.attempt,
        state,
        next_attempt_at,
        status,
        error,
        excerpt,
        at,
    )
    return stored is not None


async def failing_since(session: Session, webhook_id: str) -> datetime | None:
    """The endpoint's first failure after its last success; holds the endpoint's row."""
    moment: datetime | None = await session.fetchval(
        "SELECT failing_since FROM webhooks WHERE id = $1 FOR NO KEY UPDATE", webhook_id
    )
    return moment


async def page(
    session: Session, *, webhook_id: str, state: str | None, before: UUID | None, limit: int
) -> list[Delivery]:
    """Newest first, from `before` on; None selects all."""
    rows = await session.fetch(
        f"""
        SELECT {_DELIVERY} FROM deliveries
        WHERE webhook_id = $1 AND ($2::text IS NULL OR state = $2) AND ($3::uuid IS NULL OR id < $3)
        ORDER BY id DESC LIMIT $4
        """,  # noqa: S608 - a constant
        webhook_id,
        state,
        before,
        limit,
    )
    return [Delivery(**dict(row)) for row in rows]


async def replay(session: Session, webhook_id: str, delivery_id: UUID, *, lifetime: timedelta) -> Delivery | None:
    """Make a delivery due at once, with all its tries and under the same message id; None when there is none."""
    row = await session.fetchrow(
        f"""
        UPDATE deliveries SET state = 'pending', attempts = 0, next_attempt_at = now(),
            expires_at = now() + $3::interval, delivered_at = NULL
        WHERE webhook_id = $1 AND id = $2 RETURNING {_DELIVERY}
        """,  # noqa: S608
        webhook_id,
        delivery_id,
        lifetime,
    )
    return None if row is None else Delivery(**dict(row))


async def prune(session: Session, *, older_than: timedelta) -> None:
    """Forget finished deliveries."""
    await session.execute(
        "DELETE FROM deliveries WHERE state <> 'pending' AND created_at < now() - $1::interval", older_than
    )
