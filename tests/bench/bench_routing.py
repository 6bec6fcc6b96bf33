"""From a call offered to an agent assigned: through HTTP, Kafka and PostgreSQL, at 50, 200 and 500 calls a second.

    python tests/bench/bench_routing.py [seconds per rate [calls a second …]]

One routing process (API, pool owner, relay), one pool of 2,000 agents and 200 queues, a local broker and PostgreSQL
with its default durability; the load comes from this process, on the same machine. Calls arrive evenly, are accepted
100 ms after they ring, and keep the agents about half busy. The PBX has one request under way at a time, with all
facts that have come up since the one before. The broker is Apache Kafka where it can run, else the local stack's;
the first 20 s, in which a Java program is slow, are not counted.

The time is the one that a PBX sees: from the moment at which it has a call to offer (its own batching included) to the
moment at which it reads `call.assigned` from the topic. Beside it the floor `hop` at the same rate, on the same broker
and PostgreSQL, in turns: half of the floor's seconds, half of ours, and so once more. For each rate one line of JSON:
`assign_p50_ms_200`, `assign_p99_ms_200`, `assign_p99_vs_floor_200` (goal: at most 4) and so on.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import uvloop
from aiokafka import TopicPartition
from brokers import broker
from common.envelope import event_type
from common.kafka import Kafka
from common.migrations import provision, upgrade
from floors import Hop, hop, milliseconds, quantile, ratio
from plateau.servers import postgres
from plateau.stack import ServiceProcess
from plateau.state import State

RATES = (50, 200, 500)
TURNS, FLOOR_PART = 2, 0.5
"""How often floor and measurement take turns, and the floor's part of the seconds of a rate."""
WARM_UP_SECONDS = 20
QUEUES, AGENTS, SKILLS = 200, 2000, 20
RING_SECONDS = 0.1


@dataclass
class Load:
    """One rate's run: what was offered when, and how long each took to be assigned."""

    http: httpx.AsyncClient
    facts: list[dict[str, Any]] = field(default_factory=list)
    offered: dict[str, float] = field(default_factory=dict)
    waits: list[float] = field(default_factory=list)
    later: list[tuple[float, int, dict[str, Any]]] = field(default_factory=list)
    talk_seconds: float = 1.0
    _planned: int = 0

    async def offer(self, rate: float, seconds: float) -> None:
        """Offer calls evenly, and pass on what agents do when it is due. Raises if a call is never assigned."""
        began, made = time.perf_counter(), 0
        while True:
            now = time.perf_counter()
            while made < (now - began) * rate and now - began < seconds:
                queue = f"queue-{made % QUEUES}"
                call_id = f"{uuid4()}.{queue}"
                self.offered[call_id] = began + made / rate
                self.facts.append(
                    {"type": "offered", "queue_id": queue, "call_id": call_id, "contact_phone": "+33199001234"}
                )
                made += 1
            while self.later and self.later[0][0] <= now:
                self.facts.append(heapq.heappop(self.later)[2])
            if self.facts:
                facts, self.facts = self.facts[:1000], self.facts[1000:]
                (await self.http.post("/v1/telephony/facts", json={"facts": facts})).raise_for_status()
            elif now - began > seconds and not self.later and not self.offered:
                return
            elif now - began > seconds + 30:
                raise RuntimeError(f"{len(self.offered)} calls were not assigned within 30 s")
            else:
                await asyncio.sleep(0.001)

    def assigned(self, call_id: str, agent_id: str) -> None:
        """An agent was found: note the time, and plan what the agent does."""
        now = time.perf_counter()
        since = self.offered.pop(call_id, None)
        if since is not None:
            self.waits.append(now - since)
            accept = {"type": "accepted", "call_id": call_id, "agent_id": agent_id}
            self._plan(RING_SECONDS, accept)

    def answered(self, call_id: str, agent_id: str) -> None:
        """They talk for a while."""
        self._plan(self.talk_seconds, {"type": "hung_up", "call_id": call_id})
        wrapped_up = {"type": "wrapped_up", "call_id": call_id, "agent_id": agent_id, "disposition": "ok"}
        self._plan(self.talk_seconds, wrapped_up)

    def _plan(self, seconds: float, fact: dict[str, Any]) -> None:
        self._planned += 1
        heapq.heappush(self.later, (time.perf_counter() + seconds, self._planned, fact))


async def listen(kafka: Kafka, current: list[Load], ready: asyncio.Event) -> None:
    """Read the topic `calls` as a PBX's adapter would."""
    client = kafka.consumer(None, auto_offset_reset="latest", fetch_max_wait_ms=100)
    await client.start()
    try:
        partitions = [TopicPartition("calls", number) for number in range(12)]
        client.assign(partitions)
        await client.seek_to_end()
        ready.set()
        while True:
            for records in (await kafka.poll(client)).values():
                for record in records:
                    kind = event_type(record.headers)
                    if kind in ("call.assigned.v1", "call.answered.v1") and current:
                        event = msgspec.json.decode(record.value)
                        act = current[0].assigned if kind == "call.assigned.v1" else current[0].answered
                        act(event["call_id"], event["agent_id"])
    finally:
        await client.stop()


