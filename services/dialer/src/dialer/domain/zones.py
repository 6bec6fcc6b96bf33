"""In which time zones a phone number may ring."""

from __future__ import annotations

from functools import lru_cache

import phonenumbers
from common.phone import regions_of
from common.time_zones import is_time_zone, zones_of_region
from phonenumbers import timezone

SEPARATOR = ","
"""Between the zones of a set in its written form."""


def zones_of(phone: str, given: str | None, fallback: str) -> tuple[str, ...]:
    """All time zones in which the person with this E.164 number may be, sorted; never empty.

    `given` is what the lead's file says and then the only one. Else those that the numbering plan names: several when
    the number does not tell them apart (mobile numbers of Australia ring in each of its zones). Where regions share a
    code and the number is of one of them (of +262, 692 is Réunion's and 639 Mayotte's), the zones are that region's.
    Else `fallback`.
    """
    if given is not None:
        return (given,)
    return _by_number(phone) or (fallback,)


def _by_number(phone: str) -> tuple[str, ...]:
    number = phonenumbers.parse(phone)
    names = _known(tuple(timezone.time_zones_for_number(number)))
    # A number outside the assigned ranges has no type; its prefix still tells where it would ring.
    names = names or _known(tuple(timezone.time_zones_for_geographical_number(number)))
    regions = regions_of(phone) if len(names) > 1 else ()
    own = zones_of_region(regions[0]) if len(regions) == 1 else ()
    return tuple(name for name in names if name in own) or names


@lru_cache(maxsize=4096)
def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(name for name in names if is_time_zone(name)))
