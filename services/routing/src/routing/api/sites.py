"""Sites: declared, set down and up by an operator; and which of them cover a queue."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import asyncpg
from common.auth import Role
from common.errors import Invalid, NotFound
from common.fields import Line, Slug, TimeZone
from common.http import (
    Db,
    Model,
    Page,
    PageCursor,
    PageLimit,
    Router,
    answer_put,
    creates,
    decode_key,
    etag,
    page,
    require,
)
from fastapi import Depends, Response
from pydantic import Field

from routing.api.history import Change, Changing
from routing.api.hours import HoursBody, hours_of
from routing.api.state import SlugPath, check_floor
from routing.domain.configuration import Cover
from routing.service import sites as service
from routing.store import sites as store

router = Router(
    tags=["sites"],
    dependencies=[require(Role.OPERATOR, Role.SUPERVISOR, Role.SERVICE, Role.AGENT), Depends(check_floor)],
)
OPERATOR = [require(Role.OPERATOR)]


class CoverBody(Model):
    """Agents of these sites serve the queue in these hours (null: always), by the clock of the first site unless the
    hours name a time zone. Several may cover at once."""

    sites: Annotated[list[Slug], Field(min_length=1, max_length=50, examples=[["lyon"]])]
    hours: HoursBody | None = None


class SiteBody(Model):
    name: Line = Field(examples=["Lyon"])
    time_zone: TimeZone = Field(examples=["Europe/Paris"])


class DownView(Model):
    """Who has set the site down."""

    by: str
    at: datetime
    reason: str | None


class SiteView(SiteBody):
    id: str
    down: DownView | None
    """Null: its agents serve."""
    version: int


class DownBody(Model):
    reason: Line | None = Field(None, examples=["power cut"])


def covers_of(bodies: list[CoverBody]) -> tuple[Cover, ...]:
    """As the pool knows them, but for the time zones of the sites. Raises Invalid with every fault by its place."""
    covers, errors = [], []
    for number, body in enumerate(bodies):
        try:
            hours = hours_of(f"cover.{number}.hours", body.hours)
        except Invalid as wrong:
            errors += wrong.errors or []
        else:
            covers.append(Cover(tuple(body.sites), hours, ""))
    if errors:
        raise Invalid(errors[0]["reason"], field=errors[0]["field"], errors=errors)
    return tuple(covers)


@router.put("/sites/{site_id}", dependencies=OPERATOR, responses=creates(SiteView))
async def put_site(site_id: SlugPath, body: SiteBody, session: Db, change: Changing, response: Response) -> SiteView:
    """Create or replace a site."""
    row, created = await service.put_site(session, site_id, body.name, body.time_zone, change.clock, change.check)
    answer_put(response, row["version"], created=created)
    return await change.noted("site", _site(row), SiteBody)


@router.get("/sites/{site_id}")
async def get_site(site_id: SlugPath, session: Db, response: Response) -> SiteView:
    """One site."""
    row = await store.site(session, site_id)
    if row is None:
        raise NotFound(f"there is no site {site_id}")
    response.headers["etag"] = etag(row["version"])
    return _site(row)


@router.get("/sites")
async def list_sites(session: Db, limit: PageLimit = 100, cursor: PageCursor = None) -> Page[SiteView]:
    """By id."""
    rows = await store.sites(session, decode_key(cursor, str), limit)
    return page([_site(row) for row in rows], limit, lambda last: (last.id,))


@router.post("/sites/{site_id}/down", dependencies=OPERATOR)
async def set_down(site_id: SlugPath, session: Db, change: Changing, body: DownBody | None = None) -> SiteView:
    """The site is down from now on: its agents are offered nothing, calls that ring there go on to others, and the
    queues' rules for that hold. Who speaks there finishes."""
    return await _set(site_id, True, body, session, change)


@router.post("/sites/{site_id}/up", dependencies=OPERATOR)
async def set_up(site_id: SlugPath, session: Db, change: Changing, body: DownBody | None = None) -> SiteView:
    """The site's agents serve again."""
    return await _set(site_id, False, body, session, change)


async def _set(site_id: str, down: bool, body: DownBody | None, session: Db, change: Change) -> SiteView:
    reason = body.reason if body else None
    row = await service.set_down(
        session, site_id, down=down, actor=change.actor, reason=reason, clock=change.clock, check=change.check
    )
    return await change.noted("site", _site(row), SiteBody, action="down" if down else "up", reason=reason)


def _site(row: asyncpg.Record) -> SiteView:
    down = DownView(by=row["down_by"], at=row["down_at"], reason=row["down_reason"]) if row["down"] else None
    return SiteView(id=row["id"], name=row["name"], time_zone=row["time_zone"], down=down, version=row["version"])
