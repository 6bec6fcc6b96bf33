"""Billing through its HTTP API, fed through Kafka."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from common.testing import eventually

from .conftest import Billing
from .events import NOON, TRACE, closed, opened, publish, reopened


async def test_tenants_are_put_and_read(billing: Billing) -> None:
    created = await billing.tenant()
    assert (created.status_code, created.headers["etag"], created.json()["version"]) == (201, '"1"', 1)
    assert (await billing.tenant()).status_code == 200
    assert (await billing.tenant()).json()["version"] == 1
    changed = await billing.tenant(name="Kettle & Co")
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    body = {"name": "K", "time_zone": "Europe/Paris", "currency": "EUR"}
    late = await billing.operator.put("/v1/tenants/kettle", json=body, headers={"if-match": '"1"'})
    assert late.status_code == 412
    absent = await billing.operator.put("/v1/tenants/lantern", json=body, headers={"if-match": "*"})
    assert absent.status_code == 412
    await billing.tenant("lantern")
    first = await billing.get("/v1/tenants", limit=1)
    rest = await billing.get("/v1/tenants", limit=1, cursor=first["next_cursor"])
    assert [page["items"][0]["tenant_id"] for page in (first, rest)] == ["kettle", "lantern"]


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ({"currency": "EURO"}, "currency", ""),
        ({"currency": "XXX"}, "currency", "'XXX'"),
        ({"time_zone": "Mars/Olympus"}, "time_zone", "'Mars/Olympus'"),
        ({"colour": "red"}, "colour", ""),
    ],
)
async def test_a_wrong_tenant_is_refused_by_field(
    billing: Billing, change: dict[str, str], field: str, value: str
) -> None:
    answer = await billing.tenant(**change)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert value in answer.json()["detail"]
    assert (await billing.operator.get("/v1/tenants/kettle")).status_code == 404


async def test_tariffs_have_versions(billing: Billing) -> None:
    assert (await billing.tariff("4.20")).status_code == 404
    await billing.tenant()
    first = await billing.tariff("4.20")
    assert first.status_code == 201
    assert first.json() == {
        "tenant_id": "kettle", "version": 1, "valid_from": "2026-11-21", "price_per_closed_case": "4.20",
        "currency": "EUR", "charged": 0,
    }  # fmt: skip
    again = await billing.tariff("4.2")
    assert (again.status_code, again.json()["version"]) == (200, 1)
    assert (await billing.tariff("5", "2027-01-01")).json()["version"] == 2
    assert [each["price_per_closed_case"] for each in (await billing.get("/v1/tenants/kettle/tariffs"))["items"]] == [
        "4.20",
        "5.00",
    ]


@pytest.mark.parametrize("price", ["-4.20", "4.205", "NaN", "four", "1e30", ""])
async def test_a_wrong_price_is_refused_with_field_and_value(billing: Billing, price: str) -> None:
    await billing.tenant()
    answer = await billing.tariff(price)
    assert (answer.status_code, answer.json()["field"]) == (422, "price_per_closed_case")
    assert price in answer.json()["detail"]
    assert (await billing.get("/v1/tenants/kettle/tariffs"))["items"] == []


async def test_a_wrong_day_or_a_number_for_a_price_is_refused(billing: Billing) -> None:
    await billing.tenant()
    for body, field in (
        ({"price_per_closed_case": "1", "valid_from": "2026-02-30"}, "valid_from"),
        ({"price_per_closed_case": "1", "valid_from": 0}, "valid_from"),
        ({"price_per_closed_case": 4.2}, "price_per_closed_case"),
        ({}, "price_per_closed_case"),
    ):
        answer = await billing.operator.put("/v1/tenants/kettle/tariff", json=body)
        assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_from_case_events_to_the_statement(billing: Billing) -> None:
    """given cases closed, reopened and told of twice, the statement has each once, in the month of the tenant"""
    await billing.tenant()
    await billing.tariff("4.20", "2026-01-01")
    plain, back = closed("c-1"), closed('a "b", c', at=NOON + timedelta(hours=1))
    late = closed("c-3", at=datetime(2026, 11, 30, 23, 30, tzinfo=UTC))
    formula = closed("=1+1", at=NOON + timedelta(hours=3))
    events = [opened("c-1"), plain, back, reopened(back), closed(back.case_id, 2, at=NOON + timedelta(days=1)), late]
    await publish(billing.stack.kafka, [*events, formula, *events], traceparent=TRACE)
    await billing.charged(6)
    statement = await billing.get("/v1/tenants/kettle/statements/2026-11")
    assert {name: statement[name] for name in ("tenant_id", "month", "time_zone", "currency")} == {
        "tenant_id": "kettle", "month": "2026-11", "time_zone": "Europe/Paris", "currency": "EUR",
    }  # fmt: skip
    lines = [
        (line["date"], line["case_id"], line["closing"], line["kind"], line["amount"]) for line in statement["lines"]
    ]
    assert lines == [
        ("2026-11-20", "c-1", 1, "charge", "4.20"),
        ("2026-11-20", 'a "b", c', 1, "charge", "4.20"),
        ("2026-11-20", 'a "b", c', 1, "reversal", "-4.20"),
        ("2026-11-20", "=1+1", 1, "charge", "4.20"),
        ("2026-11-21", 'a "b", c', 2, "charge", "4.20"),
    ]
    assert statement["totals"] == {
        "charge_count": 4, "charges": "16.80", "reversal_count": 1, "reversals": "-4.20", "net": "12.60",
        "currency": "EUR",
    }  # fmt: skip
    charges = {line["charge_id"]: line for line in statement["lines"] if line["kind"] == "charge"}
    (reversal,) = (line for line in statement["lines"] if line["kind"] == "reversal")
    assert charges[reversal["reverses"]]["case_id"] == back.case_id

    as_csv = await billing.operator.get("/v1/tenants/kettle/statements/2026-11.csv")
    assert as_csv.headers["content-type"] == "text/csv; charset=utf-8"
    assert as_csv.headers["content-disposition"] == 'attachment; filename="statement-kettle-2026-11.csv"'
    asked = await billing.operator.get("/v1/tenants/kettle/statements/2026-11", headers={"accept": "text/csv"})
    assert asked.content == as_csv.content
    records = list(csv.DictReader(io.StringIO(as_csv.text, newline="")))
    assert [record["amount"] for record in records[:-3]] == [line["amount"] for line in statement["lines"]]
    assert "'=1+1" in {record["case_id"] for record in records}
    assert [(each["kind"], each["quantity"], each["amount"]) for each in records[-3:]] == [
        ("total_charges", "4", "16.80"),
        ("total_reversals", "-1", "-4.20"),
        ("total_net", "3", "12.60"),
    ]
    december = await billing.get("/v1/tenants/kettle/statements/2026-12")
    assert [(line["case_id"], line["date"]) for line in december["lines"]] == [("c-3", "2026-12-01")]


async def test_an_empty_month_is_a_statement_of_zero(billing: Billing) -> None:
    await billing.tenant(currency="JPY")
    statement = await billing.get("/v1/tenants/kettle/statements/2026-10")
    assert (statement["lines"], statement["totals"]["net"]) == ([], "0")
    as_csv = await billing.operator.get("/v1/tenants/kettle/statements/2026-10.csv")
    assert [line.split(",")[4] for line in as_csv.text.splitlines()] == [
        "kind", "total_charges", "total_reversals", "total_net",
    ]  # fmt: skip


@pytest.mark.parametrize("month", ["2026-13", "2026-1", "november", "2026-13.csv", "0000-01"])
async def test_a_malformed_month_is_refused(billing: Billing, month: str) -> None:
    await billing.tenant()
    answer = await billing.operator.get(f"/v1/tenants/kettle/statements/{month}")
    assert (answer.status_code, answer.json()["field"]) == (422, "month")
    assert month.removesuffix(".csv") in answer.json()["detail"]


async def test_a_case_without_tariff_is_listed_and_charged_once_there_is_one(billing: Billing) -> None:
    await publish(billing.stack.kafka, [closed("c-1"), closed("c-2", tenant="lantern")])

    async def both() -> bool:
        return len((await billing.get("/v1/unrated"))["items"]) == 2

    await eventually(both)
    await billing.tenant()
    pages = [await billing.get("/v1/unrated", limit=1)]
    pages.append(await billing.get("/v1/unrated", limit=1, cursor=pages[0]["next_cursor"]))
    assert [(page["items"][0]["case_id"], page["items"][0]["reason"]) for page in pages] == [
        ("c-1", "no tariff is valid on 2026-11-20"),
        ("c-2", "billing knows no tenant lantern"),
    ]

    assert (await billing.tariff("4.20", "2026-11-01")).json()["charged"] == 1
    assert [item["case_id"] for item in await billing.charged(1)] == ["c-1"]
    summary = await billing.get("/v1/summary")
    assert summary["unrated"] == 1
    assert summary["totals"] == [
        {
            "currency": "EUR",
            "charge_count": 1,
            "charges": "4.20",
            "reversal_count": 0,
            "reversals": "0.00",
            "net": "4.20",
        }
    ]
    assert summary["tenants"][0]["tenant_id"] == "kettle"
    assert (await billing.get("/v1/summary", month="2026-10"))["tenants"] == []


async def test_the_past_is_not_rewritten(billing: Billing) -> None:
    await billing.tenant()
    await billing.tariff("4.20", "2026-01-01")
    await publish(billing.stack.kafka, [closed("c-1")])
    await billing.charged(1)
    answer = await billing.tariff("5.00", "2026-06-01")
    assert answer.status_code == 409
    assert "1 case(s) already charged, the last closed on 2026-11-20" in answer.json()["detail"]
    assert (await billing.tariff("5.00")).status_code == 201


async def test_charges_are_filtered_and_paged(billing: Billing) -> None:
    await billing.tenant()
    await billing.tariff("1", "2026-01-01")
    events = [closed(f"c-{number}", at=NOON - timedelta(days=number)) for number in range(30)]
    await publish(billing.stack.kafka, events)
    await billing.charged(30)
    assert [item["case_id"] for item in await billing.charged(1, case_id="c-7")] == ["c-7"]
    assert len(await billing.charged(10, month="2026-10")) == 10
    seen, cursor = [], None
    while True:
        page = await billing.get("/v1/charges", limit=7, **({"cursor": cursor} if cursor else {}))
        seen += [item["case_id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [f"c-{number}" for number in reversed(range(30))]


async def test_a_tenant_reads_its_own_and_nobody_elses(billing: Billing) -> None:
    for tenant in ("kettle", "lantern"):
        await billing.tenant(tenant)
        await billing.tariff("4.20", "2026-01-01", tenant)
    await publish(
        billing.stack.kafka, [closed("c-1"), closed("c-2", tenant="lantern"), closed("c-3", tenant="unknown")]
    )
    await billing.charged(2)
    kettle = await billing.client("tenant", "kettle")
    assert [item["case_id"] for item in (await kettle.get("/v1/charges")).json()["items"]] == ["c-1"]
    assert (await kettle.get("/v1/charges", params={"tenant_id": "lantern"})).status_code == 404
    assert [item["tenant_id"] for item in (await kettle.get("/v1/tenants")).json()["items"]] == ["kettle"]
    assert (await kettle.get("/v1/unrated")).json()["items"] == []
    assert len((await kettle.get("/v1/tenants/kettle/statements/2026-11")).json()["lines"]) == 1
    for path in ("", "/tariffs", "/statements/2026-11", "/statements/2026-11.csv"):
        theirs = await kettle.get(f"/v1/tenants/lantern{path}")
        nobodys = await kettle.get(f"/v1/tenants/nobody{path}")
        assert theirs.status_code == nobodys.status_code == 404
        assert theirs.text.replace("lantern", "nobody") == nobodys.text
    for method, path in (("GET", "/v1/summary"), ("POST", "/v1/replay-checks"), ("PUT", "/v1/tenants/kettle/tariff")):
        body = {"price_per_closed_case": "0"} if method == "PUT" else None
        assert (await kettle.request(method, path, json=body)).status_code == 403
    owner = await billing.client("operator", "kettle")
    put = await owner.put("/v1/tenants/lantern/tariff", json={"price_per_closed_case": "0"})
    assert put.status_code == 404
    assert (await owner.post("/v1/replay-checks")).status_code == 403
    agent = await billing.client("agent")
    assert (await agent.get("/v1/charges")).status_code == 403
    async with billing.running.client() as stranger:
        assert (await stranger.get("/v1/charges")).status_code == 401


async def test_an_impossible_closing_goes_to_the_dead_letters_with_its_cause(billing: Billing) -> None:
    await billing.tenant()
    await billing.tariff("4.20", "2026-01-01")
    wrong = closed("c-1", closing=0)
    await publish(billing.stack.kafka, [closed("c-2"), wrong, closed("c-3")])
    await billing.charged(2)

    async def dead() -> list[dict[str, str]]:
        items: list[dict[str, str]] = (await billing.get("/v1/dead-letters"))["items"]
        return items

    (letter,) = await eventually(dead)
    assert "closing 0 is not 1 or more" in letter["cause"]
