"""Comparing and applying, against services that are a dictionary."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from plateau.client import SERVICES, Client
from plateau.floor import parse
from plateau.floor.apply import NotApplied, apply, plan
from plateau.floor.export import export

FLOOR = """\
sites:
  lyon: {name: Lyon, time_zone: Europe/Paris}
  faro: {name: Faro, time_zone: Europe/Lisbon}
pools:
  room:
    name: Room
    skills: [french]
    positions:
      - {prefix: alma, count: 3, site: lyon, skills: {french: 8}, capacity: {voice: 1, chat: 3}}
    interrupts: {voice: [email, post], chat: [post]}
    break_reasons: [lunch, training]
    shares:
      boats:
        reserved_positions: 1
        release_after_seconds: 45
        burst: {reserved_positions: 3, most_positions: 9, hours: {week: {sat: [["08:00", "12:00"]]}}}
tenants:
  boats:
    name: Paper Boats
    time_zone: Europe/Paris
    closing_dispositions: [settled, cancelled]
    rest_after_call_minutes: 240
    do_not_call: ["01 99 00 11 01", "+33 1 99 00 11 02"]
    directory: {night-desk: "+33 1 99 00 01 99"}
    tariff: {price_per_closed_case: "4.20"}
    webhooks:
      boats-hook: {url: "https://boats.example/hook", event_types: [case.closed.v1]}
    queues:
      orders: {pool: room, required_skills: [french], overflow: {queue: late, after_seconds: 30}}
      late:
        pool: room
        priority: 2
        overflows:
          - {when: {type: queue_length, calls: 9}, to: {type: queue, queue_id: last}}
          - {when: {type: estimated_wait, seconds: 90}, to: {type: queue, queue_id: last}}
          - {when: {type: site_down, site_id: lyon, waiting: true}, to: {type: site, site_id: faro}}
          - {when: {type: waited, seconds: 600}, to: {type: callback}}
          - {when: {type: closed}, to: {type: message, message: call-tomorrow}}
        split:
          - {percent: 70, to: {type: stay}}
          - {percent: 30, to: {type: number, name: night-desk}}
        cover:
          - {sites: [lyon], hours: {week: {mon: [["08:00", "12:00"]]}}}
          - {sites: [lyon, faro]}
        recording: with_consent
        hours: {week: {mon: [["08:00", "12:00"]]}, holidays: FR-national, exceptions: {2026-12-24: []}}
        requirement: french >= 5
        relaxations: [{after_seconds: 30, requirement: french}]
        agent_order: fastest
        sticky_seconds: 12
        missed_offers_before_break: 2
        callback: {mode: customer_first, attempts: 2, ring_seconds: 20}
        announcements:
          - {message: hold-on, after_seconds: 20, every_seconds: 60, tell: [position, estimated_wait]}
          - {message: call-later, after_seconds: 300}
        weights: {lost_call_cost: 3, calls_per_hour: 12.5, service_level_target: 0.8, late_call_cost: 2}
      last: {pool: room}
    entry_points:
      boat-line:
        pool: room
        numbers: ["+33 6 39 98 01 00"]
        start: topic
        steps:
          topic: {type: menu, prompt: topics, choices: {"1": ask, "2": call-me}, otherwise: ask, tries: 2}
          ask: {type: priority, phones: ["+33639980199"], next: wait}
          wait: {type: queue, queue: orders}
          record: {type: voicemail, prompt: speak, queue: late}
          call-me: {type: callback, queue: late, otherwise: record}
    campaigns:
      autumn:
        name: Autumn
        queue: orders
        calling_hours: {mon: [["10:00", "13:00"]]}
        holidays: FR-57
        exceptions: {2026-12-24: [["10:00", "12:00"]], 2026-12-28: []}
        running: true
        leads: leads.csv
