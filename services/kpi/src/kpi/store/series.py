"""Rows of counts per tenant, key and interval: all series are written and read in one way.

Written by adding to what is there, keys in order, so that replicas that write at once neither lose anything nor
deadlock. Read in the steps of `kpi.domain.steps`: PostgreSQL only looks up between which of their bounds a row lies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Generic
from zoneinfo import ZoneInfo

import asyncpg
from common.database import Session

from kpi.domain.counts import MAXIMA, AgentTime, C, CallCounts, CaseCounts, ChargeCounts, DialingCounts
from kpi.domain.steps import USUAL_LENGTH, Step, cuts, start_of
from kpi.domain.time import INTERVAL
from kpi.store import tenants
from kpi.store.tenants import UNDECLARED_TIME_ZONE

Key = tuple[str, str, datetime]
NUMERIC = frozenset({"amount"})

MICROSECOND = timedelta(microseconds=1)
MOST_CUTS = 2000
"""Bounds of steps that one statement gets, over all zones."""
USUAL_ROWS = 25
"""Of one step: a guess, by which the first stretch of a page is about as long as the page needs."""


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
    """The next rows of the window by start, tenant and key.

    Steps begin at other times in other zones. They are read in stretches of time, in their order, each from the first
    interval on that has something and twice as long as the one before; so what one page costs depends on its rows, not
    on the length of the window.
    """
    step = window.step
    zones = [ZoneInfo(name) for name in await tenants.time_zones(session, window.tenant_id)]
    since = min(start_of(step, zone, window.start) for zone in zones)
    last = max(cuts(step, zone, window.end - MICROSECOND, window.end)[-1] for zone in zones)
    if after is not None:
        since = max(since, after[0])
    steps = max(1, limit // USUAL_ROWS)
    rows: list[SteppedRow[C]] = []
    while since < window.end and len(rows) < limit:
        first = await _next_interval(session, series, window, since, last)
        if first is None:
            break
        until = min(window.end, first + steps * USUAL_LENGTH[step])
        bounds = {zone.key: cuts(step, zone, first, until) for zone in zones}
        rows += await _read_steps(session, series, window, bounds, (since, until), after, limit - len(rows))
        since = until
        steps = min(2 * steps, max(1, MOST_CUTS // len(zones)))
    return rows


async def _next_interval(
    session: Session, series: Series[C], window: Window, since: datetime, before: datetime
) -> datetime | None:
    """The first interval from `since` on that has a row of the window."""
    found: datetime | None = await session.fetchval(
        f"""
        SELECT min(interval_start) FROM {series.table}
        WHERE interval_start >= $1 AND interval_start < $2 AND {_wanted(series, 3)}
        """,  # noqa: S608 - names of our own tables
        since,
        before,
        window.tenant_id,
        window.key,
        window.totals,
    )
    return found


def _wanted(series: Series[C], first: int) -> str:
    """The condition that a row is of the window: its tenant, key and totals are the parameters from `first` on."""
    key = f"{series.table}.{series.key}"
    return f"""(${first}::text IS NULL OR {series.table}.tenant_id = ${first})
          AND (${first + 1}::text IS NULL OR {key} = ${first + 1})
          AND (${first + 2}::boolean IS NULL OR ({key} = '') = ${first + 2})"""


async def _read_steps(
    session: Session,
    series: Series[C],
    window: Window,
    bounds: Mapping[str, Sequence[datetime]],
    starts: tuple[datetime, datetime],
    after: Place | None,
    limit: int,
) -> list[SteppedRow[C]]:
    """The rows of the steps that begin within `starts`. `bounds` are those of each zone's steps, in order."""
    every = [bound for zone in bounds.values() for bound in zone]
    ends: list[int] = list(accumulate(len(zone) for zone in bounds.values()))
    rows = await session.fetch(
        f"""
        WITH zones AS MATERIALIZED (
            SELECT time_zone, ($8::timestamptz[])[past + 1:last] AS bounds
            FROM unnest($9::text[], $10::int[], $11::int[]) AS given (time_zone, past, last)
        ), stepped AS (
            SELECT {series.table}.*, {series.table}.{series.key} AS key, zones.time_zone,
                   bounds[step] AS step_start, bounds[step + 1] AS step_end
            FROM {series.table} LEFT JOIN tenants ON tenants.tenant_id = {series.table}.tenant_id
            JOIN zones ON zones.time_zone = coalesce(tenants.time_zone, '{UNDECLARED_TIME_ZONE}')
            CROSS JOIN LATERAL width_bucket(interval_start, bounds) AS step
            WHERE interval_start >= $12 AND interval_start < $13 AND {_wanted(series, 1)}
        )
        SELECT tenant_id, key, step_start, step_end, time_zone, {_sums(series)} FROM stepped
        WHERE step_start >= $4 AND step_start < $5 AND step_end > $6
          AND ($14::timestamptz IS NULL OR (step_start, tenant_id, key) > ($14, $15, $16))
        GROUP BY step_start, tenant_id, key, step_end, time_zone
        ORDER BY step_start, tenant_id, key LIMIT $7
        """,  # noqa: S608 - names of our own tables
        window.tenant_id,
        window.key,
        window.totals,
        *starts,
        window.start,
        limit,
        every,
        list(bounds),
        [0, *ends[:-1]],
        ends,
        min(zone[0] for zone in bounds.values()),
        max(zone[-1] for zone in bounds.values()),
        *(after or (None, None, None)),
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
        window.start - INTERVAL,
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
        window.start - INTERVAL,
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
