"""Dialer as a process: through its HTTP API, Kafka, and a routing that is a real HTTP server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from common import envelope
from common.events import Event
from common.hours import WEEKDAYS
from common.ids import new_id
from common.service import Running, started
from common.testing import eventually
from dialer.config import Settings
from dialer.main import wire
from support import Stack, read_all

from .conftest import MONDAY, RoutingStub, Story, numbers

CAMPAIGN: dict[str, Any] = {
    "tenant_id": "kettle",
    "queue_id": "sales",
    "name": "Renewals",
    "calling_hours": {day: [["08:00", "21:00"]] for day in ("mon", "tue")},
    "max_attempts": 2,
    "retry_after_minutes": 60,
    "ring_seconds": 25,
}
CSV = {"content-type": "text/csv"}


@dataclass
class Dialer:
    """The service with an operator and a PBX at its API, and routing at the other end of Kafka."""

    stack: Stack
    running: Running
    settings: Settings
    operator: httpx.AsyncClient
    pbx: httpx.AsyncClient
    story: Story
    exits: AsyncExitStack
    heard: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    async def client(self, role: str, tenant: str | None = None) -> httpx.AsyncClient:
        """Somebody else at the API."""
        token = self.stack.token(role, tenant=tenant, subject=f"{role}-{tenant}")
        return await self.exits.enter_async_context(self.running.client(token))

    async def set_up(self, leads: int = 3) -> None:
        """A running campaign."""
        tenant = {"name": "Kettle", "time_zone": "Europe/Paris", "region": "FR"}
        assert (await self.operator.put("/v1/tenants/kettle", json=tenant)).status_code == 201
        assert (await self.operator.put("/v1/campaigns/renewals", json=CAMPAIGN)).status_code == 201
        answer = await self.operator.post(
            "/v1/campaigns/renewals/leads", content="phone\n" + "\n".join(numbers(leads)), headers=CSV
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["imported"] == leads
        assert (await self.operator.post("/v1/campaigns/renewals/start")).json()["state"] == "running"

    async def send(self, *events: Event) -> None:
        """Routing publishes these."""
        async with self.stack.kafka.producer() as producer:
            for event in events:
                headers, value = envelope.encode(
                    event, event_id=new_id(), source="routing", time=self.running.runtime.clock.now(), traceparent=None
                )
                await producer.send_and_wait(event.TOPIC, value=value, key=event.key.encode(), headers=headers)

    @asynccontextmanager
    async def listening(self, last: str | None = None) -> AsyncIterator[list[tuple[str, str, dict[str, Any]]]]:
        """The PBX's stream from a position on, as (id, command, data)."""
        heard: list[tuple[str, str, dict[str, Any]]] = []

        async def listen() -> None:
            headers = {} if last is None else {"last-event-id": last}
            async with self.pbx.stream("GET", "/v1/dials/stream", headers=headers) as answer:
                assert answer.status_code == 200
                fields: dict[str, str] = {}
                async for line in answer.aiter_lines():
                    name, _, value = line.partition(": ")
                    if line:
                        fields[name] = value
                    elif "data" in fields:
                        heard.append((fields["id"], fields["event"], json.loads(fields["data"])))
                        fields = {}

        task = asyncio.create_task(listen())
        try:
            yield heard
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def fact(self, attempt_id: str, fact: str) -> dict[str, Any]:
        """The PBX tells a fact."""
        answer = await self.pbx.post(f"/v1/attempts/{attempt_id}/facts", json={"fact": fact})
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told


@pytest.fixture
async def dialer(stack: Stack, routing: RoutingStub) -> AsyncIterator[Dialer]:
    """Dialer, up and assigned its partitions, on Monday at eleven."""
    settings = stack.settings(
        Settings,
        "dialer",
        clock_origin=MONDAY,
        pace_seconds=0.05,
        routing_url=routing.url,
        routing_token="secret",
        import_max_bytes=100_000,
    )
    async with started("dialer", settings, wire) as running, AsyncExitStack() as exits:
        operator = await exits.enter_async_context(running.client(stack.token("operator")))
        pbx = await exits.enter_async_context(running.client(stack.token("service", subject="pbx")))
        await running.wiring.consumers[0].assigned.wait()
        yield Dialer(stack, running, settings, operator, pbx, Story(running.runtime.clock), exits)


