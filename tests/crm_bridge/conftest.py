"""A running crm-bridge on real servers, and a receiver of webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from common.database import Database
from common.service import Running, started
from crm_bridge.config import Settings
from crm_bridge.main import wire
from cryptography.fernet import Fernet
from pydantic import SecretStr
from support import Stack

SECRET_KEY = Fernet.generate_key().decode()


@dataclass(frozen=True)
class Received:
    """One request to the receiver."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """An HTTP server of its own that answers with `status` and keeps what came; `statuses` by message id go before."""

    status: int = 204
    statuses: dict[str, int] = field(default_factory=dict)
    answer: bytes = b""
    headers: str = ""
    hang: bool = False
    received: list[Received] = field(default_factory=list)
    port: int = 0

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().strip().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.received.append(Received(first.split()[1], headers, body))
                if self.hang:
                    await reader.read()
                    break
                code = self.statuses.get(headers.get("webhook-id", ""), self.status)
                status = f"HTTP/1.1 {code} -\r\ncontent-length: {len(self.answer)}\r\n{self.headers}\r\n"
                writer.write(status.encode() + self.answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


@pytest.fixture
async def database(service_database: Callable[[str], Awaitable[Database]]) -> Database:
    """A fresh schema, without a service on it."""
    return await service_database("crm_bridge")


@dataclass
class Bridge:
    """The service, and an operator at its API."""

    stack: Stack
    running: Running
    operator: httpx.AsyncClient
    exits: AsyncExitStack

    async def client(self, role: str, tenant: str | None = None) -> httpx.AsyncClient:
        """Somebody else at the API."""
        token = self.stack.token(role, tenant=tenant, subject=f"{role}-{tenant}")
        return await self.exits.enter_async_context(self.running.client(token))

    async def tenant(self, tenant_id: str = "kettle", **changes: Any) -> httpx.Response:
        """Create or change a tenant."""
        body = {"name": tenant_id.title(), "time_zone": "Europe/Paris", **changes}
        return await self.operator.put(f"/v1/tenants/{tenant_id}", json=body)

    async def contact(self, phone: str = "+33639980001", tenant: str = "kettle", **more: Any) -> dict[str, Any]:
        """A new contact."""
        answer = await self.operator.post("/v1/contacts", json={"tenant_id": tenant, "phone": phone, **more})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def get(self, path: str, **parameters: Any) -> Any:
        """What the operator reads."""
        answer = await self.operator.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
async def bridge(stack: Stack) -> AsyncIterator[Bridge]:
    """crm-bridge, up and assigned its partitions; it may send webhooks to this machine."""
    settings = stack.settings(
        Settings, "crm_bridge", webhook_secret_key=SecretStr(SECRET_KEY), webhook_allow_private=True
    )
    async with started("crm-bridge", settings, wire) as running, AsyncExitStack() as exits:
        operator = await exits.enter_async_context(running.client(stack.token("operator")))
        await running.wiring.consumers[0].assigned.wait()
        yield Bridge(stack, running, operator, exits)
