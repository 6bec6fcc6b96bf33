"""The queues and sites that a queue names beside its own rules: checked before it is stored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from common.database import Session
from common.errors import Invalid
from msgspec.structs import replace

from routing.domain.configuration import Cover, SiteDown, ToNumber, ToQueue, ToSite
from routing.domain.overflows import circle
from routing.store import configuration as store
from routing.store import sites

if TYPE_CHECKING:
    from routing.service.configuration import QueueDeclaration


async def check(session: Session, queue_id: str, wanted: QueueDeclaration) -> tuple[Cover, ...]:
    """The queue's cover with the time zones of its sites. Raises Invalid with every target that cannot be, every circle
    that would come about, and every site that there is not, each by its place."""
    names_sites = wanted.cover or wanted.overflows or wanted.split
    zones = await sites.time_zones(session) if names_sites else {}
    errors = [
        *await _wrong_queues(session, queue_id, wanted),
        *(
            {"field": field, "reason": f"there is no site {site}"}
            for field, site in _sites_named(wanted)
            if site not in zones
        ),
        *await _wrong_numbers(session, wanted),
        *_wrong_sum(wanted),
    ]
    if errors:
        raise Invalid(errors[0]["reason"], field=errors[0]["field"], errors=errors)
    return tuple(replace(one, time_zone=zones[one.sites[0]]) for one in wanted.cover)


def _sites_named(wanted: QueueDeclaration) -> Iterator[tuple[str, str]]:
    for number, rule in enumerate(wanted.overflows):
        if isinstance(rule.when, SiteDown):
            yield f"overflows.{number}.when.site_id", rule.when.site_id
        if isinstance(rule.to, ToSite):
            yield f"overflows.{number}.to.site_id", rule.to.site_id
    for number, share in enumerate(wanted.split):
        if isinstance(share.to, ToSite):
            yield f"split.{number}.to.site_id", share.to.site_id
    for number, one in enumerate(wanted.cover):
        for place, site in enumerate(one.sites):
            yield f"cover.{number}.sites.{place}", site


async def _wrong_numbers(session: Session, wanted: QueueDeclaration) -> list[dict[str, str]]:
    named = [(f"overflows.{number}.to.name", rule.to) for number, rule in enumerate(wanted.overflows)]
    places = [(field, to.name) for field, to in named if isinstance(to, ToNumber)]
    places += [
        (f"split.{number}.to.name", share.to.name)
        for number, share in enumerate(wanted.split)
        if isinstance(share.to, ToNumber)
    ]
    tenant = await store.tenant(session, wanted.tenant_id) if places else None
    directory = {} if tenant is None else tenant["directory"]
    reason = f"the directory of tenant {wanted.tenant_id} has no number"
    return [{"field": field, "reason": f"{reason} {name}"} for field, name in places if name not in directory]


def _wrong_sum(wanted: QueueDeclaration) -> list[dict[str, str]]:
    percents = sum(share.percent for share in wanted.split)
    if not wanted.split or percents == 100:
        return []
    return [{"field": "split", "reason": f"the percentages come to {percents}, not to 100"}]


def queues_named(wanted: QueueDeclaration) -> list[tuple[str, str]]:
    """(place, queue) of every queue that calls may go to from this one."""
    places = [
        (f"overflows.{number}.to.queue_id", rule.to.queue_id)
        for number, rule in enumerate(wanted.overflows)
        if isinstance(rule.to, ToQueue)
    ]
    places += [
        (f"split.{number}.to.queue_id", share.to.queue_id)
        for number, share in enumerate(wanted.split)
        if isinstance(share.to, ToQueue)
    ]
    if wanted.overflow is not None:
        places.append(("overflow.queue_id", wanted.overflow.queue_id))
    return places


async def _wrong_queues(session: Session, queue_id: str, wanted: QueueDeclaration) -> list[dict[str, str]]:
    places = queues_named(wanted)
    if not places:
        return []
    others = await store.overflows_of_tenant(session, wanted.tenant_id)
    circles = circle(queue_id, [target for _, target in places], others)
    errors = []
    for (field, target), way in zip(places, circles, strict=True):
        reason = await _wrong_target(session, queue_id, wanted, target)
        if reason is None and way:
            reason = f"calls would go round for ever: {' -> '.join(way)}"
        if reason is not None:
            errors.append({"field": field, "reason": reason})
    return errors


async def _wrong_target(session: Session, queue_id: str, wanted: QueueDeclaration, queue: str) -> str | None:
    if queue == queue_id:
        return "a queue cannot overflow to itself"
    target = await store.queue(session, queue)
    if target is None or target["tenant_id"] != wanted.tenant_id:
        return f"tenant {wanted.tenant_id} has no queue {queue}"
    if target["channel"] != wanted.channel:
        return f"queue {queue} is for {target['channel']}, not {wanted.channel}"
    return None
