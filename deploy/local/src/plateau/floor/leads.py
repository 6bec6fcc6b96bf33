"""A campaign's leads file, read by the very rules by which the dialer imports it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

from common.hours import InvalidHours, parse
from dialer.domain.hours import next_open
from dialer.domain.lead_file import Checks, Header, LineReader, Reject, Row, UnreadableFile, check_row

from plateau.floor.document import Place, Wrong
from plateau.floor.model import Campaign, Tenant

MOST_REJECTS: Final = 50
"""More wrong rows of one file are counted, not listed."""
_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Lead:
    """One good row: its text as in the file, and the number that it means."""

    text: str
    phone: str


def header_of(path: Path) -> str:
    """The line that names the columns."""
    with path.open(encoding="utf-8-sig") as file:
        return next(line.rstrip("\r\n") for line in file if line.strip())


def leads(path: Path, campaign: Campaign, tenant: Tenant) -> Iterator[Lead | Reject]:
    """Every row, good or not. Raises OSError, and UnreadableFile where the file cannot be read on."""
    checks = _checks(campaign, tenant)
    header: Header | None = None
    seen: dict[str, int] = {}
    for number, line in _lines(path):
        if not line.strip():
            continue
        if header is None:
            header = Header.parse(number, line)
            continue
        row = check_row(number, line, header, checks)
        if not isinstance(row, Row):
            yield from row
        elif (first := seen.setdefault(row.phone, number)) != number:
            yield Reject(number, "phone", row.phone, f"duplicate of line {first}")
        else:
            yield Lead(line, row.phone)
    if header is None:
        raise UnreadableFile(1, "the file is empty; its first line names the columns", column="phone")


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


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    reader = LineReader()
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
