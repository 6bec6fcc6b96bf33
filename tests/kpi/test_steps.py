"""Where hours and days begin and end, in every time zone and around every change of its clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from common.time_zones import is_time_zone
from hypothesis import given, settings
from hypothesis import strategies as st
from kpi.domain.steps import Step, cuts, end_of, start_of
from kpi.domain.time import INTERVAL, interval_of

from .zones import ZONES, distinct_transitions

STEPS: tuple[Step, ...] = get_args(Step)
MICROSECOND = timedelta(microseconds=1)

TABLE: list[tuple[str, Step, str, str, str]] = [
    # zone, step, an instant, and the local start and end of the step that holds it
    ("Asia/Kolkata", "1h", "2026-11-21T03:45Z", "2026-11-21T09:00+05:30", "2026-11-21T10:00+05:30"),
    ("Asia/Kolkata", "15m", "2026-11-21T03:45Z", "2026-11-21T09:15+05:30", "2026-11-21T09:30+05:30"),
    ("Asia/Kathmandu", "1h", "2026-11-21T03:45Z", "2026-11-21T09:00+05:45", "2026-11-21T10:00+05:45"),
    ("Asia/Kathmandu", "1d", "2026-11-21T18:20Z", "2026-11-22T00:00+05:45", "2026-11-23T00:00+05:45"),
    ("America/St_Johns", "1h", "2026-11-21T03:29Z", "2026-11-20T23:00-03:30", "2026-11-21T00:00-03:30"),
    ("Pacific/Chatham", "1h", "2026-11-21T10:15Z", "2026-11-22T00:00+13:45", "2026-11-22T01:00+13:45"),
    ("Pacific/Marquesas", "1d", "2026-11-21T09:29Z", "2026-11-20T00:00-09:30", "2026-11-21T00:00-09:30"),
    # The clock goes on by half an hour at two, and back by half an hour at two.
    ("Australia/Lord_Howe", "1h", "2026-10-03T15:30Z", "2026-10-04T02:30+11:00", "2026-10-04T03:00+11:00"),
    ("Australia/Lord_Howe", "1h", "2026-04-04T14:45Z", "2026-04-05T01:00+11:00", "2026-04-05T01:30+10:30"),
    ("Australia/Lord_Howe", "1h", "2026-04-04T15:15Z", "2026-04-05T01:30+10:30", "2026-04-05T02:00+10:30"),
    ("Australia/Lord_Howe", "1d", "2026-04-04T15:15Z", "2026-04-05T00:00+11:00", "2026-04-06T00:00+10:30"),
    # The hour after two comes twice.
    ("Europe/Paris", "1h", "2026-10-25T00:30Z", "2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00"),
    ("Europe/Paris", "1h", "2026-10-25T01:30Z", "2026-10-25T02:00+01:00", "2026-10-25T03:00+01:00"),
    # Midnight comes twice: at one the clock goes back to nought.
    ("Atlantic/Azores", "1d", "2026-10-25T00:30Z", "2026-10-25T00:00+00:00", "2026-10-26T00:00-01:00"),
    ("Atlantic/Azores", "1d", "2026-10-25T01:30Z", "2026-10-25T00:00+00:00", "2026-10-26T00:00-01:00"),
    ("Atlantic/Azores", "1d", "2026-10-24T23:30Z", "2026-10-24T00:00+00:00", "2026-10-25T00:00+00:00"),
    ("America/Havana", "1d", "2026-11-01T05:30Z", "2026-11-01T00:00-04:00", "2026-11-02T00:00-05:00"),
    ("Asia/Beirut", "1d", "2026-10-24T21:30Z", "2026-10-24T00:00+03:00", "2026-10-25T00:00+02:00"),
    # At midnight the clock goes back to eleven.
    ("America/Santiago", "1d", "2026-04-05T03:30Z", "2026-04-04T00:00-03:00", "2026-04-05T00:00-04:00"),
    ("Africa/Cairo", "1d", "2026-10-29T21:30Z", "2026-10-29T00:00+03:00", "2026-10-30T00:00+02:00"),
    # A minute after midnight the clock goes back to the day before: the day has begun all the same.
    ("America/St_Johns", "1d", "2006-10-29T03:00Z", "2006-10-29T00:00-02:30", "2006-10-30T00:00-03:30"),
    # There is no midnight: the day begins at one.
    ("America/Santiago", "1d", "2026-09-06T04:00Z", "2026-09-06T01:00-03:00", "2026-09-07T00:00-03:00"),
    ("Africa/Cairo", "1d", "2026-04-23T22:00Z", "2026-04-24T01:00+03:00", "2026-04-25T00:00+03:00"),
    ("Asia/Beirut", "1d", "2026-03-28T21:59Z", "2026-03-28T00:00+02:00", "2026-03-29T01:00+03:00"),
    # Samoa had no 30 December 2011.
    ("Pacific/Apia", "1d", "2011-12-30T09:59Z", "2011-12-29T00:00-10:00", "2011-12-31T00:00+14:00"),
    ("Pacific/Apia", "1d", "2011-12-30T10:00Z", "2011-12-31T00:00+14:00", "2012-01-01T00:00+14:00"),
]


@pytest.mark.parametrize(("name", "step", "when", "start", "end"), TABLE)
def test_the_step_that_holds_an_instant(name: str, step: Step, when: str, start: str, end: str) -> None:
    zone = ZoneInfo(name)
    begins = start_of(step, zone, datetime.fromisoformat(when))
    shown = [at.astimezone(zone).isoformat(timespec="minutes") for at in (begins, end_of(step, zone, begins))]
    assert shown == [start, end]


def expected(step: Step, zone: ZoneInfo, since: datetime, until: datetime) -> list[datetime]:
    """The same by reading the clock in each quarter of an hour."""
    found: list[datetime] = []
    label: object = None
    latest = date.min
    quarter = since
    while quarter < until:
        local = quarter.astimezone(zone)
        latest = max(latest, local.date())
        now = {"15m": quarter, "1h": (local.date(), local.hour, local.utcoffset()), "1d": latest}[step]
        if now != label:
            found.append(quarter)
        label = now
        quarter += INTERVAL
    return found[1:]


def test_every_zone_is_partitioned_around_every_kind_of_change() -> None:
    changes = distinct_transitions()
    assert len(changes) > 200
    for zone, change in changes:
        since, until = interval_of(change) - timedelta(hours=52), interval_of(change) + timedelta(hours=52)
        for step in STEPS:
            bounds = cuts(step, zone, since, until)
            assert bounds[0] <= since < bounds[1], (zone, change)
            assert bounds[-2] < until <= bounds[-1], (zone, change)
            wanted = expected(step, zone, since - timedelta(hours=26), until)
            assert [at for at in bounds if since < at < until] == [at for at in wanted if since < at], (zone, change)


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from(sorted(ZONES)),
    st.sampled_from(STEPS),
    st.timedeltas(timedelta(0), timedelta(days=83_000)),
)
def test_every_instant_is_in_exactly_one_step(name: str, step: Step, since_then: timedelta) -> None:
    zone, when = ZoneInfo(name), datetime(1971, 2, 1, tzinfo=UTC) + since_then
    start = start_of(step, zone, when)
    end = end_of(step, zone, start)
    assert start <= when < end
    assert start_of(step, zone, start) == start == start_of(step, zone, end - MICROSECOND)
    assert start_of(step, zone, end) == end
    bounds = cuts(step, zone, when, when + timedelta(days=3))
    assert bounds[:2] == [start, end]
    assert all(end_of(step, zone, one) == next_one for one, next_one in pairwise(bounds))


def test_every_zone_that_a_tenant_may_have_is_tried() -> None:
    assert all(is_time_zone(name) for name in ZONES)
    assert len(ZONES) > 400
