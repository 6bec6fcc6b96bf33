"""Progressive pacing never starts more dials than there are idle agents to take them."""

from __future__ import annotations

from itertools import product

from dialer.domain.pacing import Floor, Wish, share_out
from hypothesis import given
from hypothesis import strategies as st

QUEUES = ["a", "b", "c"]


def dials(idle: dict[str, int], demand: dict[str, int], wishes: dict[str, int]) -> dict[str, int]:
    """`idle` by queues written as one word; one campaign per queue."""
    floor = Floor({frozenset(skills): count for skills, count in idle.items()}, demand)
    return share_out(floor, [Wish(queue, queue, count) for queue, count in wishes.items()])


def test_one_dial_per_idle_agent() -> None:
    assert dials({"a": 3}, {}, {"a": 10}) == {"a": 3}
    assert dials({"a": 3}, {}, {"a": 2}) == {"a": 2}


def test_dials_in_flight_and_calls_that_wait_count() -> None:
    assert dials({"a": 5}, {"a": 3}, {"a": 10}) == {"a": 2}
    assert dials({"a": 5}, {"a": 8}, {"a": 10}) == {"a": 0}


def test_nobody_is_dialled_without_agents() -> None:
    assert dials({}, {}, {"a": 10}) == {"a": 0}
    assert dials({"b": 4}, {}, {"a": 10}) == {"a": 0}


def test_agents_of_several_queues_are_not_promised_twice() -> None:
    assert dials({"ab": 2}, {}, {"a": 10, "b": 10}) == {"a": 1, "b": 1}
    assert dials({"ab": 2}, {"b": 1}, {"a": 10}) == {"a": 1}


def test_demand_moves_to_other_agents_when_that_makes_room() -> None:
    # The call of b can be taken by the agent who serves only b.
    assert dials({"ab": 1, "b": 1}, {"b": 1}, {"a": 10}) == {"a": 1}
    assert dials({"ab": 1, "bc": 1, "c": 1}, {"b": 1, "c": 1}, {"a": 10}) == {"a": 1}


def test_demand_that_nobody_can_serve_takes_nothing() -> None:
    assert dials({"a": 2}, {"b": 5}, {"a": 10}) == {"a": 2}


def test_campaigns_take_turns() -> None:
    assert dials({"ab": 5}, {}, {"b": 10, "a": 10}) == {"b": 3, "a": 2}


skills = st.sets(st.sampled_from(QUEUES), min_size=1).map(lambda queues: "".join(sorted(queues)))
counts = st.dictionaries(st.sampled_from(QUEUES), st.integers(0, 6))


@given(idle=st.dictionaries(skills, st.integers(0, 4)), demand=counts, wishes=counts)
def test_promises_can_be_kept(idle: dict[str, int], demand: dict[str, int], wishes: dict[str, int]) -> None:
    granted = dials(idle, demand, wishes)
    assert all(0 <= granted[queue] <= wishes[queue] for queue in wishes)
    served = _most_served(idle, demand)
    # Everything started can be served beside as much of the present demand as before (Hall's condition)…
    assert _most_served(idle, {q: demand.get(q, 0) + granted.get(q, 0) for q in QUEUES}) == served + sum(
        granted.values()
    )
    # … and not one dial more could be.
    for queue, wish in wishes.items():
        if granted[queue] < wish:
            more = {q: demand.get(q, 0) + granted.get(q, 0) + (q == queue) for q in QUEUES}
            assert _most_served(idle, more) == served + sum(granted.values())


@given(idle=st.integers(0, 50), flying=st.integers(0, 60), leads=st.integers(0, 60))
def test_for_one_queue_it_is_the_plain_formula(idle: int, flying: int, leads: int) -> None:
    assert dials({"a": idle}, {"a": flying}, {"a": leads}) == {"a": min(leads, max(0, idle - flying))}


def _most_served(idle: dict[str, int], demand: dict[str, int]) -> int:
    """The largest number of calls that agents can take, by the deficiency version of Hall's theorem."""
    shortage = 0
    for chosen in product([False, True], repeat=len(QUEUES)):
        queues = {queue for queue, taken in zip(QUEUES, chosen, strict=True) if taken}
        able = sum(count for skills, count in idle.items() if queues.intersection(skills))
        shortage = max(shortage, sum(demand.get(queue, 0) for queue in queues) - able)
    return sum(demand.values()) - shortage
