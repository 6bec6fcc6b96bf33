"""Why a call went to an agent, or still waits."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from common.auth import Role
from common.http import Caller, Db, Model, Router, require
from fastapi import Request
from pydantic import Field

from routing.api.calls import call_seen_by
from routing.api.state import CallPath
from routing.domain import explanation
from routing.domain.calls import CallStateName, Queued
from routing.domain.configuration import AgentOrder
from routing.store import reading as store
from routing.store.configuration import queue as queue_row
from routing.store.states import queue_of

router = Router(tags=["calls"])

Requirement = Annotated[str, Field(examples=["french >= 5 and billing"])]
"""What was asked of agents; empty: nothing."""


class AssignmentView(Model):
    """One agent who was offered the call, as things stood at that moment."""

    agent_id: str
    assigned_at: datetime
    queue_id: str
    ring: int
    """0 at first, 1 after one relaxation …"""
    requirement: Requirement
    order: AgentOrder
    came_free: bool
    """True: the agent came free and took the first call that they may serve; false: the call took the first agent."""
    agents: int
    """Available agents who met the requirement."""
    groups: int
    """Different sets of skills among them."""
    ahead: int
    """Calls of the queue that were before this one."""
    waited_seconds: float
    preferred: bool
    """The agent is the one that the call was to go to."""


class WaitingView(Model):
    """How a waiting call stands now. The numbers of agents are null for a tenant: agents are the floor's."""

    queue_id: str
    ring: int
    requirement: Requirement
    position: int = Field(examples=[1])
    waited_seconds: float
    agents_logged_in: int | None
    agents_available: int | None
    widens_at: datetime | None
    next_requirement: str | None
    overflow_at: datetime | None
    overflow_queue_id: str | None
    limit_at: datetime | None
    alone_until: datetime | None
    """Until then the call waits for its preferred agent alone."""
    preferred_agent_id: str | None


class ExplanationView(Model):
    """`words` says the same as the rest, in sentences."""

    call_id: str
    state: CallStateName
    words: list[str] = Field(
        examples=[["After 3 s in queue help, which asked for 'french', ann came free, and this was the first of …"]]
    )
    assignments: list[AssignmentView]
    """The newest ones, at most 20, oldest first."""
    waiting: WaitingView | None


@router.get(
    "/calls/{call_id}/explain",
    dependencies=[require(Role.OPERATOR, Role.SUPERVISOR, Role.SERVICE, Role.TENANT, Role.AGENT)],
)
async def explain_call(call_id: CallPath, session: Db, caller: Caller, request: Request) -> ExplanationView:
    """Why this agent, why this wait, which rules applied. Seen by those who see the call."""
    pool_id, call = await call_seen_by(caller, call_id, session)
    standing = None
    row = await queue_row(session, call.queue_id) if isinstance(call.state, Queued) else None
    if row is not None:
        others = await store.waiting_calls(session, pool_id, call.queue_id)
        staff = None if caller.tenant_id is not None else await store.staff(session, pool_id)
        now = request.app.state.runtime.clock.now()
        standing = explanation.waiting(call, queue_of(row), others, staff, now)
    return ExplanationView(
        call_id=call.id,
        state=call.state_name,
        words=explanation.words(call, standing),
        assignments=[AssignmentView(**msgspec.structs.asdict(one)) for one in call.assignments],
        waiting=None if standing is None else WaitingView(**msgspec.structs.asdict(standing)),
    )
