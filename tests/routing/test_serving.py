"""Who may serve a call, ring by ring, and which of several agents comes first."""

from __future__ import annotations

import pytest
from common.events import CallAssigned
from routing.domain import inputs
from routing.domain.configuration import AgentOrder, Queue, Relaxation

from .floors import Floor, names, only, profile, queue


def rings(*relaxations: tuple[float, str]) -> tuple[Relaxation, ...]:
    return tuple(Relaxation(*one) for one in relaxations)


def test_only_agents_who_meet_the_requirement_are_offered_a_call() -> None:
    floor = Floor(
        queue("help", requirement="french >= 5 and (billing or disputes)"),
        profile("low", french=4, billing=9),
        profile("half", french=9),
        profile("able", french=5, disputes=1),
    )
    floor.log_in(0, "low", "half")
    assert names(floor.call(1, "c1", "help")) == ["call.offered", "call.queued"]
    assert only(floor.log_in(2, "able"), CallAssigned).agent_id == "able"
    assert [floor.pool.queue_ids_of(one) for one in ("low", "half", "able")] == [[], [], ["help"]]


def test_a_waiting_call_widens_at_its_time_and_is_offered_at_once() -> None:
    floor = Floor(
        queue("help", requirement="french >= 8", relaxations=rings((10, "french >= 5"), (30, "billing"))),
        profile("good", french=6),
        profile("other", billing=1),
    )
    floor.log_in(0, "other")
    floor.call(0, "c1", "help")
    assert floor.tick(29) == []
    floor.log_in(29, "good")
    assert floor.pool.calls["c1"].agent_id == "good"
    floor.accept(29, "c1", "good")
    floor.call(30, "c2", "help")
    assert floor.tick(59) == []
    assert only(floor.tick(60), CallAssigned).agent_id == "other"


def test_an_agent_who_comes_free_considers_the_ring_that_each_call_has_reached() -> None:
    floor = Floor(
        queue("strict", "french"),
        queue("wide", requirement="french", relaxations=rings((20, "dutch"))),
        profile("dan", "dutch"),
    )
    floor.call(0, "c1", "strict")
    floor.call(1, "c2", "wide")
    floor.call(15, "c3", "wide")
    floor.tick(22)
    assert only(floor.log_in(22, "dan"), CallAssigned).call_id == "c2"
    floor.accept(22, "c2", "dan")
    floor.hang_up(23, "c2")
    floor.wrap_up(24, "c2", "dan")
    assert floor.pool.agents["dan"].state_name == "available"
    assert only(floor.tick(36), CallAssigned).call_id == "c3"


def test_a_call_that_was_missed_while_it_rang_goes_on_in_the_ring_that_is_due() -> None:
    floor = Floor(
        queue("help", requirement="french", relaxations=rings((10, "dutch"))),
        profile("fay", "french"),
        profile("dan", "dutch"),
    )
    floor.log_in(0, "fay", "dan")
    floor.call(0, "c1", "help")
    assert floor.pool.calls["c1"].agent_id == "fay"
    floor.tick(15)
    assert only(floor.tick(20), CallAssigned).agent_id == "dan"


def test_after_an_overflow_the_rings_begin_anew() -> None:
    floor = Floor(
        queue("second", requirement="french", relaxations=rings((10, "dutch"))),
        queue("first", "nobody", overflow=("second", 15)),
        profile("dan", "dutch"),
    )
    floor.log_in(0, "dan")
    floor.call(0, "c1", "first")
    floor.tick(24)
    assert floor.pool.calls["c1"].state_name == "queued"
    assert only(floor.tick(25), CallAssigned).agent_id == "dan"


def test_new_rules_move_waiting_calls_to_the_ring_that_they_say() -> None:
    def rules(version: int, *relaxations: tuple[float, str]) -> Queue:
        return queue("help", requirement="french", relaxations=rings(*relaxations), version=version)

    floor = Floor(rules(1, (10, "dutch"), (20, "billing")), profile("dan", "dutch"), profile("bo", "billing"))
    floor.call(0, "c1", "help")
    floor.tick(25)
    floor.give(inputs.ConfigureQueue, 26, queue=rules(2))
    assert floor.log_in(27, "dan", "bo") != []
    assert floor.pool.calls["c1"].state_name == "queued"
    given = floor.give(inputs.ConfigureQueue, 28, queue=rules(3, (20, "billing"), (90, "dutch")))
    assert only(given, CallAssigned).agent_id == "bo"


def order_of(order: AgentOrder, floor: Floor, at: float, count: int) -> list[str | None]:
    """Who gets the next calls of a queue with this order, one after the other."""
    floor.give(
        inputs.ConfigureQueue,
        at,
        queue=queue("sorted", requirement="french or dutch", agent_order=order, version=9),
    )
    for number in range(count):
        floor.call(at, f"s{number}", "sorted")
    return [floor.pool.calls[f"s{number}"].agent_id for number in range(count)]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("longest_idle", ["one", "two", "few", "all"]),
        ("best_level", ["all", "two", "one", "few"]),
        ("least_flexible", ["few", "one", "two", "all"]),
    ],
)
def test_the_queue_says_which_agent_comes_first(order: AgentOrder, expected: list[str]) -> None:
    floor = Floor(
        profile("all", "billing", "orders", french=9, dutch=2),
        profile("few", french=3),
        profile("two", "billing", french=1, dutch=8),
        profile("one", "billing", french=5),
    )
    floor.log_in(0, "one", "two")
    floor.log_in(1, "few")
    floor.log_in(2, "all")
    assert order_of(order, floor, 5, 4) == expected


