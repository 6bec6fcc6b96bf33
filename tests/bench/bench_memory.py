"""Memory of each service at rest and after 100,000 calls, and how fast all five together take them.

    python tests/bench/bench_memory.py [calls]

The whole local stack, fed as fast as it takes calls: at most 400 are under way at once, each is offered, accepted, hung
up and wrapped up with a disposition that closes its case, so that billing charges it. Figures (JSON):
`memory_rest_mib_<service>`, `memory_after_mib_<service>`, `calls_per_second_all_services` and, over the records a
second of the floor `hop` before and after it, `calls_vs_hop_all_services`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import uvloop
from aiokafka import TopicPartition
from brokers import broker
from common.envelope import event_type
from common.kafka import Kafka
from floors import hop, ratio
from plateau.client import Client
from plateau.servers import PostgresServer
from plateau.stack import Stack, running_stack
from plateau.state import State

AGENTS, UNDER_WAY, TICK_SECONDS = 200, 400, 0.01
HOPS = 20_000
ANSWER_SECONDS = 300
"""How long an answer is waited for: recounting every charge takes long on a slow machine, and is asked for once."""


def resident(pid: int) -> float:
    """MiB of a process that are in memory (VmRSS)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} is gone")


def measure(stack: Stack) -> dict[str, float]:
    return {name: round(resident(process.pid), 1) for name, process in stack.processes.items()}


async def configure(client: Client) -> None:
    tenant: dict[str, Any] = {"name": "Benchmark (invented)", "time_zone": "Europe/Paris"}
    more: dict[str, dict[str, Any]] = {
        "crm-bridge": {"closing_dispositions": ["solved"]},
        "billing": {"currency": "EUR"},
    }
    for service in client.urls:
        await client.put(service, "/v1/tenants/bench", {**tenant, **more.get(service, {})})
    await client.put("billing", "/v1/tenants/bench/tariff", {"price_per_closed_case": "4.20"})
    await client.put("routing", "/v1/pools/main", {"name": "Main", "skills": ["all"]})
    queue = {"tenant_id": "bench", "pool_id": "main", "required_skills": ["all"], "wrap_up_seconds": 60}
    for number in range(10):
        await client.put("routing", f"/v1/queues/queue-{number}", queue)
    for number in range(AGENTS):
        agent = {"name": f"Agent {number}", "pool_id": "main", "skills": {"all": 5}}
        await client.put("routing", f"/v1/agents/agent-{number}", agent)
    logged_in = [{"type": "agent_state", "agent_id": f"agent-{n}", "state": "logged_in"} for n in range(AGENTS)]
    await client.post("routing", "/v1/telephony/facts", {"facts": logged_in})


async def drive(client: Client, kafka: Kafka, calls: int) -> float:
    """Play the calls; returns calls a second."""
    facts: list[dict[str, Any]] = []
    offered = done = 0
    reader = kafka.consumer(None, auto_offset_reset="latest", fetch_max_wait_ms=100)
    await reader.start()
    reader.assign([TopicPartition("calls", number) for number in range(12)])
    await reader.seek_to_end()

    async def listen() -> None:
        nonlocal done
        while True:
            for records in (await kafka.poll(reader)).values():
                for record in records:
                    kind = event_type(record.headers)
                    if kind == "call.wrapped_up.v1":
                        done += 1
                    elif kind in ("call.assigned.v1", "call.answered.v1"):
                        event = json.loads(record.value)
                        about = {"call_id": event["call_id"], "agent_id": event["agent_id"]}
                        if kind == "call.assigned.v1":
                            facts.append({"type": "accepted", **about})
                        else:
                            facts.append({"type": "hung_up", "call_id": event["call_id"]})
                            facts.append({"type": "wrapped_up", **about, "disposition": "solved"})

    listening = asyncio.create_task(listen())
    began = told = time.perf_counter()
    try:
        while done < calls:
            while offered < calls and offered - done < UNDER_WAY:
                queue = f"queue-{offered % 10}"
                phone = f"+3363998{offered % 10_000:04}"
                call_id = f"{uuid4()}.{queue}"
                facts.append({"type": "offered", "queue_id": queue, "call_id": call_id, "contact_phone": phone})
                offered += 1
            batch, facts[:] = facts[:1000], facts[1000:]
            if batch:
                await client.post("routing", "/v1/telephony/facts", {"facts": batch})
            if time.perf_counter() - told > 15:
                told = time.perf_counter()
                print(f"  {done:7,} of {calls:,} calls, {done / (told - began):.0f}/s", flush=True)
            await asyncio.sleep(TICK_SECONDS)
        return calls / (time.perf_counter() - began)
    finally:
        listening.cancel()
        await reader.stop()


async def caught_up(client: Client) -> None:
    """Billing has charged whatever was closed."""
    while True:
        report = await client.post("billing", "/v1/replay-checks")
        if report["equal"] and report["charges_found"] > 0:
            return
        await asyncio.sleep(2)


async def main(calls: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        state = State(Path(directory))
        async with AsyncExitStack() as running:
            kafka = await running.enter_async_context(broker(state.directory / "broker"))
            os.environ["KAFKA_BOOTSTRAP_SERVERS"] = kafka.bootstrap_servers
            os.environ["KAFKA_IDLE_PAUSE_MS"] = str(kafka.idle_pause_ms)
            stack = await running.enter_async_context(running_stack(state, speed=1.0))
            client = await running.enter_async_context(Client(stack.urls, stack.token(), patience=120))
            client.http.timeout = httpx.Timeout(ANSWER_SECONDS)
            await configure(client)
            await asyncio.sleep(3)
            rest = measure(stack)
            tell({f"memory_rest_mib_{service.replace('-', '_')}": mib for service, mib in rest.items()})
            ours = [server.url for server in stack.servers if isinstance(server, PostgresServer)]
            admin_url = ours[0] if ours else os.environ["DATABASE_URL"]
            async with hop(kafka.bootstrap_servers, admin_url, kafka.idle_pause_ms) as floor:
                floors = [await floor.per_second(HOPS)]
                rate = await drive(client, kafka, calls)
                floors.append(await floor.per_second(HOPS))
            hops = sum(floors) / len(floors)
            tell(
                {
                    "calls_per_second_all_services": round(rate, 1),
                    "calls_vs_hop_all_services": ratio(rate, hops),
                    "floor_hop_per_second": round(hops),
                }
            )
            await caught_up(client)
            after = measure(stack)
    print(f"all five services: {rate:.0f} calls/s from ring to charge, {calls:,} calls")
    for service, before in rest.items():
        print(f"{service:12} {before:7.1f} MiB at rest  {after[service]:7.1f} MiB after")
    tell({f"memory_after_mib_{service.replace('-', '_')}": mib for service, mib in after.items()})


def tell(figures: dict[str, float]) -> None:
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
