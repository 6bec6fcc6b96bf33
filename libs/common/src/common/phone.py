"""Phone numbers as E.164: what an operator, a file or a person typed. What a network shows: `common.caller_id`.

The library's parser reads free text: it turns letters into digits and skips what it does not know. So a text is
checked here first: it is one number and nothing else, or it is refused with what is wrong and what to do.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from typing import Final

import phonenumbers
from phonenumbers import CountryCodeSource, PhoneNumber, PhoneNumberFormat, PhoneNumberType, ValidationResult

DEFAULT_REGION: Final = "FR"
"""Of tenants that name none."""

COUNTRIES_IN_PARTS: Final = (("FR", "BL", "GF", "GP", "MF", "MQ", "NC", "PF", "PM", "RE", "WF", "YT"),)
"""Regions of one country, the mainland first, that have country calling codes of their own and write each other's
numbers without them.

Source: ISO 3166-2, subdivisions of a country that ISO 3166-1 gives a code too; Arcep decisions 2006-0509 and 2018-0881:
one national plan for +33 and the codes overseas (02 62, 06 92 and 06 93 Réunion, 05 96 Martinique …). Parts that share
the country's calling code need no entry: the library tells them apart.
"""

FICTION: Final = re.compile(r"\+3363998\d{4}|\+(?:447700900|441632960)\d{3}")
"""Ranges that a regulator keeps for fiction and that the library does not know: nobody has these numbers.

Sources: Arcep decision 2018-0881, annex 1 (06 39 98 xx xx); Ofcom, telephone numbers for use in TV and radio drama
programmes (07700 900xxx, 01632 960xxx). Other countries' and ranges are valid by their plan.
"""

LONGEST: Final = 64
"""Characters of a text that may be one number."""

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    "\U000e0000-\U000e0fff]"
)
"""Unicode's default-ignorable characters that are not of the category Cf."""
_MARKS: Final[Mapping[str, str]] = {
    **dict.fromkeys("+\uff0b\ufe62", "+"),
    **dict.fromkeys("-\u2212\u30fc\uff70", "-"),
    **dict.fromkeys(".\uff0e", "."),
    **dict.fromkeys("/\uff0f", "/"),
    **dict.fromkeys("([\uff08\uff3b", "("),
    **dict.fromkeys(")]\uff09\uff3d", ")"),
    "\t": " ",
}
_PLAIN = re.compile(r"[0-9 +./()-]*")
_EXPONENT = re.compile(r"[+-]?\d+(?:[.,]\d*)?[eE][+-]?\d+")
_EXTENSION = re.compile(r"(?:\b|(?<=\d))(?:ext\w*|x|poste|int\w*|dw|durchwahl|app|nebenstelle|#)[ .:]*\d{1,7}$", re.I)
_SUBSCRIBERS: Final = (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)
_BRACKETS = re.compile(r"\([ .-]*(\+?)([ .\d-]*)\)")
_WORDS_OF_LENGTH: Final = {
    ValidationResult.TOO_SHORT: "too short",
    ValidationResult.TOO_LONG: "too long",
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "without its area code",
}


class InvalidPhone(ValueError):
    """Not one phone number. The message says what is wrong and what to do; of the text it shows what `mask` leaves."""


class _Fault(ValueError):
    """What is wrong, and the remedy: a sentence without its subject."""


def normalise(text: str, region: str | None = None, *, possible: bool = False) -> str:
    """The number in E.164, `+33639980001`. `region` (ISO 3166, "FR") reads national numbers.

    Accepted are decimal digits of any script, one `+` before them, blanks, hyphens, dots, a slash after the area code
    and brackets around it. Invisible characters are dropped. The number must be valid in its numbering plan, or of a
    range for fiction; with `possible` the right length is enough, because new ranges appear. A national number that is
    of exactly one of the country's other parts (Réunion's, in FR) is that part's.

    Raises InvalidPhone, also for a number that could be read in two ways: `33639980001` in DE is French or German.
    """
    try:
        digits, is_international = _digits(text)
        if is_international:
            return _international(digits, possible=possible)
        if region is None:
            raise _Fault("is not in international form: write + and the country's code first, such as +33639980001")
        return _national(digits, region, possible=possible)
    except _Fault as fault:
        raise InvalidPhone(f"{mask(text[:LONGEST])!r} is not a phone number: it {fault}") from None


def mask(phone: str) -> str:
    """What may stand in a log or an error: the first and the last three characters."""
    if len(phone) <= 6:
        return "•" * len(phone)
    return f"{phone[:3]}{'•' * (len(phone) - 6)}{phone[-3:]}"


