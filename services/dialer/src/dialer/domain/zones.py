"""In which time zones a phone number may ring."""

from __future__ import annotations

from functools import lru_cache

import phonenumbers
from common.time_zones import is_time_zone
from phonenumbers import timezone

SEPARATOR = ","
"""Between the zones of a set in its written form."""


def zones_of(phone: str, given: str | None, fallback: str) -> tuple[str, ...]:
    """All time zones in which the person with this E.164 number may be, sorted; never empty.

    `given` is what the lead's file says and then the only one. Else those that the numbering plan names: several when
    the number does not tell them apart (mobile numbers of +262 are Mayotte's or Réunion's). Else `fallback`.
    """
    if given is not None:
        return (given,)
    return _by_number(phone) or (fallback,)


def _by_number(phone: str) -> tuple[str, ...]:
    number = phonenumbers.parse(phone)
    names = _known(tuple(timezone.time_zones_for_number(number)))
    # A number outside the assigned ranges has no type; its prefix still tells where it would ring.
    return names or _known(tuple(timezone.time_zones_for_geographical_number(number)))


@lru_cache(maxsize=4096)
def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(name for name in names if is_time_zone(name)))
