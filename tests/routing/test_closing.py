"""Queues that open and close: who is turned away, who keeps their place, and what of it the API tells."""

from __future__ import annotations

from typing import Any

from common.events import CallAbandoned, CallAnswered, CallAssigned, Event
from common.hours import WEEKDAYS, parse
from common.testing import eventually
from routing.domain import inputs
from routing.domain.pool import Pool

from .conftest import QUEUE, Routing
from .floors import START, Floor, at, names, only, profile, queue

# The floor starts on Monday, 2 March 2026, at 10:00 in Paris.
UNTIL_NOON = parse({"week": {"mon": [["09:00", "12:00"]], "tue": [["09:00", "12:00"]]}})
NOON = 7200
TOMORROW = 23 * 3600


def test_a_call_to_a_closed_queue_is_turned_away_at_once() -> None:
    floor = Floor(queue("help", hours=UNTIL_NOON), profile("ann"))
    floor.log_in(0, "ann")
    events = floor.call(NOON, "c1", "help")
    assert names(events) == ["call.offered", "call.abandoned"], "it closes at noon sharp"
    turned_away = only(events, CallAbandoned)
    assert (turned_away.reason, turned_away.message, turned_away.short) == ("closed", "closed", False)
    assert (turned_away.entry, turned_away.queued_at, turned_away.total_wait_seconds) == (0, None, 0.0)
    assert floor.pool.calls == {}
    assert floor.agent("ann").state_name == "available"
    assert only(floor.call(TOMORROW, "c2", "help"), CallAssigned).agent_id == "ann", "and opens at nine"


def test_calls_that_wait_at_closing_keep_their_place_and_are_answered() -> None:
    floor = Floor(queue("help", hours=UNTIL_NOON), profile("ann"))
    floor.call(NOON - 20, "c1", "help")
    floor.call(NOON - 10, "c2", "help")
    floor.call(NOON + 10, "c3", "help")
    assert only(floor.log_in(NOON + 30, "ann"), CallAssigned).call_id == "c1"
    floor.accept(NOON + 31, "c1", "ann")
    floor.hang_up(NOON + 60, "c1")
    assert only(floor.wrap_up(NOON + 70, "c1", "ann"), CallAssigned).call_id == "c2"
    answered = only(floor.accept(NOON + 75, "c2", "ann"), CallAnswered)
    assert answered.wait_seconds == 85.0


def test_calls_that_the_floor_dials_follow_their_campaigns_hours() -> None:
    floor = Floor(queue("help", hours=UNTIL_NOON), profile("ann"))
    floor.log_in(0, "ann")
    assert only(floor.call(NOON + 1, "c1", "help", direction="outbound"), CallAssigned).agent_id == "ann"


def test_new_hours_count_at_once() -> None:
    floor = Floor(queue("help"), profile("ann"))
    floor.tick(NOON + 5)
    assert floor.pool.is_open("help")
    floor.give(inputs.ConfigureQueue, NOON + 5, queue=queue("help", hours=UNTIL_NOON, version=2))
    assert not floor.pool.is_open("help")
    assert floor.pool.next_due() == at(TOMORROW)
    floor.give(inputs.ConfigureQueue, NOON + 6, queue=queue("help", version=3))
    assert floor.pool.is_open("help")
    assert floor.pool.next_due() is None


def test_a_pool_that_was_just_loaded_does_not_go_through_every_day_since_its_birth() -> None:
    pool = Pool.load("main", START.replace(year=1970), [queue("help", hours=UNTIL_NOON)], [], [], [])
    floor = Floor()
    floor.pool = pool
    changes = 0
    follow = pool.follow_hours

    def counted(*given: Any) -> None:
        nonlocal changes
        changes += 1
        follow(*given)

    pool.follow_hours = counted  # type: ignore[method-assign,assignment]
    assert names(floor.call(NOON + 1, "c1", "help"))[-1] == "call.abandoned"
    assert changes == 1
    assert pool.next_due() == at(TOMORROW)


def test_the_same_inputs_give_the_same_events_after_a_restart_while_closed() -> None:
    def played(restart: bool) -> list[Event]:
        floor = Floor(queue("help", hours=UNTIL_NOON), profile("ann"))
        floor.call(NOON - 10, "c1", "help")
        floor.tick(NOON)
        if restart:
            pool = floor.pool
            floor.pool = Pool.load(
                pool.id, pool.now, pool.queues, pool.profiles, pool.agents.values(), pool.calls.values()
            )
        floor.call(NOON + 1, "c2", "help")
        floor.log_in(NOON + 2, "ann")
        floor.call(TOMORROW, "c3", "help")
        return floor.events

    assert played(restart=True) == played(restart=False)


HOURS: dict[str, Any] = {"week": {day: [["00:00", "24:00"]] for day in WEEKDAYS}}


