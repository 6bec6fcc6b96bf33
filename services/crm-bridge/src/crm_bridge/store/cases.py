"""Cases and their calls: rows to domain values and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_never
from uuid import UUID

from common.database import Session

from crm_bridge.domain.book import CallName, CaseCall
from crm_bridge.domain.cases import Case, Closed, Open

_CASE = """
id, tenant_id, contact_id, queue_id, status, opened_at, active_at, sequence, calls, handed_on, closings, closed_at,
disposition
"""


@dataclass(frozen=True, slots=True)
class Link:
    """The case that a call belongs to, and the contact of that case. None of this ever changes but the key."""

    case_id: UUID
    contact_id: UUID
    contact_key: str


async def links(session: Session, calls: Iterable[CallName]) -> dict[CallName, Link]:
    """The links of those calls that have one."""
    names = list(calls)
    rows = await session.fetch(
        """
        SELECT call.tenant_id, call.call_id, call.case_id, call.contact_id, contact.key
        FROM unnest($1::text[], $2::text[]) AS wanted (tenant_id, call_id)
        JOIN case_calls AS call USING (tenant_id, call_id)
        JOIN contacts AS contact ON contact.id = call.contact_id
        """,
        [tenant_id for tenant_id, _ in names],
        [call_id for _, call_id in names],
    )
    return {(row[0], row[1]): Link(row[2], row[3], row[4]) for row in rows}


async def parts(session: Session, first_calls: Iterable[CallName]) -> set[tuple[UUID, str]]:
    """The cases to which these calls belong, or calls to which agents handed their callers on; each with the first."""
    names = list(first_calls)
    rows = await session.fetch(
        """
        WITH wanted AS (SELECT * FROM unnest($1::text[], $2::text[]) AS given (tenant_id, call_id))
        SELECT case_id, call_id FROM wanted JOIN case_calls USING (tenant_id, call_id)
        UNION
        SELECT case_id, call_id FROM wanted JOIN handed_on_calls AS later
            ON later.tenant_id = wanted.tenant_id AND later.first_call_id = wanted.call_id
        """,
        [tenant_id for tenant_id, _ in names],
        [call_id for _, call_id in names],
    )
    return {(row[0], row[1]) for row in rows}


async def save_handed_on(session: Session, handed_on: Iterable[tuple[str, str, UUID]]) -> None:
    """Note that calls of the cases go on from these first ones: (tenant, first call, case). Idempotent."""
    rows = sorted(handed_on)
    if rows:
        await session.execute(
            """
            INSERT INTO handed_on_calls (tenant_id, first_call_id, case_id)
            SELECT * FROM unnest($1::text[], $2::text[], $3::uuid[]) ON CONFLICT DO NOTHING
            """,
            *_columns(rows),
        )


async def current(session: Session, contact_ids: Iterable[UUID]) -> list[Case]:
    """The current case of each of the contacts that has any: the open one, else the one closed last."""
    rows = await session.fetch(
        f"""
        SELECT found.* FROM unnest($1::uuid[]) AS wanted (contact_id)
        CROSS JOIN LATERAL (
            SELECT {_CASE} FROM cases
            WHERE cases.contact_id = wanted.contact_id ORDER BY closed_at DESC NULLS FIRST LIMIT 1
        ) AS found
        """,  # noqa: S608 - a constant
        list(contact_ids),
    )
    return [_case(row) for row in rows]


async def by_ids(session: Session, ids: Iterable[UUID]) -> list[Case]:
    """The cases with these ids, in no order."""
    rows = await session.fetch(f"SELECT {_CASE} FROM cases WHERE id = ANY($1::uuid[])", list(ids))  # noqa: S608
    return [_case(row) for row in rows]


async def page(
    session: Session,
    *,
    tenant_id: str | None,
    status: str | None,
    contact_id: UUID | None,
    before: UUID | None,
    limit: int,
) -> list[Case]:
    """Newest first, from `before` on; None selects all."""
    rows = await session.fetch(
        f"""
        SELECT {_CASE} FROM cases
        WHERE ($1::text IS NULL OR tenant_id = $1) AND ($2::text IS NULL OR status = $2)
          AND ($3::uuid IS NULL OR contact_id = $3) AND ($4::uuid IS NULL OR id < $4)
        ORDER BY id DESC LIMIT $5
        """,  # noqa: S608
        tenant_id,
        status,
        contact_id,
        before,
        limit,
    )
    return [_case(row) for row in rows]


async def calls(session: Session, case_id: UUID) -> list[CaseCall]:
    """The calls of a case, in the order in which they were answered."""
    rows = await session.fetch("SELECT * FROM case_calls WHERE case_id = $1 ORDER BY answered_at, call_id", case_id)
    return [CaseCall(**dict(row)) for row in rows]


async def save(session: Session, cases: Iterable[Case]) -> None:
    """Insert or overwrite. The caller holds the locks of the cases' contacts."""
    # A contact's open case may take the place of one that is closed by this very statement.
    rows = [_row(case) for case in sorted(cases, key=lambda case: isinstance(case, Open))]
    if not rows:
        return
    await session.execute(
        f"""
        INSERT INTO cases ({_CASE})
        SELECT * FROM unnest(
            $1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::int[],
            $9::int[], $10::int[], $11::int[], $12::timestamptz[], $13::text[]
        )
        ON CONFLICT (id) DO UPDATE SET
            status = EXCLUDED.status, active_at = EXCLUDED.active_at, sequence = EXCLUDED.sequence,
            calls = EXCLUDED.calls, handed_on = EXCLUDED.handed_on, closings = EXCLUDED.closings,
            closed_at = EXCLUDED.closed_at, disposition = EXCLUDED.disposition
        """,  # noqa: S608
        *_columns(rows),
    )


async def save_calls(session: Session, links: Iterable[CaseCall]) -> None:
    """Insert new links; to one that exists, add the wrap-up."""
    rows = [
        (
            call.tenant_id,
            call.call_id,
            call.case_id,
            call.contact_id,
            call.queue_id,
            call.direction,
            call.agent_id,
            call.answered_at,
            call.wrapped_up_at,
            call.disposition,
        )
        for call in links
    ]
    if not rows:
        return
    await session.execute(
        """
        INSERT INTO case_calls (
            tenant_id, call_id, case_id, contact_id, queue_id, direction, agent_id, answered_at, wrapped_up_at,
            disposition
        )
        SELECT * FROM unnest(
            $1::text[], $2::text[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::timestamptz[],
            $9::timestamptz[], $10::text[]
        )
        ON CONFLICT (tenant_id, call_id) DO UPDATE SET
            wrapped_up_at = EXCLUDED.wrapped_up_at, disposition = EXCLUDED.disposition, agent_id = EXCLUDED.agent_id
        WHERE EXCLUDED.wrapped_up_at IS NOT NULL
        """,
        *_columns(rows),
    )


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _row(case: Case) -> tuple[Any, ...]:
    closed_at: datetime | None
    disposition: str | None
    match case:
        case Open():
            status, closed_at, disposition = "open", None, None
        case Closed():
            status, closed_at, disposition = "closed", case.closed_at, case.disposition
        case _:
            assert_never(case)
    return (
        case.id,
        case.tenant_id,
        case.contact_id,
        case.queue_id,
        status,
        case.opened_at,
        case.active_at,
        case.sequence,
        case.calls,
        case.handed_on,
        case.closings,
        closed_at,
        disposition,
    )


def _case(row: Any) -> Case:
    facts = dict(row)
    if facts.pop("status") == "closed":
        return Closed(**facts)
    del facts["closed_at"], facts["disposition"]
    return Open(**facts)
