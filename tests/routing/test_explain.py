"""Why this agent, why this wait: noted with each decision, told in words and data."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from common.ids import new_id
from routing.api.assignments import assignment_view
from routing.api.conversation import conversation_view
from routing.domain import explanation, inputs
from routing.domain.agents import Agent
from routing.domain.calls import Call
from routing.domain.configuration import AgentProfile, Announcement, Queue, Relaxation, ToQueue
from routing.domain.notes import MOST_NOTES, Conversation, Heard, RecordingChange, Supervised, heard_once_more

from .conftest import Routing
from .floors import Floor, at, profile, queue


def told(floor: Floor, call_id: str, seconds: float, rules: Queue) -> tuple[explanation.Waiting | None, list[str]]:
    call: Call = floor.pool.calls[call_id]
    staff: list[tuple[AgentProfile, Agent]] = [(one, floor.agent(one.id)) for one in floor.pool.profiles]
    standing = explanation.waiting(call, rules, floor.pool.waiting_in(rules.id), staff, at(seconds))
    return standing, explanation.words(call, standing)


def test_each_assignment_notes_what_was_known_then() -> None:
    floor = Floor(
        queue("help", requirement="french >= 5", agent_order="best_level"),
        profile("ann", french=6),
        profile("ben", french=9),
        profile("cat", french=6),
        profile("dan", french=4),
    )
    floor.log_in(0, "ann", "ben", "cat", "dan")
    floor.call(1, "c1", "help")
    (first,) = floor.pool.calls["c1"].assignments
    assert (first.agent_id, first.agents, first.groups, first.ahead, first.waited_seconds) == ("ben", 3, 2, 0, 0)
    assert (first.requirement, first.order, first.ring, first.came_free) == ("french >= 5", "best_level", 0, False)
    floor.call(2, "c2", "help")
    floor.call(3, "c3", "help")
    floor.call(4, "c4", "help")
    floor.call(5, "c5", "help")
    floor.accept(6, "c1", "ben")
    floor.hang_up(7, "c1")
    floor.wrap_up(8, "c1", "ben")
    (free,) = floor.pool.calls["c4"].assignments
    assert (free.agent_id, free.came_free, free.agents, free.ahead, free.waited_seconds) == ("ben", True, 1, 0, 4)
    assert explanation.words(floor.pool.calls["c4"], None)[0] == (
        "After 4 s in queue help, which asked for 'french >= 5', ben came free, and this was the first of the calls "
        "that they may serve."
    )
    floor.decline(9, "c4", "ben")
    assert len(floor.pool.calls["c4"].assignments) == 1
    floor.hang_up(9, "c4")
    assert [call.id for call in floor.pool.waiting_in("help")] == ["c5"]


def test_a_waiting_call_is_told_its_position_and_what_comes_next() -> None:
    rules = queue(
        "help",
        requirement="french >= 5",
        relaxations=(Relaxation(30, "french"),),
        overflow=("other", 60),
        max_wait_seconds=90,
    )
    floor = Floor(queue("other"), rules, profile("ann", french=6), profile("ben", french=9), profile("dan", french=4))
    floor.log_in(0, "ann", "dan")
    floor.set_state(0, "ann", "break")
    floor.call(1, "c1", "help")
    floor.call(2, "c2", "help")
    standing, said = told(floor, "c2", 12, rules)
    assert standing == explanation.Waiting(
        queue_id="help",
        ring=0,
        requirement="french >= 5",
        position=2,
        waited_seconds=10,
        agents_logged_in=1,
        agents_available=0,
        widens_at=at(32),
        next_requirement="french >= 5 or french",
        overflow_at=at(62),
        overflow_queue_id="other",
        overflow_to=ToQueue("other"),
        limit_at=at(92),
        alone_until=None,
        preferred_agent_id=None,
    )
    assert said == [
        "It has waited 10 s in queue help, at position 2; the queue asks for 'french >= 5'.",
        "Agents who may serve it: 1 logged in, 0 available.",
        "From 2026-03-02T09:00:32+00:00 on it may be served by agents with 'french >= 5 or french'.",
        "At 2026-03-02T09:01:02+00:00 it overflows to queue other.",
        "It is given up at 2026-03-02T09:01:32+00:00.",
    ]


def words(floor: Floor, call_id: str, tenant_id: str | None = None) -> list[str]:
    """What is said of the call but how it waits; without the day and zone of its times."""
    said = explanation.words(floor.known(call_id), None, tenant_id)
    return [sentence.replace("2026-03-02T", "").replace("+00:00", "") for sentence in said]


def test_an_offer_that_was_not_answered_says_why_and_where_the_agent_went() -> None:
    rules = queue("help", missed_offers_before_break=2)
    floor = Floor(rules, profile("ann"), profile("ben"))
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help")
    floor.tick(21)
    floor.decline(24, "c1", "ann")
    before = "After {} s in queue help, which asked for nothing in particular, {}"
    chosen = "was offered the call: the only available agent who may serve it."
    again = "ann, who comes behind all others since they missed their last offer, came free, and this was the first of"
    assert words(floor, "c1") == [
        before.format(0, f"ann {chosen}"),
        "At 09:00:21, after 20 s, the call went back to its place: ann had not answered in time.",
        "ann had missed this offer, and came behind all others from then on.",
        before.format(20, f"{again} the calls that they may serve."),
        "At 09:00:24, after 3 s, the call went back to its place: ann declined it.",
        "ann then went on a break: the queue sends whoever misses 2 offers in a row on one.",
    ]
    floor.log_in(30, "ben")
    floor.set_state(32, "ben", "break")
    left = "At 09:00:32, after 2 s, the call went back to its place: ben went on a break."
    assert words(floor, "c1")[-1] == left, "that is no miss"
    floor.set_state(33, "ben", "available")
    floor.log_out(37, "ben")
    assert words(floor, "c1")[-1] == "At 09:00:37, after 4 s, the call went back to its place: ben logged out."
    misses = [one.missed for one in floor.pool.calls["c1"].assignments]
    assert [(one.reason, one.in_a_row, one.agent_then) for one in misses if one is not None] == [
        ("timeout", 1, None),
        ("declined", 2, "break"),
        ("agent_gone", 0, "break"),
        ("agent_gone", 0, "logged_out"),
    ]


@pytest.mark.parametrize(
    ("order", "by"),
    [
        ("longest_idle", "the longest idle"),
        ("best_level", "the best level in the skills asked for"),
        ("least_flexible", "the fewest skills"),
        ("fastest", "the shortest mean handling time"),
    ],
)
def test_who_missed_an_offer_is_said_to_come_behind_all_others(order: str, by: str) -> None:
    """Ann and ben miss one offer each; cat and dan do not."""
    rules = queue("help", "french", agent_order=order, missed_offers_before_break=5)
    floor = Floor(rules, *(profile(name, french=level) for name, level in zip(("ann", "ben"), (9, 8), strict=True)))
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help")
    floor.decline(2, "c1", "ann")
    floor.hang_up(3, "c1")
    floor.call(4, "c2", "help")
    assert words(floor, "c2")[0].endswith("may serve it, though they had missed their last offer.")
    floor.log_in(5, "ben")
    floor.decline(6, "c2", "ann")
    floor.decline(7, "c2", "ben")
    floor.hang_up(8, "c2")
    floor.call(9, "c3", "help")
    assert f"all 2 available agents had missed their last offer, and they were first by {by}." in words(floor, "c3")[0]
    floor.hang_up(10, "c3")
    for agent_id in ("cat", "dan"):
        floor.give(inputs.ConfigureAgent, 11, agent=profile(agent_id, "billing", french=2))
        floor.log_in(12, agent_id)
    floor.call(13, "c4", "help")
    (four,) = floor.pool.calls["c4"].assignments
    assert (four.agent_id, four.agents, four.behind, four.was_behind) == ("cat", 4, 2, False)
    others = "those who had missed their last offer, 2 of {}, come behind all others."
    assert f"first of 2 available agents by {by}; {others.format(4)}" in words(floor, "c4")[0]
    floor.call(14, "c5", "help")
    said = f"the only available agent who had not missed their last offer; {others.format(3)}"
    assert said in words(floor, "c5")[0]
    floor.call(15, "c6", "help")
    (six,) = floor.pool.calls["c6"].assignments
    assert (six.agents, six.behind, six.was_behind) == (2, 2, True)


def test_an_agent_who_was_preferred_and_missed_the_offer_is_not_said_to_be_preferred_again() -> None:
    floor = Floor(queue("help", missed_offers_before_break=5), profile("ann"))
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help", preferred_agent_id="ann")
    floor.decline(2, "c1", "ann")
    assert [one.preferred for one in floor.pool.calls["c1"].assignments] == [True, False]


@pytest.mark.parametrize(
    ("vip", "priority", "waits", "by"),
    [
        ({"priority": 7}, 0, 0, "its queue's priority"),
        ({}, 2, 0, "the priority that its caller or flow gave it"),
        ({}, 0, -10, "the time that it had waited"),
        ({"priority": 6}, 1, 0, "its queue's priority and the priority that its caller or flow gave it"),
        (
            {"priority": 4},
            0,
            -70,
            "the time that it had waited, by which a call comes to go before those of higher priority",
        ),
        ({"priority": 6, "ageing_seconds_per_priority": 90.0}, 0, 0, "its queue's priority"),
    ],
)
def test_a_call_that_went_before_those_of_another_queue_says_by_what(
    vip: dict[str, Any], priority: int, waits: float, by: str
) -> None:
    """One call of each queue, that of `help` at 100 s, that of `vip` so much earlier or 1 s later."""
    floor = Floor(queue("help"), queue("vip", **vip), queue("other", "french"), profile("ann"))
    came = 101 if waits == 0 else 100 + waits
    for at_second, call_id, queue_id, own in sorted([(100, "h1", "help", 0), (came, "v1", "vip", priority)]):
        floor.call(at_second, call_id, queue_id, contact_priority=own or None)
    floor.call(0 if came > 101 else 102, "o1", "other")
    floor.log_in(110, "ann")
    assert floor.agent("ann").calls[0].call_id == "v1"
    said = words(floor, "v1")[1 + bool(priority)]
    assert said.startswith(f"It went before the first call of queue help by {by}: ")
    assert said.endswith(", against 10 s (10 s waited).")
    (assignment,) = floor.pool.calls["v1"].assignments
    precedence = assignment.precedence
    assert precedence is not None
    assert precedence.own.seconds > precedence.other.seconds
    assert f": {precedence.own.seconds:.0f} s ({110 - came} s waited" in said


def test_the_figures_of_another_clients_call_are_the_floors_alone() -> None:
    floor = Floor(queue("help", tenant_id="lamp"), queue("vip", priority=7), profile("ann"))
    floor.call(1, "h1", "help")
    floor.call(2, "v1", "vip")
    floor.log_in(3, "ann")
    summed = "121 s (1 s waited, and 2 steps of priority above 5 at 60 s each)"
    beaten = f"It went before another client's calls by its queue's priority: {summed}."
    assert words(floor, "v1", "kettle")[1] == beaten
    (assignment,) = floor.pool.calls["v1"].assignments
    view = assignment_view(assignment, "kettle").precedence
    assert view is not None
    assert (view.own.queue_id, view.own.seconds) == ("vip", 121)
    assert set(view.other.model_dump().values()) == {None}


def test_nothing_is_said_of_other_queues_that_had_no_call_for_the_agent() -> None:
    floor = Floor(queue("help"), queue("other", "french"), profile("ann"))
    floor.call(1, "o1", "other")
    floor.call(2, "c1", "help")
    floor.call(3, "c2", "help")
    floor.log_in(4, "ann")
    (assignment,) = floor.pool.calls["c1"].assignments
    assert assignment.precedence is None
    assert not any("went before" in sentence for sentence in words(floor, "c1"))


def test_a_call_that_waited_for_its_agent_alone_is_not_said_to_go_first_by_the_order_of_service() -> None:
    floor = Floor(queue("help", sticky_seconds=60), queue("vip", priority=9), profile("ann"))
    floor.log_in(0, "ann")
    floor.set_state(1, "ann", "break")
    floor.call(2, "c1", "help", preferred_agent_id="ann")
    floor.call(3, "v1", "vip")
    floor.set_state(4, "ann", "available")
    (assignment,) = floor.pool.calls["c1"].assignments
    assert (assignment.preferred, assignment.came_free, assignment.precedence) == (True, True, None)


def test_a_call_says_where_its_own_priority_is_from() -> None:
    floor = Floor(queue("help"), profile("ann"))
    floor.call(1, "c1", "help", contact_priority=2)
    assert words(floor, "c1")[0].startswith("Its caller is a contact of priority 2, ")
    floor.call(1, "c2", "help", contact_priority=2, priority=3, transferred_from="c0")
    assert words(floor, "c2")[1] == "The call that it goes on from had raised its priority by 3."


def test_what_happened_while_they_spoke_is_told() -> None:
    floor = Floor(queue("help", recording="with_consent"), profile("ann"))
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help")
    floor.accept(5, "c1", "ann")
    for second in (10, 20):
        floor.give(inputs.Hold, second, call_id="c1", agent_id="ann")
        held = words(floor, "c1")[-1]
        floor.give(inputs.Resume, second + 4, call_id="c1", agent_id="ann")
    assert held == "The caller was put on hold 2 times, and is since 09:00:20; before that 4 s in all."
    floor.give(inputs.Record, 30, call_id="c1", agent_id="ann", recording="on", consent=True)
    floor.give(inputs.Record, 40, call_id="c1", agent_id="ann", recording="paused")
    for second, mode in ((41, "listen"), (42, "barge"), (43, "off")):
        floor.give(inputs.Supervise, second, call_id="c1", supervisor_id="sue", mode=mode)
    spoken = [
        "ann answered at 09:00:05, 4 s after the offer.",
        "The caller was on hold 2 times, 8 s in all.",
        "At 09:00:30 the recording began, with the caller's consent.",
        "At 09:00:40 the recording was paused.",
        "At 09:00:41 supervisor sue listened.",
        "At 09:00:42 supervisor sue spoke with both.",
        "At 09:00:43 supervisor sue left.",
    ]
    assert words(floor, "c1")[1:] == spoken
    floor.hang_up(50, "c1")
    until = "They spoke until 09:00:50; ann wraps up, until 09:01:20 at the latest."
    assert words(floor, "c1")[1:] == [*spoken, until]
    floor.wrap_up(57, "c1", "ann", "solved")
    done = "They spoke until 09:00:50; ann wrapped up as 'solved', 7 s later."
    assert words(floor, "c1")[1:] == [*spoken, done]
    view = conversation_view(floor.known("c1"))
    assert view is not None
    assert (view.holds, view.held_seconds, view.disposition, view.wrapped_up_at) == (2, 8, "solved", at(57))


def test_whoever_only_listens_is_not_told_to_the_agent() -> None:
    happened = Conversation(
        supervisions=(
            Supervised(at(0), "sue", "listen"),
            Supervised(at(1), "sue", "whisper"),
            Supervised(at(2), "max", "listen"),
            Supervised(at(3), "max", "off"),
            Supervised(at(4), "sue", "listen"),
        )
    )
    known = happened.as_the_agent_knows().supervisions
    assert known == (Supervised(at(1), "sue", "whisper"), Supervised(at(4), "sue", "off"))


def test_a_take_over_is_told_of_both_calls_and_again() -> None:
    floor = Floor(queue("help"), *(profile(name) for name in ("ann", "sue", "max")))
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help")
    floor.accept(2, "c1", "ann")
    floor.log_in(3, "sue", "max")
    floor.give(inputs.Relieve, 9, call_id="c1", supervisor_id="sue", to_call_id="c2")
    assert words(floor, "c1")[2] == "The caller went on as call c2, taken over by sue."
    into = ["Its caller comes from call c1.", "sue took the caller over from ann at 09:00:09."]
    assert words(floor, "c2") == into
    floor.give(inputs.Relieve, 12, call_id="c2", supervisor_id="max", to_call_id="c3")
    assert words(floor, "c2")[:3] == [*into, "The caller went on as call c3, taken over by max."]
    assert words(floor, "c3")[1] == "max took the caller over from sue at 09:00:12."


def test_what_the_waiting_caller_heard_is_told_once_for_each_message() -> None:
    hold = Announcement(message="hold", after_seconds=10, every_seconds=20, tell=("position",))
    floor = Floor(queue("help", announcements=(hold, Announcement(message="sorry", after_seconds=30))))
    floor.call(0, "c0", "help")
    floor.call(1, "c1", "help")
    floor.tick(40)
    assert words(floor, "c1") == [
        "The caller heard announcement hold 2 times, the last time at 09:00:31: it told position 2.",
        "The caller heard announcement sorry once, at 09:00:31.",
    ]


def test_only_the_newest_notes_are_kept() -> None:
    heard: tuple[Heard, ...] = ()
    happened = Conversation()
    for number in range(MOST_NOTES + 5):
        heard = heard_once_more(heard, Heard(f"m{number}", 1, at(number)))
        happened = happened.recorded(RecordingChange(at(number), "on", False))
        happened = happened.supervised(Supervised(at(number), "sue", "listen"))
    notes = (heard, happened.recordings, happened.supervisions)
    assert [len(each) for each in notes] == [MOST_NOTES] * 3
    assert heard[-1] == Heard(f"m{MOST_NOTES + 4}", 1, at(MOST_NOTES + 4))


def test_a_call_that_was_saved_before_all_this_was_noted_is_loaded_and_told() -> None:
    floor = Floor(queue("help"), profile("ann"))
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help")
    floor.accept(5, "c1", "ann")
    saved = msgspec.to_builtins(floor.pool.calls["c1"])
    saved["assignments"] = [one[:15] for one in saved["assignments"]]
    for name in ("heard", "conversation", "take_overs"):
        del saved[name]
    old = msgspec.convert(saved, Call)
    assert len(explanation.words(old, None)) == 2
    assert old.assignments[0].missed is None


async def test_a_call_is_explained_to_those_who_see_it(routing: Routing) -> None:
    """Given a call that waits; when its agent comes free; then both are explained, and to nobody who sees it not."""
    await routing.floor("ann", "ben", requirement="french >= 5", agent_order="fastest")
    call_id = (await routing.post("calls", {"queue_id": "help"}))["call_id"]
    await routing.call_is(call_id, "queued")
    waits = (await routing.operator.get(f"/v1/calls/{call_id}/explain")).json()
    assert (waits["state"], waits["assignments"]) == ("queued", [])
    assert (waits["waiting"]["position"], waits["waiting"]["agents_logged_in"]) == (1, 0)
    tenant = await routing.client("tenant", "owner", tenant="kettle")
    seen = (await tenant.get(f"/v1/calls/{call_id}/explain")).json()
    assert (seen["waiting"]["position"], seen["waiting"]["agents_logged_in"]) == (1, None)
    ann, ben = await routing.client("agent", "ann"), await routing.client("agent", "ben")
    assert (await ann.get(f"/v1/calls/{call_id}/explain")).status_code == 404
    await routing.post("agents/ann/log-in")
    await routing.call_is(call_id, "offered")
    rings = (await ann.get(f"/v1/calls/{call_id}/explain")).json()
    (assignment,) = rings["assignments"]
    assert (assignment["agent_id"], assignment["came_free"], assignment["order"]) == ("ann", True, "fastest")
    assert assignment["requirement"] == "french >= 5"
    assert rings["waiting"] is None
    assert "ann came free" in rings["words"][0]
    other = await routing.client("tenant", "other", tenant="other")
    for client, path in ((ben, call_id), (other, call_id), (ann, f"{new_id()}.help")):
        assert (await client.get(f"/v1/calls/{path}/explain")).status_code == 404


async def test_a_call_waits_for_the_agent_it_should_go_to(routing: Routing) -> None:
    """Given an agent on a break; when a call prefers them and another is available; then it waits for them alone."""
    await routing.floor("ann", "ben", sticky_seconds=60)
    await routing.post("agents/ann/log-in", {"state": "break"})
    await routing.post("agents/ben/log-in")
    await routing.agent_is("ben", "available")
    offered = {"type": "offered", "queue_id": "help", "preferred_agent_id": "ann"}
    call_id = (await routing.post("telephony/facts", {"facts": [offered]}))["accepted"][0]["call_id"]
    await routing.call_is(call_id, "queued")
    waits = (await routing.operator.get(f"/v1/calls/{call_id}/explain")).json()
    assert waits["waiting"]["preferred_agent_id"] == "ann"
    assert any("waits for ann alone" in sentence for sentence in waits["words"])
    await routing.post("agents/ann/state", {"state": "available"})
    assert (await routing.call_is(call_id, "offered"))["agent_id"] == "ann"
    rings = (await routing.operator.get(f"/v1/calls/{call_id}/explain")).json()
    assert rings["assignments"][0]["preferred"] is True
