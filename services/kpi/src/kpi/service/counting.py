"""Counts a batch of events: everything of it in one transaction, with a few statements."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from common.database import Session
from common.events import Event

from kpi.domain.counts import WHOLE_TENANT
from kpi.domain.increments import Increments
from kpi.domain.live import FINISHED_KEPT, FORGOTTEN_AFTER, MINUTES_KEPT
from kpi.service import metrics
from kpi.store import live, series


async def count(session: Session, events: Iterable[Event], now: datetime) -> None:
    """Add the events to every row that they change.

    Each event must come once (the inbox sees to that), in any order. Raises InvalidEvent for one that contradicts
    itself; nothing is written then. Statements and keys go in one order, so that replicas do not deadlock.
    """
    increments = Increments()
    for event in events:
        increments.add(event)
    intervals = increments.intervals()
    seen = {(queue, tenant) for tenant, queue, _ in intervals if queue != WHOLE_TENANT}
    await live.know_queues(session, increments.queues | seen)
    await series.add(session, series.CALLS, intervals)
    recent = {key: counts for key, counts in increments.calls.items() if key[2] > now - MINUTES_KEPT}
    await series.add(session, series.MINUTES, recent)
    await series.add_waits(session, increments.waits)
    await series.add(session, series.AGENT_TIME, increments.agent_time)
    await series.add(session, series.CASES, increments.cases)
    await series.add(session, series.CHARGES, increments.charges)
    await series.add(session, series.DIALING, increments.dialing)
    remembered = [call for call in increments.live_calls.values() if call.occurred_at > now - FORGOTTEN_AFTER]
    await live.put_calls(session, remembered)
    await live.put_agents(session, list(increments.live_agents.values()))
    session.after_commit(lambda: metrics.count(increments))


async def prune(session: Session, now: datetime) -> None:
    """Forget what the live view no longer needs: finished calls and old minutes."""
    await live.prune_calls(session, now - FINISHED_KEPT)
    await series.prune_minutes(session, now - MINUTES_KEPT)
