"""When a lead may be dialled, and what an outcome makes of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from common.events.dialer import AttemptOutcome
from common.hours import WEEKDAYS, parse
from dialer.domain.lead import (
    Allowed,
    CampaignRules,
    CampaignState,
    Done,
    Exhausted,
    InProgress,
    Lead,
    Pending,
    Refused,
    after_attempt,
    dialled,
    may_dial,
)

MONDAY_NOON = datetime(2026, 11, 23, 10, tzinfo=UTC)
"""11:00 in Paris."""
RULES = CampaignRules(
    state="running",
    calling_hours=parse({"week": {day: [["10:00", "13:00"]] for day in WEEKDAYS[:5]}}),
    max_attempts=2,
    retry_after=timedelta(minutes=60),
    rest_after_abandon=timedelta(hours=72),
)
LEAD = Lead(Pending(MONDAY_NOON - timedelta(days=1)), 0, ("Europe/Paris",))


def test_a_due_lead_inside_its_hours_may_be_dialled() -> None:
    assert may_dial(LEAD, RULES, MONDAY_NOON) == Allowed()


def test_every_refusal_names_its_rule_and_until_when() -> None:
    assert may_dial(replace(LEAD, state=Done()), RULES, MONDAY_NOON) == Refused("done", None)
    assert may_dial(replace(LEAD, state=Exhausted()), RULES, MONDAY_NOON) == Refused("max_attempts", None)
    assert may_dial(replace(LEAD, state=InProgress()), RULES, MONDAY_NOON) == Refused("in_progress", None)
    assert may_dial(replace(LEAD, attempts=2), RULES, MONDAY_NOON) == Refused("max_attempts", None)
    states: list[CampaignState] = ["draft", "paused", "completed"]
    for state in states:
        assert may_dial(LEAD, replace(RULES, state=state), MONDAY_NOON) == Refused("campaign_paused", None)
    soon = MONDAY_NOON + timedelta(minutes=30)
    assert may_dial(replace(LEAD, state=Pending(soon)), RULES, MONDAY_NOON) == Refused("retry_after", soon)
    evening = MONDAY_NOON + timedelta(hours=8)
    tomorrow = datetime(2026, 11, 24, 9, tzinfo=UTC)
    assert may_dial(replace(LEAD, state=Pending(evening)), RULES, MONDAY_NOON) == Refused("retry_after", tomorrow)
    assert may_dial(LEAD, RULES, evening) == Refused("calling_hours", tomorrow)


def test_the_time_zone_is_the_leads() -> None:
    assert may_dial(replace(LEAD, zones=("America/New_York",)), RULES, MONDAY_NOON) == Refused(
        "calling_hours", datetime(2026, 11, 23, 15, tzinfo=UTC)
    )


@pytest.mark.parametrize("outcome", get_args(AttemptOutcome))
def test_an_outcome_frees_the_lead_by_rule(outcome: AttemptOutcome) -> None:
    first = after_attempt(dialled(LEAD), outcome, RULES, MONDAY_NOON)
    second = after_attempt(dialled(first), outcome, RULES, MONDAY_NOON)
    if outcome == "answered":
        assert first.state == Done()
    else:
        rest = RULES.rest_after_abandon if outcome == "abandoned" else RULES.retry_after
        assert first.state == Pending(MONDAY_NOON + rest)
        assert second.state == Exhausted()
    assert first.attempts == 1


def test_a_holiday_and_an_exception_refuse_by_their_own_rule() -> None:
    week = {day: [["10:00", "13:00"]] for day in WEEKDAYS}
    hours = parse({"week": week, "holidays": "FR-57", "exceptions": {"2026-12-28": []}})
    rules = replace(RULES, calling_hours=hours)

    def noon(day: int) -> datetime:
        return datetime(2026, 12, day, 11, 0, tzinfo=UTC)

    lead = replace(LEAD, state=Pending(noon(1)))
    assert may_dial(lead, rules, noon(24)) == Allowed()
    after = datetime(2026, 12, 27, 9, 0, tzinfo=UTC)
    assert may_dial(lead, rules, noon(25)) == Refused("holiday", after, "Noël")
    assert may_dial(lead, rules, noon(26)) == Refused("holiday", after, "Saint-Étienne")
    assert may_dial(lead, rules, noon(28)) == Refused("exception", datetime(2026, 12, 29, 9, 0, tzinfo=UTC))
