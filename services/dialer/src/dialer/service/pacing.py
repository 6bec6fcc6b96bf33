"""Who is dialled, and when: one decision per pool of agents and tick."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from common import outbox
from common.clock import Clock
from common.database import Session
from common.events.dialer import AttemptStarted, CampaignCompleted
from common.ids import new_id
from common.telemetry import current_traceparent, meter, new_traceparent

from dialer.domain.attempt import Attempt, Patience
from dialer.domain.campaign import Campaign
from dialer.domain.hours import closed_by
from dialer.domain.lead import (
    Allowed,
    Barred,
    Exhausted,
    Lead,
    LeadState,
    ListedLead,
    Pending,
    Refused,
    dialled,
    may_dial,
)
from dialer.domain.number import FREE, RECHECK
from dialer.domain.pacing import Wish, share_out
from dialer.domain.zones import SEPARATOR
from dialer.store import attempts, campaigns, dials, floor, leads, numbers

ROUNDS: Final = (100, 1000, 1000)
"""How many leads are looked at again when some were set aside: a list may begin with thousands that are barred."""

attempts_started = meter.create_counter("plateau_dialer_attempts_started")


async def pace(session: Session, pool_id: str, clock: Clock, patience: Patience) -> int:
    """Start as many dials as the pool's idle agents can take; returns how many.

    Safe with any number of replicas: one of them at a time decides for a pool, and sees all that was decided before.
    """
    if not await floor.lock_pool(session, pool_id):
        return 0
    state = await floor.load(session, pool_id)
    idle = sum(state.idle.values())
    running = await campaigns.lock_paced(session, pool_id) if idle else []
    if not running:
        return 0
    now = clock.now()
    due = await _due(session, running, idle, now)
    wishes = [Wish(campaign.campaign_id, campaign.queue_id, len(due[campaign.campaign_id])) for campaign in running]
    granted = share_out(state, wishes)
    started = [_start(campaign, lead, now, patience) for campaign, lead in _chosen(running, due, granted)]
    if started:
        claimed = await attempts.insert(session, [attempt for attempt, _ in started])
        started = [each for each in started if each[0].attempt_id in claimed]
    if started:
        await _save(session, started)
        session.after_commit(lambda: attempts_started.add(len(started)))
        await campaigns.mark_dialled(session, [name for name, count in granted.items() if count], now)
    return len(started)


async def complete_finished(session: Session, clock: Clock) -> None:
    """Complete running campaigns of whose leads none is left to dial."""
    for campaign in await campaigns.lock_finished(session):
        # Asked again under the lock: an import may have added leads in the meantime.
        if await leads.any_open(session, campaign.campaign_id):
            continue
        await campaigns.update_campaign(session, campaign.moved_to("completed"))
        counts = await leads.counts(session, campaign.campaign_id)
        outbox.add(
            session,
            CampaignCompleted(
                tenant_id=campaign.tenant_id,
                campaign_id=campaign.campaign_id,
                queue_id=campaign.queue_id,
                occurred_at=clock.now(),
                leads=sum(count for state, count in counts.items() if state != "removed"),
                attempts=await attempts.count(session, campaign.campaign_id),
            ),
        )


@dataclass(frozen=True, slots=True)
class Pace:
    """Why a campaign dials as it does, right now."""

    agents_logged_in: int
    idle_agents: int
    in_flight: int
    waiting_or_in_flight: int
    """Of the campaign's queue: calls that wait and dials in flight."""
    may_start: int
    """Further dials for which there are agents and leads."""
    reason: str | None
    """Why none may start."""


async def explain(session: Session, campaign: Campaign, clock: Clock) -> Pace:
    """The decision that pacing would take for this campaign if it were the only one, without taking it."""
    pool_id, logged_in = await floor.logged_in(session, campaign.queue_id)
    flying = (await attempts.in_flight(session, [campaign.queue_id])).get(campaign.queue_id, 0)
    if pool_id is None:
        return Pace(0, 0, flying, flying, 0, "no agent of the queue is logged in")
    state = await floor.load(session, pool_id)
    idle = sum(count for skills, count in state.idle.items() if campaign.queue_id in skills)
    now = clock.now()
    due = (await _due(session, [campaign], max(1, idle), now))[campaign.campaign_id]
    may_start = share_out(state, [Wish(campaign.campaign_id, campaign.queue_id, len(due))])[campaign.campaign_id]
    if campaign.rules.state != "running":
        reason, may_start = f"the campaign is {campaign.rules.state}", 0
    elif not idle:
        reason = "no agent of the queue is idle"
    elif not due:
        reason = "no lead may be dialled now: none is due, their numbers are in use, or hours are closed there"
    else:
        reason = "every idle agent is spoken for"
    demand = max(flying, state.demand.get(campaign.queue_id, 0))
    return Pace(logged_in, idle, flying, demand, may_start, None if may_start else reason)


