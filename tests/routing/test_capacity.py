"""Several calls at a time for one agent: what goes together, what is interrupted, and when they may leave."""

from __future__ import annotations

from typing import Any

import pytest
from common.events import AgentStateChanged, CallEnded, CallOfferMissed, CallWrappedUp, Event
from common.events.routing import Channel
from msgspec.structs import replace
from routing.domain import explanation, inputs
from routing.domain.agents import Available, Busy, OnBreak, Serving
from routing.domain.call_states import Queued, WrappingUp
from routing.domain.calls import Beside
from routing.domain.capacity import wrong_capacity, wrong_interrupts
from routing.domain.configuration import AgentProfile, Capacity, Weights

from .floors import Floor, at, names, only, profile, queue

INTERRUPTS: dict[Channel, tuple[Channel, ...]] = {"voice": ("email", "post"), "chat": ("post",)}
QUEUES = [queue(channel, channel=channel) for channel in ("voice", "chat", "email", "post")]


def several(agent_id: str, *, interrupts: Any = INTERRUPTS, version: int = 1, **calls: int) -> AgentProfile:
    """An agent who takes so many calls of each channel."""
    return replace(profile(agent_id, version=version), capacity=Capacity(calls, interrupts))  # type: ignore[arg-type]


def floor(*agents: AgentProfile) -> Floor:
    """A queue for each channel, named by it, and these agents logged in."""
    result = Floor(*QUEUES, *agents)
    result.log_in(0, *(agent.id for agent in agents))
    return result


def ring(there: Floor, seconds: float, call_id: str, channel: Channel) -> list[Event]:
    return there.call(seconds, call_id, channel, channel=channel)


def handle(there: Floor, seconds: float, call_id: str, channel: Channel, agent_id: str = "ann") -> None:
    """The call comes and is answered."""
    ring(there, seconds, call_id, channel)
    there.accept(seconds, call_id, agent_id)
    assert there.pool.calls[call_id].state_name == "talking"


def waits(there: Floor, call_id: str) -> bool:
    return isinstance(there.pool.calls[call_id].state, Queued)


def at_hand(there: Floor, agent_id: str = "ann") -> dict[str, str]:
    """The agent's calls with their phase; a paused one with a star."""
    return {one.call_id: one.phase + "*" * one.paused for one in there.agent(agent_id).calls}


def test_an_agent_takes_chats_and_emails_beside_each_other_up_to_their_capacity() -> None:
    there = floor(several("ann", voice=1, chat=3, email=2))
    for number in range(4):
        ring(there, number, f"c{number}", "chat")
    for number in range(3):
        ring(there, 5, f"e{number}", "email")
    assert list(at_hand(there)) == ["c0", "c1", "c2", "e0", "e1"]
    assert waits(there, "c3")
    assert waits(there, "e2")
    there.accept(6, "c1", "ann")
    there.hang_up(7, "c1")
    assert waits(there, "c3"), "its wrap-up still counts"
    there.wrap_up(8, "c1", "ann")
    assert at_hand(there)["c3"] == "offered"


def test_waiting_calls_are_all_taken_at_log_in_the_first_first() -> None:
    there = Floor(*QUEUES, several("ann", chat=2))
    for number in range(3):
        ring(there, number, f"c{number}", "chat")
    there.log_in(5, "ann")
    assert list(at_hand(there)) == ["c0", "c1"]


def test_who_has_fewer_calls_at_hand_comes_first() -> None:
    there = floor(several("ann", chat=3), several("ben", chat=3))
    for number in range(4):
        ring(there, number, f"c{number}", "chat")
    assert list(at_hand(there, "ann")) == ["c0", "c2"]
    assert list(at_hand(there, "ben")) == ["c1", "c3"]


