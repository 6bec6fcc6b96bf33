"""Campaigns of a floor file."""

from __future__ import annotations

from pathlib import Path

from dialer.domain.lead_file import COLUMNS, UnknownColumns

from plateau.floor.document import Fields
from plateau.floor.draft import renamed
from plateau.floor.hours import hours_in
from plateau.floor.model import Campaign


def read_campaign(tenant_id: str, name: str, fields: Fields, directory: Path) -> Campaign:
    leads = fields.text("leads", "")
    if fields.node_of("calling_hours") is None:
        fields.refuse("calling_hours", "is missing")
        hours = None
    else:
        hours = hours_in(fields, ("calling_hours", "holidays", "exceptions"), within_days=True)
    hours = hours or {"week": {}, "holidays": None, "exceptions": {}}
    campaign = Campaign(
        id=name,
        tenant_id=tenant_id,
        queue_id=fields.text("queue"),
        name=fields.text("name"),
        calling_hours=hours["week"],
        holidays=hours["holidays"],
        exceptions=hours["exceptions"],
        max_attempts=fields.integer("max_attempts", 4, low=1, high=100),
        retry_after_minutes=fields.integer("retry_after_minutes", 120, low=1, high=60 * 24 * 365),
        rest_after_abandon_minutes=fields.integer("rest_after_abandon_minutes", 4320, low=1, high=60 * 24 * 365),
        ring_seconds=fields.integer("ring_seconds", 25, low=5, high=120),
        running=fields.boolean("running", False),
        leads=directory / leads if leads else None,
        lead_columns=_lead_columns(fields),
        unknown_lead_columns=fields.value("unknown_lead_columns", _unknown_columns, "refuse", required=False),
        place=fields.place,
        places=renamed(fields.places, {"queue": "queue_id"}),
    )
    fields.done()
    return campaign


def _lead_columns(campaign: Fields) -> dict[str, str]:
    node = campaign.node_of("lead_columns")
    if node is None:
        return {}
    document = campaign.document
    columns: dict[str, str] = {}
    for column, value, path in document.fields(node, campaign.path_of("lead_columns"), len(COLUMNS)).entries():
        heading = document.scalar(value, path)
        if column not in COLUMNS:
            document.refuse(value, path, f"is no column of leads: {', '.join(COLUMNS)}", column)
        elif heading is not None and not heading.strip():
            document.refuse(value, path, "must be a heading of the file", heading)
        elif heading is not None:
            columns[column] = heading
    if columns and "phone" not in columns:
        campaign.refuse("lead_columns", "does not say which heading is the phone's, such as {phone: Mobile}")
        return {}
    return columns


def _unknown_columns(text: str) -> UnknownColumns:
    if text == "ignore":
        return "ignore"
    if text == "refuse":
        return "refuse"
    raise ValueError("must be refuse or ignore")
