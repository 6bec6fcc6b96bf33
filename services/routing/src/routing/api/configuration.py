"""Tenants, pools, queues and agents as the operator declares them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from zoneinfo import available_timezones

import asyncpg
from common.auth import FLOOR, Role
from common.errors import Invalid, NotFound
from common.events.routing import AgentState, Channel
from common.http import (
    Db,
    Model,
    Page,
    PageCursor,
    PageLimit,
    Router,
    check_if_match,
    decode_cursor,
    encode_cursor,
    etag,
    require,
)
from fastapi import Depends, Query, Request, Response
from pydantic import Field

from routing.api.state import SLUG, Seconds, Slug, SlugPath, Text, check_floor
from routing.domain.agents import AfterCall, Busy, OnBreak, Ringing
from routing.domain.configuration import Overflow
from routing.service import configuration as service
from routing.store import configuration as store
from routing.store.reading import agent_of

router = Router(
    tags=["configuration"],
    dependencies=[require(Role.OPERATOR, Role.SUPERVISOR, Role.SERVICE, Role.TENANT, Role.AGENT)],
)
OPERATOR = [require(Role.OPERATOR), Depends(check_floor)]

TIME_ZONES = available_timezones()

PositiveSeconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class TenantBody(Model):
    name: Text
    time_zone: str = Field(examples=["Europe/Paris"], max_length=64)


class TenantView(TenantBody):
    id: str
    version: int


class PoolBody(Model):
    """`skills`: those that the pool's queues and agents may name."""

    name: Text
    skills: list[Slug] = Field(default=[], max_length=1000)


class PoolView(PoolBody):
    id: str
    version: int


class OverflowBody(Model):
    queue_id: Slug
    after_seconds: Seconds


class QueueBody(Model):
    tenant_id: Slug
    pool_id: Slug
    channel: Channel = "voice"
    required_skills: list[Slug] = Field(default=[], max_length=50)
    priority: int = Field(5, ge=0, le=9)
    ageing_seconds_per_priority: PositiveSeconds = 60.0
    """Waiting this long is worth one step of priority."""
    service_level_seconds: PositiveSeconds = 20.0
    short_abandon_seconds: Seconds = 5.0
    offer_timeout_seconds: PositiveSeconds = 20.0
    wrap_up_seconds: Seconds = 60.0
    """Limit of the wrap-up."""
    max_wait_seconds: PositiveSeconds | None = None
    overflow: OverflowBody | None = None


class QueueView(QueueBody):
    id: str
    version: int


class AgentBody(Model):
    """`skills`: level 1–10 by skill, or a list (level 5 each)."""

    name: Text
    pool_id: Slug
    skills: dict[Slug, Annotated[int, Field(ge=1, le=10)]] | list[Slug] = Field(default={}, max_length=200)


class AgentView(Model):
    """An agent with their state."""

    id: str
    name: str
    pool_id: str
    skills: dict[str, int]
    version: int
    state: AgentState
    since: datetime | None
    """Null: never logged in."""
    reason: str | None
    call_id: str | None


def _answer(request: Request, response: Response, row: asyncpg.Record, created: bool) -> None:
    response.status_code = 201 if created else 200
    response.headers["etag"] = etag(row["version"])


def _checker(request: Request) -> service.CheckVersion:
    return lambda version: check_if_match(request, version)


CREATED: dict[int | str, dict[str, Any]] = {201: {"description": "Created"}}


@router.put("/tenants/{tenant_id}", dependencies=OPERATOR, responses=CREATED)
async def put_tenant(
    tenant_id: SlugPath, body: TenantBody, session: Db, request: Request, response: Response
) -> TenantView:
    """Create or replace a tenant."""
    if tenant_id == FLOOR:
        raise Invalid(f"{FLOOR!r} is the floor itself", field="tenant_id")
    if body.time_zone not in TIME_ZONES:
        raise Invalid(f"{body.time_zone!r} is not an IANA time zone", field="time_zone")
    clock = request.app.state.runtime.clock
    row, created = await service.put_tenant(session, tenant_id, body.name, body.time_zone, clock, _checker(request))
    _answer(request, response, row, created)
    return _tenant(row)


@router.get("/tenants/{tenant_id}")
async def get_tenant(tenant_id: SlugPath, session: Db, response: Response) -> TenantView:
    """One tenant."""
    row = await store.tenant(session, tenant_id)
    if row is None:
        raise NotFound(f"there is no tenant {tenant_id}")
    response.headers["etag"] = etag(row["version"])
    return _tenant(row)


@router.get("/tenants")
async def list_tenants(session: Db, limit: PageLimit = 100, cursor: PageCursor = None) -> Page[TenantView]:
    """By id."""
    rows = await store.tenants(session, _after(cursor), limit)
    return Page(items=[_tenant(row) for row in rows], next_cursor=_next(rows, limit, "tenant_id"))


@router.put("/pools/{pool_id}", dependencies=OPERATOR, responses=CREATED)
async def put_pool(pool_id: SlugPath, body: PoolBody, session: Db, request: Request, response: Response) -> PoolView:
    """Create or replace a pool. A skill that is still named cannot be taken away (409)."""
    skills = sorted(set(body.skills))
    row, created = await service.put_pool(session, pool_id, body.name, skills, _checker(request))
    _answer(request, response, row, created)
    return _pool(row)