async def test_a_closed_queue_through_the_api(routing: Routing) -> None:
    """Given a queue that is open on one day long ago, when a call comes, then the PBX plays `closed` and releases it,
    and no figure of the queue counts it; when the queue is open all week, then the next call waits."""
    await routing.floor(hours={"exceptions": {"2020-01-01": [["08:00", "12:00"]]}, "time_zone": "Asia/Tokyo"})
    declared = (await routing.operator.get("/v1/queues/help")).json()["hours"]
    assert declared == {
        "week": {},
        "time_zone": "Asia/Tokyo",
        "holidays": None,
        "exceptions": {"2020-01-01": [["08:00", "12:00"]]},
    }
    call_id = (await routing.post("calls", {"queue_id": "help"}))["call_id"]
    view = await routing.call_is(call_id, "abandoned")
    assert view["entry"] == 0
    abandoned = only(await routing.published("calls", 2), CallAbandoned)
    assert (abandoned.reason, abandoned.message) == ("closed", "closed")
    opening = (await routing.operator.get("/v1/queues/help/opening", params={"at": "2020-01-01T00:00:00Z"})).json()
    assert opening == {
        "queue_id": "help",
        "at": "2020-01-01T00:00:00Z",
        "is_open": True,
        "override": None,
        "next_opening": "2020-01-01T00:00:00Z",
        "next_closing": "2020-01-01T03:00:00Z",
    }
    assert (await routing.operator.get("/v1/queues/help/opening")).json()["is_open"] is False
    await routing.put("queues/help", {**QUEUE, "hours": HOURS})
    assert (await routing.put("queues/help", {**QUEUE, "hours": HOURS}))["version"] == 2, "the same again"
    waiting = (await routing.post("calls", {"queue_id": "help"}))["call_id"]
    await routing.call_is(waiting, "queued")
    assert (await routing.operator.get("/v1/queues/nothing/opening")).status_code == 404


async def test_wrong_hours_are_refused_as_a_whole_with_every_fault(routing: Routing) -> None:
    await routing.floor()
    hours = {
        "week": {"mon": [["08:00", "12:00"], ["11:00", "13:00"]], "tue": [["08:00", "08:00"]]},
        "time_zone": "Europe/Nowhere",
        "holidays": "XX",
    }
    answer = await routing.operator.put("/v1/queues/help", json={**QUEUE, "hours": hours})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [
        "hours.week.tue.0",
        "hours.time_zone",
        "hours.holidays",
        "hours.week.mon.1",
    ]
    assert (await routing.operator.get("/v1/queues/help")).json()["hours"] is None


async def test_an_operator_closes_and_opens_a_queue(routing: Routing) -> None:
    """Given a queue with a waiting call, when an operator closes it, then a new call is turned away, the waiting one is
    answered, and the audit says who and why; when the queue is opened again, then calls enter it."""
    await routing.floor("ann")
    waiting = (await routing.post("calls", {"queue_id": "help"}))["call_id"]
    await routing.call_is(waiting, "queued")
    for _ in range(2):
        answer = await routing.operator.post("/v1/queues/help/close", json={"reason": "fire drill"})
        assert answer.status_code == 200, answer.text
        override = answer.json()["override"]
        assert (override["state"], override["reason"]) == ("closed", "fire drill")

    async def turned_away() -> bool:
        refused = (await routing.post("calls", {"queue_id": "help"}))["call_id"]
        return bool((await settled(routing, refused))["state"] == "abandoned")

    await eventually(turned_away)
    await routing.post("agents/ann/log-in")
    assert (await routing.call_is(waiting, "offered"))["agent_id"] == "ann"
    await routing.put("queues/help", {**QUEUE, "priority": 7})
    assert (await routing.operator.get("/v1/queues/help")).json()["override"] == override, "an edit leaves it"
    opened = await routing.operator.post("/v1/queues/help/open")
    assert opened.json()["override"]["state"] == "open"

    async def let_in() -> bool:
        welcome = (await routing.post("calls", {"queue_id": "help"}))["call_id"]
        return bool((await settled(routing, welcome))["state"] == "queued")

    await eventually(let_in)
    follows = await routing.operator.post("/v1/queues/help/follow-hours")
    assert follows.json()["override"] is None
    async with routing.running.runtime.database.transaction() as session:
        rows = await session.fetch(
            "SELECT tenant_id, action, subject, detail FROM audit WHERE action NOT LIKE '%.configured' ORDER BY id"
        )
    assert [(row["tenant_id"], row["action"], row["subject"], row["detail"]["reason"]) for row in rows] == [
        ("kettle", "queue.closed", "help", "fire drill"),
        ("kettle", "queue.opened", "help", None),
        ("kettle", "queue.follows_hours", "help", None),
    ]
    supervisor = await routing.client("supervisor")
    assert (await supervisor.post("/v1/queues/help/close")).status_code == 403
    assert (await routing.operator.post("/v1/queues/nothing/close")).status_code == 404


async def settled(routing: Routing, call_id: str) -> dict[str, Any]:
    """The call, once its pool knows it."""

    async def known() -> dict[str, Any] | None:
        answer = await routing.operator.get(f"/v1/calls/{call_id}")
        return answer.json() if answer.status_code == 200 else None

    found = await eventually(known)
    assert found is not None
    return found
