"""Dialer on a real PostgreSQL, with its clock in our hand and a routing that is a real HTTP server."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import msgspec
import pytest
import uvicorn
from common.clock import ManualClock
from common.consumer import Delivery
from common.database import Database
from common.events import CATALOGUE, Event
from common.hours import WEEKDAYS, parse
from common.ids import new_id
from common.outbox import unpack_headers
from common.testing import Issuer, eventually
from dialer.consumer import handler
from dialer.domain.attempt import Attempt, Fact, Patience, PbxFact
from dialer.domain.campaign import Campaign, Tenant
from dialer.domain.lead import CampaignRules, Refused, may_dial
from dialer.service import campaigns, do_not_call
from dialer.service.attempts import Happened, apply
from dialer.service.importing import Imported, OnReject, import_leads
from dialer.service.tasks import tick
from dialer.store import attempts
from dialer.store import campaigns as campaign_store
from dialer.store import leads as lead_store
from dialer.store import numbers as numbers_store
from dialer.tables import Base
from fastapi import FastAPI, Header, Request, Response
from plateau.servers import ExternalServer, PostgresServer
from support import Stack

MONDAY = datetime(2026, 11, 23, 10, tzinfo=UTC)
"""11:00 in Paris, inside the calling hours of these tests."""
PATIENCE = Patience(ring=timedelta(seconds=15), routing=timedelta(seconds=300))
WORKDAYS = parse({"week": {day: [["10:00", "13:00"], ["14:00", "20:00"]] for day in WEEKDAYS[:5]}})


TABLES = [table.name for table in Base.metadata.sorted_tables]


async def pieces(data: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    """A body as it comes over the network."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


def numbers(count: int, first: int = 0) -> list[str]:
    """French numbers from a range that nobody has."""
    return [f"+33639980{n:03d}" for n in range(first, first + count)]


class Told(Protocol):
    """Where the time of a story comes from."""

    def now(self) -> datetime: ...


class Story:
    """Makes events of routing; sequences rise."""

    def __init__(self, clock: Told) -> None:
        self._told = clock
        self._sequences = itertools.count(1)

    def agent(
        self,
        agent_id: str,
        state: str,
        queues: Sequence[str] = ("sales",),
        pool: str = "blue",
        takes: list[str] | None = None,
    ) -> Event:
        """An agent came into a state; `takes`: of one who takes several calls at a time."""
        values = {
            "tenant_id": "floor",
            "agent_id": agent_id,
            "pool_id": pool,
            "queue_ids": list(queues),
            "state": state,
            "previous_state": "break",
            "since_previous": self._told.now(),
            "seconds_in_previous": 1.0,
            "takes": takes,
        }
        return self.event("agent.logged_out.v1" if state == "logged_out" else "agent.state_changed.v1", **values)

    def call(self, kind: str, call_id: str, *, queue_id: str = "sales", **values: Any) -> Event:
        """An event of a call, as `call("queued", …)`."""
        now = self._told.now()
        fields = {
            "call_id": call_id,
            "pool_id": "blue",
            "queue_id": queue_id,
            "entry": 1,
            "channel": "voice",
            "direction": "inbound",
            "contact_phone": "+33639980999",
            "service_level_seconds": 20.0,
            "short_abandon_seconds": 5.0,
            "time_zone": "Europe/Paris",
            "offered_at": now,
            "assigned_at": now,
            "answered_at": now,
            "ended_at": now,
            "wrapped_up_at": now,
            "abandoned_at": now,
            "offer_expires_at": now,
            "offer": 1,
            "wait_seconds": 0.0,
            "total_wait_seconds": 0.0,
            "talk_seconds": 0.0,
            "wrap_up_seconds": 0.0,
            "short": False,
            "reason": "timeout" if kind == "offer_missed" else "wait_limit",
            "disposition": None,
            "agent_id": "anna",
        }
        return self.event(f"call.{kind}.v1", **{**fields, **values})

    def event(self, kind: str, **values: Any) -> Event:
        """An event of this type; sequences rise."""
        cls = CATALOGUE[kind]
        known = {field.name for field in msgspec.structs.fields(cls)}
        base = {"tenant_id": "kettle", "occurred_at": self._told.now(), "sequence": next(self._sequences)}
        return cls(**{name: value for name, value in {**base, **values}.items() if name in known})


