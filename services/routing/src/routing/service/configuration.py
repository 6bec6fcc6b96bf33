"""Declaring tenants, pools, queues and agents: checked, stored, and told to the pools' owners, in one transaction.

Every function is a create-or-replace. Returned beside the row: whether it was created. Saying the same again changes
nothing, not even the version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import msgspec
from common import outbox
from common.clock import Clock
from common.database import Session
from common.errors import Conflict, Invalid, NotFound
from common.events.routing import Channel, QueueDeclared
from common.hours import Hours
from common.ids import FLOOR

from routing.domain import inputs
from routing.domain.capacity import wrong_capacity, wrong_interrupts
from routing.domain.configuration import (
    AgentOrder,
    AgentProfile,
    Announcement,
    CallbackRules,
    Cover,
    Overflow,
    OverflowRule,
    Override,
    Queue,
    Relaxation,
    SplitPart,
    Weights,
)
from routing.domain.declarations import (
    Faults,
    check_requirements,
    check_skills,
    check_unmoved,
    refuse,
    skills_named,
    wrong_waiting,
    wrong_weights,
)
from routing.service import overflows
from routing.store import configuration as store
from routing.store import sites
from routing.store.shares import shares_of_tenant
from routing.store.states import agent_profile, elsewhere, queue_of, queues_of

CheckVersion = Callable[[int | None], None]
"""Raises PreconditionFailed when the client wanted to change another version than the present one (None: absent)."""


@dataclass(frozen=True, slots=True)
class QueueDeclaration:
    """A queue as the operator wants it, and what was found wrong with it so far."""

    faults: Faults

    tenant_id: str
    pool_id: str
    channel: str
    required_skills: list[str]
    priority: int
    ageing_seconds_per_priority: float
    service_level_seconds: float
    short_abandon_seconds: float
    offer_timeout_seconds: float
    wrap_up_seconds: float
    max_wait_seconds: float | None
    overflow: Overflow | None
    recording: str
    hours: Hours | None
    requirement: str | None
    relaxations: tuple[Relaxation, ...]
    agent_order: AgentOrder
    overflows: tuple[OverflowRule, ...]
    split: tuple[SplitPart, ...]
    cover: tuple[Cover, ...]
    sticky_seconds: float
    weights: Weights | None
    missed_offers_before_break: int
    callback: CallbackRules | None
    announcements: tuple[Announcement, ...]


async def put_tenant(
    session: Session,
    tenant_id: str,
    name: str,
    time_zone: str,
    directory: dict[str, str],
    region: str,
    clock: Clock,
    check: CheckVersion,
    *,
    allow_possible_numbers: bool,
) -> tuple[asyncpg.Record, bool]:
    """The tenant's queues get the time zone with their next events; its shares follow it."""
    await store.lock(session, "tenant", tenant_id)
    before = await store.tenant(session, tenant_id)
    check(before["version"] if before else None)
    fields = ("name", "time_zone", "directory", "region", "allow_possible_numbers")
    wanted = (name, time_zone, directory, region, allow_possible_numbers)
    if before and tuple(before[field] for field in fields) == wanted:
        return before, False
    after = saved(
        await store.save_tenant(
            session, tenant_id, name, time_zone, directory, region, allow_possible_numbers=allow_possible_numbers
        )
    )
    for pool_id, queue in await store.rules_of_tenant(session, tenant_id):
        outbox.add(
            session,
            inputs.ConfigureQueue(tenant_id=tenant_id, pool_id=pool_id, occurred_at=clock.now(), queue=queue),
        )
    for pool_id, share in await shares_of_tenant(session, tenant_id):
        outbox.add(
            session,
            inputs.ConfigureShare(tenant_id=tenant_id, pool_id=pool_id, occurred_at=clock.now(), share=share),
        )
    return after, before is None


