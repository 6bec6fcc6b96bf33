"""How numbers, days and times are written: the one grammar of requests, of their queries and of floor files.

Digits are 0 to 9 alone. Python and its libraries read more (`4_20`, `1e1`, full-width digits, a number as the seconds
since 1970), which a person or a spreadsheet means otherwise. Every reader raises ValueError, which says what was found
and how to write it.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time
from decimal import Decimal
from typing import Final

_WHOLE: Final = re.compile(r"-?[0-9]{1,18}")
_DECIMAL: Final = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME_OF_DAY: Final = re.compile(r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?")
_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_LOST_PLUS: Final = re.compile(r"(.*[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?) ([0-9]{2}:[0-9]{2})", re.ASCII)
_SHOWN: Final = 40


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def whole(text: str) -> int:
    """A whole number, such as 42."""
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{_shown(text)} is no whole number: write its digits alone, such as 42")
    return int(text)


def decimal(text: str) -> Decimal:
    """A decimal number exactly as written, such as 4.20."""
    if not _DECIMAL.fullmatch(text):
        raise ValueError(f"{_shown(text)} is no number: write digits, and a point if need be, such as 4.20")
    return Decimal(text)


def day(text: str) -> date:
    """A calendar day, such as 2026-11-28."""
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError(f"{_shown(text)} is no day: write year, month and day, such as 2026-11-28")


def time_of_day(text: str) -> time:
    """A time of day by the clock on the wall, such as 09:30."""
    try:
        if _TIME_OF_DAY.fullmatch(text):
            return time.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError(f"{_shown(text)} is no time of day: write hours and minutes, such as 09:30")


def moment(text: str) -> datetime:
    """A moment as RFC 3339 writes it, with its difference from UTC, such as 2026-11-28T10:00:00+01:00."""
    try:
        if _MOMENT.fullmatch(text):
            return datetime.fromisoformat(text.upper())
    except ValueError:
        pass
    raise ValueError(
        f"{_shown(text)} is no moment: write day, time and difference from UTC, such as 2026-11-28T10:00:00+01:00 or "
        "2026-11-28T09:00:00Z"
    )


def with_its_plus(text: str) -> str:
    """A moment from a query whose `+` was not percent-encoded, and so arrived as a blank, with the plus again. A blank
    can mean nothing else there. Any other text as it is."""
    return _LOST_PLUS.sub(r"\1+\2", text)


def truth(text: str) -> bool:
    """`true` or `false`."""
    if text not in ("true", "false"):
        raise ValueError(f"{_shown(text)} is neither true nor false")
    return text == "true"
