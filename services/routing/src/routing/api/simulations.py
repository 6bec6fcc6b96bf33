"""A day of a pool simulated under a changed configuration."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import asyncpg
import msgspec
from common.auth import Role
from common.errors import Conflict, Invalid, NotFound, Problem
from common.events.routing import Channel
from common.fields import Line, Slug
from common.http import Caller, Db, Model, Router, require
from common.ids import new_id
from fastapi import Depends, Request
from pydantic import AwareDatetime, Field, ValidationError

from routing.api.capacity import Capacity
from routing.api.configuration import QueueBody, declaration_of, queue_view
from routing.api.shares import ShareBody, declared_share
from routing.api.state import Here, SlugPath, check_floor
from routing.domain import configuration as domain
from routing.domain.capacity import wrong_capacity
from routing.domain.configuration import Queue
from routing.domain.declarations import check_skills
from routing.domain.playing import AddedAgent, Changes
from routing.domain.shares import Share
from routing.domain.simulation import Task
from routing.service import configuration as service
from routing.store import configuration, states
from routing.store import simulations as store
from routing.store.shares import of_pools

router = Router(tags=["simulations"], dependencies=[require(Role.OPERATOR), Depends(check_floor)])

LONGEST = timedelta(days=7)
MOST_WAITING = 20

Levels = dict[Slug, Annotated[int, Field(ge=1, le=10)]]


class AddedAgentBody(Model):
    """Somebody who was not there. `shifts_of`: comes and goes as this agent did; null: is there all the time."""

    id: Slug
    skills: Levels = Field({}, max_length=200, examples=[{"french": 7}])
    shifts_of: Slug | None = None
    capacity: Capacity = Field(default={})


class SimulationBody(Model):
    """The window, by default the last 24 hours, and what is to be other in it. Nothing: the day as it was."""

    start: AwareDatetime | None = None
    end: AwareDatetime | None = None
    seed: Line = "1"
    """The same seed, window and changes give the same result, as long as the inputs are kept (30 days)."""
    queues: dict[Slug, dict[str, Any]] = Field({}, max_length=1000, examples=[{"help": {"priority": 9}}])
    """By queue, those fields of its PUT that are other; they hold against every change that the day saw."""
    agents: dict[Slug, Levels] = Field({}, max_length=1000, examples=[{"ann": {"french": 5, "billing": 3}}])
    """By agent, the skills instead of theirs."""
    capacities: dict[Slug, Capacity] = Field({}, max_length=1000, examples=[{"ann": {"voice": 1, "chat": 2}}])
    """By agent, how many calls of each channel they take instead; empty: one call at a time. What interrupts what is as
    the pool says."""
    shares: dict[Slug, ShareBody | None] = Field({}, max_length=1000, examples=[{"kettle": {"reserved_positions": 3}}])
    """By tenant, the whole share instead of theirs, against every change that the day saw but an operator's word on the
    burst; null: none."""
    removed_agents: list[Slug] = Field([], max_length=1000)
    added_agents: list[AddedAgentBody] = Field([], max_length=1000)


class FiguresView(Model):
    """Null: there is nothing to divide by. Service level and abandonment leave short abandons out; waits count from the
    first queue; occupancy is handling divided by handling and available time."""

    offered: int
    answered: int
    abandoned: int
    short_abandoned: int
    turned_away: int
    not_called_back: int = 0
    """Hung up to be called back, and were not; not among the abandoned."""
    service_level: float | None
    abandonment: float | None
    asa_seconds: float | None
    """Without the time for which callers had hung up to be called back."""
    occupancy: float | None
    """Of a tenant or queue: what its calls make of the pool's."""


class DifferenceView(Model):
    """Changed minus baseline."""

    offered: float
    answered: float
    abandoned: float
    short_abandoned: float
    turned_away: float
    not_called_back: float = 0
    service_level: float | None
    abandonment: float | None
    asa_seconds: float | None
    occupancy: float | None


class LineView(Model):
    """Of the pool (neither tenant nor queue), a tenant (no queue), or a queue; a call counts in its first queue."""

    tenant_id: str | None
    queue_id: str | None
    recorded: FiguresView
    """What really happened."""
    baseline: FiguresView
    """The day simulated as it was: near to `recorded`, as far as the simulation may be believed."""
    changed: FiguresView
    difference: DifferenceView


class ResultView(Model):
    inputs: int
    """Of the pool, from twelve hours before the window: who is there at its beginning has come in that time."""
    refused_inputs: int
    """Those that changed nothing when they were played again. Many of them mean that not all was there to be read."""
    calls: int
    patience_known: int
    """Of so many calls the patience is exact, of the others it is drawn."""
    conversation_known: int
    called_back: int = 0
    """Callers who hung up to be called back."""
    lines: list[LineView]
    notes: list[str]
    """What is exact, what is drawn, what is taken to be; and what this day could not tell of these changes."""


