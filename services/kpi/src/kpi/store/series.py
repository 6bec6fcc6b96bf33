"""Rows of counts per tenant, key and interval: all series are written and read in one way.

Written by adding to what is there, keys in order, so that replicas that write at once neither lose anything nor
deadlock. Read in steps of 15 minutes, an hour, or a day of the tenant's time zone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Generic, Literal

import asyncpg
from common.database import Session

from kpi.domain.counts import MAXIMA, AgentTime, C, CallCounts, CaseCounts, ChargeCounts, DialingCounts

Key = tuple[str, str, datetime]
Step = Literal["15m", "1h", "1d"]

NUMERIC = frozenset({"amount"})

STEP_START: dict[Step, str] = {
    "15m": "s.interval_start",
    "1h": "date_bin('1 hour', s.interval_start, '2000-01-01T00:00:00Z')",
    "1d": "date_trunc('day', s.interval_start, coalesce(z.time_zone, 'UTC'))",
}
STEP_END: dict[Step, str] = {
    "15m": "step_start + interval '15 minutes'",
    "1h": "step_start + interval '1 hour'",
    "1d": "(date_trunc('day', step_start AT TIME ZONE time_zone) + interval '1 day') AT TIME ZONE time_zone",
}
LONGEST_STEP: dict[Step, timedelta] = {"15m": timedelta(minutes=15), "1h": timedelta(hours=1), "1d": timedelta(days=2)}


@dataclass(frozen=True, slots=True)
class Series(Generic[C]):
    """One table of counts: its name, the name of its key beside the tenant, and what its rows count."""

    table: str
    key: str
    counts: type[C]

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that are counted."""
        return tuple(field.name for field in fields(self.counts))


CALLS = Series("intervals", "queue_id", CallCounts)
MINUTES = Series("minutes", "queue_id", CallCounts)
AGENT_TIME = Series("agent_time", "agent_id", AgentTime)
CASES = Series("case_intervals", "queue_id", CaseCounts)
CHARGES = Series("charge_intervals", "currency", ChargeCounts)
DIALING = Series("dialing_intervals", "campaign_id", DialingCounts)


def _type(column: str) -> str:
    return "numeric" if column in NUMERIC else "bigint"


def _addition(series: Series[C]) -> str:
    columns = series.columns
    arrays = ", ".join(f"${number}::{_type(column)}[]" for number, column in enumerate(columns, 4))
    updates = ", ".join(
        f"{column} = greatest(t.{column}, excluded.{column})"
        if column in MAXIMA
        else f"{column} = t.{column} + excluded.{column}"
        for column in columns
    )
    return f"""
        INSERT INTO {series.table} AS t (tenant_id, {series.key}, interval_start, {", ".join(columns)})
        SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], {arrays})
        ON CONFLICT (tenant_id, {series.key}, interval_start) DO UPDATE SET {updates}
    """  # noqa: S608 - names of our own tables


_ADDITIONS: dict[str, str] = {
    CALLS.table: _addition(CALLS),
    MINUTES.table: _addition(MINUTES),
    AGENT_TIME.table: _addition(AGENT_TIME),
    CASES.table: _addition(CASES),
    CHARGES.table: _addition(CHARGES),
    DIALING.table: _addition(DIALING),
}


def _sums(series: Series[C]) -> str:
    return ", ".join(
        f"max({column}) AS {column}" if column in MAXIMA else f"sum({column})::{_type(column)} AS {column}"
        for column in series.columns
    )


def _counts(series: Series[C], row: asyncpg.Record) -> C:
    return series.counts(**{column: row[column] for column in series.columns})


async def add(session: Session, series: Series[C], increments: Mapping[Key, C]) -> None:
    """Add the increments to the rows, in the order of their keys. Not idempotent: the inbox is."""
    if not increments:
        return
    rows = sorted(increments.items())
    await session.execute(
        _ADDITIONS[series.table],
        [key[0] for key, _ in rows],
        [key[1] for key, _ in rows],
        [key[2] for key, _ in rows],
        *[[getattr(counts, column) for _, counts in rows] for column in series.columns],
    )


async def add_waits(session: Session, increments: Mapping[tuple[str, str, datetime, int], int]) -> None:
    """Add calls to the buckets of the sketches, in the order of their keys."""
    if not increments:
        return
    rows = sorted(increments.items())
    await session.execute(
        """
        INSERT INTO wait_buckets AS t (tenant_id, queue_id, interval_start, bucket, calls)
        SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::smallint[], $5::bigint[])
        ON CONFLICT (tenant_id, queue_id, interval_start, bucket) DO UPDATE SET calls = t.calls + excluded.calls
        """,
        *[[key[part] for key, _ in rows] for part in range(4)],
        [calls for _, calls in rows],
    )


@dataclass(frozen=True, slots=True)
class Window:
    """Which steps are asked for: all that overlap [start, end), whole. None asks for every tenant or key."""

    step: Step
    start: datetime
    end: datetime
    tenant_id: str | None = None
    key: str | None = None
    totals: bool | None = None
    """True: only the rows under the empty key, which stand for all keys; False: only the others."""


@dataclass(frozen=True, slots=True)
class SteppedRow(Generic[C]):
    """The counts of one key in one step."""

    tenant_id: str
    key: str
    start: datetime
    end: datetime
    time_zone: str
    counts: C


