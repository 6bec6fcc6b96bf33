"""A floor as the bodies that the services' APIs take, in the order in which they must be put."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from plateau.floor.document import Place
from plateau.floor.model import Agent, Campaign, EntryPoint, Floor, Item, Pool, Queue, Tenant, Webhook
from plateau.floor.overflows import targets
from plateau.floor.shares import share_path

LISTS: Final[Mapping[str, str]] = {
    "site": "/v1/sites",
    "tenant": "/v1/tenants",
    "pool": "/v1/pools",
    "queue": "/v1/queues",
    "agent": "/v1/agents",
    "entry point": "/v1/entry-points",
    "webhook": "/v1/webhooks",
    "campaign": "/v1/campaigns",
}
"""Where each kind is listed; one of them is at `<list>/<id>`."""
UNORDERED: Final = frozenset(
    {"required_skills", "skills", "closing_dispositions", "event_types", "numbers", "phones", "tell"}
)
"""Lists whose order means nothing."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One object of one service, as the floor file wants it."""

    kind: str
    id: str
    service: str
    body: Mapping[str, Any]
    place: Place
    places: Mapping[str, Place] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return share_path(self.id) if self.kind == "share" else f"{LISTS[self.kind]}/{self.id}"

    def where(self, api_field: str) -> Place:
        """Line of a field that a service names, such as `overflow.queue_id`."""
        name = api_field.removeprefix("body.")
        while name:
            if name in self.places:
                return self.places[name]
            name = name.rpartition(".")[0]
        return self.place


def resources(floor: Floor) -> Iterator[Resource]:
    """Everything that is put as a whole; each comes after what it names."""
    tenants = [(service, body, tenant) for tenant in floor.tenants for service, body in tenant_bodies(tenant)]
    for service, body, tenant in sorted(tenants, key=lambda one: one[0]):
        yield _resource("tenant", tenant, service, body)
    for site in floor.sites:
        yield _resource("site", site, "routing", {"name": site.name, "time_zone": site.time_zone})
    for pool in floor.pools:
        yield _resource("pool", pool, "routing", pool_body(pool))
    for share in floor.shares:
        yield _resource("share", share, "routing", dict(share.body))
    for queue in _overflow_targets_first(floor.queues):
        yield _resource("queue", queue, "routing", queue_body(queue))
    for agent in floor.agents:
        yield _resource("agent", agent, "routing", agent_body(agent))
    for entry_point in floor.entry_points:
        yield _resource("entry point", entry_point, "routing", entry_point_body(entry_point))
    for webhook in floor.webhooks:
        yield _resource("webhook", webhook, "crm-bridge", webhook_body(webhook))
    for campaign in floor.campaigns:
        yield _resource("campaign", campaign, "dialer", campaign_body(campaign))


def _resource(kind: str, item: Item, service: str, body: dict[str, Any]) -> Resource:
    return Resource(kind, item.id, service, body, item.place, item.places)


def tenant_bodies(tenant: Tenant) -> Iterator[tuple[str, dict[str, Any]]]:
    """What each service must know of a tenant."""
    both = {"name": tenant.name, "time_zone": tenant.time_zone}
    numbers = {"region": tenant.region, "allow_possible_numbers": tenant.allow_possible_numbers}
    yield "routing", {**both, **numbers, "directory": dict(tenant.directory)}
    yield (
        "crm-bridge",
        {
            **both,
            **numbers,
            "reopen_window_days": tenant.reopen_window_days,
            "closing_dispositions": list(tenant.closing_dispositions),
        },
    )
    yield "billing", {**both, "currency": tenant.currency}
    yield "kpi", both
    yield "dialer", {**both, **numbers, "rest_after_call_minutes": tenant.rest_after_call_minutes}


def pool_body(pool: Pool) -> dict[str, Any]:
    interrupts = {channel: list(others) for channel, others in pool.interrupts.items()}
    return {
        "name": pool.name,
        "skills": list(pool.skills),
        "interrupts": interrupts,
        "break_reasons": list(pool.break_reasons),
    }


