"""Agents' shifts: log in, log out, available, break."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from common.auth import Role
from common.errors import Invalid
from common.fields import Line
from common.http import Caller, Model, PlainRouter, require
from common.ids import FLOOR
from fastapi import Depends

from routing.api.commands import Accepted
from routing.api.sites import DrainView
from routing.api.state import Here, IdempotencyKey, SlugPath, acting_agent, check_floor, command_id
from routing.domain import inputs
from routing.domain.agents import Agent, ThenBreak, ThenLogOut

router = PlainRouter(
    tags=["agents"],
    dependencies=[require(Role.OPERATOR, Role.SERVICE, Role.AGENT), Depends(check_floor)],
)


NextState = Literal["break", "logged_out"]


def next_of(agent: Agent | None, drain: DrainView | None) -> tuple[NextState | None, str | None]:
    """Where the agent goes after the calls at hand, and why: a break or log-out that was asked for meanwhile, or by
    which an operator takes them out of service. None: to the next call."""
    if agent is None or not agent.calls:
        return None, None
    if drain is not None:
        return "logged_out", drain.reason
    match agent.asked_for:
        case ThenBreak(reason=reason):
            return "break", reason
        case ThenLogOut():
            return "logged_out", None
        case None:
            return None, None


class LogInBody(Model):
    state: Literal["available", "break"] = "available"
    """What the shift begins with."""


class StateBody(Model):
    state: Literal["available", "break"]
    reason: Line | None = None
    """Of a break; one of those that the agent's pool declares, if it declares any."""


def check_break_reason(reason: str | None, declared: Sequence[str]) -> None:
    """Raises Invalid for one that is not declared where some are."""
    if reason is not None and declared and reason not in declared:
        raise Invalid(f"{reason} is no reason for a break in this pool, only {', '.join(declared)}", field="reason")


async def _about(
    kind: type[Any], agent_id: str, caller: Caller, here: Here, key: str | None, **fields: Any
) -> Accepted:
    acting_agent(caller, agent_id)
    pool_id = await here.directory.agent(agent_id)
    given = kind(tenant_id=FLOOR, pool_id=pool_id, occurred_at=here.sender.clock.now(), agent_id=agent_id, **fields)
    sent = command_id(caller, f"{kind.TYPE} {agent_id}", key)
    await here.sender.send([(sent, given)])
    return Accepted(command_id=sent)


@router.post("/agents/{agent_id}/log-in", status_code=202)
async def log_in(
    agent_id: SlugPath, caller: Caller, here: Here, body: LogInBody | None = None, key: IdempotencyKey = None
) -> Accepted:
    """Begin the shift; nothing happens if it has begun."""
    return await _about(inputs.LogIn, agent_id, caller, here, key, state=body.state if body else "available")


@router.post("/agents/{agent_id}/log-out", status_code=202)
async def log_out(agent_id: SlugPath, caller: Caller, here: Here, key: IdempotencyKey = None) -> Accepted:
    """End the shift: at once, or after the wrap-up of the call that the agent is in."""
    return await _about(inputs.LogOut, agent_id, caller, here, key)


@router.post("/agents/{agent_id}/state", status_code=202)
async def set_state(
    agent_id: SlugPath, body: StateBody, caller: Caller, here: Here, key: IdempotencyKey = None
) -> Accepted:
    """Take calls or take a break: at once, or after the wrap-up of the call that the agent is in. Where the agent's
    pool declares `break_reasons`, another reason is refused (422)."""
    reason = body.reason if body.state == "break" else None
    if reason is not None:
        declared = await here.directory.break_reasons([agent_id])
        check_break_reason(reason, declared.get(agent_id, []))
    return await _about(inputs.SetState, agent_id, caller, here, key, state=body.state, reason=reason)
