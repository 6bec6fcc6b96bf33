"""Tenants, pools, queues and agents as the operator declares them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import asyncpg
from common.auth import Role
from common.errors import Invalid, NotFound
from common.events.routing import AgentState, Channel
from common.fields import SLUG, AllowPossibleNumbers, Line, Region, Slug, TenantFilter, TenantPath, TimeZone
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
from common.ids import FLOOR
from common.phone import DEFAULT_REGION, InvalidPhone, normalise
from common.requirements import LONGEST
from fastapi import Depends, Query, Response
from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from routing.api.agents import NextState, next_of
from routing.api.capacity import CallAtHandView, Capacity, Interrupts, at_hand, taken_by
from routing.api.history import Changing
from routing.api.hours import HoursBody, hours_of
from routing.api.overflows import Overflows, OverrideView, Split, rules_of, split_of
from routing.api.sites import CoverBody, DrainView, covers_of
from routing.api.state import PositiveSeconds, Seconds, SlugPath, check_floor
from routing.api.waiting import Announcements, CallbackBody, announcements_of, callback_of
from routing.domain.agents import LoggedOut, OnBreak
from routing.domain.configuration import AgentOrder, Cover, Overflow, RecordingRule, Relaxation, Weights
from routing.domain.declarations import Faults
from routing.service import configuration as service
from routing.store import configuration as store
from routing.store.reading import agent_of

router = Router(
    tags=["configuration"],
    dependencies=[require(Role.OPERATOR, Role.SUPERVISOR, Role.SERVICE, Role.TENANT, Role.AGENT)],
)
OPERATOR = [require(Role.OPERATOR), Depends(check_floor)]

Number = Annotated[str, StringConstraints(max_length=40)]
"""A phone number as typed."""


class TenantBody(Model):
    name: Line
    time_zone: TimeZone = Field(examples=["Europe/Paris"])
    region: Region = Field(DEFAULT_REGION, examples=["FR"])
    """ISO 3166: how national phone numbers are read, those of callers too."""
    allow_possible_numbers: AllowPossibleNumbers = False
    directory: dict[Slug, Number] = Field({}, max_length=1000, examples=[{"night-desk": "+33639980002"}])
    """Numbers outside that agents may hand callers on to, by name: national in the tenant's region, or
    international."""

    @field_validator("directory")
    @classmethod
    def _e164(cls, directory: dict[str, str], given: ValidationInfo) -> dict[str, str]:
        """Read in the tenant's region."""
        read = {}
        for name, number in directory.items():
            try:
                read[name] = normalise(
                    number, given.data.get("region"), possible=given.data.get("allow_possible_numbers", False)
                )
            except InvalidPhone as wrong:
                raise ValueError(f"{name}: {wrong}") from None
        return read


class TenantView(TenantBody):
    id: str
    version: int


class PoolBody(Model):
    """`skills`: those that the pool's queues and agents may name."""

    name: Line
    skills: list[Slug] = Field(default=[], max_length=1000)
    interrupts: Interrupts = Field(default={})
    break_reasons: list[Slug] = Field(default=[], max_length=100, examples=[["lunch", "training"]])
    """What its agents may give as the reason of a break, beside nothing; none: whatever they say. A break that they are
    put on, as after a missed offer, has a reason of its own."""


class PoolView(PoolBody):
    id: str
    version: int


class OverflowBody(Model):
    queue_id: Slug
    after_seconds: Seconds


Requirement = Annotated[str, StringConstraints(max_length=LONGEST)]


class RelaxationBody(Model):
    """After so many seconds in the queue, agents who meet `requirement` may serve the call too."""

    after_seconds: PositiveSeconds = Field(examples=[30])
    requirement: Requirement = Field(examples=["french"])


