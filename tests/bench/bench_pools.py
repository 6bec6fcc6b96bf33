"""Eight pools on one routing process and on two: `python tests/bench/bench_pools.py [calls per queue]`.

The commands of all calls (offer, accept, hang-up, wrap-up; 100 queues with one agent each in every pool) lie in
`routing-inputs` before the processes start, so that nothing but the owners' work is measured: reading, deciding, saving
to PostgreSQL, publishing to Kafka. Calls a second come from the topic's own times of `call.wrapped_up`, between the
first and the last tenth of the calls. PostgreSQL, broker and processes share the machine, whose number of processors is
printed: with two of them a second process can bring little. The last line is one line of JSON; the calls a second are
also over the records a second of the floor `hop` (one process, before and after): `pools_calls_vs_hop_1` and `_2`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import uvloop
from aiokafka import TopicPartition
from bench_routing import environment
from brokers import broker
from common import envelope
from common.envelope import event_type
from common.ids import new_id
from common.kafka import Kafka
from common.migrations import provision, upgrade
from floors import hop, ratio
from plateau.servers import postgres
from plateau.servers.process import free_port
from plateau.stack import ServiceProcess
from plateau.state import State
from routing.domain import inputs

POOLS, QUEUES, CALLS_PER_QUEUE = 8, 100, 40
HOPS = 20_000
HOUR = 3600


async def pool_names(kafka: Kafka) -> list[str]:
    """Eight that fall on eight partitions, so that two owners get four each."""
    async with kafka.producer() as producer:
        number_of: dict[int, str] = {}
        for number in count():
            name = f"pool-{number}"
            partition = producer._partition(inputs.TOPIC, None, name.encode(), b"", name.encode(), b"")
            number_of.setdefault(partition, name)
            if len(number_of) == 12:
                return [number_of[partition] for partition in (0, 1, 2, 3, 6, 7, 8, 9)]
    raise AssertionError("unreachable")


async def configure(http: httpx.AsyncClient, pools: list[str]) -> None:
    """One agent for each queue: who takes which call is known beforehand."""

    async def put(path: str, body: dict[str, Any]) -> None:
        async with limit:
            (await http.put(path, json=body)).raise_for_status()

    limit = asyncio.Semaphore(16)
    await put("/v1/tenants/bench", {"name": "Benchmark (invented)", "time_zone": "Europe/Paris"})
    skills = [f"skill-{number}" for number in range(QUEUES)]
    for pool in pools:
        await put(f"/v1/pools/{pool}", {"name": pool, "skills": skills})
        limits = {"offer_timeout_seconds": HOUR, "wrap_up_seconds": HOUR}
        queue = {"tenant_id": "bench", "pool_id": pool, **limits}
        await asyncio.gather(
            *(put(f"/v1/queues/{pool}-{n}", {**queue, "required_skills": [skills[n]]}) for n in range(QUEUES)),
            *(
                put(f"/v1/agents/{pool}-{n}", {"pool_id": pool, "name": f"Agent {n}", "skills": {skills[n]: 5}})
                for n in range(QUEUES)
            ),
        )
        facts = [{"type": "agent_state", "agent_id": f"{pool}-{n}", "state": "logged_in"} for n in range(QUEUES)]
        (await http.post("/v1/telephony/facts", json={"facts": facts})).raise_for_status()


async def write(kafka: Kafka, pools: list[str], calls_per_queue: int) -> int:
    """Everything that the PBX and the agents will have said; returns the number of calls."""
    made = 0
    async with kafka.producer() as producer:
        for _ in range(calls_per_queue):
            sent = []
            for pool in pools:
                calls = [f"{uuid4()}.{pool}-{number}" for number in range(QUEUES)]
                made += len(calls)
                for step in ("offer", "accept", "hang_up", "wrap_up"):
                    for number, call_id in enumerate(calls):
                        given = _input(step, pool, call_id, f"{pool}-{number}")
                        headers, value = envelope.encode(
                            given, event_id=new_id(), source="routing", time=given.occurred_at, traceparent=None
                        )
                        sent.append(await producer.send(inputs.TOPIC, value, key=given.key.encode(), headers=headers))
            await asyncio.gather(*sent)
    return made


def _input(step: str, pool: str, call_id: str, name: str) -> inputs.Input:
    said: dict[str, Any] = {"tenant_id": "bench", "pool_id": pool, "occurred_at": datetime.now(UTC), "call_id": call_id}
    match step:
        case "offer":
            return inputs.OfferCall(
                **said, queue_id=name, contact_phone="+33199001234", channel="voice", direction="inbound"
            )
        case "accept":
            return inputs.Accept(**said, agent_id=name)
        case "hang_up":
            return inputs.HangUp(**said)
        case _:
            return inputs.WrapUp(**said, agent_id=name, disposition="ok")


async def measure(
    state: State, kafka: Kafka, url: str, pools: list[str], processes: int, calls_per_queue: int
) -> float:
    """Calls a second from the commands to the last event, with so many processes."""
    calls = await write(kafka, pools, calls_per_queue)
    client = kafka.consumer(None, auto_offset_reset="latest", fetch_max_wait_ms=100)
    await client.start()
    running = [
        ServiceProcess(
            "routing", state, free_port(), environment(state, kafka, url) | {"KAFKA_INSTANCE_ID": f"routing-{number}"}
        )
        for number in range(processes)
    ]
    done: list[float] = []
    try:
        client.assign([TopicPartition("calls", number) for number in range(12)])
        await client.seek_to_end()
        for partition in client.assignment():
            await client.position(partition)
        await asyncio.gather(*(process.start() for process in running))
        while len(done) < calls:
            for records in (await kafka.poll(client)).values():
                done += [record.timestamp / 1000 for record in records if event_type(record.headers) == _WRAPPED_UP]
    finally:
        await client.stop()
        await asyncio.gather(*(process.stop() for process in running))
    done.sort()
    first, last = len(done) // 10, len(done) * 9 // 10
    rate = (last - first) / (done[last] - done[first])
    print(f"{processes} process{'es' if processes > 1 else ''}: {calls:,} calls, {rate:,.0f} calls/s", flush=True)
    return rate


_WRAPPED_UP = "call.wrapped_up.v1"


async def main(directory: Path, calls_per_queue: int) -> None:
    state = State(directory)
    async with postgres(state.directory / "postgres") as server, broker(state.directory / "kafka") as kafka:
        await kafka.create_topics()
        url = await asyncio.to_thread(provision, server.url, "routing", "secret")
        await asyncio.to_thread(upgrade, "routing", url)
        pools = await pool_names(kafka)
        print(f"{os.cpu_count()} processors; {POOLS} pools of {QUEUES} queues; four commands for each call", flush=True)
        process = ServiceProcess("routing", state, free_port(), environment(state, kafka, url))
        await process.start()
        headers = {"authorization": f"Bearer {state.issuer.mint('operator,service')}"}
        async with httpx.AsyncClient(base_url=process.url, headers=headers, timeout=60, trust_env=False) as http:
            await configure(http, pools)
        await process.stop()
        await measure(state, kafka, url, pools, 1, max(1, calls_per_queue // 4))  # to warm up
        async with hop(kafka.bootstrap_servers, server.url, kafka.idle_pause_ms) as floor:
            before = await floor.per_second(HOPS)
        one = await measure(state, kafka, url, pools, 1, calls_per_queue)
        two = await measure(state, kafka, url, pools, 2, calls_per_queue)
        async with hop(kafka.bootstrap_servers, server.url, kafka.idle_pause_ms) as floor:
            after = await floor.per_second(HOPS)
    hops = (before + after) / 2
    figures = {
        "pools_calls_per_second_1": round(one),
        "pools_calls_per_second_2": round(two),
        "pools_calls_vs_hop_1": ratio(one, hops),
        "pools_calls_vs_hop_2": ratio(two, hops),
        "pools_two_to_one": round(two / one, 2),
        "floor_hop_per_second": round(hops),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        uvloop.run(main(Path(name), int(sys.argv[1]) if len(sys.argv) > 1 else CALLS_PER_QUEUE))