"""
LEADS = "phone,name\n0199001001,A\n0199001002,B\n"


class Services:
    """The five services as dictionaries: what is PUT is given back, normalised a little as real ones do."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.lists: dict[str, list[dict[str, Any]]] = {}
        self.writes: list[str] = []
        self.refusals: dict[str, dict[str, Any]] = {}

    def answer(self, request: httpx.Request) -> httpx.Response:
        service, path = str(request.url.host), request.url.path
        if request.method == "GET":
            listed = [
                dict(one) for (of, at), one in self.objects.items() if of == service and at.rpartition("/")[0] == path
            ]
            return httpx.Response(200, json={"items": listed or self.lists.get(path, []), "next_cursor": None})
        if path in self.refusals:
            return httpx.Response(422, json=self.refusals[path])
        self.writes.append(f"{request.method} {service} {path}")
        if path.endswith("/do-not-call"):
            barred = json.loads(request.content)["phones"]
            self.lists.setdefault(path, []).extend({"phone": phone} for phone in barred)
        elif path.endswith("/leads"):
            phones = [line.split(",")[0] for line in request.content.decode().splitlines()[1:]]
            self.lists.setdefault(path, []).extend({"phone": "+33" + phone[1:]} for phone in phones)
        elif path.endswith(("/start", "/pause")):
            self.objects[service, path.rpartition("/")[0]]["state"] = "running" if path.endswith("start") else "paused"
        elif path.endswith("/tariff"):
            versions = self.lists.setdefault(f"{path}s", [])
            versions.append({"version": len(versions) + 1, "valid_from": "2026-11-02", **json.loads(request.content)})
        else:
            body = json.loads(request.content)
            if "required_skills" in body and self.weightless(path, body):
                reason = "the weights of the pool sum to nothing"
                errors = [{"field": "weights.lost_call_cost", "reason": reason}]
                return httpx.Response(422, json={"detail": reason, "errors": errors})
            if "required_skills" in body:
                body["service_level_seconds"] = float(body["service_level_seconds"])
            if "/shares/" in path:
                body["tenant_id"] = path.rpartition("/")[2]
            self.objects[service, path] = {"id": path.rpartition("/")[2], **body}
        return httpx.Response(200, json={})

    def weightless(self, path: str, body: dict[str, Any]) -> bool:
        queues = {at: one for (_, at), one in self.objects.items() if at.startswith("/v1/queues/")} | {path: body}
        weights = [one["weights"] for one in queues.values() if one["pool_id"] == body["pool_id"]]
        return body["weights"] is not None and all(one and not one["lost_call_cost"] for one in weights)


@pytest.fixture
def services() -> Services:
    return Services()


@pytest.fixture
async def client(services: Services) -> AsyncIterator[Client]:
    async with Client({service: f"http://{service}" for service in SERVICES}, "token") as made:
        await made.http.aclose()
        made.http = httpx.AsyncClient(transport=httpx.MockTransport(services.answer))
        yield made


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "leads.csv").write_text(LEADS)
    return tmp_path


async def test_a_floor_is_applied_in_the_order_of_what_needs_what(
    services: Services, client: Client, directory: Path
) -> None:
    await apply(client, await plan(client, parse(FLOOR, directory=directory)))
    assert services.writes == [
        *(f"PUT {service} /v1/tenants/boats" for service in ("billing", "crm-bridge", "dialer", "kpi", "routing")),
        "PUT billing /v1/tenants/boats/tariff",
        "PUT routing /v1/sites/lyon",
        "PUT routing /v1/sites/faro",
        "PUT routing /v1/pools/room",
        "PUT routing /v1/pools/room/shares/boats",
        "PUT routing /v1/queues/last",
        "PUT routing /v1/queues/late",
        "PUT routing /v1/queues/orders",
        *(f"PUT routing /v1/agents/alma-00{number}" for number in (1, 2, 3)),
        "PUT routing /v1/entry-points/boat-line",
        "PUT crm-bridge /v1/webhooks/boats-hook",
        "PUT dialer /v1/campaigns/autumn",
        "POST dialer /v1/tenants/boats/do-not-call",
        "POST dialer /v1/campaigns/autumn/leads",
        "POST dialer /v1/campaigns/autumn/start",
    ]
    barred = services.lists["/v1/tenants/boats/do-not-call"]
    assert [one["phone"] for one in barred] == ["+33199001101", "+33199001102"]
    assert services.objects["dialer", "/v1/tenants/boats"]["rest_after_call_minutes"] == 240


async def test_applying_again_writes_nothing(services: Services, client: Client, directory: Path) -> None:
    floor = parse(FLOOR, directory=directory)
    await apply(client, await plan(client, floor))
    services.writes.clear()
    again = await plan(client, floor)
    assert again.pending == ()
    assert await apply(client, again) == []
    assert services.writes == []


async def test_a_list_is_sent_in_one_form_whatever_its_file_looks_like(
    services: Services, client: Client, directory: Path
) -> None:
    text = 'Nom;Tél.;Notes\r\n"Noël, Zoé";01 99 00 10 01;x\r\n;;\r\n'
    (directory / "leads.csv").write_bytes(text.encode("utf-16"))
    floor = parse(FLOOR + "        unknown_lead_columns: ignore\n", directory=directory)
    (change,) = [change for change in (await plan(client, floor)).pending if change.kind == "leads"]
    assert change.csv == 'name,phone\n"Noël, Zoé",01 99 00 10 01\n'.encode()


