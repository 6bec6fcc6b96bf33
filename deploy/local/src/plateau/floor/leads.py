"""A campaign's leads file, read by the very rules by which the dialer imports it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

from common.hours import InvalidHours, parse
from common.sheets import Reject, SheetReader, SheetRow, UnreadableFile
from dialer.domain.hours import next_open
from dialer.domain.lead_file import Checks, Row, check_row, columns

from plateau.floor.document import Place, Wrong
from plateau.floor.model import Campaign, Tenant

MOST_REJECTS: Final = 50
"""More wrong rows of one file are counted, not listed."""
REMEDY: Final = (
    "say in lead_columns which heading is which ({phone: Mobile}), or leave unknown columns out with "
    "unknown_lead_columns: ignore"
)
_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Lead:
    """One good row: its values as in the file, by column, and the number that it means."""

    values: Mapping[str, str]
    phone: str


def as_csv(rows: Sequence[Lead]) -> bytes:
    """The rows as the dialer takes them, whatever their own file looks like."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows[0].values)
    writer.writerows(row.values.values() for row in rows)
    return text.getvalue().encode()


def leads(path: Path, campaign: Campaign, tenant: Tenant) -> Iterator[Lead | Reject]:
    """Every row, good or not. Raises OSError, and UnreadableFile where the file cannot be read on."""
    checks = _checks(campaign, tenant)
    seen: dict[str, int] = {}
    for item in _rows(path, campaign):
        row = [item] if isinstance(item, Reject) else check_row(item, checks)
        if not isinstance(row, Row):
            yield from row
        elif (first := seen.setdefault(row.phone, row.line)) != row.line:
            yield Reject(row.line, "phone", row.phone, f"duplicate of line {first}")
        elif isinstance(item, SheetRow):
            yield Lead(item.values, row.phone)


def wrong_leads(campaign: Campaign, tenant: Tenant) -> Iterator[Wrong]:
    """What is wrong with the campaign's file, by line; a file that cannot be read is told where it is named."""
    path = campaign.leads
    assert path is not None
    where = f"campaign {campaign.id}: leads"
    count = 0
    try:
        for row in leads(path, campaign, tenant):
            if isinstance(row, Reject):
                count += 1
                if count <= MOST_REJECTS:
                    yield _wrong(path, where, row)
    except OSError as error:
        yield Wrong(campaign.where("leads"), where, f"the file cannot be read ({error.strerror})", str(path))
    except UnreadableFile as failure:
        yield _wrong(path, where, failure.reject)
    if count > MOST_REJECTS:
        yield Wrong(Place(path.name, 1_000_000_000, 1), where, f"and {count - MOST_REJECTS} more wrong values")


def _wrong(path: Path, where: str, reject: Reject) -> Wrong:
    column = f": {reject.column}" if reject.column else ""
    return Wrong(Place(path.name, reject.line, 1), f"{where}{column}", reject.reason, reject.value, "; read ")


def _rows(path: Path, campaign: Campaign) -> Iterator[SheetRow | Reject]:
    reader = SheetReader(columns(campaign.lead_columns, campaign.unknown_lead_columns, REMEDY))
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield from reader.feed(piece)
    yield from reader.feed(b"", last=True)


def _checks(campaign: Campaign, tenant: Tenant) -> Checks:
    now = datetime.now(UTC)
    try:
        hours = parse(
            {"week": campaign.calling_hours, "holidays": campaign.holidays, "exceptions": campaign.exceptions}
        )
    except InvalidHours:  # told on its own, where it is written
        return Checks(tenant.region, tenant.time_zone, lambda _: True, tenant.allow_possible_numbers)

    @cache
    def ever_open(zones: tuple[str, ...]) -> bool:
        return next_open(hours, zones, now) is not None

    return Checks(tenant.region, tenant.time_zone, ever_open, tenant.allow_possible_numbers)