async def test_from_the_list_to_the_disposition(dialer: Dialer, routing: RoutingStub) -> None:
    await dialer.set_up(leads=2)
    async with dialer.listening() as heard:

        async def commands(count: int) -> list[str]:
            async def enough() -> bool:
                return len(heard) >= count

            await eventually(enough)
            return [command for _, command, _ in heard]

        await dialer.send(dialer.story.agent("anna", "available"))
        assert await commands(1) == ["dial"]
        dial = heard[0][2]
        assert (dial["phone"], dial["ring_seconds"], dial["campaign_id"]) == (numbers(1)[0], 25.0, "renewals")
        attempt_id = dial["attempt_id"]
        pace = (await dialer.operator.get("/v1/campaigns/renewals/pacing")).json()
        assert pace == {
            "agents_logged_in": 1,
            "idle_agents": 1,
            "in_flight": 1,
            "waiting_or_in_flight": 1,
            "may_start": 0,
            "reason": "every idle agent is spoken for",
        }
        for wanted in ((True, None), (False, "repeated")):
            taken = await dialer.fact(attempt_id, "ringing")
            assert (taken["state"], taken["happened"], taken["why_not"]) == ("ringing", *wanted)
        for wanted in ((True, None), (False, "repeated")):
            taken = await dialer.fact(attempt_id, "answered")
            assert (taken["state"], taken["happened"], taken["why_not"]) == ("handed_over", *wanted)
        taken = await dialer.fact(attempt_id, "busy")
        assert (taken["state"], taken["happened"], taken["why_not"]) == ("handed_over", False, "answered")
        assert await commands(2) == ["dial", "handed_over"]
        call_id = f"{attempt_id}.sales"
        assert heard[1][2]["call_id"] == call_id
        assert list(routing.calls) == [attempt_id]
        assert 1.0 < routing.requests[0]["max_wait_seconds"] <= 2.0
        about = {"attempt_id": attempt_id, "direction": "outbound", "campaign_id": "renewals"}
        story = dialer.story
        await dialer.send(
            story.call("offered", call_id, **about),
            story.call("queued", call_id, **about),
            story.call("assigned", call_id, **about),
            story.call("answered", call_id, **about),
            story.agent("anna", "busy"),
            story.call("wrapped_up", call_id, **about, disposition="appointment"),
        )

        async def over() -> bool:
            state: str = (await dialer.operator.get(f"/v1/attempts/{attempt_id}")).json()["state"]
            return state == "ended"

        await eventually(over)
        ended = (await dialer.operator.get(f"/v1/attempts/{attempt_id}")).json()
        assert (ended["outcome"], ended["disposition"]) == ("answered", "appointment")
        # The second lead is not there.
        await dialer.send(story.agent("anna", "available"))
        assert (await commands(3))[2] == "dial"
        await dialer.fact(heard[2][2]["attempt_id"], "busy")
    async with dialer.listening(heard[1][0]) as again:
        await asyncio.sleep(0.2)
        # The dial of an attempt that has moved on is not given to anyone again.
        assert again == []
    whole = (await dialer.operator.get("/v1/campaigns/renewals")).json()
    assert whole["leads"] == {"pending": 1, "in_progress": 0, "done": 1, "exhausted": 0, "barred": 0, "removed": 0}
    first, second = (await dialer.operator.get("/v1/campaigns/renewals/leads")).json()["items"]
    assert (first["may_dial"], first["last_outcome"]) == (
        {"allowed": False, "refused_by": "done", "until": None, "holiday": None},
        "answered",
    )
    assert second["may_dial"]["refused_by"] == "retry_after"

    async def told() -> list[str] | None:
        records = await read_all(dialer.stack.kafka, "dialing")
        kinds = sorted(envelope.event_type(record.headers) or "" for record in records)
        return kinds if len(kinds) == 5 else None

    assert await eventually(told) == [
        "attempt.ended.v1",
        "attempt.ended.v1",
        "attempt.started.v1",
        "attempt.started.v1",
        "campaign.started.v1",
    ]


