"""Attempts, and the facts that a PBX tells of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from common.errors import NotFound
from common.events.dialer import AttemptOutcome
from common.http import Db, Model, Page, PageCursor, PageLimit, Router, decode_cursor, page
from fastapi import Path
from pydantic import AwareDatetime, Field

from dialer.api.campaigns import found
from dialer.api.parameters import CampaignId, Now, Reader, Shared, Telephony
from dialer.domain.attempt import Attempt, Ended, PbxFact, WhyNot, decide
from dialer.service.attempts import Happened, apply
from dialer.store import attempts as store

router = Router(tags=["attempts"])

AttemptId = Annotated[UUID, Path()]


class FactBody(Model):
    """What happened to a dial."""

    fact: PbxFact = Field(
        description="`hung_up`: the person who had answered is gone; `machine`: an answering machine has answered",
        examples=["ringing"],
    )
    occurred_at: AwareDatetime | None = Field(
        default=None, description="When the PBX saw it (default: now); taken only if after the dial and not ahead of us"
    )


class AttemptView(Model):
    """One dial. `call_id` is routing's, once the call is handed over; `outcome` is there once `state` is `ended`."""

    attempt_id: UUID
    campaign_id: str
    queue_id: str
    lead_id: UUID
    attempt: int
    phone: str
    state: str
    started_at: datetime
    ringing_at: datetime | None
    answered_at: datetime | None
    machine_at: datetime | None = Field(description="When the PBX said that an answering machine has answered")
    ended_at: datetime | None
    call_id: str | None
    outcome: AttemptOutcome | None
    disposition: str | None


class FactTaken(AttemptView):
    """The attempt after the fact."""

    happened: bool = Field(description="Whether the fact took effect")
    why_not: WhyNot | None = Field(
        description=(
            "Of a fact that did not: `repeated`: told before; `answered`: the line has been answered, so it does not "
            "ring, is not busy and does not go unanswered; `over`: the attempt has ended"
        )
    )


@router.post("/attempts/{attempt_id}/facts", dependencies=[Telephony])
async def post_fact(attempt_id: AttemptId, body: FactBody, session: Db, clock: Now, shared: Shared) -> FactTaken:
    """Tell what happened. Repeated, late and impossible facts change nothing: the answer says why, with the attempt.

    So a PBX may send each fact until it gets a 200. `answered` on an attempt that has failed by time-out makes the
    PBX play the abandonment message: nobody is left to take the call. `machine` may come after `answered`: while no
    agent speaks, the call is withdrawn and the attempt has reached a machine; once one speaks, they are told, and the
    disposition `machine` says that they agree.
    """
    now = clock.now()
    present = (await store.lock(session, [attempt_id])).get(attempt_id)
    if present is None:
        raise NotFound(f"no attempt {attempt_id}")
    why_not = decide(present.state, body.fact).why_not
    at = now if body.occurred_at is None else min(now, max(present.started_at, body.occurred_at))
    after = (await apply(session, [Happened(attempt_id, body.fact, at)], shared.patience))[attempt_id]
    session.after_commit(shared.dials.set)
    session.after_commit(shared.routing.set)
    return FactTaken(**_view(after).model_dump(), happened=why_not is None, why_not=why_not)


@router.get("/attempts/{attempt_id}", dependencies=[Reader])
async def get_attempt(attempt_id: AttemptId, session: Db) -> AttemptView:
    """One attempt."""
    attempt = await store.get(session, attempt_id)
    if attempt is None:
        raise NotFound(f"no attempt {attempt_id}")
    return _view(attempt)


@router.get("/campaigns/{campaign_id}/attempts", dependencies=[Reader])
async def list_attempts(
    campaign_id: CampaignId, session: Db, limit: PageLimit = 100, cursor: PageCursor = None
) -> Page[AttemptView]:
    """Attempts of a campaign, the newest first."""
    await found(session, campaign_id)
    before = decode_cursor(cursor, datetime, UUID)
    items = [
        _view(attempt)
        for attempt in await store.page(session, campaign_id, (before[0], before[1]) if before else None, limit)
    ]
    return page(items, limit, lambda last: (last.started_at, last.attempt_id))


def _view(attempt: Attempt) -> AttemptView:
    ended = attempt.state if isinstance(attempt.state, Ended) else None
    return AttemptView(
        attempt_id=attempt.attempt_id,
        campaign_id=attempt.campaign_id,
        queue_id=attempt.queue_id,
        lead_id=attempt.lead_id,
        attempt=attempt.number,
        phone=attempt.phone,
        state=store.name_of(attempt.state),
        started_at=attempt.started_at,
        ringing_at=attempt.ringing_at,
        answered_at=attempt.answered_at,
        machine_at=attempt.machine_at,
        ended_at=attempt.ended_at,
        call_id=attempt.call_id,
        outcome=None if ended is None else ended.outcome,
        disposition=None if ended is None else ended.disposition,
    )
