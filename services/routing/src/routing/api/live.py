"""A queue as it stands now."""

from __future__ import annotations

from datetime import datetime

from common.auth import Role
from common.errors import NotFound
from common.http import Db, Model, Router, require
from fastapi import Request
from pydantic import Field

from routing.api.state import SlugPath
from routing.domain.configuration import Override
from routing.domain.estimates import learn
from routing.store import configuration, reading
from routing.store.states import queue_of

router = Router(tags=["live"])


class LiveQueueView(Model):
    """`estimated_wait_seconds`: of a call that comes now and finds no agent free; null: too few have waited lately.
    `is_empty`: no call waits, none is with an agent; a queue that drains and is empty has run dry."""

    queue_id: str
    at: datetime
    is_open: bool
    override: Override | None
    """What an operator said, against its hours."""
    waiting: int = Field(examples=[3])
    with_agents: int = Field(examples=[2])
    """Calls that ring at agents, are spoken with or wrapped up."""
    is_empty: bool
    longest_waiting_since: datetime | None
    estimated_wait_seconds: float | None = Field(examples=[42.5])


@router.get(
    "/queues/{queue_id}/live",
    dependencies=[require(Role.OPERATOR, Role.SUPERVISOR, Role.SERVICE, Role.TENANT)],
)
async def get_live_queue(queue_id: SlugPath, session: Db, request: Request) -> LiveQueueView:
    """Whether it is open, who waits, and how long the next one will."""
    row = await configuration.queue(session, queue_id)
    if row is None:
        raise NotFound(f"there is no queue {queue_id}")
    queue, now = queue_of(row), request.app.state.runtime.clock.now()
    waiting = await reading.waiting_calls(session, row["pool_id"], queue_id)
    with_agents = await reading.with_agents(session, queue_id)
    estimator = learn(await reading.recent_calls(session, queue_id), queue_id)
    return LiveQueueView(
        queue_id=queue_id,
        at=now,
        is_open=queue.is_open_at(now),
        override=queue.override,
        waiting=len(waiting),
        with_agents=with_agents,
        is_empty=not waiting and not with_agents,
        longest_waiting_since=min((call.first_queued_at for call in waiting), default=None),
        estimated_wait_seconds=estimator.seconds(len(waiting)),
    )