async def test_a_stream_goes_on_where_it_broke_off(dialer: Dialer) -> None:
    await dialer.set_up(leads=6)
    await dialer.send(*(dialer.story.agent(name, "available") for name in ("anna", "ben", "carl")))

    async with dialer.listening() as first:

        async def three() -> bool:
            return len(first) == 3

        await eventually(three)
    async with dialer.listening(first[0][0]) as rest:

        async def two() -> bool:
            return len(rest) == 2

        await eventually(two)
    assert rest == first[1:]
    polled = (await dialer.pbx.get("/v1/dials", params={"limit": 2})).json()
    assert [item["attempt_id"] for item in polled["items"]] == [data["attempt_id"] for _, _, data in first[:2]]
    more = (await dialer.pbx.get("/v1/dials", params={"after": polled["next_cursor"]})).json()
    assert [item["position"] for item in more["items"]] == [int(first[2][0])]
    assert (await dialer.pbx.get("/v1/dials", params={"after": more["next_cursor"]})).json()["items"] == []


async def test_putting_is_idempotent_and_names_what_is_wrong(dialer: Dialer) -> None:
    operator = dialer.operator
    assert (await operator.put("/v1/campaigns/renewals", json=CAMPAIGN)).json()["field"] == "tenant_id"
    tenant = {"name": "Kettle", "time_zone": "Europe/Paris", "region": "FR"}
    for field_name, wrong in (("time_zone", "Europe/Pari"), ("region", "XX"), ("name", "")):
        answer = await operator.put("/v1/tenants/kettle", json={**tenant, field_name: wrong})
        assert (answer.status_code, answer.json()["field"]) == (422, field_name)
    assert (await operator.put("/v1/tenants/kettle", json=tenant)).status_code == 201
    assert (await operator.put("/v1/tenants/kettle", json=tenant)).json()["version"] == 1
    assert (await operator.get("/v1/tenants")).json()["items"] == [
        {
            **tenant,
            "allow_possible_numbers": False,
            "rest_after_call_minutes": 60,
            "tenant_id": "kettle",
            "version": 1,
        }
    ]

    wrong_hours = {**CAMPAIGN, "calling_hours": {"mon": [["10:00", "09:00"]]}}
    answer = await operator.put("/v1/campaigns/renewals", json=wrong_hours)
    assert (answer.status_code, answer.json()["field"]) == (422, "calling_hours.mon.0")
    answer = await operator.put("/v1/campaigns/renewals", json={**CAMPAIGN, "holidays": "GB"})
    assert (answer.status_code, answer.json()["field"]) == (422, "holidays")
    assert "GB-ENG (England)" in answer.json()["detail"]
    answer = await operator.put("/v1/campaigns/renewals", json={**CAMPAIGN, "exceptions": {"2026-12-32": []}})
    assert (answer.status_code, answer.json()["field"]) == (422, "exceptions.2026-12-32")
    answer = await operator.put("/v1/campaigns/renewals", json={**CAMPAIGN, "ring": 1})
    assert (answer.status_code, answer.json()["field"]) == (422, "ring")

    absent = await operator.put("/v1/campaigns/renewals", json=CAMPAIGN, headers={"if-match": "*"})
    assert (absent.status_code, absent.json()["field"]) == (412, "If-Match")
    created = await operator.put("/v1/campaigns/renewals", json=CAMPAIGN)
    assert (created.status_code, created.headers["etag"], created.json()["state"]) == (201, '"1"', "draft")
    same = await operator.put("/v1/campaigns/renewals", json=CAMPAIGN)
    assert (same.status_code, same.json()) == (200, created.json())
    assert (await operator.post("/v1/campaigns/renewals/pause")).status_code == 409
    assert (await operator.post("/v1/campaigns/renewals/start")).json()["version"] == 2
    assert (await operator.post("/v1/campaigns/renewals/start")).json()["version"] == 2
    changed = {**CAMPAIGN, "max_attempts": 5}
    stale = await operator.put("/v1/campaigns/renewals", json=changed, headers={"if-match": '"1"'})
    assert stale.status_code == 412
    answer = await operator.put("/v1/campaigns/renewals", json=changed, headers={"if-match": '"2"'})
    assert (answer.json()["version"], answer.json()["state"]) == (3, "running")
    assert (await operator.post("/v1/campaigns/renewals/pause")).json()["state"] == "paused"
    assert (await operator.put("/v1/tenants/other", json=tenant)).status_code == 201
    answer = await operator.put("/v1/campaigns/renewals", json={**changed, "tenant_id": "other"})
    assert (answer.status_code, answer.json()["field"]) == (422, "tenant_id")


