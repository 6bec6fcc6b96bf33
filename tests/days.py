"""Simulated days of a floor: callers who come, wait and hang up by chance, agents who answer at once."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from common.events import CallAbandoned, CallAnswered, CallAssigned
from routing.domain import inputs
from routing.domain.configuration import AgentProfile, Queue
from routing.domain.decisions import decide
from routing.domain.pool import Pool
from routing.domain.telling import Fact

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class Traffic(msgspec.Struct, frozen=True):
    """Of one queue; all three exponential."""

    per_minute: float
    handling_seconds: float
    patience_seconds: float


class Outcome(msgspec.Struct):
    """What became of a queue's calls."""

    waits: list[float] = msgspec.field(default_factory=list)
    """Of those answered, in seconds."""
    lost: int = 0
    """Short abandons apart."""

    def service_level(self, seconds: float) -> float:
        """Answered within so many seconds, of all."""
        return sum(wait <= seconds for wait in self.waits) / max(1, len(self.waits) + self.lost)


def play(
    rules: Iterable[Queue | AgentProfile], traffic: Mapping[str, Traffic], hours: float, seed: int
) -> tuple[Pool, dict[str, Outcome]]:
    """Play so many hours; it ends in the midst of them. The same seed, the same callers, whatever the rules."""
    pool = Pool("main", START)
    outcomes = {queue_id: Outcome() for queue_id in traffic}
    handling: dict[str, float] = {}
    due: list[tuple[float, str, str]] = []

    def give(kind: type[Any], at: float, **fields: Any) -> list[Fact]:
        moment = START + timedelta(seconds=at)
        return decide(pool, kind(tenant_id="kettle", pool_id="main", occurred_at=moment, **fields)).facts

    for rule in rules:
        if isinstance(rule, Queue):
            pool.configure_queue(rule)
        else:
            pool.configure_agent(rule)
            give(inputs.LogIn, 0, agent_id=rule.id)
    for queue_id, one in sorted(traffic.items()):
        chance = random.Random(f"{seed} {queue_id}")
        at = chance.expovariate(one.per_minute / 60)
        while at < hours * 3600:
            call_id = f"{queue_id}-{len(handling)}"
            handling[call_id] = chance.expovariate(1 / one.handling_seconds)
            due += [(at, "call", call_id), (at + chance.expovariate(1 / one.patience_seconds), "leave", call_id)]
            at += chance.expovariate(one.per_minute / 60)
    heapq.heapify(due)
    while due and due[0][0] < hours * 3600:
        at, what, call_id = heapq.heappop(due)
        live = pool.calls.get(call_id)
        agent_id = live.agent_id if live else None
        if what == "call":
            fields = {"contact_phone": "+33639980001", "channel": "voice", "direction": "inbound"}
            facts = give(inputs.OfferCall, at, call_id=call_id, queue_id=call_id.rpartition("-")[0], **fields)
        elif what == "leave" and live and agent_id is None:
            facts = give(inputs.HangUp, at, call_id=call_id)
        elif what == "end":
            give(inputs.HangUp, at, call_id=call_id)
            facts = give(inputs.WrapUp, at, call_id=call_id, agent_id=agent_id, disposition="done")
        else:
            continue
        for event in [fact.event for fact in facts]:
            if isinstance(event, CallAbandoned):
                outcomes[event.queue_id].lost += not event.short
            elif isinstance(event, CallAssigned):
                answered = give(inputs.Accept, at, call_id=event.call_id, agent_id=event.agent_id)
                waits = [one.event.wait_seconds for one in answered if isinstance(one.event, CallAnswered)]
                outcomes[event.queue_id].waits += waits
                heapq.heappush(due, (at + handling[event.call_id], "end", event.call_id))
    return pool, outcomes
