"""Values that requests to several services hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Path, Query
from phonenumbers import SUPPORTED_REGIONS
from pydantic import AfterValidator, Field, StringConstraints

from common.errors import Invalid
from common.hours import TIME_PATTERN, Hours, InvalidHours, parse
from common.time_zones import is_time_zone, remedy

SLUG = r"^[a-z0-9][a-z0-9-]{0,62}$"
NO_CONTROL = r"^[^\x00-\x1f\x7f]*$"

Slug = Annotated[str, StringConstraints(pattern=SLUG)]
"""The id of a tenant, queue, agent, campaign …, in a body."""
TenantPath = Annotated[str, Path(pattern=SLUG, examples=["kettle"])]
TenantFilter = Annotated[
    str | None, Query(alias="tenant_id", pattern=SLUG, description="Only this tenant", examples=["kettle"])
]
Line = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=NO_CONTROL)]
"""A line of text: a name, for example."""
Spans = list[list[Annotated[Line, Field(json_schema_extra={"pattern": TIME_PATTERN})]]]
"""The spans of one day, each from its opening to its closing time, as `common.hours` reads them."""


def _known_time_zone(name: str) -> str:
    if not is_time_zone(name):
        raise ValueError(f"there is no time zone {name!r}: {remedy(name)}")
    return name


TimeZone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_known_time_zone)]
"""The IANA name of the time zone of a place, or UTC."""


def _known_region(code: str) -> str:
    if code not in SUPPORTED_REGIONS:
        raise ValueError(f"there is no region {code!r}")
    return code


Region = Annotated[str, StringConstraints(max_length=2), AfterValidator(_known_region)]
"""An ISO 3166 code: how national phone numbers are read."""

AllowPossibleNumbers = Annotated[
    bool,
    Field(
        description="Whether phone numbers are taken that have the right length and are in no range that the numbering "
        "plan is known to have: set it while a range is new"
    ),
]
"""Beside a tenant's region."""


def hours_of(
    given: Mapping[str, Any], under: str = "", *, week_field: str = "week", within_days: bool = False
) -> Hours:
    """Opening hours as a request says them. Raises Invalid with every fault, by its place after `under`."""
    try:
        return parse(given, week_field=week_field, within_days=within_days)
    except InvalidHours as wrong:
        errors = [{"field": f"{under}{fault.place}", "reason": fault.reason} for fault in wrong.faults]
        raise Invalid(str(wrong), field=errors[0]["field"], errors=errors) from None
