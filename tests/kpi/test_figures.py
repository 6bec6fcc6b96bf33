"""Every figure of the definitions, against examples counted by hand."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from common.errors import InvalidEvent
from common.events import (
    AttemptEnded,
    AttemptStarted,
    CallQueued,
    CaseCallLinked,
    CaseClosed,
    CaseOpened,
    CaseReopened,
    ChargeRecorded,
    ChargeReversed,
    Event,
)
from common.events.dialer import AttemptOutcome
from hypothesis import given
from hypothesis import strategies as st
from kpi.api.models import CaseFigures
from kpi.domain.agents import OCCUPANCY, UTILISATION
from kpi.domain.counts import CallCounts, CaseCounts, ChargeCounts, DialingCounts
from kpi.domain.figures import DEFINED, SERVICE_LEVELS, ServiceLevelFormula, evaluate
from kpi.domain.increments import Increments
from kpi.domain.sketch import RELATIVE_ACCURACY, bucket_of, quantile
from kpi.domain.time import interval_of, milliseconds, split

from .stories import NINE, Day, Story, handed_on, whole


def added(*events: Event) -> Increments:
    increments = Increments()
    for event in events:
        increments.add(event)
    return increments


def ten_calls() -> list[Event]:
    """Of one queue with 20 s and 5 s:

    answered after 2, 10, 20 and 30 s; abandoned after 3 (short), 12 and 40 s; overflowed after 60 s; two wait still.
    """
    stories = [
        whole("c-1", wait=2, talk=100, wrap_up=20),
        whole("c-2", wait=10, talk=200, wrap_up=0),
        Story("c-3").answered(20).ended(50),
        Story("c-4").answered(30),
        Story("c-5").abandoned(3),
        Story("c-6").abandoned(12),
        Story("c-7").abandoned(40),
        Story("c-8").overflowed(60, "kettle-late"),
        Story("c-9"),
        Story("c-10").missed(15),
    ]
    return [event for story in stories for event in story.events]


def row(queue: str, start: datetime = NINE, *, events: list[Event] | None = None) -> tuple[CallCounts, dict[int, int]]:
    increments = added(*(events or ten_calls()))
    waits = {key[3]: calls for key, calls in increments.waits.items() if key[1:3] == (queue, start)}
    return increments.intervals()[("kettle", queue, start)], waits


def test_counts_of_a_queue() -> None:
    counts, _ = row("kettle-help")
    assert counts == CallCounts(
        offered=10,
        answered=4,
        abandoned=3,
        short_abandoned=1,
        overflowed_out=1,
        answered_within=3,
        abandoned_within=2,
        wait_answered_ms=62_000,
        handled=2,
        talk_ms=300_000,
        wrap_up_ms=20_000,
        max_wait_ms=60_000,
    )
    assert counts.waiting == 2


def test_the_tenant_counts_an_overflowed_call_once() -> None:
    events = [*ten_calls(), *Story("c-11").overflowed(60, "kettle-late").answered(5).events]
    queue, _ = row("kettle-help", events=events)
    late, _ = row("kettle-late", events=events)
    tenant, _ = row("", events=events)
    assert (queue.offered, late.offered, tenant.offered) == (11, 2, 11)
    assert (late.answered, late.answered_within, late.wait_answered_ms) == (1, 1, 5_000)
    assert (tenant.answered, tenant.answered_within, tenant.wait_answered_ms) == (5, 3, 62_000 + 65_000)
    assert (queue.overflowed_out, tenant.overflowed_out) == (2, 0)
    assert tenant.waiting == queue.waiting + late.waiting


def test_a_caller_who_is_called_back_counts_once_and_only_the_time_on_the_line_is_a_wait() -> None:
    """Answered when they are reached, neither fast nor abandoned before that; the service level is not bettered."""
    stories = [
        Story("c-1").held(10),
        Story("c-2").held(10).unreached(100).called_back(300).ended(60).wrapped_up(5),
        Story("c-3").held(10).unreached(100).given_up(300),
        Story("c-4").held(2).called_back(3).ended(60).wrapped_up(5),
    ]
    events = [event for story in stories for event in story.events]
    for queue in ("kettle-help", ""):
        counts, _ = row(queue, events=events)
        assert (counts.offered, counts.answered, counts.abandoned, counts.not_called_back) == (4, 2, 0, 1)
        assert counts.waiting == 1, "still to be called back"
        assert counts.wait_answered_ms == 12_000
        assert counts.answered_within == 1, "c-4, answered 10 s after it came"
        assert counts.max_wait_ms == 10_000
        assert evaluate(counts, {}, "of_offered")["abandonment_rate"] == 0


def test_an_answering_machine_is_nobody_who_was_lost() -> None:
    stories = [Story("c-1").machine(1), Story("c-2").answered(1).ended(60).wrapped_up(5), Story("c-3").machine(9)]
    events = [event for story in stories for event in story.events]
    for queue in ("kettle-help", ""):
        counts, _ = row(queue, events=events)
        assert (counts.offered, counts.answered, counts.machines) == (3, 1, 2)
        assert (counts.abandoned, counts.short_abandoned, counts.abandoned_within, counts.waiting) == (0, 0, 0, 0)
        assert evaluate(counts, {}, "of_offered")["abandonment_rate"] == 0


def test_rates_and_times() -> None:
    counts, waits = row("kettle-help")
    figures = evaluate(counts, waits, "of_offered")
    assert figures["offered_less_short"] == 9
    assert figures["abandonment_rate"] == pytest.approx(2 / 9)
    assert figures["service_level"] == pytest.approx(3 / 9)
    assert figures["asa_seconds"] == pytest.approx(62 / 4)
    assert figures["aht_seconds"] == pytest.approx(320 / 2)
    # Waits that are over: 2 3 10 12 20 30 40 60. Lower quantiles of ranks 3, 6 and 6 of 0…7.
    assert figures["wait_p50_seconds"] == pytest.approx(12, rel=0.01)
    assert figures["wait_p90_seconds"] == pytest.approx(40, rel=0.01)
    assert figures["wait_p99_seconds"] == pytest.approx(40, rel=0.01)
    assert figures["longest_wait_seconds"] == 60


@pytest.mark.parametrize(
    ("formula", "wanted"),
    [
        ("of_offered", 3 / (10 - 1)),
        ("of_answered", 3 / 4),
        ("of_answered_and_abandoned", (3 + 2) / (4 + 3)),
        ("of_answered_and_abandoned_less_short", 3 / (4 + 3 - 1)),
    ],
)
def test_service_level_by_each_formula(formula: ServiceLevelFormula, wanted: float) -> None:
    counts, waits = row("kettle-help")
    assert evaluate(counts, waits, formula)["service_level"] == pytest.approx(wanted)


def test_nothing_divided_by_nothing_has_no_value() -> None:
    for formula in SERVICE_LEVELS:
        figures = evaluate(CallCounts(), {}, formula)
        assert figures.pop("offered_less_short") == 0
        assert set(figures.values()) == {None}
    only_short, _ = row("kettle-help", events=Story("c").abandoned(1).events)
    assert evaluate(only_short, {}, "of_offered")["abandonment_rate"] is None


def test_thresholds_are_exact() -> None:
    on_time, _ = row("kettle-help", events=Story("c").answered(20.0).events)
    late, _ = row("kettle-help", events=Story("c").answered(20.000001).events)
    not_short, _ = row("kettle-help", events=Story("c").abandoned(5.0).events)
    assert (on_time.answered_within, late.answered_within, not_short.short_abandoned) == (1, 0, 0)


def test_every_figure_says_how_it_is_made() -> None:
    for figure in (*DEFINED, *SERVICE_LEVELS.values()):
        assert figure.title
        assert figure.formula
        assert figure.exclusions
        assert figure.source
    assert SERVICE_LEVELS["of_offered"].formula == "answered_within / (offered − short_abandoned)"


def test_a_call_belongs_to_the_interval_in_which_it_was_offered() -> None:
    late = NINE + timedelta(minutes=14, seconds=59)
    story = Story("c", at=late).overflowed(30, "kettle-late").answered(3600).ended(60).wrapped_up(5)
    intervals = added(*story.events).intervals()
    next_quarter = NINE + timedelta(minutes=15)
    assert set(intervals) == {
        ("kettle", "kettle-help", NINE),
        ("kettle", "kettle-late", next_quarter),
        ("kettle", "", NINE),
    }
    assert intervals[("kettle", "", NINE)].handled == 1
    assert intervals[("kettle", "kettle-late", next_quarter)].handled == 1
    assert intervals[("kettle", "kettle-help", NINE)].handled == 0


def test_agents_time_belongs_to_the_interval_in_which_it_was_spent() -> None:
    day = Day(at=NINE + timedelta(minutes=10)).becomes("busy", 240).becomes("wrap_up", 1200).becomes("break", 60)
    time = added(*day.becomes("logged_out", 100).events).agent_time
    first, second, third = (time[("floor", "ann", NINE + timedelta(minutes=15 * n))] for n in range(3))
    assert (first.available_ms, first.busy_ms) == (240_000, 60_000)
    assert second.busy_ms == 900_000
    assert (third.busy_ms, third.wrap_up_ms, third.break_ms) == (240_000, 60_000, 100_000)
    assert OCCUPANCY.value(first) == pytest.approx(60 / 300)
    assert OCCUPANCY.value(third) == 1.0
    assert UTILISATION.value(third) == pytest.approx(300 / 400)


def test_a_tenant_has_the_handling_time_of_its_calls() -> None:
    events = whole("c", wait=10, talk=1000, wrap_up=30).events
    time = added(*events).agent_time
    first, second = time[("kettle", "", NINE)], time[("kettle", "", NINE + timedelta(minutes=15))]
    assert first.busy_ms + second.busy_ms == 1_000_000
    assert first.busy_ms == 890_000
    assert second.wrap_up_ms == 30_000


def test_a_caller_whom_agents_hand_on_counts_once_for_the_tenant() -> None:
    """Level 1 answers at 9:14 and hands the caller on; level 2 answers at 9:18; level 3 nobody."""
    one = Story("c-1", at=NINE + timedelta(minutes=14)).answered(10).ended(200).wrapped_up(30)
    two = handed_on(one, "c-2", "kettle-level-2").answered(40).ended(300).wrapped_up(20)
    three = handed_on(two, "c-3", "kettle-level-3").abandoned(70)
    intervals = added(*one.events, *two.events, *three.events).intervals()
    quarter = NINE + timedelta(minutes=15)
    tenant = {key: counts for key, counts in intervals.items() if key[1] == ""}
    assert tenant == {
        ("kettle", "", NINE): CallCounts(
            offered=1,
            answered=1,
            answered_within=1,
            wait_answered_ms=10_000,
            handled=1,
            talk_ms=500_000,
            wrap_up_ms=50_000,
            max_wait_ms=10_000,
        )
    }
    first = intervals["kettle", "kettle-help", NINE]
    assert (first.offered, first.answered, first.handled, first.talk_ms) == (1, 1, 1, 200_000)
    second = intervals["kettle", "kettle-level-2", quarter]
    assert (second.offered, second.answered, second.wait_answered_ms, second.talk_ms) == (1, 1, 40_000, 300_000)
    third = intervals["kettle", "kettle-level-3", quarter]
    assert (third.offered, third.answered, third.abandoned, third.max_wait_ms) == (1, 0, 1, 70_000)


def test_a_call_handed_on_by_an_older_release_adds_its_time_where_it_was_offered() -> None:
    one = Story("c-1").answered(10).ended(2000)
    two = handed_on(one, "c-2", "kettle-level-2").answered(40).ended(300).wrapped_up(20)
    old = [msgspec.structs.replace(event, first_offered_at=None) for event in two.events]
    tenant = {key[2]: counts for key, counts in added(*one.events, *old).intervals().items() if key[1] == ""}
    assert tenant[NINE + timedelta(minutes=30)] == CallCounts(talk_ms=300_000, wrap_up_ms=20_000)
    assert (tenant[NINE].offered, tenant[NINE].answered) == (1, 1)


def attempt(number: int, outcome: AttemptOutcome | None = None) -> Event:
    common: dict[str, Any] = {
        "tenant_id": "kettle",
        "campaign_id": "spring",
        "queue_id": "kettle-out",
        "lead_id": f"lead-{number}",
        "attempt_id": f"attempt-{number}",
        "attempt": 1,
        "phone": "+33100000001",
        "started_at": NINE,
        "occurred_at": NINE + timedelta(minutes=20),
    }
    return AttemptEnded(**common, outcome=outcome, ring_seconds=7.5) if outcome else AttemptStarted(**common)


def test_attempts_count_when_they_started() -> None:
    outcomes: list[AttemptOutcome] = ["answered", "answered", "answered", "abandoned", "busy", "no_answer", "machine"]
    events = [attempt(n) for n in range(8)] + [attempt(n, outcome) for n, outcome in enumerate(outcomes)]
    assert added(*events).dialing == {
        ("kettle", "spring", NINE): DialingCounts(
            attempts=8, answered=3, abandoned=1, busy=1, no_answer=1, machine=1, ring_ms=52_500
        )
    }


def case(number: int, cls: Callable[..., Event], minutes: int, **more: Any) -> Event:
    return cls(
        **{
            "tenant_id": "kettle",
            "case_id": f"case-{number}",
            "contact_id": "person",
            "queue_id": "kettle-help",
            "sequence": 1,
            "opened_at": NINE,
            "occurred_at": NINE + timedelta(minutes=minutes),
            "calls": 3,
            **more,
        }
    )


def charge(number: int, cls: Callable[..., Event], amount: str, **more: Any) -> Event:
    return cls(
        **{
            "tenant_id": "kettle",
            "charge_id": f"charge-{number}",
            "case_id": f"case-{number}",
            "charge_code": "case",
            "version": 1,
            "amount": Decimal(amount),
            "currency": "EUR",
            "tariff_version": 1,
            "month": "2026-11",
            "occurred_at": NINE,
            **more,
        }
    )


def test_cases_and_money() -> None:
    closed_at = NINE + timedelta(minutes=10)
    increments = added(
        case(1, CaseOpened, 0),
        case(2, CaseOpened, 1),
        case(1, CaseClosed, 10, closing=1, closed_at=closed_at, disposition="settled"),
        case(1, CaseReopened, 16, closing=1, closed_at=closed_at, reopened_at=NINE + timedelta(minutes=16)),
        charge(1, ChargeRecorded, "4.20"),
        charge(2, ChargeRecorded, "4.20"),
        charge(3, ChargeReversed, "-4.20", reverses="charge-1"),
    )
    assert increments.cases == {
        ("kettle", "kettle-help", NINE): CaseCounts(opened=2, closed=1, closed_calls=3, open_ms=600_000),
        ("kettle", "kettle-help", NINE + timedelta(minutes=15)): CaseCounts(reopened=1),
    }
    assert increments.charges == {("kettle", "EUR", NINE): ChargeCounts(2, 1, Decimal("4.20"))}


def test_calls_of_cases_count_once_wherever_agents_hand_them_on() -> None:
    closed = {"closing": 1, "closed_at": NINE + timedelta(minutes=10), "disposition": "settled"}
    increments = added(
        case(1, CaseOpened, 0, calls=1),
        case(1, CaseCallLinked, 1, sequence=2, calls=2, handed_on=1, another_part=True),
        case(1, CaseCallLinked, 2, sequence=3, calls=3, handed_on=1),
        case(1, CaseClosed, 10, sequence=4, calls=3, handed_on=1, **closed),
    )
    (counts,) = increments.cases.values()
    assert (counts.opened, counts.calls_linked, counts.closed_calls) == (1, 1, 2)
    assert CaseFigures.of(counts).calls_per_closed_case == 2


@pytest.mark.parametrize(
    "event",
    [
        case(1, CaseClosed, 1, closing=1, closed_at=NINE - timedelta(hours=1), disposition="settled"),
        charge(1, ChargeRecorded, "NaN"),
        charge(1, ChargeRecorded, "1e12"),
        charge(1, ChargeRecorded, "1", occurred_at=NINE.replace(tzinfo=None)),
        charge(1, ChargeRecorded, "1", occurred_at=NINE.replace(year=9999)),
    ],
)
def test_an_event_that_contradicts_itself_is_invalid(event: Event) -> None:
    with pytest.raises(InvalidEvent):
        added(event)


def test_a_queued_call_without_its_time_is_invalid() -> None:
    story = Story("c")
    story.queued_at = None
    story.tell(CallQueued)
    with pytest.raises(InvalidEvent):
        added(*story.events)


@pytest.mark.parametrize("seconds", [-0.001, float("inf"), float("nan"), 1e9])
def test_an_absurd_duration_is_invalid(seconds: float) -> None:
    with pytest.raises(InvalidEvent):
        milliseconds(seconds)


def test_milliseconds_round_half_up_from_microseconds() -> None:
    assert [milliseconds(s) for s in (0.0, 0.000499, 0.0005, 1.0015, 20.0)] == [0, 0, 1, 1002, 20_000]


def test_intervals_are_cut_in_utc_whatever_the_offset() -> None:
    odd = timezone(timedelta(minutes=7))
    assert interval_of((NINE + timedelta(minutes=16)).astimezone(odd)) == NINE + timedelta(minutes=15)


@given(st.integers(0, 4_000_000_000_000_000), st.integers(0, 100_000_000))
def test_split_time_adds_up_and_stays_in_its_intervals(microseconds: int, duration: int) -> None:
    start = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    parts = list(split(start, duration))
    assert sum(part for _, part in parts) == duration
    assert all(0 < part <= 900_000 for _, part in parts)
    assert [interval for interval, _ in parts] == sorted({interval_of(interval) for interval, _ in parts})


@given(st.lists(st.integers(0, 10_000_000), min_size=1, max_size=300), st.sampled_from([0, 0.5, 0.9, 0.99, 1]))
def test_quantiles_are_within_one_percent(values: list[int], q: float) -> None:
    counts: dict[int, int] = {}
    for value in values:
        counts[bucket_of(value)] = counts.get(bucket_of(value), 0) + 1
    exact = sorted(values)[int(q * (len(values) - 1))]
    found = quantile(counts, q)
    assert found is not None
    assert abs(found - exact) <= exact * RELATIVE_ACCURACY * (1 + 1e-9)


def test_sketches_merge_by_addition() -> None:
    generator = random.Random(7)
    values = [int(generator.expovariate(1 / 30_000)) for _ in range(5_000)]
    counts: dict[int, int] = {}
    for part in (values[:1_000], values[1_000:]):
        for value in part:
            counts[bucket_of(value)] = counts.get(bucket_of(value), 0) + 1
    for q in (0.5, 0.9, 0.99):
        exact = sorted(values)[int(q * (len(values) - 1))]
        assert quantile(counts, q) == pytest.approx(exact, rel=0.0101)
    assert quantile({}, 0.5) is None
