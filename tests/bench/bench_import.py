"""How fast a list of leads comes in, and what it costs in memory: `python tests/bench/bench_import.py [rows]`.

The file is generated piece by piece as a network would bring it, so that what grows is the import's own. Memory is
resident memory of this process above its level before; a stall is how long the event loop, on which hand-overs run,
was not to be had. The last line is JSON.
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

import uvloop
from common.clock import ManualClock
from common.database import Database
from common.hours import WEEKDAYS
from common.migrations import provision, upgrade
from dialer.domain.campaign import Campaign, Tenant
from dialer.domain.hours import CallingHours
from dialer.domain.lead import CampaignRules
from dialer.service import campaigns
from dialer.service.importing import Imported, import_leads
from plateau.servers import postgres

HOURS = CallingHours.parse({day: [["10:00", "13:00"], ["14:00", "20:00"]] for day in WEEKDAYS[:5]})
RULES = CampaignRules("draft", HOURS, 4, timedelta(hours=2), timedelta(hours=72))
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


async def main(rows: int) -> None:
    """Measure and print."""
    clock = ManualClock(datetime(2026, 11, 23, 10, tzinfo=UTC))
    with tempfile.TemporaryDirectory() as folder:
        async with postgres(Path(folder)) as server:
            url = provision(server.url, "dialer", "secret")
            upgrade("dialer", url)
            async with Database(url, source="dialer") as database:
                async with database.transaction() as session:
                    await campaigns.put_tenant(session, Tenant("kettle", "K", "Europe/Paris", "FR"), lambda _: None)
                    campaign = Campaign("bench", "kettle", "sales", "Bench", 25, RULES)
                    await campaigns.put_campaign(session, campaign, lambda _: None, clock)
                first, took, watch = await run(database, rows, clock)
                again, took_again, watch_again = await run(database, rows, clock)
    assert (first.imported, again.unchanged) == (rows, rows)
    peak = max(watch.peak - watch.before, watch_again.peak - watch_again.before) / 1e6
    stall = max(watch.stall, watch_again.stall)
    print(f"{rows:,} rows in {took:.1f} s, the same again in {took_again:.1f} s")
    print(f"processor time of this process, generating the file included: {1e6 * watch.processor / rows:.0f} µs a row")
    print(f"memory at most {peak:.0f} MB above {watch.before / 1e6:.0f} MB; longest stall {1000 * stall:.0f} ms")
    print(
        json.dumps(
            {
                "import_rows_per_second": round(rows / took),
                "import_again_rows_per_second": round(rows / took_again),
                "import_processor_us_per_row": round(1e6 * watch.processor / rows, 1),
                "import_memory_mb": round(peak, 1),
                "import_longest_stall_ms": round(1000 * stall, 1),
            }
        )
    )


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