def _chosen(
    running: list[Campaign], due: dict[str, list[ListedLead]], granted: dict[str, int]
) -> Iterator[tuple[Campaign, ListedLead]]:
    """As many leads of each campaign as were granted to it, each number of a tenant once."""
    taken: set[tuple[str, str]] = set()
    for campaign in running:
        left = granted[campaign.campaign_id]
        for listed in due[campaign.campaign_id]:
            number = (campaign.tenant_id, listed.phone)
            if left > 0 and number not in taken:
                taken.add(number)
                left -= 1
                yield campaign, listed


async def _due(session: Session, running: list[Campaign], limit: int, now: datetime) -> dict[str, list[ListedLead]]:
    """Leads per campaign that may be dialled now, locked, up to a limit each."""
    zone_sets = await campaigns.zone_sets(session, [campaign.campaign_id for campaign in running])
    found: dict[str, list[ListedLead]] = {}
    for campaign in running:
        hours = campaign.rules.calling_hours
        sets = zone_sets.get(campaign.campaign_id, [])
        open_sets = [zones for zones in sets if closed_by(hours, tuple(zones.split(SEPARATOR)), now) is None]
        found[campaign.campaign_id] = await _due_of(session, campaign, open_sets, limit, now) if open_sets else []
    return found


async def _due_of(
    session: Session, campaign: Campaign, open_sets: list[str], limit: int, now: datetime
) -> list[ListedLead]:
    """The same of one campaign. Leads that a rule refuses are set aside, so that those behind them have their turn."""
    may: list[ListedLead] = []
    for most in (limit, *(max(limit, more) for more in ROUNDS)):
        due = await leads.lock_due(session, campaign.campaign_id, open_sets, now, most)
        if not due:
            return []
        known = await numbers.look_up(session, [(campaign.tenant_id, listed.phone) for listed in due])
        may = []
        aside: list[tuple[UUID, Lead, None]] = []
        for listed in due:
            number = known.get((campaign.tenant_id, listed.phone), FREE)
            match may_dial(listed.lead, campaign.rules, now, number):
                case Allowed():
                    may.append(listed)
                case Refused(rule="campaign_paused"):
                    pass
                case Refused() as refused:
                    aside.append((listed.lead_id, replace(listed.lead, state=_aside(refused, now)), None))
        if not aside:
            break
        await leads.save(session, aside)
    return may[:limit]


def _aside(refused: Refused, now: datetime) -> LeadState:
    """What a lead is that was due, until the rule does not refuse it any more."""
    match refused.rule:
        case "do_not_call":
            return Barred()
        case "max_attempts":
            # The campaign's limit was lowered below what the lead has had.
            return Exhausted()
        case _:
            return Pending(refused.until or now + RECHECK)


def _start(campaign: Campaign, listed: ListedLead, now: datetime, patience: Patience) -> tuple[Attempt, Lead]:
    lead = dialled(listed.lead)
    attempt = Attempt(
        attempt_id=new_id(),
        tenant_id=campaign.tenant_id,
        campaign_id=campaign.campaign_id,
        queue_id=campaign.queue_id,
        lead_id=listed.lead_id,
        number=lead.attempts,
        phone=listed.phone,
        ring_seconds=campaign.ring_seconds,
        started_at=now,
        deadline_at=now + timedelta(seconds=campaign.ring_seconds) + patience.ring,
        traceparent=current_traceparent() or new_traceparent(),
    )
    return attempt, lead


async def _save(session: Session, started: list[tuple[Attempt, Lead]]) -> None:
    await leads.save(session, [(attempt.lead_id, lead, None) for attempt, lead in started])
    for attempt, _ in started:
        outbox.add(
            session,
            AttemptStarted(
                tenant_id=attempt.tenant_id,
                campaign_id=attempt.campaign_id,
                queue_id=attempt.queue_id,
                lead_id=str(attempt.lead_id),
                attempt_id=str(attempt.attempt_id),
                attempt=attempt.number,
                phone=attempt.phone,
                started_at=attempt.started_at,
                occurred_at=attempt.started_at,
            ),
            traceparent=attempt.traceparent,
        )
    await dials.add(session, [(attempt, "dial", attempt.deadline_at or attempt.started_at) for attempt, _ in started])