def test_voice_goes_with_nothing_that_it_does_not_interrupt() -> None:
    there = floor(several("ann", voice=1, chat=3, email=2))
    handle(there, 1, "c", "chat")
    ring(there, 2, "v", "voice")
    assert waits(there, "v")
    there.hang_up(3, "c")
    assert waits(there, "v"), "the chat is wrapped up"
    there.wrap_up(4, "c", "ann")
    assert at_hand(there) == {"v": "offered"}
    for channel in ("chat", "email"):
        ring(there, 5, channel, channel)
    there.accept(6, "v", "ann")
    there.hang_up(7, "v")
    assert at_hand(there) == {"v": "wrap_up"}, "the wrap-up of a voice call holds for every queue"
    there.wrap_up(8, "v", "ann")
    assert at_hand(there) == {"chat": "offered", "email": "offered"}


def test_a_channel_without_capacity_is_never_offered() -> None:
    there = floor(several("ann", chat=1), profile("ben"))
    ring(there, 1, "v", "voice")
    assert at_hand(there, "ben") == {"v": "offered"}
    ring(there, 2, "w", "voice")
    assert waits(there, "w")
    assert there.pool.queue_ids_of("ann") == ["chat"]
    assert there.pool.queue_ids_of("ben") == ["chat", "email", "post", "voice"]


def test_an_agent_without_a_declared_capacity_takes_one_call_of_whatever_channel() -> None:
    there = floor(profile("ann"))
    ring(there, 1, "e", "email")
    ring(there, 1, "c", "chat")
    ring(there, 1, "v", "voice")
    assert at_hand(there) == {"e": "offered"}


def test_a_voice_call_pauses_emails_from_its_answer_to_the_end_of_its_wrap_up() -> None:
    there = floor(several("ann", voice=1, chat=3, email=2))
    handle(there, 0, "e", "email")
    ring(there, 10, "v", "voice")
    assert at_hand(there) == {"e": "busy", "v": "offered"}, "not while it rings"
    assert there.agent("ann").state_name == "busy"
    there.accept(20, "v", "ann")
    assert at_hand(there) == {"e": "busy*", "v": "busy"}
    assert there.pool.calls["e"].is_paused
    there.hang_up(50, "v")
    assert at_hand(there) == {"e": "busy*", "v": "wrap_up"}
    assert there.agent("ann").state_name == "wrap_up"
    there.wrap_up(60, "v", "ann")
    assert at_hand(there) == {"e": "busy"}
    ended = only(there.hang_up(100, "e"), CallEnded)
    assert (ended.talk_seconds, ended.talk_paused_seconds) == (60, 40)
    done = only(there.wrap_up(110, "e", "ann"), CallWrappedUp)
    assert (done.talk_seconds, done.talk_paused_seconds, done.wrap_up_seconds, done.wrap_up_paused_seconds) == (
        60,
        40,
        10,
        0,
    )
    assert there.agent("ann").handling_seconds == pytest.approx(40 + 0.1 * (70 - 40))


def test_a_paused_wrap_up_keeps_its_time() -> None:
    there = floor(several("ann", voice=1, email=2))
    handle(there, 0, "e", "email")
    there.hang_up(10, "e")
    handle(there, 20, "v", "voice")
    there.tick(60)
    assert at_hand(there) == {"e": "wrap_up*", "v": "busy"}
    there.hang_up(70, "v")
    there.wrap_up(75, "v", "ann")
    state = there.pool.calls["e"].state
    assert isinstance(state, WrappingUp)
    assert state.limit_at == at(95), "30 s in all, 10 of them before the call"
    done = only(there.tick(96), CallWrappedUp)
    assert (done.wrapped_up_at, done.wrap_up_seconds, done.wrap_up_paused_seconds) == (at(95), 30, 55)


def test_an_email_that_its_sender_takes_back_while_paused_counts_no_paused_time() -> None:
    there = floor(several("ann", voice=1, email=2))
    handle(there, 0, "e", "email")
    handle(there, 10, "v", "voice")
    ended = only(there.hang_up(15, "e"), CallEnded)
    assert (ended.talk_seconds, ended.talk_paused_seconds) == (10, 5)
    done = only(there.wrap_up(25, "e", "ann"), CallWrappedUp)
    assert (done.wrap_up_seconds, done.wrap_up_paused_seconds) == (0, 10)
    assert at_hand(there) == {"v": "busy"}


