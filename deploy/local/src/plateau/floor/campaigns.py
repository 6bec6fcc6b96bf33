"""Campaigns of a floor file, and the hours in which they may call."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Final

import yaml
from dialer.domain.lead_file import COLUMNS, UnknownColumns

from plateau.floor.document import Document, Fields
from plateau.floor.draft import renamed
from plateau.floor.model import Campaign

MOST_RANGES: Final = 24
"""Of one day."""
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME_OF_DAY: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]|24:00")


def read_campaign(tenant_id: str, name: str, fields: Fields, directory: Path) -> Campaign:
    leads = fields.text("leads", "")
    campaign = Campaign(
        id=name,
        tenant_id=tenant_id,
        queue_id=fields.text("queue"),
        name=fields.text("name"),
        calling_hours=_calling_hours(fields),
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


def _calling_hours(campaign: Fields) -> dict[str, tuple[tuple[str, str], ...]]:
    node = campaign.node_of("calling_hours")
    if node is None:
        campaign.refuse("calling_hours", "is missing")
        return {}
    document = campaign.document
    known = len(document.wrong)
    days = document.fields(node, campaign.path_of("calling_hours"))
    hours: dict[str, tuple[tuple[str, str], ...]] = {}
    for day, value, path in days.entries():
        if day not in DAYS:
            document.refuse(days.key(day), path, f"is no day: {', '.join(DAYS)}", day)
            continue
        ranges = [_hours(document, item, inner) for item, inner in document.items(value, path, MOST_RANGES)]
        read_ranges = sorted(one for one in ranges if one is not None)
        for earlier, later in itertools.pairwise(read_ranges):
            if later[0] < earlier[1]:
                document.refuse(value, path, "hours overlap", f"{'-'.join(earlier)}, {'-'.join(later)}")
        hours[day] = tuple(read_ranges)
    if not any(hours.values()) and len(document.wrong) == known:
        campaign.refuse("calling_hours", "no day has hours, so nobody could ever be called")
    return hours


def _hours(document: Document, node: yaml.Node, path: str) -> tuple[str, str] | None:
    ends = [document.scalar(item, inner) for item, inner in document.items(node, path)]
    if len(ends) != 2:
        document.refuse(node, path, 'must be a range such as ["10:00", "13:00"]')
        return None
    begin, end = ends
    for value in ends:
        if value is not None and not _TIME_OF_DAY.fullmatch(value):
            document.refuse(node, path, 'must be a time of day such as "09:30" (in quotes)', value)
            return None
    if begin is None or end is None:
        return None
    if begin >= end:
        document.refuse(node, path, "must end after it begins", f"{begin}-{end}")
        return None
    return begin, end
