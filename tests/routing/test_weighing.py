"""The policy by declared weights in a pool: agents are kept, released, and everything replays."""

from __future__ import annotations

import random
from itertools import pairwise

import msgspec
import pytest
from common.events import CallAssigned
from hypothesis import given, settings
from hypothesis import strategies as st
from routing.domain import explanation, inputs
from routing.domain.agents import Available
from routing.domain.call_states import Queued
from routing.domain.calls import Call
from routing.domain.configuration import AgentProfile, CallbackRules, Queue, Weights
from routing.domain.decisions import decide
from routing.domain.pool import Pool
from routing.domain.weighing import rounded

from .floors import START, Floor, names, only, profile, queue
from .histories import check_histories
from .pool_rules import reloaded


def weights(cost: float, per_minute: float) -> Weights:
    return Weights(lost_call_cost=cost, calls_per_hour=per_minute * 60, handling_seconds=240.0, patience_seconds=120.0)


def n_design(cost_a: float, cost_b: float, agents: int = 10) -> Floor:
    """Benchmark R1: agents with skill a, agents with a and b, all logged in."""
    floor = Floor(
        queue("a", "a", weights=weights(cost_a, 2.6)),
        queue("b", "b", weights=weights(cost_b, 2.0)),
        *(profile(f"a{number}", "a") for number in range(agents)),
        *(profile(f"ab{number}", "a", "b") for number in range(agents)),
    )
    floor.log_in(0, *(f"a{number}" for number in range(agents)), *(f"ab{number}" for number in range(agents)))
    return floor


def occupy(floor: Floor, seconds: float, queue_id: str, count: int) -> list[str]:
    """So many calls, each answered; returns the agents."""
    agents = []
    for number in range(count):
        assigned = only(floor.call(seconds, f"{queue_id}-{seconds:g}-{number}", queue_id), CallAssigned)
        floor.accept(seconds, assigned.call_id, assigned.agent_id)
        agents.append(assigned.agent_id)
    return agents


def release(floor: Floor, seconds: float, agent_id: str) -> list[str]:
    """The agent's call ends and is wrapped up; returns what happened then, in names."""
    call_id = next(call.id for call in floor.pool.calls.values() if call.agent_id == agent_id)
    floor.hang_up(seconds, call_id)
    return names(floor.wrap_up(seconds, call_id, agent_id))


def test_a_call_takes_the_agent_who_can_do_least_else() -> None:
    floor = n_design(1, 1)
    assert sorted(occupy(floor, 1, "a", 10)) == sorted(f"a{number}" for number in range(10))
    assert occupy(floor, 2, "a", 1) == ["ab0"]


def test_agents_are_kept_for_dearer_calls_and_taken_once_enough_are_idle() -> None:
    """Given B three times as dear, all busy, two As waiting. When agents of both kinds become free. Then three are kept
    for B, an A takes the fourth, and a B takes one at once."""
    floor = n_design(1, 3)
    occupy(floor, 1, "a", 10)
    agents = occupy(floor, 2, "b", 10)
    floor.call(3, "w1", "a")
    floor.call(3, "w2", "a")
    for number in range(3):
        assert release(floor, 4 + number, agents[number]) == ["call.wrapped_up", "agent.state_changed:available"]
    assert "call.assigned" in release(floor, 7, agents[3])
    assert floor.pool.calls["w1"].agent_id is not None, "the longest waiting A took one"
    assert floor.pool.calls["w2"].agent_id is None
    assert only(floor.call(8, "b1", "b"), CallAssigned).agent_id in agents[:4]
    assert "call.assigned" in release(floor, 9, "a0"), "who serves A alone is not kept"


def test_turning_the_weights_round_turns_the_reservation_round() -> None:
    """At 3 : 1 the last agent is kept for A; what B gets depends on the agents idle for A, whoever they are."""
    floor = n_design(3, 1)
    occupy(floor, 1, "a", 10)
    occupy(floor, 2, "b", 9)
    assert "call.assigned" not in names(floor.call(3, "w1", "b"))
    released = release(floor, 5, "a3")
    assert "call.assigned" in released, "an agent for A alone is idle: the flexible one is free for B"
    assert floor.pool.calls["w1"].agent_id == "ab9"


def test_without_weights_nobody_is_kept() -> None:
    floor = Floor(queue("a", "a"), queue("b", "b"), profile("ann", "a", "b"))
    floor.log_in(0, "ann")
    assert "call.assigned" in names(floor.call(1, "c1", "a"))


def test_new_weights_take_effect_at_once() -> None:
    floor = n_design(1, 3)
    occupy(floor, 1, "a", 10)
    agents = occupy(floor, 2, "b", 10)
    floor.call(3, "w1", "a")
    assert "call.assigned" not in release(floor, 4, agents[0])
    changed = queue("b", "b", weights=weights(0.1, 2.0), version=2)
    assert "call.assigned" in names(floor.give(inputs.ConfigureQueue, 5, queue=changed))


