"""KPI's figures beside a recount of the event log, interval by interval."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from common.events.routing import CallEvent
from kpi.domain.recount import Difference, Recount, compare, recount

from plateau.checker.log import Log, read
from plateau.checker.report import Report, report_of
from plateau.client import Client

POLL_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a floor at rest came to. `rows` are KPI's, `differences` what they should not be."""

    log: Log
    report: Report
    recount: Recount
    rows: list[dict[str, Any]]
    differences: list[Difference]

    @property
    def kpi_equals_recount(self) -> bool:
        return not self.differences


def recount_of(log: Log) -> Recount:
    """The recount of a log that was read."""
    return recount(((one.source, one.id), one.event) for one in log.events if isinstance(one.event, CallEvent))


async def interval_rows(client: Client, counted: Recount) -> list[dict[str, Any]]:
    """KPI's quarters of an hour over the time that the recount covers, of every tenant and queue."""
    if not counted.intervals:
        return []
    starts = [start for _, _, start in counted.intervals]
    window = {"from": min(starts).isoformat(), "to": (max(starts) + timedelta(minutes=15)).isoformat()}
    return [row async for row in client.pages("kpi", "/v1/intervals", step="15m", **window)]


async def outcome(bootstrap_servers: str, client: Client) -> Outcome:
    """Read the log and KPI as they are now; the floor should be at rest."""
    log = await read(bootstrap_servers)
    counted = recount_of(log)
    rows = await interval_rows(client, counted)
    return Outcome(log, report_of(log, complete=True), counted, rows, compare(counted, rows))


async def settled(
    bootstrap_servers: str,
    client: Client,
    *,
    timeout: float = 60.0,
    meanwhile: Callable[[], Awaitable[None]] | None = None,
) -> Outcome:
    """The outcome once everything has come through: nothing is missing any more, or `timeout` real seconds are over.

    What is lost for good is still missing then, and what is wrong stays wrong: waiting hides neither.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + timeout
    while True:
        found = await outcome(bootstrap_servers, client)
        if (not found.report.violations and found.kpi_equals_recount) or loop.time() > until:
            return found
        if meanwhile is not None:
            await meanwhile()
        await asyncio.sleep(POLL_SECONDS)
