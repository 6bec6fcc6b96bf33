"""Idempotency keys on a toy service: clients that leave, come twice at once, come after a failure, or send forever."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from common import bodies, idempotency
from common.auth import Role
from common.config import ServiceSettings
from common.database import Database
from common.errors import Conflict
from common.http import Db, Model, Router, require
from common.service import Running, Runtime, Wiring, started
from common.testing import eventually
from fastapi import Request
from support import Stack

router = Router(tags=["toy"], dependencies=[require(Role.OPERATOR)])


class Tally(Model):
    name: str
    count: int = 1


@router.post("/tallies", status_code=201)
async def add(session: Db, request: Request, body: Tally, note: str = "") -> Tally:
    await session.execute("INSERT INTO tallies VALUES ('kettle', $1, $2)", body.name, body.count)
    gate: Gate = request.app.state.gate
    await gate.pass_through()
    return body


@router.post("/tallies/next", status_code=201)
async def add_next(session: Db) -> Tally:
    """Reads no body."""
    count = await session.fetchval(
        "INSERT INTO tallies SELECT 'kettle', 'n' || count(*), 1 FROM tallies RETURNING name"
    )
    return Tally(name=count)


@router.post("/tallies/file", max_body_size=1 << 40)
async def add_file(session: Db, request: Request) -> Tally:
    """Reads its body in pieces."""
    size = 0
    async for piece in request.stream():
        size += len(piece)
    await session.execute("INSERT INTO tallies VALUES ('kettle', 'file', $1)", size)
    return Tally(name="file", count=size)


class Gate:
    """Holds requests until it is open, and fails those that are told to."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.failures: list[Exception] = []

    async def pass_through(self) -> None:
        self.entered.set()
        await self.open.wait()
        if self.failures:
            raise self.failures.pop()


async def wire(runtime: Runtime) -> Wiring:
    return Wiring(routers=[router])


@pytest.fixture
async def running(stack: Stack, toy: Database) -> AsyncIterator[Running]:
    settings = stack.settings(ServiceSettings, "toy", database_url=toy.url, database_pool_size=3)
    async with started("toy", settings, wire) as service:
        service.app.state.gate = Gate()
        yield service


