"""Campaigns."""

from __future__ import annotations

from datetime import timedelta

from common.errors import Invalid, NotFound
from common.fields import Line, Slug, Spans, TenantFilter, hours_of
from common.hours import MOST_EXCEPTIONS
from common.http import (
    Caller,
    Db,
    Model,
    Page,
    PageCursor,
    PageLimit,
    Router,
    answer_put,
    check_if_match,
    creates,
    decode_key,
    etag,
    page,
)
from fastapi import Request, Response
from pydantic import Field

from dialer.api.parameters import CampaignId, FloorReader, Now, Operator, Reader
from dialer.domain.campaign import Campaign
from dialer.domain.lead import CampaignRules, CampaignState
from dialer.service import campaigns as service
from dialer.service import pacing
from dialer.store import campaigns as store
from dialer.store import leads

router = Router(tags=["campaigns"])


class CampaignBody(Model):
    """What an operator says of a campaign."""

    tenant_id: Slug = Field(examples=["kettle"])
    queue_id: Slug = Field(examples=["kettle-sales"], description="Whose agents take the answered calls")
    name: Line = Field(examples=["Renewals"])
    calling_hours: dict[Line, Spans] = Field(
        max_length=7,
        description="Per weekday (mon … sun) spans in the lead's local time; a day not named is closed. 24:00 is the "
        "end of a day; 23:59 would be closed for a minute",
        examples=[{"mon": [["10:00", "13:00"], ["14:00", "20:00"]]}],
    )
    holidays: Line | None = Field(
        default=None,
        description="Nobody is called on the public holidays of this country or part of one, ISO 3166, by the date "
        "where the lead lives. A country whose parts have different ones is asked for the part, or for `-national`: "
        "those of the whole country alone",
        examples=["FR-57"],
    )
    exceptions: dict[Line, Spans] = Field(
        default={},
        max_length=MOST_EXCEPTIONS,
        description="By date: spans instead of what the day would have been, a holiday too; no span: closed",
        examples=[{"2026-12-24": [["10:00", "13:00"]], "2026-12-28": []}],
    )
    max_attempts: int = Field(default=4, ge=1, le=100, description="Dials per lead")
    retry_after_minutes: int = Field(default=120, ge=1, le=525_600, description="Rest after a dial that reached nobody")
    rest_after_abandon_minutes: int = Field(
        default=4320, ge=1, le=525_600, description="Rest after an answer for which no agent was free in time"
    )
    ring_seconds: int = Field(default=25, ge=5, le=120, description="How long an unanswered dial rings")


class CampaignView(CampaignBody):
    """A campaign; `version` counts its changes and is its ETag."""

    campaign_id: str
    state: CampaignState
    version: int


class LeadCounts(Model):
    """Leads by state."""

    pending: int = 0
    in_progress: int = 0
    done: int = 0
    exhausted: int = 0
    barred: int = Field(default=0, description="On the tenant's do-not-call list")
    removed: int = 0


class CampaignWhole(CampaignView):
    """With how far it has come."""

    leads: LeadCounts


class PaceView(Model):
    """What the dialer would do for the campaign at this moment, and why."""

    agents_logged_in: int
    idle_agents: int
    in_flight: int = Field(description="Dials that ring, or whose person waits for an agent")
    waiting_or_in_flight: int = Field(description="These and the inbound calls that wait in the same queue")
    may_start: int = Field(description="Further dials for which there are idle agents and leads")
    reason: str | None = Field(description="Why none may start")


@router.put("/campaigns/{campaign_id}", dependencies=[Operator], responses=creates(CampaignView))
async def put_campaign(
    campaign_id: CampaignId,
    body: CampaignBody,
    request: Request,
    response: Response,
    session: Db,
    caller: Caller,
    clock: Now,
) -> CampaignView:
    """Create (201, as a draft) or replace (200, keeping its state). Changes hold from the next dial on."""
    if caller.tenant_id not in (None, body.tenant_id):
        raise Invalid(f"there is no tenant {body.tenant_id!r}", field="tenant_id")
    campaign, version, created = await service.put_campaign(
        session, _campaign(campaign_id, body), lambda present: check_if_match(request, present), clock
    )
    answer_put(response, version, created=created)
    return _view(campaign, version)


