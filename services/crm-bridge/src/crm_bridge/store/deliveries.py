"""Messages to endpoints, and who is sending them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from common.database import Session

from crm_bridge.domain.webhooks import ReplacedSecret
from crm_bridge.store.webhooks import replaced_secrets

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
    """A delivery that this process alone may try, until its lease is over at `leased_until`."""

    id: UUID
    webhook_id: str
    body: str
    attempt: int
    leased_until: datetime
    expires_at: datetime
    url: str
    secret: bytes
    replaced_secrets: tuple[ReplacedSecret, ...]

    def secrets(self, now: datetime) -> list[bytes]:
        """All that sign at this time, the newest first; encrypted."""
        return [self.secret, *(replaced.secret for replaced in self.replaced_secrets if now < replaced.until)]


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

    At most `per_webhook` of one endpoint, and none of the `busy` ones, so that a slow receiver delays only itself. What
    waited for an endpoint goes first, one message after the other: as long as there is any `in_order`, its oldest alone
    can be taken, and while that is under way nothing else of this endpoint is.
    """
    rows = await session.fetch(
        """
        WITH due AS (
            SELECT delivery.id, webhook.url, webhook.secret, webhook.previous_secret, webhook.previous_secret_until,
                webhook.older_secrets
            FROM webhooks AS webhook
            LEFT JOIN LATERAL (
                SELECT id FROM deliveries
                WHERE webhook_id = webhook.id AND state = 'pending' AND in_order ORDER BY id LIMIT 1
            ) AS head ON true
            CROSS JOIN LATERAL (
                SELECT id FROM (
                    SELECT id FROM deliveries
                    WHERE id = head.id AND state = 'pending' AND in_order AND next_attempt_at <= $1 AND expires_at > $1
                    FOR UPDATE SKIP LOCKED
                ) AS next_in_order
                UNION ALL
                SELECT id FROM (
                    SELECT id FROM deliveries
                    WHERE head.id IS NULL AND webhook_id = webhook.id AND state = 'pending' AND next_attempt_at <= $1
                        AND expires_at > $1
                    ORDER BY next_attempt_at, id LIMIT $4 FOR UPDATE SKIP LOCKED
                ) AS any_order
            ) AS delivery
            WHERE webhook.enabled AND NOT webhook.resuming AND webhook.id <> ALL ($5::text[])
                AND (webhook.paused_until IS NULL OR webhook.paused_until <= $1)
            LIMIT $3
        )
        UPDATE deliveries SET attempts = attempts + 1, next_attempt_at = $1 + $2::interval
        FROM due WHERE deliveries.id = due.id
        RETURNING deliveries.id, webhook_id, body, attempts AS attempt, next_attempt_at AS leased_until, expires_at,
            url, secret, previous_secret, previous_secret_until, older_secrets
        """,
        now,
        lease,
        limit,
        per_webhook,
        list(busy),
    )
    return [
        Claim(
            id=row["id"],
            webhook_id=row["webhook_id"],
            body=row["body"],
            attempt=row["attempt"],
            leased_until=row["leased_until"],
            expires_at=row["expires_at"],
            url=row["url"],
            secret=row["secret"],
            replaced_secrets=replaced_secrets(row),
        )
        for row in rows
    ]


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
            last_excerpt = $7, delivered_at = CASE WHEN $3::varchar = 'delivered' THEN $8::timestamptz END,
            in_order = false
        WHERE id = $1 AND attempts = $2 AND next_attempt_at = $9 AND state = 'pending' RETURNING true
        """,
        claim.id,
        claim.attempt,
        state,
        next_attempt_at,
        status,
        error,
        excerpt,
        at,
        claim.leased_until,
    )
    return stored is not None


async def expire(session: Session, *, now: datetime, limit: int) -> Counter[str]:
    """Give up what waited for its next try until its retention was over; how many of each endpoint, by its id."""
    rows = await session.fetch(
        """
        UPDATE deliveries SET state = 'expired', in_order = false FROM (
            SELECT id FROM deliveries WHERE state = 'pending' AND expires_at <= $1 AND next_attempt_at <= $1
            ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
        ) AS past
        WHERE deliveries.id = past.id RETURNING webhook_id
        """,
        now,
        limit,
    )
    return Counter(row["webhook_id"] for row in rows)


async def put_in_order(session: Session, webhook_id: str, *, now: datetime, limit: int) -> bool:
    """Make what waited for the endpoint due at once, in order and with all its tries; False when there is more."""
    rows = await session.fetch(
        """
        UPDATE deliveries SET in_order = true, attempts = 0, next_attempt_at = least(next_attempt_at, $2) FROM (
            SELECT id FROM deliveries WHERE webhook_id = $1 AND state = 'pending' AND NOT in_order
            LIMIT $3 FOR UPDATE
        ) AS waiting
        WHERE deliveries.id = waiting.id RETURNING 1
        """,
        webhook_id,
        now,
        limit,
    )
    return len(rows) < limit


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