class WeightsBody(Model):
    """What the policy by declared weights goes by. As soon as one queue of a pool has weights, the pool follows that
    policy: the calls whose loss costs most for an agent's time come first, and agents may be kept for them. Queues of
    the pool without weights then count with these defaults. What is null is estimated from what the pool sees."""

    lost_call_cost: float = Field(1.0, ge=0, le=1e6, allow_inf_nan=False, examples=[3])
    """Cost of a call that nobody answers, in any unit: the ratio between the pool's queues is what counts."""
    calls_per_hour: float | None = Field(None, ge=0, le=1e6, allow_inf_nan=False, examples=[156])
    """Expected; with 0 no agent is kept for the queue."""
    handling_seconds: PositiveSeconds | None = None
    """Expected mean of conversation and wrap-up."""
    patience_seconds: PositiveSeconds | None = None
    """Expected mean time after which a waiting caller hangs up."""
    service_level_target: float | None = Field(None, ge=0.01, le=0.99, examples=[0.8])
    """Share of calls to be answered within `service_level_seconds`. While the queue is below it, its bid rises as its
    first callers come near that time."""
    late_call_cost: float | None = Field(None, ge=0, le=1e6, allow_inf_nan=False, examples=[1])
    """The most that is paid to have one more call in time, in the unit of `lost_call_cost`; null: as much as for a lost
    call. Needs a target."""


class QueueBody(Model):
    """Who may serve is said either by `required_skills`, all of them at any level, or by `requirement`."""

    tenant_id: Slug
    pool_id: Slug
    channel: Channel = "voice"
    required_skills: list[Slug] = Field(default=[], max_length=50)
    priority: int = Field(5, ge=0, le=9)
    ageing_seconds_per_priority: PositiveSeconds = 60.0
    """Waiting this long is worth one step of priority, counted from 5: between queues of priority 5 waiting time alone
    decides, whatever their ageing."""
    service_level_seconds: PositiveSeconds = 20.0
    short_abandon_seconds: Seconds = 5.0
    offer_timeout_seconds: PositiveSeconds = 20.0
    wrap_up_seconds: Seconds = 60.0
    """Limit of the wrap-up."""
    max_wait_seconds: PositiveSeconds | None = None
    overflow: OverflowBody | None = None
    recording: RecordingRule = "never"
    """always: from the answer on (tell the caller before); with_consent: once the caller has said yes."""
    hours: HoursBody | None = None
    """When it takes calls from outside; null: always."""
    requirement: Requirement | None = Field(None, examples=["french >= 5 and (billing or disputes)"])
    """Skills, at level 1 or as `>=` says, joined by `and`, `or` and parentheses."""
    relaxations: list[RelaxationBody] = Field(default=[], max_length=10)
    """By rising time; each lets in more agents, beside those who could serve before."""
    agent_order: AgentOrder = "longest_idle"
    """Which of several available agents comes first. Ties: fewest skills, then longest idle, then by id."""
    overflows: Overflows = Field(default=[])
    """Where calls go that the queue cannot keep. `overflow` counts as one more rule, the last."""
    sticky_seconds: Seconds = 0.0
    """How long a call waits for its preferred agent alone, while they are logged in but not available: for the one whom
    its offer names, otherwise for the one who last spoke with its caller. 0: it does not wait, and nobody is looked up.
    """
    split: Split = Field(default=[])
    """Where calls from outside that are offered to it go, by percentages that sum to 100, in turns that keep them at
    every moment. Calls that overflow into it or that an agent hands on stay, and so does every call when there is no
    split."""
    cover: list[CoverBody] = Field(default=[], max_length=20)
    """Which sites serve it, and when; none: every site always. At a time that none covers, the queue is closed, and
    calls that still wait are served by every site."""
    weights: WeightsBody | None = None
    """Null: no weights. A pool of which no queue has any goes by priority, ageing and waiting time."""
    callback: CallbackBody | None = None
    """Null: callers of this queue are not called back."""
    announcements: Announcements = Field(default=[])
    missed_offers_before_break: int = Field(1, ge=1, le=20)
    """An agent who lets so many offers in a row time out, or declines them, goes on a break; until then they stay
    available, behind all others."""


class QueueView(QueueBody):
    override: OverrideView | None
    """Null: the hours decide."""
    id: str
    version: int


class AgentBody(Model):
    """`skills`: level 1–10 by skill, or a list (level 5 each)."""

    name: Line
    pool_id: Slug
    skills: dict[Slug, Annotated[int, Field(ge=1, le=10)]] | list[Slug] = Field(default={}, max_length=200)
    capacity: Capacity = Field(default={})
    site_id: Slug | None = None
    """Where the agent's position is; null: nowhere in particular."""