@router.get("/campaigns/{campaign_id}", dependencies=[Reader])
async def get_campaign(campaign_id: CampaignId, response: Response, session: Db) -> CampaignWhole:
    """One campaign and the states of its leads."""
    campaign, version = await found(session, campaign_id)
    counts = await leads.counts(session, campaign_id)
    response.headers["etag"] = etag(version)
    return CampaignWhole(**_view(campaign, version).model_dump(), leads=LeadCounts(**counts))


@router.get("/campaigns", dependencies=[Reader])
async def list_campaigns(
    session: Db, tenant_id: TenantFilter = None, limit: PageLimit = 100, cursor: PageCursor = None
) -> Page[CampaignView]:
    """All campaigns by id."""
    listed = await store.campaigns(session, tenant_id, decode_key(cursor, str) or "", limit)
    return page([_view(*each) for each in listed], limit, lambda last: (last.campaign_id,))


@router.post("/campaigns/{campaign_id}/start", dependencies=[Operator])
async def start_campaign(campaign_id: CampaignId, response: Response, session: Db, clock: Now) -> CampaignView:
    """Have it dialled. Harmless while it runs; 409 when it is completed and no new lead was imported."""
    campaign, version = await service.start(session, campaign_id, clock)
    response.headers["etag"] = etag(version)
    return _view(campaign, version)


@router.post("/campaigns/{campaign_id}/pause", dependencies=[Operator])
async def pause_campaign(campaign_id: CampaignId, response: Response, session: Db, clock: Now) -> CampaignView:
    """Start no more dials; those in flight go on. Harmless while it is paused; 409 when it was never started."""
    campaign, version = await service.pause(session, campaign_id, clock)
    response.headers["etag"] = etag(version)
    return _view(campaign, version)


@router.get("/campaigns/{campaign_id}/pacing", dependencies=[FloorReader])
async def get_pacing(campaign_id: CampaignId, session: Db, clock: Now) -> PaceView:
    """Why the campaign dials as it does. Other campaigns may claim the same agents first."""
    campaign, _ = await found(session, campaign_id)
    pace = await pacing.explain(session, campaign, clock)
    return PaceView(
        agents_logged_in=pace.agents_logged_in,
        idle_agents=pace.idle_agents,
        in_flight=pace.in_flight,
        waiting_or_in_flight=pace.waiting_or_in_flight,
        may_start=pace.may_start,
        reason=pace.reason,
    )


async def found(session: Db, campaign_id: str) -> tuple[Campaign, int]:
    """The campaign with its version. Raises NotFound."""
    item = await store.campaign(session, campaign_id)
    if item is None:
        raise NotFound(f"no campaign {campaign_id}")
    return item


def _campaign(campaign_id: str, body: CampaignBody) -> Campaign:
    hours = hours_of(body.model_dump(), week_field="calling_hours", within_days=True)
    return Campaign(
        campaign_id=campaign_id,
        tenant_id=body.tenant_id,
        queue_id=body.queue_id,
        name=body.name,
        ring_seconds=body.ring_seconds,
        rules=CampaignRules(
            state="draft",
            calling_hours=hours,
            max_attempts=body.max_attempts,
            retry_after=timedelta(minutes=body.retry_after_minutes),
            rest_after_abandon=timedelta(minutes=body.rest_after_abandon_minutes),
        ),
    )


def _view(campaign: Campaign, version: int) -> CampaignView:
    rules = campaign.rules
    hours = rules.calling_hours.as_mapping()
    return CampaignView(
        campaign_id=campaign.campaign_id,
        tenant_id=campaign.tenant_id,
        queue_id=campaign.queue_id,
        name=campaign.name,
        calling_hours=hours["week"],
        holidays=hours["holidays"],
        exceptions=hours["exceptions"],
        max_attempts=rules.max_attempts,
        retry_after_minutes=rules.retry_after // timedelta(minutes=1),
        rest_after_abandon_minutes=rules.rest_after_abandon // timedelta(minutes=1),
        ring_seconds=campaign.ring_seconds,
        state=rules.state,
        version=version,
    )
