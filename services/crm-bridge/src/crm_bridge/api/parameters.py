"""Parameters and roles that several routes share."""

from __future__ import annotations

from typing import Annotated

from common.auth import Principal, Role
from common.http import require
from fastapi import Path, Query
from pydantic import StringConstraints

SLUG = r"^[a-z0-9][a-z0-9-]{0,62}$"
_LINE = r"^[^\x00-\x1f\x7f]*$"

Slug = Annotated[str, StringConstraints(pattern=SLUG)]
Line = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=_LINE)]
"""A line of text."""
Disposition = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=_LINE)]
TenantPath = Annotated[str, Path(pattern=SLUG, examples=["kettle"])]
TenantFilter = Annotated[
    str | None, Query(alias="tenant_id", pattern=SLUG, description="Only this tenant", examples=["kettle"])
]

Operator = require(Role.OPERATOR)
Reader = require(Role.OPERATOR, Role.SUPERVISOR, Role.AGENT, Role.SERVICE, Role.TENANT)
"""The floor's people and systems, and each tenant for its own."""
Worker = require(Role.OPERATOR, Role.SUPERVISOR, Role.AGENT, Role.SERVICE)
"""Who works on cases: the floor, not its clients."""
Owner = require(Role.OPERATOR, Role.SERVICE, Role.TENANT)
"""Who looks after a tenant's endpoints."""


def shown_tenant(caller: Principal, asked: str | None) -> str | None:
    """The tenant whose rows a list shows; None: every tenant. Raises NotFound for another tenant's."""
    if asked is not None:
        caller.check_tenant(asked)
        return asked
    return caller.tenant_id