async def test_lists_come_in_by_http(dialer: Dialer) -> None:
    await dialer.set_up(leads=2)
    path = "/v1/campaigns/renewals/leads"

    async def slowly() -> AsyncIterator[bytes]:
        for piece in (b"phone,na", b"me\n+336399801", b"00,Odile\nnot a ", b"number,Basile\n"):
            yield piece
            await asyncio.sleep(0)

    refused = await dialer.operator.post(path, content=slowly(), headers=CSV)
    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["errors"] == [
        {
            "line": 3,
            "column": "phone",
            "value": "not a number",
            "reason": "'not••••••ber' is not a phone number: it has a letter at character 1: write digits alone, "
            "without words or names",
        }
    ]
    skipped = await dialer.operator.post(path, params={"on_reject": "skip"}, content=slowly(), headers=CSV)
    assert (skipped.status_code, skipped.json()["imported"], skipped.json()["rejected"]) == (200, 1, 1)
    once = {**CSV, "idempotency-key": "list-1"}
    answers = [await dialer.operator.post(path, content="phone\n+33639980150", headers=once) for _ in range(2)]
    assert [answer.json()["imported"] for answer in answers] == [1, 1]
    assert answers[1].headers["idempotent-replay"] == "true"
    another = await dialer.operator.post(path, content="phone\n+33639980151", headers=once)
    assert (another.status_code, another.json()["field"]) == (409, "Idempotency-Key")
    assert (await dialer.operator.post(path, content=b"phone\n" + b"\n" * 100_000, headers=CSV)).status_code == 413
    assert (await dialer.operator.post(path, json={})).status_code == 415
    assert (await dialer.operator.post("/v1/campaigns/none/leads", content="phone\n", headers=CSV)).status_code == 404
    page = (await dialer.operator.get(path, params={"limit": 3})).json()
    rest = (await dialer.operator.get(path, params={"cursor": page["next_cursor"]})).json()
    assert [lead["phone"] for lead in page["items"] + rest["items"]] == [
        *numbers(2),
        "+33639980100",
        "+33639980150",
    ]


