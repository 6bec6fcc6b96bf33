"""Several replicas of routing on one database: one writer at a time, nothing lost or twice when they come and go."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from common import envelope
from common.events import CallAssigned, CallEvent, CallWrappedUp
from common.migrations import check
from common.service import started
from common.testing import eventually
from routing.main import wire
from support import Stack, read_all

from .conftest import Routing

POOLS = 6
CALLS = 60


async def test_the_migrated_schema_is_the_declared_one(stack: Stack) -> None:
    await asyncio.to_thread(check, "routing", stack.database_url("routing"))


@pytest.mark.kafka  # the embedded broker strands a group when a member leaves while another commits
async def test_replicas_join_and_leave_under_load(routing: Routing) -> None:
    await routing.put("tenants/kettle", {"name": "Kettle", "time_zone": "Europe/Paris"})
    for number in range(POOLS):
        await routing.put(f"pools/pool-{number}", {"name": "Pool"})
        await routing.put(f"queues/queue-{number}", {"tenant_id": "kettle", "pool_id": f"pool-{number}"})
        await routing.put(f"agents/agent-{number}", {"name": "Agent", "pool_id": f"pool-{number}"})
        await routing.post(f"agents/agent-{number}/log-in")

    async def handle_calls() -> None:
        """An agent each: whatever rings is accepted, ended and wrapped up; until every call is over."""
        for number in range(CALLS):
            await routing.post("calls", {"queue_id": f"queue-{number % POOLS}"})
            await act()

    async def act() -> int:
        facts: list[dict[str, Any]] = []
        over = 0
        for view in (await routing.operator.get("/v1/calls", params={"limit": 1000})).json()["items"]:
            about = {"call_id": view["call_id"], "agent_id": view["agent_id"]}
            match view["state"]:
                case "offered":
                    facts.append({"type": "accepted", **about})
                case "talking":
                    facts.append({"type": "hung_up", "call_id": view["call_id"]})
                case "wrapping_up":
                    facts.append({"type": "wrapped_up", "disposition": "done", **about})
                case "wrapped_up":
                    over += 1
        if facts:
            await routing.post("telephony/facts", {"facts": facts})
        return over

    async def all_over() -> bool:
        return await act() == CALLS

    load = asyncio.create_task(handle_calls())
    for _ in range(2):
        async with started("routing", routing.settings, wire) as second:
            await eventually(lambda: asyncio.sleep(0, second.wiring.consumers[0].assigned.is_set()))
            await asyncio.wait({load}, timeout=2)
    await load
    await eventually(all_over)

    async def published() -> list[CallEvent] | None:
        records = await read_all(routing.stack.kafka, "calls")
        events = [envelope.decode(record.headers, record.value).event for record in records]
        found = [event for event in events if isinstance(event, CallEvent)]
        return found if sum(isinstance(event, CallWrappedUp) for event in found) == CALLS else None

    events = await eventually(published)
    assert events is not None
    histories: dict[str, list[CallEvent]] = {}
    for event in events:
        histories.setdefault(event.call_id, []).append(event)
    assert len(histories) == CALLS
    busy: dict[str, list[tuple[Any, Any]]] = {}
    for history in histories.values():
        assert [event.sequence for event in history] == [1, 2, 3, 4, 5, 6]
        assigned, done = history[2], history[5]
        assert isinstance(assigned, CallAssigned)
        assert isinstance(done, CallWrappedUp)
        busy.setdefault(done.agent_id, []).append((assigned.assigned_at, done.wrapped_up_at))
    for spans in busy.values():
        spans.sort()
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
    async with routing.running.runtime.database.transaction() as session:
        assert await session.fetchval("SELECT max(epoch) FROM writers") >= 3, "the partitions moved"