async def put_pool(
    session: Session,
    pool_id: str,
    name: str,
    skills: Sequence[str],
    interrupts: Mapping[Channel, Sequence[Channel]],
    break_reasons: Sequence[str],
    clock: Clock,
    check: CheckVersion,
) -> tuple[asyncpg.Record, bool]:
    """What interrupts what holds for the pool's agents at once. Raises Conflict when a skill is taken away that a queue
    or an agent still names, Invalid for interruptions that cannot be."""
    refuse(wrong_interrupts(interrupts))
    await store.lock(session, "pool", pool_id)
    before = await store.pool(session, pool_id)
    check(before["version"] if before else None)
    wanted = {"name": name, "skills": list(skills), "interrupts": interrupts, "break_reasons": list(break_reasons)}
    if before and all(before[field] == value for field, value in wanted.items()):
        return before, False
    gone = sorted(set(before["skills"]) - set(skills)) if before else []
    after = saved(await store.save_pool(session, pool_id, name, skills, interrupts, break_reasons))
    if gone and (needed_by := await _who_needs(session, pool_id, set(gone))):
        raise Conflict(f"{needed_by} still names one of the skills {', '.join(gone)}", field="skills")
    if before and before["interrupts"] != interrupts:
        for profile in await store.sharing_agents(session, pool_id):
            _tell_agent(session, pool_id, profile, clock)
    return after, before is None


async def _who_needs(session: Session, pool_id: str, skills: set[str]) -> str | None:
    """A queue, agent or entry point of the pool that names one of the skills, in words; None if nobody does."""
    for queue in await queues_of(session, pool_id):
        if not skills.isdisjoint(skills_named(queue)):
            return f"queue {queue.id}"
    return await store.who_needs(session, pool_id, sorted(skills))


async def put_queue(
    session: Session, queue_id: str, wanted: QueueDeclaration, clock: Clock, check: CheckVersion
) -> tuple[asyncpg.Record, bool]:
    """Another pool than before: the queue moves there, live (see `domain.moves`). Raises Invalid for an unknown tenant,
    pool, skill or overflow queue; Conflict for another tenant or channel."""
    # One after another within a tenant: each looks for circles, and changes which pools know its queues.
    await store.lock(session, "overflows", wanted.tenant_id)
    await store.lock(session, "queue", queue_id)
    before = await store.queue(session, queue_id)
    rules = await _checked(session, queue_id, wanted, before)
    check(before["version"] if before else None)
    if before and all(before[name] == value for name, value in rules.items()):
        return before, False
    named = [target for _, target in overflows.queues_named(wanted)]
    await make_known(session, named, wanted.pool_id, clock.now())
    after = saved(await store.save_queue(session, queue_id, rules))
    declared = QueueDeclared(
        tenant_id=after["tenant_id"],
        queue_id=queue_id,
        pool_id=after["pool_id"],
        channel=after["channel"],
        occurred_at=clock.now(),
    )
    outbox.add(session, declared)
    moved = before is not None and before["pool_id"] != wanted.pool_id
    _tell_queue(session, after, clock.now(), [wanted.pool_id, *after["known_in"]], moved=moved)
    return after, before is None


async def make_known(session: Session, queue_ids: Sequence[str], pool_id: str, at: datetime) -> None:
    """Calls may go from the pool to these queues, in whatever pools they are at home."""
    for row in await store.make_known(session, queue_ids, pool_id):
        _tell_queue(session, row, at, [pool_id])


def _tell_queue(
    session: Session, row: asyncpg.Record, at: datetime, pool_ids: Sequence[str], *, moved: bool = False
) -> None:
    """To these of the queue's pool and those that know it beside: what comes to it there goes to where it is."""
    for pool_id in pool_ids:
        queue = queue_of(row) if pool_id == row["pool_id"] else elsewhere(row)
        outbox.add(
            session,
            inputs.ConfigureQueue(
                tenant_id=row["tenant_id"], pool_id=pool_id, occurred_at=at, queue=queue, moved=moved
            ),
        )