class AgentView(Model):
    """An agent with their state. With several calls at a time, `state` and `call_id` are those of one that is not
    paused: busy before wrap_up before offered, then voice before chat, email and post."""

    id: str
    name: str
    pool_id: str
    skills: dict[str, int]
    site_id: str | None
    version: int
    state: AgentState
    since: datetime | None
    """Null: never logged in."""
    reason: str | None
    """Of the break; of the log-out, where an operator ended the shift."""
    call_id: str | None
    drain: DrainView | None
    """Null: not drained."""
    capacity: Capacity
    calls: list[CallAtHandView]
    """In the order in which they were offered."""
    next_state: NextState | None
    """Asked for during a call; it takes effect after the wrap-up of the last call at hand. Null: nothing was asked for,
    and the agent takes calls again then."""
    next_reason: str | None
    """Of that break; of that log-out, where an operator drains the agent."""
    takes: list[Channel] | None
    """The channels of which they could be offered one more call now. Null: any, while available."""


@router.put("/tenants/{tenant_id}", dependencies=OPERATOR, responses=creates(TenantView))
async def put_tenant(
    tenant_id: TenantPath, body: TenantBody, session: Db, change: Changing, response: Response
) -> TenantView:
    """Create or replace a tenant."""
    if tenant_id == FLOOR:
        raise Invalid(f"{FLOOR!r} is the floor itself", field="tenant_id")
    row, created = await service.put_tenant(
        session,
        tenant_id,
        body.name,
        body.time_zone,
        body.directory,
        body.region,
        change.clock,
        change.check,
        allow_possible_numbers=body.allow_possible_numbers,
    )
    answer_put(response, row["version"], created=created)
    return await change.noted("tenant", _tenant(row), TenantBody, tenant_id=tenant_id)


@router.get("/tenants/{tenant_id}")
async def get_tenant(tenant_id: TenantPath, session: Db, response: Response) -> TenantView:
    """One tenant."""
    row = await store.tenant(session, tenant_id)
    if row is None:
        raise NotFound(f"there is no tenant {tenant_id}")
    response.headers["etag"] = etag(row["version"])
    return _tenant(row)


@router.get("/tenants")
async def list_tenants(session: Db, limit: PageLimit = 100, cursor: PageCursor = None) -> Page[TenantView]:
    """By id."""
    rows = await store.tenants(session, decode_key(cursor, str), limit)
    return page([_tenant(row) for row in rows], limit, lambda last: (last.id,))


@router.put("/pools/{pool_id}", dependencies=OPERATOR, responses=creates(PoolView))
async def put_pool(pool_id: SlugPath, body: PoolBody, session: Db, change: Changing, response: Response) -> PoolView:
    """Create or replace a pool. A skill that is still named cannot be taken away (409)."""
    skills, break_reasons = sorted(set(body.skills)), list(dict.fromkeys(body.break_reasons))
    row, created = await service.put_pool(
        session, pool_id, body.name, skills, body.interrupts, break_reasons, change.clock, change.check
    )
    answer_put(response, row["version"], created=created)
    return await change.noted("pool", _pool(row), PoolBody)


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
    rows = await store.pools(session, decode_key(cursor, str), limit)
    return page([_pool(row) for row in rows], limit, lambda last: (last.id,))


@router.put("/queues/{queue_id}", dependencies=OPERATOR, responses=creates(QueueView))
async def put_queue(
    queue_id: SlugPath, body: QueueBody, session: Db, change: Changing, response: Response
) -> QueueView:
    """Create or replace a queue; it takes effect at once, for waiting calls too. Tenant and channel stay. With another
    pool the queue moves there, live: who waits goes over and keeps the place, who is spoken with finishes where they
    are."""
    row, created = await service.put_queue(session, queue_id, declaration_of(body), change.clock, change.check)
    answer_put(response, row["version"], created=created)
    return await change.noted("queue", queue_view(row), QueueBody, tenant_id=row["tenant_id"])


def declaration_of(body: QueueBody) -> service.QueueDeclaration:
    """The queue as the service knows it."""
    faults, hours = Faults(), None
    cover: tuple[Cover, ...] = ()
    with faults.collect():
        hours = hours_of("hours", body.hours)
    with faults.collect():
        cover = covers_of(body.cover)
    return service.QueueDeclaration(
        faults=faults,
        **body.model_dump(
            exclude={
                "split",
                "cover",
                "overflow",
                "hours",
                "overflows",
                "relaxations",
                "weights",
                "callback",
                "announcements",
            }
        ),
        overflow=Overflow(body.overflow.queue_id, body.overflow.after_seconds) if body.overflow else None,
        hours=hours,
        relaxations=tuple(Relaxation(one.after_seconds, one.requirement) for one in body.relaxations),
        overflows=rules_of(body.overflows),
        split=split_of(body.split),
        cover=cover,
        weights=Weights(**body.weights.model_dump()) if body.weights else None,
        callback=callback_of(body.callback),
        announcements=announcements_of(body.announcements),
    )


