"""KPI over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from common.events import CaseClosed, CaseOpened, ChargeRecorded, ChargeReversed, Event
from common.http import encode_cursor
from common.testing import eventually

from .conftest import NOW, Kpi
from .stories import NINE, Day, Story, whole
from .test_figures import attempt, case, charge, ten_calls

WHOLE_DAY = {"from": "2026-11-21T00:00:00Z", "to": "2026-11-22T00:00:00Z"}


async def test_tenants_are_put_once_and_versioned(kpi: Kpi) -> None:
    created = await kpi.tenant()
    assert (created.status_code, created.json()["version"], created.headers["etag"]) == (201, 1, '"1"')
    again = await kpi.tenant()
    assert (again.status_code, again.json()) == (200, created.json())
    changed = await kpi.tenant(service_level_formula="of_answered")
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    lamp = {"name": "Lamp", "time_zone": "UTC"}
    absent = await kpi.operator.put("/v1/tenants/lamp", json=lamp, headers={"if-match": '"1"'})
    assert absent.status_code == 412
    stale = await kpi.operator.put(
        "/v1/tenants/kettle", json={"name": "K", "time_zone": "UTC"}, headers={"if-match": '"1"'}
    )
    assert stale.status_code == 412
    assert (await kpi.get("/v1/tenants/kettle")) == changed.json()
    await kpi.tenant("lamp")
    assert [item["tenant_id"] for item in await kpi.rows("/v1/tenants", limit=1)] == ["kettle", "lamp"]


async def test_a_wrong_tenant_is_refused_with_its_field(kpi: Kpi) -> None:
    for field, value in (
        ("time_zone", "Europe/Atlantis"),
        ("time_zone", "../etc/passwd"),
        ("service_level_formula", "of_everything"),
        ("name", ""),
        ("colour", "red"),
    ):
        answer = await kpi.tenant(**{field: value})
        assert answer.status_code == 422
        assert answer.json()["field"] == field
    assert (await kpi.operator.get("/v1/tenants/kettle")).status_code == 404


async def test_intervals_of_a_queue_and_of_its_tenant(kpi: Kpi) -> None:
    await kpi.tenant()
    await kpi.count(ten_calls())
    rows = await kpi.rows(**WHOLE_DAY)
    by_queue = {row["queue_id"]: row for row in rows}
    assert set(by_queue) == {None, "kettle-help", "kettle-late"}
    row = by_queue["kettle-help"]
    assert (row["start"], row["end"]) == ("2026-11-21T10:00:00+01:00", "2026-11-21T10:15:00+01:00")
    assert (row["offered"], row["answered"], row["abandoned"], row["short_abandoned"], row["waiting"]) == (
        10,
        4,
        3,
        1,
        2,
    )
    assert row["service_level"] == pytest.approx(3 / 9)
    assert row["service_level_formula"] == "of_offered"
    assert row["asa_seconds"] == 15.5
    assert row["aht_seconds"] == 160
    assert row["wait_p50_seconds"] == pytest.approx(12, rel=0.01)
    assert by_queue[None]["offered"] == 10

    await kpi.tenant(service_level_formula="of_answered_and_abandoned")
    rows = await kpi.rows(queue_id="kettle-help", **WHOLE_DAY)
    assert [row["service_level"] for row in rows] == [pytest.approx(5 / 7)]
    assert [row["queue_id"] for row in await kpi.rows(level="tenant", **WHOLE_DAY)] == [None]
    assert {row["queue_id"] for row in await kpi.rows(level="queue", **WHOLE_DAY)} == {"kettle-help", "kettle-late"}
    assert await kpi.rows(**{"from": "2026-11-22T00:00:00Z", "to": "2026-11-23T00:00:00Z"}) == []


async def test_a_late_event_restates_its_interval(kpi: Kpi) -> None:
    events = Story("c").answered(8).events
    await kpi.count(events[:2])
    assert [row["answered"] for row in await kpi.rows(level="tenant", **WHOLE_DAY)] == [0]
    await kpi.count(events[2:], known=2)
    assert [row["answered"] for row in await kpi.rows(level="tenant", **WHOLE_DAY)] == [1]


async def test_days_are_the_tenants_own_also_when_the_clock_changes(kpi: Kpi) -> None:
    """In Paris, Sunday 25 October 2026 has 25 hours, and Sunday 29 March 2026 has 23."""
    await kpi.tenant()
    moments = {
        "october-first": datetime(2026, 10, 24, 22, 0, tzinfo=UTC),
        "october-last": datetime(2026, 10, 25, 22, 59, tzinfo=UTC),
        "october-next": datetime(2026, 10, 25, 23, 0, tzinfo=UTC),
        "march-first": datetime(2026, 3, 28, 23, 0, tzinfo=UTC),
        "march-last": datetime(2026, 3, 29, 21, 59, tzinfo=UTC),
        "march-next": datetime(2026, 3, 29, 22, 0, tzinfo=UTC),
    }
    await kpi.count([event for name, at in moments.items() for event in whole(name, wait=3, at=at).events])
    asked = {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z", "step": "1d", "level": "tenant"}
    days = [(row["start"], row["end"], row["answered"]) for row in await kpi.rows(**asked)]
    assert days == [
        ("2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00", 2),
        ("2026-03-30T00:00:00+02:00", "2026-03-31T00:00:00+02:00", 1),
        ("2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00", 2),
        ("2026-10-26T00:00:00+01:00", "2026-10-27T00:00:00+01:00", 1),
    ]
    # A stretch inside a day shows that day whole; a stretch that ends where a day starts does not show it.
    inside = {**asked, "from": "2026-10-25T12:00:00+01:00", "to": "2026-10-26T00:00:00+01:00"}
    assert [row["answered"] for row in await kpi.rows(**inside)] == [2]


async def test_hours_add_up_quarters_and_merge_their_sketches(kpi: Kpi) -> None:
    waits = [2, 4, 8, 16, 32, 64]
    stories = [whole(f"c-{n}", wait=wait, at=NINE + timedelta(minutes=10 * n)) for n, wait in enumerate(waits)]
    await kpi.count([event for story in stories for event in story.events])
    assert len(await kpi.rows(level="tenant", **WHOLE_DAY)) == 4
    (hour,) = await kpi.rows(level="tenant", step="1h", **WHOLE_DAY)
    assert (hour["start"], hour["end"]) == ("2026-11-21T09:00:00Z", "2026-11-21T10:00:00Z")
    assert (hour["offered"], hour["longest_wait_seconds"]) == (6, 64)
    assert hour["wait_p50_seconds"] == pytest.approx(8, rel=0.01)


async def test_pages_hold_every_row_once_in_order(kpi: Kpi) -> None:
    stories = [whole(f"c-{n}", wait=1, at=NINE + timedelta(minutes=7 * n)) for n in range(20)]
    stories += [whole(f"d-{n}", wait=1, at=NINE, tenant="lamp", queue="lamp-info") for n in range(3)]
    await kpi.count([event for story in stories for event in story.events])
    everything = await kpi.rows(limit=1000, **WHOLE_DAY)
    assert len(everything) == 20
    assert await kpi.rows(limit=3, **WHOLE_DAY) == everything
    order = [(row["start"], row["tenant_id"], row["queue_id"] or "") for row in everything]
    assert order == sorted(order)


WRONG: list[tuple[dict[str, str], str]] = [
    ({"from": "yesterday"}, "from"),
    ({"from": "2026-11-21T09:00:00"}, "from"),
    ({"from": "0001-01-01T00:00:00+14:00"}, "from"),
    ({"to": "9999-12-31T23:59:59-14:00"}, "to"),
    ({"from": "2026-11-22T00:00:00Z", "to": "2026-11-21T00:00:00Z"}, "from"),
    ({"step": "7m"}, "step"),
    ({"limit": "0"}, "limit"),
    ({"cursor": "!"}, "cursor"),
    ({"cursor": encode_cursor("2026-11-21T09:00:00", "kettle", "")}, "cursor"),
    ({"cursor": encode_cursor("0001-01-01T00:00:00+14:00", "kettle", "")}, "cursor"),
    ({"cursor": encode_cursor("kettle")}, "cursor"),
    ({"tenant_id": "Kettle!"}, "tenant_id"),
    ({"level": "tenant", "queue_id": "kettle-help"}, "level"),
]


async def test_a_wrong_parameter_is_named(kpi: Kpi) -> None:
    for parameters, field in WRONG:
        answer = await kpi.operator.get("/v1/intervals", params=parameters)
        assert answer.status_code == 422, (parameters, answer.text)
        assert answer.json()["field"].removeprefix("query.") == field


async def test_a_tenant_sees_its_own_and_nothing_else(kpi: Kpi) -> None:
    await kpi.tenant("kettle")
    await kpi.tenant("lamp")
    stories = [whole("c", wait=1), whole("d", wait=1, tenant="lamp", queue="lamp-info")]
    others = [*Day().becomes("break", 60).events, attempt(1), case(1, CaseOpened, 0), charge(1, ChargeRecorded, "4.20")]
    await kpi.count([*[event for story in stories for event in story.events], *others])
    lamp = await kpi.client("tenant", "lamp")
    seen = (await lamp.get("/v1/intervals", params=WHOLE_DAY)).json()["items"]
    assert {row["tenant_id"] for row in seen} == {"lamp"}
    assert [item["tenant_id"] for item in (await lamp.get("/v1/tenants")).json()["items"]] == ["lamp"]
    live = (await lamp.get("/v1/live")).json()
    assert [queue["queue_id"] for queue in live["queues"]] == ["lamp-info"]
    assert (live["agents"], live["pools"], live["queues"][0]["agents"]) == (None, [], None)
    for path in ("agents", "cases", "charges", "dialing"):
        page = (await lamp.get(f"/v1/intervals/{path}", params=WHOLE_DAY)).json()
        assert {row["tenant_id"] for row in page["items"]} <= {"lamp"}
    for path in (
        "/v1/intervals",
        "/v1/live",
        *[f"/v1/intervals/{n}" for n in ("agents", "cases", "charges", "dialing")],
    ):
        foreign = await lamp.get(path, params={"tenant_id": "kettle"})
        unknown = await lamp.get(path, params={"tenant_id": "nobody"})
        assert (foreign.status_code, unknown.status_code) == (404, 404)
        assert foreign.text.replace("kettle", "nobody") == unknown.text
    for path, name, theirs in (
        ("/v1/intervals", "queue_id", "kettle-help"),
        ("/v1/intervals/cases", "queue_id", "kettle-help"),
        ("/v1/intervals/dialing", "campaign_id", "spring"),
        ("/v1/intervals/agents", "agent_id", "ann"),
    ):
        assert (await kpi.operator.get(path, params={name: theirs})).status_code == 200
        foreign = await lamp.get(path, params={name: theirs})
        unknown = await lamp.get(path, params={name: "nobody"})
        assert (foreign.status_code, unknown.status_code) == (404, 404)
        assert foreign.text.replace(theirs, "nobody") == unknown.text
    assert (await lamp.get("/v1/tenants/kettle")).status_code == 404
    assert (await lamp.get("/v1/summary")).status_code == 403
    assert (await lamp.put("/v1/tenants/lamp", json={"name": "L", "time_zone": "UTC"})).status_code == 403
    agent = await kpi.client("agent")
    assert (await agent.get("/v1/live")).status_code == 403
    async with kpi.running.client() as stranger:
        assert (await stranger.get("/v1/live")).status_code == 401


async def test_live_view_of_the_floor(kpi: Kpi) -> None:
    await kpi.tenant()
    waiting = Story("c", at=NOW - timedelta(seconds=50)).events
    await kpi.count([*waiting, *Day("ann").becomes("break", 60).events, *Day("bob", queues=()).events])
    view = await kpi.get("/v1/live", tenant_id="kettle")
    assert view["agents"] == {"available": 1, "offered": 0, "busy": 0, "wrap_up": 0, "break": 1, "logged_out": 0}
    assert view["pools"] == [{"pool_id": "pool-1", "agents": {"available": 1, "break": 1}}]
    (queue,) = view["queues"]
    assert (queue["waiting"], queue["longest_wait_seconds"], queue["agents"]) == (1, 50, {"break": 1})
    assert (queue["offered"], queue["service_level"]) == (1, 0)
    (tenant,) = view["tenants"]
    assert (tenant["name"], tenant["waiting"]) == ("Kettle", 1)
    kpi.clock.advance(3600)
    (queue,) = (await kpi.get("/v1/live"))["queues"]
    assert (queue["offered"], queue["service_level"], queue["longest_wait_seconds"]) == (0, None, 3650)


async def test_agents_cases_money_and_dialing_by_interval(kpi: Kpi) -> None:
    await kpi.tenant()
    closed_at = NINE + timedelta(minutes=10)
    events: list[Event] = [
        *Day().becomes("busy", 300).becomes("wrap_up", 60).becomes("available", 40).events,
        case(1, CaseOpened, 0),
        case(1, CaseClosed, 10, sequence=2, closing=1, closed_at=closed_at, disposition="settled"),
        charge(1, ChargeRecorded, "4.20"),
        charge(2, ChargeRecorded, "4.20"),
        charge(3, ChargeReversed, "-4.20", reverses="charge-1"),
        *[attempt(n) for n in range(4)],
        attempt(1, "answered"),
        attempt(2, "abandoned"),
    ]
    await kpi.count(events)
    (agent,) = await kpi.rows("/v1/intervals/agents", agent_id="ann", **WHOLE_DAY)
    assert (agent["available_seconds"], agent["busy_seconds"], agent["wrap_up_seconds"]) == (300, 60, 40)
    assert agent["occupancy"] == pytest.approx(100 / 400)
    (cases,) = await kpi.rows("/v1/intervals/cases", tenant_id="kettle", **WHOLE_DAY)
    assert (cases["opened"], cases["closed"], cases["calls_per_closed_case"]) == (1, 1, 3)
    assert cases["seconds_to_close"] == 600
    (money,) = await kpi.rows("/v1/intervals/charges", **WHOLE_DAY)
    assert (money["currency"], money["charges"], money["reversals"], money["amount"]) == ("EUR", 2, 1, "4.20")
    (dialing,) = await kpi.rows("/v1/intervals/dialing", campaign_id="spring", step="1d", **WHOLE_DAY)
    assert (dialing["attempts"], dialing["contact_rate"], dialing["abandonment_rate"]) == (4, 0.5, 0.5)


async def test_summary_of_the_floor(kpi: Kpi) -> None:
    await kpi.tenant("kettle")
    await kpi.tenant("tea")
    lamp = whole("d", wait=30, tenant="lamp", queue="lamp-info").events
    await kpi.count([*ten_calls(), *lamp, charge(1, ChargeRecorded, "4.20"), attempt(1), case(1, CaseOpened, 0)])
    summary = await kpi.get("/v1/summary", **{"from": "2026-11-21T09:05:00Z", "to": "2026-11-21T09:06:00Z"})
    floor, tenants = summary["floor"], {tenant["tenant_id"]: tenant for tenant in summary["tenants"]}
    assert list(tenants) == ["kettle", "lamp", "tea"]
    assert (floor["calls"]["offered"], floor["calls"]["answered"]) == (11, 5)
    assert floor["calls"]["longest_wait_seconds"] == 40
    assert floor["calls"]["wait_p50_seconds"] == pytest.approx(12, rel=0.01)
    assert (tenants["kettle"]["calls"]["offered"], tenants["lamp"]["calls"]["offered"]) == (10, 1)
    assert (tenants["kettle"]["name"], tenants["lamp"]["name"]) == ("Kettle", None)
    assert Decimal(tenants["kettle"]["charges"][0]["amount"]) == Decimal("4.20")
    assert floor["charges"] == tenants["kettle"]["charges"]
    assert (floor["dialing"]["attempts"], floor["cases"]["opened"]) == (1, 1)
    assert tenants["tea"]["calls"]["offered"] == 0
    earlier = await kpi.get("/v1/summary", **{"from": "2026-11-21T08:00:00Z", "to": "2026-11-21T09:00:00Z"})
    assert earlier["floor"]["calls"]["offered"] == 0


async def test_definitions_are_served(kpi: Kpi) -> None:
    items = (await kpi.get("/v1/definitions"))["items"]
    names = {item["name"] for item in items}
    assert {"offered", "abandonment_rate", "service_level", "asa_seconds", "aht_seconds", "occupancy"} <= names
    levels = {item["service_level_formula"]: item for item in items if item["name"] == "service_level"}
    assert len(levels) == 4
    assert levels["of_offered"]["default"]
    assert levels["of_answered"]["formula"] == "answered_within / answered"


async def test_metrics_and_readiness(kpi: Kpi) -> None:
    await kpi.count(Story("c", at=NOW - timedelta(seconds=5)).events)
    assert (await kpi.operator.get("/health/ready")).text == "ready"

    async def answered() -> bool:
        return (await kpi.operator.get("/metrics")).status_code == 200

    await eventually(answered)