async def queue_as(session: Session, before: asyncpg.Record, wanted: QueueDeclaration) -> Queue:
    """The queue as it would be if this was put. Raises what `put_queue` raises; stores nothing."""
    return queue_of({**before, **await _checked(session, before["id"], wanted, before)})


async def _checked(
    session: Session, queue_id: str, wanted: QueueDeclaration, before: asyncpg.Record | None
) -> dict[str, Any]:
    """The columns of a declaration that nothing is wrong with."""
    faults, cover = wanted.faults, wanted.cover
    with faults.collect():
        refuse(wrong_weights(wanted.weights, await _beside(session, queue_id, wanted), wanted.pool_id))
    with faults.collect():
        if await store.tenant(session, wanted.tenant_id) is None:
            raise Invalid(f"there is no tenant {wanted.tenant_id}", field="tenant_id")
    with faults.collect():
        skills = (await _pool(session, wanted.pool_id))["skills"]
        check_requirements(wanted.required_skills, wanted.requirement, wanted.relaxations, skills, wanted.pool_id)
    with faults.collect():
        refuse(wrong_waiting(wanted.channel, wanted.callback, wanted.announcements, wanted.overflows))
    with faults.collect():
        cover = await overflows.check(session, queue_id, wanted)
    faults.check()
    if before:
        check_unmoved("queue", queue_id, "tenant_id", before["tenant_id"], wanted.tenant_id)
        check_unmoved("queue", queue_id, "channel", before["channel"], wanted.channel)
    return {**_columns(wanted, cover), "known_in": _known_in(before, wanted.pool_id)}


async def _beside(session: Session, queue_id: str, wanted: QueueDeclaration) -> list[Weights | None]:
    """The weights of the pool's other queues, where they matter: beside a queue that weighs nothing. Such queues are
    put one after another."""
    if wanted.weights is None or wanted.weights.lost_call_cost:
        return []
    await store.lock(session, "weights", wanted.pool_id)
    return [queue.weights for queue in await queues_of(session, wanted.pool_id) if queue.id != queue_id]


def _known_in(before: asyncpg.Record | None, pool_id: str) -> list[str]:
    """The pools that know the queue, once it is at home in this one: for ever those that it has left."""
    return [] if before is None else sorted({*before["known_in"], before["pool_id"]} - {pool_id})


async def override_queue(
    session: Session,
    queue_id: str,
    state: Override | None,
    actor: str,
    reason: str | None,
    clock: Clock,
    check: CheckVersion,
) -> asyncpg.Record:
    """Open, close or drain the queue against its hours, or let them decide again (None). Raises NotFound.

    Nothing happens when that is what was said before.
    """
    await store.lock(session, "queue", queue_id)
    before = await store.queue(session, queue_id)
    if before is None:
        raise NotFound(f"there is no queue {queue_id}")
    check(before["version"])
    if before["override"] == state and (before["override_reason"] == reason or state is None):
        return before
    now = clock.now()
    after = saved(await store.override_queue(session, queue_id, state, actor, now, reason))
    _tell_queue(session, after, now, [after["pool_id"], *after["known_in"]])
    return after


