"""Calls that nobody could serve: by the rule of their queue they go elsewhere as they come, and as soon as the last
agent leaves."""

from __future__ import annotations

from typing import Any

import pytest
from common.events import CallAbandoned, CallAssigned, CallOverflowed
from common.hours import parse
from msgspec.structs import replace
from routing.domain import explanation, inputs
from routing.domain.configuration import (
    CallbackRules,
    Capacity,
    Cover,
    NobodyLoggedIn,
    OverflowRule,
    Queue,
    Relaxation,
    Site,
    ToCallback,
    ToMessage,
    ToQueue,
    ToSite,
)

from .conftest import QUEUE, Routing
from .floors import Floor, at, names, only, profile, queue
from .shared_floor import share

SORRY = OverflowRule(NobodyLoggedIn(), ToMessage("sorry"))
WIDENS = (Relaxation(60, "dutch"),)
ANN, BEN = profile("ann", "french"), profile("ben", "dutch")
STAYS, GOES = ["call.offered", "call.queued"], ["call.offered", "call.queued", "call.abandoned"]


def help_desk(*rules: OverflowRule, **changes: Any) -> Queue:
    """French first, Dutch after a minute."""
    return queue("help", "french", **{"relaxations": WIDENS, "overflows": rules or (SORRY,), **changes})


def on_a_break(floor: Floor, seconds: float, *agent_ids: str) -> None:
    for agent_id in agent_ids:
        floor.give(inputs.LogIn, seconds, agent_id=agent_id, state="break")


@pytest.mark.parametrize(
    ("there", "told"), [([], GOES), (["cat"], GOES), (["ann"], STAYS), (["ben"], STAYS), (["ann", "ben"], STAYS)]
)
def test_a_call_that_enters_goes_where_the_rule_says_if_nobody_in_any_ring_is_logged_in(
    there: list[str], told: list[str]
) -> None:
    """On a break is logged in; who may serve it only later is, too; who has no skill for it does not count."""
    floor = Floor(help_desk(), ANN, BEN, profile("cat", "billing"))
    on_a_break(floor, 0, *there)
    assert names(floor.call(1, "c1", "help")) == told
    said = " ".join(explanation.words(floor.known("c1"), None))
    assert ("sent it to message sorry: no agent who could serve it was logged in." in said) is (told == GOES)


def busy(floor: Floor, agent_id: str = "ann") -> None:
    """The agent speaks in call `first`; call `c1` waits."""
    floor.log_in(0, agent_id)
    floor.call(1, "first", "help")
    floor.accept(2, "first", agent_id)
    assert names(floor.call(3, "c1", "help")) == STAYS


@pytest.mark.parametrize(
    "leaves",
    [
        lambda floor: floor.log_out(10, "ann"),
        lambda floor: floor.give(inputs.ConfigureAgent, 10, agent=replace(ANN, version=2, drain="desk moves")),
        lambda floor: floor.give(inputs.ConfigureAgent, 10, agent=profile("ann", "billing", version=2)),
        lambda floor: floor.give(inputs.ConfigureSite, 10, site=Site("lyon", True, 1)),
        lambda floor: floor.give(inputs.ConfigureSite, 10, site=Site("lyon", False, 1, "repairs")),
        lambda floor: floor.give(inputs.ConfigureQueue, 10, queue=replace(help_desk(), version=2, relaxations=(),
                                                                          required_skills=("billing",))),
        lambda floor: floor.give(inputs.ConfigureShare, 10, share=share("kettle", most=0, version=1)),
        lambda floor: floor.give(inputs.ConfigureShare, 10, share=share("lamp", 1, version=1)),
    ],
    ids=["log-out", "drain", "skills", "site down", "site drained", "requirement", "no positions", "reserved"],
)  # fmt: skip
def test_calls_that_wait_go_as_soon_as_the_last_agent_cannot_serve_them_any_more(leaves: Any) -> None:
    """Given a call that waits for the one agent, who is busy; when the agent is to leave after that, or can serve it no
    more; then it goes at that moment, and the conversation goes on."""
    ann = replace(ANN, site_id="lyon")
    floor = Floor(help_desk(), queue("lamp", "french", tenant_id="lamp"), ann, BEN)
    busy(floor)
    abandoned = only(leaves(floor), CallAbandoned)
    assert (abandoned.call_id, abandoned.reason, abandoned.message) == ("c1", "overflow", "sorry")
    assert (abandoned.abandoned_at, abandoned.wait_seconds) == (at(10), 7.0)
    assert floor.pool.calls["first"].state_name == "talking"


def test_calls_that_wait_stay_while_somebody_who_could_serve_them_is_left() -> None:
    floor = Floor(help_desk(), ANN, BEN)
    on_a_break(floor, 0, "ben")
    busy(floor)
    assert floor.log_out(10, "ann") == []
    assert floor.pool.calls["c1"].state_name == "queued"
    assert only(floor.log_out(11, "ben"), CallAbandoned).call_id == "c1"


def test_an_agent_who_takes_back_the_log_out_counts_again() -> None:
    floor = Floor(help_desk(), ANN)
    busy(floor)
    floor.log_out(10, "ann")
    assert names(floor.call(11, "c2", "help")) == GOES
    floor.set_state(12, "ann", "available")
    assert names(floor.call(13, "c3", "help")) == STAYS


def test_a_call_that_rings_at_the_last_agent_goes_when_they_log_out() -> None:
    floor = Floor(help_desk(), ANN)
    floor.log_in(0, "ann")
    floor.call(1, "c1", "help")
    events = floor.log_out(5, "ann")
    assert names(events) == ["call.offer_missed", "agent.logged_out", "call.abandoned"]