@pytest.fixture
async def http(running: Running, stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with running.client(stack.token()) as client:
        yield client


async def tallied(toy: Database) -> list[tuple[str, int]]:
    async with toy.transaction() as session:
        return [tuple(row) for row in await session.fetch("SELECT name, count FROM tallies ORDER BY name")]


async def test_a_request_under_way_is_waited_for_without_a_connection(
    running: Running, http: httpx.AsyncClient, toy: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """given a pool of three connections and a first request that takes one of them, when eight more come under its key,
    then others are still served, and all nine get the first one's answer."""
    monkeypatch.setattr(idempotency, "WAIT_SECONDS", 60.0)
    gate: Gate = running.app.state.gate
    gate.open.clear()

    async def ask() -> httpx.Response:
        return await http.post("/v1/tallies", json={"name": "once"}, headers={"idempotency-key": "k"})

    async with asyncio.TaskGroup() as group:
        first = group.create_task(ask())
        await gate.entered.wait()
        others = [group.create_task(ask()) for _ in range(8)]
        for number in range(20):
            key = {"idempotency-key": f"other {number}"}
            assert (await http.post("/v1/tallies/next", headers=key)).status_code == 201
        assert not any(task.done() for task in others)
        gate.open.set()
    answers = [task.result() for task in (first, *others)]
    assert {(answer.status_code, answer.text) for answer in answers} == {(201, first.result().text)}
    assert [answer.headers.get("idempotent-replay") for answer in answers] == [None, *["true"] * 8]
    assert (await tallied(toy)).count(("once", 1)) == 1


async def test_a_request_that_stays_under_way_is_told_to_come_later(
    running: Running, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "WAIT_SECONDS", 0.0)
    gate: Gate = running.app.state.gate
    gate.open.clear()
    key = {"idempotency-key": "k"}
    async with asyncio.TaskGroup() as group:
        first = group.create_task(http.post("/v1/tallies", json={"name": "once"}, headers=key))
        await gate.entered.wait()
        meanwhile = await http.post("/v1/tallies", json={"name": "once"}, headers=key)
        gate.open.set()
    assert (meanwhile.status_code, meanwhile.headers["retry-after"]) == (409, "1")
    assert meanwhile.headers["content-type"] == "application/problem+json"
    assert meanwhile.json()["type"] == "urn:plateau:problem:in-progress"
    assert first.result().status_code == 201


@pytest.mark.parametrize("failure", [Conflict("not now"), ZeroDivisionError()], ids=["refused", "defect"])
async def test_a_first_request_that_failed_leaves_the_key_free(
    running: Running, http: httpx.AsyncClient, toy: Database, failure: Exception
) -> None:
    running.app.state.gate.failures = [failure]
    key = {"idempotency-key": "k"}
    failed = await http.post("/v1/tallies", json={"name": "wrong"}, headers=key)
    invalid = await http.post("/v1/tallies", json={"name": 5}, headers=key)
    mended = await http.post("/v1/tallies", json={"name": "right"}, headers=key)
    again = await http.post("/v1/tallies", json={"name": "right"}, headers=key)
    assert (failed.status_code >= 400, invalid.status_code, mended.status_code) == (True, 422, 201)
    assert (again.text, again.headers["idempotent-replay"]) == (mended.text, "true")
    assert await tallied(toy) == [("right", 1)]


@pytest.mark.parametrize(
    ("path", "other"),
    [
        ("/v1/tallies", {"name": "other"}),
        ("/v1/tallies?note=1", {"name": "first"}),
        ("/v1/tallies/next", {"name": "first"}),
    ],
    ids=["body", "query", "route"],
)
async def test_a_key_of_another_request_is_refused(
    http: httpx.AsyncClient, toy: Database, path: str, other: dict[str, str]
) -> None:
    key = {"idempotency-key": "k"}
    assert (await http.post("/v1/tallies", json={"name": "first"}, headers=key)).status_code == 201
    refused = await http.post(path, json=other, headers=key)
    assert (refused.status_code, refused.json()["field"]) == (409, "Idempotency-Key")
    assert "retry-after" not in refused.headers
    assert await tallied(toy) == [("first", 1)]


async def sent(running: Running, token: str, path: str, body: bytes, announced: int) -> asyncio.StreamWriter:
    """A client of one request, whose body may be shorter than it has announced."""
    host, _, port = running.base_url.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\nidempotency-key: k\r\n"
        f"content-type: application/json\r\ncontent-length: {announced}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await writer.drain()
    return writer


async def test_a_client_that_leaves_in_the_middle_of_its_body_has_done_nothing_and_held_nothing(
    running: Running, stack: Stack, http: httpx.AsyncClient, toy: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """given a pool of three connections, when six clients send half a body and wait, then others are served; and when
    the six leave, nothing has happened and their key is free."""
    left: list[str] = []
    real = bodies.Body._take

    async def take(body: bodies.Body) -> None:
        try:
            await real(body)
        except Exception as failure:
            left.append(str(failure))
            raise

    monkeypatch.setattr(bodies.Body, "_take", take)
    body = json.dumps({"name": "half"}).encode()
    paths = ["/v1/tallies", "/v1/tallies/next", "/v1/tallies/file"] * 2
    slow = [await sent(running, stack.token(), path, body[:5], len(body)) for path in paths]
    for number in range(6):
        assert (await http.post("/v1/tallies", json={"name": f"{number}"})).status_code == 201
    for writer in slow:
        writer.transport.abort()

    async def all_left() -> bool:
        return len(left) == len(slow)

    await eventually(all_left)
    assert set(left) == {"the client left before the end of the body"}
    whole = await http.post("/v1/tallies", json={"name": "whole"}, headers={"idempotency-key": "k"})
    assert whole.status_code == 201
    assert await tallied(toy) == [*((f"{number}", 1) for number in range(6)), ("whole", 1)]


@pytest.mark.parametrize("path", ["/v1/tallies", "/v1/tallies/next", "/v1/tallies/file"])
async def test_a_client_that_leaves_after_its_body_finds_its_answer(
    running: Running,
    stack: Stack,
    http: httpx.AsyncClient,
    toy: Database,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
) -> None:
    """Whether the route reads its body or not: the client is gone before anything is done."""
    body = json.dumps({"name": "gone"}).encode()
    gone = asyncio.Event()
    real = bodies.Body._take

    async def take(given: bodies.Body) -> None:
        await real(given)
        if not gone.is_set():
            writer.transport.abort()
            assert (await given._receive())["type"] == "http.disconnect"
            gone.set()

    monkeypatch.setattr(bodies.Body, "_take", take)
    writer = await sent(running, stack.token(), path, body, len(body))
    await gone.wait()
    headers = {"idempotency-key": "k", "content-type": "application/json"}
    answers = [await http.post(path, content=body, headers=headers) for _ in range(2)]
    assert {answer.is_success for answer in answers} == {True}
    assert answers[0].text == answers[1].text
    assert answers[1].headers["idempotent-replay"] == "true"
    assert len(await tallied(toy)) == 1


async def test_a_long_body_lies_on_the_disk_and_these_are_bounded(
    http: httpx.AsyncClient, toy: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "MEMORY", 1000)
    monkeypatch.setattr(bodies, "DISK", 200_000)
    fits, another = b"f" * 200_000, b"g" * 200_000
    key = {"idempotency-key": "k"}
    assert (await http.post("/v1/tallies/file", content=b"x" * 200_001)).status_code == 503
    assert (await http.post("/v1/tallies/file", content=fits, headers=key)).json()["count"] == 200_000
    assert (await http.post("/v1/tallies/file", content=another, headers=key)).status_code == 409
    assert (await http.post("/v1/tallies/file", content=fits, headers=key)).headers["idempotent-replay"] == "true"
    assert bodies.Body.on_disk == 0
    assert await tallied(toy) == [("file", 200_000)]


async def test_a_client_that_falls_silent_is_given_up(
    running: Running, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "SILENT_SECONDS", 0.01)
    host, _, port = running.base_url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = ["POST /v1/tallies HTTP/1.1", "host: h", f"authorization: Bearer {stack.token()}", "content-length: 9"]
    writer.write("\r\n".join([*head, "connection: close", "", "half"]).encode())
    answer = await reader.read()
    writer.close()
    assert b"400 Bad Request" in answer
    assert b"no byte of the body came" in answer
