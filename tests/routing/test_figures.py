"""What a pool learns of its queues, and the policy that goes by it."""

from __future__ import annotations

import random
from typing import Any

import pytest
from days import Traffic, play
from routing.domain.configuration import Queue, Weights
from routing.domain.figures import HALF_LIFE_SECONDS, LATE_STEP, Figures, Used
from routing.domain.pool import Pool
from routing.domain.weighing import Weighing

from .floors import Floor, at, profile, queue
from .pool_rules import reloaded


def fresh() -> Figures:
    return Figures(queue_id="help", tenant_id="kettle", at=at(0))


def test_calls_that_come_evenly_are_counted_as_they_come() -> None:
    figures = fresh()
    for number in range(1, 8 * 120):
        figures = figures.arrived(at(number * 30))
    assert figures.estimated(at(8 * 3600)).calls_per_second == pytest.approx(1 / 30, rel=0.02)


def test_once_no_more_calls_come_the_rate_halves_in_every_half_life() -> None:
    figures = fresh()
    for number in range(1, 12 * 120):
        figures = figures.arrived(at(number * 30))
    before = figures.estimated(at(12 * 3600)).calls_per_second
    after = figures.estimated(at(12 * 3600 + HALF_LIFE_SECONDS)).calls_per_second
    assert after == pytest.approx(before / 2, rel=0.01)


def test_the_patience_of_those_who_were_answered_counts_too() -> None:
    """Callers with a patience of 100 s on average, each answered after 30 s if still there: those who hung up waited
    less than 30 s, but that is not what the estimate says."""
    chance, figures = random.Random(3), fresh()
    for _ in range(20_000):
        patience = chance.expovariate(1 / 100)
        figures = figures.waited(min(patience, 30), hung_up=patience < 30)
    assert figures.estimated(at(0)).patience_seconds == pytest.approx(100, rel=0.25)


def test_calls_served_at_once_say_nothing_of_patience_and_nobody_s_is_without_end() -> None:
    figures = fresh()
    for _ in range(2000):
        figures = figures.waited(0, hung_up=False)
    assert figures.estimated(at(0)) == Used()
    for _ in range(100_000):
        figures = figures.waited(100, hung_up=False)
    assert figures.estimated(at(0)).patience_seconds == 86_400


def test_the_newest_calls_tell_most_of_the_handling() -> None:
    figures = fresh()
    for seconds in [100.0] * 3000 + [400.0] * 500:
        figures = figures.was_handled(seconds)
    assert figures.estimated(at(0)).handling_seconds == pytest.approx(250, rel=0.01)


def test_the_multiplier_rests_where_the_target_is_met() -> None:
    """Four of five in time at 80 %: it stays. Fewer: it rises to 1. More: it falls to 0."""
    for in_five, expected in ((4, 0.5), (3, 1.0), (5, 0.0)):
        figures = Figures(queue_id="help", tenant_id="kettle", at=at(0), late=0.5)
        for number in range(400):
            figures = figures.was_due(0.8, in_time=number % 5 < in_five)
        assert figures.late == pytest.approx(expected, abs=LATE_STEP)


def test_only_what_has_moved_far_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a pool that works its policy out for each of 20 agents who log in; when it then sees six hours of calls,
    then it does so again a few times, at first above all, and has come to know them well."""
    worked_out: list[float] = []
    work_out = Weighing._work_out

    def counted(weighing: Weighing) -> Any:
        worked_out.append(1)
        return work_out(weighing)

    monkeypatch.setattr(Weighing, "_work_out", counted)
    agents = [profile(f"p{number}") for number in range(20)]
    pool, outcomes = play([queue("help", weights=Weights()), *agents], {"help": Traffic(3, 180, 60)}, 6, 1)
    assert len(outcomes["help"].waits) > 1000
    assert len(agents) < len(worked_out) <= len(agents) + 15
    (figures,) = pool.memories.figures()
    assert figures.used.calls_per_second == pytest.approx(3 / 60, rel=0.25)
    assert figures.used.handling_seconds == pytest.approx(180, rel=0.25)


def test_what_is_declared_is_not_learnt() -> None:
    declared = Weights(calls_per_hour=60, handling_seconds=100, patience_seconds=100)
    floor = Floor(queue("help", weights=declared), profile("ann"))
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help")
    assert not floor.pool.memories
    floor = Floor(queue("help"), profile("ann"))
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help")
    assert not floor.pool.memories, "without weights nothing is learnt"


def test_what_was_learnt_is_saved_with_the_pool() -> None:
    floor = Floor(queue("help", weights=Weights()), queue("plain"), profile("ann"))
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help")
    floor.call(2, "c2", "plain")
    again = reloaded(floor.pool)
    assert again.memories.figures() == floor.pool.memories.figures()
    assert {one.queue_id for one in again.memories.figures()} == {"help", "plain"}


def policy_of(pool: Pool) -> Any:
    return pool._weighing._current()


def test_a_loaded_pool_goes_by_the_same_policy() -> None:
    rules = [queue(name, weights=Weights(lost_call_cost=cost)) for name, cost in (("a", 1.0), ("b", 3.0))]
    traffic = {"a": Traffic(1, 120, 60), "b": Traffic(1, 240, 60)}
    pool, _ = play([*rules, *(profile(f"p{number}") for number in range(6))], traffic, 1, 1)
    assert policy_of(reloaded(pool)) == policy_of(pool)
    assert all(one.used != Used() for one in pool.memories.figures())


# the target service level

TRAFFIC = {"a": Traffic(2, 180, 120), "b": Traffic(2, 180, 120)}


def floor_of(a: Queue, b: Queue) -> list[Any]:
    return [a, b, *(profile(f"p{number}") for number in range(12))]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_target_is_met_with_it_and_missed_without(seed: int) -> None:
    """Given two queues with the same calls on a floor with as much work as agents. When one has a target of 80 % within
    20 s, then it is met, but not by much; when neither has, then both are far below."""
    target = Weights(service_level_target=0.8)
    _, without = play(floor_of(queue("a", weights=Weights()), queue("b", weights=Weights())), TRAFFIC, 5, seed)
    _, with_it = play(floor_of(queue("a", weights=target), queue("b", weights=Weights())), TRAFFIC, 5, seed)
    assert without["a"].service_level(20) < 0.75
    assert 0.79 < with_it["a"].service_level(20) < 0.86
    assert with_it["b"].service_level(20) < without["b"].service_level(20)


def test_a_bid_rises_towards_the_threshold_and_falls_behind_it_but_not_below_what_a_lost_call_costs() -> None:
    floor = Floor(
        queue("a", weights=Weights(calls_per_hour=60, service_level_target=0.8, late_call_cost=4)),
        queue("b", weights=Weights(calls_per_hour=60)),
        profile("ann"),
        profile("ben"),
    )
    floor.log_in(0, "ann", "ben")
    policy = policy_of(floor.pool)
    bids = [policy.bid(0, wait, 1) for wait in range(0, 40, 2)]
    assert bids[:10] == sorted(bids[:10])
    assert bids[9] > bids[0]
    assert max(bids[10:]) < bids[0]
    assert min(bids) > 0
    assert policy.bid(0, 30, 5) > policy.bid(0, 30, 1), "those behind a late call may still be in time"
