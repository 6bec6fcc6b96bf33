"""The policy by declared weights: its rules, and small floors against the exact optimum."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from routing.domain.policy import Demand, Policy, Staff, weigh


def demand(cost: float = 1.0, per_minute: float = 2.0, handling: float = 240, patience: float = 120) -> Demand:
    return Demand(
        lost_call_cost=cost,
        calls_per_second=per_minute / 60,
        handling_seconds=handling,
        patience_seconds=patience,
    )


def staff(agents: int, *queues: int) -> Staff:
    return Staff(agents=agents, queues=queues)


QUEUES = 4
demands = st.lists(
    st.builds(
        demand,
        st.floats(0, 100),
        st.one_of(st.just(0.0), st.floats(0.01, 30)),
        st.floats(10, 2000),
        st.floats(5, 3600),
    ),
    min_size=QUEUES,
    max_size=QUEUES,
)
groups = st.lists(
    st.builds(
        lambda agents, queues: staff(agents, *sorted(queues)),
        st.integers(1, 60),
        st.sets(st.integers(0, QUEUES - 1), min_size=1),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda group: group.queues,
)
idle_counts = st.lists(st.integers(1, 80), min_size=QUEUES, max_size=QUEUES)


@settings(max_examples=60, deadline=None)
@given(demands, groups, idle_counts, st.data())
def test_rules_that_hold_for_any_floor(
    queues: list[Demand], crews: list[Staff], idle: list[int], data: st.DataObject
) -> None:
    policy = weigh(queues, crews)
    assert policy == weigh(queues, crews), "the same figures give the same policy"
    for bid, costs in zip(policy.bids, policy.prices, strict=True):
        assert 0 <= bid < float("inf")
        assert all(0 <= cost < float("inf") for cost in costs)
    crew = data.draw(st.sampled_from(crews))
    waiting = data.draw(st.lists(st.sampled_from(crew.queues), unique=True, min_size=1))
    taken = policy.next_queue(waiting, crew.queues, idle)
    richest = max(crew.queues, key=lambda queue: policy.bids[queue])
    if richest in waiting:
        assert taken is not None, "the highest bid never waits while an agent fits"
        assert policy.bids[taken] == pytest.approx(policy.bids[richest], rel=1e-5)
    if taken is not None:
        assert taken in waiting
        assert policy.may_take(taken, crew.queues, idle)
        for queue in waiting:
            if policy.bids[queue] > policy.bids[taken] * 1.001:
                assert not policy.may_take(queue, crew.queues, idle), (
                    "a higher bid is passed over only for a still higher"
                )
    else:
        assert not any(policy.may_take(queue, crew.queues, idle) for queue in waiting)


@settings(max_examples=40, deadline=None)
@given(demands, groups, st.floats(1.5, 50))
def test_only_the_ratio_of_the_weights_counts(queues: list[Demand], crews: list[Staff], factor: float) -> None:
    scaled = [
        Demand(
            lost_call_cost=one.lost_call_cost * factor,
            calls_per_second=one.calls_per_second,
            handling_seconds=one.handling_seconds,
            patience_seconds=one.patience_seconds,
        )
        for one in queues
    ]
    before, after = weigh(queues, crews), weigh(scaled, crews)
    assert after.bids == pytest.approx([bid * factor for bid in before.bids], rel=1e-3, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.1, 20), st.floats(0.1, 5), st.integers(1, 30), st.integers(1, 40))
def test_with_one_queue_nobody_is_ever_kept(cost: float, per_minute: float, agents: int, idle: int) -> None:
    policy = weigh([demand(cost, per_minute)], [staff(agents, 0)])
    assert policy.next_queue([0], (0,), [idle]) == 0
    assert policy.next_group(0, [(0,)], [idle]) == 0


@settings(max_examples=40, deadline=None)
@given(st.floats(0.1, 5), st.floats(0.1, 5), st.integers(1, 20), st.integers(1, 20), st.integers(1, 20))
def test_with_equal_queues_nobody_is_kept_and_the_pool_s_order_decides(
    cost: float, per_minute: float, agents: int, shared: int, idle: int
) -> None:
    """Two queues that are mirror images of each other."""
    policy = weigh(
        [demand(cost, per_minute), demand(cost, per_minute)],
        [staff(agents, 0), staff(agents, 1), staff(shared, 0, 1)],
    )
    assert policy.bids[0] == pytest.approx(policy.bids[1])
    assert policy.prices[0] == pytest.approx(policy.prices[1])
    for order in ((0, 1), (1, 0)):
        assert policy.next_queue(order, (0, 1), [idle, idle]) == order[0]


@pytest.mark.parametrize(("agents", "per_minute"), [(3, 1.0), (10, 2.6), (10, 3.2), (10, 1.8), (40, 9.0)])
def test_a_heavier_weight_never_makes_a_queue_bid_less_nor_gives_it_less_protection(
    agents: int, per_minute: float
) -> None:
    bids, prices = [], []
    for cost in (0.25, 0.5, 1.0, 2.0, 4.0, 8.0):
        policy = weigh([demand(1, per_minute), demand(cost, per_minute)], [staff(agents, 0), staff(agents, 0, 1)])
        bids.append(policy.bids[1])
        prices.append(policy.price(1, 1))
    assert bids == sorted(bids)
    assert prices == sorted(prices)


def test_the_last_agents_are_kept_for_the_dearer_calls_and_no_others() -> None:
    """Benchmark R1 at 1 : 3: a flexible agent is kept for B while few are idle; a busy floor has none to keep."""
    policy = weigh([demand(1, 2.6), demand(3, 2.0)], [staff(10, 0), staff(10, 0, 1)])
    assert [policy.may_take(0, (0, 1), [idle, idle]) for idle in (1, 2, 3, 4, 5, 6)] == [False] * 3 + [True] * 3
    assert policy.may_take(1, (0, 1), [1, 1])
    assert policy.next_queue([0, 1], (0, 1), [1, 1]) == 1
    assert policy.next_queue([0], (0, 1), [1, 1]) is None
    assert policy.next_queue([0], (0,), [1, 0]) == 0, "who can serve nothing else is not kept"


def test_a_call_takes_the_agent_whom_the_others_need_least() -> None:
    policy = weigh([demand(1, 2.6), demand(1, 2.0)], [staff(10, 0), staff(10, 0, 1)])
    assert policy.next_group(0, [(0, 1), (0,)], [6, 3]) == 1
    assert policy.next_group(0, [(0, 1)], [6, 5]) == 0
    ring = weigh([demand(1, 2.0)] * 3, [staff(9, 0, 1), staff(9, 1, 2), staff(9, 0, 2)])
    assert ring.next_group(0, [(0, 1), (0, 2)], [9, 5, 2]) == 0
    assert ring.next_group(0, [(0, 1), (0, 2)], [9, 2, 5]) == 1


def test_short_calls_go_first_where_a_lost_call_costs_the_same() -> None:
    policy = weigh([demand(1, 2, handling=600), demand(1, 2, handling=120)], [staff(20, 0, 1)])
    assert policy.next_queue([0, 1], (0, 1), [1, 1]) == 1


Choice = Callable[[tuple[int, int, int, int]], tuple[int, int, int, int]]


@pytest.mark.parametrize("costs", [(3.0, 1.0), (1.0, 1.0), (1.0, 3.0), (1.0, 8.0)])
@pytest.mark.parametrize("rates", [(0.7, 0.4), (0.4, 0.7)])
def test_on_a_small_floor_it_comes_near_the_exact_optimum(
    costs: tuple[float, float], rates: tuple[float, float]
) -> None:
    """Two agents for A, two for A and B: value iteration over every state, against the policy's own chain."""
    policy = weigh([demand(costs[0], rates[0]), demand(costs[1], rates[1])], [staff(2, 0), staff(2, 0, 1)])
    floor = SmallFloor(rates, costs)
    optimal, own = floor.cost(None), floor.cost(policy)
    assert optimal <= own + 1e-6
    assert own <= optimal * 1.03


