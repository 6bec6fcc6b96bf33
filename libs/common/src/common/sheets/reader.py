"""Rows of a sheet: separators, quoted cells and the lines on which rows begin."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from common.sheets.faults import LONGEST_ROW, Reject, UnreadableFile, shown
from common.sheets.headings import Columns, Taken
from common.sheets.lines import LineReader

SEPARATORS: Final = (";", ",", "\t", "|")

_SAMPLE_LINES: Final = 20
_SEP: Final = re.compile(r'"?sep=(.)"?[;,\t|]*', re.IGNORECASE)
_AS_TEXT: Final = re.compile(r'="(.*)"', re.DOTALL)
"""How a cell is written so that a spreadsheet takes it as text."""
_ENCODINGS: Final[Mapping[str, str]] = {
    "cp1252": "windows-1252",
    "mac_roman": "macintosh",
    "cp850": "ibm850",
    "utf-16-le": "utf-16le",
    "utf-16-be": "utf-16be",
    "utf-32-le": "utf-32le",
    "utf-32-be": "utf-32be",
}


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One whole row: the values of the columns that are taken, without blanks around them; `line` is its first."""

    line: int
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ReadAs:
    """How a file was understood."""

    encoding: str
    """By its IANA name."""
    separator: str
    columns: Mapping[str, str]
    """Headings by column."""
    left_out: tuple[str, ...]
    """Headings that were not taken."""


@dataclass(slots=True)
class SheetReader:
    """Reads a list that a spreadsheet program saved as CSV, piece by piece; holds a sample and one row.

    The separator is the one of a first line `sep=;`, else the one by which headings are recognised. Rows of separators
    only are skipped. A value is never part of a cell: a row with too many or too few cells is rejected, and where
    quotation marks do not fit nobody can tell where cells end, so that such a file must not be taken, not even in part
    (`sound`).
    """

    columns: Columns
    sound: bool = True
    _lines: LineReader = field(default_factory=LineReader)
    _waiting: list[tuple[int, str]] = field(default_factory=list)
    _separator: str | None = None
    _taken: Taken | None = None
    _open: list[str] = field(default_factory=list)
    """Lines of a row with a quoted cell that goes on."""
    _start: int = 0
    _size: int = 0
    """Of the row: where it began, and its characters so far."""

    @property
    def read_as(self) -> ReadAs | None:
        """How the file is understood; None before its headings were read."""
        if self._taken is None or self._separator is None:
            return None
        encoding = _ENCODINGS.get(self._lines.encoding, self._lines.encoding)
        return ReadAs(encoding, self._separator, self._taken.headings, self._taken.left_out)

    def feed(self, piece: bytes, *, last: bool = False) -> list[SheetRow | Reject]:
        """The rows that are complete now, good or rejected. Raises UnreadableFile."""
        lines = self._lines.feed(piece, last=last)
        if self._separator is None:
            self._waiting += lines
            size = sum(len(line) for _, line in self._waiting)
            if not last and len(self._waiting) < _SAMPLE_LINES and size < LONGEST_ROW:
                return []
            lines, self._waiting = self._after_sep_line(self._waiting), []
            if self._separator is None:
                self._separator = _separator_of([line for _, line in lines[:_SAMPLE_LINES]], self.columns)
        found = list(self._read(lines, self._separator))
        if last and self._open:
            raise _unclosed(self._start)
        if last and self._taken is None:
            raise UnreadableFile(1, "the file is empty; its first line names the columns", column=self.columns.required)
        return found

    def _after_sep_line(self, lines: list[tuple[int, str]]) -> list[tuple[int, str]]:
        """Take the separator from a first line `sep=;`; the lines that follow it."""
        first = next((index for index, (_, line) in enumerate(lines) if line.strip()), None)
        named = None if first is None else _SEP.fullmatch(lines[first][1].rstrip(" "))
        if first is None or named is None:
            return lines
        if named[1] not in SEPARATORS:
            reason = f"cells cannot be separated by {named[1]!r}: use a semicolon, comma, tab or |"
            raise UnreadableFile(lines[first][0], reason, value=shown(lines[first][1]))
        self._separator = named[1]
        return lines[first + 1 :]

    def _read(self, lines: Iterable[tuple[int, str]], separator: str) -> Iterator[SheetRow | Reject]:
        for number, line in lines:
            if self._goes_on(number, line, separator) or not self._open:
                continue
            try:
                cells = _cells(self._open, separator)
            except csv.Error:
                if len(self._open) > 1 or self._taken is None:
                    raise _unclosed(self._start) from None
                self.sound = False
                reason = 'text follows the closing quotation mark of a cell: write a mark inside a cell twice ("")'
                yield Reject(number, "", shown(line), reason)
            else:
                yield from self._row(cells)
            self._open.clear()

    def _goes_on(self, number: int, line: str, separator: str) -> bool:
        """Add a line to the row; whether a quoted cell goes on in the next one. Raises UnreadableFile when it goes on
        for too long."""
        if self._open:
            # Inside a quoted cell, a line means what it would mean behind a mark that opens one.
            is_open = '"' not in line or _is_open(f'"{line}', separator)
        elif not line or line.isspace():
            return False
        else:
            self._start, self._size = number, 0
            is_open = '"' in line and _is_open(line, separator)
        self._open.append(line)
        self._size += len(line) + 1
        if is_open and self._size > LONGEST_ROW:
            raise _unclosed(self._start)
        return is_open

    def _row(self, cells: list[str]) -> Iterator[SheetRow | Reject]:
        if not any(cells):
            return
        if self._taken is None:
            self._taken = self.columns.take(self._start, cells)
            return
        taken = self._taken
        if len(cells) < taken.width or any(cells[taken.width :]):
            reason = (
                f"{len(cells)} cells instead of {taken.width}: put a cell that has a separator or a line break in it "
                "in quotation marks"
            )
            yield Reject(self._start, "", shown("\n".join(self._open)), reason)
            return
        for index in taken.unnamed:
            if cells[index]:
                reason = f"cell {index + 1} has a value, and the column no heading: {self.columns.remedy}"
                yield Reject(self._start, "", shown(cells[index]), reason)
                return
        yield SheetRow(self._start, {column: cells[index] for column, index in taken.positions.items()})


