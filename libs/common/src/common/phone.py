"""Phone numbers as E.164."""

from __future__ import annotations

import phonenumbers


class InvalidPhone(ValueError):
    """Not a possible phone number. The message never holds the whole number."""


def normalise(text: str, region: str | None = None) -> str:
    """The number in E.164, `+33639980001`. `region` (ISO 3166, "FR") reads national numbers.

    Raises InvalidPhone. Numbers that are possible but not assigned are accepted: numbering plans change.
    """
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        raise InvalidPhone(f"not a phone number: {mask(text)!r}") from None
    if not phonenumbers.is_possible_number(number) or number.extension:
        raise InvalidPhone(f"not a possible phone number: {mask(text)!r}")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def mask(phone: str) -> str:
    """What may stand in a log or an error: the first and the last three characters."""
    if len(phone) <= 6:
        return "•" * len(phone)
    return f"{phone[:3]}{'•' * (len(phone) - 6)}{phone[-3:]}"
