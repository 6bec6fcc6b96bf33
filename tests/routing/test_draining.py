"""Drains: an agent or a queue is taken out of service without cutting anybody off."""

from __future__ import annotations

from common.events import AgentLoggedOut, CallAbandoned, CallAssigned
from msgspec.structs import replace
from routing.domain import inputs
from routing.domain.agents import AfterCall, Available, Busy, LoggedOut
from routing.domain.call_states import Queued
from routing.domain.configuration import Closed, OverflowRule, ToQueue

from .floors import Floor, names, only, profile, queue

ANN, BEN = profile("ann", "french"), profile("ben", "french")


def drain(floor: Floor, seconds: float, agent_id: str, reason: str | None, version: int = 2) -> None:
    """The operator's word, as the API sends it; None: cancelled."""
    floor.give(
        inputs.ConfigureAgent, seconds, agent=replace(profile(agent_id, "french", version=version), drain=reason)
    )


def test_a_drained_agent_finishes_call_and_wrap_up_and_is_logged_out_with_the_reason() -> None:
    floor = Floor(queue("help", "french"), ANN)
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help")
    floor.accept(2, "c1", "ann")
    floor.call(3, "c2", "help")
    drain(floor, 4, "ann", "desk moves")
    assert isinstance(floor.agent("ann").state, Busy)
    floor.hang_up(5, "c1")
    assert isinstance(floor.agent("ann").state, AfterCall)
    events = floor.wrap_up(6, "c1", "ann")
    assert only(events, AgentLoggedOut).reason == "desk moves"
    state = floor.agent("ann").state
    assert isinstance(state, LoggedOut)
    assert state.reason == "desk moves"
    assert isinstance(floor.pool.calls["c2"].state, Queued), "no new offer"
    floor.log_in(7, "ann")
    assert floor.decision.refused == "drained"
    drain(floor, 8, "ann", None, version=3)
    events = floor.log_in(9, "ann")
    assert only(events, CallAssigned).call_id == "c2"


def test_what_rings_at_a_drained_agent_goes_back_to_its_place_and_to_the_next_one() -> None:
    floor = Floor(queue("help", "french"), ANN, BEN)
    floor.log_in(0, "ann", "ben")
    floor.call(1, "c1", "help")
    assert floor.pool.calls["c1"].agent_id == "ann"
    drain(floor, 2, "ann", "desk moves")
    assert names(floor.events)[-4:] == [
        "call.offer_missed",
        "agent.logged_out",
        "call.assigned",
        "agent.state_changed:offered",
    ]
    assert floor.pool.calls["c1"].agent_id == "ben"
    assert isinstance(floor.agent("ann").state, LoggedOut)


def test_a_drain_that_is_cancelled_in_time_leaves_the_agents_own_wishes() -> None:
    floor = Floor(queue("help", "french"), ANN, BEN)
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help")
    floor.accept(2, "c1", "ann")
    drain(floor, 3, "ann", "desk moves")
    drain(floor, 4, "ann", None, version=3)
    floor.hang_up(5, "c1")
    floor.wrap_up(6, "c1", "ann")
    assert isinstance(floor.agent("ann").state, Available)
    drain(floor, 7, "ann", "desk moves", version=4)
    assert isinstance(floor.agent("ann").state, LoggedOut)


def test_an_owner_who_read_the_drain_before_its_input_came_still_obeys_it() -> None:
    """The pool may be loaded with the newest profile already; the input that tells of it then brings no new version."""
    floor = Floor(queue("help", "french"), replace(ANN, drain="desk moves"))
    floor.pool.put_agent(replace(floor.agent("ann"), state=Available(floor.pool.now)))
    drain(floor, 1, "ann", "desk moves", version=1)
    assert isinstance(floor.agent("ann").state, LoggedOut)


def test_a_draining_queue_takes_no_new_call_and_serves_out_those_that_wait() -> None:
    """Also where a rule sends the waiting ones elsewhere at closing, and to calls that overflow or that it dials."""
    rules = (OverflowRule(Closed(waiting=True), ToQueue("other")),)
    help_queue = queue("help", "french", overflows=rules)
    floor = Floor(help_queue, queue("other", "dutch"), queue("first", "dutch", overflow=("help", 10.0)), ANN)
    floor.call(1, "c1", "help")
    floor.give(inputs.ConfigureQueue, 2, queue=replace(help_queue, override="draining", version=2))
    assert floor.pool.calls["c1"].queue_id == "help"
    floor.call(3, "c2", "help")
    assert floor.pool.calls["c2"].queue_id == "other", "the rule for closed queues"
    floor.call(3, "c3", "first")
    floor.tick(20)
    assert floor.pool.calls["c3"].queue_id == "first", "a draining queue is passed over"
    floor.log_in(21, "ann")
    assert floor.pool.calls["c1"].agent_id == "ann"
    floor.give(inputs.ConfigureQueue, 22, queue=replace(help_queue, override="closed", version=3))
    floor.call(23, "c4", "help", direction="outbound")
    floor.give(inputs.ConfigureQueue, 24, queue=replace(queue("help", "french"), override="draining", version=4))
    events = floor.call(25, "c5", "help", direction="outbound")
    assert only(events, CallAbandoned).reason == "closed"