def test_what_still_rings_when_an_interrupting_call_is_answered_goes_to_others() -> None:
    there = floor(several("ann", voice=1, email=2), several("ben", email=1))
    handle(there, 0, "e0", "email", "ann")
    handle(there, 1, "e1", "email", "ben")
    ring(there, 2, "e2", "email")
    ring(there, 3, "v", "voice")
    assert at_hand(there) == {"e0": "busy", "e2": "offered", "v": "offered"}
    there.hang_up(4, "e1")
    there.wrap_up(4, "e1", "ben")
    missed = only(there.accept(5, "v", "ann"), CallOfferMissed)
    assert (missed.call_id, missed.reason) == ("e2", "interrupted")
    assert at_hand(there) == {"e0": "busy*", "v": "busy"}
    assert at_hand(there, "ben") == {"e2": "offered"}
    assert isinstance(there.agent("ann").state, Serving), "no miss of theirs"


def test_nothing_is_offered_that_would_stand_still_at_once() -> None:
    there = floor(several("ann", voice=1, chat=2, post=5))
    handle(there, 0, "c", "chat")
    ring(there, 1, "p", "post")
    assert waits(there, "p")
    there.hang_up(2, "c")
    there.wrap_up(2, "c", "ann")
    assert at_hand(there) == {"p": "offered"}
    there.accept(3, "p", "ann")
    handle(there, 4, "c2", "chat")
    ring(there, 5, "v", "voice")
    assert waits(there, "v"), "it interrupts post, not chat"
    assert at_hand(there) == {"p": "busy*", "c2": "busy"}


def test_a_break_asked_for_during_calls_begins_after_all_of_them() -> None:
    there = floor(several("ann", chat=3))
    handle(there, 0, "c0", "chat")
    handle(there, 1, "c1", "chat")
    ring(there, 2, "c2", "chat")
    missed = only(there.set_state(3, "ann", "break", "lunch"), CallOfferMissed)
    assert (missed.call_id, missed.reason) == ("c2", "agent_gone")
    assert waits(there, "c2")
    there.hang_up(4, "c0")
    there.wrap_up(5, "c0", "ann")
    assert at_hand(there) == {"c1": "busy"}
    assert waits(there, "c2")
    there.hang_up(6, "c1")
    there.wrap_up(7, "c1", "ann")
    assert there.agent("ann").state == OnBreak(at(7), "lunch")
    there.set_state(8, "ann", "available")
    assert at_hand(there) == {"c2": "offered"}


def test_a_log_out_leaves_nothing_behind_and_can_be_taken_back() -> None:
    there = floor(several("ann", voice=1, chat=3, email=2))
    handle(there, 0, "e", "email")
    handle(there, 1, "c", "chat")
    there.log_out(2, "ann")
    ring(there, 3, "c2", "chat")
    assert waits(there, "c2")
    there.log_in(4, "ann")
    assert at_hand(there)["c2"] == "offered"
    there.log_out(5, "ann")
    for number, call_id in enumerate(("e", "c")):
        there.hang_up(6 + number, call_id)
        there.wrap_up(6 + number, call_id, "ann")
    assert names(there.events)[-1] == "agent.logged_out"
    assert at_hand(there) == {}
    assert there.agent("ann").state_name == "logged_out"


def test_a_missed_chat_sends_the_agent_on_a_break_after_the_others() -> None:
    there = floor(several("ann", chat=3))
    handle(there, 0, "c0", "chat")
    ring(there, 1, "c1", "chat")
    there.tick(22)
    assert waits(there, "c1")
    there.hang_up(30, "c0")
    there.wrap_up(31, "c0", "ann")
    assert there.agent("ann").state == OnBreak(at(31), "missed_offer")


def test_a_call_that_rings_anew_at_who_takes_one_at_a_time_by_now_has_them_alone() -> None:
    """Ann's capacity is taken back while a call rings at her; she misses it, and another call waits."""
    there = Floor(queue("chat", channel="chat", missed_offers_before_break=2), several("ann", chat=1))
    there.log_in(0, "ann")
    ring(there, 1, "c1", "chat")
    there.give(inputs.ConfigureAgent, 2, agent=profile("ann", version=2))
    ring(there, 3, "c2", "chat")
    there.decline(4, "c1", "ann")
    assert at_hand(there) == {"c1": "offered"}
    assert waits(there, "c2")


