"""Tenants and campaigns."""

from __future__ import annotations

from collections.abc import Callable

from common import outbox
from common.clock import Clock
from common.database import Session
from common.errors import Conflict, Invalid, NotFound
from common.events.dialer import CampaignPaused, CampaignStarted

from dialer.domain.campaign import Campaign, Tenant
from dialer.store import campaigns, leads

CheckVersion = Callable[[int | None], None]
"""Raises PreconditionFailed when the present version (None: absent) is not the one that the caller has seen."""


async def put_tenant(session: Session, wanted: Tenant, check_version: CheckVersion) -> tuple[Tenant, int, bool]:
    """Create or replace; returns the tenant, its version (risen only if something changed) and whether it is new."""
    present = await campaigns.tenant(session, wanted.tenant_id, lock=True)
    if present is None:
        check_version(None)
        if await campaigns.insert_tenant(session, wanted):
            return wanted, 1, True
    present = present or await campaigns.tenant(session, wanted.tenant_id, lock=True)
    if present is None:
        raise NotFound(f"no tenant {wanted.tenant_id}")
    tenant, version = present
    check_version(version)
    if tenant == wanted:
        return tenant, version, False
    await campaigns.update_tenant(session, wanted)
    return wanted, version + 1, False


async def put_campaign(
    session: Session, wanted: Campaign, check_version: CheckVersion, clock: Clock
) -> tuple[Campaign, int, bool]:
    """Create (as a draft) or replace, keeping the state; returns it, its version and whether it is new.

    Raises Invalid for an unknown tenant, and for a change of the tenant: its leads are that tenant's.
    """
    present = await campaigns.campaign(session, wanted.campaign_id, lock=True)
    if await campaigns.tenant(session, wanted.tenant_id) is None:
        raise Invalid(f"there is no tenant {wanted.tenant_id!r}", field="tenant_id")
    if present is None:
        check_version(None)
        if await campaigns.insert_campaign(session, wanted, clock.now()):
            return wanted, 1, True
    present = present or await campaigns.campaign(session, wanted.campaign_id, lock=True)
    if present is None:
        raise NotFound(f"no campaign {wanted.campaign_id}")
    campaign, version = present
    check_version(version)
    if campaign.tenant_id != wanted.tenant_id:
        raise Invalid(f"campaign {wanted.campaign_id} belongs to another tenant", field="tenant_id")
    wanted = wanted.moved_to(campaign.rules.state)
    if campaign == wanted:
        return campaign, version, False
    await campaigns.update_campaign(session, wanted)
    return wanted, version + 1, False


async def start(session: Session, campaign_id: str, clock: Clock) -> tuple[Campaign, int]:
    """Have it dialled. A running campaign stays as it is; a completed one needs new leads, else Conflict."""
    campaign, version = await _locked(session, campaign_id)
    if campaign.rules.state == "running":
        return campaign, version
    if campaign.rules.state == "completed" and not await leads.any_open(session, campaign_id):
        raise Conflict(f"campaign {campaign_id} is completed: no lead is left to dial; import more")
    started = campaign.moved_to("running")
    await campaigns.update_campaign(session, started)
    outbox.add(
        session,
        CampaignStarted(
            tenant_id=campaign.tenant_id,
            campaign_id=campaign_id,
            queue_id=campaign.queue_id,
            occurred_at=clock.now(),
        ),
    )
    return started, version + 1


async def pause(session: Session, campaign_id: str, clock: Clock) -> tuple[Campaign, int]:
    """Start no more dials; those in flight go on. A paused campaign stays as it is; others than running: Conflict."""
    campaign, version = await _locked(session, campaign_id)
    if campaign.rules.state == "paused":
        return campaign, version
    if campaign.rules.state != "running":
        raise Conflict(f"campaign {campaign_id} is {campaign.rules.state}, not running")
    paused = campaign.moved_to("paused")
    await campaigns.update_campaign(session, paused)
    outbox.add(
        session,
        CampaignPaused(
            tenant_id=campaign.tenant_id,
            campaign_id=campaign_id,
            queue_id=campaign.queue_id,
            occurred_at=clock.now(),
        ),
    )
    return paused, version + 1


async def _locked(session: Session, campaign_id: str) -> tuple[Campaign, int]:
    found = await campaigns.campaign(session, campaign_id, lock=True)
    if found is None:
        raise NotFound(f"no campaign {campaign_id}")
    return found
