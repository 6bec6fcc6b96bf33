"""Leads and the rules on when one may be dialled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, assert_never
from uuid import UUID

from common.events.dialer import AttemptOutcome
from common.hours import Hours

from dialer.domain.hours import closed_by, next_open
from dialer.domain.number import FREE, Number, NumberRule

CampaignState = Literal["draft", "running", "paused", "completed"]

HoursRule = Literal["calling_hours", "exception", "holiday"]
OwnRule = Literal["done", "max_attempts", "in_progress", "removed", "campaign_paused", "retry_after"]
Rule = OwnRule | HoursRule | NumberRule
"""Which rule refused a dial. `campaign_paused` also stands for a campaign not yet started or already completed.

Of the hours, by the date where the person may be: `calling_hours` the week, `exception` what the campaign says of that
date, `holiday` a public holiday."""


@dataclass(frozen=True, slots=True)
class CampaignRules:
    """What a campaign allows."""

    state: CampaignState
    calling_hours: Hours
    """Without a time zone: by the clock of each lead."""
    max_attempts: int
    retry_after: timedelta
    """Rest after a dial that reached nobody: busy, no answer, failed, machine."""
    rest_after_abandon: timedelta
    """Rest after the person answered and no agent was there in time."""


@dataclass(frozen=True, slots=True)
class Pending:
    """May be dialled from `due_at` on."""

    due_at: datetime


@dataclass(frozen=True, slots=True)
class InProgress:
    """An attempt is live."""


@dataclass(frozen=True, slots=True)
class Done:
    """An agent spoke with the person. Final."""


@dataclass(frozen=True, slots=True)
class Exhausted:
    """All attempts are used up. Final."""


@dataclass(frozen=True, slots=True)
class Barred:
    """The number is on the tenant's do-not-call list. Pending once it is taken off the list."""


@dataclass(frozen=True, slots=True)
class Removed:
    """Taken off the list by somebody. Final: kept is the number alone, so that no later import brings it back."""


LeadState = Pending | InProgress | Done | Exhausted | Barred | Removed


@dataclass(frozen=True, slots=True)
class Lead:
    """A contact on a campaign's list. `attempts` counts dials started; `zones` as from `zones_of`."""

    state: LeadState
    attempts: int
    zones: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListedLead:
    """A lead with what its file said of it. `phone` is E.164."""

    lead_id: UUID
    campaign_id: str
    phone: str
    name: str | None
    external_id: str | None
    last_outcome: AttemptOutcome | None
    created_at: datetime
    version: int
    """Counts the corrections."""
    lead: Lead


@dataclass(frozen=True, slots=True)
class Allowed:
    """The lead may be dialled now."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The lead may not be dialled now, by `rule`; `until` is when it may be, None when no time brings it about."""

    rule: Rule
    until: datetime | None
    holiday: str | None = None
    """Its name, in the language of the country, where `rule` is `holiday`."""


def may_dial(lead: Lead, campaign: CampaignRules, now: datetime, number: Number = FREE) -> Allowed | Refused:
    """Whether the lead may be dialled at `now` (UTC), else the first rule that refuses. `number` is the lead's."""
    match lead.state:
        case Done():
            return Refused("done", None)
        case Exhausted():
            return Refused("max_attempts", None)
        case InProgress():
            return Refused("in_progress", None)
        case Barred():
            return Refused("do_not_call", None)
        case Removed():
            return Refused("removed", None)
        case Pending(due_at):
            if lead.attempts >= campaign.max_attempts:
                return Refused("max_attempts", None)
            if number.barred:
                return Refused("do_not_call", None)
            if campaign.state != "running":
                return Refused("campaign_paused", None)
            rule = number.refusal(now)
            if rule is not None:
                rests_until = number.rests_until if rule == "rest_after_call" else None
                until = None if rests_until is None else max(rests_until, due_at)
                return Refused(rule, until and next_open(campaign.calling_hours, lead.zones, until))
            if due_at > now:
                return Refused("retry_after", next_open(campaign.calling_hours, lead.zones, due_at))
            closed = closed_by(campaign.calling_hours, lead.zones, now)
            if closed is not None:
                by: HoursRule = "calling_hours" if closed.rule == "week" else closed.rule
                return Refused(by, next_open(campaign.calling_hours, lead.zones, now), closed.holiday)
            return Allowed()
        case _ as unreachable:
            assert_never(unreachable)


def dialled(lead: Lead) -> Lead:
    """The lead with an attempt begun."""
    return replace(lead, state=InProgress(), attempts=lead.attempts + 1)


def after_attempt(lead: Lead, outcome: AttemptOutcome, campaign: CampaignRules, now: datetime) -> Lead:
    """The lead once its live attempt has ended at `now` with `outcome`; one that was removed meanwhile stays so."""
    if isinstance(lead.state, Removed):
        return lead
    match outcome:
        case "answered":
            return replace(lead, state=Done())
        case "abandoned":
            rest = campaign.rest_after_abandon
        case "busy" | "no_answer" | "failed" | "machine" | "refused":
            rest = campaign.retry_after
        case _ as unreachable:
            assert_never(unreachable)
    if lead.attempts >= campaign.max_attempts:
        return replace(lead, state=Exhausted())
    return replace(lead, state=Pending(now + rest))
