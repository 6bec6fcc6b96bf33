"""Offers that an agent misses in a row, before they go on a break."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from common.events import AgentStateChanged, CallAssigned, Event
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from routing.domain.agents import Available, OnBreak
from routing.domain.configuration import Capacity

from .floors import Floor, names, only, profile, queue


def asked(events: Sequence[Event]) -> list[str]:
    """Who was offered the call, in order."""
    return [event.agent_id for event in events if isinstance(event, CallAssigned)]


def test_the_last_agent_is_asked_until_their_break() -> None:
    floor = Floor(queue("help", missed_offers_before_break=3), profile("ann"))
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help")
    events = floor.tick(21)
    assert names(events) == [
        "call.offer_missed",
        "agent.state_changed:available",
        "call.assigned",
        "agent.state_changed:offered",
    ]
    floor.decline(22, "c1", "ann")
    events = floor.tick(42)
    assert names(events) == ["call.offer_missed", "agent.state_changed:break"]
    assert only(events, AgentStateChanged).reason == "missed_offer"
    assert floor.agent("ann").missed_offers == 0


@pytest.mark.parametrize("order", ["longest_idle", "fastest"])
def test_those_who_missed_come_in_the_order_of_the_queue_among_themselves(order: str) -> None:
    """Ann can do more, has been there for longer, and handles calls faster."""
    rules = queue("help", agent_order=order, missed_offers_before_break=5)
    floor = Floor(rules, profile("ann", "french", "dutch"), profile("ben"))
    floor.log_in(0, "ann", "ben")
    floor.pool.put_agent(replace(floor.agent("ann"), handling_seconds=5.0, missed_offers=1))
    floor.set_state(2, "ben", "break")
    floor.set_state(3, "ben", "available")
    floor.pool.put_agent(replace(floor.agent("ben"), handling_seconds=9.0, missed_offers=1))
    assert asked(floor.call(4, "c1", "help")) == ["ann"]


def test_a_break_has_the_reason_of_the_last_miss() -> None:
    floor = Floor(queue("help", missed_offers_before_break=2), profile("ann"))
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help")
    floor.tick(21)
    floor.decline(22, "c1", "ann")
    assert floor.agent("ann").state == OnBreak(floor.pool.now, "declined")


@pytest.mark.parametrize("order", ["longest_idle", "best_level", "least_flexible", "fastest"])
def test_whoever_missed_comes_behind_all_others_by_any_order(order: str) -> None:
    """Ann is the best by each order, and the last once she has missed an offer."""
    rules = queue("help", "french", agent_order=order, missed_offers_before_break=5)
    floor = Floor(rules, profile("ann", french=9), *(profile(name, "billing", french=2) for name in ("ben", "cat")))
    floor.log_in(0, "ann")
    floor.log_in(0.5, "ben")
    floor.log_in(0.7, "cat")
    assert asked(floor.call(1, "c1", "help")) == ["ann"]
    assert asked(floor.decline(2, "c1", "ann")) == ["ben"]
    assert isinstance(floor.agent("ann").state, Available)
    assert asked(floor.call(3, "c2", "help")) == ["cat"]
    assert asked(floor.call(4, "c3", "help")) == ["ann"]
    floor.accept(5, "c3", "ann")
    floor.hang_up(6, "c3")
    floor.wrap_up(7, "c3", "ann")
    floor.hang_up(8, "c1")
    assert asked(floor.call(9, "c4", "help")) == (["ben"] if order == "fastest" else ["ann"])


@pytest.mark.parametrize("capacity", [None, Capacity({"voice": 1, "chat": 2})], ids=["one call", "several"])
def test_whoever_missed_takes_the_first_call_of_all_that_wait(capacity: Capacity | None) -> None:
    ann = replace(profile("ann"), capacity=capacity)
    floor = Floor(queue("help", missed_offers_before_break=2), queue("vip", priority=9), ann)
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help")
    floor.call(2, "c2", "vip")
    events = floor.tick(21)
    assert [event.call_id for event in events if isinstance(event, CallAssigned)] == ["c2"]


def test_an_answer_or_a_new_shift_begins_the_count_anew() -> None:
    floor = Floor(queue("help", missed_offers_before_break=2), profile("ann"))
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help")
    floor.decline(2, "c1", "ann")
    floor.accept(3, "c1", "ann")
    assert floor.agent("ann").missed_offers == 0
    floor.hang_up(4, "c1")
    floor.wrap_up(5, "c1", "ann")
    floor.call(6, "c2", "help")
    floor.decline(7, "c2", "ann")
    floor.log_out(8, "ann")
    floor.log_in(9, "ann")
    assert floor.agent("ann").missed_offers == 0
    floor.decline(10, "c2", "ann")
    assert isinstance(floor.pool.calls["c2"].agent_id, str)


@given(st.integers(1, 5), st.lists(st.sampled_from(["decline", "time out", "accept"]), max_size=25))
def test_the_break_comes_at_so_many_misses_in_a_row_and_never_before(limit: int, acts: list[str]) -> None:
    """One agent, whom each call reaches: the count by the definition."""
    floor = Floor(queue("help", missed_offers_before_break=limit, wrap_up_seconds=0.0), profile("ann"))
    floor.log_in(0, "ann")
    now, missed = 0.0, 0
    floor.call(now, "c0", "help")
    for number, act in enumerate(acts):
        (call_id,) = floor.pool.calls
        now += 1
        if act == "accept":
            floor.accept(now, call_id, "ann")
            floor.hang_up(now, call_id)
            floor.call(now, f"c{number + 1}", "help")
            missed = 0
        elif act == "decline":
            floor.decline(now, call_id, "ann")
            missed += 1
        else:
            now += 20
            floor.tick(now)
            missed += 1
        if missed == limit:
            reason = "declined" if act == "decline" else "missed_offer"
            assert floor.agent("ann").state == OnBreak(floor.pool.now, reason) or act == "time out"
            assert floor.agent("ann").state_name == "break"
            floor.set_state(now, "ann", "available")
            missed = 0
        assert floor.agent("ann").state_name == "offered"
        assert floor.agent("ann").missed_offers == missed
