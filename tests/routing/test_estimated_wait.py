"""Calls that would wait too long go elsewhere as they come: by an estimate that the pool learns, keeps and saves."""

from __future__ import annotations

import msgspec
import pytest
from common.events import CallOverflowed, Event
from routing.domain import explanation, inputs
from routing.domain.agents import Agent
from routing.domain.calls import Call
from routing.domain.configuration import EstimatedWait, OverflowRule, Queue, ToMessage, ToQueue, Waited
from routing.domain.decisions import decide
from routing.domain.memory import Memory
from routing.domain.pool import Pool
from routing.store.states import load

from .conftest import Routing
from .floors import START, Floor, at, names, only, profile, queue

RULE = OverflowRule(EstimatedWait(50), ToQueue("late"))


def learnt(*rules: OverflowRule) -> Floor:
    """Ann alone: each waiting call reached her 30 s after the one before it."""
    floor = Floor(
        queue("help", "french", overflows=rules, wrap_up_seconds=0.0), queue("late"), profile("ann", "french")
    )
    floor.log_in(0, "ann")
    floor.call(0, "c0", "help")
    for number in range(6):
        floor.accept(30 * number, f"c{number}", "ann")
        floor.call(30 * number, f"c{number + 1}", "help")
        floor.hang_up(30 * number + 30, f"c{number}")
    floor.accept(180, "c6", "ann")
    return floor


def test_the_rule_holds_from_its_estimate_on_and_the_explanation_says_which() -> None:
    floor = learnt(RULE)
    assert not [event for event in floor.events if isinstance(event, CallOverflowed)]
    assert names(floor.call(181, "d1", "help")) == ["call.offered", "call.queued"], "the first of a queue stays"
    overflowed = only(floor.call(182, "d2", "help"), CallOverflowed)
    assert (overflowed.queue_id, overflowed.to_queue_id, overflowed.wait_seconds) == ("help", "late", 0.0)
    (move,) = floor.pool.calls["d2"].moves
    assert (move.queue_id, move.why, move.to, move.moved_at) == ("help", EstimatedWait(50), ToQueue("late"), at(182))
    assert move.measured == pytest.approx(60, rel=0.02)
    assert explanation.words(floor.pool.calls["d2"], None)[0] == (
        f"At {at(182).isoformat()} a rule of queue help sent it to queue late: the estimated wait was 59 s, and the "
        "rule is for 50 s or more."
    )


def test_while_nobody_is_logged_in_every_call_would_wait_too_long() -> None:
    """Given a queue of which much or nothing is known; when nobody who could serve it is logged in; then its rule holds
    for the first call too, and the explanation says why."""
    fresh = Floor(queue("help", "french", overflows=(RULE,)), queue("late"), profile("ann", "french"), profile("ben"))
    known = learnt(RULE)
    known.hang_up(181, "c6")
    known.log_out(182, "ann")
    for floor in (fresh, known):
        floor.log_in(200, *(agent_id for agent_id in floor.pool.agents if agent_id == "ben"))
        assert only(floor.call(201, "d1", "help"), CallOverflowed).to_queue_id == "late"
        (said, *_) = explanation.words(floor.pool.calls["d1"], None)
        assert said == (
            f"At {at(201).isoformat()} a rule of queue help sent it to queue late: no agent who could serve it was "
            "logged in, and the rule is for an estimated wait of 50 s or more."
        )
        floor.give(inputs.LogIn, 202, agent_id="ann", state="break")
        assert names(floor.call(203, "d2", "help")) == ["call.offered", "call.queued"]


def test_while_too_few_have_waited_to_tell_nobody_is_sent_away() -> None:
    rule = OverflowRule(EstimatedWait(0), ToMessage("later"))
    floor = Floor(queue("help", overflows=(rule,)), profile("ann"), profile("ben"))
    floor.give(inputs.LogIn, 0, agent_id="ben", state="break")
    for number in range(1, 6):
        assert names(floor.call(number, f"c{number}", "help")) == ["call.offered", "call.queued"]
    for number in range(1, 5):
        floor.log_in(10 * number, "ann")
        floor.accept(10 * number + 1, f"c{number}", "ann")
        floor.log_out(10 * number + 2, "ann")
        floor.hang_up(10 * number + 3, f"c{number}")
        floor.wrap_up(10 * number + 4, f"c{number}", "ann")
        events = floor.call(10 * number + 5, f"d{number}", "help")
        assert ("call.abandoned" in names(events)) is (number == 4), "four departures tell"


