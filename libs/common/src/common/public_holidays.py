"""Public holidays of countries and of parts of them, as the library `holidays` knows them.

A code is a country (`JP`) or a part of one (`GB-ENG`), ISO 3166, with the library's own names of parts too. A country
whose parts differ is asked for the part: what the library calls the country's own are then the days of all parts alone,
and few live by those. Who does mean them says so: `FR-national` (right for most of France, which has no part of its
own in the library).
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import Final

NATIONAL: Final = "national"
"""In place of a part: the holidays of the country as a whole."""
COMPARED_YEARS: Final = range(2024, 2034)
"""Years over which parts are compared; of India the library knows few more."""

# The library is heavy and few queues observe holidays: it is loaded when the first one does.


@lru_cache(maxsize=1024)
def fault_of(code: str) -> str | None:
    """What is wrong with the code, with the remedy; None: nothing."""
    from holidays import list_supported_countries

    country, _, part = code.partition("-")
    parts = list_supported_countries().get(country)
    if parts is None or country + "-" == code:
        return f"there are no public holidays of {code!r}; a country such as JP or a part such as GB-ENG would be known"
    if part == NATIONAL or part in parts:
        return None
    if part:
        known = f"its parts are {_listed(country)}" if parts else f"{country} has no parts: write {country}"
        return f"there are no public holidays of {code!r}; {known}"
    if _parts_differ(country):
        return (
            f"the public holidays of {code} differ by part: name one of {_listed(country)}; "
            f"or {country}-{NATIONAL} for those of the whole country alone"
        )
    return None


def name_on(code: str, day: date) -> str | None:
    """The name of the public holiday on that day, in the country's language; None: it is none.

    A country without its part, as earlier versions took it, has the holidays of the country as a whole.
    """
    return _days_of(code, day.year).get(day)


@lru_cache(maxsize=1024)
def _days_of(code: str, year: int) -> dict[date, str]:
    """The public holidays of one year. A copy: the library's own calendar grows while it is read, also by threads."""
    from holidays import country_holidays

    country, _, part = code.partition("-")
    # Unless told, the library speaks the language of the machine that it runs on.
    language = country_holidays(country).default_language
    subdivision = None if part in ("", NATIONAL) else part
    return dict(country_holidays(country, subdiv=subdivision, years=year, language=language))


def _parts_differ(country: str) -> bool:
    """Whether any part has other public holidays than the country as a whole."""
    from holidays import country_holidays

    whole = country_holidays(country, years=COMPARED_YEARS)
    return any(
        country_holidays(country, subdiv=part, years=COMPARED_YEARS).keys() != whole.keys()
        for part in whole.subdivisions
    )


def _listed(country: str) -> str:
    """The codes of the country's parts, with their names where the library has any."""
    from holidays import country_holidays

    names = country_holidays(country).get_subdivision_aliases()
    codes = ((part, max(aliases, key=len, default="")) for part, aliases in names.items())
    return ", ".join(f"{country}-{part} ({name})" if name else f"{country}-{part}" for part, name in codes)
