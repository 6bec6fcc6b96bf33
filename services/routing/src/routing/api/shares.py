"""Shares of tenants in a pool's agents: declared, switched, and as they stand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import asyncpg
from common.auth import Role
from common.clock import Clock
from common.database import Session
from common.errors import NotFound
from common.fields import Line, TenantPath
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

from routing.api.history import Changing
from routing.api.hours import HoursBody, hours_of
from routing.api.state import Seconds, SlugPath, check_floor
from routing.domain.declarations import Faults, refuse
from routing.domain.shares import Positions, faults
from routing.domain.sharing import Standing
from routing.service import shares as service
from routing.store import configuration
from routing.store import shares as store

router = Router(tags=["shares"], dependencies=[require(Role.OPERATOR, Role.SUPERVISOR, Role.SERVICE)])
OPERATOR = [require(Role.OPERATOR), Depends(check_floor)]

Count = Annotated[int, Field(ge=0, le=100_000)]


class PositionsBody(Model):
    reserved_positions: Count = Field(0, examples=[2])
    """So many agents serve the tenant or are kept available for it. More than are there cannot be kept; over all
    tenants it may be more than the pool has agents, for these come and go."""
    guaranteed_positions: Count = Field(0, examples=[3])
    """While calls of the tenant wait and fewer agents serve it, an agent who comes free takes its calls first. Nobody
    is kept idle for it."""
    most_positions: Count | None = Field(None, examples=[10])
    """Never do more agents serve it at once; null: no limit."""


class BurstBody(PositionsBody):
    """In the place of the usual figures while the burst is on: in its `hours`, by the wall clock of the tenant, or as
    an operator says."""

    hours: HoursBody | None = None
    """Null: only an operator switches it on."""


class ShareBody(PositionsBody):
    """An agent serves a tenant from the ring of its call to the end of the wrap-up."""

    release_after_seconds: Seconds | None = Field(None, examples=[120])
    """A call of another tenant that has waited this long may take an agent who is kept; null: never."""
    burst: BurstBody | None = None


class BurstOverrideBody(Model):
    state: Literal["on", "off", "by_schedule"]
    reason: Line | None = Field(None, examples=["storm in the north"])


class BurstOverrideView(Model):
    """What an operator said of the burst, against its hours."""

    state: Literal["on", "off"]
    by: str
    at: datetime
    reason: str | None


class LiveShareView(Model):
    """How the share stands now."""

    burst_is_on: bool
    serving: int
    """Agents at whom a call of the tenant rings, who speak with it or wrap it up."""
    available: int
    """Available agents who may serve it."""
    shortfall: int
    """So many more agents are reserved than serve."""


class ShareView(ShareBody):
    pool_id: str
    tenant_id: str
    burst_override: BurstOverrideView | None
    """Null: the burst's hours decide."""
    live: LiveShareView
    version: int

    @property
    def id(self) -> str:
        """In the configuration's history."""
        return self.pool_id


@router.put("/pools/{pool_id}/shares/{tenant_id}", dependencies=OPERATOR, responses=creates(ShareView))
async def put_share(
    pool_id: SlugPath, tenant_id: TenantPath, body: ShareBody, session: Db, change: Changing, response: Response
) -> ShareView:
    """Create or replace a tenant's share; it takes effect at once, for waiting calls too."""
    wanted = declared_share(body)
    row, created = await service.put_share(session, pool_id, tenant_id, wanted, change.clock, change.check)
    answer_put(response, row["version"], created=created)
    return await change.noted("share", await _seen(row, session, change.clock), ShareBody, tenant_id=tenant_id)


@router.get("/pools/{pool_id}/shares/{tenant_id}")
async def get_share(
    pool_id: SlugPath, tenant_id: TenantPath, session: Db, request: Request, response: Response
) -> ShareView:
    """One tenant's share."""
    row = await service.share(session, pool_id, tenant_id)
    response.headers["etag"] = etag(row["version"])
    return await _seen(row, session, request.app.state.runtime.clock)


