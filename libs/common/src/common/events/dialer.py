"""Events of dialer: `dialing` (key: lead id; campaign events: campaign id)."""

from __future__ import annotations

from typing import ClassVar, Literal

from common.events.base import Event, Moment

AttemptOutcome = Literal["answered", "abandoned", "busy", "no_answer", "failed", "machine", "refused"]


class CampaignEvent(Event, frozen=True, kw_only=True):
    TOPIC: ClassVar[str] = "dialing"

    campaign_id: str
    queue_id: str
    occurred_at: Moment

    @property
    def subject(self) -> str:
        return self.campaign_id


class CampaignStarted(CampaignEvent, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "campaign.started.v1"


class CampaignPaused(CampaignEvent, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "campaign.paused.v1"


class CampaignCompleted(CampaignEvent, frozen=True, kw_only=True):
    """No lead is left to dial."""

    TYPE: ClassVar[str] = "campaign.completed.v1"

    leads: int
    attempts: int


class AttemptEvent(Event, frozen=True, kw_only=True):
    TOPIC: ClassVar[str] = "dialing"

    campaign_id: str
    queue_id: str
    lead_id: str
    attempt_id: str
    attempt: int
    """1 for the first dial of the lead."""
    phone: str
    started_at: Moment
    occurred_at: Moment

    @property
    def subject(self) -> str:
        return self.lead_id


class AttemptStarted(AttemptEvent, frozen=True, kw_only=True):
    TYPE: ClassVar[str] = "attempt.started.v1"


class AttemptEnded(AttemptEvent, frozen=True, kw_only=True):
    """One dial is over.

    `answered`: a human spoke with an agent; `abandoned`: a human answered, and no agent within the limit.
    """

    TYPE: ClassVar[str] = "attempt.ended.v1"

    outcome: AttemptOutcome
    ring_seconds: float
    call_id: str | None = None
    disposition: str | None = None