def test_a_log_out_that_lifts_a_reservation_is_acted_on_at_once() -> None:
    """Given one flexible agent kept for B among ten. When so many agents leave that keeping them no longer pays, or
    stay, then either way a call that comes later never overtakes the one that waits."""
    floor = n_design(1, 3)
    occupy(floor, 1, "a", 10)
    agents = occupy(floor, 2, "b", 10)
    floor.call(3, "w1", "a")
    release(floor, 4, agents[0])
    for number, agent_id in enumerate(agents[1:]):
        release(floor, 5 + number, agent_id)
        floor.log_out(5.5 + number, agent_id)
        floor.call(5.7 + number, f"later-{number}", "a")
        if floor.pool.calls["w1"].agent_id is None:
            assert floor.pool.calls[f"later-{number}"].agent_id is None


def test_the_coming_and_going_of_few_agents_of_many_does_not_rework_the_policy() -> None:
    counts = [rounded(count) for count in range(2000)]
    assert counts[:16] == list(range(16))
    assert all(after >= before for before, after in pairwise(counts))
    assert all(0.88 * count <= less <= count for count, less in enumerate(counts))


skills = st.sets(st.sampled_from(["a", "b", "c"]), max_size=3)
costs = st.sampled_from([None, 0.0, 1.0, 1.0, 5.0])


def any_weights(chance: random.Random, cost: float) -> Weights:
    """Some figures declared, the others estimated."""
    return Weights(
        lost_call_cost=cost,
        calls_per_hour=chance.choice([None, 0.0, 30.0, 120.0]),
        handling_seconds=chance.choice([None, 240.0]),
        patience_seconds=chance.choice([None, 120.0]),
        service_level_target=chance.choice([None, None, 0.8]),
    )


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(skills, costs), min_size=3, max_size=3), st.lists(skills, min_size=4, max_size=6), st.integers()
)
def test_whatever_happens_the_highest_bid_is_served_and_all_replays(
    rules: list[tuple[set[str], float | None]], held: list[set[str]], seed: int
) -> None:
    chance = random.Random(seed)
    queues: list[Queue | AgentProfile] = [
        queue(
            f"q{number}",
            *sorted(required),
            priority=number,
            max_wait_seconds=200.0,
            weights=None if cost is None else any_weights(chance, cost),
        )
        for number, (required, cost) in enumerate(rules)
    ]
    floor = Floor(*queues, *(profile(f"p{number}", *sorted(own)) for number, own in enumerate(held)))
    agents = [f"p{number}" for number in range(len(held))]
    weighed = any(cost is not None for _, cost in rules)
    for step in range(60):
        seconds = step * 3.0
        live = sorted(floor.pool.calls)
        agent_id = chance.choice(agents)
        match chance.randrange(8):
            case 0 | 1 | 2:
                floor.call(seconds, f"c{step}", f"q{chance.randrange(3)}")
            case 3:
                (floor.log_in if chance.random() < 0.8 else floor.log_out)(seconds, agent_id)
            case 4 if live:
                call = floor.pool.calls[chance.choice(live)]
                floor.accept(seconds, call.id, call.agent_id or agent_id)
            case 5 if live:
                floor.hang_up(seconds, chance.choice(live))
            case 6 if live:
                call = floor.pool.calls[chance.choice(live)]
                floor.wrap_up(seconds, call.id, call.agent_id or agent_id)
            case _:
                floor.set_state(seconds, agent_id, chance.choice(["available", "available", "break"]))
        if step % 20 == 10:
            floor.pool = reloaded(floor.pool)
        waiting = {call.queue_id for call in floor.pool.calls.values() if isinstance(call.state, Queued)}
        for agent in floor.pool.agents.values():
            if isinstance(agent.state, Available) and not weighed:
                assert waiting.isdisjoint(floor.pool.queue_ids_of(agent.id))
            elif isinstance(agent.state, Available) and len(floor.pool.queue_ids_of(agent.id)) == 1:
                assert waiting.isdisjoint(floor.pool.queue_ids_of(agent.id)), "with one queue to serve, nobody is kept"
    for call_id in sorted(floor.pool.calls):
        floor.hang_up(400, call_id)
    floor.tick(2000)
    assert floor.pool.calls == {}
    check_histories(floor.events)
    again = Pool("main", START)
    assert [fact.event for one, trace in floor.given for fact in decide(again, one, trace).facts] == floor.events


@pytest.mark.parametrize("version", ["old", "new"])
def test_a_queue_saved_before_there_were_weights_still_loads(version: str) -> None:
    saved = msgspec.to_builtins(queue("a", weights=weights(2, 1) if version == "new" else None))
    if version == "old":
        del saved["weights"]
    loaded = msgspec.convert(saved, Queue)
    assert (loaded.weights is None) == (version == "old")


