"""Parameters and roles that several of billing's routes share."""

from __future__ import annotations

from typing import Annotated

from common.auth import Role
from common.http import require
from fastapi import Path, Query

_PRINTABLE = r"^[!-~]{1,200}$"
_MONTH = Path(description="Calendar month in the tenant's time zone", examples=["2026-11"], max_length=20)

MonthInPath = Annotated[str, _MONTH]
CaseFilter = Annotated[str | None, Query(alias="case_id", pattern=_PRINTABLE)]
MonthFilter = Annotated[
    str | None,
    Query(alias="month", description="Calendar month in the tenant's time zone, `2026-11`", max_length=20),
]

Operator = require(Role.OPERATOR)
Reader = require(Role.OPERATOR, Role.SUPERVISOR, Role.SERVICE, Role.TENANT)
"""Who reads money: the floor's people and systems, and each tenant its own."""
FloorReader = require(Role.OPERATOR, Role.SUPERVISOR, Role.SERVICE)
