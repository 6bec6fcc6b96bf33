"""A file of calls, one row per call, in the format in which the Technion published those of a bank's call centre.

Columns: vru_line, call_id, customer_id, priority, type, date, vru_entry, vru_exit, vru_time, q_start, q_exit, q_time,
outcome, ser_start, ser_exit, ser_time, server. Times of day are h:mm:ss and 0:00:00 means none; a call that passes
midnight keeps the date on which it began. Durations are seconds.

What of it is offered to our queues:

* a call with a queue entry, at its queue entry;
* a call that an agent took at once, when it left the voice menu;
* not a call that hung up inside the voice menu (outcome HANG, never queued): it never asked for an agent;
* not a PHANTOM, which the publishers say is no real call.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from common import spelling
from common.errors import PlateauError

COLUMNS: Final = (
    "vru_line", "call_id", "customer_id", "priority", "type", "date", "vru_entry", "vru_exit", "vru_time",
    "q_start", "q_exit", "q_time", "outcome", "ser_start", "ser_exit", "ser_time", "server",
)  # fmt: skip
NOBODY: Final = "NO_SERVER"
UNKNOWN_CUSTOMER: Final = "0"
LONGEST_CALL: Final = timedelta(hours=12)
"""What ends earlier in the day than it began has passed midnight, if it then lasted no longer than this."""


class InvalidCallFile(PlateauError):
    """A row cannot be read; the text names file, line, column and value."""


class Outcome(StrEnum):
    """What became of the call, in the file's words."""

    AGENT = "AGENT"
    HANG = "HANG"
    PHANTOM = "PHANTOM"


@dataclass(frozen=True, slots=True, kw_only=True)
class PastCall:
    """One row. Times are aware; `arrival` is when it would be offered to a queue of ours."""

    number: int
    """Its place in the file, from 1: unlike the file's own ids, unique."""
    day: date
    service_type: str
    priority: int
    customer: str | None
    """None when the file does not know who called."""
    outcome: Outcome
    arrival: datetime
    queued: bool
    wait_seconds: float
    """Time in the queue; 0 when it never waited."""
    service_start: datetime | None
    service_seconds: float
    server: str | None

    @property
    def offered(self) -> bool:
        """Whether it is offered to a queue of ours."""
        return self.outcome is Outcome.AGENT or (self.outcome is Outcome.HANG and self.queued)

    @property
    def answered(self) -> bool:
        return self.outcome is Outcome.AGENT

    @property
    def service_end(self) -> datetime | None:
        return None if self.service_start is None else self.service_start + timedelta(seconds=self.service_seconds)


def read_calls(path: Path, zone: ZoneInfo) -> Iterator[PastCall]:
    """The rows in their order. Raises InvalidCallFile, or OSError."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, strict=True)
        missing = [column for column in COLUMNS if column not in (rows.fieldnames or ())]
        if missing:
            raise InvalidCallFile(f"{path}:1: column {missing[0]} is missing")
        number = 0
        try:
            for row in rows:
                number += 1
                yield _Row(path, rows.line_num, row, zone).call(number)
        except csv.Error as wrong:
            raise InvalidCallFile(f"{path}:{rows.line_num}: {wrong}") from None


class _Row:
    """One row being read."""

    def __init__(self, path: Path, line: int, row: Mapping[str, str | None], zone: ZoneInfo) -> None:
        self._path = path
        self._line = line
        self._row = row
        self._zone = zone

    def call(self, number: int) -> PastCall:
        day = self._day()
        outcome = self._outcome()
        menu_exit = self._time("vru_exit")
        queue_entry, service_entry = self._time("q_start"), self._time("ser_start")
        first = queue_entry if queue_entry is not None else menu_exit
        began = self._moment(day, self._time("vru_entry") or timedelta(0))
        # Without any time of its own the call was offered at midnight, which the format cannot tell from "none".
        arrival = self._after(began, day, first) if first is not None else began
        service_start = None if service_entry is None else self._after(began, day, service_entry)
        server = self._text("server")
        return PastCall(
            number=number,
            day=day,
            service_type=self._text("type"),
            priority=int(self._seconds("priority")),
            customer=None if self._text("customer_id") == UNKNOWN_CUSTOMER else self._text("customer_id"),
            outcome=outcome,
            arrival=arrival,
            queued=queue_entry is not None,
            wait_seconds=self._seconds("q_time") if queue_entry is not None else 0.0,
            service_start=service_start,
            service_seconds=self._seconds("ser_time") if service_start is not None else 0.0,
            server=None if server == NOBODY else server,
        )

    def _wrong(self, column: str, value: str | None, expected: str) -> InvalidCallFile:
        return InvalidCallFile(f"{self._path}:{self._line}: {column} is {value!r}, not {expected}")

    def _text(self, column: str) -> str:
        value = self._row[column]
        if value is None or not value.strip():
            raise self._wrong(column, value, "filled in")
        return value.strip()

    def _day(self) -> date:
        value = self._text("date")
        try:
            return spelling.day(value)
        except ValueError:
            raise self._wrong("date", value, "a date like 1999-08-01") from None

    def _outcome(self) -> Outcome:
        value = self._text("outcome")
        try:
            return Outcome(value)
        except ValueError:
            raise self._wrong("outcome", value, "AGENT, HANG or PHANTOM") from None

    def _seconds(self, column: str) -> float:
        value = self._text(column)
        try:
            seconds = float(spelling.decimal(value))
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds < 86_400:
            raise self._wrong(column, value, "a number from 0 to 86399")
        return seconds

    def _time(self, column: str) -> timedelta | None:
        """Time since midnight; None when there is none."""
        value = self._text(column)
        parts = value.split(":")
        if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
            raise self._wrong(column, value, "a time like 9:05:00")
        hours, minutes, seconds = map(int, parts)
        if hours > 23 or minutes > 59 or seconds > 59:
            raise self._wrong(column, value, "a time of day")
        return timedelta(hours=hours, minutes=minutes, seconds=seconds) or None

    def _moment(self, day: date, time: timedelta) -> datetime:
        # By the clock on the wall: a day of 23 hours has no 24th, and the file's times are those of the wall.
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - the zone is put on below
        return (midnight + time).replace(tzinfo=self._zone)

    def _after(self, began: datetime, day: date, time: timedelta) -> datetime:
        moment = self._moment(day, time)
        if moment < began and began - moment > LONGEST_CALL:
            return self._moment(day + timedelta(days=1), time)
        return moment
