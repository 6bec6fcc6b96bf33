"""What the routes reach beside the request: where queues and agents are at home, the way into `routing-inputs`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from common import envelope, telemetry
from common.auth import Principal, Role
from common.clock import Clock
from common.database import Database
from common.errors import Forbidden, Invalid, NotFound, Unavailable
from common.events.routing import Channel
from common.fields import SLUG
from common.http import Caller
from common.ids import derived_id, new_id
from common.kafka import partition_of
from fastapi import Depends, Header, Path, Request
from pydantic import Field, StringConstraints

from routing.domain.configuration import ClosedBy
from routing.domain.flows import Flow, queue_ids_of
from routing.domain.inputs import TOPIC, ArriveCall, Input, OfferCall
from routing.store import configuration as store
from routing.store import contacts, entry_points, reading
from routing.store.states import queue_of

if TYPE_CHECKING:
    from routing.api.streams import Streams

CALL_ID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.@?" + SLUG.removeprefix("^")

HOME_SECONDS = 30.0
"""Until then a call for a queue that has moved goes by way of its former pool, and whether calls may wait for one agent
alone and how callers' numbers are read counts as before."""

SlugPath = Annotated[str, Path(pattern=SLUG)]
CallId = Annotated[str, StringConstraints(pattern=CALL_ID)]
CallPath = Annotated[str, Path(pattern=CALL_ID)]
Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="The same key again is the same command: it takes effect once, as it was sent first",
    ),
]


