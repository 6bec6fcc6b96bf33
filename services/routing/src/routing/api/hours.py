"""Opening hours as the API says them, and whether a queue is open."""

from __future__ import annotations

from datetime import datetime

from common import fields
from common.auth import Role
from common.errors import NotFound
from common.fields import Line, Spans
from common.hours import MOST_EXCEPTIONS, Hours
from common.http import Db, Model, Router, require
from fastapi import Request
from msgspec.structs import replace
from pydantic import AwareDatetime, Field

from routing.api.state import SlugPath
from routing.domain.configuration import Override
from routing.store import configuration as store
from routing.store.states import queue_of

router = Router(tags=["hours"])


class HoursBody(Model):
    """A week of spans by the wall clock of `time_zone` (null: the tenant's). A weekday that is not named is closed; a
    span that closes at or before its opening time closes on the next day. 24:00 is the end of a day; 23:59 would be
    closed for a minute."""

    week: dict[Line, Spans] = Field(
        default={},
        max_length=7,
        examples=[{"mon": [["08:00", "12:00"], ["13:00", "18:00"]], "fri": [["22:00", "06:00"]]}],
    )
    time_zone: Line | None = Field(None, examples=["Europe/Paris"])
    holidays: Line | None = Field(None, examples=["FR-57"])
    """Closed on the public holidays of this country or part of one, ISO 3166. A country whose parts have different
    ones is asked for the part, or for `-national`: those of the whole country alone."""
    exceptions: dict[Line, Spans] = Field(
        default={}, max_length=MOST_EXCEPTIONS, examples=[{"2026-12-24": [["08:00", "12:00"]], "2026-12-27": []}]
    )
    """Instead of what the day would have been, a holiday too; no span: closed."""


class OpeningView(Model):
    """Whether the queue takes calls from outside at `at`, by its hours and the sites that cover it."""

    queue_id: str
    at: datetime
    is_open: bool
    override: Override | None
    """What an operator said; it counts now, whatever the hours say."""
    next_opening: datetime | None
    """`at` itself while it is open; null: not within a year."""
    next_closing: datetime | None
    """`at` itself while it is closed; null: not within a year."""


def hours_of(field: str, body: HoursBody | None) -> Hours | None:
    """Raises Invalid with every fault by its place under `field`."""
    if body is None:
        return None
    return fields.hours_of(body.model_dump(), f"{field}.")


@router.get(
    "/queues/{queue_id}/opening",
    dependencies=[require(Role.OPERATOR, Role.SUPERVISOR, Role.SERVICE, Role.TENANT, Role.AGENT)],
)
async def get_opening(
    queue_id: SlugPath, session: Db, request: Request, at: AwareDatetime | None = None
) -> OpeningView:
    """Whether the queue is open at a time, now if none is given."""
    row = await store.queue(session, queue_id)
    if row is None:
        raise NotFound(f"there is no queue {queue_id}")
    queue = queue_of(row)
    when = at or request.app.state.runtime.clock.now()
    by_hours = replace(queue, override=None)
    return OpeningView(
        queue_id=queue_id,
        at=when,
        is_open=by_hours.is_open_at(when),
        override=queue.override,
        next_opening=by_hours.next_time(when, is_open=True),
        next_closing=by_hours.next_time(when, is_open=False),
    )
