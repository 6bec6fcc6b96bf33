"""What an operator declares: checked whole, versioned, live; and what others may not see."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any

from alembic.migration import MigrationContext
from alembic.operations import Operations
from common.events import QueueDeclared
from common.ids import new_id
from common.testing import eventually
from msgspec.structs import replace
from sqlalchemy import create_engine

from .conftest import QUEUE, Routing


async def test_saying_the_same_again_changes_nothing(routing: Routing) -> None:
    declared: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("tenants/kettle", {"name": "Kettle", "time_zone": "Europe/Paris"}, {"time_zone": "Europe/Madrid"}),
        ("pools/main", {"name": "Main", "skills": ["french", "billing"]}, {"name": "The main one"}),
        ("queues/back-up", QUEUE, {"priority": 9}),
        (
            "queues/help",
            {**QUEUE, "required_skills": ["french"], "overflow": {"queue_id": "back-up", "after_seconds": 30}},
            {"overflow": None},
        ),
        (
            "queues/experts",
            {
                **QUEUE,
                "requirement": "french >= 5 and billing",
                "relaxations": [{"after_seconds": 30, "requirement": "french"}],
                "agent_order": "fastest",
                "sticky_seconds": 10,
                "missed_offers_before_break": 3,
                "callback": {
                    "mode": "agent_first",
                    "attempts": 2,
                    "retry_seconds": 60.0,
                    "ring_seconds": 20.0,
                    "valid_seconds": 3600.0,
                },
                "announcements": [
                    {"message": "hold-on", "after_seconds": 20.0, "every_seconds": 60.0, "tell": ["position"]}
                ],
                "weights": {
                    "lost_call_cost": 3.0,
                    "calls_per_hour": 120.0,
                    "handling_seconds": 300.0,
                    "patience_seconds": None,
                    "service_level_target": 0.8,
                    "late_call_cost": 2.0,
                },
            },
            {"relaxations": []},
        ),
        ("agents/ann", {"name": "Ann", "pool_id": "main", "skills": {"french": 7}}, {"skills": ["billing"]}),
    ]
    for path, body, changed in declared:
        absent = await routing.operator.put(f"/v1/{path}", json=body, headers={"if-match": "*"})
        assert absent.status_code == 412
        created = await routing.operator.put(f"/v1/{path}", json=body)
        assert (created.status_code, created.json()["version"]) == (201, 1), created.text
        again = await routing.operator.put(f"/v1/{path}", json=body)
        assert (again.status_code, again.json()["version"]) == (200, 1)
        read = await routing.operator.get(f"/v1/{path}")
        assert read.json() == again.json()
        stale = await routing.operator.put(f"/v1/{path}", json={**body, **changed}, headers={"if-match": '"7"'})
        assert stale.status_code == 412
        replaced = await routing.operator.put(
            f"/v1/{path}", json={**body, **changed}, headers={"if-match": read.headers["etag"]}
        )
        assert (replaced.status_code, replaced.json()["version"]) == (200, 2)
        kind = path.partition("/")[0]
        page = await routing.operator.get(f"/v1/{kind}")
        assert replaced.json() in page.json()["items"]


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("tenants/kettle", {"name": "Kettle", "time_zone": "Europe/Nowhere"}, "time_zone"),
    ("tenants/floor", {"name": "Floor", "time_zone": "Europe/Paris"}, "tenant_id"),
    ("queues/new", {**QUEUE, "pool_id": "none"}, "pool_id"),
    ("queues/new", {**QUEUE, "tenant_id": "none"}, "tenant_id"),
    ("queues/new", {**QUEUE, "required_skills": ["dutch"]}, "required_skills"),
    ("queues/new", {**QUEUE, "requirement": "french >= 11"}, "requirement"),
    ("queues/new", {**QUEUE, "requirement": "french", "required_skills": ["french"]}, "required_skills"),
    ("queues/new", {**QUEUE, "relaxations": [{"after_seconds": 5, "requirement": "or"}]}, "relaxations.0.requirement"),
    ("queues/new", {**QUEUE, "agent_order": "tallest"}, "agent_order"),
    ("queues/new", {**QUEUE, "weights": {"lost_call_cost": -1}}, "weights.lost_call_cost"),
    ("queues/new", {**QUEUE, "channel": "post", "callback": {"mode": "agent_first"}}, "callback"),
    (
        "queues/new",
        {**QUEUE, "channel": "post", "announcements": [{"message": "hold", "after_seconds": 5}]},
        "announcements.0",
    ),
    ("queues/new", {**QUEUE, "cover": [{"sites": []}]}, "cover.0.sites"),
    ("queues/new", {**QUEUE, "weights": {"patience_seconds": 0}}, "weights.patience_seconds"),
    ("queues/new", {**QUEUE, "weights": {"service_level_target": 80}}, "weights.service_level_target"),
    ("queues/new", {**QUEUE, "weights": {"late_call_cost": 2}}, "weights.late_call_cost"),
    ("queues/new", {**QUEUE, "overflow": {"queue_id": "none", "after_seconds": 5}}, "overflow.queue_id"),
    ("queues/new", {**QUEUE, "overflow": {"queue_id": "new", "after_seconds": 5}}, "overflow.queue_id"),
    ("queues/new", {**QUEUE, "overflow": {"queue_id": "help", "after_seconds": -5}}, "overflow.after_seconds"),
    ("queues/new", {**QUEUE, "priority": 10}, "priority"),
    ("queues/new", {**QUEUE, "wrap_up_seconds": -1}, "wrap_up_seconds"),
    ("queues/new", {**QUEUE, "colour": "blue"}, "colour"),
    ("agents/ann", {"name": "Ann", "pool_id": "main", "skills": {"dutch": 3}}, "skills"),
    ("agents/ann", {"name": "Ann", "pool_id": "none"}, "pool_id"),
]


async def test_every_wrong_value_is_named_and_nothing_is_stored(routing: Routing) -> None:
    await routing.floor()
    for path, body, field in WRONG:
        answer = await routing.operator.put(f"/v1/{path}", json=body)
        assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
    assert (await routing.operator.get("/v1/queues/new")).status_code == 404
    assert (await routing.operator.get("/v1/tenants/kettle")).json()["version"] == 1


async def test_everything_wrong_with_who_may_serve_is_listed_by_its_place(routing: Routing) -> None:
    """Given a pool; when a queue names unknown skills at several places; then each is listed, and nothing is stored."""
    await routing.floor()
    answer = await routing.operator.put(
        "/v1/queues/new",
        json={
            **QUEUE,
            "requirement": "french >= 5 and (billing or orders) and dutch",
            "relaxations": [
                {"after_seconds": 30, "requirement": "greek"},
                {"after_seconds": 30, "requirement": "french >="},
            ],
        },
    )
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"field": "requirement", "reason": "column 29: pool main declares no skill 'orders'"},
        {"field": "requirement", "reason": "column 41: pool main declares no skill 'dutch'"},
        {"field": "relaxations.0.requirement", "reason": "column 1: pool main declares no skill 'greek'"},
        {"field": "relaxations.1.requirement", "reason": "column 10: expected a level from 1 to 10"},
        {"field": "relaxations.1.after_seconds", "reason": "must be later than the one before, 30"},
    ]
    assert (await routing.operator.get("/v1/queues/new")).status_code == 404


async def test_weights_of_a_pool_that_sum_to_nothing_are_refused(routing: Routing) -> None:
    """Nothing would be worth answering. One queue without weights, or whose calls cost something, is enough."""
    await routing.floor()
    nothing = {**QUEUE, "weights": {"lost_call_cost": 0}}
    for path, body, status in (
        ("queues/help", nothing, 422),
        ("queues/late", QUEUE, 201),
        ("queues/help", nothing, 200),
        ("queues/late", nothing, 422),
        ("queues/late", {**QUEUE, "weights": {"lost_call_cost": 1}}, 200),
        ("queues/last", nothing, 201),
        ("queues/late", nothing, 422),
    ):
        answer = await routing.operator.put(f"/v1/{path}", json=body)
        assert answer.status_code == status, answer.text
        if status == 422:
            assert answer.json()["errors"] == [
                {"field": "weights.lost_call_cost", "reason": "the weights of pool main sum to nothing"}
            ]
    assert (await routing.operator.get("/v1/queues/late")).json()["weights"]["lost_call_cost"] == 1


async def test_faults_of_every_kind_in_one_queue_are_listed_at_once(routing: Routing) -> None:
    """Given a queue that overflows to `help`. When `help` is put with an unknown skill, overlapping hours, weights that
    contradict each other, a circle of overflows, targets that cannot be, a callback that is never tried again and a
    split that does not come to 100; then each is listed by its place, and `help` is as it was."""
    await routing.floor()
    await routing.put("queues/late", {**QUEUE, "overflow": {"queue_id": "help", "after_seconds": 30}})
    await routing.put("queues/letters", {**QUEUE, "channel": "post"})
    before = (await routing.operator.get("/v1/queues/help")).json()
    answer = await routing.operator.put(
        "/v1/queues/help",
        json={
            **QUEUE,
            "requirement": "french and greek",
            "hours": {"week": {"mon": [["08:00", "12:00"], ["11:00", "18:00"]]}},
            "weights": {"lost_call_cost": 2, "late_call_cost": 1},
            "overflows": [
                {"when": {"type": "waited", "seconds": 60}, "to": {"type": "queue", "queue_id": "none"}},
                {"when": {"type": "waited", "seconds": 90}, "to": {"type": "queue", "queue_id": "late"}},
                {"when": {"type": "closed"}, "to": {"type": "site", "site_id": "lyon"}},
                {"when": {"type": "waited", "seconds": 99}, "to": {"type": "queue", "queue_id": "letters"}},
            ],
            "callback": {"mode": "agent_first", "retry_seconds": 60, "valid_seconds": 60},
            "split": [{"percent": 60, "to": {"type": "stay"}}, {"percent": 30, "to": {"type": "stay"}}],
        },
    )
    assert answer.status_code == 422, answer.text
    told = {one["field"]: one["reason"] for one in answer.json()["errors"]}
    assert [*told] == [
        "hours.week.mon.1",
        "weights.late_call_cost",
        "requirement",
        "callback.retry_seconds",
        "overflows.2.to",
        "overflows.0.to.queue_id",
        "overflows.1.to.queue_id",
        "overflows.3.to.queue_id",
        "overflows.2.to.site_id",
        "split",
    ]
    assert told["overflows.3.to.queue_id"] == "queue letters is for post, not voice"
    assert told["split"] == "the percentages come to 90, not to 100"
    assert "no skill 'greek'" in told["requirement"]
    assert told["overflows.1.to.queue_id"] == "calls would go round for ever: help -> late -> help"
    assert (await routing.operator.get("/v1/queues/help")).json() == before


async def test_faults_of_every_kind_in_one_agent_are_listed_at_once(routing: Routing) -> None:
    await routing.floor("ann")
    wrong = {"name": "Ann", "capacity": {"voice": 2}, "skills": ["dutch"], "site_id": "nowhere"}
    for pool_id, fields in (
        ("main", ["capacity.voice", "skills", "site_id"]),
        ("none", ["capacity.voice", "pool_id", "site_id"]),
    ):
        answer = await routing.operator.put("/v1/agents/ann", json={**wrong, "pool_id": pool_id})
        assert answer.status_code == 422, answer.text
        assert [error["field"] for error in answer.json()["errors"]] == fields
    assert (await routing.operator.get("/v1/agents/ann")).json()["version"] == 1


async def test_a_call_widens_to_more_agents_by_the_clock(routing: Routing) -> None:
    """Given an agent below the level; when the call has waited for the relaxation; then it rings at the agent."""
    await routing.floor(
        "ann",
        requirement="french >= 8 or billing",
        relaxations=[{"after_seconds": 0.3, "requirement": "french"}],
        agent_order="best_level",
    )
    await routing.post("agents/ann/log-in")
    await routing.agent_is("ann", "available")
    call_id = (await routing.post("calls", {"queue_id": "help"}))["call_id"]
    assert (await routing.call_is(call_id, "offered"))["agent_id"] == "ann"
    taken = await routing.operator.put("/v1/pools/main", json={"name": "Main", "skills": ["french"]})
    assert (taken.status_code, taken.json()["field"]) == (409, "skills")
    assert "queue help" in taken.json()["detail"]


async def test_what_is_in_use_stays(routing: Routing) -> None:
    await routing.floor("ann")
    await routing.put("pools/second", {"name": "Second", "skills": ["french"]})
    taken = await routing.operator.put("/v1/pools/main", json={"name": "Main", "skills": ["billing"]})
    assert (taken.status_code, taken.json()["field"]) == (409, "skills")
    assert "agent ann" in taken.json()["detail"]
    assert (await routing.operator.get("/v1/pools/main")).json()["version"] == 1
    for path, body in [
        ("agents/ann", {"name": "Ann", "pool_id": "second", "skills": ["french"]}),
    ]:
        moved = await routing.operator.put(f"/v1/{path}", json=body)
        assert (moved.status_code, moved.json()["field"]) == (409, "pool_id")


async def test_new_rules_reach_the_pool_live(routing: Routing) -> None:
    await routing.floor("ann", required_skills=["billing"])
    await routing.post("agents/ann/log-in")
    call_id = (await routing.post("calls", {"queue_id": "help"}))["call_id"]
    await routing.call_is(call_id, "queued")
    await routing.put("agents/ann", {"name": "Ann", "pool_id": "main", "skills": ["billing"]})
    assert (await routing.call_is(call_id, "offered"))["agent_id"] == "ann"
    await routing.put("tenants/kettle", {"name": "Kettle", "time_zone": "Asia/Tokyo"})
    await routing.post(f"calls/{call_id}/decline", {"agent_id": "ann"})
    await routing.call_is(call_id, "queued")
    await routing.post(f"calls/{call_id}/hang-up")
    await routing.call_is(call_id, "abandoned")
    events = await routing.published("calls", 5)
    assert [getattr(event, "time_zone", None) for event in events][-1] == "Asia/Tokyo"


async def test_a_queue_is_told_of_when_it_is_declared_and_when_it_changes(routing: Routing) -> None:
    await routing.floor()
    await routing.put("queues/help", QUEUE)
    await routing.put("queues/help", {**QUEUE, "priority": 3})
    events = await routing.published("queues", 2)
    told = [event for event in events if isinstance(event, QueueDeclared)]
    assert [(event.tenant_id, event.queue_id, event.pool_id, event.channel) for event in told] == [
        ("kettle", "help", "main", "voice")
    ] * 2


async def test_queues_of_an_older_release_are_told_of_by_the_migration(routing: Routing) -> None:
    await routing.floor()
    await routing.published("queues", 1)
    url = routing.settings.database_url.get_secret_value().replace("postgresql://", "postgresql+psycopg://")

    def migrate() -> None:
        engine = create_engine(url)
        with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
            import_module("routing.migrations.versions.0024_tell_queues").upgrade()
        engine.dispose()

    await asyncio.to_thread(migrate)
    first, second = await routing.published("queues", 2)
    assert isinstance(first, QueueDeclared)
    assert isinstance(second, QueueDeclared)
    assert replace(second, occurred_at=first.occurred_at) == first


async def test_a_tenant_sees_what_is_theirs_and_nothing_else_exists(routing: Routing) -> None:
    await routing.floor("ann")
    await routing.put("tenants/other", {"name": "Other", "time_zone": "Europe/Paris"})
    await routing.put("queues/theirs", {"tenant_id": "other", "pool_id": "main"})
    mine = (await routing.post("calls", {"queue_id": "theirs"}))["call_id"]
    foreign = (await routing.post("calls", {"queue_id": "help"}))["call_id"]
    await routing.call_is(mine, "queued")
    await routing.call_is(foreign, "queued")
    nothing = f"{new_id()}.nowhere"
    owner = await routing.client("tenant", "theirs", tenant="other")
    server = await routing.client("service,operator", "pbx", tenant="other")
    assert (await owner.get(f"/v1/calls/{mine}")).status_code == 200
    assert [item["call_id"] for item in (await owner.get("/v1/calls")).json()["items"]] == [mine]
    assert [item["id"] for item in (await owner.get("/v1/queues")).json()["items"]] == ["theirs"]
    assert [item["id"] for item in (await owner.get("/v1/tenants")).json()["items"]] == ["other"]
    assert (await owner.get("/v1/agents")).json()["items"] == []
    for client in (owner, server):
        for foreign_path, missing_path in [
            (f"calls/{foreign}", f"calls/{nothing}"),
            ("tenants/kettle", "tenants/nobody"),
            ("queues/help", "queues/nothing"),
            ("pools/main", "pools/nothing"),
            ("agents/ann", "agents/nobody"),
        ]:
            answers = [await client.get(f"/v1/{path}") for path in (foreign_path, missing_path)]
            assert [answer.status_code for answer in answers] == [404, 404], foreign_path
    assert (await server.post("/v1/calls", json={"queue_id": "theirs"})).status_code == 202
    for queue_id in ("help", "nothing"):
        assert (await server.post("/v1/calls", json={"queue_id": queue_id})).status_code == 404
    for call_id in (foreign, nothing):
        for act in ("hang-up", "accept", "decline", "wrap-up"):
            answer = await server.post(f"/v1/calls/{call_id}/{act}", json={"agent_id": "ann"})
            assert answer.status_code == 404, act
        fact = {"type": "hung_up", "call_id": call_id}
        assert (await server.post("/v1/telephony/facts", json={"facts": [fact]})).status_code == 422
    for agent_id in ("ann", "nobody"):
        assert (await server.post(f"/v1/agents/{agent_id}/log-in")).status_code == 403
        assert (await server.get(f"/v1/agents/{agent_id}/stream")).status_code == 403
    assert (await server.put("/v1/queues/help", json=QUEUE)).status_code == 403


async def test_each_role_may_do_its_own_work_only(routing: Routing) -> None:
    await routing.floor("ann", "ben")
    ann = await routing.client("agent", "ann")
    supervisor = await routing.client("supervisor")
    assert (await ann.post("/v1/agents/ben/log-in")).status_code == 403
    assert (await ann.post("/v1/calls", json={"queue_id": "help"})).status_code == 403
    assert (await ann.get("/v1/calls")).status_code == 403
    assert (await ann.put("/v1/queues/help", json=QUEUE)).status_code == 403
    assert (await supervisor.post("/v1/agents/ann/log-in")).status_code == 403
    assert (await supervisor.get("/v1/calls")).status_code == 200
    assert (await supervisor.get("/v1/telephony/stream")).status_code == 403
    call_id = (await routing.post("calls", {"queue_id": "help"}))["call_id"]
    await routing.call_is(call_id, "queued")
    assert (await ann.get(f"/v1/calls/{call_id}")).status_code == 404
    answer = await ann.post(f"/v1/calls/{call_id}/accept", json={"agent_id": "ben"})
    assert answer.status_code == 403
    assert (await routing.operator.post(f"/v1/calls/{call_id}/accept", json={})).json()["field"] == "agent_id"


async def test_several_calls_at_a_time_are_declared_and_bad_ones_refused_by_their_place(routing: Routing) -> None:
    """Given an agent and a pool; when a capacity or interruptions are declared that cannot be, then each fault is named
    by its place and nothing is stored; when they can be, then the agent shows what they could take, at once."""
    await routing.floor("ann")
    for path, body, fields in (
        ("agents/ann", {"name": "Ann", "pool_id": "main", "capacity": {"voice": 2, "chat": 1}}, ["capacity.voice"]),
        ("agents/ann", {"name": "Ann", "pool_id": "main", "capacity": {"chat": 0}}, ["capacity"]),
        (
            "pools/main",
            {"name": "Main", "skills": ["french", "billing"], "interrupts": {"chat": ["voice", "chat"]}},
            ["interrupts.chat.0", "interrupts.chat.1"],
        ),
    ):
        answer = await routing.operator.put(f"/v1/{path}", json=body)
        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]] == fields
    unknown = {"name": "Ann", "pool_id": "main", "capacity": {"fax": 1}}
    assert (await routing.operator.put("/v1/agents/ann", json=unknown)).status_code == 422
    assert (await routing.operator.get("/v1/agents/ann")).json()["capacity"] == {}

    body = {"name": "Ann", "pool_id": "main", "skills": {"french": 5}, "capacity": {"voice": 1, "chat": 3}}
    first = await routing.put("agents/ann", body)
    assert first["capacity"] == {"voice": 1, "chat": 3}
    assert (await routing.put("agents/ann", body))["version"] == first["version"]
    interrupts = {"voice": ["chat"]}
    pool = {"name": "Main", "skills": ["french", "billing"], "interrupts": interrupts}
    assert (await routing.put("pools/main", pool))["interrupts"] == interrupts
    await routing.put("queues/chats", {**QUEUE, "channel": "chat"})
    await routing.post("agents/ann/log-in")
    call = await routing.post("calls", {"queue_id": "chats", "channel": "chat"})
    await routing.call_is(call["call_id"], "offered")
    ann = await routing.agent_is("ann", "offered")
    assert ann["takes"] == ["voice", "chat"]
    assert [(one["call_id"], one["channel"], one["state"]) for one in ann["calls"]] == [
        (call["call_id"], "chat", "offered")
    ]
    await routing.put("pools/main", {**pool, "interrupts": {}})

    async def changed() -> bool:
        return bool((await routing.operator.get("/v1/agents/ann")).json()["takes"] == ["chat"])

    await eventually(changed)


async def test_a_break_has_a_reason_that_the_pool_declares_or_none(routing: Routing) -> None:
    """Given a pool whose agents may say whatever they like;

    when it declares the reasons of breaks, then the history tells so, an agent or a PBX who gives another one is
    refused by its field and told the known ones, and nothing of the batch happens; a known one, or none, is taken; a
    break after a missed offer has its own; when the pool declares none any more, then whatever is said is taken."""
    await routing.floor("ann")
    pool = {"name": "Main", "skills": ["french", "billing"]}
    assert (await routing.operator.get("/v1/pools/main")).json()["break_reasons"] == []
    await routing.post("agents/ann/log-in")
    await routing.post("agents/ann/state", {"state": "break", "reason": "a walk"})
    assert (await routing.agent_is("ann", "break"))["reason"] == "a walk"
    wrong = await routing.operator.put("/v1/pools/main", json={**pool, "break_reasons": ["lunch", "a walk"]})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "break_reasons.1")
    declared = await routing.put("pools/main", {**pool, "break_reasons": ["training", "lunch", "lunch"]})
    assert declared["break_reasons"] == ["training", "lunch"]
    again = await routing.put("pools/main", {**pool, "break_reasons": ["training", "lunch"]})
    assert again["version"] == declared["version"]
    noted = (await routing.operator.get("/v1/configuration-history", params={"kind": "pool", "id": "main"})).json()
    assert [one["value"]["break_reasons"] for one in noted["items"]] == [["training", "lunch"], []]

    ann = await routing.client("agent", "ann")
    refused = await ann.post("/v1/agents/ann/state", json={"state": "break", "reason": "a walk"})
    assert (refused.status_code, refused.json()["field"]) == (422, "reason")
    assert "training, lunch" in refused.json()["detail"]
    fact = {"type": "agent_state", "agent_id": "ann"}
    facts = [{**fact, "state": "available"}, {**fact, "state": "break", "reason": "walk"}]
    batch = await routing.operator.post("/v1/telephony/facts", json={"facts": facts})
    assert (batch.status_code, batch.json()["refused"][0]["field"]) == (202, "facts.1.reason")
    assert (await ann.post("/v1/agents/ann/state", json={"state": "break", "reason": "lunch"})).status_code == 202

    async def reason_is(reason: str | None) -> bool:
        view = (await routing.operator.get("/v1/agents/ann")).json()
        return bool((view["state"], view["reason"]) == ("break", reason))

    await eventually(lambda: reason_is("lunch"))
    await routing.post("telephony/facts", {"facts": [{**fact, "state": "break", "reason": "training"}]})
    await eventually(lambda: reason_is("training"))
    await routing.post("agents/ann/state", {"state": "break"})
    await eventually(lambda: reason_is(None))
    await routing.post("agents/ann/state", {"state": "available"})
    call = await routing.post("calls", {"queue_id": "help"})
    await routing.call_is(call["call_id"], "offered")
    await routing.post(f"calls/{call['call_id']}/decline", {"agent_id": "ann"})
    await eventually(lambda: reason_is("declined"))

    await routing.put("pools/main", pool)
    await routing.post("agents/ann/state", {"state": "break", "reason": "a walk"})
    await eventually(lambda: reason_is("a walk"))
