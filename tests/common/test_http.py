"""HTTP conventions on a toy service: transactions, problems that name the field, keys, roles, tenants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import httpx
import pytest
from common.auth import Role
from common.config import ServiceSettings
from common.database import Database
from common.errors import Conflict, Invalid
from common.http import Caller, Db, Model, Page, PageCursor, PageLimit, Router, decode_key, page, require
from common.service import Running, Runtime, Wiring, started
from common.testing import Issuer
from fastapi import Response
from pydantic import Field
from support import Stack

router = Router(tags=["toy"])


class Tally(Model):
    name: str = Field(max_length=20)
    count: int = Field(ge=0)


@router.post("/tenants/{tenant_id}/tallies", status_code=201, dependencies=[require(Role.OPERATOR, Role.TENANT)])
async def add(session: Db, caller: Caller, tenant_id: str, body: Tally) -> Tally:
    caller.check_tenant(tenant_id)
    await session.execute("INSERT INTO tallies VALUES ($1, $2, $3)", tenant_id, body.name, body.count)
    if body.name == "broken":
        raise Conflict("it cannot be")
    if body.name == "defect":
        raise ZeroDivisionError("secret detail")
    return body


@router.get("/tallies")
async def tallies(session: Db, limit: PageLimit = 2, cursor: PageCursor = None) -> Page[Tally]:
    rows = await session.fetch(
        "SELECT name, count FROM tallies WHERE $1::text IS NULL OR name > $1 ORDER BY name LIMIT $2",
        decode_key(cursor, str),
        limit,
    )
    return page([Tally(**dict(row)) for row in rows], limit, lambda last: (last.name,))


@router.delete("/tallies", status_code=204)
async def refuse(session: Db) -> Response:
    raise Invalid("nothing is deleted here", field="name")


async def wire(runtime: Runtime) -> Wiring:
    return Wiring(routers=[router])


@pytest.fixture
async def running(stack: Stack, toy: Database) -> AsyncIterator[Running]:
    async with started("toy", stack.settings(ServiceSettings, "toy", database_url=toy.url), wire) as service:
        yield service


async def test_a_request_is_one_transaction(running: Running, stack: Stack, toy: Database) -> None:
    async with running.client(stack.token()) as http:
        made = await http.post("/v1/tenants/kettle/tallies", json={"name": "a", "count": 1})
        refused = await http.post("/v1/tenants/kettle/tallies", json={"name": "broken", "count": 1})
        failed = await http.post("/v1/tenants/kettle/tallies", json={"name": "defect", "count": 1})
        again = await http.post("/v1/tenants/kettle/tallies", json={"name": "a", "count": 1})
    assert (made.status_code, refused.status_code, failed.status_code, again.status_code) == (201, 409, 500, 409)
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["type"] == "urn:plateau:problem:conflict"
    assert "secret" not in failed.text
    async with toy.transaction() as session:
        assert await session.fetchval("SELECT count(*) FROM tallies") == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "a"}, "count"),
        ({"name": "a", "count": -1}, "count"),
        ({"name": "a" * 21, "count": 1}, "name"),
        ({"name": "a", "count": 1, "colour": "red"}, "colour"),
    ],
)
async def test_a_wrong_value_is_named(running: Running, stack: Stack, body: dict[str, object], field: str) -> None:
    async with running.client(stack.token()) as http:
        answer = await http.post("/v1/tenants/kettle/tallies", json=body)
    assert answer.status_code == 422
    assert answer.json()["field"] == field
    assert answer.json()["errors"][0]["field"] == field


async def test_what_the_database_cannot_hold_is_the_clients_fault(running: Running, stack: Stack) -> None:
    async with running.client(stack.token()) as http:
        nul = await http.post("/v1/tenants/kettle/tallies", json={"name": "a\x00", "count": 1})
        huge = await http.post("/v1/tenants/kettle/tallies", json={"name": "a", "count": 2**40})
        not_json = await http.post(
            "/v1/tenants/kettle/tallies", content=b"{", headers={"content-type": "application/json"}
        )
        nothing = await http.get("/v1/nothing")
    assert [nul.status_code, huge.status_code, not_json.status_code, nothing.status_code] == [422, 422, 400, 404]


async def test_the_same_key_gives_the_same_answer_and_one_effect(running: Running, stack: Stack, toy: Database) -> None:
    headers = {"idempotency-key": "k1"}
    body = {"name": "once", "count": 1}
    async with running.client(stack.token()) as http:
        answers = await asyncio.gather(
            *(http.post("/v1/tenants/kettle/tallies", json=body, headers=headers) for _ in range(8))
        )
        other = await http.post("/v1/tenants/kettle/tallies", json={**body, "count": 2}, headers=headers)
    assert {answer.status_code for answer in answers} == {201}
    assert sum("idempotent-replay" in answer.headers for answer in answers) == 7
    assert len({answer.text for answer in answers}) == 1
    assert other.status_code == 409
    assert other.json()["field"] == "Idempotency-Key"


async def test_pages_walk_the_whole_list_once(running: Running, stack: Stack) -> None:
    async with running.client(stack.token()) as http:
        for name in "edcba":
            await http.post("/v1/tenants/kettle/tallies", json={"name": name, "count": 1})
        seen, cursor = [], None
        while True:
            page = (await http.get("/v1/tallies", params={"cursor": cursor} if cursor else {})).json()
            seen += [item["name"] for item in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        wrong = await http.get("/v1/tallies", params={"cursor": "nonsense"})
    assert seen == list("abcde")
    assert (wrong.status_code, wrong.json()["field"]) == (422, "cursor")


async def test_who_may_and_whose_it_is(running: Running, stack: Stack) -> None:
    body = {"name": "a", "count": 1}
    async with running.client(stack.token("tenant", tenant="kettle")) as http:
        assert (await http.post("/v1/tenants/kettle/tallies", json=body)).status_code == 201
        other = await http.post("/v1/tenants/lantern/tallies", json=body)
        assert other.status_code == 404
        assert (await http.get("/v1/dead-letters")).status_code == 403
    async with running.client(stack.token("tenant", tenant="lantern")) as http:
        assert (await http.get("/v1/tallies")).json()["items"] == []
    async with running.client(stack.token("agent")) as http:
        assert (await http.post("/v1/tenants/kettle/tallies", json=body)).status_code == 403


async def test_tokens_that_are_not_ours_are_refused(
    running: Running, stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stranger = Issuer(tmp_path_factory.mktemp("stranger"))
    for token in (
        None,
        "nonsense",
        "plk_x",
        f"plk_{'0' * 32}_x",
        stranger.mint(),
        stack.issuer.mint(seconds=-1),
        stack.issuer.mint("tenant"),
        stack.issuer.mint(tenant="*"),
        Issuer(tmp_path_factory.mktemp("other"), audience="elsewhere").mint(),
    ):
        async with running.client(token) as http:
            answer = await http.get("/v1/tallies")
        assert answer.status_code == 401, token
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_an_api_key_works_until_it_is_revoked_and_is_stored_as_a_hash(
    running: Running, stack: Stack, toy: Database
) -> None:
    async with running.client(stack.token()) as http:
        created = (await http.post("/v1/api-keys", json={"tenant_id": "kettle", "name": "shop"})).json()
        once = {"idempotency-key": "secret"}
        assert (await http.post("/v1/api-keys", json={"tenant_id": "k", "name": "y"}, headers=once)).status_code == 201
        again = await http.post("/v1/api-keys", json={"tenant_id": "k", "name": "y"}, headers=once)
        assert (again.status_code, again.headers["idempotent-replay"]) == (201, "true")
        assert len((await http.get("/v1/api-keys")).json()["items"]) == 2
        async with running.client(stack.issuer.mint(seconds=1000)) as renewed:
            later = await renewed.post("/v1/api-keys", json={"tenant_id": "k", "name": "y"}, headers=once)
        assert (later.status_code, "key" in later.json()) == (409, False)
        wrong = await http.post("/v1/api-keys", json={"tenant_id": "kettle", "name": "x", "roles": ["operator"]})
        assert wrong.status_code == 422
        async with running.client(created["key"]) as keyed:
            assert (await keyed.get("/v1/tallies")).status_code == 200
        assert (await http.delete(f"/v1/api-keys/{created['id']}")).status_code == 204
        listed = (await http.get("/v1/api-keys")).json()["items"]
    assert listed[0]["revoked_at"] is not None
    async with toy.transaction() as session:
        stored = await session.fetchval("SELECT hash FROM api_keys WHERE tenant_id = 'kettle'")
        answer = await session.fetchval("SELECT body FROM idempotency_keys")
    assert created["key"].encode() not in stored
    assert again.json()["key"].encode() not in answer
    running.runtime.authenticator._known.clear()  # half a minute passes
    async with running.client(created["key"]) as keyed:
        assert (await keyed.get("/v1/tallies")).status_code == 401


async def test_health_metrics_and_openapi(running: Running) -> None:
    async with httpx.AsyncClient(base_url=running.base_url, trust_env=False) as http:
        assert (await http.get("/health/live")).text == "live"
        assert (await http.get("/health/ready")).text == "ready"
        assert (await http.get("/metrics")).status_code == 200
        document = (await http.get("/openapi.json")).json()
    operation = document["paths"]["/v1/tenants/{tenant_id}/tallies"]["post"]
    assert "application/problem+json" in operation["responses"]["422"]["content"]
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert operation["security"]


def test_money_is_exact_and_rounded_in_one_place() -> None:
    from common.money import InvalidMoney, Money, round_money

    assert round_money(Decimal("0.125"), "EUR") == Decimal("0.13")
    assert round_money(Decimal("-0.125"), "EUR") == Decimal("-0.13")
    assert round_money(Decimal("12.5"), "JPY") == Decimal(13)
    assert Money.of("4.20", "EUR") * 3 - Money.of("0.10", "EUR") == Money.of("12.50", "EUR")
    for text, currency in (("4.205", "EUR"), ("x", "EUR"), ("1", "XXX"), ("NaN", "EUR"), ("Infinity", "EUR")):
        with pytest.raises(InvalidMoney):
            Money.of(text, currency)
    with pytest.raises(InvalidMoney):
        Money.of("1", "EUR") + Money.of("1", "USD")


def test_phone_numbers_are_normalised_and_masked() -> None:
    from common.phone import InvalidPhone, mask, normalise

    assert normalise("01 99 00 12 34", "FR") == "+33199001234"
    assert normalise("+33 (0)6 39 98 12 34") == "+33639981234"
    for wrong in ("", "12", "abc", "+999123456789012"):
        with pytest.raises(InvalidPhone):
            normalise(wrong, "FR")
    assert mask("+33199001234") == "+33••••••234"
    with pytest.raises(InvalidPhone) as raised:
        normalise("+3319900123456789")
    assert "19900123456" not in str(raised.value)