@router.get("/queues/{queue_id}")
async def get_queue(queue_id: SlugPath, session: Db, response: Response) -> QueueView:
    """One queue."""
    row = await store.queue(session, queue_id)
    if row is None:
        raise NotFound(f"there is no queue {queue_id}")
    response.headers["etag"] = etag(row["version"])
    return queue_view(row)


@router.get("/queues")
async def list_queues(
    session: Db,
    tenant_id: TenantFilter = None,
    pool_id: Annotated[str | None, Query(pattern=SLUG)] = None,
    limit: PageLimit = 100,
    cursor: PageCursor = None,
) -> Page[QueueView]:
    """By id."""
    rows = await store.queues(session, decode_key(cursor, str), limit, tenant_id=tenant_id, pool_id=pool_id)
    return page([queue_view(row) for row in rows], limit, lambda last: (last.id,))


@router.put("/agents/{agent_id}", dependencies=OPERATOR, responses=creates(AgentView))
async def put_agent(
    agent_id: SlugPath, body: AgentBody, session: Db, change: Changing, response: Response
) -> AgentView:
    """Create or replace an agent; new skills take effect at once. The pool stays."""
    skills = body.skills if isinstance(body.skills, dict) else dict.fromkeys(body.skills, 5)
    row, created = await service.put_agent(
        session,
        agent_id,
        body.pool_id,
        body.name,
        skills,
        body.capacity,
        body.site_id,
        change.clock,
        change.check,
    )
    answer_put(response, row["version"], created=created)
    return await change.noted("agent", agent_view(row), AgentBody)


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
    rows = await store.agents(session, decode_key(cursor, str), limit, pool_id=pool_id)
    return page([agent_view(row) for row in rows], limit, lambda last: (last.id,))


def _tenant(row: asyncpg.Record) -> TenantView:
    names = ("name", "time_zone", "region", "allow_possible_numbers", "directory", "version")
    return TenantView(id=row["tenant_id"], **{name: row[name] for name in names})


def _pool(row: asyncpg.Record) -> PoolView:
    return PoolView(**{name: row[name] for name in PoolView.model_fields})


def queue_view(row: asyncpg.Record) -> QueueView:
    """The queue as the API shows it."""
    overflow = None
    if row["overflow_queue_id"] is not None:
        overflow = OverflowBody(queue_id=row["overflow_queue_id"], after_seconds=row["overflow_after_seconds"])
    override = None
    if row["override"] is not None:
        said = {name: row[f"override_{name}"] for name in ("by", "at", "reason")}
        override = OverrideView(state=row["override"], **said)
    names = QueueView.model_fields.keys() - {"cover", "overflow", "override"}
    cover = [CoverBody(sites=one["sites"], hours=one["hours"]) for one in row["cover"]]
    return QueueView(**{name: row[name] for name in names}, cover=cover, overflow=overflow, override=override)


def agent_view(row: asyncpg.Record) -> AgentView:
    """The agent as the API shows them; `saved` is their state, None before their first shift."""
    agent = agent_of(row["saved"])
    state = agent.state if agent else None
    drain = None
    if row["drained_at"] is not None:
        drain = DrainView(by=row["drained_by"], at=row["drained_at"], reason=row["drain_reason"])
    next_state, next_reason = next_of(agent, drain)
    return AgentView(
        id=row["id"],
        name=row["name"],
        pool_id=row["pool_id"],
        skills=row["skills"],
        site_id=row["site_id"],
        version=row["version"],
        state=agent.state_name if agent else "logged_out",
        since=state.since if state else None,
        reason=state.reason if isinstance(state, OnBreak | LoggedOut) else None,
        call_id=agent.foremost.call_id if agent and agent.foremost else None,
        drain=drain,
        capacity=row["capacity"],
        calls=at_hand(agent),
        takes=taken_by(row, agent),
        next_state=next_state,
        next_reason=next_reason,
    )
