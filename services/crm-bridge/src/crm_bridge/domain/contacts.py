"""Who a call is with."""

from __future__ import annotations

from dataclasses import dataclass

from common.caller_id import caller_id


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

    Routing has decided which numbers are known; here, what has a number's length is read as it did. A withheld or
    unreadable number gives an anonymous contact of this one caller, whose first call `call_id` is,
    wherever agents hand them on: nobody can be recognised by it, yet the case is worked on and billed like any other.
    """
    party = caller_id(phone, region, possible=True)
    return known(party.phone) if party.phone else ContactKey(f"call:{call_id}", None)
