"""Which column of a sheet is what: by the headings that people give it, or as they say themselves."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from common.phone import mask
from common.sheets.faults import UnreadableFile, shown

HEADINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "phone": (
        *("phone", "phone number", "phone no", "telephone", "telephone number", "telephone no", "tel", "tel no"),
        *("tel number", "mobile", "mobile phone", "mobile number", "mobile no", "cell", "cell phone", "cell number"),
        *("cell phone number", "mobile phone number", "landline", "msisdn", "e164", "numéro de téléphone"),
        *("numéro téléphone", "n° de téléphone", "no de téléphone", "n° téléphone", "no téléphone", "n° tél", "no tél"),
        *("num tél", "numéro tél", "numéro de tél", "num téléphone", "num de téléphone", "portable", "tél portable"),
        *("téléphone portable", "numéro de portable", "numéro portable", "n° portable", "tél mobile", "gsm"),
        *("téléphone mobile", "numéro de mobile", "numéro mobile", "n° mobile", "fixe", "tél fixe", "téléphone fixe"),
    ),
    "name": (
        *("name", "full name", "last name", "surname", "family name", "contact name", "customer name", "client name"),
        *("nom", "nom complet", "nom de famille", "nom prénom", "nom et prénom", "prénom nom", "prénom et nom"),
        *("nom du contact", "nom contact", "nom du client", "nom client"),
    ),
    "first_name": ("first name", "given name", "forename", "prénom", "prénoms"),
    "time_zone": ("time zone", "tz", "fuseau", "fuseau horaire"),
    "external_id": (
        *(
            "external id",
            "id",
            "reference",
            "ref",
            "customer id",
            "client id",
            "contact id",
            "crm id",
            "customer number",
        ),
        *("customer no", "customer reference", "id externe", "identifiant", "identifiant externe", "id client"),
        *("id contact", "identifiant client", "référence", "réf", "référence client", "réf client", "n° client"),
        *("no client", "numéro client", "numéro de client", "n° de client"),
    ),
}
"""Headings by column, in English and French. Case, accents, blanks, dots and other marks make no difference."""

_LISTED: Final = 30
_HEADING_SHOWN: Final = 40


def fold(heading: str) -> str:
    """A heading without what makes no difference."""
    decomposed = unicodedata.normalize("NFKD", heading)
    return "".join(character for character in decomposed.casefold() if character.isalnum())


_COLUMNS: Final = {fold(heading): column for column, headings in HEADINGS.items() for heading in headings}


@dataclass(frozen=True, slots=True)
class Columns:
    """What is taken of a sheet.

    `known` are the columns that may be taken (keys of HEADINGS), `required` the one that must be there. `mapping` gives
    a column its heading in the file: if there is one, no other column is taken. Else headings are recognised, and
    unknown ones are refused unless `ignore_unknown`. `remedy` says how to give a mapping or to ignore.
    """

    known: tuple[str, ...]
    required: str
    mapping: Mapping[str, str] = field(default_factory=dict)
    ignore_unknown: bool = False
    remedy: str = "say which column is which, or that others are left out"

    def column(self, heading: str) -> str | None:
        """The column that has this heading."""
        folded = fold(heading)
        if self.mapping:
            return next((column for column, wanted in self.mapping.items() if fold(wanted) == folded), None)
        column = _COLUMNS.get(folded)
        return column if column in self.known else None

    def take(self, line: int, headings: Sequence[str]) -> Taken:
        """What is taken of a file with these headings. Raises UnreadableFile, which lists them."""
        width = max(index for index, heading in enumerate(headings, 1) if heading)
        headings = headings[:width]
        positions: dict[str, int] = {}
        left_out = []
        for index, heading in enumerate(headings):
            column = self.column(heading) if heading else None
            if column is None:
                left_out.append(index)
            elif column in positions:
                both = f"{_shown(headings[positions[column]])} and {_shown(heading)}"
                raise UnreadableFile(line, f"{both} are both the column {column}: {self.remedy}", column=column)
            else:
                positions[column] = index
        found = _listed([heading for heading in headings if heading])
        missing = [column for column in dict.fromkeys((self.required, *self.mapping)) if column not in positions]
        for column in missing:
            wanted = self.mapping.get(column)
            which = f"heading {shown(wanted)!r}" if wanted else f"heading is known as {column}"
            raise UnreadableFile(line, f"no {which}; the headings are {found}: {self.remedy}", column=column)
        is_strict = not self.mapping and not self.ignore_unknown
        unknown = [headings[index] for index in left_out if headings[index]]
        if unknown and is_strict:
            raise UnreadableFile(
                line,
                f"unknown column {_listed(unknown)}; the headings are {found}: {self.remedy}",
                column=_shown(unknown[0]),
                value=_shown(unknown[0]),
            )
        return Taken(
            width=width,
            positions=positions,
            headings={column: headings[index] for column, index in positions.items()},
            left_out=tuple(unknown),
            unnamed=tuple(index for index in left_out if not headings[index]) if is_strict else (),
        )


@dataclass(frozen=True, slots=True)
class Taken:
    """The columns of one file."""

    width: int
    """Up to the last heading."""
    positions: Mapping[str, int]
    headings: Mapping[str, str]
    """By column."""
    left_out: tuple[str, ...]
    """Headings that were not taken."""
    unnamed: tuple[int, ...]
    """Positions without heading, in which a value would be nobody knows what."""


def _listed(headings: Sequence[str]) -> str:
    more = f" and {len(headings) - _LISTED} more" if len(headings) > _LISTED else ""
    return ", ".join(_shown(heading) for heading in headings[:_LISTED]) + more


def _shown(heading: str) -> str:
    """A heading in a message; where the file has none, its first row stands there, with a number."""
    if sum(character.isdigit() for character in heading) >= 6:
        return mask(heading[:_HEADING_SHOWN])
    return heading if len(heading) <= _HEADING_SHOWN else heading[: _HEADING_SHOWN - 1] + "…"