def test_every_change_of_a_call_is_told_with_one_state_by_precedence() -> None:
    there = floor(several("ann", voice=1, chat=2, email=2))
    (event,) = [event for event in ring(there, 1, "e", "email") if isinstance(event, AgentStateChanged)]
    assert (event.state, event.call_id, event.takes) == ("offered", "e", ["voice", "chat", "email"])
    event = only(there.accept(2, "e", "ann"), AgentStateChanged)
    assert (event.previous_state, event.state, event.takes) == ("offered", "busy", ["voice", "chat", "email"])
    event = only(ring(there, 4, "c", "chat"), AgentStateChanged)
    assert (event.previous_state, event.state, event.call_id) == ("busy", "busy", "e")
    assert (event.since_previous, event.seconds_in_previous) == (at(2), 2)
    assert event.takes == ["chat", "email"], "voice does not interrupt the chat"
    event = only(there.accept(5, "c", "ann"), AgentStateChanged)
    assert (event.state, event.call_id) == ("busy", "c"), "of calls alike, chat before email"
    assert [(one.call_id, one.channel, one.state) for one in event.calls] == [
        ("e", "email", "busy"),
        ("c", "chat", "busy"),
    ]


def test_a_change_of_capacity_takes_effect_at_once() -> None:
    there = floor(several("ann", chat=1))
    for number in range(3):
        ring(there, number, f"c{number}", "chat")
    there.give(inputs.ConfigureAgent, 5, agent=several("ann", chat=2, version=2))
    assert list(at_hand(there)) == ["c0", "c1"]
    there.give(inputs.ConfigureAgent, 6, agent=profile("ann", version=3))
    there.accept(7, "c0", "ann")
    there.hang_up(8, "c0")
    there.wrap_up(9, "c0", "ann")
    assert list(at_hand(there)) == ["c1"], "one at a time again, after those at hand"
    there.hang_up(10, "c1")
    assert at_hand(there) == {"c2": "offered"}
    there.accept(11, "c2", "ann")
    assert isinstance(there.agent("ann").state, Busy)


def test_a_change_of_what_interrupts_what_pauses_and_resumes() -> None:
    there = floor(several("ann", voice=1, email=2))
    handle(there, 0, "e", "email")
    handle(there, 10, "v", "voice")
    there.give(inputs.ConfigureAgent, 20, agent=several("ann", interrupts={}, voice=1, email=2, version=2))
    assert at_hand(there) == {"e": "busy", "v": "busy"}
    there.give(inputs.ConfigureAgent, 30, agent=several("ann", voice=1, email=2, version=3))
    assert at_hand(there) == {"e": "busy*", "v": "busy"}
    there.hang_up(40, "v")
    there.wrap_up(40, "v", "ann")
    assert only(there.hang_up(50, "e"), CallEnded).talk_paused_seconds == 20


def test_who_may_take_a_channel_is_told_when_it_changes() -> None:
    there = floor(several("ann", voice=1, chat=1))
    (event,) = there.give(inputs.ConfigureAgent, 5, agent=several("ann", chat=1, version=2))
    assert isinstance(event, AgentStateChanged)
    assert (event.state, event.takes, event.queue_ids) == ("available", ["chat"], ["chat"])
    assert isinstance(there.agent("ann").state, Available)


def test_a_call_waits_for_its_preferred_agent_while_they_cannot_take_its_channel() -> None:
    sticky = queue("chat", channel="chat", sticky_seconds=60)
    there = Floor(QUEUES[0], sticky, several("ann", voice=1, chat=2), several("ben", chat=2))
    there.log_in(0, "ann", "ben")
    handle(there, 1, "v", "voice")
    there.call(2, "c", "chat", channel="chat", preferred_agent_id="ann")
    assert waits(there, "c")
    there.hang_up(3, "v")
    there.wrap_up(4, "v", "ann")
    assert at_hand(there) == {"c": "offered"}
    there.accept(5, "c", "ann")
    there.call(6, "c2", "chat", channel="chat", preferred_agent_id="ann")
    assert at_hand(there) == {"c": "busy", "c2": "offered"}, "ann has room, though ben has less to do"