def _columns(wanted: QueueDeclaration, cover: tuple[Cover, ...]) -> dict[str, Any]:
    return {
        "tenant_id": wanted.tenant_id,
        "pool_id": wanted.pool_id,
        "channel": wanted.channel,
        "required_skills": sorted(set(wanted.required_skills)),
        "priority": wanted.priority,
        "ageing_seconds_per_priority": wanted.ageing_seconds_per_priority,
        "service_level_seconds": wanted.service_level_seconds,
        "short_abandon_seconds": wanted.short_abandon_seconds,
        "offer_timeout_seconds": wanted.offer_timeout_seconds,
        "wrap_up_seconds": wanted.wrap_up_seconds,
        "max_wait_seconds": wanted.max_wait_seconds,
        "overflow_queue_id": wanted.overflow.queue_id if wanted.overflow else None,
        "overflow_after_seconds": wanted.overflow.after_seconds if wanted.overflow else None,
        "recording": wanted.recording,
        "hours": wanted.hours.as_mapping() if wanted.hours else None,
        "requirement": wanted.requirement,
        "relaxations": [msgspec.to_builtins(relaxation) for relaxation in wanted.relaxations],
        "agent_order": wanted.agent_order,
        "overflows": msgspec.to_builtins(list(wanted.overflows)),
        "split": msgspec.to_builtins(list(wanted.split)),
        "cover": [
            {
                "sites": list(one.sites),
                "hours": one.hours.as_mapping() if one.hours else None,
                "time_zone": one.time_zone,
            }
            for one in cover
        ],
        "sticky_seconds": wanted.sticky_seconds,
        "weights": None if wanted.weights is None else msgspec.to_builtins(wanted.weights),
        "missed_offers_before_break": wanted.missed_offers_before_break,
        "callback": None if wanted.callback is None else msgspec.to_builtins(wanted.callback),
        "announcements": [{**msgspec.to_builtins(one), "tell": list(one.tell)} for one in wanted.announcements],
    }


async def put_agent(
    session: Session,
    agent_id: str,
    pool_id: str,
    name: str,
    skills: dict[str, int],
    capacity: Mapping[Channel, int],
    site_id: str | None,
    clock: Clock,
    check: CheckVersion,
) -> tuple[asyncpg.Record, bool]:
    """Raises Invalid with every fault: an unknown pool, skill or site, a capacity that cannot be; Conflict for another
    pool than the agent's."""
    await store.lock(session, "agent", agent_id)
    before = await store.agent(session, agent_id)
    faults = Faults()
    with faults.collect():
        refuse(wrong_capacity(capacity))
    with faults.collect():
        check_skills("skills", skills, (await _pool(session, pool_id))["skills"], pool_id)
    with faults.collect():
        if site_id is not None and await sites.site(session, site_id) is None:
            raise Invalid(f"there is no site {site_id}", field="site_id")
    faults.check()
    if before:
        check_unmoved("agent", agent_id, "pool_id", before["pool_id"], pool_id)
    check(before["version"] if before else None)
    said = (name, skills, capacity, site_id)
    if before and (before["name"], before["skills"], before["capacity"], before["site_id"]) == said:
        return before, False
    after = saved(await store.save_agent(session, agent_id, pool_id, name, skills, capacity, site_id))
    _tell_agent(session, pool_id, agent_profile(after), clock)
    return after, before is None


async def drain_agent(
    session: Session, agent_id: str, *, drained: bool, actor: str, reason: str | None, clock: Clock, check: CheckVersion
) -> asyncpg.Record:
    """Take the agent out of service once their call is done, or (`drained` false) let them come back. Raises NotFound.

    Nothing happens when that is what was said before.
    """
    await store.lock(session, "agent", agent_id)
    before = await store.agent(session, agent_id)
    if before is None:
        raise NotFound(f"there is no agent {agent_id}")
    check(before["version"])
    if (before["drained_at"] is not None) == drained and (before["drain_reason"] == reason or not drained):
        return before
    now = clock.now()
    noted = (actor, now, reason) if drained else (None, None, None)
    after = saved(await store.drain_agent(session, agent_id, *noted))
    _tell_agent(session, after["pool_id"], agent_profile(after), clock)
    return after


def _tell_agent(session: Session, pool_id: str, profile: AgentProfile, clock: Clock) -> None:
    told = inputs.ConfigureAgent(tenant_id=FLOOR, pool_id=pool_id, occurred_at=clock.now(), agent=profile)
    outbox.add(session, told)


async def _pool(session: Session, pool_id: str) -> asyncpg.Record:
    pool = await store.pool(session, pool_id, hold=True)
    if pool is None:
        raise Invalid(f"there is no pool {pool_id}", field="pool_id")
    return pool


def saved(row: asyncpg.Record | None) -> asyncpg.Record:
    """A row that was just written."""
    if row is None:
        raise AssertionError("a row that was just written is not there")
    return row