class Floor(Story):
    """Dialer's use cases on a database, without HTTP and Kafka. `tick` may be called for any number of replicas."""

    def __init__(self, database: Database, clock: ManualClock) -> None:
        super().__init__(clock)
        self.database = database
        self.clock = clock

    async def campaign(
        self,
        campaign_id: str = "renewals",
        *,
        queue_id: str = "sales",
        leads: Sequence[str] = (),
        tenant_id: str = "kettle",
        rest_after_call: timedelta = timedelta(hours=1),
        **rules: Any,
    ) -> None:
        """A running campaign of a tenant, with these numbers on its list."""
        async with self.database.transaction() as session:
            tenant = Tenant(tenant_id, tenant_id, "Europe/Paris", "FR", rest_after_call=rest_after_call)
            await campaigns.put_tenant(session, tenant, lambda _: None)
            values = {
                "state": "draft",
                "calling_hours": WORKDAYS,
                "max_attempts": 2,
                "retry_after": timedelta(minutes=60),
                "rest_after_abandon": timedelta(hours=72),
                **rules,
            }
            campaign = Campaign(campaign_id, tenant_id, queue_id, "Renewals", 25, CampaignRules(**values))
            await campaigns.put_campaign(session, campaign, lambda _: None, self.clock)
            await campaigns.start(session, campaign_id, self.clock)
        if leads:
            await self.load("phone\n" + "\n".join(leads), campaign_id)

    async def load(
        self, text: str | bytes, campaign_id: str = "renewals", on_reject: OnReject = "abort", size: int = 65_536
    ) -> Imported:
        """Import a file that comes in pieces of `size`."""
        data = text.encode() if isinstance(text, str) else text
        async with self.database.transaction() as session:
            return await import_leads(session, campaign_id, pieces(data, size), on_reject, 200_000, self.clock)

    async def agents(self, states: dict[str, str], *, queues: Sequence[str] = ("sales",), pool: str = "blue") -> None:
        """Routing tells of agents by id."""
        await self.deliver(*(self.agent(agent_id, state, queues, pool) for agent_id, state in states.items()))

    async def bar(self, *phones: str, reason: str | None = None, tenant_id: str = "kettle") -> int:
        """Put numbers on a tenant's do-not-call list; returns how many were not on it."""
        async with self.database.transaction() as session:
            return await do_not_call.add(session, tenant_id, phones, reason, "olga", self.clock, PATIENCE)

    async def refusals(self, campaign_id: str = "renewals") -> list[tuple[str, Refused | None]]:
        """Every lead of the list with what refuses it now."""
        async with self.database.transaction() as session:
            found = await campaign_store.campaign(session, campaign_id)
            assert found is not None
            campaign = found[0]
            listed = await lead_store.page(session, campaign_id, None, None, 1000)
            known = await numbers_store.look_up(session, [(campaign.tenant_id, lead.phone) for lead in listed])
        now = self.clock.now()
        verdicts = [
            (lead.phone, may_dial(lead.lead, campaign.rules, now, known[campaign.tenant_id, lead.phone]))
            for lead in listed
        ]
        return [(phone, verdict if isinstance(verdict, Refused) else None) for phone, verdict in verdicts]

    async def deliver(self, *events: Event) -> None:
        """Have dialer handle these events in one batch."""
        async with self.database.transaction() as session:
            await handler(PATIENCE)(session, [self.delivery(event) for event in events], self.clock)

    def delivery(self, event: Event) -> Delivery:
        """As it comes from Kafka."""
        return Delivery(event.TOPIC, 0, 0, new_id(), "routing", event.TYPE, event, self.clock.now(), None)

    async def tick(self, database: Database | None = None) -> int:
        """One round of pacing; returns how many dials it started."""
        return await tick(database or self.database, self.clock, PATIENCE)

    async def attempts(self, campaign_id: str = "renewals") -> list[Attempt]:
        """All attempts, oldest first."""
        async with self.database.transaction() as session:
            return list(reversed(await attempts.page(session, campaign_id, None, 10_000)))

    async def only(self) -> Attempt:
        """The one attempt."""
        (attempt,) = await self.attempts()
        return attempt

    async def tell(self, attempt_id: UUID, *facts: Fact) -> Attempt:
        """The PBX (or a timer) tells facts."""
        async with self.database.transaction() as session:
            happened = [Happened(attempt_id, fact, self.clock.now()) for fact in facts]
            return (await apply(session, happened, PATIENCE))[attempt_id]

    async def leads(self, campaign_id: str = "renewals") -> list[dict[str, Any]]:
        """Rows of the list, in its order."""
        rows = await self.rows("SELECT * FROM leads WHERE campaign_id = $1 ORDER BY lead_id", campaign_id)
        return [dict(row) for row in rows]

    async def commands(self) -> list[tuple[UUID, str]]:
        """What the PBX has been told."""
        return [(row[0], row[1]) for row in await self.rows("SELECT attempt_id, command FROM dials ORDER BY position")]

    async def published(self) -> list[Event]:
        """Events that left, in their order."""
        found = []
        for row in await self.rows("SELECT headers, value FROM outbox ORDER BY id"):
            kind = dict(unpack_headers(row["headers"]))["ce_type"].decode()
            found.append(msgspec.json.decode(row["value"], type=CATALOGUE[kind]))
        return found

    async def rows(self, sql: str, *arguments: Any) -> Sequence[Any]:
        """What a statement gives."""
        async with self.database.transaction() as session:
            return await session.fetch(sql, *arguments)

    async def answered(self, phone: str = "+33639980000") -> Attempt:
        """A campaign of one lead, dialled and answered."""
        await self.campaign(leads=[phone])
        await self.agents({"anna": "available"})
        assert await self.tick() == 1
        return await self.tell((await self.only()).attempt_id, PbxFact.RINGING, PbxFact.ANSWERED)


