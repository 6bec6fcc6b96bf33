"""A running routing service on real servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
import pytest
from common import envelope
from common.events import Event
from common.service import Running, started
from common.testing import eventually
from routing.config import Settings
from routing.main import wire
from support import Stack, read_all

QUEUE: dict[str, Any] = {"tenant_id": "kettle", "pool_id": "main"}


@dataclass
class Routing:
    """The service and an operator at its API."""

    stack: Stack
    running: Running
    operator: httpx.AsyncClient
    settings: Settings
    exits: AsyncExitStack

    async def client(self, role: str, subject: str = "somebody", tenant: str | None = None) -> httpx.AsyncClient:
        """Somebody else at the API."""
        token = self.stack.token(role, tenant=tenant, subject=subject)
        return await self.exits.enter_async_context(self.running.client(token))

    async def put(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Declare something."""
        answer = await self.operator.put(f"/v1/{path}", json=body)
        assert answer.status_code in (200, 201), answer.text
        declared: dict[str, Any] = answer.json()
        return declared

    async def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a command, which is stored."""
        answer = await self.operator.post(f"/v1/{path}", json=body)
        assert answer.status_code == 202, answer.text
        accepted: dict[str, Any] = answer.json()
        return accepted

    async def floor(self, *agents: str, **queue: Any) -> None:
        """One tenant, one pool, one queue `help`, and these agents."""
        await self.put("tenants/kettle", {"name": "Kettle", "time_zone": "Europe/Paris"})
        await self.put("pools/main", {"name": "Main", "skills": ["french", "billing"]})
        await self.put("queues/help", {**QUEUE, **queue})
        for agent in agents:
            await self.put(f"agents/{agent}", {"name": agent.title(), "pool_id": "main", "skills": {"french": 5}})

    async def outcome(self, command_id: str) -> dict[str, Any]:
        """What became of a command, once it is decided."""

        async def decided() -> dict[str, Any] | None:
            answer = await self.operator.get(f"/v1/commands/{command_id}")
            assert answer.status_code == 200, answer.text
            view: dict[str, Any] = answer.json()
            return view if view["status"] != "pending" else None

        found = await eventually(decided)
        assert found is not None
        return found

    async def call_is(self, call_id: str, state: str) -> dict[str, Any]:
        """The call, once it is in this state."""

        async def reached() -> dict[str, Any] | None:
            answer = await self.operator.get(f"/v1/calls/{call_id}")
            return answer.json() if answer.status_code == 200 and answer.json()["state"] == state else None

        found = await eventually(reached)
        assert found is not None
        return found

    async def agent_is(self, agent_id: str, state: str) -> dict[str, Any]:
        """The agent, once they are in this state."""

        async def reached() -> dict[str, Any] | None:
            view = (await self.operator.get(f"/v1/agents/{agent_id}")).json()
            return view if view["state"] == state else None

        found = await eventually(reached)
        assert found is not None
        return found

    async def published(self, topic: str, count: int) -> list[Event]:
        """The topic's events, once there are `count`; per key in their order."""

        async def enough() -> list[Event] | None:
            records = await read_all(self.stack.kafka, topic)
            events = [envelope.decode(record.headers, record.value).event for record in records]
            return events if len(events) >= count else None

        found = await eventually(enough)
        assert found is not None
        assert len(found) == count, [msgspec.to_builtins(event) for event in found]
        return found


@pytest.fixture
async def routing(stack: Stack) -> AsyncIterator[Routing]:
    """Routing, up and assigned its partitions."""
    settings = stack.settings(Settings, "routing")
    async with started("routing", settings, wire) as running, AsyncExitStack() as exits:
        operator = await exits.enter_async_context(running.client(stack.token("operator")))
        await running.wiring.consumers[0].assigned.wait()
        yield Routing(stack, running, operator, settings, exits)
