"""What an operator says of a queue or an agent against what is configured: open, closed, draining."""

from __future__ import annotations

from common.auth import Role
from common.http import Db, Router, require
from fastapi import Depends

from routing.api.configuration import AgentBody, AgentView, QueueBody, QueueView, agent_view, queue_view
from routing.api.history import Change, Changing
from routing.api.overflows import OverrideBody
from routing.api.state import SlugPath, check_floor
from routing.domain.configuration import Override
from routing.service import configuration as service

router = Router(tags=["configuration"], dependencies=[require(Role.OPERATOR), Depends(check_floor)])

_ACTIONS = {"open": "opened", "closed": "closed", "draining": "draining", None: "follows_hours"}


async def _override(
    queue_id: str, state: Override | None, body: OverrideBody | None, session: Db, change: Change
) -> QueueView:
    reason = body.reason if body else None
    row = await service.override_queue(session, queue_id, state, change.actor, reason, change.clock, change.check)
    view, action = queue_view(row), _ACTIONS[state]
    return await change.noted("queue", view, QueueBody, tenant_id=row["tenant_id"], action=action, reason=reason)


@router.post("/queues/{queue_id}/close")
async def close_queue(queue_id: SlugPath, session: Db, change: Changing, body: OverrideBody | None = None) -> QueueView:
    """Close the queue now, whatever its hours say: no new call enters it, those that wait or are spoken with finish."""
    return await _override(queue_id, "closed", body, session, change)


@router.post("/queues/{queue_id}/drain")
async def drain_queue(queue_id: SlugPath, session: Db, change: Changing, body: OverrideBody | None = None) -> QueueView:
    """Let the queue run empty: as when it is closed no new call enters it, but those that wait are served out, also
    where a rule would send them elsewhere at closing. `GET /v1/queues/{queue_id}/live` says when it is empty; `open` or
    `follow-hours` ends it."""
    return await _override(queue_id, "draining", body, session, change)


@router.post("/queues/{queue_id}/open")
async def open_queue(queue_id: SlugPath, session: Db, change: Changing, body: OverrideBody | None = None) -> QueueView:
    """Open the queue now, whatever its hours say."""
    return await _override(queue_id, "open", body, session, change)


@router.post("/queues/{queue_id}/follow-hours")
async def follow_hours(
    queue_id: SlugPath, session: Db, change: Changing, body: OverrideBody | None = None
) -> QueueView:
    """Let the queue's hours decide again."""
    return await _override(queue_id, None, body, session, change)


async def _drain(agent_id: str, session: Db, change: Change, *, drained: bool, reason: str | None) -> AgentView:
    row = await service.drain_agent(
        session, agent_id, drained=drained, actor=change.actor, reason=reason, clock=change.clock, check=change.check
    )
    action = "draining" if drained else "drain_cancelled"
    return await change.noted("agent", agent_view(row), AgentBody, action=action, reason=reason)


@router.post("/agents/{agent_id}/drain")
async def drain_agent(agent_id: SlugPath, session: Db, change: Changing, body: OverrideBody | None = None) -> AgentView:
    """Take the agent out of service: no offer any more, what rings at them goes back to its place, a conversation and
    its wrap-up finish; then they are logged out, and cannot log in until the drain is cancelled."""
    return await _drain(agent_id, session, change, drained=True, reason=body.reason if body else None)


@router.post("/agents/{agent_id}/cancel-drain")
async def cancel_drain(
    agent_id: SlugPath, session: Db, change: Changing, body: OverrideBody | None = None
) -> AgentView:
    """Let the agent work again: who is still in their last call stays, who was logged out may log in."""
    return await _drain(agent_id, session, change, drained=False, reason=body.reason if body else None)
