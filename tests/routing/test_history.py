"""The configuration's history: every change with who and when, in the transaction of the change."""

from __future__ import annotations

from typing import Any

import httpx

from .conftest import QUEUE, Routing


async def history(client: httpx.AsyncClient, **asked: Any) -> list[dict[str, Any]]:
    """The changes, newest first."""
    answer = await client.get("/v1/configuration-history", params=asked)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_every_change_is_noted_once_with_who_when_and_the_whole_value(routing: Routing) -> None:
    """Given a floor, when things are configured by several people, said again, refused and drained, then each change is
    there once, newest first, and what changed nothing is not."""
    await routing.floor("ann")
    rose = await routing.client("operator", "rose")
    body = {**QUEUE, "priority": 9, "relaxations": [{"after_seconds": 5, "requirement": "french"}]}
    for _ in range(2):
        assert (await rose.put("/v1/queues/help", json=body)).status_code == 200
    assert (await rose.put("/v1/queues/help", json=QUEUE, headers={"if-match": '"1"'})).status_code == 412
    assert (await rose.put("/v1/queues/help", json={**QUEUE, "requirement": "greek"})).status_code == 422
    for _ in range(2):
        assert (await rose.post("/v1/queues/help/drain", json={"reason": "moving"})).status_code == 200
    assert (await rose.post("/v1/queues/help/open", headers={"if-match": '"1"'})).status_code == 412
    assert (await rose.post("/v1/agents/ann/drain", json={"reason": "desk"})).status_code == 200
    assert (await rose.post("/v1/agents/ann/cancel-drain")).status_code == 200
    await routing.put("pools/main", {"name": "Main", "skills": ["french", "billing", "dutch"]})
    taken = await routing.operator.put("/v1/pools/main", json={"name": "Main", "skills": ["billing"]})
    assert taken.status_code == 409

    of_queue = await history(routing.operator, kind="queue", id="help")
    assert [(one["version"], one["action"], one["by"], one["reason"]) for one in of_queue] == [
        (3, "draining", "rose", "moving"),
        (2, "configured", "rose", None),
        (1, "configured", "olive", None),
    ]
    assert of_queue[1]["roles"] == ["operator"]
    assert of_queue[1]["value"]["priority"] == 9
    assert of_queue[1]["value"]["relaxations"] == body["relaxations"]
    of_agent = await history(routing.operator, kind="agent")
    assert [(one["id"], one["version"], one["action"]) for one in of_agent] == [
        ("ann", 3, "drain_cancelled"),
        ("ann", 2, "draining"),
        ("ann", 1, "configured"),
    ]
    assert [one["version"] for one in await history(routing.operator, kind="pool", id="main")] == [2, 1]
    assert {one["tenant_id"] for one in of_queue} == {"kettle"}
    assert {one["tenant_id"] for one in of_agent} == {"floor"}
    assert [one["id"] for one in await history(routing.operator, kind="tenant")] == ["kettle"]


async def test_an_old_version_is_restored_by_putting_its_value_again(routing: Routing) -> None:
    flow = {"start": "wait", "steps": {"wait": {"type": "queue", "queue_id": "help"}}}
    entry_point = {"tenant_id": "kettle", "pool_id": "main", "numbers": ["+33639980100"], "flow": flow}
    hours = {"week": {"mon": [["08:00", "12:00"]]}, "exceptions": {"2026-12-24": []}}
    weights = {"lost_call_cost": 2.0, "calls_per_hour": 5.0, "handling_seconds": 200.0, "patience_seconds": 60.0}
    await routing.floor("ann")
    rich = {
        **QUEUE,
        "hours": hours,
        "weights": weights,
        "overflows": [{"when": {"type": "closed"}, "to": {"type": "message", "message": "later"}}],
    }
    changes: list[tuple[str, str, str, dict[str, Any], dict[str, Any]]] = [
        ("tenants", "tenant", "kettle", {"name": "Kettle", "time_zone": "Asia/Tokyo"}, {"name": "K"}),
        ("queues", "queue", "help", rich, {"hours": None, "weights": None, "overflows": []}),
        ("agents", "agent", "ann", {"name": "Ann", "pool_id": "main", "skills": {"french": 9}}, {"skills": {}}),
        ("entry-points", "entry_point", "line", entry_point, {"numbers": []}),
    ]
    for noun, kind, item_id, body, other in changes:
        told = await routing.put(f"{noun}/{item_id}", body)
        await routing.put(f"{noun}/{item_id}", {**body, **other})
        before = (await history(routing.operator, kind=kind, id=item_id))[1]
        assert before["version"] == told["version"]
        restored = await routing.put(f"{noun}/{item_id}", before["value"])
        assert restored["version"] == told["version"] + 2
        assert {**restored, "version": told["version"]} == told


async def test_the_history_is_paged_and_a_client_company_sees_its_own(routing: Routing) -> None:
    await routing.floor("ann")
    await routing.put("tenants/other", {"name": "Other", "time_zone": "Europe/Paris"})
    for priority in range(5):
        await routing.put("queues/theirs", {"tenant_id": "other", "pool_id": "main", "priority": priority})
    seen: list[int] = []
    cursor: str | None = None
    while True:
        params: dict[str, Any] = {"kind": "queue", "id": "theirs", "limit": 2, **({"cursor": cursor} if cursor else {})}
        found = (await routing.operator.get("/v1/configuration-history", params=params)).json()
        seen += [one["value"]["priority"] for one in found["items"]]
        cursor = found["next_cursor"]
        if cursor is None:
            break
    assert seen == [4, 3, 2, 1, 0]
    owner = await routing.client("tenant", "theirs", tenant="other")
    assert {(one["kind"], one["id"]) for one in await history(owner)} == {("tenant", "other"), ("queue", "theirs")}
    assert await history(owner, kind="queue", id="help") == []
    foreign = await owner.get("/v1/configuration-history", params={"tenant_id": "kettle"})
    assert foreign.status_code == 404
    agent = await routing.client("agent", "ann")
    assert (await agent.get("/v1/configuration-history")).status_code == 403
