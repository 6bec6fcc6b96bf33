"""How fast a list of leads comes in, what it costs in memory, and how long a tick of pacing on such a list takes.

    python tests/bench/bench_import.py [rows]

The file is generated piece by piece as a network would bring it, so that what grows is the import's own. Memory is
resident memory of this process above its level before; a stall is how long the event loop, on which hand-overs run,
was not to be had. A tick gives IDLE agents, who are free again, one dial each, and is committed.
The rule of one call for one person costs the import nothing: it has no part in it. Of a tick it is two statements, the
numbers of IDLE leads looked up and the dials under way looked through, beside OTHERS recent calls and OTHERS numbers on
the do-not-call list; they are measured by themselves (`pacing_rule_p50_ms`), and in the ticks.

The last line is JSON. Floors: `import_rows_vs_copy` and `import_again_vs_copy` (COPY of the same
file), `import_processor_vs_loop` (a row, a turn) and `import_stall_vs_loop` (a stall is Python at work in one go),
`pacing_tick_vs_insert` and `pacing_tick_p99_vs_insert` (as many rows as dials inserted and committed, in turns).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import uvloop
from common.clock import ManualClock
from common.database import Database
from common.hours import WEEKDAYS, parse
from common.migrations import provision, upgrade
from dialer.domain.attempt import Patience
from dialer.domain.campaign import Campaign, Tenant
from dialer.domain.lead import CampaignRules
from dialer.service import campaigns
from dialer.service.importing import Imported, import_leads
from dialer.service.pacing import pace
from dialer.store import floor, numbers
from floors import Copy, Insert, Loop, median, milliseconds, quantile, ratio
from plateau.servers import postgres

HOURS = parse({"week": {day: [["10:00", "13:00"], ["14:00", "20:00"]] for day in WEEKDAYS[:5]}})
RULES = CampaignRules("draft", HOURS, 4, timedelta(hours=2), timedelta(hours=72))
PATIENCE = Patience(timedelta(seconds=10), timedelta(seconds=10))
TICKS, WARM_UP_TICKS, IDLE = 200, 20, 50
OTHERS = 100_000
PIECE_ROWS = 1300
"""About 64 KiB."""


async def body(rows: int) -> AsyncIterator[bytes]:
    """A file of so many different numbers."""
    yield b"phone,name,time_zone,external_id\n"
    for start in range(0, rows, PIECE_ROWS):
        lines = (f"06{n:08d},Person number {n},,crm-{n}\n" for n in range(start, min(rows, start + PIECE_ROWS)))
        yield "".join(lines).encode()
        await asyncio.sleep(0)


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Watch:
    """Peak memory, processor seconds, and the longest stall of the event loop while it runs."""

    def __init__(self) -> None:
        self.before = self.peak = resident()
        self.stall = 0.0
        self.processor = 0.0

    async def run(self) -> None:
        while True:
            asked = time.perf_counter()
            await asyncio.sleep(0.005)
            self.stall = max(self.stall, time.perf_counter() - asked - 0.005)
            self.peak = max(self.peak, resident())


async def run(database: Database, rows: int, clock: ManualClock) -> tuple[Imported, float, Watch]:
    """Import the file; returns what came of it, in how many seconds."""
    watch = Watch()
    watching = asyncio.create_task(watch.run())
    began = time.perf_counter()
    worked = time.process_time()
    async with database.transaction() as session:
        result = await import_leads(session, "bench", body(rows), "abort", 1 << 40, clock)
    took = time.perf_counter() - began
    watch.processor = time.process_time() - worked
    watching.cancel()
    return result, took, watch


_END = """
    UPDATE attempts SET ended_at = $1, state = 'ended', outcome = 'no_answer', ended_by = 'far_end', deadline_at = NULL
    WHERE ended_at IS NULL
"""


async def tick(database: Database, clock: ManualClock, insert: Insert) -> list[float]:
    """Seconds of each tick of pacing on the campaign's list, sorted; each commits IDLE dials and the next ones begin
    with all agents free again."""
    agents = {f"agent-{n}": floor.KnownAgent("main", ["sales"], "available", 1) for n in range(IDLE)}
    async with database.transaction() as session:
        await floor.save_agents(session, agents)
        await campaigns.start(session, "bench", clock)
    took = []
    for _ in range(WARM_UP_TICKS + TICKS):
        await insert.sample(IDLE)
        began = time.perf_counter()
        async with database.transaction() as session:
            started = await pace(session, "main", clock, PATIENCE)
        took.append(time.perf_counter() - began)
        assert started == IDLE
        async with database.transaction() as session:
            await session.execute(_END, clock.now())
            await session.execute("DELETE FROM outbox")
        clock.advance(seconds=1)
    return sorted(took[WARM_UP_TICKS:])


_OTHERS = """
    WITH numbers AS (SELECT 'c' || n AS id, '+337' || lpad(n::text, 8, '0') AS phone, n % 10 = 0 AS live
        FROM generate_series(1, $1) AS n),
    barred AS (INSERT INTO do_not_call SELECT 'kettle', phone, NULL, 'olga', $2 FROM numbers)
    INSERT INTO recent_calls
        SELECT id, phone, 'kettle', $2, CASE WHEN live THEN NULL ELSE $2::timestamptz END FROM numbers
