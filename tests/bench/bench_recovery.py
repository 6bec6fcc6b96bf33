"""How long callers of a killed pool owner wait: from SIGKILL to the next assignment in its pools.

    python tests/bench/bench_recovery.py [kills]

Two routing processes share eight pools; 200 calls a second come in through the one that stays. The other is killed with
SIGKILL again and again, and started anew at once, as a supervisor (Kubernetes, the local stack) does. Counted is, for
each kill, the longest time that any pool had no assignment after it. Twice: with Kafka's default membership, where the
group waits for the killed member's session to time out (10 s here, Kafka's own default is 45 s), and with a lasting
name per replica (KAFKA_INSTANCE_ID). Fails if any call is not assigned in the end. The last line is JSON:
`recovery_p50_seconds` and `recovery_p95_seconds` with names, `recovery_unnamed_p50_seconds` and
`recovery_unnamed_p95_seconds` without; each also over the median of the floor `hop`'s recoveries, whose second process
is killed in the same way in turns with ours (`recovery_p50_vs_hop` and so on).
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import uvloop
from bench_routing import Load, environment, listen
from brokers import broker
from common.kafka import Kafka
from common.migrations import provision, upgrade
from floors import Hop, hop, median, quantile, ratio
from plateau.servers import postgres
from plateau.stack import ServiceProcess
from plateau.state import State

RATE, POOLS, AGENTS_PER_POOL = 200, 8, 150


class Watched(Load):
    """A load that notes when each pool had its last assignment."""

    def watch(self) -> None:
        self.last: dict[str, float] = {}

    def assigned(self, call_id: str, agent_id: str) -> None:
        super().assigned(call_id, agent_id)
        pool = f"pool-{int(call_id.rpartition('-')[2]) % POOLS}"
        self.last.setdefault(pool, time.perf_counter())


async def configure(http: httpx.AsyncClient) -> None:
    tenant = {"name": "Benchmark (invented)", "time_zone": "Europe/Paris"}
    (await http.put("/v1/tenants/bench", json=tenant)).raise_for_status()
    facts: list[dict[str, Any]] = []
    for number in range(POOLS):
        pool_id = f"pool-{number}"
        (await http.put(f"/v1/pools/{pool_id}", json={"name": pool_id})).raise_for_status()
        for queue in range(number, 200, POOLS):
            body = {"tenant_id": "bench", "pool_id": pool_id, "wrap_up_seconds": 60, "offer_timeout_seconds": 60}
            (await http.put(f"/v1/queues/queue-{queue}", json=body)).raise_for_status()
        for agent in range(AGENTS_PER_POOL):
            agent_id = f"agent-{number}-{agent}"
            (await http.put(f"/v1/agents/{agent_id}", json={"pool_id": pool_id, "name": agent_id})).raise_for_status()
            facts.append({"type": "agent_state", "agent_id": agent_id, "state": "logged_in"})
    for start in range(0, len(facts), 1000):
        answer = await http.post("/v1/telephony/facts", json={"facts": facts[start : start + 1000]})
        answer.raise_for_status()


async def measure(
    directory: Path, kafka: Kafka, url: str, floor: Hop, kills: int, *, named: bool
) -> tuple[list[float], list[float]]:
    """Seconds of each kill, sorted; ours and the floor's."""
    state = State(directory)
    stays, dies = (
        ServiceProcess(
            "routing", state, port, environment(state, kafka, url) | ({"KAFKA_INSTANCE_ID": name} if named else {})
        )
        for name, port in (("routing-0", 8311), ("routing-1", 8312))
    )
    await stays.start()
    await dies.start()
    dice = random.Random(20261122)
    headers = {"authorization": f"Bearer {state.issuer.mint('operator,service')}"}
    current: list[Load] = []
    ready = asyncio.Event()
    listening = asyncio.create_task(listen(kafka, current, ready))
    found, floors = [], []
    try:
        async with httpx.AsyncClient(base_url=stays.url, headers=headers, timeout=60, trust_env=False) as http:
            await configure(http)
            await ready.wait()
            for _ in range(kills):
                floors.append(await floor.rejoin())
                load = Watched(http, talk_seconds=2.0)
                load.watch()
                current[:] = [load]
                offering = asyncio.create_task(load.offer(RATE, 30))
                await asyncio.sleep(8 + dice.random() * 3)
                load.last.clear()
                killed = time.perf_counter()
                await dies.kill()
                await dies.start()
                await offering
                found.append(max(load.last.values()) - killed)
                print(f"  {'named' if named else 'unnamed'}: {found[-1]:5.1f} s, all calls assigned", flush=True)
    finally:
        listening.cancel()
        await dies.stop()
        await stays.stop()
    return sorted(found), sorted(floors)


async def main(directory: Path, kills: int) -> None:
    figures: dict[str, float] = {}
    for named in (False, True):
        place = directory / str(named)
        async with postgres(place / "postgres") as server, broker(place / "kafka") as kafka:
            await kafka.create_topics()
            url = await asyncio.to_thread(provision, server.url, "routing", "secret")
            await asyncio.to_thread(upgrade, "routing", url)
            names = ("hop-0", "hop-1") if named else ("", "")
            async with hop(kafka.bootstrap_servers, server.url, kafka.idle_pause_ms, names) as floor:
                found, floors = await measure(place, kafka, url, floor, kills, named=named)
            middle = "recovery" if named else "recovery_unnamed"
            for name, part in (("p50", 0.5), ("p95", 0.95)):
                figures[f"{middle}_{name}_seconds"] = round(quantile(found, part), 2)
                figures[f"{middle}_{name}_vs_hop"] = ratio(quantile(found, part), median(floors))
            figures[f"floor_{middle}_seconds"] = round(median(floors), 2)
    print(json.dumps(figures))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        uvloop.run(main(Path(name), int(sys.argv[1]) if len(sys.argv) > 1 else 10))
