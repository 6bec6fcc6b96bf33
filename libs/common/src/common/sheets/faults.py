"""What is wrong with a sheet, by the lines of its file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LONGEST_ROW: Final = 10_000
"""Characters; a longer row is no list of persons, and would have to be held in memory."""

_SHOWN: Final = 80


@dataclass(frozen=True, slots=True)
class Reject:
    """One wrong value: `line` counts the file's lines from 1, where the row begins; `column` is empty when the row as a
    whole is wrong."""

    line: int
    column: str
    value: str
    reason: str


class UnreadableFile(ValueError):
    """The file cannot be read on: nothing can be said of the lines that follow."""

    def __init__(self, line: int, reason: str, *, column: str = "", value: str = "") -> None:
        super().__init__(f"line {line}: {reason}")
        self.reject = Reject(line, column, value, reason)


def shown(value: str) -> str:
    """A value as far as a message shows it."""
    return value if len(value) <= _SHOWN else value[: _SHOWN - 1] + "…"
