"""A token of one client company against every route with the ids of another: as if these did not exist.

Every route of the OpenAPI documents that takes an id (in its path, or `tenant_id` and other ids in its query) is called
twice, with the other company's ids and with ids that nobody has: never a 2xx with anything in it, and the same answer.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
from common import envelope
from common.events import AgentLoggedIn, CallAnswered, CallEvent, CallQueued, CallWrappedUp, CaseClosed, Event
from common.ids import new_id
from common.service import Running, started
from common.testing import eventually
from support import Stack

OURS, THEIRS = "kettle", "lantern"
TENANT = {"name": "Lantern & Sons (invented)", "time_zone": "Europe/Paris"}
Ids = dict[str, str]
Seed = Callable[[httpx.AsyncClient, Stack], Awaitable[Ids]]


async def produce(stack: Stack, *events: Event) -> None:
    async with stack.kafka.producer() as producer:
        for event in events:
            headers, value = envelope.encode(
                event, event_id=new_id(), source="test", time=datetime.now(UTC), traceparent=None
            )
            await producer.send_and_wait(event.TOPIC, value=value, key=event.key.encode(), headers=headers)


async def put(http: httpx.AsyncClient, path: str, body: dict[str, Any]) -> Any:
    answer = await http.put(path, json=body)
    assert answer.is_success, answer.text
    return answer.json()


async def post(http: httpx.AsyncClient, path: str, body: Any = None) -> Any:
    answer = await http.post(path, json=body)
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


async def first(http: httpx.AsyncClient, path: str) -> Any:
    """The first item of a list, once there is one."""

    async def item() -> Any:
        items = (await http.get(path)).json()["items"]
        return items[0] if items else None

    return await eventually(item)


def call_event(cls: type[CallEvent], **more: Any) -> Event:
    now = datetime.now(UTC)
    return cls(
        tenant_id=THEIRS,
        call_id="c1",
        sequence=1,
        pool_id="main",
        queue_id="lantern-help",
        entry=1,
        channel="voice",
        direction="inbound",
        contact_phone="+33199001234",
        service_level_seconds=20,
        short_abandon_seconds=5,
        time_zone="Europe/Paris",
        occurred_at=now,
        offered_at=now,
        queued_at=now,
        **more,
    )


async def seed_routing(http: httpx.AsyncClient, stack: Stack) -> Ids:
    await put(http, f"/v1/tenants/{THEIRS}", TENANT)
    await put(http, "/v1/pools/main", {"name": "Main", "skills": ["help"]})
    queue = {"tenant_id": THEIRS, "pool_id": "main", "required_skills": ["help"], "wrap_up_seconds": 30}
    await put(http, "/v1/queues/lantern-help", queue)
    await put(http, "/v1/agents/ada", {"name": "Ada", "pool_id": "main", "skills": {"help": 5}})
    flow = {"start": "help", "steps": {"help": {"type": "queue", "queue_id": "lantern-help"}}}
    await put(http, "/v1/entry-points/lantern-line", {"tenant_id": THEIRS, "pool_id": "main", "flow": flow})
    made = await post(http, "/v1/calls", {"queue_id": "lantern-help", "contact_phone": "+33199001234"})
    await eventually(lambda: _found(http, f"/v1/calls/{made['call_id']}"))
    return {
        "tenant_id": THEIRS,
        "queue_id": "lantern-help",
        "call_id": made["call_id"],
        "command_id": made["command_id"],
        "pool_id": "main",
        "agent_id": "ada",
        "entry_point_id": "lantern-line",
    }


async def _found(http: httpx.AsyncClient, path: str) -> bool:
    return (await http.get(path)).status_code == 200


async def seed_crm(http: httpx.AsyncClient, stack: Stack) -> Ids:
    await put(http, f"/v1/tenants/{THEIRS}", {**TENANT, "closing_dispositions": ["solved"]})
    await put(http, "/v1/webhooks/lantern-callback", {"tenant_id": THEIRS, "url": "https://hooks.example.org/plateau"})
    now = datetime.now(UTC)
    answered = {"agent_id": "ada", "answered_at": now, "wait_seconds": 1.0}
    await produce(stack, call_event(CallAnswered, total_wait_seconds=1.0, **answered))
    case = await first(http, "/v1/cases")
    delivery = await first(http, "/v1/webhooks/lantern-callback/deliveries")
    return {
        "tenant_id": THEIRS,
        "contact_id": case["contact_id"],
        "case_id": case["id"],
        "webhook_id": "lantern-callback",
        "delivery_id": delivery["id"],
    }


async def seed_billing(http: httpx.AsyncClient, stack: Stack) -> Ids:
    await put(http, f"/v1/tenants/{THEIRS}", {**TENANT, "currency": "EUR"})
    await put(http, f"/v1/tenants/{THEIRS}/tariff", {"price_per_closed_case": "4.20"})
    now = datetime.now(UTC)
    await produce(
        stack,
        CaseClosed(
            tenant_id=THEIRS,
            case_id="case-1",
            contact_id="contact-1",
            queue_id="lantern-help",
            sequence=2,
            opened_at=now,
            occurred_at=now,
            calls=1,
            closing=1,
            closed_at=now,
            disposition="solved",
        ),
    )
    await first(http, "/v1/charges")
    return {"tenant_id": THEIRS, "case_id": "case-1", "month": now.strftime("%Y-%m")}


async def seed_kpi(http: httpx.AsyncClient, stack: Stack) -> Ids:
    await put(http, f"/v1/tenants/{THEIRS}", TENANT)
    now = datetime.now(UTC)
    spoken = {"agent_id": "ada", "answered_at": now, "ended_at": now, "wait_seconds": 1.0, "talk_seconds": 1.0}
    await produce(
        stack,
        call_event(CallQueued),
        call_event(CallWrappedUp, wrapped_up_at=now, wrap_up_seconds=1.0, disposition=None, **spoken),
    )
    await first(http, f"/v1/intervals?tenant_id={THEIRS}")
    return {"tenant_id": THEIRS, "queue_id": "lantern-help", "agent_id": "ada", "campaign_id": "lantern-sales"}


async def seed_dialer(http: httpx.AsyncClient, stack: Stack) -> Ids:
    await put(http, f"/v1/tenants/{THEIRS}", {**TENANT, "region": "FR"})
    week = {day: [["00:00", "24:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
    campaign = {"tenant_id": THEIRS, "queue_id": "lantern-sales", "name": "Sales", "calling_hours": week}
    await put(http, "/v1/campaigns/lantern-sales", campaign)
    answer = await http.post(
        "/v1/campaigns/lantern-sales/leads", content="phone\n+33199001234\n", headers={"content-type": "text/csv"}
    )
    assert answer.is_success, answer.text
    await produce(
        stack,
        AgentLoggedIn(
            tenant_id="floor",
            agent_id="ada",
            sequence=1,
            pool_id="main",
            queue_ids=["lantern-sales"],
            occurred_at=datetime.now(UTC),
            state="available",
        ),
    )
    await post(http, "/v1/campaigns/lantern-sales/start")
    attempt = await first(http, "/v1/campaigns/lantern-sales/attempts")
    lead = await first(http, "/v1/campaigns/lantern-sales/leads")
    return {
        "tenant_id": THEIRS,
        "campaign_id": "lantern-sales",
        "attempt_id": attempt["attempt_id"],
        "lead_id": lead["lead_id"],
    }


SEEDS: dict[str, Seed] = {
    "routing": seed_routing,
    "dialer": seed_dialer,
    "crm_bridge": seed_crm,
    "billing": seed_billing,
    "kpi": seed_kpi,
}
BODIES: dict[str, Any] = {
    "PUT /v1/tenants/{tenant_id}": TENANT,
    "PUT /v1/tenants/{tenant_id}/tariff": {"price_per_closed_case": "9.99"},
    "PUT /v1/queues/{queue_id}": {"tenant_id": THEIRS, "pool_id": "main"},
    "PUT /v1/agents/{agent_id}": {"name": "Ada", "pool_id": "main"},
    "PUT /v1/pools/{pool_id}": {"name": "Main", "skills": []},
    "POST /v1/calls/{call_id}/accept": {"agent_id": "ada"},
    "POST /v1/calls/{call_id}/decline": {"agent_id": "ada"},
    "POST /v1/calls/{call_id}/wrap-up": {"agent_id": "ada", "disposition": "solved"},
    "POST /v1/agents/{agent_id}/state": {"state": "break"},
    "PATCH /v1/contacts/{contact_id}": {"name": "Eve"},
    "POST /v1/cases/{case_id}/close": {"disposition": "solved"},
    "PUT /v1/webhooks/{webhook_id}": {"tenant_id": THEIRS, "url": "https://hooks.example.org/plateau"},
    "POST /v1/attempts/{attempt_id}/facts": {"fact": "answered"},
    "PUT /v1/campaigns/{campaign_id}": {
        "tenant_id": THEIRS,
        "queue_id": "lantern-sales",
        "name": "Sales",
        "calling_hours": {"mon": [["10:00", "13:00"]]},
    },
}


def ghost(name: str, value: str) -> str:
    """An id of the same kind that nobody has."""
    if name == "month":
        return value
    if name == "call_id":
        return f"{uuid4()}.ghost-queue"
    return str(uuid4()) if len(value) == 36 else "ghost"


def same(text: str, ids: Ids) -> str:
    """An answer without the ids that were asked for."""
    for value in sorted(ids.values(), key=len, reverse=True):
        text = text.replace(value, "…")
    return text


def holds_nothing(answer: httpx.Response) -> bool:
    """An empty list is all that a query may give."""
    if "json" not in answer.headers.get("content-type", ""):
        return False
    body = answer.json()
    return isinstance(body, dict) and body.get("items") == []


@pytest.mark.parametrize("roles", ["tenant", "operator,supervisor,service,agent"])
@pytest.mark.parametrize("name", SEEDS)
async def test_another_tenants_ids_are_as_if_they_did_not_exist(name: str, roles: str, stack: Stack) -> None:
    main, config = importlib.import_module(f"{name}.main"), importlib.import_module(f"{name}.config")
    async with started(name, stack.settings(config.Settings, name), main.wire) as running:
        async with running.client(stack.token("operator,service")) as operator:
            ids = await SEEDS[name](operator, stack)
        tried = await _compare(running, ids, stack.token(roles, tenant=OURS))
    assert tried >= 8


async def _compare(running: Running, ids: Ids, token: str) -> int:
    unknown = {key: ghost(key, value) for key, value in ids.items()}
    tried = 0
    async with running.client(token) as http:
        for path, operations in (await http.get("/openapi.json")).json()["paths"].items():
            for method, operation in operations.items():
                queries = {p["name"] for p in operation.get("parameters", []) if p["in"] == "query"} & (
                    ids.keys() - {"month"}
                )
                asked = {key for key in ids if f"{{{key}}}" in path}
                for query in [None] if asked else sorted(queries):
                    answers = []
                    for given in (ids, unknown):
                        url = path
                        for key in asked:
                            url = url.replace(f"{{{key}}}", given[key])
                        answers.append(await _call(http, method.upper(), path, url, query, given))
                    theirs, nobodys = answers
                    where = f"{method.upper()} {path} ?{query}: {theirs.status_code} {theirs.text}"
                    assert theirs.status_code == nobodys.status_code, f"{where} / {nobodys.text}"
                    assert same(theirs.text, ids) == same(nobodys.text, unknown), where
                    if query in (None, "tenant_id"):
                        assert not theirs.is_success, where
                    else:
                        assert not theirs.is_success or holds_nothing(theirs), where
                    tried += 1
    return tried


async def _call(
    http: httpx.AsyncClient, method: str, path: str, url: str, query: str | None, given: Ids
) -> httpx.Response:
    params = {} if query is None else {query: given[query]}
    if path.endswith("/leads") and method == "POST":
        return await http.post(url, content="phone\n+33199001235\n", headers={"content-type": "text/csv"})
    body = json.loads(same_ids(json.dumps(BODIES.get(f"{method} {path}")), given))
    if path.endswith("/stream"):
        async with http.stream(method, url, params=params) as answer:
            if not answer.is_success:
                await answer.aread()
            return answer
    return await http.request(method, url, params=params, **({} if body is None else {"json": body}))


def same_ids(body: str, given: Ids) -> str:
    """The body names the tenant that the address names."""
    return body.replace(f'"{THEIRS}"', f'"{given["tenant_id"]}"')
