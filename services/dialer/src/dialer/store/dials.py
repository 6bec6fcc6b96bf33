"""What the PBX is told.

Positions are a cursor: a reader that has seen position n never finds a smaller one later. Identity columns alone do
not give that (a transaction may take a number and commit after the next one), so whoever adds dials holds one lock
from taking the numbers to the commit. It is always the last lock that a transaction takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from common.database import Session

from dialer.domain.attempt import Attempt

Command = Literal["dial", "handed_over", "play_abandonment_message", "hang_up"]

_LOCK = 0x6469616C  # "dial"


@dataclass(frozen=True, slots=True)
class Dial:
    """One command to the PBX about one attempt."""

    position: int
    command: Command
    attempt_id: UUID
    campaign_id: str
    queue_id: str
    tenant_id: str
    phone: str
    ring_seconds: float
    call_id: str | None
    expires_at: datetime


async def add(session: Session, commands: Sequence[tuple[Attempt, Command, datetime]]) -> None:
    """Tell the PBX, in this order, once per attempt and command; each command expires at its time."""
    await session.execute("SELECT pg_advisory_xact_lock($1, hashtext(current_schema()))", _LOCK)
    await session.execute(
        """
        WITH added AS (
            INSERT INTO dials (attempt_id, tenant_id, command, expires_at, call_id)
            SELECT attempt_id, tenant_id, command, expires_at, call_id
            FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::text[]) WITH ORDINALITY
                AS new (attempt_id, tenant_id, command, expires_at, call_id, n) ORDER BY n
            ON CONFLICT DO NOTHING RETURNING 1
        )
        SELECT pg_notify('dialer_' || current_schema(), 'dials') FROM (SELECT 1 FROM added LIMIT 1) AS anything
        """,
        [attempt.attempt_id for attempt, _, _ in commands],
        [attempt.tenant_id for attempt, _, _ in commands],
        [command for _, command, _ in commands],
        [expires_at for _, _, expires_at in commands],
        [attempt.call_id for attempt, _, _ in commands],
    )


async def after(session: Session, position: int, tenant_id: str | None, now: datetime, limit: int) -> list[Dial]:
    """Commands after a position that still hold: not expired, and no dial of an attempt that has moved on."""
    rows = await session.fetch(
        """
        SELECT position, command, attempt_id, campaign_id, queue_id, dials.tenant_id, phone, ring_seconds,
            dials.call_id, expires_at
        FROM dials JOIN attempts USING (attempt_id)
        WHERE position > $1 AND expires_at > $2 AND (command <> 'dial' OR state = 'dialling')
            AND ($3::text IS NULL OR dials.tenant_id = $3)
        ORDER BY position LIMIT $4
        """,
        position,
        now,
        tenant_id,
        limit,
    )
    return [Dial(*row) for row in rows]


async def prune(session: Session) -> None:
    """Forget what nobody may act on any more."""
    await session.execute("DELETE FROM dials WHERE written_at < now() - interval '1 day'")