def regions_of(phone: str) -> tuple[str, ...]:
    """The regions in whose plan this E.164 number is valid; several where regions share numbers, none outside plans."""
    number = phonenumbers.parse(phone)
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(number.country_code or 0, ())
    return tuple(region for region in regions if phonenumbers.is_valid_number_for_region(number, region))


def _digits(text: str) -> tuple[str, bool]:
    """The digits of a text that is one number, and whether it begins with +. Raises _Fault."""
    written = _written(text)
    if not written:
        raise _Fault("is empty: write a phone number")
    if len(written) > LONGEST:
        raise _Fault("is longer than a phone number: write one number and nothing else")
    _check_spreadsheet(written)
    _check_characters(written)
    bare = _BRACKETS.sub(lambda found: found[1] + found[2], written)
    _check_brackets(written, bare)
    bare = bare.lstrip(" ")
    digits = "".join(re.findall(r"\d", bare))
    if "+" in bare[1:]:
        raise _Fault("has a + after its beginning: write one number and nothing else")
    if not bare[0].isdigit() and bare[0] != "+":
        raise _Fault(f"begins with {bare[0]!r}: write the number alone")
    _check_slash(bare)
    if not digits:
        raise _Fault("has no digits: write a phone number")
    return digits, bare[0] == "+"


def _written(text: str) -> str:
    """The text in ASCII as far as it is a number: without invisible characters, with plain digits, blanks and marks."""
    if _PLAIN.fullmatch(text):
        return text.strip().rstrip(" .")
    found: list[str] = []
    for character in text.strip():
        category = unicodedata.category(character)
        if category == "Cf" or _INVISIBLE.match(character):
            continue
        if category == "Nd":
            found.append(str(unicodedata.decimal(character)))
        elif category == "Zs":
            found.append(" ")
        elif category == "Pd":
            found.append("-")
        else:
            found.append(_MARKS.get(character, character))
    return "".join(found).strip().rstrip(" .")


def _check_spreadsheet(written: str) -> None:
    """Raises _Fault for a number that a spreadsheet took for a quantity."""
    if not any(mark in written for mark in ".,eE"):
        return
    if _EXPONENT.fullmatch(written):
        raise _Fault(
            "was shortened by a spreadsheet (such as 3.36E10): format the column as text and enter the number again"
        )
    compact = re.sub(r"[ ()/-]", "", written)
    decimal = re.fullmatch(r"\+?(\d+)[.,](\d+)", compact)
    if decimal is None:
        return
    whole, fraction = decimal.groups()
    if "," in compact or len(whole) == 1 or len(whole) >= 7 or len(fraction) == 1 or not fraction.strip("0"):
        raise _Fault(
            "looks like a decimal number of a spreadsheet (such as 3.0): format the column as text and export it again"
        )


def _check_characters(written: str) -> None:
    """Raises _Fault for an extension, letters, and marks that no number has."""
    if _PLAIN.fullmatch(written):
        return
    if _EXTENSION.search(written):
        raise _Fault("has an extension, which cannot be dialled: write the number alone")
    for position, character in enumerate(written, 1):
        category = unicodedata.category(character)
        if category.startswith("L"):
            raise _Fault(f"has a letter at character {position}: write digits alone, without words or names")
        if category.startswith("C") or category in ("Zl", "Zp"):
            raise _Fault(f"has a line break or control character at {position}: write one number on one line")
        if not (character.isascii() and character.isdigit()) and character not in " +-./()":
            raise _Fault(f"has {character!r} at character {position}: write one number, in digits alone")


def _check_brackets(written: str, bare: str) -> None:
    """Raises _Fault unless each pair of brackets holds a code, before the number itself."""
    if "(" in bare or ")" in bare:
        raise _Fault("has a bracket too many: write the number without brackets")
    groups = list(_BRACKETS.finditer(written))
    for found in groups:
        if not 1 <= sum(character.isdigit() for character in found[2]) <= 6:
            raise _Fault("has brackets that hold no area code: write the number without brackets")
    if groups and sum(character.isdigit() for character in written[groups[-1].end() :]) < 4:
        raise _Fault("ends in brackets: write the number alone, without notes")


def _check_slash(bare: str) -> None:
    """Raises _Fault for a slash that does not stand behind an area code: between two numbers, for example."""
    before, slash, after = bare.partition("/")
    if not slash:
        return
    code, rest = (sum(character.isdigit() for character in part) for part in (before, after))
    if "/" in after or not 2 <= code <= (7 if bare.startswith("+") else 6) or rest < 3:
        raise _Fault("holds two numbers, or a / that stands behind no area code: write one number")


