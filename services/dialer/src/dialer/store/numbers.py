"""Numbers of a tenant that are not dialled for now: dialled already, in a call, or at rest after one.

An attempt under way holds its number: the schema has at most one of them for each number of a tenant. `recent_calls`
has the telephone calls with a tenant, each until it is over and the tenant's rest after it has passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from common.database import Session

from dialer.domain.attempt import StoppedBy
from dialer.domain.number import LONGEST_CALL, Number


async def look_up(session: Session, numbers: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Number]:
    """How these numbers (tenant, E.164) stand."""
    rows = await session.fetch(
        """
        SELECT asked.tenant_id, asked.phone, barred.found IS NOT NULL AS barred, dialled.found IS NOT NULL AS dialled,
            calls.in_call, calls.over_at + make_interval(mins => tenants.rest_after_call_minutes) AS rests_until
        FROM unnest($1::text[], $2::text[]) AS asked (tenant_id, phone)
        JOIN tenants USING (tenant_id)
        -- LIMIT keeps these look-ups by key, however many numbers are asked for.
        LEFT JOIN LATERAL (
            SELECT 1 AS found FROM do_not_call AS listed
            WHERE listed.tenant_id = asked.tenant_id AND listed.phone = asked.phone LIMIT 1
        ) AS barred ON true
        LEFT JOIN LATERAL (
            SELECT 1 AS found FROM attempts
            WHERE attempts.tenant_id = asked.tenant_id AND attempts.phone = asked.phone AND holds_number LIMIT 1
        ) AS dialled ON true
        CROSS JOIN LATERAL (
            SELECT coalesce(bool_or(over_at IS NULL), false) AS in_call, max(over_at) AS over_at
            FROM recent_calls AS recent WHERE recent.tenant_id = asked.tenant_id AND recent.phone = asked.phone
        ) AS calls
        """,
        [tenant_id for tenant_id, _ in numbers],
        [phone for _, phone in numbers],
    )
    return {
        (row["tenant_id"], row["phone"]): Number(
            barred=row["barred"], dialled=row["dialled"], in_call=row["in_call"], rests_until=row["rests_until"]
        )
        for row in rows
    }


@dataclass(slots=True)
class Calls:
    """What a batch of events says of calls with numbers of tenants."""

    begun: dict[tuple[str, str], tuple[str, datetime]] = field(default_factory=dict)
    """Call and number -> tenant, and when."""
    over: dict[str, datetime] = field(default_factory=dict)
    """Call -> when the person left it."""
    void: set[str] = field(default_factory=set)
    """Calls that were with nobody: an answering machine took them."""


async def save_calls(session: Session, calls: Calls) -> None:
    """Note calls that begin and end. What is known already changes nothing, so events may come again."""
    if calls.begun:
        rows = sorted((call_id, phone, *about) for (call_id, phone), about in calls.begun.items())
        await session.execute(
            """
            INSERT INTO recent_calls (call_id, phone, tenant_id, began_at)
            SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) ON CONFLICT DO NOTHING
            """,
            *(list(column) for column in zip(*rows, strict=True)),
        )
    if calls.over:
        await session.execute(
            """
            UPDATE recent_calls SET over_at = new.over_at
            FROM unnest($1::text[], $2::timestamptz[]) AS new (call_id, over_at)
            WHERE recent_calls.call_id = new.call_id AND recent_calls.over_at IS NULL
            """,
            list(calls.over),
            list(calls.over.values()),
        )
    if calls.void:
        await session.execute("DELETE FROM recent_calls WHERE call_id = ANY($1::text[])", list(calls.void))


async def dials_to_stop(session: Session) -> list[tuple[UUID, StoppedBy]]:
    """Dials that nobody has answered and that must not ring any more, each with the first reason."""
    rows = await session.fetch(
        """
        SELECT dialled.attempt_id, found.reason
        FROM (
            SELECT attempt_id, tenant_id, phone, lead_id FROM attempts
            WHERE holds_number AND state IN ('dialling', 'ringing') OFFSET 0
        ) AS dialled
        -- LIMIT keeps these look-ups by key, one for each dial under way.
        CROSS JOIN LATERAL (
            (SELECT 'do_not_call' AS reason FROM do_not_call AS listed
            WHERE listed.tenant_id = dialled.tenant_id AND listed.phone = dialled.phone LIMIT 1)
            UNION ALL
            (SELECT 'person_calls' FROM recent_calls AS calling WHERE calling.tenant_id = dialled.tenant_id
                AND calling.phone = dialled.phone AND calling.over_at IS NULL LIMIT 1)
            UNION ALL
            (SELECT 'lead_removed' FROM leads AS gone
            WHERE gone.lead_id = dialled.lead_id AND gone.state = 'removed' LIMIT 1)
            LIMIT 1
        ) AS found
        """
    )
    return [(row[0], row[1]) for row in rows]


async def prune(session: Session, now: datetime) -> None:
    """Forget calls after which the tenant's rest has passed, and those of which no end was ever told."""
    await session.execute(
        """
        DELETE FROM recent_calls USING tenants WHERE tenants.tenant_id = recent_calls.tenant_id
            AND recent_calls.over_at + make_interval(mins => tenants.rest_after_call_minutes) <= $1
        """,
        now,
    )
    await session.execute(
        """
        DELETE FROM recent_calls WHERE began_at < $1 AND (over_at IS NULL OR NOT EXISTS (
            SELECT 1 FROM tenants WHERE tenants.tenant_id = recent_calls.tenant_id))
        """,
        now - LONGEST_CALL,
    )
