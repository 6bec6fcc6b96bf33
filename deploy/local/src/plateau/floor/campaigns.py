"""Campaigns of a floor file."""

from __future__ import annotations

from pathlib import Path

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
        place=fields.place,
        places=renamed(fields.places, {"queue": "queue_id"}),
    )
    fields.done()
    return campaign