async def test_a_list_with_columns_of_its_own_is_mapped(dialer: Dialer) -> None:
    await dialer.set_up(leads=1)
    path = "/v1/campaigns/renewals/leads"
    content = "Mobile;Fixe;Client\n+33639980100;+33639980101;Zoé\n".encode("cp1252")
    refused = await dialer.operator.post(path, content=content, headers=CSV)
    assert refused.status_code == 422
    assert "column=phone:Mobile" in refused.json()["detail"]
    taken = {"column": ["phone:Mobile", "name:Client"]}
    answer = await dialer.operator.post(path, params=taken, content=content, headers=CSV)
    assert (answer.status_code, answer.json()["imported"]) == (200, 1), answer.text
    assert answer.json()["read_as"] == {
        "encoding": "windows-1252",
        "separator": ";",
        "columns": {"phone": "Mobile", "name": "Client"},
        "left_out": ["Fixe"],
    }
    noted = "Phone,Name,Notes\n+33639980102,Odile,later\n"
    ignored = await dialer.operator.post(path, params={"unknown_columns": "ignore"}, content=noted, headers=CSV)
    assert (ignored.status_code, ignored.json()["read_as"]["left_out"]) == (200, ["Notes"])
    for wrong in (["name:Client"], ["phone:A", "phone:B"], ["telephone:A"], ["phone:"], ["phone"]):
        answer = await dialer.operator.post(path, params={"column": wrong}, content=content, headers=CSV)
        assert (answer.status_code, answer.json()["field"]) == (422, "column"), (wrong, answer.text)


async def test_leads_are_corrected_and_removed_by_http(dialer: Dialer) -> None:
    await dialer.set_up(leads=2)
    listed = (await dialer.operator.get("/v1/campaigns/renewals/leads")).json()["items"]
    path = f"/v1/leads/{listed[0]['lead_id']}"
    own, other = await dialer.client("tenant", "kettle"), await dialer.client("tenant", "teapot")
    other_operator = await dialer.client("operator", "teapot")
    read = await own.get(path)
    assert (read.status_code, read.json(), read.headers["etag"]) == (200, listed[0], '"1"')
    assert (await own.patch(path, json={"name": "Zoé"})).status_code == 403
    assert (await own.delete(path)).status_code == 403
    assert (await other.get(path)).status_code == 404
    assert (await other_operator.patch(path, json={"name": "Zoé"})).status_code == 404
    assert (await other_operator.delete(path)).status_code == 404
    assert (await dialer.operator.get(f"/v1/leads/{new_id()}")).status_code == 404

    change = {"phone": "06 39 98 01 00", "name": "Zoé", "time_zone": "Indian/Reunion"}
    changed = await dialer.operator.patch(path, json=change, headers={"if-match": '"1"'})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"'), changed.text
    assert changed.json() == {
        **listed[0],
        "phone": "+33639980100",
        "name": "Zoé",
        "time_zones": ["Indian/Reunion"],
        "may_dial": changed.json()["may_dial"],
        "version": 2,
    }
    assert (await dialer.operator.patch(path, json=change)).headers["etag"] == '"2"'
    assert (await dialer.operator.patch(path, json={"name": "A"}, headers={"if-match": '"1"'})).status_code == 412
    for field_name, value in (("phone", "12"), ("phone", None), ("time_zone", "Mars/Base"), ("priority", 1)):
        answer = await dialer.operator.patch(path, json={field_name: value})
        assert (answer.status_code, answer.json()["field"]) == (422, field_name), answer.text
    taken = await dialer.operator.patch(path, json={"phone": listed[1]["phone"]})
    assert (taken.status_code, taken.json()["field"]) == (409, "phone")

    assert (await dialer.operator.delete(path, headers={"if-match": '"1"'})).status_code == 412
    for _ in range(2):
        assert (await dialer.operator.delete(path)).status_code == 204
    assert (await dialer.operator.get(path)).status_code == 404
    assert (await dialer.operator.patch(path, json={"name": "A"})).status_code == 404
    left = (await dialer.operator.get("/v1/campaigns/renewals/leads")).json()["items"]
    assert [lead["lead_id"] for lead in left] == [listed[1]["lead_id"]]
    removed = (await dialer.operator.get("/v1/campaigns/renewals/leads?state=removed")).json()["items"]
    assert [(lead["phone"], lead["name"]) for lead in removed] == [("+33639980100", None)]