@dataclass(frozen=True, slots=True)
class QueueHome:
    """Where a queue belongs. It may move to another pool: the pool that it has left hands on what comes there."""

    tenant_id: str
    pool_id: str
    channel: Channel
    is_sticky: bool = False
    """Its calls, or for an entry point those of a queue that its flow names, may wait for one agent alone."""
    region: str | None = None
    """In which its tenant's national phone numbers are read."""
    allow_possible_numbers: bool = False

    @classmethod
    def of(cls, row: asyncpg.Record, channel: Channel, *, is_sticky: bool = False) -> QueueHome:
        """Of a queue's or an entry point's row."""
        return cls(
            row["tenant_id"],
            row["pool_id"],
            channel,
            is_sticky=is_sticky,
            region=row["region"],
            allow_possible_numbers=row["allow_possible_numbers"],
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry point as it is now."""

    id: str
    home: QueueHome
    flow: Flow


class Directory:
    """Homes of queues and agents, remembered: those of queues for HOME_SECONDS at most."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queues: dict[str, QueueHome] = {}
        self._forget_at = 0.0
        self._agents: dict[str, str] = {}

    async def queues(self, wanted: Collection[str]) -> dict[str, QueueHome]:
        """The homes of those queues that exist; `@<id>` stands for an entry point."""
        if time.monotonic() >= self._forget_at:
            self._queues = {}
            self._forget_at = time.monotonic() + HOME_SECONDS
        known = self._queues
        missing = [queue_id for queue_id in set(wanted) if queue_id not in known]
        if missing:
            async with self._database.transaction() as session:
                for row in await store.homes_of_queues(session, missing):
                    known[row["id"]] = QueueHome.of(row, row["channel"], is_sticky=row["sticky_seconds"] > 0)
                entered = [name.removeprefix("@") for name in missing if name.startswith("@")]
                for row in await entry_points.homes_of(session, entered) if entered else ():
                    known[f"@{row['id']}"] = QueueHome.of(row, "voice")
        return {queue_id: known[queue_id] for queue_id in wanted if queue_id in known}

    async def dialled(self, numbers: Collection[str]) -> dict[str, Entry]:
        """Where those numbers lead to; read anew each time, because flows change."""
        async with self._database.transaction() as session:
            rows = await entry_points.of_numbers(session, list(numbers))
        flows = {row["number"]: entry_points.flow_of(row) for row in rows}
        named = await self.queues({queue_id for flow in flows.values() for queue_id in queue_ids_of(flow)})
        sticky = {queue_id for queue_id, home in named.items() if home.is_sticky}
        entries = {}
        for row in rows:
            flow = flows[row["number"]]
            is_sticky = not sticky.isdisjoint(queue_ids_of(flow))
            entries[row["number"]] = Entry(row["id"], QueueHome.of(row, "voice", is_sticky=is_sticky), flow)
        return entries

    async def contact_priorities(self, callers: Collection[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Priority by (tenant, phone) of those callers who are contacts, as crm-bridge has told until now. A withheld
        number is nobody's."""
        callers = [caller for caller in callers if caller[1]]
        if not callers:
            return {}
        async with self._database.transaction() as session:
            return await contacts.priorities(session, callers)

    async def last_agents(self, callers: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """By (tenant, phone) the agent who last answered a call of that caller, as pools' owners have saved until now.
        A withheld number is nobody's."""
        callers = [caller for caller in callers if caller[1]]
        if not callers:
            return {}
        async with self._database.transaction() as session:
            return await reading.last_agents(session, callers)

    async def call_named(self, name: UUID) -> str | None:
        """The id of the call whose first part is `name`, if it has reached its pool."""
        async with self._database.transaction() as session:
            return await reading.call_named(session, name)

    async def number(self, tenant_id: str, name: str) -> str | None:
        """A number of the tenant's directory; read anew each time, because it may change."""
        async with self._database.transaction() as session:
            row = await store.tenant(session, tenant_id)
        return None if row is None else row["directory"].get(name)

    async def turns_away(self, queue_id: str, at: datetime) -> ClosedBy | None:
        """By what the queue is closed, if it is and its calls then go nowhere; read anew each time, as it changes."""
        async with self._database.transaction() as session:
            row = await store.queue(session, queue_id)
        return None if row is None else queue_of(row).turns_away_at(at)

    async def agents(self, wanted: Collection[str]) -> dict[str, str]:
        """The pools of those agents that exist."""
        missing = [agent_id for agent_id in set(wanted) if agent_id not in self._agents]
        if missing:
            async with self._database.transaction() as session:
                for row in await store.homes_of_agents(session, missing):
                    self._agents[row["id"]] = row["pool_id"]
        return {agent_id: self._agents[agent_id] for agent_id in wanted if agent_id in self._agents}

    async def break_reasons(self, agent_ids: Collection[str]) -> dict[str, list[str]]:
        """By agent, those that their pool declares; read anew each time, because they may change."""
        if not agent_ids:
            return {}
        async with self._database.transaction() as session:
            return await store.break_reasons_of(session, list(agent_ids))

    async def queue(self, queue_id: str, caller: Principal) -> QueueHome:
        """Raises NotFound for a queue that does not exist or is another tenant's."""
        home = (await self.queues([queue_id])).get(queue_id)
        if home is None or not may_see(caller, home):
            raise NotFound(f"there is no queue {queue_id}")
        return home

    async def home_of_call(self, call_id: str, caller: Principal) -> QueueHome:
        """The home of a call's first queue, which its id names. Raises NotFound as `queue` does."""
        home = (await self.queues([entry_queue(call_id)])).get(entry_queue(call_id))
        if home is None or not may_see(caller, home):
            raise NotFound(f"there is no call {call_id}")
        return home

    async def agent(self, agent_id: str) -> str:
        """The agent's pool. Raises NotFound."""
        pool_id = (await self.agents([agent_id])).get(agent_id)
        if pool_id is None:
            raise NotFound(f"there is no agent {agent_id}")
        return pool_id


def may_see(caller: Principal, home: QueueHome) -> bool:
    """Whether the queue is the caller's business."""
    return caller.tenant_id is None or caller.tenant_id == home.tenant_id


def entry_queue(call_id: str) -> str:
    """The queue that a call was first offered to; `@<id>` for a call that came by an entry point."""
    return call_id.partition(".")[2]


class Sender:
    """Puts inputs into `routing-inputs`, durably, in the order given."""

    def __init__(self, producer: AIOKafkaProducer, clock: Clock, source: str) -> None:
        self._producer = producer
        self._source = source
        self.clock = clock

    async def send(self, commands: Sequence[tuple[UUID, Input]]) -> None:
        """Return once the brokers have them all. Raises Unavailable, after which some may have arrived: send again
        with the same ids."""
        asked_within = telemetry.current_traceparent()
        try:
            count = len(await self._producer.partitions_for(TOPIC))
            acknowledgements = []
            for command_id, given in commands:
                traceparent = asked_within
                if traceparent is None and isinstance(given, OfferCall | ArriveCall):
                    traceparent = telemetry.new_traceparent()
                headers, value = envelope.encode(
                    given,
                    event_id=command_id,
                    source=self._source,
                    time=given.occurred_at,
                    traceparent=traceparent,
                )
                key = given.key.encode()
                partition = partition_of(key, count)
                acknowledgements.append(
                    await self._producer.send(TOPIC, value, key=key, partition=partition, headers=headers)
                )
            await asyncio.gather(*acknowledgements)
        except KafkaError as failure:
            raise Unavailable(f"the broker cannot be reached right now: {type(failure).__name__}") from None


@dataclass(frozen=True, slots=True)
class State:
    """`request.app.state.runtime.state` of routing."""

    directory: Directory
    sender: Sender
    streams: Streams
    simulate: asyncio.Event
    """To be set once a simulation is asked for."""


async def _state(request: Request) -> State:
    state: State = request.app.state.runtime.state
    return state


Here = Annotated[State, Depends(_state)]
"""This process's directory, sender and streams."""


def command_id(caller: Principal, route: str, key: str | None) -> UUID:
    """New, or derived from the caller's Idempotency-Key: the pool's owner handles an id once."""
    if key is None:
        return new_id()
    return derived_id("command", caller.tenant_id or "", caller.subject, route, key)


async def check_floor(caller: Caller) -> None:
    """Raises Forbidden for a caller of one tenant: agents, pools and commands are the floor's."""
    if caller.tenant_id is not None:
        raise Forbidden("only the floor's own people and systems may do that")


def acting_agent(caller: Principal, agent_id: str | None) -> str:
    """Who acts: an agent only for themselves, operators and services for the agent that they name."""
    if caller.has(Role.OPERATOR, Role.SERVICE):
        if agent_id is None:
            raise Invalid("say which agent", field="agent_id")
        return agent_id
    if agent_id is not None and agent_id != caller.subject:
        raise Forbidden("an agent acts only for themselves")
    return caller.subject