class SmallFloor:
    """The N-design with 2 + 2 agents, at most 7 waiting a queue; means 4 and 2 minutes; time in minutes."""

    OWN = SHARED = 2
    ROOM = 7

    def __init__(self, rates: tuple[float, float], costs: tuple[float, float]) -> None:
        self.rates, self.costs = rates, costs
        self.states = [
            (own, shared, a, b)
            for own in range(self.OWN + 1)
            for shared in range(self.SHARED + 1)
            for a in range(self.ROOM + 1)
            for b in range(self.ROOM + 1)
        ]

    def moves(self, state: tuple[int, int, int, int]) -> list[tuple[tuple[int, int, int, int], str]]:
        own, shared, a, b = state
        found = []
        if a and own < self.OWN:
            found.append(((own + 1, shared, a - 1, b), "own"))
        if a and shared < self.SHARED:
            found.append(((own, shared + 1, a - 1, b), "a"))
        if b and shared < self.SHARED:
            found.append(((own, shared + 1, a, b - 1), "b"))
        return found

    def settled(self, policy: Policy, state: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        """Where the policy's decisions lead from a state."""
        while True:
            moves = {name: after for after, name in self.moves(state)}
            own, shared, a, b = state
            idle = [self.OWN + self.SHARED - own - shared, self.SHARED - shared]
            waiting = [queue for queue, count in ((0, a), (1, b)) if count]
            if "own" in moves:
                state = moves["own"]
            elif idle[1] and (taken := policy.next_queue(waiting, (0, 1), idle)) is not None:
                state = moves["ab"[taken]]
            else:
                return state

    def cost(self, policy: Policy | None) -> float:
        """Long-run cost a minute: the least of all policies, or the given one's."""
        top = sum(self.rates) + (self.OWN + self.SHARED) / 4 + 2 * self.ROOM / 2
        order = sorted(self.states, key=lambda state: (-state[0] - state[1], state))
        chosen = {state: self.settled(policy, state) for state in self.states} if policy else None
        reachable = set(chosen.values()) if chosen else None
        value = dict.fromkeys(self.states, 0.0)
        for _ in range(20_000):
            after: dict[tuple[int, int, int, int], float] = {}
            for state in order:
                after[state] = (
                    value[chosen[state]]
                    if chosen
                    else min([value[state], *(after[moved] for moved, _ in self.moves(state))])
                )
            new, least, most = {}, float("inf"), float("-inf")
            for state in self.states:
                own, shared, a, b = state
                cost = (self.costs[0] * a + self.costs[1] * b) / 2
                total, rest = 0.0, top
                events = (
                    (own / 4, (own - 1, shared, a, b)),
                    (shared / 4, (own, shared - 1, a, b)),
                    (a / 2, (own, shared, a - 1, b)),
                    (b / 2, (own, shared, a, b - 1)),
                    (self.rates[0], (own, shared, a + 1, b)),
                    (self.rates[1], (own, shared, a, b + 1)),
                )
                for queue, (rate, reached) in enumerate(events, start=-4):
                    if max(reached[2:]) > self.ROOM:
                        cost += rate * self.costs[queue]
                    elif rate:
                        total += rate * after[reached]
                        rest -= rate
                new[state] = (cost + total + rest * after[state]) / top
                if after[state] == value[state] if reachable is None else state in reachable:
                    gain = (new[state] - after[state]) * top
                    least, most = min(least, gain), max(most, gain)
            zero = new[self.states[0]]
            value = {state: found - zero for state, found in new.items()}
            if most - least < 1e-4:
                return (most + least) / 2
        raise AssertionError("value iteration does not converge")
