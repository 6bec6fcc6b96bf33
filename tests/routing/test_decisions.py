"""Every rule of routing's decisions, one by one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from common.events import (
    AgentLoggedOut,
    AgentStateChanged,
    CallAbandoned,
    CallAnswered,
    CallAssigned,
    CallEnded,
    CallEvent,
    CallOfferMissed,
    CallOverflowed,
    CallQueued,
    CallWrappedUp,
    Event,
)
from routing.domain import inputs
from routing.domain.configuration import Relaxation

from .floors import Floor, at, names, only, profile, queue


def test_a_call_goes_to_an_available_agent_and_through_its_whole_life() -> None:
    floor = Floor(queue("help"), profile("ann"))
    assert names(floor.log_in(0, "ann")) == ["agent.logged_in:available"]
    assert names(floor.call(10, "c1", "help", trace="00-t")) == [
        "call.offered",
        "call.queued",
        "call.assigned",
        "agent.state_changed:offered",
    ]
    assert names(floor.accept(13, "c1", "ann")) == ["call.answered", "agent.state_changed:busy"]
    assert names(floor.hang_up(73, "c1")) == ["call.ended", "agent.state_changed:wrap_up"]
    done = floor.wrap_up(85, "c1", "ann", "sold")
    assert names(done) == ["call.wrapped_up", "agent.state_changed:available"]

    answered = only(floor.events, CallAnswered)
    assert (answered.wait_seconds, answered.total_wait_seconds, answered.answered_at) == (3.0, 3.0, at(13))
    assert only(floor.events, CallEnded).talk_seconds == 60.0
    wrapped_up = only(done, CallWrappedUp)
    assert (wrapped_up.wrap_up_seconds, wrapped_up.talk_seconds, wrapped_up.disposition) == (12.0, 60.0, "sold")
    assert wrapped_up.time_zone == "Europe/Paris"
    calls = [event for event in floor.events if isinstance(event, CallEvent)]
    assert [event.sequence for event in calls] == [1, 2, 3, 4, 5, 6]
    assert calls[0].entry == 0
    assert calls[0].queued_at is None
    assert {event.entry for event in calls[1:]} == {1}
    assert floor.pool.calls == {}


def test_all_events_of_a_call_carry_the_trace_of_its_offer() -> None:
    floor = Floor(queue("help"), profile("ann"))
    floor.call(0, "c1", "help", trace="00-offer")
    floor.give(inputs.LogIn, 1, "00-other", agent_id="ann")
    facts = floor.decision.facts
    assert [fact.traceparent for fact in facts if isinstance(fact.event, CallAssigned)] == ["00-offer"]
    floor.accept(2, "c1", "ann")
    assert {fact.traceparent for fact in floor.decision.facts} == {"00-offer"}


def test_the_longest_idle_agent_takes_the_call() -> None:
    floor = Floor(queue("help"), profile("ann"), profile("ben"), profile("zoe"))
    floor.log_in(0, "zoe")
    floor.log_in(1, "ann", "ben")
    assert only(floor.call(5, "c1", "help"), CallAssigned).agent_id == "zoe"
    assert only(floor.call(6, "c2", "help"), CallAssigned).agent_id == "ann"


def test_only_agents_with_every_required_skill_are_offered_a_call() -> None:
    floor = Floor(queue("disputes", "french", "billing"), profile("ann", "french"), profile("ben", "french", "billing"))
    floor.log_in(0, "ann")
    assert names(floor.call(1, "c1", "disputes")) == ["call.offered", "call.queued"]
    assert only(floor.log_in(2, "ben"), CallAssigned).agent_id == "ben"
    assert floor.pool.queue_ids_of("ann") == []
    assert floor.pool.queue_ids_of("ben") == ["disputes"]


def test_the_higher_priority_is_served_first_until_waiting_makes_up_for_it() -> None:
    def first(wait: float) -> str:
        floor = Floor(queue("low", priority=3), queue("high", priority=5), profile("ann"))
        floor.call(0, "old", "low")
        floor.call(wait, "new", "high")
        return only(floor.log_in(wait + 1, "ann"), CallAssigned).call_id

    assert first(119) == "new"
    assert first(121) == "old"


def test_within_one_priority_the_longest_waiting_call_is_first_across_queues() -> None:
    floor = Floor(queue("one"), queue("two"), profile("ann"), profile("ben"), profile("cat"))
    floor.call(0, "c1", "two")
    floor.call(1, "c2", "one")
    floor.call(2, "c3", "two")
    assigned = [event for event in floor.log_in(9, "ann", "ben", "cat") if isinstance(event, CallAssigned)]
    assert [event.call_id for event in assigned] == ["c1", "c2", "c3"]


def test_an_offer_that_times_out_returns_the_call_to_its_place_and_sends_the_agent_on_a_break() -> None:
    floor = Floor(queue("help", offer_timeout_seconds=20), profile("ann"), profile("ben"))
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help")
    floor.call(2, "c2", "help")
    missed = floor.tick(30)
    assert names(missed) == ["call.offer_missed", "agent.state_changed:break"]
    assert only(missed, CallOfferMissed).occurred_at == at(21)
    assert only(missed, CallOfferMissed).reason == "timeout"
    assert only(missed, AgentStateChanged).reason == "missed_offer"
    assert only(missed, AgentStateChanged).seconds_in_previous == 20.0
    again = only(floor.log_in(31, "ben"), CallAssigned)
    assert (again.call_id, again.offer, again.queued_at) == ("c1", 2, at(1))
    assert only(floor.accept(33, "c1", "ben"), CallAnswered).wait_seconds == 32.0


def test_a_declined_call_goes_to_the_next_agent_at_once() -> None:
    floor = Floor(queue("help"), profile("ann"), profile("ben"))
    floor.log_in(0, "ann", "ben")
    floor.call(1, "c1", "help")
    events = floor.decline(3, "c1", "ann")
    assert only(events, CallOfferMissed).reason == "declined"
    assert only(events, CallAssigned).agent_id == "ben"
    assert floor.agent("ann").state_name == "break"


@pytest.mark.parametrize("leave", ["log_out", "break"])
def test_an_agent_who_leaves_while_a_call_rings_gives_it_back(leave: str) -> None:
    floor = Floor(queue("help"), profile("ann"))
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help")
    events = floor.log_out(2, "ann") if leave == "log_out" else floor.set_state(2, "ann", "break", "lunch")
    assert only(events, CallOfferMissed).reason == "agent_gone"
    assert floor.agent("ann").state_name == ("logged_out" if leave == "log_out" else "break")
    assert floor.pool.calls["c1"].state_name == "queued"


def test_accepting_is_refused_unless_the_call_rings_at_the_agent() -> None:
    floor = Floor(queue("help"), profile("ann"), profile("ben"))
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help")
    floor.accept(2, "c1", "ben")
    assert floor.decision.refused == "not_offered_to_the_agent"
    floor.accept(2, "nothing", "ann")
    assert floor.decision.refused == "no_live_call"
    floor.accept(30, "c1", "ann")
    assert floor.decision.refused == "not_offered_to_the_agent", "the offer has timed out meanwhile"


def test_accepting_twice_is_accepting_once() -> None:
    floor = Floor(queue("help"), profile("ann"))
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help")
    floor.accept(2, "c1", "ann")
    assert floor.accept(3, "c1", "ann") == []
    assert floor.decision.refused is None


@pytest.mark.parametrize(("seconds", "short"), [(4.9, True), (5.0, False)])
def test_a_caller_who_hangs_up_while_waiting_has_abandoned(seconds: float, short: bool) -> None:
    floor = Floor(queue("help", short_abandon_seconds=5))
    floor.call(0, "c1", "help")
    abandoned = only(floor.hang_up(seconds, "c1"), CallAbandoned)
    assert (abandoned.short, abandoned.reason, abandoned.wait_seconds) == (short, "hung_up", seconds)
    floor.hang_up(seconds, "c1")
    assert floor.decision.refused == "no_live_call"


def test_a_caller_who_hangs_up_while_it_rings_frees_the_agent_for_the_next_call() -> None:
    floor = Floor(queue("help"), profile("ann"))
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help")
    floor.call(2, "c2", "help")
    events = floor.hang_up(4, "c1")
    assert names(events) == [
        "call.abandoned",
        "agent.state_changed:available",
        "call.assigned",
        "agent.state_changed:offered",
    ]
    assert only(events, CallAssigned).call_id == "c2"


def test_an_outbound_call_is_abandoned_after_two_seconds_without_an_agent() -> None:
    floor = Floor(queue("campaign"), profile("ann"))
    floor.call(0, "c1", "campaign", direction="outbound", max_wait_seconds=2.0, attempt_id="a1", lead_id="l1")
    abandoned = only(floor.log_in(3, "ann"), CallAbandoned)
    assert (abandoned.reason, abandoned.abandoned_at, abandoned.wait_seconds) == ("wait_limit", at(2), 2.0)
    assert (abandoned.attempt_id, abandoned.lead_id, abandoned.direction) == ("a1", "l1", "outbound")
    assert floor.agent("ann").state_name == "available"


def test_an_offer_that_rings_at_the_wait_limit_may_be_accepted_but_is_not_repeated() -> None:
    floor = Floor(queue("help", max_wait_seconds=10, offer_timeout_seconds=20), profile("ann"), profile("ben"))
    floor.log_in(0, "ann", "ben")
    floor.call(1, "c1", "help")
    floor.accept(15, "c1", "ann")
    assert floor.decision.refused is None
    floor.call(16, "c2", "help")
    events = floor.tick(60)
    assert names(events)[:3] == ["call.offer_missed", "agent.state_changed:break", "call.abandoned"]
    assert only(events, CallAbandoned).abandoned_at == at(36)


def test_a_call_overflows_once_and_keeps_its_waiting_time() -> None:
    floor = Floor(
        queue("first", "a", overflow=("second", 60)),
        queue("second", "b", overflow=("first", 60)),
        profile("ann", "b"),
    )
    floor.call(0, "c1", "first")
    floor.call(30, "c2", "second")
    events = floor.tick(80)
    assert names(events) == ["call.overflowed", "call.queued"]
    overflowed = only(events, CallOverflowed)
    assert (overflowed.queue_id, overflowed.to_queue_id, overflowed.wait_seconds) == ("first", "second", 60.0)
    queued = only(events, CallQueued)
    assert (queued.queue_id, queued.entry, queued.queued_at) == ("second", 2, at(60))
    assert only(floor.log_in(85, "ann"), CallAssigned).call_id == "c1", "it has waited longer than c2"
    answered = only(floor.accept(86, "c1", "ann"), CallAnswered)
    assert (answered.wait_seconds, answered.total_wait_seconds) == (26.0, 86.0)
    assert floor.tick(300) != [], "c2 overflows at 90"
    assert not any(isinstance(event, CallOverflowed) and event.call_id == "c1" for event in floor.tick(900))


def test_an_overflow_due_while_it_rings_happens_when_the_offer_is_missed() -> None:
    floor = Floor(queue("first", overflow=("second", 10), offer_timeout_seconds=20), queue("second"), profile("ann"))
    floor.log_in(0, "ann")
    floor.call(1, "c1", "first")
    events = floor.tick(60)
    assert names(events) == ["call.offer_missed", "agent.state_changed:break", "call.overflowed", "call.queued"]
    assert only(events, CallOverflowed).occurred_at == at(21)


def test_the_wrap_up_ends_at_its_limit_without_a_disposition() -> None:
    floor = Floor(queue("help", wrap_up_seconds=30), profile("ann"))
    floor.log_in(0, "ann")
    floor.call(0, "c1", "help")
    floor.accept(1, "c1", "ann")
    floor.hang_up(10, "c1", "ann")
    wrapped_up = only(floor.tick(100), CallWrappedUp)
    assert (wrapped_up.wrapped_up_at, wrapped_up.wrap_up_seconds, wrapped_up.disposition) == (at(40), 30.0, None)
    floor.wrap_up(101, "c1", "ann")
    assert floor.decision.refused == "no_live_call"


def test_a_queue_without_wrap_up_frees_the_agent_at_once() -> None:
    floor = Floor(queue("help", wrap_up_seconds=0), profile("ann"))
    floor.log_in(0, "ann")
    floor.call(0, "c1", "help")
    floor.accept(1, "c1", "ann")
    assert names(floor.hang_up(10, "c1")) == [
        "call.ended",
        "agent.state_changed:wrap_up",
        "call.wrapped_up",
        "agent.state_changed:available",
    ]


def test_hanging_up_for_an_agent_needs_their_conversation() -> None:
    floor = Floor(queue("help"), profile("ann"), profile("ben"))
    floor.log_in(0, "ann")
    floor.call(0, "c1", "help")
    floor.hang_up(1, "c1", "ann")
    assert floor.decision.refused == "not_answered"
    floor.accept(2, "c1", "ann")
    floor.hang_up(3, "c1", "ben")
    assert floor.decision.refused == "not_the_agents_call"
    floor.wrap_up(3, "c1", "ann")
    assert floor.decision.refused == "still_talking"
    floor.hang_up(4, "c1", "ann")
    assert floor.pool.calls["c1"].state_name == "wrapping_up"
    assert floor.hang_up(5, "c1") == [], "the other side hangs up too"


@pytest.mark.parametrize("during", ["talk", "wrap_up"])
@pytest.mark.parametrize("wish", ["log_out", "break", "change_of_mind"])
def test_wishes_during_a_call_take_effect_after_its_wrap_up(during: str, wish: str) -> None:
    floor = Floor(queue("help"), profile("ann"))
    floor.log_in(0, "ann")
    floor.call(0, "c1", "help")
    floor.accept(1, "c1", "ann")
    if during == "wrap_up":
        floor.hang_up(2, "c1")
    if wish == "break":
        assert floor.set_state(3, "ann", "break", "lunch") == []
    else:
        assert floor.log_out(3, "ann") == []
        if wish == "change_of_mind":
            floor.log_in(4, "ann")
    if during == "talk":
        floor.hang_up(5, "c1")
    events = floor.wrap_up(9, "c1", "ann")
    match wish:
        case "log_out":
            assert only(events, AgentLoggedOut).previous_state == "wrap_up"
        case "break":
            assert only(events, AgentStateChanged).reason == "lunch"
        case _:
            assert only(events, AgentStateChanged).state == "available"


def test_logging_in_and_out_twice_changes_nothing() -> None:
    floor = Floor(queue("help"), profile("ann"))
    assert len(floor.log_in(0, "ann")) == 1
    assert floor.log_in(1, "ann") == []
    out = only(floor.log_out(60, "ann"), AgentLoggedOut)
    assert (out.seconds_in_previous, out.previous_state) == (60.0, "available")
    assert floor.log_out(61, "ann") == []
    floor.set_state(62, "ann", "available")
    assert floor.decision.refused == "logged_out"


def test_what_is_unknown_is_refused() -> None:
    floor = Floor()
    attempts: list[tuple[Callable[[], list[Event]], str]] = [
        (lambda: floor.call(0, "c1", "none"), "unknown_queue"),
        (lambda: floor.log_in(0, "nobody"), "unknown_agent"),
        (lambda: floor.log_out(0, "nobody"), "unknown_agent"),
        (lambda: floor.set_state(0, "nobody", "available"), "unknown_agent"),
        (lambda: floor.wrap_up(0, "c1", "nobody"), "no_live_call"),
        (lambda: floor.decline(0, "c1", "nobody"), "no_live_call"),
    ]
    for attempt, reason in attempts:
        assert attempt() == []
        assert floor.decision.refused == reason


def test_new_rules_take_effect_at_once() -> None:
    floor = Floor(queue("help", "french"), profile("ann"), profile("ben", "french"))
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help")
    floor.call(2, "c2", "help")
    events = floor.give(inputs.ConfigureAgent, 3, agent=profile("ann", "french", version=2))
    assert only(events, CallAssigned).call_id == "c1"
    floor.log_in(3, "ben")
    floor.call(4, "c3", "help")
    stale = floor.give(inputs.ConfigureQueue, 4, queue=queue("help", "dutch", version=1))
    assert stale == [], "a version that is not newer changes nothing"
    floor.set_state(5, "ben", "break")
    floor.give(inputs.ConfigureQueue, 6, queue=queue("help", "dutch", version=2))
    assert floor.set_state(7, "ben", "available") != []
    assert floor.agent("ben").state_name == "available"
    opened = floor.give(inputs.ConfigureQueue, 8, queue=queue("help", version=3))
    assert only(opened, CallAssigned).agent_id == "ben"


def test_a_rule_taken_away_before_its_timer_leaves_the_call_where_it_is() -> None:
    floor = Floor(queue("first", "a", overflow=("second", 60)), queue("second", "b"), profile("ann", "a"))
    floor.call(0, "c1", "first")
    floor.give(inputs.ConfigureQueue, 10, queue=queue("first", "a", version=2))
    assert floor.tick(100) == []
    assert only(floor.log_in(101, "ann"), CallAssigned).queue_id == "first"


def test_timers_fire_at_their_own_time_however_late_somebody_looks() -> None:
    def run(*ticks: float) -> list[str]:
        floor = Floor(queue("help", offer_timeout_seconds=10), profile("ann"), profile("ben"), profile("cat"))
        floor.log_in(0, "ann", "ben", "cat")
        floor.call(1, "c1", "help")
        floor.call(5, "c2", "help", max_wait_seconds=30)
        for tick in ticks:
            floor.tick(tick)
        floor.tick(100)
        return [repr(event) for event in floor.events]

    assert run() == run(*range(6, 100)) == run(50, 60)


def test_time_never_runs_backwards() -> None:
    floor = Floor(queue("help"))
    floor.call(10, "c1", "help")
    floor.call(8, "c2", "help")
    assert floor.pool.calls["c2"].offered_at == at(10)


def test_calls_that_widen_at_the_same_instant_take_agents_in_the_order_of_service() -> None:
    floor = Floor(queue("help", "french", relaxations=(Relaxation(20.0, "dutch"),)), profile("ann", "dutch"))
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help")
    floor.call(1, "c2", "help", contact_priority=1)
    assert only(floor.tick(21), CallAssigned).call_id == "c2"
