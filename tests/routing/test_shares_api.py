"""Shares of tenants through the API: declared, refused as a whole, switched by an operator, shown as they stand."""

from __future__ import annotations

from typing import Any

from common.testing import eventually

from .conftest import Routing

PATH = "pools/main/shares/lamp"


async def two_tenants(routing: Routing, *agents: str) -> None:
    """Kettle's queue `help` and lamp's queue `lights`, which all of these agents may serve; they are available."""
    await routing.floor(*agents)
    await routing.put("tenants/lamp", {"name": "Lamp", "time_zone": "Europe/Paris"})
    await routing.put("queues/lights", {"tenant_id": "lamp", "pool_id": "main"})
    for agent_id in agents:
        await routing.post(f"agents/{agent_id}/log-in")
        await routing.agent_is(agent_id, "available")


async def stands(routing: Routing, **live: Any) -> dict[str, Any]:
    """The share of lamp, once it stands so."""

    async def reached() -> dict[str, Any] | None:
        view: dict[str, Any] = (await routing.operator.get(f"/v1/{PATH}")).json()
        return view if view["live"].items() >= live.items() else None

    found = await eventually(reached)
    assert found is not None
    return found


async def test_agents_of_a_site_that_is_down_are_not_available_for_a_share(routing: Routing) -> None:
    """Given a share, and ann and ben who may serve it, ann at a site; when the site goes down, then ben alone is
    available for it."""
    await two_tenants(routing, "ann", "ben")
    await routing.put("sites/lyon", {"name": "Lyon", "time_zone": "Europe/Paris"})
    ann = (await routing.operator.get("/v1/agents/ann")).json()
    declared = {name: ann[name] for name in ("pool_id", "name", "skills")}
    await routing.put("agents/ann", {**declared, "site_id": "lyon"})
    await routing.put(PATH, {"reserved_positions": 2})
    await stands(routing, available=2)
    assert (await routing.operator.post("/v1/sites/lyon/down", json={"reason": "fire drill"})).status_code == 200
    await stands(routing, available=1)


async def test_a_burst_keeps_agents_and_lets_them_go(routing: Routing) -> None:
    """Given a share whose burst reserves two agents; when an operator switches it on, then another tenant's call waits
    and is told why, to each as much as is theirs to know; when it is switched off, then the call is offered at once,
    and the history says who did it and why."""
    await two_tenants(routing, "ann", "ben")
    declared = await routing.put(PATH, {"guaranteed_positions": 1, "burst": {"reserved_positions": 2}})
    assert declared["live"] == {"burst_is_on": False, "serving": 0, "available": 2, "shortfall": 0}
    answer = await routing.operator.put(f"/v1/{PATH}/burst", json={"state": "on", "reason": "storm"})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["burst_override"]["state"], answer.json()["burst_override"]["reason"]) == ("on", "storm")
    assert answer.json()["live"] == {"burst_is_on": True, "serving": 0, "available": 2, "shortfall": 2}
    waiting = (await routing.post("calls", {"queue_id": "help"}))["call_id"]
    await routing.call_is(waiting, "queued")
    explained = (await routing.operator.get(f"/v1/calls/{waiting}/explain")).json()
    assert (explained["waiting"]["kept_by_reservation"], explained["waiting"]["kept_for"]) == (True, ["lamp"])
    assert "An available agent who may serve it is kept for client lamp by a reservation." in explained["words"]
    tenant = await routing.client("tenant", "owner", tenant="kettle")
    explained = (await tenant.get(f"/v1/calls/{waiting}/explain")).json()
    assert (explained["waiting"]["kept_by_reservation"], explained["waiting"]["kept_for"]) == (True, None)
    assert "An available agent who may serve it is kept for another client by a reservation." in explained["words"]
    assert "lamp" not in str(explained)
    assert (await tenant.get("/v1/pools/main/shares")).status_code == 403
    lamp = (await routing.post("calls", {"queue_id": "lights"}))["call_id"]
    await routing.call_is(lamp, "offered")
    (assignment,) = (await routing.operator.get(f"/v1/calls/{lamp}/explain")).json()["assignments"]
    assert assignment["share"] == "reserved"
    assert (await stands(routing, serving=1))["live"]["shortfall"] == 1
    answer = await routing.operator.put(f"/v1/{PATH}/burst", json={"state": "by_schedule"})
    assert answer.json()["burst_override"] is None
    await routing.call_is(waiting, "offered")
    history = (await routing.operator.get("/v1/configuration-history", params={"kind": "share"})).json()["items"]
    assert [(one["action"], one["id"], one["reason"]) for one in history] == [
        ("burst_by_schedule", "main", None),
        ("burst_on", "main", "storm"),
        ("configured", "main", None),
    ]
    assert history[0]["value"]["burst"]["reserved_positions"] == 2
    listed = (await routing.operator.get("/v1/pools/main/shares")).json()["items"]
    assert [(one["tenant_id"], one["version"]) for one in listed] == [("lamp", 3)]
    await routing.put("pools/main/shares/kettle", {"most_positions": 9})
    history = (await routing.operator.get("/v1/configuration-history", params={"kind": "share"})).json()["items"]
    assert [(one["id"], one["tenant_id"]) for one in history] == [("main", "kettle"), *[("main", "lamp")] * 3]