def test_callers_who_give_up_are_learnt_from_and_those_who_move_on_are_not() -> None:
    rules = (RULE, OverflowRule(Waited(20), ToQueue("late")))
    floor = Floor(queue("help", overflows=rules), queue("late"), profile("ann"))
    floor.give(inputs.LogIn, 0, agent_id="ann", state="break")
    floor.call(0, "c1", "help")
    floor.call(0, "c2", "help")
    floor.hang_up(10, "c1")
    floor.tick(20)
    (memory,) = floor.pool.memories.all()
    assert memory.estimator is not None
    told = memory.estimator
    assert (told.waiting, told.served, told.abandoned) == (0, 0.0, 1.0)
    assert told.waiting_seconds == pytest.approx(20 * 0.99 + 10)


def saved(pool: Pool) -> Pool:
    calls = msgspec.json.decode(msgspec.json.encode(list(pool.calls.values())), type=list[Call])
    agents = msgspec.json.decode(msgspec.json.encode(list(pool.agents.values())), type=list[Agent])
    memories = msgspec.json.decode(msgspec.json.encode(pool.memories.all()), type=list[Memory])
    return Pool.load(pool.id, pool.now, pool.queues, pool.profiles, agents, calls, memories)


def test_the_next_owner_knows_as_much() -> None:
    floor = learnt(RULE)
    floor.pool.memories.drain()
    again = saved(floor.pool)
    assert again.memories.all() == floor.pool.memories.all()
    assert again.memories.drain() == [], "nothing has changed by loading"
    told: list[Event] = []
    for number in (1, 2):
        call = inputs.OfferCall(
            tenant_id="kettle",
            pool_id="main",
            occurred_at=at(180 + number),
            call_id=f"d{number}",
            queue_id="help",
            contact_phone="",
            channel="voice",
            direction="inbound",
        )
        told += [fact.event for fact in decide(again, call).facts]
    assert "call.overflowed" in names(told)


def test_a_queue_without_such_a_rule_is_not_remembered() -> None:
    floor = learnt(RULE)
    floor.pool.memories.drain()
    plain: Queue = queue("help", "french", version=2)
    floor.give(inputs.ConfigureQueue, 190, queue=plain)
    assert floor.pool.memories.drain() == [Memory(queue_id="help", tenant_id="kettle")], "what was saved is emptied"
    assert not floor.pool.memories
    floor.call(191, "d1", "help")
    assert floor.pool.memories.drain() == []


async def test_what_is_learnt_is_saved_with_the_calls(routing: Routing) -> None:
    """Given a queue with a rule about its estimated wait; when a call waits in it and gives up; then the next owner of
    the pool reads what this one has learnt, and the rule is shown as it was declared."""
    rule = {"when": {"type": "estimated_wait", "seconds": 60.0}, "to": {"type": "message", "message": "later"}}
    await routing.floor("ann", overflows=[rule])
    assert (await routing.operator.get("/v1/queues/help")).json()["overflows"] == [rule]
    await routing.post("agents/ann/log-in", {"state": "break"})
    await routing.agent_is("ann", "break")
    call_id = (await routing.post("calls", {"queue_id": "help"}))["call_id"]
    await routing.call_is(call_id, "queued")
    await routing.post(f"calls/{call_id}/hang-up")
    await routing.call_is(call_id, "abandoned")
    async with routing.running.runtime.database.transaction() as session:
        pool = (await load(session, ["main"]))["main"]
    (memory,) = pool.memories.all()
    assert memory.estimator is not None
    assert (memory.estimator.waiting, memory.estimator.abandoned) == (0, 1.0)
    assert memory.estimator.at is not None
    assert memory.estimator.at > START
