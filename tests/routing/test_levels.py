"""Expertise levels 1 -> 2 -> 3: who goes up keeps the history, the waiting time, and the thread that leads back."""

from __future__ import annotations

from common.events import CallAnswered, CallOffered, CallOverflowed
from routing.domain import explanation, inputs
from routing.domain.configuration import OverflowRule, ToQueue, Waited

from .floors import Floor, at, only, profile, queue

LEVELS = (
    queue("level-1", requirement="help >= 1 and first", overflows=(OverflowRule(Waited(30), ToQueue("level-2")),)),
    queue("level-2", requirement="help >= 5", overflows=(OverflowRule(Waited(60), ToQueue("level-3")),)),
    queue("level-3", requirement="help >= 9"),
)


def test_an_overflow_from_level_to_level_is_one_call_with_all_its_history() -> None:
    floor = Floor(*LEVELS, profile("ann", help=5), profile("eve", help=9))
    floor.log_in(0, "ann")
    floor.call(0, "c1", "level-1", external_id="pbx-7")
    floor.tick(31)
    floor.decline(35, "c1", "ann")
    moves = [event for event in floor.tick(91) if isinstance(event, CallOverflowed)]
    assert [(event.queue_id, event.to_queue_id) for event in moves] == [("level-2", "level-3")]
    floor.log_in(100, "eve")
    answered = only(floor.accept(101, "c1", "eve"), CallAnswered)
    assert (answered.call_id, answered.entry, answered.external_id) == ("c1", 3, "pbx-7")
    assert (answered.total_wait_seconds, answered.offered_at) == (101.0, at(0))
    call = floor.pool.calls["c1"]
    assert call.left_queues == ("level-1", "level-2")
    assert [one.agent_id for one in call.assignments] == ["ann", "eve"]
    assert [(one.queue_id, one.measured) for one in call.moves] == [("level-1", 30.0), ("level-2", 60.0)]
    said = explanation.words(call, None)
    parts = ("to queue level-2", "ann was offered", "back to its place", "to queue level-3", "eve came free")
    places = [next(number for number, sentence in enumerate(said) if part in sentence) for part in parts]
    assert places == sorted(places)


def test_an_escalation_by_agents_is_a_chain_of_calls_that_name_each_other() -> None:
    floor = Floor(*LEVELS, profile("ann", help=5), profile("eve", help=9))
    floor.log_in(0, "ann", "eve")
    floor.call(0, "c1", "level-2", contact_phone="+33639980001")
    agent = floor.pool.calls["c1"].agent_id or ""
    floor.accept(1, "c1", agent)
    events = floor.give(
        inputs.Transfer, 60, call_id="c1", agent_id=agent, to_call_id="c2", to_queue_id="level-3", to_pool_id="main"
    )
    onward = only(events, inputs.OfferCall)
    assert (onward.call_id, onward.transferred_from, onward.contact_phone) == ("c2", "c1", "+33639980001")
    assert floor.pool.calls["c1"].transferred_to == "c2"
    assert (onward.first_call_id, onward.first_offered_at) == ("c1", at(0))
    offered, *_ = floor.call(
        60,
        "c2",
        "level-3",
        transferred_from="c1",
        first_call_id=onward.first_call_id,
        first_offered_at=onward.first_offered_at,
    )
    assert isinstance(offered, CallOffered)
    assert (offered.first_call_id, offered.first_offered_at) == ("c1", at(0))
    assert floor.pool.calls["c2"].transferred_from == "c1"
