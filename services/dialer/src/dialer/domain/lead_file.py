"""The CSV file of a campaign's leads: read piece by piece, checked row by row.

UTF-8 (a byte-order mark is skipped), comma or semicolon (as the header has it), RFC 4180 quotes, one row per line: a
field may not contain a line break. Columns: phone, and optionally name, time_zone, external_id, in any order.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from common.phone import InvalidPhone, normalise
from common.time_zones import is_time_zone, remedy

from dialer.domain.zones import zones_of

COLUMNS: Final = ("phone", "name", "time_zone", "external_id")
NAME_LENGTH: Final = 200
EXTERNAL_ID_LENGTH: Final = 100
LINE_LENGTH: Final = 10_000
"""Characters; a longer line is no list of leads, and would have to be held in memory."""

_SHOWN: Final = 80
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class UnreadableFile(ValueError):
    """The file cannot be read on: nothing can be said of the lines that follow."""

    def __init__(self, line: int, reason: str, *, column: str = "", value: str = "") -> None:
        super().__init__(f"line {line}: {reason}")
        self.reject = Reject(line, column, value, reason)


@dataclass(frozen=True, slots=True)
class Reject:
    """One wrong value: `column` is empty when the row as a whole is wrong."""

    line: int
    column: str
    value: str
    reason: str


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


@dataclass(slots=True)
class LineReader:
    """Turns pieces of bytes into numbered lines; holds no more than the last, unfinished line."""

    _decoder: io.IncrementalNewlineDecoder = field(
        default_factory=lambda: io.IncrementalNewlineDecoder(
            codecs.getincrementaldecoder("utf-8-sig")(), translate=True
        )
    )
    _rest: str = ""
    _line: int = 0

    def feed(self, piece: bytes, *, last: bool = False) -> list[tuple[int, str]]:
        """The lines that are complete now, numbered from 1. Raises UnreadableFile."""
        try:
            text = self._rest + self._decoder.decode(piece, final=last)
        except UnicodeDecodeError as failure:
            broken = self._line + 1 + failure.object[: failure.start].count(b"\n")
            raise UnreadableFile(broken, f"not UTF-8 from here on ({failure.reason})") from None
        *complete, self._rest = text.split("\n")
        if last and self._rest:
            complete.append(self._rest)
            self._rest = ""
        lines = list(enumerate(complete, self._line + 1))
        self._line += len(complete)
        for number, line in (*lines, (self._line + 1, self._rest)):
            if len(line) > LINE_LENGTH:
                raise UnreadableFile(number, f"longer than {LINE_LENGTH} characters")
        return lines


@dataclass(frozen=True, slots=True)
class Header:
    """The columns of a file, in its order."""

    columns: tuple[str, ...]
    delimiter: str

    @classmethod
    def parse(cls, number: int, line: str) -> Header:
        """Read the first line. Raises UnreadableFile naming a missing, unknown or repeated column."""
        delimiter = ";" if ";" in line and "," not in line else ","
        try:
            columns = tuple(name.strip().lower() for name in _split(line, delimiter))
        except csv.Error as failure:
            raise UnreadableFile(number, f"not a CSV row: {failure}", value=_shown(line)) from None
        for name in columns:
            if name not in COLUMNS:
                reason = f"unknown column; columns are {', '.join(COLUMNS)}"
                raise UnreadableFile(number, reason, column=_shown(name), value=_shown(name))
            if columns.count(name) > 1:
                raise UnreadableFile(number, "the column is there twice", column=name, value=name)
        if "phone" not in columns:
            raise UnreadableFile(number, "the column phone is missing", column="phone")
        return cls(columns, delimiter)


def check_row(number: int, line: str, header: Header, checks: Checks) -> Row | list[Reject]:
    """A good row, or everything that is wrong with it."""
    try:
        values = _split(line, header.delimiter)
    except csv.Error as failure:
        return [Reject(number, "", _shown(line), f"not a CSV row: {failure}")]
    if len(values) != len(header.columns):
        return [Reject(number, "", _shown(line), f"{len(values)} fields instead of {len(header.columns)}")]
    given = {name: value.strip() for name, value in zip(header.columns, values, strict=True)}
    rejects = [
        Reject(number, name, _shown(value), "has control characters")
        for name, value in given.items()
        if _CONTROL.search(value)
    ]
    if rejects:
        return rejects
    name, zone, external_id = (given.get(column) or None for column in ("name", "time_zone", "external_id"))
    for column, value, longest in (("name", name, NAME_LENGTH), ("external_id", external_id, EXTERNAL_ID_LENGTH)):
        if value is not None and len(value) > longest:
            rejects.append(Reject(number, column, _shown(value), f"longer than {longest} characters"))
    if zone is not None and not is_time_zone(zone):
        rejects.append(Reject(number, "time_zone", _shown(zone), f"no time zone of a place: {remedy(zone)}"))
    try:
        phone = normalise(given["phone"], checks.region, possible=checks.allow_possible_numbers)
    except InvalidPhone as wrong:
        rejects.append(Reject(number, "phone", _shown(given["phone"]), str(wrong)))
    if rejects:
        return rejects
    zones = zones_of(phone, zone, checks.time_zone)
    if not checks.ever_open(zones):
        place = zones[0] if len(zones) == 1 else f"all of {len(zones)} possible time zones at once"
        return [Reject(number, "time_zone", _shown(zone or ""), f"calling hours are never open in {place}; name one")]
    return Row(number, phone, name, zones, external_id)


def _split(line: str, delimiter: str) -> list[str]:
    return next(csv.reader((line,), delimiter=delimiter, strict=True), [])


def _shown(value: str) -> str:
    return value if len(value) <= _SHOWN else value[: _SHOWN - 1] + "…"
