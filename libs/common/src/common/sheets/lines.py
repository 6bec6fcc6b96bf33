"""The lines of a text of which nobody says in which encoding it is written."""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field
from typing import Final

import charset_normalizer

from common.sheets.faults import LONGEST_ROW, UnreadableFile

SAMPLE: Final = 16 * 1024
"""Bytes by which the encoding is chosen: of the beginning, and from the first character on that is not ASCII."""
SAVE_AS: Final = 'save it as "CSV UTF-8" in the spreadsheet program and send that'

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_ONE_BYTE: Final = ("cp1252", "mac_roman", "cp850")
"""What spreadsheet programs of western Europe write: on Windows, on the Mac, and in files from DOS."""
_ASCII: Final = bytes(range(128))
_OTHER_FILES: Final = (
    (b"PK\x03\x04", "an Excel or OpenDocument workbook"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"%PDF", "a PDF document"),
    (b"{\\rtf", "a text document (RTF)"),
)


@dataclass(slots=True)
class LineReader:
    """Turns pieces of bytes into numbered lines; holds no more than a sample and the last, unfinished line.

    Lines end in a line feed, a carriage return or both. The encoding is the one of the byte-order mark; else UTF-16
    where every second byte is zero; else UTF-8, if what is not ASCII is UTF-8; else the likeliest of Windows-1252, Mac
    OS Roman and code page 850.
    """

    encoding: str = "utf-8"
    """A codec's name; a guess until something is not ASCII."""
    _held: bytes = b""
    _begun: bool = False
    _decoder: codecs.IncrementalDecoder | None = None
    _rest: str = ""
    _line: int = 0
    _seen: bool = field(default=False)
    """Whether there was anything but blank lines."""

    def feed(self, piece: bytes, *, last: bool = False) -> list[tuple[int, str]]:
        """The lines that are complete now, numbered from 1. Raises UnreadableFile."""
        try:
            text = self._rest + self._decode(piece, last)
        except UnicodeDecodeError as failure:
            good = self._rest + failure.object[: failure.start].decode(self.encoding, "replace")
            raise UnreadableFile(self._line + len(_split(good)), self._broken(failure)) from None
        # A carriage return at the end may be half of a line's end.
        held = "\r" if text.endswith("\r") and not last else ""
        *complete, self._rest = _split(text[: len(text) - len(held)])
        self._rest += held
        if last and self._rest:
            complete.append(self._rest)
            self._rest = ""
        lines = list(enumerate(complete, self._line + 1))
        self._line += len(complete)
        for number, line in (*lines, (self._line + 1, self._rest)):
            self._check(number, line)
        return lines

    def _check(self, number: int, line: str) -> None:
        if not self._seen and line.strip():
            self._seen = True
            if line.lstrip().startswith("<"):
                raise UnreadableFile(number, f"the file is a web page or XML, not CSV: open it and {SAVE_AS}")
        if len(line) > LONGEST_ROW:
            raise UnreadableFile(number, f"longer than {LONGEST_ROW} characters")

    def _decode(self, piece: bytes, last: bool) -> str:
        if self._decoder is not None:
            return self._decoder.decode(piece, last)
        self._held += piece
        if not self._begun:
            if len(self._held) < SAMPLE and not last:
                return ""
            self._begin()
        if self._decoder is None and not self._held.isascii():
            self._choose(last)
        data = self._held
        if self._decoder is None:
            # Not ASCII, and too little of it yet: what stands before its line can be read.
            plain = len(data) if data.isascii() else _first_line_beyond_ascii(data)
            self._held = data[plain:]
            return data[:plain].decode("ascii")
        self._held = b""
        return self._decoder.decode(data, last)

    def _begin(self) -> None:
        """Look at the first bytes: a mark, zeros, or a file that is no text at all."""
        self._begun = True
        start = self._held
        for magic, kind in _OTHER_FILES:
            if start.startswith(magic):
                raise UnreadableFile(1, f"the file is {kind}, not CSV: open it and {SAVE_AS}")
        for mark, encoding in _MARKS:
            if start.startswith(mark):
                self._held = start[len(mark) :]
                self._take(encoding)
                return
        low, high = start[0::2].count(0), start[1::2].count(0)
        if not low and not high:
            return
        if min(low, high) * 4 > max(low, high) or max(low, high) * 4 < len(start) // 2:
            raise UnreadableFile(1, f"the file is no text (it has zero bytes): open it and {SAVE_AS}")
        self._take("utf-16-le" if high > low else "utf-16-be")

    def _choose(self, last: bool) -> None:
        """Choose between UTF-8 and the encodings of one byte, once there is enough that is not ASCII."""
        beyond = self._held[_first_line_beyond_ascii(self._held) :]
        if len(beyond) < SAMPLE and not last:
            return
        sample = beyond[:SAMPLE]
        text = codecs.getincrementaldecoder("utf-8")("replace").decode(sample, last and len(beyond) <= SAMPLE)
        wrong = text.count("\ufffd")
        # Where most is UTF-8, something else was pasted into it: told when it is met, and not read as gibberish.
        if sum(not character.isascii() for character in text) >= 2 * wrong:
            self._take("utf-8")
            return
        best = charset_normalizer.from_bytes(sample, cp_isolation=list(_ONE_BYTE), threshold=1.0).best()
        self._take(_ONE_BYTE[0] if best is None else best.encoding)

    def _take(self, encoding: str) -> None:
        self.encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()

    def _broken(self, failure: UnicodeDecodeError) -> str:
        if failure.reason in ("unexpected end of data", "truncated data"):
            return f"the file breaks off inside a character of {self.encoding}: send it again, whole"
        return f"a character is not {self.encoding}, in which the lines before are written: {SAVE_AS}"


def _first_line_beyond_ascii(data: bytes) -> int:
    """Where the line begins in which the first byte stands that is not ASCII. There must be one."""
    before = len(data) - len(data.lstrip(_ASCII))
    return max(data.rfind(b"\n", 0, before), data.rfind(b"\r", 0, before)) + 1


def _split(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
