"""Leads that people correct or take off their list."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from uuid import UUID

from common.clock import Clock
from common.database import Session
from common.errors import Conflict, Invalid, NotFound
from common.sheets import SheetRow

from dialer.domain.campaign import Campaign, Tenant
from dialer.domain.lead import Barred, InProgress, ListedLead, Pending, Removed
from dialer.domain.lead_file import Row, check_row
from dialer.service.campaigns import CheckVersion
from dialer.service.importing import checks_of
from dialer.store import campaigns, leads


async def get(session: Session, lead_id: UUID) -> tuple[ListedLead, Campaign]:
    """A lead and its campaign. Raises NotFound, also for one that was removed."""
    listed = await leads.get(session, lead_id)
    if listed is None or isinstance(listed.lead.state, Removed):
        raise _unknown(lead_id)
    campaign, _ = await _of(session, listed)
    return listed, campaign


async def correct(
    session: Session,
    lead_id: UUID,
    said: Mapping[str, str | None],
    check_version: CheckVersion,
    actor: str,
    clock: Clock,
) -> tuple[ListedLead, Campaign]:
    """Change what is said of a lead, by the rules of a file's row; returns it and its campaign.

    `said` holds values by column: phone, name, time_zone, external_id. A new number brings the time zones that it tells
    unless one is given. Its state and the attempts that it has had stay, but a list of numbers not to call barred the
    former number alone. Nothing changes when all is so already.
    Raises NotFound; Invalid, naming the column; Conflict for a new number while the lead is dialled, or when the list
    has it already.
    """
    present = await leads.get(session, lead_id, lock=True)
    if present is None or isinstance(present.lead.state, Removed):
        raise _unknown(lead_id)
    check_version(present.version)
    campaign, owner = await _of(session, present)
    known = {"phone": present.phone, "name": present.name, "external_id": present.external_id}
    checked = check_row(
        SheetRow(0, {column: value or "" for column, value in {**known, **said}.items()}),
        checks_of(campaign, owner, clock),
    )
    if not isinstance(checked, Row):
        wrong = checked[0]
        raise Invalid(f"{wrong.column}: {wrong.reason}", field=wrong.column)
    zones = checked.zones
    if "time_zone" not in said and checked.phone == present.phone:
        zones = present.lead.zones
    corrected = replace(
        present,
        phone=checked.phone,
        name=checked.name,
        external_id=checked.external_id,
        lead=replace(present.lead, zones=zones),
    )
    changed = _changed(present, corrected)
    if not changed:
        return present, campaign
    if "phone" in changed:
        await _check_phone(session, present, checked.phone)
        if isinstance(present.lead.state, Barred):
            corrected = replace(corrected, lead=replace(corrected.lead, state=Pending(clock.now())))
    await leads.correct(session, corrected, campaign.tenant_id)
    await leads.note(session, campaign.tenant_id, lead_id, actor, "corrected", changed, clock.now())
    return replace(corrected, version=present.version + 1), campaign


async def remove(session: Session, lead_id: UUID, check_version: CheckVersion, actor: str, clock: Clock) -> None:
    """Take a lead off its list: it is never dialled again, and no import brings its number back to this list.

    Its name and external id are forgotten; its attempts stay. The next tick of pacing gives up a dial that nobody has
    answered; one that was answered goes on. Idempotent. Raises NotFound.
    """
    present = await leads.get(session, lead_id, lock=True)
    if present is None:
        raise _unknown(lead_id)
    if isinstance(present.lead.state, Removed):
        return
    check_version(present.version)
    campaign, _ = await _of(session, present)
    removed = replace(present, name=None, external_id=None, lead=replace(present.lead, state=Removed()))
    await leads.correct(session, removed, campaign.tenant_id)
    await leads.note(session, campaign.tenant_id, lead_id, actor, "removed", (), clock.now())


async def _of(session: Session, listed: ListedLead) -> tuple[Campaign, Tenant]:
    found = await campaigns.campaign(session, listed.campaign_id)
    assert found is not None
    owner = await campaigns.tenant(session, found[0].tenant_id)
    assert owner is not None
    return found[0], owner[0]


async def _check_phone(session: Session, present: ListedLead, phone: str) -> None:
    if isinstance(present.lead.state, InProgress):
        raise Conflict(
            "the present number is being dialled, or its person speaks with an agent: correct it after that",
            field="phone",
        )
    other = await leads.with_phone(session, present.campaign_id, phone)
    if other is not None and isinstance(other.lead.state, Removed):
        raise Conflict("the number was taken off this list: it is not dialled for this campaign again", field="phone")
    if other is not None:
        raise Conflict(f"lead {other.lead_id} of this list has the number: remove one of the two", field="phone")


def _changed(before: ListedLead, after: ListedLead) -> list[str]:
    columns: dict[str, Callable[[ListedLead], object]] = {
        "phone": lambda listed: listed.phone,
        "name": lambda listed: listed.name,
        "external_id": lambda listed: listed.external_id,
        "time_zone": lambda listed: listed.lead.zones,
    }
    return [column for column, value in columns.items() if value(before) != value(after)]


def _unknown(lead_id: UUID) -> NotFound:
    return NotFound(f"no lead {lead_id}")
