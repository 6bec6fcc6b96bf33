"""Parameters and roles that several routes share."""

from __future__ import annotations

from typing import Annotated

from common.auth import Principal, Role
from common.fields import NO_CONTROL
from common.http import require
from pydantic import StringConstraints

Disposition = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=NO_CONTROL)]

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