class SimulationView(Model):
    """`progress` from 0 to 1. `result` once it is done, `failure` if it cannot be."""

    id: UUID
    pool_id: str
    status: Literal["waiting", "running", "done", "failed"]
    progress: float
    asked_by: str
    asked_at: datetime
    start: datetime
    end: datetime
    seed: str
    result: ResultView | None
    failure: str | None


@router.post("/pools/{pool_id}/simulate", status_code=202)
async def simulate_pool(
    pool_id: SlugPath, session: Db, caller: Caller, here: Here, request: Request, body: SimulationBody | None = None
) -> SimulationView:
    """Simulate a day of the pool as it was, and under changes: what becomes of service level, abandonment, ASA and
    occupancy, per tenant and queue. Long work: ask `GET /v1/simulations/{id}` for its progress."""
    body = body or SimulationBody()
    if await configuration.pool(session, pool_id) is None:
        raise NotFound(f"there is no pool {pool_id}")
    now: datetime = request.app.state.runtime.clock.now()
    end = min(body.end or now, now)
    start = body.start or end - timedelta(hours=24)
    if not timedelta(0) < end - start <= LONGEST:
        raise Invalid("it begins before now and before its end, and lasts a week at most", field="start")
    if await store.waiting(session) >= MOST_WAITING:
        raise Conflict(f"{MOST_WAITING} simulations are waiting already")
    loaded = (await states.load(session, [pool_id]))[pool_id]
    queues, profiles = tuple(loaded.queues), tuple(loaded.profiles)
    shares = tuple(share for _, share in await of_pools(session, [pool_id]))
    changes = await _Checking(session, pool_id, body).changes(
        {one.id: one for one in queues if one.elsewhere is None},
        [one.id for one in profiles],
        [one.tenant_id for one in shares],
    )
    simulation_id = new_id()
    task = Task(
        pool_id=pool_id,
        start=start,
        end=end,
        seed=body.seed,
        queues=queues,
        profiles=profiles,
        sites=tuple(loaded.sites),
        shares=shares,
        changes=changes,
    )
    await store.add(session, simulation_id, caller.subject, task)
    session.after_commit(here.simulate.set)
    row = await store.simulation(session, simulation_id)
    assert row is not None
    return _view(row)


@router.get("/simulations/{simulation_id}")
async def get_simulation(simulation_id: UUID, session: Db) -> SimulationView:
    """How far it has come, and what it came to. Kept for a month."""
    row = await store.simulation(session, simulation_id)
    if row is None:
        raise NotFound(f"there is no simulation {simulation_id}")
    return _view(row)


