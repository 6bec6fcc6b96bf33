"""Leads: the import of lists, and who is on them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from common.clock import Clock
from common.errors import Invalid
from common.events.dialer import AttemptOutcome
from common.http import Caller, Db, Model, Page, PageCursor, PageLimit, Router, check_if_match, decode_key, etag, page
from common.sheets import SAVE_AS
from fastapi import Path, Query, Request, Response
from pydantic import Field, StringConstraints

from dialer.api.campaigns import found
from dialer.api.parameters import CampaignId, Now, Operator, Reader, Shared
from dialer.domain.campaign import Campaign
from dialer.domain.errors import TooLarge, UnsupportedMediaType
from dialer.domain.lead import (
    Barred,
    Done,
    Exhausted,
    InProgress,
    ListedLead,
    Pending,
    Refused,
    Removed,
    Rule,
    may_dial,
)
from dialer.domain.lead_file import COLUMNS, EXTERNAL_ID_LENGTH, NAME_LENGTH, UnknownColumns, columns
from dialer.domain.number import FREE, Number
from dialer.service import leads as service
from dialer.service.importing import LARGEST_FILE, REMEDY, OnReject, import_leads
from dialer.store import leads as store
from dialer.store import numbers

router = Router(tags=["leads"])

ColumnMapping = Annotated[str, StringConstraints(max_length=300)]

StateName = Literal["pending", "in_progress", "done", "exhausted", "barred", "removed"]
LeadId = Annotated[UUID, Path()]

_CSV: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": (
            "As spreadsheet programs save it: separated by semicolon, comma, tab or |; UTF-8, UTF-16, Windows-1252, "
            "Mac OS Roman or code page 850. Columns: phone, and optionally name, first_name (put before the name), "
            "time_zone (IANA), external_id, in any order. Headings that people give them in English and French are "
            "recognised, whatever their case, accents and dots: Téléphone, Mobile, Nom, Prénom, Full name …"
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


class ReadAsView(Model):
    """How a file was understood."""

    encoding: str = Field(description="IANA name", examples=["windows-1252"])
    separator: str = Field(examples=[";"])
    columns: dict[str, str] = Field(description="The file's heading of each column", examples=[{"phone": "Tél."}])
    left_out: list[str] = Field(description="Headings of columns that were not taken")


class ImportView(Model):
    """What became of a file's rows. Each is imported, unchanged (on the list already), removed or rejected."""

    rows: int
    imported: int
    unchanged: int
    removed: int = Field(description="Left alone: somebody has taken the number off this list")
    rejected: int
    rejects: list[RejectView] = Field(description="The first 1,000 by line")
    read_as: ReadAsView


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
    version: int = Field(description="Counts the corrections, and is the ETag")


