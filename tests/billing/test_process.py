"""Billing as the process that is deployed: it starts, measures, and leaves on SIGTERM."""

from __future__ import annotations

import os
import signal
import socket
import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import DEVNULL

import httpx
from billing.config import Settings
from common.testing import eventually
from support import Stack

from .events import closed, publish


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_the_process_serves_measures_and_stops(stack: Stack) -> None:
    settings = stack.settings(Settings, "billing")
    environment = {
        **os.environ,
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "KAFKA_BOOTSTRAP_SERVERS": stack.bootstrap_servers,
        "JWKS_URL": settings.jwks_url,
        "JWT_ISSUER": settings.jwt_issuer,
        "HTTP_PORT": str(free_port()),
        "FIGURES_SECONDS": "0.1",
    }
    process = await create_subprocess_exec(
        sys.executable, "-m", "billing.main", env=environment, stdout=DEVNULL, stderr=DEVNULL
    )
    headers = {"authorization": f"Bearer {stack.token()}"}
    base_url = f"http://127.0.0.1:{environment['HTTP_PORT']}"
    try:
        async with httpx.AsyncClient(base_url=base_url, headers=headers, trust_env=False) as operator:

            async def ready() -> bool:
                try:
                    return (await operator.get("/health/ready")).status_code == 200
                except httpx.TransportError:
                    return False

            await eventually(ready)
            body = {"name": "Kettle", "time_zone": "Europe/Paris", "currency": "EUR"}
            assert (await operator.put("/v1/tenants/kettle", json=body)).status_code == 201
            tariff = {"price_per_closed_case": "4.20", "valid_from": "2026-01-01"}
            assert (await operator.put("/v1/tenants/kettle/tariff", json=tariff)).status_code == 201
            await publish(stack.kafka, [closed("c-1"), closed("c-2", tenant="lantern")])

            async def measured() -> bool:
                lines = (await operator.get("/metrics")).text.splitlines()
                unrated = [line for line in lines if line.startswith("plateau_billing_unrated_closings{")]
                entries = [line for line in lines if line.startswith("plateau_billing_entries_total{")]
                return any('tenant="lantern"' in line and line.endswith(" 1.0") for line in unrated) and any(
                    'tenant="kettle"' in line and 'kind="charge"' in line and line.endswith(" 1.0") for line in entries
                )

            await eventually(measured)
    finally:
        process.send_signal(signal.SIGTERM)
        code = await process.wait()
    assert code == 0