Place = tuple[datetime, str, str]
"""Where a row stands in the list: start of the step, tenant, key."""


async def read(
    session: Session, series: Series[C], window: Window, *, after: Place | None, limit: int
) -> list[SteppedRow[C]]:
    """The next rows of the window by start, tenant and key."""
    margin = LONGEST_STEP[window.step]
    rows = await session.fetch(
        f"""
        WITH stepped AS (
            SELECT s.*, s.{series.key} AS key, coalesce(z.time_zone, 'UTC') AS time_zone,
                   {STEP_START[window.step]} AS step_start
            FROM {series.table} s LEFT JOIN tenants z ON z.tenant_id = s.tenant_id
            WHERE s.interval_start >= $1 AND s.interval_start < $2
              AND ($5::text IS NULL OR s.tenant_id = $5) AND ($6::text IS NULL OR s.{series.key} = $6)
              AND ($11::boolean IS NULL OR (s.{series.key} = '') = $11)
        ), ended AS (
            SELECT *, {STEP_END[window.step]} AS step_end FROM stepped
        )
        SELECT tenant_id, key, step_start, step_end, time_zone, {_sums(series)} FROM ended
        WHERE step_end > $3 AND step_start < $4
          AND ($7::timestamptz IS NULL OR (step_start, tenant_id, key) > ($7, $8, $9))
        GROUP BY step_start, tenant_id, key, step_end, time_zone
        ORDER BY step_start, tenant_id, key LIMIT $10
        """,  # noqa: S608 - names of our own tables
        window.start - margin,
        window.end + margin,
        window.start,
        window.end,
        window.tenant_id,
        window.key,
        *(after or (None, None, None)),
        limit,
        window.totals,
    )
    return [
        SteppedRow(
            row["tenant_id"],
            row["key"],
            row["step_start"],
            row["step_end"],
            row["time_zone"],
            _counts(series, row),
        )
        for row in rows
    ]


async def read_totals(session: Session, series: Series[C], window: Window) -> dict[tuple[str, str], C]:
    """Sums over the whole intervals that overlap the window, by tenant and key."""
    rows = await session.fetch(
        f"""
        SELECT tenant_id, {series.key} AS key, {_sums(series)} FROM {series.table}
        WHERE interval_start > $1 AND interval_start < $2 AND ($3::boolean IS NULL OR ({series.key} = '') = $3)
        GROUP BY tenant_id, {series.key} ORDER BY tenant_id, {series.key}
        """,  # noqa: S608 - names of our own tables
        window.start - LONGEST_STEP["15m"],
        window.end,
        window.totals,
    )
    return {(row["tenant_id"], row["key"]): _counts(series, row) for row in rows}


async def read_waits(session: Session, rows: Sequence[SteppedRow[CallCounts]]) -> list[dict[int, int]]:
    """The sketches of the rows, in their order."""
    sketches: list[dict[int, int]] = [{} for _ in rows]
    found = await session.fetch(
        """
        SELECT r.number, b.bucket, sum(b.calls)::bigint AS calls
        FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[])
             WITH ORDINALITY AS r (tenant_id, queue_id, step_start, step_end, number)
        JOIN wait_buckets b ON b.tenant_id = r.tenant_id AND b.queue_id = r.queue_id
             AND b.interval_start >= r.step_start AND b.interval_start < r.step_end
        GROUP BY r.number, b.bucket
        """,
        [row.tenant_id for row in rows],
        [row.key for row in rows],
        [row.start for row in rows],
        [row.end for row in rows],
    )
    for row in found:
        sketches[row["number"] - 1][row["bucket"]] = row["calls"]
    return sketches


async def read_total_waits(session: Session, window: Window) -> dict[str, dict[int, int]]:
    """The sketches of whole tenants over the intervals that overlap the window, by tenant."""
    rows = await session.fetch(
        """
        SELECT tenant_id, bucket, sum(calls)::bigint AS calls FROM wait_buckets
        WHERE queue_id = '' AND interval_start > $1 AND interval_start < $2 GROUP BY tenant_id, bucket
        """,
        window.start - LONGEST_STEP["15m"],
        window.end,
    )
    sketches: dict[str, dict[int, int]] = {}
    for row in rows:
        sketches.setdefault(row["tenant_id"], {})[row["bucket"]] = row["calls"]
    return sketches


async def has_key(session: Session, series: Series[C], key: str) -> bool:
    """Whether any row of the series that the caller may see has the key."""
    statement = f"SELECT 1 FROM {series.table} WHERE {series.key} = $1 LIMIT 1"  # noqa: S608 - names of our own tables
    found = await session.fetchval(statement, key)
    return found is not None


async def read_minutes(session: Session, window: Window) -> dict[tuple[str, str], CallCounts]:
    """Sums over the minutes that began within the window, by tenant and queue."""
    rows = await session.fetch(
        f"""
        SELECT tenant_id, queue_id AS key, {_sums(MINUTES)} FROM minutes
        WHERE interval_start > $1 AND interval_start <= $2 GROUP BY tenant_id, queue_id
        """,  # noqa: S608 - names of our own tables
        window.start,
        window.end,
    )
    return {(row["tenant_id"], row["key"]): _counts(MINUTES, row) for row in rows}


async def prune_minutes(session: Session, before: datetime) -> None:
    """Forget the counts per minute that no sliding window needs any more."""
    await session.execute("DELETE FROM minutes WHERE interval_start < $1", before)
