"""Attempts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, assert_never
from uuid import UUID

import asyncpg
from common.database import Session

from dialer.domain.attempt import Assigned, Attempt, AttemptState, Connected, Dialling, Ended, HandedOver, Ringing


async def insert(session: Session, attempts: Sequence[Attempt]) -> set[UUID]:
    """New attempts, each if no other one of its tenant holds the number; returns those that are in.

    Of two dials to one number, whichever campaigns, pools and replicas they come from, the later one waits for the
    other's commit, and yields. A second live attempt for a lead is refused by the schema.
    """
    rows = await session.fetch(
        """
        INSERT INTO attempts (attempt_id, tenant_id, campaign_id, queue_id, lead_id, number, phone, ring_seconds,
            state, started_at, deadline_at, traceparent, gone, holds_number)
        SELECT *, false, true FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::int[],
            $7::text[], $8::float[], $9::text[], $10::timestamptz[], $11::timestamptz[], $12::text[])
            AS new (attempt_id, tenant_id, campaign_id, queue_id, lead_id, number, phone)
        ORDER BY tenant_id, phone
        ON CONFLICT (tenant_id, phone) WHERE holds_number DO NOTHING RETURNING attempt_id
        """,
        [attempt.attempt_id for attempt in attempts],
        [attempt.tenant_id for attempt in attempts],
        [attempt.campaign_id for attempt in attempts],
        [attempt.queue_id for attempt in attempts],
        [attempt.lead_id for attempt in attempts],
        [attempt.number for attempt in attempts],
        [attempt.phone for attempt in attempts],
        [attempt.ring_seconds for attempt in attempts],
        [name_of(attempt.state) for attempt in attempts],
        [attempt.started_at for attempt in attempts],
        [attempt.deadline_at for attempt in attempts],
        [attempt.traceparent for attempt in attempts],
    )
    return {row[0] for row in rows}


async def lock(session: Session, attempt_ids: Sequence[UUID]) -> dict[UUID, Attempt]:
    """These attempts, locked; ids that are not there are left out."""
    rows = await session.fetch(
        "SELECT * FROM attempts WHERE attempt_id = ANY($1::uuid[]) ORDER BY attempt_id FOR NO KEY UPDATE",
        sorted(attempt_ids),
    )
    return {row["attempt_id"]: _attempt(row) for row in rows}


async def lock_overdue(session: Session, now: datetime, limit: int) -> list[UUID]:
    """Live attempts whose deadline has passed, locked; those that another replica looks at are left to it."""
    rows = await session.fetch(
        """
        SELECT attempt_id FROM attempts WHERE deadline_at < $1 ORDER BY attempt_id LIMIT $2
        FOR NO KEY UPDATE SKIP LOCKED
        """,
        now,
        limit,
    )
    return [row[0] for row in rows]


async def save(session: Session, attempts: Sequence[Attempt]) -> None:
    """The new states of attempts that the transaction holds locked."""
    columns = [_columns(attempt) for attempt in attempts]
    await session.execute(
        """
        UPDATE attempts SET state = new.state, deadline_at = new.deadline_at, ringing_at = new.ringing_at,
            answered_at = new.answered_at, machine_at = new.machine_at,
            ended_at = new.ended_at, call_id = new.call_id, gone = new.gone,
            outcome = new.outcome, ended_by = new.ended_by, disposition = new.disposition,
            traceparent = new.traceparent, holds_number = attempts.holds_number AND new.ended_at IS NULL
        FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[],
            $7::text[], $8::bool[], $9::text[], $10::text[], $11::text[], $12::text[], $13::timestamptz[])
            AS new (attempt_id, state, deadline_at, ringing_at, answered_at, ended_at, call_id, gone, outcome,
                ended_by, disposition, traceparent, machine_at)
        WHERE attempts.attempt_id = new.attempt_id
        """,
        *[list(values) for values in zip(*columns, strict=True)],
    )


async def get(session: Session, attempt_id: UUID) -> Attempt | None:
    """One attempt."""
    row = await session.fetchrow("SELECT * FROM attempts WHERE attempt_id = $1", attempt_id)
    return None if row is None else _attempt(row)


async def get_many(session: Session, attempt_ids: Sequence[UUID]) -> dict[UUID, Attempt]:
    """Attempts by id; ids that are not there are left out."""
    rows = await session.fetch("SELECT * FROM attempts WHERE attempt_id = ANY($1::uuid[])", list(attempt_ids))
    return {row["attempt_id"]: _attempt(row) for row in rows}


async def page(session: Session, campaign_id: str, before: tuple[datetime, UUID] | None, limit: int) -> list[Attempt]:
    """Attempts of a campaign, the newest first, before one of them."""
    rows = await session.fetch(
        """
        SELECT * FROM attempts WHERE campaign_id = $1
            AND ($2::timestamptz IS NULL OR (started_at, attempt_id) < ($2, $3::uuid))
        ORDER BY started_at DESC, attempt_id DESC LIMIT $4
        """,
        campaign_id,
        None if before is None else before[0],
        None if before is None else before[1],
        limit,
    )
    return [_attempt(row) for row in rows]


async def in_flight(session: Session, queue_ids: Sequence[str]) -> dict[str, int]:
    """Dials per queue that may soon need an agent and have none yet."""
    rows = await session.fetch(
        """
        SELECT queue_id, count(*) FROM attempts
        WHERE queue_id = ANY($1::text[]) AND ended_at IS NULL AND state IN ('dialling', 'ringing', 'handed_over')
        GROUP BY 1
        """,
        list(queue_ids),
    )
    return {row[0]: row[1] for row in rows}


async def count(session: Session, campaign_id: str) -> int:
    """All attempts ever made for a campaign."""
    total: int = await session.fetchval("SELECT count(*) FROM attempts WHERE campaign_id = $1", campaign_id)
    return total


def name_of(state: AttemptState) -> str:
    """The state's name in tables and answers."""
    match state:
        case Dialling():
            return "dialling"
        case Ringing():
            return "ringing"
        case HandedOver():
            return "handed_over"
        case Assigned():
            return "assigned"
        case Connected():
            return "connected"
        case Ended():
            return "ended"
        case _ as unreachable:
            assert_never(unreachable)


