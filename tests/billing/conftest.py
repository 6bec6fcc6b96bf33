"""A running billing service on real servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from billing.config import Settings
from billing.main import wire
from common.service import Running, started
from common.testing import eventually
from support import Stack

TODAY = datetime(2026, 11, 21, 9, tzinfo=UTC)


@dataclass
class Billing:
    """The service, an operator at its API, and the clock at `TODAY`."""

    stack: Stack
    running: Running
    operator: httpx.AsyncClient
    settings: Settings
    exits: AsyncExitStack

    async def client(self, role: str, tenant: str | None = None) -> httpx.AsyncClient:
        """Somebody else at the API."""
        token = self.stack.token(role, tenant=tenant, subject=f"{role}-{tenant}")
        return await self.exits.enter_async_context(self.running.client(token))

    async def tenant(self, tenant_id: str = "kettle", **changes: str) -> httpx.Response:
        """Create or change a tenant."""
        body = {"name": "Kettle", "time_zone": "Europe/Paris", "currency": "EUR", **changes}
        return await self.operator.put(f"/v1/tenants/{tenant_id}", json=body)

    async def tariff(self, price: str, valid_from: str | None = None, tenant_id: str = "kettle") -> httpx.Response:
        """Set a price."""
        body = {"price_per_closed_case": price, **({} if valid_from is None else {"valid_from": valid_from})}
        return await self.operator.put(f"/v1/tenants/{tenant_id}/tariff", json=body)

    async def get(self, path: str, **parameters: Any) -> Any:
        """What the operator reads."""
        answer = await self.operator.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def charged(self, count: int, **parameters: Any) -> list[dict[str, Any]]:
        """The ledger's entries, once there are `count`."""

        async def enough() -> list[dict[str, Any]] | None:
            items: list[dict[str, Any]] = (await self.get("/v1/charges", limit=1000, **parameters))["items"]
            return items if len(items) >= count else None

        items = await eventually(enough)
        assert items is not None
        assert len(items) == count
        return items


@pytest.fixture
async def billing(stack: Stack) -> AsyncIterator[Billing]:
    """Billing, up and assigned its partitions."""
    settings = stack.settings(Settings, "billing", clock_origin=TODAY, figures_seconds=0.05)
    async with started("billing", settings, wire) as running, AsyncExitStack() as exits:
        operator = await exits.enter_async_context(running.client(stack.token("operator")))
        await running.wiring.consumers[0].assigned.wait()
        yield Billing(stack, running, operator, settings, exits)
