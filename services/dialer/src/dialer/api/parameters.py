"""Parameters, roles and state that several of dialer's routes share."""

from __future__ import annotations

from typing import Annotated

from common.auth import Role
from common.clock import Clock
from common.fields import SLUG
from common.http import require
from fastapi import Depends, Path, Request

from dialer.service.state import State

CampaignId = Annotated[str, Path(pattern=SLUG, examples=["kettle-renewals"])]

Operator = require(Role.OPERATOR)
FloorReader = require(Role.OPERATOR, Role.SUPERVISOR)
Reader = require(Role.OPERATOR, Role.SUPERVISOR, Role.SERVICE, Role.TENANT)
"""The floor's people and systems, and each tenant what is its own."""
ListKeeper = require(Role.OPERATOR, Role.SUPERVISOR, Role.SERVICE, Role.TENANT)
"""Who hears that somebody does not want to be called: the floor, its systems, and the client company itself."""
Telephony = require(Role.SERVICE, Role.OPERATOR)
"""The PBX; and an operator, to look after it."""


async def _clock(request: Request) -> Clock:
    clock: Clock = request.app.state.runtime.clock
    return clock


async def _state(request: Request) -> State:
    state: State = request.app.state.runtime.state
    return state


Now = Annotated[Clock, Depends(_clock)]
"""The service's clock."""
Shared = Annotated[State, Depends(_state)]
"""What routes and tasks share."""