def test_of_agents_at_one_level_the_least_flexible_then_the_longest_idle_comes_first() -> None:
    floor = Floor(
        profile("a", "orders", french=5), profile("b", french=5), profile("c", french=5), profile("d", french=5)
    )
    floor.log_in(0, "a")
    floor.log_in(1, "d")
    floor.log_in(2, "c", "b")
    assert order_of("best_level", floor, 5, 4) == ["d", "b", "c", "a"]


@pytest.mark.parametrize("known_before", [True, False])
def test_the_fastest_is_learnt_from_the_calls_that_were_wrapped_up(known_before: bool) -> None:
    """Given agents who took 100, 20 and 50 seconds; when the order is by speed; then the quickest comes first."""
    order: AgentOrder = "fastest" if known_before else "longest_idle"
    floor = Floor(
        queue("help", "french", agent_order=order),
        *(profile(one, "french") for one in ("slow", "quick", "middle", "new")),
    )
    at = 0.0
    for agent_id, seconds in (("slow", 100), ("quick", 20), ("middle", 50)):
        floor.log_in(at, agent_id)
        floor.call(at, agent_id, "help")
        floor.accept(at, agent_id, agent_id)
        floor.hang_up(at + seconds - 5, agent_id)
        floor.wrap_up(at + seconds, agent_id, agent_id)
        at += seconds
        floor.set_state(at, agent_id, "break")
    for agent_id in ("slow", "middle", "new", "quick"):
        at += 1
        floor.set_state(at, agent_id, "available") if agent_id != "new" else floor.log_in(at, agent_id)
    assert floor.agent("quick").handling_seconds == 20
    assert order_of("fastest", floor, at + 1, 4) == ["new", "quick", "middle", "slow"]


def test_the_newest_call_moves_the_mean_by_a_tenth() -> None:
    floor = Floor(queue("help"), profile("ann"))
    agent = floor.agent("ann")
    assert agent.learnt(100).handling_seconds == 100
    assert agent.learnt(100).learnt(50).handling_seconds == 95


def test_the_preferred_agent_comes_before_the_order_of_agents() -> None:
    floor = Floor(queue("help", "french"), profile("ann", "french"), profile("ben", "french"), profile("dan", "dutch"))
    floor.log_in(0, "ann")
    floor.log_in(1, "ben", "dan")
    assert only(floor.call(2, "c1", "help", preferred_agent_id="ben"), CallAssigned).agent_id == "ben"
    assert floor.pool.calls["c1"].assignments[0].preferred
    assert only(floor.call(3, "c2", "help", preferred_agent_id="dan"), CallAssigned).agent_id == "ann"


def sticky_floor() -> Floor:
    """Ann talks, Ben is available, and a call waits for Ann alone since second 10."""
    floor = Floor(queue("help", "french", sticky_seconds=30), profile("ann", "french"), profile("ben", "french"))
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help")
    floor.accept(2, "c1", "ann")
    floor.log_in(3, "ben")
    assert names(floor.call(10, "c2", "help", preferred_agent_id="ann")) == ["call.offered", "call.queued"]
    return floor


def test_a_sticky_call_waits_for_its_agent_alone_and_is_their_first() -> None:
    floor = sticky_floor()
    assert floor.tick(20) == []
    floor.set_state(21, "ben", "break")
    floor.call(21, "c0", "help", preferred_agent_id="ben")
    floor.hang_up(22, "c1")
    assert only(floor.wrap_up(23, "c1", "ann"), CallAssigned).call_id == "c2"


def test_a_sticky_call_goes_to_anybody_once_its_time_is_over() -> None:
    floor = sticky_floor()
    assert floor.tick(39.9) == []
    assert only(floor.tick(40), CallAssigned).agent_id == "ben"
    given = floor.decline(41, "c2", "ben")
    assert names(given) == ["call.offer_missed", "agent.state_changed:break"]
    floor.set_state(42, "ben", "available")
    assert floor.pool.calls["c2"].agent_id == "ben"


def test_a_sticky_call_is_released_when_its_agent_logs_out_or_loses_the_skill() -> None:
    floor = sticky_floor()
    changed = floor.give(inputs.ConfigureAgent, 20, agent=profile("ann", "dutch", version=2))
    assert only(changed, CallAssigned).agent_id == "ben"
    floor = sticky_floor()
    floor.log_out(20, "ann")
    floor.hang_up(21, "c1")
    assert only(floor.wrap_up(22, "c1", "ann"), CallAssigned).agent_id == "ben"


def test_without_sticky_time_or_an_agent_who_is_there_nobody_waits() -> None:
    floor = Floor(queue("help", "french", sticky_seconds=30), profile("ann", "french"), profile("ben", "french"))
    floor.log_in(0, "ben")
    assert only(floor.call(1, "c1", "help", preferred_agent_id="ann"), CallAssigned).agent_id == "ben"
    floor.hang_up(2, "c1")
    assert only(floor.call(3, "c2", "help", preferred_agent_id="nobody"), CallAssigned).agent_id == "ben"
