"""What waiting callers hear by the schedule of their queue."""

from __future__ import annotations

from common.events import CallAnnounced, Event
from routing.domain import inputs
from routing.domain.configuration import (
    Announcement,
    CallbackRules,
    Closed,
    OverflowRule,
    ToCallback,
    ToSite,
    Waited,
)
from routing.domain.decisions import decide
from routing.domain.declarations import wrong_waiting
from routing.domain.pool import Pool

from .floors import START, Floor, at, profile, queue
from .test_callbacks import AGENT_FIRST, ask, restarted

HOLD = Announcement(message="hold", after_seconds=10, every_seconds=20, tell=("position",))
SORRY = Announcement(message="sorry", after_seconds=30)


def heard(events: list[Event], call_id: str = "c1") -> list[tuple[str, float, int | None]]:
    return [
        (event.message, (event.occurred_at - START).total_seconds(), event.position)
        for event in events
        if isinstance(event, CallAnnounced) and event.call_id == call_id
    ]


def test_each_is_heard_at_its_times_from_the_entry_on_with_the_position_of_the_moment() -> None:
    floor = Floor(queue("help", announcements=(HOLD, SORRY)))
    floor.call(0, "c0", "help")
    floor.call(5, "c1", "help")
    floor.hang_up(20, "c0")
    floor.tick(60)
    assert heard(floor.events, "c0") == [("hold", 10, 1)]
    assert heard(floor.events) == [("hold", 15, 2), ("hold", 35, 1), ("sorry", 35, None), ("hold", 55, 1)]


def test_nothing_is_heard_once_the_call_has_left_the_queue() -> None:
    floor = Floor(queue("help", announcements=(HOLD,)), profile("ann"))
    floor.call(0, "c1", "help")
    floor.call(1, "c2", "help")
    floor.log_in(5, "ann")
    floor.accept(6, "c1", "ann")
    floor.hang_up(7, "c2")
    floor.tick(100)
    assert heard(floor.events) + heard(floor.events, "c2") == []


def test_what_is_due_while_the_call_rings_is_left_out() -> None:
    floor = Floor(queue("help", announcements=(HOLD,)), profile("ann"))
    floor.log_in(0, "ann")
    floor.call(0, "c1", "help")
    floor.tick(40)
    assert heard(floor.events) == [("hold", 30, 1)], "not at 10 s, when it rang at ann"


def test_an_overflow_begins_the_schedule_of_the_other_queue() -> None:
    floor = Floor(queue("help", overflow=("late", 15), announcements=(HOLD,)), queue("late", announcements=(SORRY,)))
    floor.call(0, "c1", "help")
    floor.tick(100)
    assert heard(floor.events) == [("hold", 10, 1), ("sorry", 45, None)]


def test_nobody_is_told_anything_who_has_hung_up_to_be_called_back() -> None:
    floor = Floor(queue("help", announcements=(HOLD,), callback=AGENT_FIRST))
    floor.call(0, "c1", "help")
    ask(floor, 12, "c1")
    floor.tick(100)
    assert heard(floor.events) == [("hold", 10, 1)]


def test_a_new_owner_goes_on_with_the_schedule() -> None:
    floor = Floor(queue("help", announcements=(HOLD, SORRY)))
    floor.call(0, "c1", "help")
    floor.tick(12)
    restarted(floor)
    floor.tick(60)
    assert heard(floor.events) == [("hold", 10, 1), ("hold", 30, 1), ("sorry", 30, None), ("hold", 50, 1)]
    again = Pool("main", START)
    assert [fact.event for given, trace in floor.given for fact in decide(again, given, trace).facts] == floor.events


def test_one_that_is_taken_out_of_the_rules_is_not_heard_any_more() -> None:
    floor = Floor(queue("help", announcements=(HOLD, SORRY)))
    floor.call(0, "c1", "help")
    floor.give(inputs.ConfigureQueue, 5, queue=queue("help", announcements=(SORRY,), version=2))
    floor.tick(100)
    assert heard(floor.events) == [("sorry", 30, None)]


def test_the_estimate_is_what_the_queue_has_learnt() -> None:
    estimate = Announcement(message="wait", after_seconds=5, tell=("estimated_wait",))
    floor = Floor(queue("help", announcements=(estimate,), wrap_up_seconds=0.0), profile("ann"))
    floor.call(0, "a0", "help")
    floor.tick(6)
    told = [event for event in floor.events if isinstance(event, CallAnnounced)]
    assert (told[0].occurred_at, told[0].estimated_wait_seconds) == (at(5), None), "nothing is known yet"
    for number in range(1, 6):
        floor.call(6, f"a{number}", "help")
    floor.log_in(10, "ann")
    for number in range(5):
        floor.accept(10 + 20 * number, f"a{number}", "ann")
        floor.hang_up(30 + 20 * number, f"a{number}")
        floor.tick(30 + 20 * number)
    floor.call(120, "late", "help")
    told = [event for event in floor.tick(130) if isinstance(event, CallAnnounced)]
    estimate_told = told[0].estimated_wait_seconds
    assert estimate_told is not None
    assert 10 < estimate_told < 30, "somebody every 20 s"


def test_wrong_callbacks_and_announcements_are_refused_with_every_fault_at_its_place() -> None:
    rules = CallbackRules(mode="agent_first", retry_seconds=60, valid_seconds=60)
    twice = Announcement(message="hold", after_seconds=5, tell=("position", "position"))
    assert [error["field"] for error in wrong_waiting("chat", rules, (SORRY, twice), ())] == [
        "callback",
        "callback.retry_seconds",
        "announcements.0",
        "announcements.1",
        "announcements.1.tell",
    ]
    rules_of_the_queue = (OverflowRule(Waited(5), ToCallback()), OverflowRule(Closed(), ToSite("lyon")))
    assert wrong_waiting("voice", None, (), rules_of_the_queue) == [
        {"field": "overflows.0.to", "reason": "the queue has no callback rules"},
        {"field": "overflows.1.to", "reason": "no site serves a queue that is closed"},
    ]