async def test_roles_and_tenants(dialer: Dialer) -> None:
    await dialer.set_up(leads=1)
    await dialer.send(dialer.story.agent("anna", "available"))

    async def dialled() -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await dialer.operator.get("/v1/campaigns/renewals/attempts")).json()["items"]
        return items

    (attempt,) = await eventually(dialled)
    own, other = await dialer.client("tenant", "kettle"), await dialer.client("tenant", "teapot")
    foreign_pbx = await dialer.client("service", "teapot")
    agent, nobody = await dialer.client("agent"), await dialer.exits.enter_async_context(dialer.running.client())
    reads = {
        "/v1/tenants/kettle": "/v1/tenants/none",
        "/v1/campaigns/renewals": "/v1/campaigns/none",
        "/v1/campaigns/renewals/leads": "/v1/campaigns/none/leads",
        "/v1/campaigns/renewals/attempts": "/v1/campaigns/none/attempts",
        f"/v1/attempts/{attempt['attempt_id']}": f"/v1/attempts/{new_id()}",
    }
    for path, missing in reads.items():
        assert (await own.get(path)).status_code == 200
        assert (await nobody.get(path)).status_code == 401
        assert (await agent.get(path)).status_code == 403
        hidden, absent = await other.get(path), await other.get(missing)
        assert (hidden.status_code, hidden.json()["type"]) == (absent.status_code, absent.json()["type"])
        assert hidden.status_code == 404
    for path in ("/v1/tenants", "/v1/campaigns"):
        assert len((await own.get(path)).json()["items"]) == 1
        assert (await other.get(path)).json()["items"] == []
    for path in ("start", "pause"):
        assert (await own.post(f"/v1/campaigns/renewals/{path}")).status_code == 403
    assert (await own.get("/v1/dials")).status_code == 403
    assert (await own.get("/v1/campaigns/renewals/pacing")).status_code == 403
    assert len((await dialer.pbx.get("/v1/dials")).json()["items"]) == 1
    assert (await foreign_pbx.get("/v1/dials")).json()["items"] == []
    told = await foreign_pbx.post(f"/v1/attempts/{attempt['attempt_id']}/facts", json={"fact": "busy"})
    assert told.status_code == 404
    assert (await dialer.pbx.post(f"/v1/attempts/{new_id()}/facts", json={"fact": "busy"})).status_code == 404
    wrong = await dialer.pbx.post(f"/v1/attempts/{attempt['attempt_id']}/facts", json={"fact": "sold"})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "fact")


