"""Every POST of the five services, sent under a key by a client that gives up, then again: one effect, one answer.

The stories below are the table. Each yields one request after another and gets the answer of the first repetition;
a POST of the OpenAPI document that a story leaves out fails its test.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
from common.events import AgentLoggedIn, CallAnswered
from common.ids import new_id
from common.outbox import pack_headers
from common.service import Running, started
from common.testing import eventually
from cryptography.fernet import Fernet
from leaving import Leaving
from support import Stack

from .floors import RoutingFloor, timed_floor
from .test_isolation import TENANT, THEIRS, call_event, first, produce, put

pytestmark = pytest.mark.deep

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)
FLOOR = f"""\
pools:
  main:
    name: Main
    skills: [orders, late]
    agents: [{{id: ann, name: Ann, skills: [orders]}}, {{id: ben, name: Ben, skills: [late]}}]
tenants:
  {THEIRS}:
    name: Lantern & Sons (invented)
    time_zone: Europe/Paris
    queues:
      orders:
        pool: main
        required_skills: [orders]
        recording: with_consent
        callback: {{mode: agent_first, attempts: 2, ring_seconds: 60}}
      late: {{pool: main, required_skills: [late]}}
"""
IGNORED = {"outbox", "inbox", "idempotency_keys", "refusals", "alembic_version"}
"""Tables that say nothing of an effect: refusals are those of `settled`."""
COUNTED = {"simulations"}
"""Tables whose rows go on changing by themselves."""


COMMANDS = (r"/v1/calls.*", r"/v1/telephony/facts", r"/v1/agents/\w+/(log-in|log-out|state)")


@dataclass(frozen=True)
class Post:
    """`changes` is False for what only looks."""

    path: str
    body: Any = None
    content_type: str = "application/json"
    changes: bool = True

    @property
    def is_command(self) -> bool:
        """Whether it is decided by the pool's owner, later."""
        return any(re.fullmatch(pattern, self.path) for pattern in COMMANDS)

    @property
    def content(self) -> bytes:
        if self.body is None:
            return b""
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


Answer = dict[str, Any]
Snapshot = dict[str, Any]
Story = AsyncGenerator[Post, Answer]


