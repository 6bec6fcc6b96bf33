"""A running KPI service on real servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from common.clock import ManualClock
from common.events import Event
from common.service import Running, Runtime, Wiring, started
from common.testing import eventually
from kpi.config import Settings
from kpi.main import wire
from support import Stack

from .stories import NINE, produce

NOW = NINE + timedelta(minutes=10)


@dataclass
class Kpi:
    """The service, an operator at its API, and a clock that stands at ten past nine."""

    stack: Stack
    running: Running
    clock: ManualClock
    operator: httpx.AsyncClient
    exits: AsyncExitStack

    async def client(self, role: str, tenant: str | None = None) -> httpx.AsyncClient:
        """Somebody else at the API."""
        token = self.stack.token(role, tenant=tenant, subject=f"{role}-{tenant}")
        return await self.exits.enter_async_context(self.running.client(token))

    async def tenant(self, tenant_id: str = "kettle", **changes: str) -> httpx.Response:
        """Create or change a tenant."""
        body = {"name": tenant_id.title(), "time_zone": "Europe/Paris", **changes}
        return await self.operator.put(f"/v1/tenants/{tenant_id}", json=body)

    async def get(self, path: str, **parameters: Any) -> Any:
        """What the operator reads."""
        answer = await self.operator.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def rows(self, path: str = "/v1/intervals", **parameters: Any) -> list[dict[str, Any]]:
        """Every row, over all pages."""
        items: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = await self.get(path, **parameters, **cursor)
            items += page["items"]
            if page["next_cursor"] is None:
                return items
            cursor = {"cursor": page["next_cursor"]}

    async def handled(self, count: int) -> None:
        """Wait until so many different events have been counted."""

        async def enough() -> bool:
            async with self.running.runtime.database.transaction() as session:
                return bool(await session.fetchval("SELECT count(*) FROM inbox") == count)

        await eventually(enough)

    async def count(self, events: Sequence[Event], *, known: int = 0) -> None:
        """Publish the events, and wait until they are counted beside the `known` ones."""
        await produce(self.stack.kafka, events)
        await self.handled(known + len(events))


@pytest.fixture
async def kpi(stack: Stack) -> AsyncIterator[Kpi]:
    """KPI, up and assigned its partitions."""
    clock = ManualClock(NOW)

    async def wire_with_clock(runtime: Runtime) -> Wiring:
        runtime.clock = clock
        return await wire(runtime)

    settings = stack.settings(Settings, "kpi")
    async with started("kpi", settings, wire_with_clock) as running, AsyncExitStack() as exits:
        operator = await exits.enter_async_context(running.client(stack.token("operator")))
        await running.wiring.consumers[0].assigned.wait()
        yield Kpi(stack, running, clock, operator, exits)