def queue_body(queue: Queue) -> dict[str, Any]:
    overflow = queue.overflow
    return {
        "tenant_id": queue.tenant_id,
        "pool_id": queue.pool_id,
        "channel": queue.channel,
        "required_skills": list(queue.required_skills),
        "priority": queue.priority,
        "ageing_seconds_per_priority": queue.ageing_seconds_per_priority,
        "service_level_seconds": queue.service_level_seconds,
        "short_abandon_seconds": queue.short_abandon_seconds,
        "offer_timeout_seconds": queue.offer_timeout_seconds,
        "wrap_up_seconds": queue.wrap_up_seconds,
        "max_wait_seconds": queue.max_wait_seconds,
        "overflow": None
        if overflow is None
        else {"queue_id": overflow.queue_id, "after_seconds": overflow.after_seconds},
        "recording": queue.recording,
        "hours": queue.hours,
        "requirement": queue.requirement,
        "relaxations": [
            {"after_seconds": one.after_seconds, "requirement": one.requirement} for one in queue.relaxations
        ],
        "agent_order": queue.agent_order,
        "overflows": [dict(rule) for rule in queue.overflows],
        "sticky_seconds": queue.sticky_seconds,
        "split": [dict(share) for share in queue.split],
        "cover": [dict(one) for one in queue.cover],
        "weights": None if queue.weights is None else dict(queue.weights),
        "missed_offers_before_break": queue.missed_offers_before_break,
        "callback": None if queue.callback is None else dict(queue.callback),
        "announcements": [dict(one) for one in queue.announcements],
    }


def agent_body(agent: Agent) -> dict[str, Any]:
    return {
        "name": agent.name,
        "pool_id": agent.pool_id,
        "skills": dict(agent.skills),
        "site_id": agent.site_id,
        "capacity": dict(agent.capacity),
    }


def entry_point_body(entry_point: EntryPoint) -> dict[str, Any]:
    return {
        "tenant_id": entry_point.tenant_id,
        "pool_id": entry_point.pool_id,
        "numbers": list(entry_point.numbers),
        "flow": entry_point.flow,
    }


def webhook_body(webhook: Webhook) -> dict[str, Any]:
    return {
        "tenant_id": webhook.tenant_id,
        "url": webhook.url,
        "event_types": list(webhook.event_types),
        "enabled": webhook.enabled,
    }


def campaign_body(campaign: Campaign) -> dict[str, Any]:
    return {
        "tenant_id": campaign.tenant_id,
        "queue_id": campaign.queue_id,
        "name": campaign.name,
        "calling_hours": campaign.calling_hours,
        "holidays": campaign.holidays,
        "exceptions": campaign.exceptions,
        "max_attempts": campaign.max_attempts,
        "retry_after_minutes": campaign.retry_after_minutes,
        "rest_after_abandon_minutes": campaign.rest_after_abandon_minutes,
        "ring_seconds": campaign.ring_seconds,
    }


def _overflow_targets_first(queues: tuple[Queue, ...]) -> Iterator[Queue]:
    """The order of the file, but a queue after those that it overflows to. There is no ring: `check` saw to it."""
    by_id = {queue.id: queue for queue in queues}
    done: set[str] = set()

    def visit(queue: Queue) -> Iterator[Queue]:
        if queue.id in done:
            return
        done.add(queue.id)
        for _, target in overflow_targets(queue):
            if target in by_id:
                yield from visit(by_id[target])
        yield queue

    for queue in queues:
        yield from visit(queue)


def overflow_targets(queue: Queue) -> list[tuple[str, str]]:
    """(field, queue) of every way out of a queue to another one."""
    plain = [] if queue.overflow is None else [("overflow.queue_id", queue.overflow.queue_id)]
    ways = [
        *targets("overflows", queue.overflows, "queue", "queue_id"),
        *targets("split", queue.split, "queue", "queue_id"),
        *plain,
    ]
    return [(field, target) for field, target in ways if target]


def differences(current: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """(field, old, new) of every field that is not as wanted. Order does not matter where it means nothing."""
    return [
        (name, current.get(name), value) for name, value in wanted.items() if not same(name, current.get(name), value)
    ]


def same(name: str, old: Any, new: Any) -> bool:
    """Whether two values of a field mean the same: 20 and 20.0, "4.2" and "4.20" as prices, None and absent."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return all(same(key, old.get(key), new.get(key)) for key in old.keys() | new.keys())
    if isinstance(old, list) and isinstance(new, list):
        if name in UNORDERED:
            return sorted(old) == sorted(new)
        return len(old) == len(new) and all(same(name, one, other) for one, other in zip(old, new, strict=True))
    if name.startswith("price") and old is not None and new is not None:
        return Decimal(str(old)) == Decimal(str(new))
    return bool(old == new) or (not old and not new and old in (None, [], {}) and new in (None, [], {}))
