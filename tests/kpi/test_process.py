"""KPI as the process that is deployed: what Prometheus finds on its first look."""

from __future__ import annotations

import os
import signal
import socket
import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from common.events import QueueDeclared
from common.testing import eventually
from kpi.config import Settings
from support import Stack

from .stories import NINE, produce

ZEROS = {
    "plateau_calls_waiting",
    "plateau_calls_talking",
    "plateau_longest_wait_seconds",
    "plateau_calls_offered_total",
    "plateau_calls_answered_total",
    "plateau_calls_abandoned_total",
}
OF_TENANTS = {"plateau_cases_opened_total", "plateau_cases_closed_total"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def process(stack: Stack, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A KPI process, ready, with a client of it; stopped at the end."""
    port = free_port()
    environment = {
        **os.environ,
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "KAFKA_BOOTSTRAP_SERVERS": stack.bootstrap_servers,
        "JWKS_URL": settings.jwks_url,
        "JWT_ISSUER": settings.jwt_issuer,
        "HTTP_PORT": str(port),
    }
    started = await create_subprocess_exec(
        sys.executable, "-m", "kpi.main", env=environment, stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:

            async def ready() -> bool:
                try:
                    return (await client.get("/health/ready")).status_code == 200
                except httpx.TransportError:
                    return False

            await eventually(ready, timeout=60)
            yield client
    finally:
        started.send_signal(signal.SIGTERM)
        assert await started.wait() == 0


async def nought(client: httpx.AsyncClient) -> None:
    """Every series of the queue and its tenant is there, with 0."""

    async def there() -> bool:
        lines = (await client.get("/metrics")).text.splitlines()
        of_queue = [line for line in lines if 'queue="kettle-quiet"' in line and 'tenant="kettle"' in line]
        of_tenant = [line for line in lines if 'tenant="kettle"' in line and "queue=" not in line]
        assert all(line.endswith(" 0.0") for line in (*of_queue, *of_tenant)), lines
        names = ({line.partition("{")[0] for line in lines} for lines in (of_queue, of_tenant))
        return [*names] == [ZEROS, OF_TENANTS]

    await eventually(there, timeout=60)


async def test_a_queue_without_a_call_has_its_series_from_the_start_and_after_a_restart(stack: Stack) -> None:
    declared = QueueDeclared(
        tenant_id="kettle", queue_id="kettle-quiet", pool_id="pool-1", channel="voice", occurred_at=NINE
    )
    settings = stack.settings(Settings, "kpi")
    async with process(stack, settings) as client:
        await produce(stack.kafka, [declared])
        await nought(client)
    async with process(stack, settings) as client:
        await nought(client)