@router.get("/pools/{pool_id}/shares")
async def list_shares(
    pool_id: SlugPath, session: Db, request: Request, limit: PageLimit = 100, cursor: PageCursor = None
) -> Page[ShareView]:
    """By tenant."""
    if await configuration.pool(session, pool_id) is None:
        raise NotFound(f"there is no pool {pool_id}")
    rows = await store.shares(session, pool_id, decode_key(cursor, str), limit)
    standings = await service.standings(session, pool_id, request.app.state.runtime.clock) if rows else {}
    return page([_view(row, standings) for row in rows], limit, lambda last: (last.tenant_id,))


@router.delete("/pools/{pool_id}/shares/{tenant_id}", status_code=204, dependencies=OPERATOR)
async def delete_share(pool_id: SlugPath, tenant_id: TenantPath, session: Db, change: Changing) -> Response:
    """Take the share away: the agents are everybody's again."""
    row, version = await service.delete_share(session, pool_id, tenant_id, change.clock, change.check)
    view = _view(row, {}).model_copy(update={"version": version})
    await change.noted("share", view, ShareBody, tenant_id=tenant_id, action="removed")
    return Response(status_code=204)


@router.put("/pools/{pool_id}/shares/{tenant_id}/burst", dependencies=OPERATOR)
async def switch_burst(
    pool_id: SlugPath, tenant_id: TenantPath, body: BurstOverrideBody, session: Db, change: Changing
) -> ShareView:
    """Switch the burst on or off now, whatever its hours say, or let them decide again. Audited."""
    state = None if body.state == "by_schedule" else body.state
    row = await service.override_burst(
        session, pool_id, tenant_id, state, change.actor, body.reason, change.clock, change.check
    )
    view = await _seen(row, session, change.clock)
    action = f"burst_{body.state}"
    return await change.noted("share", view, ShareBody, tenant_id=tenant_id, action=action, reason=body.reason)


def declared_share(body: ShareBody) -> service.ShareDeclaration:
    """What the body says. Raises Invalid with every fault of its hours and figures."""
    wrong, hours = Faults(), None
    usual, burst = _positions(body), _positions(body.burst) if body.burst else None
    with wrong.collect():
        hours = hours_of("burst.hours", body.burst.hours) if body.burst else None
    with wrong.collect():
        refuse([{"field": field, "reason": reason} for field, reason in faults(usual, burst)])
    wrong.check()
    return service.ShareDeclaration(
        usual=usual, burst=burst, burst_hours=hours, release_after_seconds=body.release_after_seconds
    )


def _positions(body: PositionsBody) -> Positions:
    return Positions(**{name: getattr(body, name) for name in PositionsBody.model_fields})


async def _seen(row: asyncpg.Record, session: Session, clock: Clock) -> ShareView:
    return _view(row, await service.standings(session, row["pool_id"], clock))


def _view(row: asyncpg.Record, standings: Mapping[str, Standing]) -> ShareView:
    rules: dict[str, Any] = row["rules"]
    burst = None
    if rules["burst"] is not None:
        burst = BurstBody(**rules["burst"], hours=rules["burst_hours"])
    override = None
    if row["burst_override"] is not None:
        said = {name: row[f"burst_override_{name}"] for name in ("by", "at", "reason")}
        override = BurstOverrideView(state=row["burst_override"], **said)
    standing = standings.get(row["tenant_id"])
    return ShareView(
        pool_id=row["pool_id"],
        tenant_id=row["tenant_id"],
        **rules["usual"],
        release_after_seconds=rules["release_after_seconds"],
        burst=burst,
        burst_override=override,
        live=LiveShareView(
            burst_is_on=standing is not None and standing.burst_is_on,
            serving=standing.serving if standing else 0,
            available=standing.available if standing else 0,
            shortfall=standing.short if standing else 0,
        ),
        version=row["version"],
    )