class LeadPatch(Model):
    """What is corrected; what is not named stays. The rules are those of a file's row."""

    phone: str | None = Field(
        default=None, max_length=64, description="Read in the tenant's region", examples=["+33639980001"]
    )
    name: str | None = Field(default=None, max_length=NAME_LENGTH, examples=["Odile Blanc"])
    time_zone: str | None = Field(
        default=None,
        max_length=64,
        description="IANA name. Null, or a new phone alone: where the number may be",
        examples=["Europe/Paris"],
    )
    external_id: str | None = Field(default=None, max_length=EXTERNAL_ID_LENGTH, examples=["A-4711"])


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
    column: Annotated[
        list[ColumnMapping],
        Query(
            max_length=len(COLUMNS),
            description=f"{', '.join(COLUMNS)}, a colon and the column's heading in the file; once per column. Others "
            "are left out then",
        ),
    ] = [],  # noqa: B006 - never changed
    unknown_columns: Annotated[
        UnknownColumns, Query(description="Columns whose heading is not known: refuse the file, or leave them out")
    ] = "refuse",
) -> ImportView:
    """Import a list. All or nothing, unless `on_reject=skip`. Importing a file again changes nothing.

    The answer says how the file was understood. Lines count from 1 as a text editor shows them. A file is refused whole
    when it cannot be read on, or when its quotation marks do not fit: no part of a cell is ever taken for a value.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "text/csv":
        raise UnsupportedMediaType(f"send the list as text/csv; if it is a workbook, {SAVE_AS}", field="Content-Type")
    wanted = columns(_mapping(column), unknown_columns, REMEDY)
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > shared.import_max_bytes:
        raise TooLarge(f"a file may have {shared.import_max_bytes} bytes; send it in parts, each with the header")
    result = await import_leads(
        session, campaign_id, request.stream(), on_reject, shared.import_max_bytes, clock, wanted
    )
    assert result.read_as is not None
    return ImportView(
        rows=result.rows,
        imported=result.imported,
        unchanged=result.unchanged,
        removed=result.removed,
        rejected=result.rejected,
        rejects=[
            RejectView(line=reject.line, column=reject.column, value=reject.value, reason=reject.reason)
            for reject in result.rejects
        ],
        read_as=ReadAsView(**asdict(result.read_as)),
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
    """Leads in the order of import, each with the rule that keeps it from being dialled now.

    Those that were removed are listed by `state=removed` alone.
    """
    campaign, _ = await found(session, campaign_id)
    now = clock.now()
    listed = await store.page(session, campaign_id, state, decode_key(cursor, UUID), limit)
    known = await numbers.look_up(session, [(campaign.tenant_id, lead.phone) for lead in listed])
    items = [_view(lead, campaign, known.get((campaign.tenant_id, lead.phone), FREE), now) for lead in listed]
    return page(items, limit, lambda last: (last.lead_id,))


@router.get("/leads/{lead_id}", dependencies=[Reader])
async def get_lead(lead_id: LeadId, response: Response, session: Db, clock: Now) -> LeadView:
    """One lead."""
    listed, campaign = await service.get(session, lead_id)
    response.headers["etag"] = etag(listed.version)
    return await _viewed(session, listed, campaign, clock)


@router.patch("/leads/{lead_id}", dependencies=[Operator])
async def correct_lead(
    lead_id: LeadId, body: LeadPatch, request: Request, response: Response, session: Db, caller: Caller, clock: Now
) -> LeadView:
    """Correct what the body names. Send If-Match with the ETag that was read, so as not to undo others' work (412).

    State and attempts stay as they are. 409 for a new number while the lead is dialled, or that the list has already.
    """
    said = {name: getattr(body, name) for name in body.model_fields_set}
    listed, campaign = await service.correct(
        session, lead_id, said, lambda present: check_if_match(request, present), caller.subject, clock
    )
    response.headers["etag"] = etag(listed.version)
    return await _viewed(session, listed, campaign, clock)


@router.delete("/leads/{lead_id}", status_code=204, dependencies=[Operator])
async def remove_lead(lead_id: LeadId, request: Request, session: Db, caller: Caller, clock: Now) -> None:
    """Take a lead off its list for good. Harmless when it is done already.

    It is never dialled again, and no later import brings the number back to this list. A dial that rings is given up;
    one that was answered goes on. Attempts stay.
    """
    await service.remove(session, lead_id, lambda present: check_if_match(request, present), caller.subject, clock)


async def _viewed(session: Db, listed: ListedLead, campaign: Campaign, clock: Clock) -> LeadView:
    number = (campaign.tenant_id, listed.phone)
    known = await numbers.look_up(session, [number])
    return _view(listed, campaign, known.get(number, FREE), clock.now())


def _mapping(pairs: list[str]) -> dict[str, str]:
    """Headings by column. Raises Invalid."""
    mapping: dict[str, str] = {}
    for pair in pairs:
        name, _, heading = pair.partition(":")
        if name not in COLUMNS or not heading.strip():
            known = ", ".join(COLUMNS)
            raise Invalid(f"column: {pair!r} is none of {known}, a colon and a heading", field="column")
        if name in mapping:
            raise Invalid(f"column: {name} is mapped twice; a column has one heading", field="column")
        mapping[name] = heading
    if mapping and "phone" not in mapping:
        raise Invalid("column: say which heading is the phone's, such as column=phone:Mobile", field="column")
    return mapping


def _view(listed: ListedLead, campaign: Campaign, number: Number, now: datetime) -> LeadView:
    verdict = may_dial(listed.lead, campaign.rules, now, number)
    refused = verdict if isinstance(verdict, Refused) else None
    names: dict[type, StateName] = {
        Pending: "pending",
        InProgress: "in_progress",
        Done: "done",
        Exhausted: "exhausted",
        Barred: "barred",
        Removed: "removed",
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
        version=listed.version,
    )