@dataclass
class World:
    """One service, an operator at its API, and when it has come to rest."""

    stack: Stack
    running: Running
    http: httpx.AsyncClient
    settled: Callable[[], Awaitable[None]]
    story: Story

    async def snapshot(self) -> Snapshot:
        """All that the service has stored, by table."""
        await self.settled()
        found: Snapshot = {}
        async with self.running.runtime.database.transaction() as session:
            tables = await session.fetch("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
            for (table,) in tables:
                if table in COUNTED:
                    found[table] = await session.fetchval(f'SELECT count(*) FROM "{table}"')
                elif table not in IGNORED:
                    rows = await session.fetch(f'SELECT t::text FROM "{table}" t ORDER BY 1')
                    found[table] = [row[0] for row in rows]
        return found


async def there_is(what: str, running: Running, *, wanted: bool = True) -> None:
    """Return once a row of that kind is there, or none."""

    async def right() -> bool:
        async with running.runtime.database.transaction() as session:
            return bool(await session.fetchval(f"SELECT EXISTS (SELECT 1 FROM {what})")) == wanted

    await eventually(right, timeout=60)


async def operations(running: Running) -> Story:
    """What every service has."""
    yield Post("/v1/api-keys", {"tenant_id": THEIRS, "name": "shop"})
    letter = new_id()
    async with running.runtime.database.transaction() as session:
        await session.execute(
            """
            INSERT INTO dead_letters (id, consumer_group, topic, partition, position, key, headers, cause)
            VALUES ($1, 'nobody', 'billing', 0, 0, 'key', $2, 'invented')
            """,
            letter,
            pack_headers([]),
        )
    yield Post(f"/v1/dead-letters/{letter}/redrive")


async def routing_story(floor: RoutingFloor) -> Story:
    """Ann and ben, a caller who is handed about, one who wants to be called back, and the operator."""
    ann, ben = {"agent_id": "ann"}, {"agent_id": "ben"}

    yield Post("/v1/agents/ann/log-in", {"state": "break"})
    yield Post("/v1/agents/ann/state", {"state": "available"})
    call = (yield Post("/v1/calls", {"queue_id": "orders", "contact_phone": "+33639980001"}))["call_id"]
    yield Post(f"/v1/calls/{call}/decline", ann)
    await floor.post("agents/ann/state", {"state": "available"})
    await floor.is_in(call, "offered")
    yield Post(f"/v1/calls/{call}/accept", ann)
    yield Post(f"/v1/calls/{call}/hold", ann)
    yield Post(f"/v1/calls/{call}/resume", ann)
    yield Post(f"/v1/calls/{call}/recording", {**ann, "recording": "on", "consent": True})
    yield Post(f"/v1/calls/{call}/supervision", {"mode": "listen"})
    await floor.log_in("ben")
    asked = {**ann, "colleague_id": "ben"}
    between = (yield Post(f"/v1/calls/{call}/consultation", asked))["consultation_id"]
    yield Post(f"/v1/calls/{call}/consultation/cancel", ann)
    between = (await floor.post(f"calls/{call}/consultation", asked))["consultation_id"]
    await floor.accept(between, "ben")
    yield Post(f"/v1/calls/{call}/consultation/confer", ann)
    yield Post(f"/v1/calls/{call}/consultation/complete", ann)
    yield Post(f"/v1/calls/{call}/wrap-up", {**ann, "disposition": "sold"})
    mine = (yield Post(f"/v1/calls/{between}/take-over", ann))["to_call_id"]
    await floor.post(f"calls/{between}/wrap-up", ben)
    await floor.until("agents/ben", state="available")
    last = (yield Post(f"/v1/calls/{mine}/transfer", {**ann, "queue_id": "late"}))["to_call_id"]
    await floor.accept(last, "ben")
    yield Post(f"/v1/calls/{last}/hang-up", {})
    await floor.post(f"calls/{last}/wrap-up", ben)
    await floor.until("agents/ben", state="available")
    yield Post("/v1/telephony/facts", {"facts": [{"type": "agent_state", "agent_id": "ben", "state": "break"}]})
    yield Post("/v1/agents/ben/log-out")
    waiting = await floor.call("orders", "queued", contact_phone="+33639980002")
    yield Post(f"/v1/calls/{waiting}/callback", {})
    yield Post(f"/v1/calls/{waiting}/cancel-callback")
    dialled = await floor.call("orders", "queued", direction="outbound", contact_phone="+33639980003")
    yield Post(f"/v1/calls/{dialled}/machine")
    for action in ("close", "drain", "open", "follow-hours"):
        yield Post(f"/v1/queues/orders/{action}", {"reason": "rehearsal"})
    for action in ("drain", "cancel-drain"):
        yield Post(f"/v1/agents/ben/{action}", {"reason": "rehearsal"})
    await put(floor.operator, "/v1/sites/north", {"name": "North", "time_zone": "Europe/Paris"})
    for action in ("down", "up", "drain", "cancel-drain"):
        yield Post(f"/v1/sites/north/{action}", {"reason": "rehearsal"})
    yield Post("/v1/pools/main/simulate", {})


@asynccontextmanager
async def routing(stack: Stack) -> AsyncIterator[World]:
    """Its time stands still, so that nothing changes by itself."""
    async with timed_floor(stack, FLOOR, MONDAY) as floor:

        async def settled() -> None:
            for _ in range(2):  # what follows from a command comes back as another one
                await there_is("outbox", floor.running, wanted=False)
                assert await floor.refusal(f"calls/{uuid4()}.orders/accept", {"agent_id": "ann"}) is not None

        yield World(stack, floor.running, floor.operator, settled, routing_story(floor))


async def dialer_story(http: httpx.AsyncClient, stack: Stack) -> Story:
    await put(http, f"/v1/tenants/{THEIRS}", {**TENANT, "region": "FR"})
    week = {day: [["00:00", "24:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
    campaign = {"tenant_id": THEIRS, "queue_id": "sales", "name": "Sales", "calling_hours": week}
    await put(http, "/v1/campaigns/sales", campaign)
    yield Post(f"/v1/tenants/{THEIRS}/do-not-call", {"phones": ["+33199009999"]})
    yield Post("/v1/campaigns/sales/leads", "phone\n+33199001234\n", "text/csv")
    yield Post("/v1/campaigns/sales/start")
    yield Post("/v1/campaigns/sales/pause")
    await produce(
        stack,
        AgentLoggedIn(
            tenant_id="floor",
            agent_id="ada",
            sequence=1,
            pool_id="main",
            queue_ids=["sales"],
            occurred_at=datetime.now(UTC),
            state="available",
        ),
    )
    assert (await http.post("/v1/campaigns/sales/start")).is_success
    attempt = await first(http, "/v1/campaigns/sales/attempts")
    yield Post(f"/v1/attempts/{attempt['attempt_id']}/facts", {"fact": "ringing"})


async def crm_story(http: httpx.AsyncClient, stack: Stack) -> Story:
    await put(http, f"/v1/tenants/{THEIRS}", {**TENANT, "closing_dispositions": ["solved"]})
    yield Post("/v1/contacts", {"tenant_id": THEIRS, "phone": "+33639980009"})
    answered = {"agent_id": "ada", "answered_at": datetime.now(UTC), "wait_seconds": 1.0, "total_wait_seconds": 1.0}
    await produce(stack, call_event(CallAnswered, **answered))
    case = await first(http, "/v1/cases")
    yield Post(f"/v1/cases/{case['id']}/close", {"disposition": "solved"})
    yield Post(f"/v1/cases/{case['id']}/reopen")
    async with await asyncio.start_server(_receive, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        hook = {"tenant_id": THEIRS, "url": f"http://127.0.0.1:{port}/hook", "event_types": ["case.closed.v1"]}
        webhook = (yield Post("/v1/webhooks", hook))["id"]
        yield Post(f"/v1/webhooks/{webhook}/rotate-secret")
        assert (await http.post(f"/v1/cases/{case['id']}/close", json={"disposition": "solved"})).is_success
        delivery = await first(http, f"/v1/webhooks/{webhook}/deliveries?state=delivered")
        yield Post(f"/v1/webhooks/{webhook}/deliveries/{delivery['id']}/replay")


async def _receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A webhook's receiver: everything is fine."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 204 -\r\nconnection: close\r\n\r\n")
    writer.close()


async def billing_story(http: httpx.AsyncClient, stack: Stack) -> Story:
    yield Post("/v1/replay-checks", changes=False)


async def kpi_story(http: httpx.AsyncClient, stack: Stack) -> Story:
    of_its_own: tuple[Post, ...] = ()
    for post in of_its_own:
        yield post


STORIES: dict[str, Callable[[httpx.AsyncClient, Stack], Story]] = {
    "dialer": dialer_story,
    "crm_bridge": crm_story,
    "billing": billing_story,
    "kpi": kpi_story,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "dialer": {"ring_grace_seconds": 3600.0},
    "crm_bridge": {"webhook_allow_private": True, "webhook_secret_key": Fernet.generate_key().decode()},
}


@asynccontextmanager
async def other(name: str, stack: Stack) -> AsyncIterator[World]:
    """A service that does nothing more by itself once its outbox is empty and its webhooks are sent."""
    main, config = importlib.import_module(f"{name}.main"), importlib.import_module(f"{name}.config")
    settings = stack.settings(config.Settings, name, **SETTINGS.get(name, {}))
    async with started(name, settings, main.wire) as running, running.client(stack.token("operator,service")) as http:

        async def settled() -> None:
            await there_is("outbox", running, wanted=False)
            if name == "crm_bridge":
                await there_is("deliveries WHERE state = 'pending'", running, wanted=False)

        yield World(stack, running, http, settled, STORIES[name](http, stack))


@pytest.mark.parametrize("name", ["routing", *STORIES])
async def test_a_post_that_is_repeated_after_its_client_gave_up_has_one_effect_and_one_answer(
    name: str, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaving = Leaving(monkeypatch)
    async with AsyncExitStack() as exits:
        world = await exits.enter_async_context(routing(stack) if name == "routing" else other(name, stack))
        paths = (await world.http.get("/openapi.json")).json()["paths"]
        routes = {path for path, operations in paths.items() if "post" in operations}
        tried = set()
        for story in (world.story, operations(world.running)):
            try:
                post = await anext(story)
                while True:
                    tried |= {path for path in routes if re.fullmatch(re.sub(r"{\w+}", "[^/]+", path), post.path)}
                    post = await story.asend(await once(world, leaving, post))
            except StopAsyncIteration:
                continue
    assert tried == routes


async def once(world: World, leaving: Leaving, post: Post) -> Answer:
    """Send it and leave, then twice more. Returns what the second one was answered."""
    headers = {**world.http.headers, "idempotency-key": str(uuid4()), "content-type": post.content_type}
    before = await world.snapshot()
    await leaving.post(world.running.base_url, post.path, post.content, headers)

    if not post.is_command:
        await there_is(f"idempotency_keys WHERE key = '{headers['idempotency-key']}'", world.running)
        done = await world.snapshot()
        assert (done != before) == post.changes, post.path
    else:

        async def happened() -> Snapshot | None:
            after = await world.snapshot()
            return after if after != before else None

        found = await eventually(happened, timeout=60)
        assert found is not None
        done = found
    answers = []
    for _ in range(2):
        answer = await world.http.post(post.path, content=post.content, headers=headers)
        assert answer.is_success, f"{post.path}: {answer.text}"
        now = await world.snapshot()
        assert [table for table in done if now[table] != done[table]] == [], post.path
        answers.append((answer.status_code, answer.text))
    assert answers[0] == answers[1], post.path
    said: Answer = json.loads(answers[0][1] or "{}")
    if "command_id" in said:
        outcome = (await world.http.get(f"/v1/commands/{said['command_id']}")).json()
        assert outcome["status"] == "applied", f"{post.path}: {outcome}"
    return said