async def test_the_do_not_call_list(dialer: Dialer) -> None:
    await dialer.set_up(leads=3)
    await dialer.send(dialer.story.agent("anna", "available"))

    async def dialled() -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await dialer.operator.get("/v1/campaigns/renewals/attempts")).json()["items"]
        return items

    (attempt,) = await eventually(dialled)
    await dialer.operator.post("/v1/campaigns/renewals/pause")
    path = "/v1/tenants/kettle/do-not-call"
    own = await dialer.client("tenant", "kettle")
    first, second, third = numbers(3)
    async with dialer.listening() as heard:
        national = f"0{first[3:]}"
        put = await own.put(f"{path}/{national}", json={"reason": "asked on the telephone"})
        assert (put.status_code, put.json()["phone"], put.json()["reason"]) == (201, first, "asked on the telephone")

        async def given_up() -> bool:
            return ("hang_up", attempt["attempt_id"]) in [(name, data["attempt_id"]) for _, name, data in heard]

        await eventually(given_up)
    ended = (await dialer.operator.get(f"/v1/attempts/{attempt['attempt_id']}")).json()
    assert (ended["state"], ended["outcome"]) == ("ended", "refused")
    again = await own.put(f"{path}/{first.replace('+', '%2B')}", json={"reason": "another"})
    assert (again.status_code, again.json()) == (200, put.json())

    wrong = await own.post(path, json={"phones": [second, "12", "gone fishing"]})
    assert (wrong.status_code, [error["field"] for error in wrong.json()["errors"]]) == (422, ["phones.1", "phones.2"])
    assert (await own.post(path, json={"phones": []})).status_code == 422
    bulk = await dialer.operator.post(path, json={"phones": [first, second, f"00{second[1:]}"], "reason": "a list"})
    assert bulk.json() == {"added": 1, "unchanged": 1}
    page = (await own.get(path, params={"limit": 1})).json()
    rest = (await own.get(path, params={"limit": 1, "cursor": page["next_cursor"]})).json()
    assert [item["phone"] for item in page["items"] + rest["items"]] == [first, second]
    assert (await own.get(f"{path}/{second}")).json()["added_by"] == "olive"

    leads = (await own.get("/v1/campaigns/renewals/leads")).json()["items"]
    assert {lead["phone"]: lead["may_dial"]["refused_by"] for lead in leads if lead["phone"] != third} == {
        first: "do_not_call",
        second: "do_not_call",
    }
    assert (await own.delete(f"{path}/{second}")).status_code == 204
    assert (await own.delete(f"{path}/{second}")).status_code == 404
    assert (await own.get(f"{path}/{second}")).status_code == 404
    changes = (await own.get("/v1/tenants/kettle/do-not-call-changes", params={"phone": second})).json()["items"]
    assert [(change["action"], change["actor"]) for change in changes] == [
        ("removed", "tenant-kettle"),
        ("added", "olive"),
    ]
    every = (await own.get("/v1/tenants/kettle/do-not-call-changes", params={"limit": 2})).json()
    more = (await own.get("/v1/tenants/kettle/do-not-call-changes", params={"cursor": every["next_cursor"]})).json()
    assert len(every["items"] + more["items"]) == 3

    other, agent = await dialer.client("tenant", "teapot"), await dialer.client("agent")
    for answer in (
        await other.get(path),
        await other.get(f"{path}/{first}"),
        await other.get("/v1/tenants/kettle/do-not-call-changes"),
        await other.put(f"{path}/{first}", json={}),
        await other.post(path, json={"phones": [first]}),
        await other.delete(f"{path}/{first}"),
    ):
        assert answer.status_code == 404
    assert (await agent.get(path)).status_code == 403
    assert (await agent.put(f"{path}/{first}", json={})).status_code == 403
    assert (await other.get("/v1/tenants/none/do-not-call")).status_code == 404


async def test_the_api_describes_itself(dialer: Dialer) -> None:
    document = (await dialer.operator.get("/openapi.json")).json()
    post = document["paths"]["/v1/campaigns/{campaign_id}/leads"]["post"]
    assert list(post["requestBody"]["content"]) == ["text/csv"]
    assert {"200", "413", "415", "422"} <= set(post["responses"])
    assert (await dialer.operator.get("/health/ready")).text == "ready"


async def test_a_campaign_keeps_its_holidays_and_exceptions_and_its_leads_say_which_refuses(dialer: Dialer) -> None:
    """Given a campaign with holidays and an exception, when they are read back, then they are as they were said; when
    today is an exception, then the lead says that this rule refuses."""
    await dialer.set_up(leads=1)
    today = dialer.running.runtime.clock.now().date()
    hours = {
        "calling_hours": {WEEKDAYS[today.weekday()]: [["00:00", "24:00"]]},
        "holidays": "FR-57",
        "exceptions": {"2026-12-28": []},
    }
    put = await dialer.operator.put("/v1/campaigns/renewals", json={**CAMPAIGN, **hours})
    assert put.status_code == 200
    view = (await dialer.operator.get("/v1/campaigns/renewals")).json()
    assert {name: view[name] for name in hours} == hours
    assert (await dialer.operator.put("/v1/campaigns/renewals", json={**CAMPAIGN, **hours})).json() == put.json()
    closed = {**hours, "exceptions": {today.isoformat(): []}}
    assert (await dialer.operator.put("/v1/campaigns/renewals", json={**CAMPAIGN, **closed})).status_code == 200
    (lead,) = (await dialer.operator.get("/v1/campaigns/renewals/leads")).json()["items"]
    assert (lead["may_dial"]["refused_by"], lead["may_dial"]["holiday"]) == ("exception", None)
