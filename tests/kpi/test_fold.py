"""Whatever the order and the batches, the same rows; and the recount agrees, unless something is wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
from common.events import CallAbandoned, CallAnswered, CallEvent, Event
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kpi.domain.counts import WHOLE_TENANT, CallCounts, total
from kpi.domain.figures import DEFAULT_SERVICE_LEVEL, evaluate
from kpi.domain.increments import Increments
from kpi.domain.recount import Recount, compare, recount

from .stories import NINE, Story, handed_on, logs, named, whole

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def fold(events: Sequence[Event]) -> Increments:
    increments = Increments()
    for event in events:
        increments.add(event)
    return increments


def served(events: Sequence[Event]) -> list[dict[str, Any]]:
    """The rows as the API would show them, without database and HTTP in between."""
    increments = fold(events)
    rows = []
    for (tenant, queue, start), counts in increments.intervals().items():
        waits = {key[3]: calls for key, calls in increments.waits.items() if key[:3] == (tenant, queue, start)}
        rows.append(
            {
                "tenant_id": tenant,
                "queue_id": None if queue == WHOLE_TENANT else queue,
                "start": start.isoformat(),
                **msgspec.to_builtins(counts),
                "wait_answered_seconds": counts.wait_answered_ms / 1000,
                "talk_seconds": counts.talk_ms / 1000,
                "wrap_up_seconds": counts.wrap_up_ms / 1000,
                **evaluate(counts, waits, DEFAULT_SERVICE_LEVEL),
            }
        )
    return rows


@QUICK
@given(st.data())
def test_order_never_matters(data: st.DataObject) -> None:
    events = data.draw(logs())
    assert fold(data.draw(st.permutations(events))) == fold(events)


@QUICK
@given(logs(), st.data())
def test_batches_never_matter(events: list[Event], data: st.DataObject) -> None:
    """Rows grow by addition, as the upserts do it: cutting the log anywhere gives the same sums."""
    cut = data.draw(st.integers(0, len(events)))
    together, first, second = fold(events), fold(events[:cut]), fold(events[cut:])
    for name in ("calls", "agent_time"):
        summed = {
            key: total(
                type(counts)(), [part[key] for part in (getattr(first, name), getattr(second, name)) if key in part]
            )
            for key, counts in getattr(together, name).items()
        }
        assert summed == getattr(together, name)
    for bucket, number in together.waits.items():
        assert first.waits.get(bucket, 0) + second.waits.get(bucket, 0) == number


@QUICK
@given(logs())
def test_every_offered_call_is_in_exactly_one_place(events: list[Event]) -> None:
    increments = fold(events)
    for key, counts in increments.intervals().items():
        left = sum(calls for bucket, calls in increments.waits.items() if bucket[:3] == key)
        assert counts.waiting >= 0
        assert left == counts.offered - counts.waiting
        assert counts.short_abandoned <= counts.abandoned
        assert counts.answered_within <= counts.answered
        assert counts.handled <= counts.answered


@QUICK
@given(logs())
def test_a_tenant_counts_every_caller_once_and_all_the_time_that_agents_spent(events: list[Event]) -> None:
    intervals = fold(events).intervals()
    queues, tenants = CallCounts(), CallCounts()
    total(queues, (counts for (_, queue, _), counts in intervals.items() if queue != WHOLE_TENANT))
    total(tenants, (counts for (_, queue, _), counts in intervals.items() if queue == WHOLE_TENANT))
    first = {event.call_id for event in events if isinstance(event, CallEvent) and event.first_call_id is None}
    answered = {event.call_id for event in events if isinstance(event, CallAnswered)}
    assert tenants.offered == len(first)
    assert tenants.answered == len(answered & first)
    assert queues.answered == len(answered)
    assert (tenants.talk_ms, tenants.wrap_up_ms) == (queues.talk_ms, queues.wrap_up_ms)


@QUICK
@given(logs())
def test_the_newest_state_stays(events: list[Event]) -> None:
    increments = fold(list(reversed(events)))
    newest: dict[str, int] = {}
    for event in events:
        if isinstance(event, CallEvent):
            newest[event.call_id] = event.sequence
    assert {call_id: call.sequence for call_id, call in increments.live_calls.items()} == newest


@QUICK
@given(st.data())
def test_the_recount_agrees_however_often_events_are_repeated(data: st.DataObject) -> None:
    events = data.draw(logs())
    repeated = data.draw(st.permutations(events + data.draw(st.lists(st.sampled_from(events), max_size=10))))
    counted = recount(named(repeated))
    assert counted.repeated == len(repeated) - len(events)
    assert compare(counted, served(events)) == []


def some_log() -> list[Event]:
    stories = [
        whole("c-1", wait=12),
        whole("c-2", wait=25, at=NINE + timedelta(minutes=20)),
        Story("c-3").abandoned(2),
        Story("c-4").overflowed(30, "kettle-late").answered(4).ended(60).wrapped_up(10),
        first := Story("c-5", at=NINE + timedelta(minutes=14)).answered(3).ended(200).wrapped_up(5),
        second := handed_on(first, "c-6", "kettle-late").answered(40).ended(300).wrapped_up(7),
        handed_on(second, "c-7", "kettle-help").abandoned(70),
    ]
    return [event for story in stories for event in story.events]


def differences(events: Sequence[Event], counted: Sequence[Event]) -> list[tuple[str, str]]:
    found = compare(recount(named(events)), served(counted))
    return [(difference.row, difference.name) for difference in found]


def test_each_planted_error_in_a_row_is_found() -> None:
    counted = recount(named(some_log()))
    rows = served(some_log())
    assert compare(counted, rows) == []
    checked = [name for name in rows[0] if name in CallCounts.__slots__ and not name.endswith("_ms")]
    checked += ["wait_answered_seconds", "talk_seconds", "wrap_up_seconds", "longest_wait_seconds"]
    for number in range(len(rows)):
        for name in checked:
            wrong = json.loads(json.dumps(rows))
            wrong[number][name] = (wrong[number][name] or 0) + 1
            assert [difference.name for difference in compare(counted, wrong)] == [name]
        for name in ("wait_p50_seconds", "wait_p90_seconds", "wait_p99_seconds"):
            wrong = json.loads(json.dumps(rows))
            wrong[number][name] *= 1.03
            assert [difference.name for difference in compare(counted, wrong)] == [name]


def test_a_row_too_few_or_too_many_is_found() -> None:
    counted = recount(named(some_log()))
    rows = served(some_log())
    assert [difference.name for difference in compare(counted, rows[1:])] == ["row"]
    foreign = {**rows[0], "queue_id": "kettle-ghost"}
    assert [difference.name for difference in compare(counted, [*rows, foreign])] == ["row"]


def test_a_lost_event_is_found() -> None:
    events = some_log()
    for lost in range(len(events)):
        without = events[:lost] + events[lost + 1 :]
        if served(without) != served(events):
            assert differences(events, without)


def test_an_event_counted_twice_is_found() -> None:
    events = some_log()
    for event in events:
        if served([*events, event]) != served(events):
            assert differences(events, [*events, event])


def test_histories_that_cannot_be_are_differences() -> None:
    twice_answered = Story("c").answered(3)
    twice_answered.tell(
        CallAnswered, agent_id="bob", answered_at=twice_answered.at, wait_seconds=3.0, total_wait_seconds=3.0
    )
    both = Story("d").answered(3)
    both.tell(
        CallAbandoned,
        abandoned_at=both.at,
        wait_seconds=3.0,
        total_wait_seconds=3.0,
        short=True,
        reason="hung_up",
    )
    wrong_wait = Story("e").answered(3).events
    wrong_wait[-1] = msgspec.structs.replace(wrong_wait[-1], wait_seconds=9.0)
    first = whole("f", wait=3)
    wrong_first = handed_on(first, "g", "kettle-late").events
    wrong_first = [msgspec.structs.replace(event, first_offered_at=NINE - timedelta(hours=1)) for event in wrong_first]
    for events in (twice_answered.events, both.events, wrong_wait, [*first.events, *wrong_first]):
        assert isinstance(recount(named(events)), Recount)
        assert recount(named(events)).contradictions