async def test_shares_are_edited_as_all_configuration(routing: Routing) -> None:
    """The same again changes nothing; If-Match is checked; taken away it is gone, and its version grows on."""
    await two_tenants(routing, "ann")
    assert (await routing.put(PATH, {"reserved_positions": 1}))["version"] == 1
    assert (await routing.put(PATH, {"reserved_positions": 1}))["version"] == 1
    waiting = (await routing.post("calls", {"queue_id": "help"}))["call_id"]
    await routing.call_is(waiting, "queued")
    late = await routing.operator.delete(f"/v1/{PATH}", headers={"If-Match": '"7"'})
    assert late.status_code == 412
    gone = await routing.operator.delete(f"/v1/{PATH}", headers={"If-Match": '"1"'})
    assert gone.status_code == 204, gone.text
    await routing.call_is(waiting, "offered")
    assert (await routing.operator.get(f"/v1/{PATH}")).status_code == 404
    assert (await routing.operator.delete(f"/v1/{PATH}")).status_code == 404
    assert (await routing.operator.get("/v1/pools/main/shares")).json()["items"] == []
    again = await routing.operator.put(f"/v1/{PATH}", json={"most_positions": 1})
    assert (again.status_code, again.json()["version"]) == (201, 3)
    switch = await routing.operator.put(f"/v1/{PATH}/burst", json={"state": "on"})
    assert switch.status_code == 409, "there is no burst"
    supervisor = await routing.client("supervisor")
    assert (await supervisor.get("/v1/pools/main/shares")).status_code == 200
    assert (await supervisor.put(f"/v1/{PATH}", json={"most_positions": 2})).status_code == 403


async def test_a_wrong_share_is_refused_as_a_whole(routing: Routing) -> None:
    await two_tenants(routing)
    hours = {"week": {"mon": [["08:00", "12:00"], ["11:00", "13:00"]]}}
    cases: list[tuple[str, dict[str, Any], int, list[str]]] = [
        (
            PATH,
            {"reserved_positions": 3, "guaranteed_positions": 4, "most_positions": 2, "burst": {"most_positions": 1}},
            422,
            ["reserved_positions", "guaranteed_positions"],
        ),
        (PATH, {"reserved_positions": 1, "burst": {"hours": hours}}, 422, ["burst.hours.week.mon.1"]),
        (PATH, {"burst": {"guaranteed_positions": 2, "most_positions": 1}}, 422, ["burst.guaranteed_positions"]),
        (
            PATH,
            {"reserved_positions": 3, "most_positions": 2, "burst": {"hours": hours}},
            422,
            ["burst.hours.week.mon.1", "reserved_positions"],
        ),
        (PATH, {"release_after_seconds": 9}, 422, ["reserved_positions"]),
        (PATH, {"reserved_positions": -1}, 422, ["reserved_positions"]),
        ("pools/main/shares/nobody", {"reserved_positions": 1}, 404, []),
        ("pools/nothing/shares/lamp", {"reserved_positions": 1}, 404, []),
    ]
    for path, body, status, fields in cases:
        answer = await routing.operator.put(f"/v1/{path}", json=body)
        assert answer.status_code == status, answer.text
        if fields:
            assert [error["field"] for error in answer.json()["errors"]] == fields
    assert (await routing.operator.get("/v1/pools/main/shares")).json()["items"] == []
    assert (await routing.operator.get("/v1/pools/nothing/shares")).status_code == 404
