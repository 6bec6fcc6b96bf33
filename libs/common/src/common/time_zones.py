"""Time zones are places: a city's clock has the summer time of its country, whatever the law makes of it.

By the data of the tz database (the package `tzdata`): a time zone is a place that `zone.tab` lists, or an older name of
one with an area before it (`Asia/Calcutta`, `US/Eastern`, `Brazil/East`), and `UTC`. None: abbreviations and offsets
(`EST`, `CET`, `EST5EDT`, `Etc/GMT+5`), which keep no place's summer time; other spellings of UTC (`Etc/UTC`, `Zulu`);
names without an area (`Japan`, `GB`), which nothing in the data tells from abbreviations; `localtime`, `Factory`.
"""

from __future__ import annotations

import difflib
from functools import cache
from importlib.resources import files

UTC = "UTC"


def is_time_zone(name: str) -> bool:
    """Whether `name` is the IANA name of a place, or UTC."""
    return name == UTC or name in _places()


def zones_of_region(region: str) -> tuple[str, ...]:
    """The time zones of a region (ISO 3166) by tzdata's zone.tab; none for one that it does not know."""
    return _by_region().get(region, ())


def remedy(name: str) -> str:
    """What to write instead of a name that is no time zone here."""
    meant = _meant_by(name)
    if meant == f"Etc/{UTC}" or name.upper() == UTC:
        return f"write {UTC}"
    # An abbreviation in capitals is linked to the one place that never changes its clock, which is seldom meant.
    if meant not in _places() or name.isupper():
        meant = next(iter(difflib.get_close_matches(name, _places(), n=1)), "Europe/Paris")
    return f"name a city, such as {meant}"


@cache
def _places() -> frozenset[str]:
    listed = {zone for zones in _by_region().values() for zone in zones}
    return frozenset(listed | {name for name in _links() if "/" in name and _meant_by(name) in listed})


@cache
def _by_region() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for row in _lines("zone.tab"):
        if not row.startswith("#"):
            region, _, zone, *_ = row.split("\t")
            found[region] = (*found.get(region, ()), zone)
    return found


@cache
def _links() -> dict[str, str]:
    """Other names, each with the name that it stands for."""
    rows = (row.split() for row in _lines("tzdata.zi") if row.startswith("L "))
    return {name: target for _, target, name in rows}


def _meant_by(name: str) -> str:
    while name in _links():
        name = _links()[name]
    return name


def _lines(file: str) -> list[str]:
    return (files("tzdata") / "zoneinfo" / file).read_text(encoding="utf-8").splitlines()
