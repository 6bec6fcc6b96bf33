"""Sites: declared, set down, up or drained by an operator; and which of them cover a queue."""

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
from fastapi import Depends, Request, Response
from pydantic import Field

from routing.api.history import Change, Changing
from routing.api.hours import HoursBody, hours_of
from routing.api.state import SlugPath, check_floor
from routing.domain.agents import LoggedOut
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


class DrainView(Model):
    """An operator takes an agent, or those of a site, out of service: they are logged out once their calls are wrapped
    up."""

    by: str
    at: datetime
    reason: str | None


class SiteView(SiteBody):
    id: str
    down: DownView | None
    """Null: its agents serve, unless it is drained."""
    drain: DrainView | None
    """Null: not drained."""
    version: int


class LiveSiteView(Model):
    """`is_empty`: nobody there is logged in; a site that is drained and empty is out of service."""

    site_id: str
    at: datetime
    logged_in: int = Field(examples=[12])
    with_calls: int = Field(examples=[3])
    """Agents at whom a call rings, who speak or wrap up."""
    is_empty: bool


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


@router.post("/sites/{site_id}/drain", dependencies=OPERATOR)
async def drain_site(site_id: SlugPath, session: Db, change: Changing, body: DownBody | None = None) -> SiteView:
    """Take the site out of service: its agents are offered nothing any more, what rings at them goes back to its place,
    and the queues' rules for a site that is down hold. Conversations and their wrap-up finish; then the agents are
    logged out, and cannot log in until the drain is cancelled. `GET /v1/sites/{site_id}/live` says when it is empty."""
    return await _drain(site_id, True, body, session, change)


@router.post("/sites/{site_id}/cancel-drain", dependencies=OPERATOR)
async def cancel_site_drain(site_id: SlugPath, session: Db, change: Changing, body: DownBody | None = None) -> SiteView:
    """Let the site's agents work again: who is still in their last call stays, who was logged out may log in."""
    return await _drain(site_id, False, body, session, change)


async def _drain(site_id: str, drained: bool, body: DownBody | None, session: Db, change: Change) -> SiteView:
    reason = body.reason if body else None
    row = await service.drain(
        session, site_id, drained=drained, actor=change.actor, reason=reason, clock=change.clock, check=change.check
    )
    action = "draining" if drained else "drain_cancelled"
    return await change.noted("site", _site(row), SiteBody, action=action, reason=reason)


@router.get("/sites/{site_id}/live")
async def get_live_site(site_id: SlugPath, session: Db, request: Request) -> LiveSiteView:
    """Who of the site's agents is there, and who has calls."""
    if await store.site(session, site_id) is None:
        raise NotFound(f"there is no site {site_id}")
    there = [agent for agent in await store.agents_of(session, site_id) if not isinstance(agent.state, LoggedOut)]
    return LiveSiteView(
        site_id=site_id,
        at=request.app.state.runtime.clock.now(),
        logged_in=len(there),
        with_calls=sum(bool(agent.calls) for agent in there),
        is_empty=not there,
    )


async def _set(site_id: str, down: bool, body: DownBody | None, session: Db, change: Change) -> SiteView:
    reason = body.reason if body else None
    row = await service.set_down(
        session, site_id, down=down, actor=change.actor, reason=reason, clock=change.clock, check=change.check
    )
    return await change.noted("site", _site(row), SiteBody, action="down" if down else "up", reason=reason)


def _site(row: asyncpg.Record) -> SiteView:
    down = DownView(by=row["down_by"], at=row["down_at"], reason=row["down_reason"]) if row["down"] else None
    drain = None
    if row["drained_at"] is not None:
        drain = DrainView(by=row["drained_by"], at=row["drained_at"], reason=row["drain_reason"])
    return SiteView(
        id=row["id"], name=row["name"], time_zone=row["time_zone"], down=down, drain=drain, version=row["version"]
    )