def _columns(attempt: Attempt) -> tuple[Any, ...]:
    state = attempt.state
    ended = state if isinstance(state, Ended) else None
    return (
        attempt.attempt_id,
        name_of(state),
        attempt.deadline_at,
        attempt.ringing_at,
        attempt.answered_at,
        attempt.ended_at,
        attempt.call_id,
        isinstance(state, HandedOver) and state.gone,
        None if ended is None else ended.outcome,
        None if ended is None else ended.by,
        None if ended is None else ended.disposition,
        attempt.traceparent,
        attempt.machine_at,
    )


def _attempt(row: asyncpg.Record) -> Attempt:
    state: AttemptState
    match row["state"]:
        case "dialling":
            state = Dialling()
        case "ringing":
            state = Ringing()
        case "handed_over":
            state = HandedOver(row["call_id"], row["gone"])
        case "assigned":
            state = Assigned(row["call_id"])
        case "connected":
            state = Connected(row["call_id"], row["machine_at"] is not None)
        case "ended":
            state = Ended(row["outcome"], row["ended_by"], row["call_id"], row["disposition"])
        case other:
            raise AssertionError(f"an attempt cannot be {other!r}")
    return Attempt(
        attempt_id=row["attempt_id"],
        tenant_id=row["tenant_id"],
        campaign_id=row["campaign_id"],
        queue_id=row["queue_id"],
        lead_id=row["lead_id"],
        number=row["number"],
        phone=row["phone"],
        ring_seconds=row["ring_seconds"],
        started_at=row["started_at"],
        deadline_at=row["deadline_at"],
        state=state,
        ringing_at=row["ringing_at"],
        answered_at=row["answered_at"],
        machine_at=row["machine_at"],
        ended_at=row["ended_at"],
        traceparent=row["traceparent"],
    )