async def test_only_what_differs_is_written_and_told_field_by_field(
    services: Services, client: Client, directory: Path
) -> None:
    await apply(client, await plan(client, parse(FLOOR, directory=directory)))
    services.writes.clear()
    (directory / "leads.csv").write_text(LEADS + "0199001003,C\n")
    text = FLOOR.replace("count: 3", "count: 4").replace("priority: 2", "priority: 5").replace('"4.20"', '"5.00"')
    # A number that the file does not name any more stays on the do-not-call list.
    text = text.replace('["01 99 00 11 01", ', '["01 99 00 11 03", ')
    made = await plan(client, parse(text, directory=directory))
    told = {change.title: change.fields for change in made.pending}
    assert told["queue late (routing)"] == (("priority", 2, 5),)
    assert told["tariff boats (billing)"] == (("price_per_closed_case", "4.20", "5.00"),)
    assert told["leads autumn (dialer)"] == (("rows", None, 1),)
    assert told["do-not-call list boats (dialer)"] == (("numbers", None, 1),)
    assert [change.action for change in made.pending if change.kind == "agent"] == ["created"]
    await apply(client, made)
    assert services.writes == [
        "PUT billing /v1/tenants/boats/tariff",
        "PUT routing /v1/queues/late",
        "PUT routing /v1/agents/alma-004",
        "POST dialer /v1/tenants/boats/do-not-call",
        "POST dialer /v1/campaigns/autumn/leads",
    ]


async def test_a_refusal_names_the_line_and_what_stands_and_applying_goes_on(
    services: Services, client: Client, directory: Path
) -> None:
    floor = parse(FLOOR, "floor.yaml", directory)
    reason = {
        "detail": "after_seconds: too long",
        "errors": [{"field": "overflow.after_seconds", "reason": "too long"}],
    }
    services.refusals["/v1/queues/orders"] = reason
    with pytest.raises(NotApplied) as refused:
        await apply(client, await plan(client, floor))
    assert str(refused.value).startswith("floor.yaml:29:")
    assert 'queue orders: overflow.after_seconds: too long (said by routing, status 422), not "30"' in str(
        refused.value
    )
    assert [change.title for change in refused.value.applied][-1] == "queue late (routing)"
    assert not any("agents" in write for write in services.writes)
    services.refusals.clear()
    services.writes.clear()
    await apply(client, await plan(client, floor))
    assert services.writes[0] == "PUT routing /v1/queues/orders"


async def test_what_the_file_has_not_is_named_and_left(services: Services, client: Client, directory: Path) -> None:
    await apply(client, await plan(client, parse(FLOOR, directory=directory)))
    smaller = await plan(client, parse(FLOOR.replace("count: 3", "count: 2"), directory=directory))
    assert smaller.elsewhere == ("agent alma-003",)
    assert smaller.pending == ()


async def test_an_export_applies_without_a_change(services: Services, client: Client, directory: Path) -> None:
    await apply(client, await plan(client, parse(FLOOR, directory=directory)))
    text = await export(client)
    again = await plan(client, parse(text, directory=directory))
    assert again.pending == (), text
    assert again.elsewhere == ()
    assert "overflow: {queue: late, after_seconds: 30}" in text
    assert "recording: with_consent" in text
    assert "release_after_seconds: 45" in text
    assert "lost_call_cost: 3, calls_per_hour: 12.5" in text
    assert "night-desk: '+33199000199'" in text


async def test_a_skill_leaves_its_pool_after_those_who_named_it(
    services: Services, client: Client, directory: Path
) -> None:
    await apply(client, await plan(client, parse(FLOOR, directory=directory)))
    services.writes.clear()
    await apply(client, await plan(client, parse(FLOOR.replace("french", "german"), directory=directory)))
    assert services.writes == [
        "PUT routing /v1/pools/room",
        "PUT routing /v1/queues/late",
        "PUT routing /v1/queues/orders",
        *(f"PUT routing /v1/agents/alma-00{number}" for number in (1, 2, 3)),
        "PUT routing /v1/pools/room",
    ]
    assert services.objects["routing", "/v1/pools/room"]["skills"] == ["german"]
    assert (await plan(client, parse(FLOOR.replace("french", "german"), directory=directory))).pending == ()


WEIGHED = """\
pools:
  room: {name: Room}
tenants:
  boats:
    name: Paper Boats
    time_zone: Europe/Paris
    closing_dispositions: [settled]
    queues:
      free: {pool: room, weights: {lost_call_cost: 0}}
      dear: {pool: room, weights: {lost_call_cost: 5}, overflow: {queue: free, after_seconds: 30}}
"""


async def test_weights_come_to_more_than_nothing_while_queues_are_put_one_after_another(
    services: Services, client: Client
) -> None:
    """Given a queue that weighs nothing and has to be put first; when the floor is applied, and then the weights are
    exchanged; then the services, which refuse weights that sum to nothing, have what the file says."""
    exchanged = WEIGHED.replace("cost: 0", "cost: 7").replace("cost: 5", "cost: 0")
    for text, writes in (
        (WEIGHED, ["free", "dear", "free"]),
        (exchanged, ["free", "dear"]),
        (WEIGHED, ["free", "dear", "free"]),
    ):
        services.writes.clear()
        floor = parse(text)
        await apply(client, await plan(client, floor))
        told = [write.rpartition("/")[2] for write in services.writes if "/v1/queues/" in write]
        assert told == writes
        for queue in floor.queues:
            assert services.objects["routing", f"/v1/queues/{queue.id}"]["weights"] == queue.weights
        assert (await plan(client, floor)).pending == ()