def test_by_declared_weights_each_channel_has_its_own_agents() -> None:
    """An agent counts once for each channel that they take."""
    there = Floor(
        queue("voice", weights=Weights(lost_call_cost=3, calls_per_hour=30)),
        queue("chat", channel="chat", weights=Weights(calls_per_hour=30)),
        several("ann", voice=1, chat=2),
        several("ben", chat=2),
    )
    there.log_in(0, "ann", "ben")
    for number in range(4):
        ring(there, number, f"c{number}", "chat")
    assert len(at_hand(there)) + len(at_hand(there, "ben")) >= 2
    ring(there, 5, "v", "voice")
    for agent_id in ("ann", "ben"):
        for call_id in list(at_hand(there, agent_id)):
            there.accept(6, call_id, agent_id)
            there.hang_up(7, call_id)
            there.wrap_up(8, call_id, agent_id)
    assert at_hand(there)["v"] == "offered"


def test_explain_says_how_many_the_agent_had_and_what_was_interrupted() -> None:
    there = floor(several("ann", voice=1, chat=3, email=2))
    handle(there, 0, "c0", "chat")
    ring(there, 1, "c1", "chat")
    (noted,) = there.pool.calls["c1"].assignments
    assert noted.beside == Beside(1, 3, ())
    assert explanation.words(there.pool.calls["c1"], None)[1] == "ann had 1 of at most 3 chats then."
    there = floor(several("ann", voice=1, email=2))
    handle(there, 0, "e", "email")
    handle(there, 10, "v", "voice")
    (noted,) = there.pool.calls["v"].assignments
    assert noted.beside == Beside(0, 1, ("e",))
    assert "Its answer interrupts call e of ann." in explanation.words(there.pool.calls["v"], None)
    said = explanation.words(there.pool.calls["e"], None)
    assert said[-1] == f"It stands still since {at(10).isoformat(timespec='seconds')}: interrupted by call v."
    said = explanation.words(there.pool.calls["e"], None, "kettle")
    assert said[-1].endswith("interrupted by another call."), "whose it is, is not a tenant's to know"
    there.hang_up(20, "v")
    there.wrap_up(25, "v", "ann")
    said = explanation.words(there.pool.calls["e"], None)
    assert said[-1] == "It was interrupted once by call v: it stood still for 15 s in all."


def test_explain_says_why_an_offer_beside_other_calls_was_withdrawn() -> None:
    there = floor(several("ann", voice=1, email=2))
    handle(there, 0, "e1", "email")
    ring(there, 10, "e2", "email")
    there.set_state(12, "ann", "break")
    said = explanation.words(there.pool.calls["e2"], None)
    assert said[-1].endswith("after 2 s, the call went back to its place: ann asked for a break.")
    there.set_state(13, "ann", "available")
    ring(there, 14, "v", "voice")
    there.accept(15, "v", "ann")
    said = explanation.words(there.pool.calls["e2"], None)
    assert said[-1].endswith("from ann, who had answered a call that keeps them from calls of this channel.")


def test_bad_declarations_are_named_by_their_place() -> None:
    assert [one["field"] for one in wrong_capacity({"voice": 2, "chat": 1})] == ["capacity.voice"]
    assert [one["field"] for one in wrong_capacity({"voice": 0})] == ["capacity"]
    assert wrong_capacity({}) == []
    assert wrong_capacity({"voice": 0, "chat": 3}) == []
    wrong = wrong_interrupts({"chat": ["voice", "email"], "email": ["post"], "post": ["chat", "post"]})
    assert [one["field"] for one in wrong] == [
        "interrupts.chat.0",
        "interrupts.chat.1",
        "interrupts.email.0",
        "interrupts.post.0",
        "interrupts.post.1",
    ]
    assert wrong[1]["reason"] == "they would interrupt each other: chat -> email -> post -> chat"
    assert wrong_interrupts(INTERRUPTS) == []
