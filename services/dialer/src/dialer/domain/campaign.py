"""A campaign: a list of leads that is dialled for one tenant on one queue.

It is a draft until it is started; it may be paused and started again; it is completed when no lead is left to dial,
and may be started again once new leads were imported.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from dialer.domain.lead import CampaignRules, CampaignState


@dataclass(frozen=True, slots=True)
class Tenant:
    """What dialer knows of a tenant. `region` (ISO 3166) reads national phone numbers; `allow_possible_numbers` takes
    those of ranges that no plan has yet; `rest_after_call` is how long no campaign dials a person after a call with the
    tenant."""

    tenant_id: str
    name: str
    time_zone: str
    region: str
    allow_possible_numbers: bool = False
    rest_after_call: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Campaign:
    """`ring_seconds`: how long an unanswered dial rings."""

    campaign_id: str
    tenant_id: str
    queue_id: str
    name: str
    ring_seconds: int
    rules: CampaignRules

    def moved_to(self, state: CampaignState) -> Campaign:
        """The same campaign in another state."""
        return replace(self, rules=replace(self.rules, state=state))
