"""Dual sourcing: calls go out by percentages, deterministically; and to numbers outside, where they are over for us."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import msgspec
from common.events import CallOverflowed, CallQueued, CallRedirected
from common.testing import eventually
from hypothesis import given
from hypothesis import strategies as st
from routing.domain import explanation, inputs
from routing.domain.call_states import Redirected
from routing.domain.configuration import (
    Closed,
    OverflowRule,
    Shared,
    SplitPart,
    Stay,
    ToNumber,
    ToQueue,
    ToSite,
    Waited,
)
from routing.domain.memory import Shares

from .conftest import QUEUE, Routing
from .floors import Floor, at, names, only, queue

PARTNER = {"partner": "+33639980002"}
SEVENTY_THIRTY = (SplitPart(70, Stay()), SplitPart(30, ToNumber("partner")))


def test_percentages_hold_at_every_moment() -> None:
    floor = Floor(queue("help", split=SEVENTY_THIRTY, numbers=PARTNER))
    redirected = 0
    for number in range(1, 201):
        redirected += "call.redirected" in names(floor.call(number, f"c{number}", "help"))
        assert abs(redirected - 0.3 * number) < 1
    assert redirected == 60


@given(st.lists(st.integers(1, 97), min_size=1, max_size=3), st.integers(1, 400))
def test_shares_keep_their_part_of_any_number_of_calls(cuts: list[int], calls: int) -> None:
    marks = [0, *sorted(set(cuts)), 100]
    percents = tuple(after - before for before, after in pairwise(marks))
    shares = Shares(percents, [0] * len(percents))
    taken = Counter(shares.next() for _ in range(calls))
    assert [taken[number] for number in range(len(percents))] == shares.counts
    for percent, count in zip(percents, shares.counts, strict=True):
        assert abs(count - calls * percent / 100) <= len(percents) - 1


def test_a_call_that_falls_into_a_numbers_share_never_enters_and_is_over() -> None:
    floor = Floor(queue("help", split=(SplitPart(100, ToNumber("partner")),), numbers=PARTNER))
    events = floor.call(0, "c1", "help")
    assert names(events) == ["call.offered", "call.redirected"]
    redirected = only(events, CallRedirected)
    assert (redirected.to_number, redirected.to_name, redirected.entry) == ("+33639980002", "partner", 0)
    assert (redirected.queued_at, redirected.wait_seconds, redirected.redirected_at) == (None, 0.0, at(0))
    over = floor.pool.changed_calls["c1"]
    assert floor.pool.calls == {}
    assert over.state == Redirected(at(0), "+33639980002")
    assert over.transferred_to == "+33639980002"
    assert explanation.words(over, None) == [
        f"At {at(0).isoformat()} a rule of queue help sent it to number partner: it fell into the share of 100 % of "
        "the calls.",
        f"The caller went on to +33639980002 at {at(0).isoformat()}, unanswered here.",
    ]
    assert floor.hang_up(1, "c1") == []


def test_a_rule_sends_a_waiting_call_to_a_number_but_none_that_the_floor_dials() -> None:
    rules = queue("help", overflows=(OverflowRule(Waited(30), ToNumber("partner")),), numbers=PARTNER)
    floor = Floor(rules)
    floor.call(0, "c1", "help")
    floor.call(0, "c2", "help", direction="outbound")
    redirected = only(floor.tick(30), CallRedirected)
    assert (redirected.call_id, redirected.wait_seconds, redirected.entry) == ("c1", 30.0, 1)
    assert "c2" in floor.pool.calls
    closed = queue("help", override="closed", overflows=(OverflowRule(Closed(), ToNumber("partner")),), version=2)
    floor.give(inputs.ConfigureQueue, 40, queue=closed)
    assert "call.abandoned" in names(floor.call(41, "c3", "help")), "the directory has no such number any more"


def test_shares_lead_to_queues_and_sites_and_what_cannot_be_followed_stays() -> None:
    split = (SplitPart(40, ToQueue("late")), SplitPart(30, ToSite("faro")), SplitPart(30, ToQueue("shut")))
    floor = Floor(queue("help", split=split), queue("late"), queue("shut", override="closed"))
    first, second, third = (floor.call(number, f"c{number}", "help") for number in (1, 2, 3))
    assert (only(first, CallOverflowed).entry, only(first, CallQueued).queue_id) == (0, "late")
    assert names(second) == names(third) == ["call.offered", "call.queued"]
    assert floor.pool.calls["c2"].skills == ("site:faro",)
    (stayed,) = floor.pool.calls["c3"].moves
    assert (stayed.why, stayed.to) == (Shared(30, passed_over=True), Stay())
    assert "could not go where it should" in explanation.words(floor.pool.calls["c3"], None)[0]


def test_who_overflows_into_a_queue_or_is_dialled_by_the_floor_stays_whatever_its_split() -> None:
    floor = Floor(queue("first", overflow=("help", 10)), queue("help", split=SEVENTY_THIRTY, numbers=PARTNER))
    for number in range(10):
        floor.call(number, f"c{number}", "first")
        floor.call(number, f"d{number}", "help", direction="outbound")
    assert not [event for event in floor.tick(60) if isinstance(event, CallRedirected)]
    assert floor.pool.length("help") == 20


def test_the_turns_are_saved_and_begin_anew_with_other_percentages() -> None:
    floor = Floor(queue("help", split=SEVENTY_THIRTY, numbers=PARTNER))
    floor.call(1, "c1", "help")
    (memory,) = floor.pool.memories.drain()
    assert msgspec.json.decode(msgspec.json.encode(memory), type=type(memory)) == memory
    assert memory.shares == Shares((70, 30), [1, 0])
    half = (SplitPart(50, Stay()), SplitPart(50, ToNumber("partner")))
    floor.give(inputs.ConfigureQueue, 2, queue=queue("help", split=half, numbers=PARTNER, version=2))
    assert memory.shares == Shares((50, 50), [0, 0])
    floor.give(inputs.ConfigureQueue, 3, queue=queue("help", version=3))
    assert not floor.pool.memories


def test_who_is_handed_on_by_an_agent_stays_whatever_the_split() -> None:
    floor = Floor(queue("help", split=(SplitPart(100, ToNumber("partner")),), numbers=PARTNER))
    assert names(floor.call(0, "c1", "help", transferred_from="c0")) == ["call.offered", "call.queued"]


async def test_a_split_through_the_api(routing: Routing) -> None:
    """Given half of a queue's calls for a partner's number; when two calls come; then one waits and one is redirected,
    as the split says; and percentages, numbers and circles that cannot be are refused by their place."""
    await routing.floor()
    body = {"name": "Kettle", "time_zone": "Europe/Paris", "directory": {"partner": "+33639980002"}}
    await routing.put("tenants/kettle", body)
    split = [
        {"percent": 50, "to": {"type": "stay"}},
        {"percent": 50, "to": {"type": "number", "name": "partner"}},
    ]
    assert (await routing.put("queues/help", {**QUEUE, "split": split}))["split"] == split
    first = (await routing.post("calls", {"queue_id": "help"}))["call_id"]
    await routing.call_is(first, "queued")
    second = (await routing.post("calls", {"queue_id": "help"}))["call_id"]
    assert (await routing.call_is(second, "redirected"))["transferred_to"] == "+33639980002"
    explained = (await routing.operator.get(f"/v1/calls/{second}/explain")).json()
    assert explained["moves"][0]["when"] == {"type": "shared", "percent": 50, "passed_over": False}
    assert explained["moves"][0]["to"] == {"type": "number", "name": "partner"}
    await routing.put("queues/late", {**QUEUE, "overflow": {"queue_id": "help", "after_seconds": 9}})
    wrong = [
        {"percent": 50, "to": {"type": "queue", "queue_id": "late"}},
        {"percent": 20, "to": {"type": "number", "name": "nobody"}},
        {"percent": 20, "to": {"type": "site", "site_id": "nowhere"}},
    ]
    refused = await routing.operator.put("/v1/queues/help", json={**QUEUE, "split": wrong})
    assert refused.status_code == 422
    assert [(one["field"], one["reason"]) for one in refused.json()["errors"]] == [
        ("split.0.to.queue_id", "calls would go round for ever: help -> late -> help"),
        ("split.2.to.site_id", "there is no site nowhere"),
        ("split.1.to.name", "the directory of tenant kettle has no number nobody"),
        ("split", "the percentages come to 90, not to 100"),
    ]
    await routing.put("tenants/kettle", {**body, "directory": {"partner": "+33639980003"}})

    async def renumbered() -> dict[str, Any] | None:
        call_id = (await routing.post("calls", {"queue_id": "help"}))["call_id"]

        async def settled() -> dict[str, Any] | None:
            answer = await routing.operator.get(f"/v1/calls/{call_id}")
            return answer.json() if answer.status_code == 200 else None

        view = await eventually(settled)
        return view if view is not None and view["transferred_to"] == "+33639980003" else None

    assert await eventually(renumbered) is not None
