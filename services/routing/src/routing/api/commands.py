"""What became of a command."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from common.auth import Role
from common.http import Db, Model, Router, require
from fastapi import Depends
from pydantic import Field

from routing.api.state import check_floor
from routing.store import reading

router = Router(tags=["commands"])


class Accepted(Model):
    """The command is stored and will be decided in its turn. `GET /v1/commands/{command_id}` tells the outcome."""

    command_id: UUID


class CommandView(Model):
    """`pending`: not decided yet, or never sent; `refused`: it changed nothing, `reason` says why."""

    command_id: UUID
    status: Literal["pending", "applied", "refused"]
    reason: str | None = Field(examples=["not_offered_to_the_agent"])


@router.get(
    "/commands/{command_id}",
    dependencies=[
        require(Role.OPERATOR, Role.SUPERVISOR, Role.SERVICE, Role.AGENT),
        Depends(check_floor),
    ],
)
async def get_command(command_id: UUID, session: Db) -> CommandView:
    """Whether the command took effect. Remembered for weeks, not for ever."""
    status, reason = await reading.command(session, command_id)
    return CommandView(command_id=command_id, status=status, reason=reason)