class _Checking:
    """What is to be other, checked as a whole."""

    def __init__(self, session: Db, pool_id: str, body: SimulationBody) -> None:
        self._session = session
        self._pool_id = pool_id
        self._body = body
        self._errors: list[dict[str, Any]] = []

    async def changes(self, queues: dict[str, Queue], agent_ids: list[str], sharing: list[str]) -> Changes:
        """Raises Invalid with every fault by its place."""
        body = self._body
        changed = {}
        for queue_id, given in body.queues.items():
            queue = await self._queue(f"queues.{queue_id}", queue_id, given) if queue_id in queues else None
            if queue_id not in queues:
                self._wrong(f"queues.{queue_id}", f"pool {self._pool_id} has no queue {queue_id}")
            if queue is not None:
                changed[queue_id] = queue
        pool = await configuration.pool(self._session, self._pool_id)
        declared, interrupts = ([], {}) if pool is None else (pool["skills"], pool["interrupts"])
        for agent_id, skills in body.agents.items():
            self._known(f"agents.{agent_id}", agent_id, agent_ids)
            self._skills(f"agents.{agent_id}", skills, declared)
        capacities = {}
        for agent_id, calls in body.capacities.items():
            self._known(f"capacities.{agent_id}", agent_id, agent_ids)
            capacities[agent_id] = self._capacity(f"capacities.{agent_id}", calls, interrupts)
        shares = {}
        for tenant_id, share in body.shares.items():
            wanted = await self._share(f"shares.{tenant_id}", tenant_id, share, sharing)
            if wanted is not None:
                shares[tenant_id] = wanted
        for number, agent_id in enumerate(body.removed_agents):
            self._known(f"removed_agents.{number}", agent_id, agent_ids)
        added = []
        for number, one in enumerate(body.added_agents):
            place = f"added_agents.{number}"
            self._skills(f"{place}.skills", one.skills, declared)
            capacity = self._capacity(f"{place}.capacity", one.capacity, interrupts)
            added.append(AddedAgent(id=one.id, skills=one.skills, shifts_of=one.shifts_of, capacity=capacity))
            if one.id in [*agent_ids, *(other.id for other in body.added_agents[:number])]:
                self._wrong(f"{place}.id", f"there is an agent {one.id} already")
            if one.shifts_of is not None:
                self._known(f"{place}.shifts_of", one.shifts_of, agent_ids)
        if self._errors:
            first = self._errors[0]
            raise Invalid(f"{first['field']}: {first['reason']}", field=first["field"], errors=self._errors)
        fields = {queue_id: _differing(queues[queue_id], queue) for queue_id, queue in changed.items()}
        return Changes(
            queues=changed,
            fields=fields,
            skills={agent_id: dict(skills) for agent_id, skills in body.agents.items()},
            removed=tuple(body.removed_agents),
            added=tuple(added),
            capacities=capacities,
            shares=shares,
        )

    async def _queue(self, place: str, queue_id: str, given: dict[str, Any]) -> Queue | None:
        row = await configuration.queue(self._session, queue_id)
        assert row is not None
        present = queue_view(row).model_dump(mode="json", include=set(QueueBody.model_fields))
        try:
            wanted = QueueBody.model_validate({**present, **given})
            return await service.queue_as(self._session, row, declaration_of(wanted))
        except ValidationError as wrong:
            for error in wrong.errors():
                self._wrong(".".join([place, *(str(part) for part in error["loc"])]), error["msg"])
        except (Invalid, Conflict) as refused:
            self._refused(place, refused)
        return None

    def _capacity(self, place: str, calls: dict[Channel, int], interrupts: dict[str, Any]) -> domain.Capacity | None:
        """As the pool would know it; None: one call at a time."""
        for fault in wrong_capacity(calls):
            self._wrong(fault["field"].replace("capacity", place, 1), fault["reason"])
        return msgspec.convert({"calls": calls, "interrupts": interrupts}, domain.Capacity) if calls else None

    async def _share(self, place: str, tenant_id: str, body: ShareBody | None, sharing: list[str]) -> Share | None:
        tenant = await configuration.tenant(self._session, tenant_id)
        if tenant is None or (body is None and tenant_id not in sharing):
            what = "no tenant" if tenant is None else f"no share of pool {self._pool_id} for"
            self._wrong(place, f"there is {what} {tenant_id}")
            return None
        if body is None:
            return Share(tenant_id=tenant_id, time_zone=tenant["time_zone"], version=0)
        try:
            wanted = declared_share(body)
        except Invalid as refused:
            self._refused(place, refused)
            return None
        return Share(
            tenant_id=tenant_id,
            time_zone=tenant["time_zone"],
            version=0,
            usual=wanted.usual,
            burst=wanted.burst,
            burst_hours=wanted.burst_hours,
            release_after_seconds=wanted.release_after_seconds,
        )

    def _refused(self, place: str, refused: Problem) -> None:
        document = refused.document()
        for error in document.get("errors") or [{"field": document.get("field"), "reason": document["detail"]}]:
            self._wrong(f"{place}.{error['field']}" if error["field"] else place, str(error["reason"]))

    def _skills(self, place: str, skills: dict[str, int], declared: list[str]) -> None:
        try:
            check_skills(place, skills, declared, self._pool_id)
        except Invalid as refused:
            self._wrong(place, str(refused))

    def _known(self, place: str, agent_id: str, agent_ids: list[str]) -> None:
        if agent_id not in agent_ids:
            self._wrong(place, f"pool {self._pool_id} has no agent {agent_id}")

    def _wrong(self, field: str, reason: str) -> None:
        self._errors.append({"field": field, "reason": reason})


def _differing(before: Queue, after: Queue) -> list[str]:
    names = [field.name for field in msgspec.structs.fields(Queue) if field.name != "version"]
    return [name for name in names if getattr(before, name) != getattr(after, name)]


def _view(row: asyncpg.Record) -> SimulationView:
    task, status = row["task"], "waiting" if row["alive_at"] is None else "running"
    if row["failure"] is not None or row["result"] is not None:
        status = "done" if row["failure"] is None else "failed"
    return SimulationView.model_validate(
        {
            "id": row["id"],
            "pool_id": row["pool_id"],
            "status": status,
            "progress": row["progress"],
            "asked_by": row["asked_by"],
            "asked_at": row["asked_at"],
            **{name: task[name] for name in ("start", "end", "seed")},
            "result": row["result"],
            "failure": row["failure"],
        }
    )
