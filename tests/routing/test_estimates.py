"""Position and estimated wait: the estimator against its formula, what it learns from, and what the API shows."""

from __future__ import annotations

import importlib
import itertools
from pathlib import Path

import pytest
from common.testing import eventually
from hypothesis import given
from hypothesis import strategies as st
from routing.domain.calls import Call
from routing.domain.estimates import Estimator, ahead_of, learn

from .conftest import Routing
from .floors import Floor, at, profile, queue

BENCH = Path(__file__).parents[1] / "bench"


def test_without_abandonment_it_is_the_service_rate_times_the_place() -> None:
    estimator = Estimator(memory=1e9)
    for number in range(12):
        estimator.enter(at(0.001 * number))
    assert estimator.seconds(0) is None, "nobody has been served yet"
    for number in range(1, 11):
        estimator.serve(at(6 * number))
    assert estimator.waiting == 2
    assert estimator.seconds(0) == pytest.approx(6, rel=1e-3)
    assert estimator.seconds(4) == pytest.approx(30, rel=1e-3)


def test_callers_who_give_up_shorten_the_wait_of_those_behind_them() -> None:
    estimator = Estimator(memory=1e9)
    for _ in range(20):
        estimator.enter(at(0))
    for number in range(1, 11):
        estimator.abandon(at(10 * number - 5))
        estimator.serve(at(10 * number))
    rate = 10 / 100
    waiting_seconds = sum(20 - step // 5 for step in range(0, 100, 1))
    patience = 10 / waiting_seconds
    assert estimator.seconds(2) == pytest.approx(sum(1 / (rate + i * patience) for i in range(3)))


def test_the_last_departures_count_most() -> None:
    estimator = Estimator(memory=20)
    seconds = 0.0
    for _ in range(400):
        estimator.enter(at(0))
    for gap in [10.0] * 200 + [1.0] * 100:
        seconds += gap
        estimator.serve(at(seconds))
    assert estimator.seconds(0) == pytest.approx(1, rel=0.1)


@given(st.lists(st.tuples(st.sampled_from(["enter", "serve", "abandon"]), st.floats(0.1, 60)), max_size=60))
def test_an_estimate_is_positive_and_grows_with_the_place(steps: list[tuple[str, float]]) -> None:
    estimator, seconds = Estimator(), 0.0
    for what, gap in steps:
        seconds += gap
        if what == "enter" or estimator.waiting > 0:
            getattr(estimator, what)(at(seconds))
    told = [estimator.seconds(ahead) for ahead in range(5)]
    if told[0] is None:
        assert told == [None] * 5
    else:
        waits = [wait for wait in told if wait is not None]
        assert len(waits) == 5
        assert waits[0] > 0
        assert all(later > earlier for earlier, later in itertools.pairwise(waits))


def test_it_learns_from_the_calls_of_its_queue_that_waited() -> None:
    floor = Floor(queue("help", "a", wrap_up_seconds=0.0), queue("other"), profile("ann", "a"))
    known: dict[str, Call] = {}
    for number in range(5):
        floor.call(number, f"c{number}", "help")
    floor.call(5, "c5", "help")
    floor.call(5, "elsewhere", "other")
    floor.hang_up(50, "c5")
    known.update(floor.pool.changed_calls)
    floor.log_in(60, "ann")
    for number in range(4):
        floor.accept(60 + 30 * number, f"c{number}", "ann")
        known.update(floor.pool.changed_calls)
        floor.hang_up(89 + 30 * number, f"c{number}")
        floor.tick(90 + 30 * number)
        known.update(floor.pool.changed_calls)
    calls = [call for call in known.values() if call.id != "c4"]
    assert floor.pool.calls["c4"].state_name == "offered"
    estimator = learn(calls, "help")
    assert estimator.waiting == 0
    first = estimator.seconds(0)
    assert first is not None
    assert 20 < first < 45, "four calls reached an agent in the 150 s since the first one came"
    assert learn(reversed(calls), "help").seconds(3) == estimator.seconds(3), "in any order"
    assert learn(calls, "other").seconds(0) is None


def test_who_is_ahead() -> None:
    rules = queue("help")
    floor = Floor(rules)
    for number in range(3):
        floor.call(number, f"c{number}", "help")
    calls = floor.pool.waiting_in("help")
    assert [ahead_of(call, calls, rules) for call in calls] == [0, 1, 2]


def test_on_simulated_queues_it_has_no_bias_and_beats_the_last_callers_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCH)
    bench = importlib.import_module("bench_estimates")
    for title, errors in bench.cases(4000):
        figures = errors.figures()
        assert figures["estimate_mae_seconds"] < 0.8 * figures["naive_mae_seconds"], title
        assert abs(figures["estimate_bias_seconds"]) < 0.15 * figures["estimate_mae_seconds"], title


async def test_position_and_estimate_through_the_api(routing: Routing) -> None:
    """Given a queue with two waiting calls and no agent, then each says its place, the queue says how many wait, and no
    estimate is made up; a call that rings has no place any more."""
    await routing.floor("ann")
    first = (await routing.post("calls", {"queue_id": "help"}))["call_id"]
    await routing.call_is(first, "queued")
    second = (await routing.post("calls", {"queue_id": "help"}))["call_id"]
    waiting = await routing.call_is(second, "queued")
    assert (waiting["position"], waiting["estimated_wait_seconds"]) == (2, None)
    assert (await routing.call_is(first, "queued"))["position"] == 1
    live = (await routing.operator.get("/v1/queues/help/live")).json()
    assert (live["queue_id"], live["waiting"], live["is_open"], live["estimated_wait_seconds"]) == (
        "help",
        2,
        True,
        None,
    )
    await routing.post("agents/ann/log-in")
    ringing = await routing.call_is(first, "offered")
    assert ringing["position"] is None
    assert (await routing.call_is(second, "queued"))["position"] == 1
    assert (await routing.operator.get("/v1/queues/nothing/live")).status_code == 404


async def test_after_some_have_waited_the_next_one_is_told_how_long(routing: Routing) -> None:
    """Given four calls that waited and reached an agent, when a fifth waits, then it is told an estimate."""
    await routing.floor("ann", wrap_up_seconds=0)
    calls = []
    for _ in range(5):
        calls.append((await routing.post("calls", {"queue_id": "help"}))["call_id"])
        await routing.call_is(calls[-1], "queued")
    await routing.post("agents/ann/log-in")
    for call_id in calls[:4]:
        await routing.call_is(call_id, "offered")
        await routing.post(f"calls/{call_id}/accept", {"agent_id": "ann"})
        await routing.call_is(call_id, "talking")
        await routing.post(f"calls/{call_id}/hang-up")
    await routing.call_is(calls[4], "offered")
    last = (await routing.post("calls", {"queue_id": "help"}))["call_id"]

    async def told() -> float | None:
        view = await routing.call_is(last, "queued")
        estimate: float | None = view["estimated_wait_seconds"]
        return estimate

    estimate = await eventually(told)
    assert estimate is not None
    assert estimate > 0
