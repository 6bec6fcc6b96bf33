"""How many decisions a second one pool makes: `python tests/bench/bench_decide.py [agents] [queues]`.

Calls arrive, are accepted, end and are wrapped up at random, on a floor kept about half busy and then overloaded. Every
input counts as one decision; creating the events is part of it, saving them is not. Now and then in between a sample of
the floor `loop` is taken. Last line: one line of JSON: `decisions_per_second` and `decisions_vs_loop` (half busy), and
the same with `_overloaded`.
"""

from __future__ import annotations

import gc
import heapq
import itertools
import json
import random
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from common.events import CallAssigned, CallEnded
from floors import Loop, ratio
from routing.domain import inputs
from routing.domain.configuration import AgentProfile, Queue
from routing.domain.decisions import decide
from routing.domain.pool import Pool

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CALLS = 15_000
BETWEEN_SAMPLES = 10_000
"""Decisions between two samples of the floor."""


def floor(agents: int, queues: int, chance: random.Random) -> Pool:
    """A pool where each queue needs one or two of 40 skills and each agent has 3 to 12 of them."""
    pool = Pool("main", START)
    skills = [f"skill-{number}" for number in range(40)]
    for number in range(queues):
        pool.configure_queue(
            Queue(
                id=f"queue-{number}",
                tenant_id="kettle",
                time_zone="Europe/Paris",
                channel="voice",
                required_skills=tuple(chance.sample(skills, chance.randint(1, 2))),
                priority=number % 10,
                ageing_seconds_per_priority=60,
                service_level_seconds=20,
                short_abandon_seconds=5,
                offer_timeout_seconds=20,
                wrap_up_seconds=30,
                max_wait_seconds=None,
                overflow=None,
                version=1,
            )
        )
    for number in range(agents):
        held = dict.fromkeys(chance.sample(skills, chance.randint(3, 12)), 5)
        pool.configure_agent(AgentProfile(id=f"agent-{number}", skills=held, version=1))
    return pool


def measure(agents: int, queues: int, calls: int, busy: float, loop: Loop, waiting: int = 0) -> dict[str, float]:
    """Decisions a second, also over the turns a second of `loop` (sampled in between), and percentiles in microseconds
    with about `busy` of the agents' time asked for. With `waiting`, every agent has a call and about as many more as it
    says wait from the start of the measurement to its end."""
    chance = random.Random(1)
    pool = floor(agents, queues, chance)
    seconds = 0.0
    took: list[float] = []
    later: list[tuple[float, type[Any], dict[str, Any]]] = []

    def give(kind: type[Any], **fields: Any) -> None:
        given = kind(tenant_id="kettle", pool_id="main", occurred_at=START + timedelta(seconds=seconds), **fields)
        began = time.perf_counter()
        facts = decide(pool, given).facts
        took.append(time.perf_counter() - began)
        if len(took) % BETWEEN_SAMPLES == 0:
            loop.sample()
        for fact in facts:
            event = fact.event
            if isinstance(event, CallAssigned):
                talk = chance.expovariate(1 / 180)
                later.append((seconds + 2, inputs.Accept, {"call_id": event.call_id, "agent_id": event.agent_id}))
                later.append((seconds + 2 + talk, inputs.HangUp, {"call_id": event.call_id}))
            elif isinstance(event, CallEnded):
                done = {"call_id": event.call_id, "agent_id": event.agent_id, "disposition": "done"}
                later.append((seconds + chance.uniform(1, 20), inputs.WrapUp, done))

    gap = 190 / (agents * busy)
    agenda: list[Any] = []
    count = itertools.count()
    for number in range(agents):
        give(inputs.LogIn, agent_id=f"agent-{number}")
    standing = agents + waiting if waiting else 0
    for number in range(standing + calls):
        arrival = max(0, number - standing) * gap
        fields: dict[str, Any] = {"call_id": f"c{number}", "queue_id": f"queue-{chance.randrange(queues)}"}
        fields |= {"contact_phone": "+33639980001", "channel": "voice", "direction": "inbound"}
        heapq.heappush(agenda, (arrival, next(count), inputs.OfferCall, fields))
    took.clear()
    offered = 0
    while agenda and not (waiting and offered == standing + calls):
        seconds, _, kind, fields = heapq.heappop(agenda)
        give(kind, **fields)
        if kind is inputs.OfferCall:
            offered += 1
            if offered == standing:
                took.clear()
                gc.collect()
                gc.freeze()
        for at, next_kind, next_fields in later:
            heapq.heappush(agenda, (at, next(count), next_kind, next_fields))
        later.clear()
    took.sort()
    rate = len(took) / sum(took)
    return {
        "decisions_per_second": round(rate),
        "decisions_vs_loop": ratio(rate, loop.per_second),
        "mean_us": round(sum(took) / len(took) * 1e6, 1),
        "p50_us": round(took[len(took) // 2] * 1e6, 1),
        "p99_us": round(took[int(len(took) * 0.99)] * 1e6, 1),
    }


def main() -> None:
    agents = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    queues = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    figures: dict[str, float] = {}
    for name, busy in (("", 0.5), ("_overloaded", 1.3)):
        loop = Loop()
        result = measure(agents, queues, CALLS, busy, loop)
        print(f"{agents} agents, {queues} queues, {busy:.0%} of their time asked for: {result}", flush=True)
        figures |= {f"{figure}{name}": result[figure] for figure in ("decisions_per_second", "decisions_vs_loop")}
        figures |= {f"decision_{figure}{name}": result[figure] for figure in ("p50_us", "p99_us")}
    print(json.dumps(figures | loop.figures()))


if __name__ == "__main__":
    main()