async def configure(http: httpx.AsyncClient) -> None:
    """200 queues, each with one of 20 skills; 2,000 agents with three skills each."""
    tenant = {"name": "Benchmark (invented)", "time_zone": "Europe/Paris"}
    (await http.put("/v1/tenants/bench", json=tenant)).raise_for_status()
    skills = [f"skill-{n}" for n in range(SKILLS)]
    (await http.put("/v1/pools/main", json={"name": "Main", "skills": skills})).raise_for_status()
    limit = asyncio.Semaphore(16)

    async def put(path: str, body: dict[str, Any]) -> None:
        async with limit:
            (await http.put(path, json=body)).raise_for_status()

    queue = {"tenant_id": "bench", "pool_id": "main", "wrap_up_seconds": 60}
    agent = {"pool_id": "main"}
    await asyncio.gather(
        *(put(f"/v1/queues/queue-{n}", {**queue, "required_skills": [skills[n % SKILLS]]}) for n in range(QUEUES)),
        *(
            put(
                f"/v1/agents/agent-{n}",
                {**agent, "name": f"Agent {n}", "skills": {skills[(n + k * 7) % SKILLS]: 5 for k in range(3)}},
            )
            for n in range(AGENTS)
        ),
    )
    logged_in = [{"type": "agent_state", "agent_id": f"agent-{n}", "state": "logged_in"} for n in range(AGENTS)]
    for start in range(0, AGENTS, 1000):
        answer = await http.post("/v1/telephony/facts", json={"facts": logged_in[start : start + 1000]})
        answer.raise_for_status()
    while True:
        agents = (await http.get("/v1/agents", params={"limit": 1000})).json()["items"]
        if all(agent["state"] == "available" for agent in agents):
            return
        await asyncio.sleep(0.2)


async def measure(http: httpx.AsyncClient, current: list[Load], rate: int, seconds: float) -> list[float]:
    """Seconds from each call offered to an agent assigned."""
    talk = min(0.5 * AGENTS / rate - RING_SECONDS, 4.0)
    current[:] = [load := Load(http, talk_seconds=talk)]
    await load.offer(rate, seconds)
    return load.waits


async def compare(
    http: httpx.AsyncClient, current: list[Load], floor: Hop, rate: int, seconds: float
) -> dict[str, float]:
    """The figures of one rate."""
    ours, floors = [], []
    for _ in range(TURNS):
        floors += await floor.latencies(rate, seconds * FLOOR_PART / TURNS)
        ours += await measure(http, current, rate, seconds / TURNS)
    ours.sort()
    floors.sort()
    figures: dict[str, float] = {}
    for name, part in (("p50", 0.5), ("p99", 0.99)):
        mine, least = quantile(ours, part), quantile(floors, part)
        figures[f"assign_{name}_ms_{rate}"] = round(mine * 1000, 1)
        figures[f"assign_{name}_vs_floor_{rate}"] = ratio(mine, least)
        figures[f"floor_hop_{name}_ms_{rate}"] = milliseconds(least)
    print(f"{rate:4} calls/s, {len(ours):,} calls:", flush=True)
    return figures


def environment(state: State, kafka: Kafka, url: str) -> dict[str, str]:
    """What a routing process has to know of its servers."""
    return {
        "DATABASE_URL": url,
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "JWKS_URL": state.issuer.jwks_url,
        "JWT_ISSUER": state.issuer.issuer,
        "JWT_AUDIENCE": state.issuer.audience,
        "KAFKA_IDLE_PAUSE_MS": str(kafka.idle_pause_ms),
    }


async def main(directory: Path, seconds: float, rates: Sequence[int]) -> None:
    state = State(directory)
    async with postgres(state.directory / "postgres") as server, broker(state.directory / "kafka") as kafka:
        await kafka.create_topics()
        url = await asyncio.to_thread(provision, server.url, "routing", "secret")
        await asyncio.to_thread(upgrade, "routing", url)
        process = ServiceProcess("routing", state, 8301, environment(state, kafka, url))
        await process.start()
        current: list[Load] = []
        ready = asyncio.Event()
        listening = asyncio.create_task(listen(kafka, current, ready))
        headers = {"authorization": f"Bearer {state.issuer.mint('operator,service')}"}
        try:
            async with (
                httpx.AsyncClient(base_url=process.url, headers=headers, timeout=120, trust_env=False) as http,
                hop(kafka.bootstrap_servers, server.url, kafka.idle_pause_ms) as floor,
            ):
                await configure(http)
                await ready.wait()
                print(f"{AGENTS:,} agents, {QUEUES} queues, one routing process; first to warm up", flush=True)
                await measure(http, current, 200, WARM_UP_SECONDS)
                for rate in rates:
                    print(json.dumps(await compare(http, current, floor, rate, seconds)), flush=True)
        finally:
            listening.cancel()
            await process.stop()


if __name__ == "__main__":
    given = [float(argument) for argument in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as name:
        uvloop.run(main(Path(name), given[0] if given else 16.0, [int(rate) for rate in given[1:]] or RATES))