def test_the_agent_taken_and_the_agents_kept_are_noted_with_their_bids() -> None:
    """Given B three times as dear, ten flexible agents busy and an A waiting. When one of them becomes free, then what
    keeps them is told; when a fourth does, then the A notes that they were not kept; when a B comes, that it was
    first."""
    floor = n_design(1, 3)
    occupy(floor, 1, "a", 10)
    agents = occupy(floor, 2, "b", 10)
    floor.call(3, "w1", "a")
    floor.call(3, "w2", "a")
    assert floor.pool.keeping(floor.pool.calls["w1"]) is None, "nobody is available"
    for number in range(3):
        release(floor, 4 + number, agents[number])
        keeping = floor.pool.keeping(floor.pool.calls["w1"])
        assert keeping is not None
        ((queue_id, price),) = [(rival.queue_id, rival.price) for rival in keeping.rivals]
        assert queue_id == "b"
        assert price >= keeping.bid
    assert keeping is not None
    release(floor, 7, agents[3])
    taken = floor.pool.calls["w1"]
    noted = taken.assignments[-1].bidding
    assert noted is not None
    assert noted.bid == keeping.bid
    ((queue_id, bid, price, waits),) = [(one.queue_id, one.bid, one.price, one.waits) for one in noted.rivals]
    assert (queue_id, waits) == ("b", False)
    assert price < noted.bid < bid
    (said,) = explanation.words(taken, None)[:1]
    assert (
        f"came free, and no other queue that they may serve had a call waiting; its queue bid {noted.bid:.4g}" in said
    )
    assert said.endswith(
        f"The agent was not kept for queue b: one available agent fewer costs {price:.4g} an agent hour, less than "
        "this bid."
    )
    other = explanation.words(taken, None, tenant_id="other")[0]
    assert "not kept for another client's calls" in other
    floor.call(8, "b1", "b")
    dear = floor.pool.calls["b1"].assignments[-1]
    assert dear.bidding is not None
    assert [(one.queue_id, one.waits) for one in dear.bidding.rivals] == [("a", True)]
    assert dear.bidding.bid == bid


def test_equal_bids_are_told_as_equal() -> None:
    floor = Floor(queue("a", weights=weights(1, 1)), queue("b", weights=weights(1, 1)), profile("ann"), profile("ben"))
    floor.log_in(0, "ann")
    occupy(floor, 1, "a", 1)
    floor.call(2, "w1", "b")
    floor.call(3, "w2", "a")
    release(floor, 4, "ann")
    said = explanation.words(floor.pool.calls["w1"], None)[0]
    assert "as much as" in said
    assert said.endswith("of queue a, and its call was first in the order of service.")


def test_an_assignment_saved_before_bids_were_noted_still_loads() -> None:
    floor = n_design(1, 3)
    occupy(floor, 1, "a", 1)
    saved = msgspec.to_builtins(floor.pool.calls["a-1-0"])
    saved["assignments"] = [one[:12] for one in saved["assignments"]]
    assert msgspec.convert(saved, Call).assignments[-1].bidding is None


def kept_for_the_dear() -> Floor:
    """Two callers of a cheap queue, and an agent who is kept from them for a dear queue that nobody calls."""
    rules = CallbackRules(mode="agent_first", attempts=2, retry_seconds=60, ring_seconds=5, valid_seconds=600)
    dear = Weights(lost_call_cost=50, calls_per_hour=60, handling_seconds=180, patience_seconds=30)
    floor = Floor(queue("cheap", callback=rules), queue("dear", weights=dear), profile("a0"))
    floor.call(0, "c1", "cheap")
    floor.call(0, "c2", "cheap", contact_phone="+33639980002")
    floor.log_in(0, "a0")
    assert isinstance(floor.agent("a0").state, Available)
    return floor


def test_a_place_that_is_kept_for_a_callback_is_told_for_whom_agents_are_kept() -> None:
    """Given an agent who is kept for a dear queue from a caller of a cheap one; when they hang up to be called back;
    then the agent is still kept from their place, and it is told for whom."""
    floor = kept_for_the_dear()
    before = floor.pool.keeping(floor.pool.calls["c1"])
    assert before is not None
    assert floor.give(inputs.RequestCallback, 0, call_id="c1", phone=None)
    assert isinstance(floor.agent("a0").state, Available)
    assert floor.pool.keeping(floor.pool.calls["c1"]) == before
    assert [rival.queue_id for rival in before.rivals] == ["dear"]


def test_when_the_last_weights_are_taken_away_whoever_was_kept_takes_the_first_call() -> None:
    """Given an agent who is kept from two callers; when the dear queue declares no weights any more; then the agent is
    offered the first of them at once."""
    floor = kept_for_the_dear()
    told = floor.give(inputs.ConfigureQueue, 1, queue=queue("dear", version=2))
    assert only(told, CallAssigned).call_id == "c1"
