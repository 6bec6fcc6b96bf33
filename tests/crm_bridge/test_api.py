"""crm-bridge's API, and calls that come through a real broker."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest
from common.events import CaseClosed
from common.testing import eventually
from crm_bridge.domain.webhooks import EVENT_TYPES
from standardwebhooks import Webhook as Verifier

from .calls import PHONE, answered, handled, publish
from .conftest import Bridge, Receiver


async def cases(bridge: Bridge, count: int, **parameters: Any) -> list[dict[str, Any]]:
    """The cases, once there are `count`."""

    async def enough() -> list[dict[str, Any]] | None:
        items: list[dict[str, Any]] = (await bridge.get("/v1/cases", **parameters))["items"]
        return items if len(items) >= count else None

    items = await eventually(enough)
    assert items is not None
    assert len(items) == count
    return items


def problem(answer: httpx.Response, status: int, field: str | None = None) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    if field is not None:
        assert document["field"] == field, document
    return document


async def test_tenants(bridge: Bridge) -> None:
    made = await bridge.tenant(closing_dispositions=["resolved", "refunded", "resolved"])
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    assert made.json() == {
        "tenant_id": "kettle", "name": "Kettle", "time_zone": "Europe/Paris", "region": "FR",
        "allow_possible_numbers": False, "reopen_window_days": 14,
        "closing_dispositions": ["refunded", "resolved"], "version": 1,
    }  # fmt: skip
    same = await bridge.tenant(closing_dispositions=["refunded", "resolved"])
    assert (same.status_code, same.json()["version"]) == (200, 1)
    changed = await bridge.tenant(reopen_window_days=3)
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    assert (await bridge.get("/v1/tenants/kettle"))["reopen_window_days"] == 3
    assert [tenant["tenant_id"] for tenant in (await bridge.get("/v1/tenants"))["items"]] == ["kettle"]
    problem(await bridge.tenant(time_zone="Europe/Pari"), 422, "time_zone")
    problem(await bridge.tenant(region="XX"), 422, "region")
    problem(await bridge.tenant(reopen_window_days=-1), 422, "reopen_window_days")
    problem(await bridge.tenant(colour="red"), 422, "colour")
    problem(await bridge.tenant("floor"), 422, "tenant_id")
    problem(await bridge.operator.get("/v1/tenants/lantern"), 404)
    stale = await bridge.operator.put(
        "/v1/tenants/kettle", json={"name": "K", "time_zone": "UTC"}, headers={"if-match": '"1"'}
    )
    problem(stale, 412, "If-Match")
    absent = await bridge.operator.put(
        "/v1/tenants/lantern", json={"name": "L", "time_zone": "UTC"}, headers={"if-match": "*"}
    )
    problem(absent, 412, "If-Match")


async def test_contacts(bridge: Bridge) -> None:
    await bridge.tenant()
    ada = await bridge.contact("06 39 98 00 01", name="Ada", email="ada@example.org")
    assert (ada["phone"], ada["version"], ada["priority"]) == (PHONE, 1, 0)
    assert (await bridge.get("/v1/contacts", phone=PHONE))["items"] == [ada]
    path = f"/v1/contacts/{ada['id']}"
    assert await bridge.get(path) == ada
    duplicate = await bridge.operator.post("/v1/contacts", json={"tenant_id": "kettle", "phone": "+33 639980001"})
    problem(duplicate, 409, "phone")
    wrong = problem(
        await bridge.operator.post("/v1/contacts", json={"tenant_id": "kettle", "phone": "0639"}), 422, "phone"
    )
    assert "'••••'" in wrong["detail"]
    problem(
        await bridge.operator.post("/v1/contacts", json={"tenant_id": "ketle", "phone": "0639980002"}), 422, "tenant_id"
    )
    problem(await bridge.operator.post("/v1/contacts", json={"phone": "0639980002"}), 422, "tenant_id")

    changed = await bridge.operator.patch(path, json={"priority": 9, "email": None}, headers={"if-match": '"1"'})
    assert changed.status_code == 200
    assert (changed.json()["priority"], changed.json()["email"], changed.json()["name"]) == (9, None, "Ada")
    assert changed.headers["etag"] == '"2"'
    problem(await bridge.operator.patch(path, json={"name": "Eva"}, headers={"if-match": '"1"'}), 412, "If-Match")
    problem(await bridge.operator.patch(path, json={"phone": None}), 422, "phone")
    problem(await bridge.operator.patch(path, json={"phone": "12"}), 422, "phone")
    same = await bridge.operator.patch(path, json={"priority": 9})
    assert same.json()["version"] == 2
    await bridge.contact("0639980003")
    problem(await bridge.operator.patch(path, json={"phone": "+33639980003"}), 409, "phone")
    problem(await bridge.operator.get(f"/v1/contacts/{uuid4()}"), 404)


async def test_a_post_sent_twice_with_one_key_acts_once(bridge: Bridge) -> None:
    await bridge.tenant()
    body = {"tenant_id": "kettle", "phone": PHONE}
    first = await bridge.operator.post("/v1/contacts", json=body, headers={"idempotency-key": "k-1"})
    second = await bridge.operator.post("/v1/contacts", json=body, headers={"idempotency-key": "k-1"})
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()


async def test_lists_are_paged(bridge: Bridge) -> None:
    await bridge.tenant()
    made = [await bridge.contact(f"+3363998000{number}") for number in range(5)]
    seen, cursor = [], None
    while True:
        page = await bridge.get("/v1/contacts", limit=2, **({"cursor": cursor} if cursor else {}))
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [contact["id"] for contact in made][::-1]
    problem(await bridge.operator.get("/v1/contacts", params={"cursor": "nonsense"}), 422, "cursor")


async def test_from_the_broker_to_cases_and_back(bridge: Bridge, receiver: Receiver) -> None:
    await bridge.tenant(closing_dispositions=["resolved"])
    hook = await bridge.operator.put(
        "/v1/webhooks/crm", json={"tenant_id": "kettle", "url": receiver.url(), "event_types": ["case.closed.v1"]}
    )
    assert hook.status_code == 201
    await publish(bridge.stack.kafka, handled("a"), times=2)
    await cases(bridge, 1, status="closed")
    await publish(bridge.stack.kafka, [answered("b", 60)], times=2)
    (case,) = await cases(bridge, 1, status="open")
    assert (case["calls"], case["closings"]) == (2, 1)
    whole = await bridge.get(f"/v1/cases/{case['id']}")
    assert [(call["call_id"], call["disposition"]) for call in whole["linked_calls"]] == [
        ("a", "resolved"),
        ("b", None),
    ]
    assert (await bridge.get(f"/v1/contacts/{case['contact_id']}"))["phone"] == PHONE

    closed = await bridge.operator.post(f"/v1/cases/{case['id']}/close", json={"disposition": "by hand"})
    assert (closed.status_code, closed.json()["status"], closed.json()["closings"]) == (200, "closed", 2)
    problem(await bridge.operator.post(f"/v1/cases/{case['id']}/close", json={"disposition": "again"}), 409)
    reopened = await bridge.operator.post(f"/v1/cases/{case['id']}/reopen")
    assert (reopened.json()["status"], reopened.json()["closed_at"]) == ("open", None)
    problem(await bridge.operator.post(f"/v1/cases/{case['id']}/reopen"), 409)

    async def told() -> bool:
        return len(receiver.received) == 2

    await eventually(told)
    verifier = Verifier(hook.json()["secret"])
    assert {verifier.verify(r.body, r.headers)["data"]["closing"] for r in receiver.received} == {1, 2}
    published = await records(bridge, "cases", 6)
    assert [kind for kind in published if kind == CaseClosed.TYPE] == [CaseClosed.TYPE] * 2
    assert published[0] == "case.opened.v1"


async def records(bridge: Bridge, topic: str, count: int) -> list[str]:
    """Types of the first `count` records of a topic."""
    consumer = bridge.stack.kafka.consumer(f"test-{uuid4()}")
    consumer.subscribe([topic])
    await consumer.start()
    try:
        kinds = [dict((await consumer.getone()).headers)["ce_type"].decode() for _ in range(count)]
    finally:
        await consumer.stop()
    return kinds


async def test_webhooks(bridge: Bridge, receiver: Receiver) -> None:
    await bridge.tenant()
    body: dict[str, Any] = {"tenant_id": "kettle", "url": receiver.url("/a"), "event_types": ["case.opened.v1"]}
    made = await bridge.operator.put("/v1/webhooks/crm", json=body)
    assert (made.status_code, made.headers["etag"], made.headers["cache-control"]) == (201, '"1"', "no-store")
    assert made.json()["secret"].startswith("whsec_")
    same = await bridge.operator.put("/v1/webhooks/crm", json=body)
    assert (same.status_code, same.json()["secret"], same.json()["version"]) == (200, None, 1)
    changed = await bridge.operator.put("/v1/webhooks/crm", json={**body, "enabled": False})
    assert (changed.json()["version"], changed.json()["enabled"]) == (2, False)
    shown = await bridge.get("/v1/webhooks/crm")
    assert "secret" not in shown
    assert (await bridge.get("/v1/webhooks", tenant_id="kettle"))["items"] == [shown]
    assert (shown["enabled"], shown["paused_until"], shown["previous_secret_until"]) == (False, None, None)
    everything = await bridge.operator.put("/v1/webhooks/all", json={"tenant_id": "kettle", "url": receiver.url("/b")})
    assert set(everything.json()["event_types"]) == set(EVENT_TYPES)
    assert (await bridge.operator.delete("/v1/webhooks/all")).status_code == 204
    rotated = await bridge.operator.post("/v1/webhooks/crm/rotate-secret")
    assert rotated.json()["secret"] not in (None, made.json()["secret"])
    for field, value in (
        ("url", "gopher://example.org/"),
        ("tenant_id", "ketle"),
        ("event_types.0", ["case.exploded.v1"]),
        ("event_types", []),
    ):
        wrong = {**body, field.split(".")[0]: value}
        problem(await bridge.operator.put("/v1/webhooks/new", json=wrong), 422, field)
    problem(await bridge.operator.get("/v1/webhooks/new"), 404)

    await publish(bridge.stack.kafka, handled("a"))
    await cases(bridge, 1)
    assert (await bridge.get("/v1/webhooks/crm/deliveries", state="expired"))["items"] == []
    (waiting,) = (await bridge.get("/v1/webhooks/crm/deliveries", state="pending"))["items"]
    assert waiting["attempts"] == 0
    assert waiting["expires_at"] > waiting["created_at"]
    assert receiver.received == []
    await bridge.operator.put("/v1/webhooks/crm", json=body)

    async def delivered() -> dict[str, Any] | None:
        items = (await bridge.get("/v1/webhooks/crm/deliveries", state="delivered"))["items"]
        return items[0] if items else None

    delivery = await eventually(delivered)
    assert delivery is not None
    assert (delivery["event_type"], delivery["attempts"], delivery["last_status"]) == ("case.opened.v1", 1, 204)
    again = await bridge.operator.post(f"/v1/webhooks/crm/deliveries/{delivery['id']}/replay")
    assert again.status_code == 202

    async def twice() -> bool:
        return len(receiver.received) == 2

    await eventually(twice)
    assert len({request.headers["webhook-id"] for request in receiver.received}) == 1
    problem(await bridge.operator.post(f"/v1/webhooks/crm/deliveries/{uuid4()}/replay"), 404)
    assert (await bridge.operator.delete("/v1/webhooks/crm")).status_code == 204
    problem(await bridge.operator.delete("/v1/webhooks/crm"), 404)
    problem(await bridge.operator.get("/v1/webhooks/crm/deliveries"), 404)


async def test_a_tenant_sees_and_changes_its_own_and_nothing_else(bridge: Bridge, receiver: Receiver) -> None:
    await bridge.tenant("kettle")
    await bridge.tenant("lantern")
    await publish(bridge.stack.kafka, handled("a") + handled("b", tenant="lantern"))
    both = await cases(bridge, 2)
    case = {item["tenant_id"]: item for item in both}
    hook = {"url": receiver.url(), "event_types": ["case.closed.v1"]}
    await bridge.operator.put("/v1/webhooks/lantern-crm", json={**hook, "tenant_id": "lantern"})
    kettle = await bridge.client("tenant", "kettle")

    for path in ("/v1/cases", "/v1/contacts", "/v1/tenants"):
        items = (await kettle.get(path)).json()["items"]
        assert [item["tenant_id"] for item in items] == ["kettle"]
    assert (await kettle.get("/v1/webhooks")).json()["items"] == []
    made = await kettle.post("/v1/webhooks", json=hook)
    assert made.status_code == 201
    assert (made.json()["tenant_id"], made.headers["location"]) == ("kettle", f"/v1/webhooks/{made.json()['id']}")
    mine = await kettle.put(f"/v1/webhooks/{made.json()['id']}", json={**hook, "enabled": False})
    assert (mine.status_code, mine.json()["enabled"]) == (200, False)
    own = await kettle.patch(f"/v1/contacts/{case['kettle']['contact_id']}", json={"name": "Ada"})
    assert own.json()["name"] == "Ada"

    nothing: Any = {"webhook": "no-such", "case": uuid4(), "contact": uuid4(), "tenant": "nobody", "delivery": uuid4()}
    theirs: Any = {
        "webhook": "lantern-crm",
        "case": case["lantern"]["id"],
        "contact": case["lantern"]["contact_id"],
        "tenant": "lantern",
        "delivery": uuid4(),
    }

    async def ask(ids: Any) -> list[tuple[str, int, str]]:
        answers = [
            await kettle.get(f"/v1/tenants/{ids['tenant']}"),
            await kettle.put(f"/v1/tenants/{ids['tenant']}", json={"name": "x", "time_zone": "UTC"}),
            await kettle.get("/v1/cases", params={"tenant_id": ids["tenant"]}),
            await kettle.get("/v1/contacts", params={"tenant_id": ids["tenant"]}),
            await kettle.get("/v1/webhooks", params={"tenant_id": ids["tenant"]}),
            await kettle.get(f"/v1/cases/{ids['case']}"),
            await kettle.post(f"/v1/cases/{ids['case']}/close", json={"disposition": "x"}),
            await kettle.post(f"/v1/cases/{ids['case']}/reopen"),
            await kettle.get(f"/v1/contacts/{ids['contact']}"),
            await kettle.patch(f"/v1/contacts/{ids['contact']}", json={"name": "x"}),
            await kettle.post("/v1/contacts", json={"tenant_id": ids["tenant"], "phone": "0639980007"}),
            await kettle.put(f"/v1/webhooks/{ids['webhook']}", json=hook),
            await kettle.put(f"/v1/webhooks/{ids['webhook']}", json={**hook, "tenant_id": ids["tenant"]}),
            await kettle.post("/v1/webhooks", json={**hook, "tenant_id": ids["tenant"]}),
            await kettle.get(f"/v1/webhooks/{ids['webhook']}"),
            await kettle.delete(f"/v1/webhooks/{ids['webhook']}"),
            await kettle.post(f"/v1/webhooks/{ids['webhook']}/rotate-secret"),
            await kettle.get(f"/v1/webhooks/{ids['webhook']}/deliveries"),
            await kettle.post(f"/v1/webhooks/{ids['webhook']}/deliveries/{ids['delivery']}/replay"),
        ]
        known = [str(value) for value in ids.values()]

        def anonymous(text: str) -> str:
            for value in known:
                text = text.replace(value, "…")
            return text

        return [(str(a.request.method), a.status_code, anonymous(a.text)) for a in answers]

    refused = await ask(theirs)
    assert all(status in (403, 404) for _, status, _ in refused), refused
    assert refused == await ask(nothing)
    problem(await kettle.post(f"/v1/cases/{case['kettle']['id']}/reopen"), 403)
    for unknown in ("contact_id", "email"):
        problem(await kettle.get("/v1/contacts", params={unknown: theirs["contact"]}), 422, unknown)
    assert (await kettle.get("/v1/cases", params={"contact_id": theirs["contact"]})).json()["items"] == []


@pytest.mark.parametrize(
    ("role", "method", "path", "status"),
    [
        ("agent", "GET", "/v1/cases", 200),
        ("agent", "GET", "/v1/webhooks", 403),
        ("supervisor", "GET", "/v1/contacts", 200),
        ("supervisor", "PUT", "/v1/tenants/kettle", 403),
        ("service", "GET", "/v1/tenants", 200),
    ],
)
async def test_roles(bridge: Bridge, role: str, method: str, path: str, status: int) -> None:
    client = await bridge.client(role)
    body = {"name": "x", "time_zone": "UTC"} if method == "PUT" else None
    assert (await client.request(method, path, json=body)).status_code == status


async def test_without_a_token(bridge: Bridge) -> None:
    async with bridge.running.client() as stranger:
        problem(await stranger.get("/v1/cases"), 401)
        assert (await stranger.get("/health/live")).status_code == 200