def _international(digits: str, *, possible: bool) -> str:
    number = _parsed(f"+{digits}", None)
    if number is None:
        raise _Fault("begins with no country's code: write + and the country's code first")
    if _is_valid(number) or (possible and _is_possible(number)):
        return _e164(number)
    raise _Fault(_outside(number))


def _national(digits: str, region: str, *, possible: bool) -> str:
    number = _parsed(digits, region)
    if number is None:
        raise _Fault(f"is not a number of {region}: write + and the country's code first")
    abroad = None if digits.startswith("0") else _parsed(f"+{digits}", None)
    if abroad is not None and (not _is_valid(abroad) or _e164(abroad) == _e164(number)):
        abroad = None
    is_valid = _is_valid(number)
    of_parts = _of_overseas(number, region) if is_valid else _of_other_parts(digits, region)
    if len(of_parts) == 1:
        return of_parts.pop()
    if of_parts:
        raise _Fault(f"is a number of several parts of the country of {region}: write + and the code first")
    if is_valid:
        if abroad is None or _is_as_written(digits, number):
            return _e164(number)
        if abroad.country_code == number.country_code and _type(abroad) == PhoneNumberType.MOBILE:
            return _e164(abroad)  # no area code begins as mobile numbers do
        raise _Fault(
            f"is a number of +{abroad.country_code} without its +, or one of {region} without its beginning: write it "
            "with + and the country's code"
        )
    if abroad is not None:
        raise _Fault(
            f"is a number of +{abroad.country_code} without its +: write + first, or the number as it is dialled "
            f"in {region}"
        )
    if possible and _is_possible(number):
        return _e164(number)
    with_zero = _parsed(f"0{digits}", region)
    if with_zero is not None and _is_valid(with_zero):
        raise _Fault("has lost its leading zero: write it, and format the spreadsheet's column as text")
    raise _Fault(_outside(number))


def _of_overseas(number: PhoneNumber, region: str) -> set[str]:
    """The E.164 of a mainland's landline in the ranges of its parts overseas.

    The library knows those ranges exactly, and counts some of them to the mainland's landlines too.
    """
    parts = _parts_of(region)
    if not parts or region != parts[0] or _type(number) != PhoneNumberType.FIXED_LINE:
        return set()
    others = (PhoneNumber(code, number.national_number) for code in _codes_overseas(region))
    return {_e164(other) for other in others if _is_valid(other) and _type(other) in _SUBSCRIBERS}


def _of_other_parts(digits: str, region: str) -> set[str]:
    """The E.164 of a number that is none of its region as one of the country's other parts; subscribers' ranges
    overseas first, because the mainland seems to have some of them, and free numbers that begin alike."""
    mainland = _parts_of(region)[:1]
    others = {part: _parsed(digits, part) for part in _parts_of(region) if part != region}
    valid = {part: number for part, number in others.items() if number is not None and _is_valid(number)}
    ranges = {_e164(number) for part, number in valid.items() if part not in mainland and _type(number) in _SUBSCRIBERS}
    return ranges or {_e164(number) for number in valid.values()}


def _parts_of(region: str) -> tuple[str, ...]:
    return next((parts for parts in COUNTRIES_IN_PARTS if region in parts), ())


@cache
def _codes_overseas(region: str) -> frozenset[int]:
    return frozenset(phonenumbers.country_code_for_region(part) for part in _parts_of(region)[1:])


def _type(number: PhoneNumber) -> int:
    kind: int = phonenumbers.number_type(number)
    return kind


def _is_as_written(digits: str, number: PhoneNumber) -> bool:
    """Whether people write the number so in its country, with its trunk prefix, or dial it so from there."""
    if number.country_code_source == CountryCodeSource.FROM_NUMBER_WITH_IDD:
        return True
    written = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
    return digits == re.sub(r"\D", "", written)


def _parsed(digits: str, region: str | None) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(digits, region, keep_raw_input=True)
    except phonenumbers.NumberParseException:
        return None


def _is_valid(number: PhoneNumber) -> bool:
    return phonenumbers.is_valid_number(number) or FICTION.fullmatch(_e164(number)) is not None


def _is_possible(number: PhoneNumber) -> bool:
    """By its length, area code included."""
    return phonenumbers.is_possible_number_with_reason(number) == ValidationResult.IS_POSSIBLE


def _e164(number: PhoneNumber) -> str:
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def _outside(number: PhoneNumber) -> str:
    """The fault of a number that could be parsed and is none of its plan."""
    length = _WORDS_OF_LENGTH.get(phonenumbers.is_possible_number_with_reason(number))
    if length:
        return f"is {length} for +{number.country_code}: check its digits"
    return (
        f"is not in the numbering plan of +{number.country_code}: check its digits, or set the tenant's "
        "allow_possible_numbers if its range is new"
    )
