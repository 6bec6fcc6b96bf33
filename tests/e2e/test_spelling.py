"""What the five OpenAPI documents promise of numbers, days, times and texts with a pattern is what the routes take.

Every such field of every request body, and every query parameter, is tried with spellings that Python's libraries would
read, and with right ones. Nothing is behind the routes: whoever is let through by them reaches `Reached`.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from common.app import create_app
from common.auth import Principal, Role
from common.clock import ManualClock
from common.errors import Unavailable
from fastapi import FastAPI

SERVICES = ("routing", "dialer", "crm_bridge", "billing", "kpi")
UUID = "01890a5d-ac96-774b-bcce-b302099a8057"
IN_PATH = {"call_id": f"{UUID}.help", "month": "2026-11", "version": "1"}

NUMBERS: list[Any] = ["4_20", "1_0_0", "1e1", "４２", "42", "0x10", " 42", True]
BAD: dict[str, list[Any]] = {
    "integer": [*NUMBERS, 4.5],
    "number": NUMBERS,
    "date": [1764320400, "1764320400", "20261128", "2026-W48-6", "２０２６-11-28", "2026-11-28T00:00:00", "2026-02-30"],
    "date-time": [
        1764320400,
        "1764320400",
        "2026-11-28",
        "2026-11-28T10:00:00",
        "2026-11-28T10:00+01:00",
        "20261128T100000Z",
        "２０２６-11-28T10:00:00Z",
        "2026-02-30T10:00:00Z",
    ],
}
GOOD = {"date": "2026-11-28", "date-time": "2026-11-28T10:00:00+01:00"}
TEXTS = ["4_20", "1e1", "４.20", "+1", " a", "a\n", "\x00", "É", "", "a b@c"]
QUERY_NUMBERS: list[str] = [value for value in NUMBERS if value not in ("42", True)] + ["+4", "4.0", ""]


@dataclass(frozen=True)
class Field:
    """One place of a request: where it is, and what its schema says."""

    name: tuple[str, ...]
    schema: dict[str, Any]

    @property
    def kind(self) -> str | None:
        kind: str = self.schema.get("format") or self.schema.get("type", "")
        return kind if kind in BAD else None

    @property
    def pattern(self) -> str | None:
        return self.schema.get("pattern")

    def wrong(self) -> list[Any]:
        if self.kind is not None:
            return BAD[self.kind]
        outside = (
            text for text in TEXTS if self.pattern and not re.search(self.pattern.removesuffix("$") + r"\Z", text)
        )
        return list(islice(outside, 3))

    def right(self) -> list[Any]:
        given = list(self.schema.get("examples", []))
        if self.kind in GOOD:
            given.append(GOOD[self.kind])
        elif self.kind is not None:
            low, high = self.schema.get("minimum", 1), self.schema.get("maximum", 1)
            given.append(1 if low <= 1 <= high else low)
        return given


class Reached(Unavailable):
    """The request got through to what would have answered it."""


class Nothing:
    """In place of everything behind the routes."""

    def __getattr__(self, name: str) -> Any:
        raise Reached(name)


class Database:
    @asynccontextmanager
    async def transaction(self, *_: Any, **__: Any) -> AsyncIterator[Nothing]:
        yield Nothing()


class Authenticator:
    async def authenticate(self, _: str | None) -> Principal:
        return Principal("olive", frozenset(Role) - {Role.TENANT}, None)


def application(service: str) -> FastAPI:
    runtime = SimpleNamespace(
        authenticator=Authenticator(),
        database=Database(),
        clock=ManualClock(datetime(2026, 11, 28, tzinfo=UTC)),
        state=Nothing(),
        settings=Nothing(),
    )
    return create_app(service, runtime=runtime, routers=importlib.import_module(f"{service}.api").ROUTERS)


def fields(
    schema: dict[str, Any], known: dict[str, Any], name: tuple[str, ...] = (), within: tuple[str, ...] = ()
) -> Iterator[tuple[Field, Any]]:
    """Every field with a function that wraps a value of it into a body that holds nothing else."""
    if "$ref" in schema:
        model = schema["$ref"].rpartition("/")[2]
        if model not in within:
            yield from fields(known[model], known, name, (*within, model))
        return
    for choice in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from fields(choice, known, name, within)
    match schema.get("type"):
        case "object":
            # What tells the models of a union apart.
            tags = {key: of["const"] for key, of in schema.get("properties", {}).items() if "const" in of}
            kind = schema.get("properties", {}).get("type", {})
            tags |= {"type": kind["enum"][0]} if "enum" in kind else {}
            for key, of in schema.get("properties", {}).items():
                for field, wrap in fields(of, known, (*name, key), within):
                    yield field, lambda value, key=key, wrap=wrap, tags=tags: {**tags, key: wrap(value)}
            more = schema.get("additionalProperties")
            if isinstance(more, dict):
                own = schema.get("propertyNames", {}).get("enum", ["a"])[0]
                for field, wrap in fields(more, known, (*name, own), within):
                    yield field, lambda value, own=own, wrap=wrap: {own: wrap(value)}
        case "array":
            for field, wrap in fields(schema.get("items") or {}, known, (*name, "0"), within):
                yield field, lambda value, wrap=wrap: [wrap(value)]
        case _:
            yield Field(name, schema), lambda value: value


def told(answer: httpx.Response, name: tuple[str, ...]) -> list[str]:
    """What the answer says is wrong with the value of the field. Beside the field's name it may say which of several
    models it belongs to, and what is missing beside it."""
    if answer.status_code != 422:
        return []
    found = []
    for error in answer.json().get("errors") or [answer.json()]:
        parts = iter(str(error.get("field")).split("."))
        reason = str(error.get("reason") or error.get("detail"))
        if all(part in parts for part in name) and "is missing" not in reason:
            found.append(reason)
    return found


@asynccontextmanager
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
        yield http


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        if path.startswith("/v1"):
            for method, operation in methods.items():
                given = {
                    p["name"]: IN_PATH.get(p["name"], UUID if p["schema"].get("format") == "uuid" else "a")
                    for p in operation.get("parameters", ())
                    if p["in"] == "path"
                }
                yield method.upper(), path.format(**given), operation


@pytest.mark.parametrize("service", SERVICES)
async def test_bodies_are_taken_as_documented_alone(service: str) -> None:
    app = application(service)
    document, tried = app.openapi(), 0
    async with client(app) as http:
        for method, path, operation in operations(document):
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            for field, wrap in fields(content["schema"], document["components"]["schemas"]) if content else ():
                where = f"{method} {path} {'.'.join(field.name)}"
                for value in field.wrong():
                    said = told(await http.request(method, path, json=wrap(value)), field.name)
                    assert said, f"{where} takes {value!r}"
                    tried += 1
                for value in field.right() if field.kind or field.pattern else ():
                    said = told(await http.request(method, path, json=wrap(value)), field.name)
                    assert not said, f"{where} refuses {value!r}: {said}"
    assert tried >= 5


@pytest.mark.parametrize("service", SERVICES)
async def test_queries_are_taken_as_documented_alone(service: str) -> None:
    app = application(service)
    document = app.openapi()
    async with client(app) as http:
        for method, path, operation in operations(document):
            unknown = await http.request(method, path, params={"surprise": "1"})
            assert told(unknown, ("surprise",)), f"{method} {path} takes an unknown parameter: {unknown.text}"
            for parameter in operation.get("parameters", ()):
                if parameter["in"] != "query":
                    continue
                name = parameter["name"]
                for field, _ in fields({**parameter["schema"]}, {}):
                    where = f"{method} {path}?{name}"
                    wrong = [v for v in field.wrong() if isinstance(v, str)]
                    if field.kind in ("integer", "number"):
                        wrong = QUERY_NUMBERS
                    elif field.schema.get("type") == "boolean":
                        wrong = ["yes", "1", "on"]
                    for value in wrong:
                        said = told(await http.request(method, path, params={name: value}), (name,))
                        assert said, f"{where} takes {value!r}"
                    for value in [] if path.endswith("/stream") else field.right():
                        said = told(await http.request(method, path, params={name: value}), (name,))
                        assert not said, f"{where} refuses {value!r}: {said}"
                    if field.kind == "date-time":
                        lost = await http.request(method, f"{path}?{name}=2026-11-28T10:00:00+01:00")
                        assert not told(lost, (name,)), f"{where} does not mend a plus that became a blank"


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("2026-11-28T10:00:00", "such as 2026-11-28T10:00:00+01:00"),
        ("2026-11-28T10:00 01:00", "percent-encode its plus (%2B)"),
        ("yesterday", "write day, time and difference from UTC"),
    ],
)
async def test_a_refused_moment_says_how_to_write_it(text: str, remedy: str) -> None:
    async with client(application("kpi")) as http:
        answer = await http.get("/v1/summary", params={"from": text})
    assert (answer.status_code, answer.json()["field"]) == (422, "from")
    assert text in answer.json()["detail"]
    assert remedy in answer.json()["detail"]
