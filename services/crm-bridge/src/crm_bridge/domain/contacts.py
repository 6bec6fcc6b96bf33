"""Who a call is with."""

from __future__ import annotations

import re
from dataclasses import dataclass

from common.phone import InvalidPhone, normalise

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


@dataclass(frozen=True, slots=True)
class ContactKey:
    """What makes a contact one within its tenant. `phone` is E.164, or None for a caller who withheld it."""

    key: str
    phone: str | None


def known(phone: str) -> ContactKey:
    """The contact with this E.164 number."""
    return ContactKey(phone, phone)


def of_call(phone: str, call_id: str, region: str) -> ContactKey:
    """The contact of a call whose other party showed `phone`.

    A withheld or unreadable number gives an anonymous contact of this one caller, whose first call `call_id` is,
    wherever agents hand them on: nobody can be recognised by it, yet the case is worked on and billed like any other.
    """
    if _E164.fullmatch(phone):
        return known(phone)
    if phone:
        try:
            return known(normalise(phone, region))
        except InvalidPhone:
            pass
    return ContactKey(f"call:{call_id}", None)
