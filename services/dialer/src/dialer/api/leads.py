"""Leads: the import of lists, and who is on them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from common.events.dialer import AttemptOutcome
from common.http import Db, Model, Page, PageCursor, PageLimit, Router, decode_key, page
from fastapi import Query, Request
from pydantic import Field

from dialer.api.campaigns import found
from dialer.api.parameters import CampaignId, Now, Operator, Reader, Shared
from dialer.domain.campaign import Campaign
from dialer.domain.errors import TooLarge, UnsupportedMediaType
from dialer.domain.lead import Barred, Done, Exhausted, InProgress, ListedLead, Pending, Refused, Rule, may_dial
from dialer.domain.number import FREE, Number
from dialer.service.importing import LARGEST_FILE, OnReject, import_leads
from dialer.store import leads as store
from dialer.store import numbers

router = Router(tags=["leads"])

StateName = Literal["pending", "in_progress", "done", "exhausted", "barred"]

_CSV: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": (
            "UTF-8, comma or semicolon. Columns: phone, and optionally name, time_zone (IANA), external_id. "
            "One row per line."
        ),
        "content": {
            "text/csv": {
                "schema": {"type": "string"},
                "example": "phone,name,time_zone\n+33639980001,Odile Blanc,Europe/Paris\n",
            }
        },
    }
}


class RejectView(Model):
    """One wrong value of a file; `column` is empty when the row as a whole is wrong."""

    line: int
    column: str
    value: str
    reason: str


class ImportView(Model):
    """What became of a file's rows. Each is imported, unchanged (on the list already) or rejected."""

    rows: int
    imported: int
    unchanged: int
    rejected: int
    rejects: list[RejectView] = Field(description="The first 1,000 by line")


class MayDial(Model):
    """Whether the lead may be dialled now; if not, which rule refuses, and until when (null: nothing is foreseen).
    `holiday`: the name of the public holiday that refuses, by the date where the lead lives."""

    allowed: bool
    refused_by: Rule | None = None
    until: datetime | None = None
    holiday: str | None = None


class LeadView(Model):
    """A contact on a campaign's list. `time_zones`: where the person may be; hours must be open in all of them."""

    lead_id: UUID
    campaign_id: str
    phone: str
    name: str | None
    external_id: str | None
    time_zones: list[str]
    state: StateName
    attempts: int
    last_outcome: AttemptOutcome | None
    may_dial: MayDial


@router.post(
    "/campaigns/{campaign_id}/leads",
    dependencies=[Operator],
    openapi_extra=_CSV,
    max_body_size=LARGEST_FILE,
)
async def post_leads(
    campaign_id: CampaignId,
    request: Request,
    session: Db,
    clock: Now,
    shared: Shared,
    on_reject: Annotated[
        OnReject, Query(description="abort: any wrong row refuses the file (422); skip: the good rows are imported")
    ] = "abort",
) -> ImportView:
    """Import a list. All or nothing, unless `on_reject=skip`. Importing a file again changes nothing."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "text/csv":
        raise UnsupportedMediaType("send the list as text/csv", field="Content-Type")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > shared.import_max_bytes:
        raise TooLarge(f"a file may have {shared.import_max_bytes} bytes; send it in parts, each with the header")
    result = await import_leads(session, campaign_id, request.stream(), on_reject, shared.import_max_bytes, clock)
    return ImportView(
        rows=result.rows,
        imported=result.imported,
        unchanged=result.unchanged,
        rejected=result.rejected,
        rejects=[
            RejectView(line=reject.line, column=reject.column, value=reject.value, reason=reject.reason)
            for reject in result.rejects
        ],
    )


@router.get("/campaigns/{campaign_id}/leads", dependencies=[Reader])
async def list_leads(
    campaign_id: CampaignId,
    session: Db,
    clock: Now,
    state: StateName | None = None,
    limit: PageLimit = 100,
    cursor: PageCursor = None,
) -> Page[LeadView]:
    """Leads in the order of import, each with the rule that keeps it from being dialled now."""
    campaign, _ = await found(session, campaign_id)
    now = clock.now()
    listed = await store.page(session, campaign_id, state, decode_key(cursor, UUID), limit)
    known = await numbers.look_up(session, [(campaign.tenant_id, lead.phone) for lead in listed])
    items = [_view(lead, campaign, known.get((campaign.tenant_id, lead.phone), FREE), now) for lead in listed]
    return page(items, limit, lambda last: (last.lead_id,))


def _view(listed: ListedLead, campaign: Campaign, number: Number, now: datetime) -> LeadView:
    verdict = may_dial(listed.lead, campaign.rules, now, number)
    refused = verdict if isinstance(verdict, Refused) else None
    names: dict[type, StateName] = {
        Pending: "pending",
        InProgress: "in_progress",
        Done: "done",
        Exhausted: "exhausted",
        Barred: "barred",
    }
    return LeadView(
        lead_id=listed.lead_id,
        campaign_id=listed.campaign_id,
        phone=listed.phone,
        name=listed.name,
        external_id=listed.external_id,
        time_zones=list(listed.lead.zones),
        state=names[type(listed.lead.state)],
        attempts=listed.lead.attempts,
        last_outcome=listed.last_outcome,
        may_dial=MayDial(
            allowed=refused is None,
            refused_by=None if refused is None else refused.rule,
            until=None if refused is None else refused.until,
            holiday=None if refused is None else refused.holiday,
        ),
    )
