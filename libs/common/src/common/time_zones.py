"""Names of time zones."""

from __future__ import annotations

from functools import cache
from importlib import resources
from zoneinfo import available_timezones


@cache
def _names() -> frozenset[str]:
    return frozenset(available_timezones() - {"Factory", "localtime"})


def is_time_zone(name: str) -> bool:
    """Whether `name` is an IANA time zone, and so a place's: not `localtime`, which is another on every machine."""
    return name in _names()


def zones_of_region(region: str) -> tuple[str, ...]:
    """The time zones of a region (ISO 3166) by tzdata's zone.tab; none for one that it does not know."""
    return _by_region().get(region, ())


@cache
def _by_region() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for line in resources.files("tzdata").joinpath("zoneinfo", "zone.tab").read_text("utf-8").splitlines():
        if not line.startswith("#"):
            region, _, zone, *_ = line.split("\t")
            found[region] = (*found.get(region, ()), zone)
    return found