@pytest.fixture(scope="session")
def new_database_url(postgres_server: PostgresServer | ExternalServer, issuer: Issuer) -> Callable[[], str]:
    """Makes a fresh, migrated database of dialer's."""
    made = Stack("unused:9", issuer, postgres_server.url)
    return lambda: made.database_url("dialer")


@pytest.fixture(scope="session")
def shared_database_url(new_database_url: Callable[[], str]) -> str:
    """The database of all tests that ask for `floor`."""
    return new_database_url()


@pytest.fixture
async def floor(shared_database_url: str) -> AsyncIterator[Floor]:
    """Dialer on an empty database, on Monday at eleven."""
    async with Database(shared_database_url, source="dialer") as database:
        async with database.transaction() as session:
            await session.execute(f"TRUNCATE {', '.join(TABLES)} RESTART IDENTITY")
        yield Floor(database, ManualClock(MONDAY))


@dataclass
class RoutingStub:
    """Routing's contract for calls: one call per Idempotency-Key, however often it is offered."""

    url: str = ""
    calls: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=list)
    hang_ups: list[str] = field(default_factory=list)
    machines: list[str] = field(default_factory=list)
    status: int = 202
    """Any other: nothing is accepted."""
    lose_answers: bool = False
    """Accept the call, and answer 500 all the same."""
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared: answers only once it is set."""

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.post("/v1/calls", status_code=202)
        async def offer(
            request: Request,
            idempotency_key: str = Header(),
            authorization: str = Header(),
            traceparent: str = Header(),
        ) -> Any:
            body = await request.json()
            self.requests.append(
                {**body, "key": idempotency_key, "authorization": authorization, "traceparent": traceparent}
            )
            if self.status != 202:
                return Response(status_code=self.status)
            self.calls.setdefault(idempotency_key, body)
            if self.lose_answers:
                return Response(status_code=500)
            await self.gate.wait()
            return {"call_id": f"{idempotency_key}.{body['queue_id']}", "command_id": idempotency_key}

        @app.post("/v1/calls/{call_id}/hang-up", status_code=202)
        async def hang_up(call_id: str, idempotency_key: str = Header()) -> dict[str, str]:
            self.hang_ups.append(call_id)
            return {"command_id": idempotency_key}

        @app.post("/v1/calls/{call_id}/machine", status_code=202)
        async def machine(call_id: str, idempotency_key: str = Header()) -> dict[str, str]:
            self.machines.append(call_id)
            return {"command_id": idempotency_key}

        return app


@pytest.fixture
async def routing() -> AsyncIterator[RoutingStub]:
    """A routing that can be slow, refuse, or fail."""
    stub = RoutingStub()
    stub.gate.set()
    server = uvicorn.Server(uvicorn.Config(stub.app(), port=0, log_level="warning", lifespan="off"))
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    async with AsyncExitStack() as exits:
        task = asyncio.create_task(server._serve())

        async def stop() -> None:
            stub.gate.set()
            server.should_exit = True
            await task

        exits.push_async_callback(stop)

        async def up() -> bool:
            return server.started

        await eventually(up)
        stub.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        yield stub
