"""What spans several things of a floor: references, cycles, the rows of leads files."""

from __future__ import annotations

from collections.abc import Iterator

from common.requirements import skills_of, text_of
from routing.domain.declarations import weightless

from plateau.floor.document import Place, Wrong, suggestion
from plateau.floor.draft import Draft
from plateau.floor.entry_points import wrong_entry_points
from plateau.floor.leads import wrong_leads
from plateau.floor.model import Agent, Queue, Tenant
from plateau.floor.overflows import targets
from plateau.floor.resources import overflow_targets
from plateau.floor.shares import wrong_shares
from plateau.floor.sites import wrong_sites
from plateau.floor.waiting import wrong_waiting


def check(draft: Draft) -> None:
    """Add to `draft.document.wrong` what is wrong between things."""
    wrong = draft.document.wrong
    wrong.extend(_unknown_skills(draft))
    wrong.extend(_unknown_pools(draft))
    wrong.extend(wrong_sites(draft))
    wrong.extend(_overflows(draft.queues))
    wrong.extend(fault for queue in draft.queues for fault in wrong_waiting(queue))
    wrong.extend(_numbers(draft))
    wrong.extend(_weightless(draft.queues))
    wrong.extend(wrong_entry_points(draft.entry_points, draft.pools, draft.queues))
    wrong.extend(wrong_shares(draft))
    wrong.extend(_campaigns(draft))
    wrong.extend(_dispositions(draft.tenants, draft.queues))


def warnings(draft: Draft) -> tuple[str, ...]:
    """What may stand but is surely not meant."""
    found = [str(warning) for warning in draft.document.warnings]
    floor = draft.floor()
    for queue in floor.queues:
        if not floor.agents_of(queue):
            asked = " or ".join(text_of(one) or "no skill" for one in queue.requirements())
            found.append(f"{queue.place}: queue {queue.id}: no agent of pool {queue.pool_id} can serve it ({asked})")
    return tuple(found)


def _unknown_skills(draft: Draft) -> Iterator[Wrong]:
    pools = {pool.id: pool.skills for pool in draft.pools}
    items: list[Queue | Agent] = [*draft.queues, *draft.agents]
    told: set[Place] = set()
    for item in items:
        kind, named = ("queue", _named(item)) if isinstance(item, Queue) else ("agent", list(item.skills))
        known = pools.get(item.pool_id)
        for skill in named if known is not None else ():
            place = draft.skill_places[kind, item.id, skill]
            if known is not None and skill not in known and place not in told:
                told.add(place)
                detail = f"pool {item.pool_id} has no such skill{suggestion(skill, known)}"
                yield Wrong(place, f"{kind} {item.id}: skills", detail, skill)


def _named(queue: Queue) -> list[str]:
    return list(dict.fromkeys(skill for one in queue.requirements() for skill in skills_of(one)))


def _unknown_pools(draft: Draft) -> Iterator[Wrong]:
    pools = [pool.id for pool in draft.pools]
    for queue in draft.queues:
        if queue.pool_id and queue.pool_id not in pools:
            hint = suggestion(queue.pool_id, pools)
            yield Wrong(
                queue.where("pool_id"), f"queue {queue.id}: pool", f"there is no such pool{hint}", queue.pool_id
            )


def _overflows(queues: list[Queue]) -> Iterator[Wrong]:
    by_id = {queue.id: queue for queue in queues}
    for queue in queues:
        for field, target in overflow_targets(queue):
            path = f"queue {queue.id}: {field.removesuffix('.to.queue_id').removesuffix('.queue_id')}"
            place, other = queue.where_within(field), by_id.get(target)
            if other is None:
                yield Wrong(place, path, f"there is no such queue{suggestion(target, by_id)}", target)
            elif other.tenant_id != queue.tenant_id:
                yield Wrong(place, path, f"this queue belongs to another tenant, {other.tenant_id}", target)
            elif other.channel != queue.channel:
                yield Wrong(place, path, f"this queue is for {other.channel}, not for {queue.channel}", target)
            elif (ring := _way_back(queue.id, target, by_id)) is not None:
                yield Wrong(place, path, f"calls would go round for ever ({' -> '.join(ring)})", target)


def _numbers(draft: Draft) -> Iterator[Wrong]:
    """Every number that a queue's rules name and that its tenant's directory has not."""
    directories = {tenant.id: tenant.directory for tenant in draft.tenants}
    for queue in draft.queues:
        known = directories.get(queue.tenant_id, {})
        ways = [("overflows", queue.overflows), ("split", queue.split)]
        for field, name in (found for part, rules in ways for found in targets(part, rules, "number", "name")):
            if name not in known:
                detail = f"the tenant's directory has no such number{suggestion(name, known)}"
                yield Wrong(queue.where_within(field), f"queue {queue.id}: {field}", detail, name)


def _weightless(queues: list[Queue]) -> Iterator[Wrong]:
    """The weights of a pool's queues together, where all have some, come to more than nothing."""
    for pool_id in dict.fromkeys(queue.pool_id for queue in queues):
        of_pool = [queue for queue in queues if queue.pool_id == pool_id]
        if weightless(None if queue.weights is None else queue.weights["lost_call_cost"] for queue in of_pool):
            for queue in of_pool:
                place = queue.where("weights.lost_call_cost")
                detail = f"the weights of pool {pool_id} sum to nothing"
                yield Wrong(place, f"queue {queue.id}: weights.lost_call_cost", detail)


def _way_back(queue_id: str, target: str, by_id: dict[str, Queue]) -> list[str] | None:
    """The shortest way from the queue over `target` back to itself along overflows, if there is one."""
    ways, seen = [[queue_id, target]], {target}
    for way in ways:
        if way[-1] == queue_id:
            return way
        at = by_id.get(way[-1])
        for _, step in overflow_targets(at) if at else ():
            if step not in seen:
                seen.add(step)
                ways.append([*way, step])
    return None


def _campaigns(draft: Draft) -> Iterator[Wrong]:
    queues = {queue.id: queue for queue in draft.queues}
    tenants = {tenant.id: tenant for tenant in draft.tenants}
    for campaign in draft.campaigns:
        queue = queues.get(campaign.queue_id)
        path, place = f"campaign {campaign.id}: queue", campaign.where("queue_id")
        if campaign.queue_id and queue is None:
            yield Wrong(
                place, path, f"there is no such queue{suggestion(campaign.queue_id, queues)}", campaign.queue_id
            )
        elif queue is not None and queue.tenant_id != campaign.tenant_id:
            yield Wrong(place, path, f"this queue belongs to another tenant, {queue.tenant_id}", campaign.queue_id)
        if campaign.leads is not None:
            yield from wrong_leads(campaign, tenants[campaign.tenant_id])


def _dispositions(tenants: list[Tenant], queues: list[Queue]) -> Iterator[Wrong]:
    """A tenant that pays per closed case needs a way to close one."""
    with_queues = {queue.tenant_id for queue in queues}
    for tenant in tenants:
        if tenant.tariff is not None and tenant.id in with_queues and not tenant.closing_dispositions:
            detail = "is needed: without one no case is ever closed, and nothing is billed"
            yield Wrong(tenant.place, f"tenants.{tenant.id}.closing_dispositions", detail)
