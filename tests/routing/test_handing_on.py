"""A call that an agent has handed on to a queue goes to the others, and comes back only if there are none."""

from __future__ import annotations

from typing import Any

import pytest
from common.events import CallAssigned
from routing.domain import explanation, inputs
from routing.domain.configuration import CallbackRules, Queue, Relaxation, Weights

from .floors import Floor, at, only, profile, queue
from .shared_floor import share

ANN, BEN = profile("ann", "french"), profile("ben", "french")


def handed_on(*agents: Any, busy: tuple[str, ...] = ("ben",), **changes: Any) -> Floor:
    """Without a wrap-up, ann hands call `c1` on, as `c2`, to its own queue. Those named are busy with another call."""
    rules: Queue = queue("help", "french", wrap_up_seconds=0.0, **changes)
    floor = Floor(rules, *agents)
    for number, agent_id in enumerate(busy):
        floor.log_in(0, agent_id)
        floor.call(1, f"b{number}", "help")
        floor.accept(2, f"b{number}", agent_id)
    floor.log_in(3, "ann")
    floor.call(4, "c1", "help")
    floor.accept(5, "c1", "ann")
    hand_on(floor)
    return floor


def hand_on(floor: Floor) -> None:
    to = {"to_call_id": "c2", "to_queue_id": "help", "to_pool_id": "main"}
    offered = only(floor.give(inputs.Transfer, 6, call_id="c1", agent_id="ann", **to), inputs.OfferCall)
    assert (offered.transferred_from, offered.handed_on_by) == ("c1", "ann")
    floor.call(6, "c2", "help", transferred_from="c1", handed_on_by="ann")


@pytest.mark.parametrize(
    "changes",
    [{}, {"agent_order": "fastest"}, {"agent_order": "best_level"}, {"weights": Weights()}, {"sticky_seconds": 20.0}],
)
def test_it_waits_for_the_others_while_the_agent_who_handed_it_on_is_available(changes: dict[str, Any]) -> None:
    floor = handed_on(ANN, BEN, **changes)
    assert floor.pool.calls["c2"].state_name == "queued"
    assert floor.agent("ann").state_name == "available"
    floor.tick(30)
    floor.set_state(40, "ann", "break")
    floor.set_state(41, "ann", "available")
    assert floor.pool.calls["c2"].state_name == "queued"
    assigned = only(floor.hang_up(50, "b0"), CallAssigned)
    assert (assigned.call_id, assigned.agent_id) == ("c2", "ben")


def test_calls_behind_it_are_taken_by_the_agent_who_handed_it_on() -> None:
    floor = handed_on(ANN, BEN)
    assert only(floor.call(7, "c3", "help"), CallAssigned).agent_id == "ann"
    floor.accept(8, "c3", "ann")
    floor.call(9, "c4", "help")
    assert only(floor.hang_up(10, "c3"), CallAssigned).call_id == "c4"
    assert floor.pool.calls["c2"].state_name == "queued"


def test_somebody_on_a_break_and_of_a_later_ring_is_waited_for() -> None:
    rules = queue("help", "french", wrap_up_seconds=0.0, relaxations=(Relaxation(30, "dutch"),))
    floor = Floor(rules, ANN, profile("eve", "dutch"))
    floor.give(inputs.LogIn, 0, agent_id="eve", state="break")
    floor.log_in(3, "ann")
    floor.call(4, "c1", "help")
    floor.accept(5, "c1", "ann")
    hand_on(floor)
    assert floor.pool.calls["c2"].state_name == "queued"
    assert only(floor.set_state(50, "eve", "available"), CallAssigned).call_id == "c2"


@pytest.mark.parametrize("others", [(), (BEN,), (profile("cat", "billing"),)])
def test_it_rings_at_the_agent_who_handed_it_on_if_nobody_else_is_logged_in_who_could_serve_it(
    others: tuple[Any, ...],
) -> None:
    """Nobody else is declared, or is logged in, or has the skills."""
    floor = handed_on(ANN, *others, busy=())
    floor.log_in(7, *(one.id for one in others if one.id == "cat"))
    call = floor.pool.calls["c2"]
    assert (call.state_name, call.agent_id) == ("offered", "ann")
    words = explanation.words(call, None)
    assert words[0] == "Its caller comes from call c1, handed on by ann."
    assert "ann had handed it on, but nobody else who could serve it was logged in." in words


def test_it_comes_back_at_the_moment_when_the_last_of_the_others_is_to_leave() -> None:
    floor = handed_on(ANN, BEN)
    standing = explanation.waiting(floor.pool.calls["c2"], floor.pool.queues[0], [], [], at(7))
    told = explanation.words(floor.pool.calls["c2"], standing)
    assert told[-1] == "It is offered to ann, who handed it on, only while nobody else is logged in who could serve it."
    assigned = only(floor.log_out(10, "ben"), CallAssigned)
    assert (assigned.call_id, assigned.agent_id, assigned.assigned_at) == ("c2", "ann", at(10))


def test_within_shares_it_is_let_through_to_everybody_but_the_agent_who_handed_it_on() -> None:
    """Given one agent reserved for another tenant until calls have waited 30 s; when the call has waited so long; then
    it takes the other agent."""
    floor = Floor(
        queue("help", "french", wrap_up_seconds=0.0), queue("lamp", "dutch", tenant_id="lamp"), ANN,
        profile("eve", "french", "dutch"),
    )  # fmt: skip
    floor.give(inputs.ConfigureShare, 0, share=share("lamp", 1, version=1, release_after_seconds=30.0))
    floor.log_in(0, "ann", "eve")
    floor.call(4, "c1", "help")
    floor.accept(5, "c1", "ann")
    hand_on(floor)
    assert floor.pool.calls["c2"].state_name == "queued"
    assigned = only(floor.tick(60), CallAssigned)
    assert (assigned.agent_id, assigned.assigned_at) == ("eve", at(36))


def test_a_callback_of_it_is_for_the_others_too() -> None:
    floor = handed_on(ANN, BEN, callback=CallbackRules(mode="agent_first"))
    floor.give(inputs.RequestCallback, 7, call_id="c2")
    assert floor.pool.calls["c2"].state_name == "held_place"
    assert only(floor.hang_up(50, "b0"), CallAssigned).agent_id == "ben"
