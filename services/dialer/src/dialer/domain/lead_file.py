"""The file of a campaign's leads, checked row by row: how it is read, `common.sheets` says.

Columns: phone, and optionally name, first_name (put before the name), time_zone, external_id, in any order, by these
names or by the headings that are known for them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from common.phone import InvalidPhone, normalise
from common.sheets import Columns, Reject, SheetRow, shown
from common.time_zones import is_time_zone, remedy

from dialer.domain.zones import zones_of

COLUMNS: Final = ("phone", "name", "first_name", "time_zone", "external_id")
NAME_LENGTH: Final = 200
EXTERNAL_ID_LENGTH: Final = 100

UnknownColumns = Literal["refuse", "ignore"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Row:
    """One good row: `phone` in E.164, `zones` as from `zones_of`."""

    line: int
    phone: str
    name: str | None
    zones: tuple[str, ...]
    external_id: str | None


@dataclass(frozen=True, slots=True)
class Checks:
    """What rows are checked against."""

    region: str
    """ISO 3166: how national phone numbers are read."""
    time_zone: str
    """For numbers that name none."""
    ever_open: Callable[[tuple[str, ...]], bool]
    """Whether the campaign's calling hours are ever open in all of these time zones at once."""
    allow_possible_numbers: bool = False


def columns(mapping: Mapping[str, str], unknown: UnknownColumns, remedy: str) -> Columns:
    """What is taken of a file. `mapping`: headings by column, then no others; `remedy`: how to say so."""
    return Columns(COLUMNS, "phone", mapping, unknown == "ignore", remedy)


def check_row(row: SheetRow, checks: Checks) -> Row | list[Reject]:
    """A good row, or everything that is wrong with it."""
    # A name may stand on several lines of its cell.
    names = {column: _SPACES.sub(" ", row.values.get(column, "")) for column in ("first_name", "name")}
    given = {**row.values, **{column: name for column, name in names.items() if name}}
    rejects = [
        Reject(row.line, column, shown(value), "has a line break or control character: take it out")
        for column, value in given.items()
        if column != "phone" and _CONTROL.search(value)
    ]
    name = " ".join(filter(None, names.values())) or None
    zone, external_id = (given.get(column) or None for column in ("time_zone", "external_id"))
    for column, value, longest in (("name", name, NAME_LENGTH), ("external_id", external_id, EXTERNAL_ID_LENGTH)):
        if value is not None and len(value) > longest:
            rejects.append(Reject(row.line, column, shown(value), f"longer than {longest} characters: shorten it"))
    if zone is not None and not is_time_zone(zone):
        rejects.append(Reject(row.line, "time_zone", shown(zone), f"no time zone of a place: {remedy(zone)}"))
    try:
        phone = normalise(given["phone"], checks.region, possible=checks.allow_possible_numbers)
    except InvalidPhone as wrong:
        rejects.append(Reject(row.line, "phone", shown(given["phone"]), str(wrong)))
    if rejects:
        return rejects
    zones = zones_of(phone, zone, checks.time_zone)
    if not checks.ever_open(zones):
        place = zones[0] if len(zones) == 1 else f"all of {len(zones)} possible time zones at once"
        return [Reject(row.line, "time_zone", shown(zone or ""), f"calling hours are never open in {place}; name one")]
    return Row(row.line, phone, name, zones, external_id)
