"""Overflow rules: when each holds, the order of them, where a call cannot go, and what is refused."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from common.events import CallAbandoned, CallAssigned, CallOverflowed, CallQueued
from common.hours import parse
from common.testing import eventually
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from routing.domain import explanation, inputs
from routing.domain.configuration import Closed, OverflowRule, QueueLength, ToMessage, ToQueue, Waited
from routing.domain.decisions import decide
from routing.domain.overflows import circle
from routing.domain.pool import Pool

from .conftest import QUEUE, Routing
from .floors import TENANT, Floor, at, names, only, profile, queue

# The floor starts on Monday, 2 March 2026, at 10:00 in Paris.
UNTIL_NOON = parse({"week": {"mon": [["09:00", "12:00"]]}})
NOON = 7200
CLOSED_TO_LATE = OverflowRule(Closed(), ToQueue("late"))


def test_a_call_to_a_closed_queue_follows_its_rule_at_once() -> None:
    floor = Floor(queue("help", hours=UNTIL_NOON, overflows=(CLOSED_TO_LATE,)), queue("late"), profile("ann"))
    floor.log_in(0, "ann")
    events = floor.call(NOON, "c1", "help")
    assert names(events)[:4] == ["call.offered", "call.overflowed", "call.queued", "call.assigned"]
    overflowed = only(events, CallOverflowed)
    assert (overflowed.queue_id, overflowed.to_queue_id, overflowed.entry) == ("help", "late", 0)
    assert (overflowed.queued_at, overflowed.wait_seconds) == (None, 0.0)
    queued = only(events, CallQueued)
    assert (queued.queue_id, queued.entry) == ("late", 1)


def test_a_closed_target_is_passed_over() -> None:
    rules = (CLOSED_TO_LATE, OverflowRule(Closed(), ToMessage("call-tomorrow")))
    floor = Floor(queue("help", hours=UNTIL_NOON, overflows=rules), queue("late", hours=UNTIL_NOON))
    assert only(floor.call(NOON, "c1", "help"), CallAbandoned).message == "call-tomorrow"
    waited = OverflowRule(Waited(60), ToQueue("late"))
    floor = Floor(queue("help", overflows=(waited,)), queue("late", hours=UNTIL_NOON), profile("ann"))
    floor.call(NOON - 30, "c1", "help")
    assert floor.tick(NOON + 600) == [], "it keeps its place rather than be turned away"
    assert only(floor.log_in(NOON + 700, "ann"), CallAssigned).call_id == "c1"


def test_calls_that_wait_at_closing_go_only_where_a_rule_says_so() -> None:
    rule = OverflowRule(Closed(waiting=True), ToQueue("late"))
    floor = Floor(queue("help", hours=UNTIL_NOON, overflows=(rule,)), queue("late"))
    floor.call(NOON - 20, "c1", "help")
    floor.call(NOON - 10, "c2", "help")
    events = floor.tick(NOON)
    assert names(events) == ["call.overflowed", "call.queued"] * 2
    assert [event.call_id for event in events if isinstance(event, CallOverflowed)] == ["c1", "c2"]
    assert [event.wait_seconds for event in events if isinstance(event, CallOverflowed)] == [20.0, 10.0]
    floor = Floor(queue("help", hours=UNTIL_NOON, overflows=(CLOSED_TO_LATE,)), queue("late"))
    floor.call(NOON - 20, "c1", "help")
    assert floor.tick(NOON + 60) == []


def test_a_full_queue_takes_no_more_unless_an_agent_is_there() -> None:
    rule = OverflowRule(QueueLength(2), ToMessage("call-later"))
    floor = Floor(queue("help", overflows=(rule,)), profile("ann"))
    floor.call(0, "c1", "help")
    floor.call(1, "c2", "help")
    events = floor.call(2, "c3", "help")
    assert names(events) == ["call.offered", "call.queued", "call.abandoned"]
    full = only(events, CallAbandoned)
    assert (full.reason, full.message, full.short, full.entry) == ("overflow", "call-later", False, 1)
    floor.log_in(3, "ann")
    assert names(floor.call(4, "c4", "help")) == ["call.offered", "call.queued"], "one rings, one waits"


def test_of_the_rules_that_hold_the_first_listed_that_can_be_followed_is() -> None:
    rules = (
        OverflowRule(Waited(60), ToMessage("sorry")),
        OverflowRule(Waited(30), ToQueue("closed")),
        OverflowRule(Waited(30), ToQueue("second")),
        OverflowRule(Waited(30), ToQueue("third")),
    )
    shut = queue("closed", override="closed")
    floor = Floor(queue("help", overflows=rules), shut, queue("second"), queue("third"))
    floor.call(0, "c1", "help")
    overflowed = only(floor.tick(100), CallOverflowed)
    assert (overflowed.to_queue_id, overflowed.occurred_at) == ("second", at(30))
    floor = Floor(queue("help", overflows=rules[:2]), shut)
    floor.call(0, "c1", "help")
    abandoned = only(floor.tick(100), CallAbandoned)
    assert (abandoned.message, abandoned.abandoned_at, abandoned.wait_seconds) == ("sorry", at(60), 60.0)


def test_a_call_goes_on_from_queue_to_queue_and_never_back() -> None:
    floor = Floor(
        queue("first", overflow=("second", 10)),
        queue("second", overflow=("third", 10)),
        queue("third", overflows=(OverflowRule(Waited(10), ToQueue("first")),)),
    )
    floor.call(0, "c1", "first")
    moves = [event.to_queue_id for event in floor.tick(1000) if isinstance(event, CallOverflowed)]
    assert moves == ["second", "third"]


def test_an_operators_word_counts_for_calls_that_the_floor_dials_too() -> None:
    floor = Floor(queue("help", hours=UNTIL_NOON))
    assert names(floor.call(NOON, "c1", "help", direction="outbound"))[-1] == "call.queued"
    floor.give(inputs.ConfigureQueue, NOON, queue=queue("help", override="closed", version=2))
    assert only(floor.call(NOON, "c2", "help", direction="outbound"), CallAbandoned).reason == "closed"
    floor.give(inputs.ConfigureQueue, NOON, queue=queue("help", hours=UNTIL_NOON, override="open", version=3))
    assert names(floor.call(NOON + 9, "c3", "help"))[-1] == "call.queued"


def test_the_explanation_names_where_a_rule_leads() -> None:
    rules = queue(
        "help", overflows=(OverflowRule(Waited(60), ToQueue("late")), OverflowRule(Waited(90), ToMessage("m")))
    )
    floor = Floor(rules, queue("late"))
    floor.call(0, "c1", "help")
    standing = explanation.waiting(floor.pool.calls["c1"], rules, [], None, at(1))
    assert standing is not None
    assert (standing.overflow_at, standing.overflow_queue_id) == (at(60), "late")
    said = queue("help", overflows=rules.overflows[1:])
    floor = Floor(said)
    floor.call(0, "c1", "help")
    standing = explanation.waiting(floor.pool.calls["c1"], said, [], None, at(1))
    assert any("overflows to message m" in one for one in explanation.words(floor.pool.calls["c1"], standing))
    call = floor.pool.calls["c1"]
    floor.tick(90)
    over = floor.pool.changed_calls[call.id]
    assert any("sent it to a message" in one for one in explanation.words(over, None))


@given(st.dictionaries(st.integers(0, 5), st.lists(st.integers(0, 5), max_size=3), max_size=6), st.integers(0, 5))
def test_a_circle_is_found_if_and_only_if_there_is_one(edges: dict[int, list[int]], start: int) -> None:
    others = {str(one): [str(target) for target in targets] for one, targets in edges.items()}
    found = circle(str(start), others.get(str(start), []), others)
    for target, way in zip(others.get(str(start), []), found, strict=True):
        reached, known = {target}, 0
        while known < len(reached):
            known = len(reached)
            reached |= {step for one in sorted(reached) for step in others.get(one, [])}
        assert bool(way) == (str(start) in reached)
        if way:
            assert (way[0], way[1], way[-1]) == (str(start), target, str(start))
            assert all(after in others[before] for before, after in pairwise(way))


def test_a_call_goes_whole_to_a_queue_of_another_pool_unless_that_is_closed() -> None:
    """It has left the queue here, once, and enters the one there, with the time it has waited; again is nothing."""
    late = queue("late", version=2)
    floor = Floor(queue("help", overflow=("late", 10)), late.at_home_in("night"))
    floor.call(0, "c1", "help")
    events = floor.tick(10)
    assert names(events) == ["call.overflowed", "routing.take_over"]
    given = only(events, inputs.TakeOver)
    assert (given.pool_id, given.phase, floor.pool.calls) == ("night", "enters", {})
    there = Pool("night", at(0))
    decide(there, inputs.ConfigureQueue(tenant_id=TENANT, pool_id="night", occurred_at=at(9), queue=late))
    told = decide(there, given).facts
    (queued,) = [fact.event for fact in told]
    assert isinstance(queued, CallQueued)
    assert (queued.queue_id, queued.entry, queued.pool_id, queued.sequence) == ("late", 2, "night", 4)
    call = there.calls["c1"]
    assert (call.first_queued_at, call.queued_at, call.left_queues) == (at(0), at(10), ("help",))
    assert [type(one.why) for one in call.moves] == [Waited]
    assert decide(there, given).facts == []
    closed = replace(late, override="closed", version=3).at_home_in("night")
    floor.give(inputs.ConfigureQueue, 20, queue=closed)
    floor.call(20, "c2", "help")
    assert floor.tick(60) == []
    assert floor.pool.calls["c2"].state_name == "queued"


async def test_overflows_through_the_api(routing: Routing) -> None:
    """Given a closed queue that overflows to another one when closed, when a call comes, then it waits in the other
    one; its first queue counts it neither as offered nor as abandoned."""
    await routing.floor()
    await routing.put("queues/late", QUEUE)
    rules = [
        {"when": {"type": "waited", "seconds": 600.0}, "to": {"type": "message", "message": "sorry"}},
        {"when": {"type": "closed", "waiting": False}, "to": {"type": "queue", "queue_id": "late"}},
    ]
    declared = await routing.put("queues/help", {**QUEUE, "overflows": rules})
    assert declared["overflows"] == rules
    assert (await routing.put("queues/help", {**QUEUE, "overflows": rules}))["version"] == declared["version"]
    await routing.operator.post("/v1/queues/help/close")

    async def moved() -> dict[str, Any] | None:
        call_id = (await routing.post("calls", {"queue_id": "help"}))["call_id"]
        view = await routing.call_is(call_id, "queued")
        return view if view["queue_id"] == "late" else None

    found = await eventually(moved)
    assert found is not None
    assert found["entry"] == 1


async def test_circles_and_wrong_targets_are_refused_with_every_fault(routing: Routing) -> None:
    """Given `third` overflows to `help`, and `second`, of another pool, to `third`; when `help` is to go to itself,
    to nothing, to `second` and to `third`, then each is refused by its place, the circle through the other pool too."""
    await routing.floor()

    def to(*targets: str) -> dict[str, Any]:
        when = {"type": "waited", "seconds": 5}
        return {**QUEUE, "overflows": [{"when": when, "to": {"type": "queue", "queue_id": one}} for one in targets]}

    await routing.put("pools/night", {"name": "Night", "skills": ["french"]})
    await routing.put("queues/third", to("help"))
    await routing.put("queues/second", {**to("third"), "pool_id": "night"})
    answer = await routing.operator.put("/v1/queues/help", json=to("help", "nothing", "second", "third"))
    assert answer.status_code == 422
    assert [(error["field"], error["reason"]) for error in answer.json()["errors"]] == [
        ("overflows.0.to.queue_id", "a queue cannot overflow to itself"),
        ("overflows.1.to.queue_id", "tenant kettle has no queue nothing"),
        ("overflows.2.to.queue_id", "calls would go round for ever: help -> second -> third -> help"),
        ("overflows.3.to.queue_id", "calls would go round for ever: help -> third -> help"),
    ]
    old = {**QUEUE, "overflow": {"queue_id": "third", "after_seconds": 5}}
    refused = await routing.operator.put("/v1/queues/help", json=old)
    assert (refused.status_code, refused.json()["field"]) == (422, "overflow.queue_id")
    wrong = {**QUEUE, "overflows": [{"when": {"type": "full"}, "to": {"type": "queue", "queue_id": "second"}}]}
    assert (await routing.operator.put("/v1/queues/help", json=wrong)).status_code == 422
    assert (await routing.operator.get("/v1/queues/help")).json()["overflows"] == []
