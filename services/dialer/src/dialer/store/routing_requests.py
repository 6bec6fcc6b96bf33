"""What routing has to be told by HTTP. Leases run on the clock of the database: they are about processes, not calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from common.database import Session

from dialer.domain.attempt import Attempt

Kind = Literal["offer", "hang_up", "machine"]


@dataclass(frozen=True, slots=True)
class RoutingRequest:
    """`offer`: hand the answered call over; `hang_up`: its caller is gone; `machine`: an answering machine has it."""

    attempt_id: UUID
    kind: Kind
    call_id: str | None
    tries: int
    """Including the one that this lease is for."""


async def add(session: Session, requests: Sequence[tuple[Attempt, Kind, str | None]]) -> None:
    """Have routing told, once per attempt and kind."""
    await session.execute(
        """
        WITH added AS (
            INSERT INTO routing_requests (attempt_id, tenant_id, kind, call_id)
            SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) ON CONFLICT DO NOTHING RETURNING 1
        )
        SELECT pg_notify('dialer_' || current_schema(), 'routing') FROM (SELECT 1 FROM added LIMIT 1) AS anything
        """,
        [attempt.attempt_id for attempt, _, _ in requests],
        [attempt.tenant_id for attempt, _, _ in requests],
        [kind for _, kind, _ in requests],
        [call_id for _, _, call_id in requests],
    )


async def lease(session: Session, seconds: float, limit: int) -> list[RoutingRequest]:
    """Take requests that nobody works on, for so many seconds, the oldest first."""
    rows = await session.fetch(
        """
        UPDATE routing_requests AS taken
        SET leased_until = clock_timestamp() + make_interval(secs => $1), tries = tries + 1
        FROM (
            SELECT attempt_id, kind FROM routing_requests WHERE leased_until <= clock_timestamp()
            ORDER BY leased_until LIMIT $2 FOR UPDATE SKIP LOCKED
        ) AS free
        WHERE taken.attempt_id = free.attempt_id AND taken.kind = free.kind
        RETURNING taken.attempt_id, taken.kind, taken.call_id, taken.tries
        """,
        seconds,
        limit,
    )
    return [RoutingRequest(*row) for row in rows]


async def release(session: Session, request: RoutingRequest, seconds: float) -> None:
    """Have it tried again, by anyone, in so many seconds."""
    await session.execute(
        """
        UPDATE routing_requests SET leased_until = clock_timestamp() + make_interval(secs => $3)
        WHERE attempt_id = $1 AND kind = $2
        """,
        request.attempt_id,
        request.kind,
        seconds,
    )


async def remove(session: Session, request: RoutingRequest) -> None:
    """It is done, or no longer wanted."""
    await session.execute(
        "DELETE FROM routing_requests WHERE attempt_id = $1 AND kind = $2", request.attempt_id, request.kind
    )