def _separator_of(lines: list[str], columns: Columns) -> str:
    """The separator by which most headings are recognised; where that does not tell, the csv module's guess."""
    recognised: dict[str, int] = {}
    widths: dict[str, int] = {}
    for separator in SEPARATORS:
        headings = _first_cells(lines, separator)
        recognised[separator] = len({columns.column(heading) for heading in headings if heading} - {None})
        widths[separator] = len(headings)
    most = max(recognised.values())
    likely = [separator for separator in SEPARATORS if recognised[separator] == most]
    if len(likely) == 1:
        return likely[0]
    try:
        return csv.Sniffer().sniff("\n".join(lines)[:LONGEST_ROW], delimiters="".join(likely)).delimiter
    except csv.Error:
        return max(likely, key=lambda separator: widths[separator])


def _first_cells(lines: list[str], separator: str) -> list[str]:
    """The cells of the first row that has any; none when quotation marks do not fit."""
    begun: list[str] = []
    for line in lines:
        begun.append(line)
        try:
            cells = _cells(begun, separator)
        except csv.Error:
            continue
        if any(cells):
            return cells
        begun.clear()
    return []


def _cells(lines: list[str], separator: str) -> list[str]:
    """The cells of one row, stripped. Raises csv.Error when quotation marks do not fit, or are not closed yet."""
    text = [f"{line}\n" for line in lines]
    row = next(csv.reader(text, delimiter=separator, strict=True, skipinitialspace=True), [])
    return [_plain(cell) for cell in row]


def _plain(cell: str) -> str:
    cell = cell.strip()
    if cell.startswith("="):
        as_text = _AS_TEXT.fullmatch(cell)
        if as_text is not None:
            return as_text[1].replace('""', '"').strip()
    return cell


def _is_open(line: str, separator: str) -> bool:
    """Whether a quoted cell goes on in the next line: what is read so far of it ends with the line's own end."""
    row = next(csv.reader((f"{line}\n",), delimiter=separator, skipinitialspace=True), [])
    return bool(row) and row[-1].endswith("\n")


def _unclosed(line: int) -> UnreadableFile:
    return UnreadableFile(
        line,
        "a quotation mark opens a cell in this row and does not close it in time: close it, or write a mark inside a "
        'cell twice ("")',
    )