def test_agents_of_another_channel_do_not_count() -> None:
    chats = replace(ANN, capacity=Capacity({"chat": 2}))
    floor = Floor(help_desk(), chats)
    floor.log_in(0, "ann")
    assert names(floor.call(1, "c1", "help")) == GOES


@pytest.mark.parametrize(
    ("reserved", "release", "told"), [(1, None, STAYS), (2, None, GOES), (2, 30.0, STAYS), (0, None, STAYS)]
)
def test_agents_who_are_all_reserved_for_another_tenant_do_not_count(
    reserved: int, release: float | None, told: list[str]
) -> None:
    """Two agents are there: if two are reserved and never released, nobody is left."""
    floor = Floor(help_desk(), queue("lamp", "french", tenant_id="lamp"), ANN, profile("eve", "french"))
    kept = share("lamp", reserved, version=1, release_after_seconds=release)
    floor.give(inputs.ConfigureShare, 0, share=kept)
    on_a_break(floor, 0, "ann", "eve")
    assert names(floor.call(1, "c1", "help")) == told


def test_the_first_listed_rule_that_can_be_followed_counts_and_a_site_is_tried_once() -> None:
    """Given rules that lead to two sites and to a message; when nobody is there; then the call is not sent round."""
    rules = tuple(OverflowRule(NobodyLoggedIn(), to) for to in (ToSite("lyon"), ToSite("faro"), ToMessage("sorry")))
    floor = Floor(queue("help", "french", overflows=rules), replace(ANN, site_id="porto"))
    abandoned = only(floor.call(1, "c1", "help"), CallAbandoned)
    assert abandoned.message == "sorry"
    assert [move.to for move in floor.known("c1").moves] == [rule.to for rule in rules]


def test_a_site_that_does_not_cover_the_queue_may_help_out() -> None:
    cover = (Cover(("lyon",), None, "Europe/Paris"),)
    rule = OverflowRule(NobodyLoggedIn(), ToSite("faro"))
    ann, ben = replace(ANN, site_id="lyon"), replace(profile("ben", "french"), site_id="faro")
    floor = Floor(queue("help", "french", overflows=(rule,), cover=cover), ann, ben)
    floor.log_in(0, "ann", "ben")
    floor.set_state(1, "ann", "break")
    assert names(floor.call(2, "c1", "help")) == STAYS
    assert only(floor.log_out(3, "ann"), CallAssigned).agent_id == "ben"


def test_the_cover_that_ends_leaves_nobody() -> None:
    """Lyon covers until noon, Faro after it: nobody is there, which is noticed at noon and not later."""
    until, after = (parse({"week": {"mon": [times]}}) for times in (["09:00", "12:00"], ["12:00", "18:00"]))
    cover = (Cover(("lyon",), until, "Europe/Paris"), Cover(("faro",), after, "Europe/Paris"))
    floor = Floor(help_desk(cover=cover), replace(ANN, site_id="lyon"))
    on_a_break(floor, 0, "ann")
    assert names(floor.call(7100, "c1", "help")) == STAYS
    assert only(floor.tick(9000), CallAbandoned).abandoned_at == at(7200)


def test_a_caller_may_be_promised_a_callback_while_nobody_is_there() -> None:
    rule = OverflowRule(NobodyLoggedIn(), ToCallback())
    floor = Floor(help_desk(rule, callback=CallbackRules(mode="agent_first")), ANN)
    floor.call(1, "c1", "help")
    assert floor.pool.calls["c1"].state_name == "held_place"
    assert only(floor.log_in(60, "ann"), CallAssigned).callback


def test_a_call_goes_on_from_queue_to_queue_until_somebody_is_there() -> None:
    """Queues that overflow into each other: a call never comes back."""
    rules = {one: (OverflowRule(NobodyLoggedIn(), ToQueue(to)),) for one, to in (("a", "b"), ("b", "c"), ("c", "a"))}
    floor = Floor(*(queue(one, "french", overflows=rules[one]) for one in rules), ANN)
    moves = [event.to_queue_id for event in floor.call(1, "c1", "a") if isinstance(event, CallOverflowed)]
    assert moves == ["b", "c"]
    assert only(floor.log_in(2, "ann"), CallAssigned).queue_id == "c"


async def test_the_rule_through_the_api(routing: Routing) -> None:
    """Given a queue with the rule; when its one agent logs out while a call waits; then the call is in the other queue,
    and its explanation shows the rule."""
    await routing.floor("ann")
    await routing.put("queues/late", QUEUE)
    rule = {"when": {"type": "nobody_logged_in"}, "to": {"type": "queue", "queue_id": "late"}}
    declared = await routing.put("queues/help", {**QUEUE, "required_skills": ["french"], "overflows": [rule]})
    assert declared["overflows"] == [rule]
    await routing.post("agents/ann/log-in", {"state": "break"})
    await routing.agent_is("ann", "break")
    call_id = (await routing.post("calls", {"queue_id": "help"}))["call_id"]
    assert (await routing.call_is(call_id, "queued"))["queue_id"] == "help"
    await routing.outcome((await routing.post("agents/ann/log-out"))["command_id"])
    assert (await routing.call_is(call_id, "queued"))["queue_id"] == "late"
    explained = (await routing.operator.get(f"/v1/calls/{call_id}/explain")).json()
    assert [(move["when"], move["measured"]) for move in explained["moves"]] == [(rule["when"], None)]
