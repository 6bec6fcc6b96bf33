"""Names of time zones."""

from __future__ import annotations

from functools import cache
from zoneinfo import available_timezones


@cache
def _names() -> frozenset[str]:
    return frozenset(available_timezones() - {"Factory", "localtime"})


def is_time_zone(name: str) -> bool:
    """Whether `name` is an IANA time zone, and so a place's: not `localtime`, which is another on every machine."""
    return name in _names()