@router.get("/pools/{pool_id}")
async def get_pool(pool_id: SlugPath, session: Db, response: Response) -> PoolView:
    """One pool."""
    row = await store.pool(session, pool_id)
    if row is None:
        raise NotFound(f"there is no pool {pool_id}")
    response.headers["etag"] = etag(row["version"])
    return _pool(row)


@router.get("/pools")
async def list_pools(session: Db, limit: PageLimit = 100, cursor: PageCursor = None) -> Page[PoolView]:
    """By id."""
    rows = await store.pools(session, _after(cursor), limit)
    return Page(items=[_pool(row) for row in rows], next_cursor=_next(rows, limit))


@router.put("/queues/{queue_id}", dependencies=OPERATOR, responses=CREATED)
async def put_queue(
    queue_id: SlugPath, body: QueueBody, session: Db, request: Request, response: Response
) -> QueueView:
    """Create or replace a queue; it takes effect at once, for waiting calls too. Pool, tenant and channel stay."""
    wanted = service.QueueDeclaration(
        **body.model_dump(exclude={"overflow"}),
        overflow=Overflow(body.overflow.queue_id, body.overflow.after_seconds) if body.overflow else None,
    )
    clock = request.app.state.runtime.clock
    row, created = await service.put_queue(session, queue_id, wanted, clock, _checker(request))
    _answer(request, response, row, created)
    return _queue(row)


@router.get("/queues/{queue_id}")
async def get_queue(queue_id: SlugPath, session: Db, response: Response) -> QueueView:
    """One queue."""
    row = await store.queue(session, queue_id)
    if row is None:
        raise NotFound(f"there is no queue {queue_id}")
    response.headers["etag"] = etag(row["version"])
    return _queue(row)


@router.get("/queues")
async def list_queues(
    session: Db,
    tenant_id: Annotated[str | None, Query(pattern=SLUG)] = None,
    pool_id: Annotated[str | None, Query(pattern=SLUG)] = None,
    limit: PageLimit = 100,
    cursor: PageCursor = None,
) -> Page[QueueView]:
    """By id."""
    rows = await store.queues(session, _after(cursor), limit, tenant_id=tenant_id, pool_id=pool_id)
    return Page(items=[_queue(row) for row in rows], next_cursor=_next(rows, limit))


@router.put("/agents/{agent_id}", dependencies=OPERATOR, responses=CREATED)
async def put_agent(
    agent_id: SlugPath, body: AgentBody, session: Db, request: Request, response: Response
) -> AgentView:
    """Create or replace an agent; new skills take effect at once. The pool stays."""
    skills = body.skills if isinstance(body.skills, dict) else dict.fromkeys(body.skills, 5)
    clock = request.app.state.runtime.clock
    row, created = await service.put_agent(session, agent_id, body.pool_id, body.name, skills, clock, _checker(request))
    _answer(request, response, row, created)
    return agent_view(row)


@router.get("/agents/{agent_id}")
async def get_agent(agent_id: SlugPath, session: Db, response: Response) -> AgentView:
    """One agent, with their state."""
    row = await store.agent(session, agent_id)
    if row is None:
        raise NotFound(f"there is no agent {agent_id}")
    response.headers["etag"] = etag(row["version"])
    return agent_view(row)


@router.get("/agents")
async def list_agents(
    session: Db,
    pool_id: Annotated[str | None, Query(pattern=SLUG)] = None,
    limit: PageLimit = 100,
    cursor: PageCursor = None,
) -> Page[AgentView]:
    """By id."""
    rows = await store.agents(session, _after(cursor), limit, pool_id=pool_id)
    return Page(items=[agent_view(row) for row in rows], next_cursor=_next(rows, limit))


def _after(cursor: str | None) -> str | None:
    values = decode_cursor(cursor, str)
    return values[0] if values else None


def _next(rows: list[asyncpg.Record], limit: int, key: str = "id") -> str | None:
    return encode_cursor(rows[-1][key]) if len(rows) == limit else None


def _tenant(row: asyncpg.Record) -> TenantView:
    return TenantView(id=row["tenant_id"], name=row["name"], time_zone=row["time_zone"], version=row["version"])


def _pool(row: asyncpg.Record) -> PoolView:
    return PoolView(id=row["id"], name=row["name"], skills=row["skills"], version=row["version"])


def _queue(row: asyncpg.Record) -> QueueView:
    overflow = None
    if row["overflow_queue_id"] is not None:
        overflow = OverflowBody(queue_id=row["overflow_queue_id"], after_seconds=row["overflow_after_seconds"])
    names = QueueView.model_fields.keys() - {"overflow"}
    return QueueView(**{name: row[name] for name in names}, overflow=overflow)


def agent_view(row: asyncpg.Record) -> AgentView:
    """The agent as the API shows them; `saved` is their state, None before their first shift."""
    agent = agent_of(row["saved"])
    state = agent.state if agent else None
    return AgentView(
        id=row["id"],
        name=row["name"],
        pool_id=row["pool_id"],
        skills=row["skills"],
        version=row["version"],
        state=agent.state_name if agent else "logged_out",
        since=state.since if state else None,
        reason=state.reason if isinstance(state, OnBreak) else None,
        call_id=state.call_id if isinstance(state, Ringing | Busy | AfterCall) else None,
    )