"""


async def rule(database: Database) -> list[float]:
    """Seconds that the rule adds to a tick, sorted."""
    people = [("kettle", f"+336{n:08d}") for n in range(IDLE)]
    took = []
    for _ in range(WARM_UP_TICKS + TICKS):
        async with database.transaction() as session:
            began = time.perf_counter()
            known = await numbers.look_up(session, people)
            await numbers.dials_to_stop(session)
            took.append(time.perf_counter() - began)
        assert len(known) == IDLE
    return sorted(took[WARM_UP_TICKS:])


async def main(rows: int) -> None:
    """Measure and print."""
    clock = ManualClock(datetime(2026, 11, 23, 10, tzinfo=UTC))
    loop = Loop()
    with tempfile.TemporaryDirectory() as folder:
        async with postgres(Path(folder)) as server:
            url = provision(server.url, "dialer", "secret")
            upgrade("dialer", url)
            connection = await asyncpg.connect(url)
            copy, insert = Copy(connection), Insert(connection)
            await insert.prepare()
            async with Database(url, source="dialer") as database:
                async with database.transaction() as session:
                    await campaigns.put_tenant(session, Tenant("kettle", "K", "Europe/Paris", "FR"), lambda _: None)
                    campaign = Campaign("bench", "kettle", "sales", "Bench", 25, RULES)
                    await campaigns.put_campaign(session, campaign, lambda _: None, clock)
                await copy.sample(body(rows))
                loop.sample()
                first, took, watch = await run(database, rows, clock)
                await copy.sample(body(rows))
                loop.sample()
                again, took_again, watch_again = await run(database, rows, clock)
                await copy.sample(body(rows))
                loop.sample()
                assert (first.imported, again.unchanged) == (rows, rows)
                async with database.transaction() as session:
                    await session.execute(_OTHERS, OTHERS, clock.now())
                ticks = await tick(database, clock, insert)
                rules = await rule(database)
            await connection.close()
    peak = max(watch.peak - watch.before, watch_again.peak - watch_again.before) / 1e6
    stall = max(watch.stall, watch_again.stall)
    print(f"{rows:,} rows in {took:.1f} s, the same again in {took_again:.1f} s")
    print(f"processor time of this process, generating the file included: {1e6 * watch.processor / rows:.0f} µs a row")
    print(f"memory at most {peak:.0f} MB above {watch.before / 1e6:.0f} MB; longest stall {1000 * stall:.0f} ms")
    p50, p99 = quantile(ticks, 0.5), quantile(ticks, 0.99)
    print(f"a tick of pacing with {IDLE} dials: p50 {1000 * p50:.1f} ms, p99 {1000 * p99:.1f} ms")
    rule_p50 = quantile(rules, 0.5)
    print(f"of which one call for one person: p50 {1000 * rule_p50:.2f} ms for {IDLE} numbers")
    inserts = sorted(insert.samples[WARM_UP_TICKS:])
    figures = {
        "import_rows_per_second": round(rows / took),
        "import_rows_vs_copy": ratio(copy.seconds, took),
        "import_again_rows_per_second": round(rows / took_again),
        "import_again_vs_copy": ratio(copy.seconds, took_again),
        "import_processor_us_per_row": round(1e6 * watch.processor / rows, 1),
        "import_processor_vs_loop": ratio(watch.processor / rows, loop.processor_per_turn),
        "import_memory_mb": round(peak, 1),
        "import_longest_stall_ms": round(1000 * stall, 1),
        "import_stall_vs_loop": ratio(stall, loop.seconds),
        "pacing_rule_p50_ms": milliseconds(rule_p50),
        "pacing_rule_vs_insert": ratio(rule_p50, median(inserts)),
        "pacing_tick_p50_ms": milliseconds(p50),
        "pacing_tick_p99_ms": milliseconds(p99),
        "pacing_tick_vs_insert": ratio(p50, median(inserts)),
        "pacing_tick_p99_vs_insert": ratio(p99, quantile(inserts, 0.99)),
    }
    print(json.dumps(figures | copy.figures(rows) | insert.figures() | loop.figures()))


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
