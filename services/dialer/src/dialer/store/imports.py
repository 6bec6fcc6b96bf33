"""The rows of a file on their way into `leads`: first into a temporary table, then all of them in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from common.database import Session
from common.ids import new_id
from common.sheets import Reject

from dialer.domain.lead_file import Row
from dialer.domain.zones import SEPARATOR

_LINES_AT_ONCE = 100_000
_COLUMNS = ["line", "lead_id", "phone", "name", "external_id", "zones"]


async def begin(session: Session) -> None:
    """Make the temporary table; it goes with the transaction."""
    await session.execute(
        """
        CREATE TEMPORARY TABLE imported (line int NOT NULL, lead_id uuid NOT NULL, phone text NOT NULL, name text,
            external_id text, zones text NOT NULL) ON COMMIT DROP
        """
    )


async def add(session: Session, rows: Sequence[Row]) -> None:
    """Take good rows; ids follow the order of the lines."""
    await session.copy_records(
        "imported",
        _COLUMNS,
        [(row.line, new_id(), row.phone, row.name, row.external_id, SEPARATOR.join(row.zones)) for row in rows],
    )


async def analyse(session: Session) -> None:
    """Tell the planner how many rows there are: nobody else looks at a temporary table."""
    await session.execute("ANALYZE imported")


async def duplicates(session: Session, limit: int) -> tuple[int, list[Reject]]:
    """Rows whose number an earlier line has: how many, and the first of them."""
    rows = await session.fetch(
        """
        SELECT line, phone, first_line, count(*) OVER () AS total
        FROM (SELECT line, phone, min(line) OVER (PARTITION BY phone) AS first_line FROM imported) AS numbered
        WHERE line > first_line ORDER BY line LIMIT $1
        """,
        limit,
    )
    rejects = [Reject(row["line"], "phone", row["phone"], f"duplicate of line {row['first_line']}") for row in rows]
    return (rows[0]["total"] if rows else 0), rejects


async def contradictions(session: Session, campaign_id: str, limit: int) -> tuple[int, list[Reject]]:
    """Rows whose number is on the list with other values: how many, and the first of them."""
    rows = await session.fetch(
        """
        SELECT line, new.phone, count(*) OVER () AS total,
            new.name IS DISTINCT FROM known.name AS renamed,
            new.external_id IS DISTINCT FROM known.external_id AS renumbered
        FROM (SELECT DISTINCT ON (phone) * FROM imported ORDER BY phone, line) AS new
        -- LIMIT keeps this a look-up by key, whatever the planner believes of a list that has just been filled.
        CROSS JOIN LATERAL (
            SELECT name, external_id, zones, state FROM leads
            WHERE campaign_id = $1 AND leads.phone = new.phone LIMIT 1
        ) AS known
        WHERE state <> 'removed'
            AND (new.name, new.external_id, new.zones) IS DISTINCT FROM (known.name, known.external_id, known.zones)
        ORDER BY line LIMIT $2
        """,
        campaign_id,
        limit,
    )
    rejects = []
    for row in rows:
        other = "name" if row["renamed"] else "external_id" if row["renumbered"] else "time_zone"
        rejects.append(Reject(row["line"], "phone", row["phone"], f"already on the list with another {other}"))
    return (rows[0]["total"] if rows else 0), rejects


async def removed(session: Session, campaign_id: str) -> int:
    """Numbers that somebody has taken off the list."""
    count: int = await session.fetchval(
        """
        SELECT count(DISTINCT new.phone) FROM imported AS new CROSS JOIN LATERAL (
            SELECT state FROM leads WHERE campaign_id = $1 AND leads.phone = new.phone LIMIT 1
        ) AS known WHERE state = 'removed'
        """,
        campaign_id,
    )
    return count


async def finish(session: Session, campaign_id: str, tenant_id: str, now: datetime) -> tuple[int, int]:
    """Put what is new on the list, due at once; returns how many rows that are, and how many numbers there were."""
    await session.execute(
        """
        INSERT INTO campaign_zones (campaign_id, zones, tenant_id) SELECT DISTINCT $1, zones, $2 FROM imported
        ON CONFLICT DO NOTHING
        """,
        campaign_id,
        tenant_id,
    )
    imported = 0
    last: int = await session.fetchval("SELECT coalesce(max(line), 0) FROM imported")
    # In portions that stay far from the time limit of a statement; the first line of a number wins.
    for start in range(0, last + 1, _LINES_AT_ONCE):
        tag = await session.execute(
            """
            INSERT INTO leads (lead_id, tenant_id, campaign_id, phone, name, external_id, zones, state, due_at,
                attempts, created_at)
            SELECT lead_id, $2, $1, phone, name, external_id, zones, 'pending', $3, 0, $3
            FROM imported WHERE line >= $4 AND line < $5 ORDER BY line
            ON CONFLICT (campaign_id, phone) DO NOTHING
            """,
            campaign_id,
            tenant_id,
            now,
            start,
            start + _LINES_AT_ONCE,
        )
        imported += int(tag.rpartition(" ")[2])
    numbers: int = await session.fetchval("SELECT count(DISTINCT phone) FROM imported")
    return imported, numbers
