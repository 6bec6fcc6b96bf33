"""Make a running floor what the floor file says: compare first, then write only what differs.

NotApplied              a service refused a change; names the line, what is wrong, and what had been applied
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from common.errors import PlateauError
from common.ids import derived_id
from routing.domain.declarations import weightless

from plateau.client import Client, Refused
from plateau.floor.document import Place, Wrong
from plateau.floor.leads import Lead, as_csv, leads
from plateau.floor.model import Campaign, Floor, Tariff, Tenant
from plateau.floor.resources import LISTS, Resource, differences, resources, same
from plateau.floor.shares import listed_shares

Action = Literal["created", "changed", "unchanged"]
AT_ONCE: Final = 16
"""Changes of one kind that are on their way at the same time."""
BATCH_LEADS: Final = 20_000
"""Rows of one import."""


@dataclass(frozen=True, slots=True)
class Change:
    """One object: what becomes of it, and the request that does it (none when it is as it should be)."""

    kind: str
    id: str
    service: str
    action: Action
    place: Place
    fields: tuple[tuple[str, Any, Any], ...] = ()
    """(field, old, new); the old values of a new object are None."""
    method: str = "PUT"
    path: str = ""
    body: Mapping[str, Any] | None = None
    csv: bytes | None = None
    places: Mapping[str, Place] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return f"{self.kind} {self.id} ({self.service})"


@dataclass(frozen=True, slots=True)
class Plan:
    """What applying a floor would do, in order."""

    changes: tuple[Change, ...]
    elsewhere: tuple[str, ...]
    """What the running floor has and the file has not. It is left as it is."""

    @property
    def pending(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.action != "unchanged")

    def count(self, action: Action) -> int:
        return sum(1 for change in self.changes if change.action == action)


class NotApplied(PlateauError):
    """A change was refused. `applied` had been made before and stands; applying again goes on from there."""

    def __init__(self, change: Change, refused: Refused, applied: Sequence[Change]) -> None:
        self.change = change
        self.refused = refused
        self.applied = tuple(applied)
        wrong = refused.wrong_fields() or [("", str(refused.document.get("detail", refused)))]
        self.wrong = tuple(self._wrong(name, detail) for name, detail in wrong)
        super().__init__("\n".join(str(one) for one in self.wrong))

    def _wrong(self, name: str, detail: str) -> Wrong:
        change = self.change
        place = Resource(change.kind, change.id, change.service, {}, change.place, change.places).where(name)
        value = _at(change.body or {}, name)
        told = f"{detail} (said by {self.refused.service}, status {self.refused.status})"
        path = f"{change.kind} {change.id}{': ' + name if name else ''}"
        return Wrong(place, path, told, None if value is None else str(value))


def _at(body: Mapping[str, Any], name: str) -> Any:
    value: Any = body
    for part in name.removeprefix("body.").split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


async def plan(client: Client, floor: Floor) -> Plan:
    """Read the running floor and compare. Writes nothing. Raises Refused or Unreachable."""
    wanted = list(resources(floor))
    pairs = sorted(
        {(one.service, one.kind) for one in wanted}
        | {("routing", kind) for kind in ("queue", "agent", "entry point", "share")}
    )
    listed = dict(zip(pairs, await asyncio.gather(*(_listed(client, *pair) for pair in pairs)), strict=True))
    changes = [_put(one, listed[one.service, one.kind].get(one.id)) for one in wanted]
    changes += _skills_to_take_away(changes)
    changes += _weights_to_lower(changes, listed["routing", "queue"])
    tenants_end = sum(1 for one in wanted if one.kind == "tenant")
    tariffs = [await _tariff(client, tenant, listed) for tenant in floor.tenants if tenant.tariff is not None]
    changes[tenants_end:tenants_end] = tariffs
    for tenant in floor.tenants:
        if tenant.do_not_call:
            changes.append(await _do_not_call(client, tenant, known=tenant.id in listed["dialer", "tenant"]))
    for campaign in floor.campaigns:
        current = listed["dialer", "campaign"].get(campaign.id)
        changes += [change async for change in _campaign(client, floor, campaign, current)]
    known = {(one.kind, one.id) for one in wanted}
    elsewhere = {f"{kind} {key}" for (_, kind), found in listed.items() for key in found if (kind, key) not in known}
    return Plan(tuple(changes), tuple(sorted(elsewhere)))


async def apply(client: Client, plan: Plan, applied: Callable[[Change, Any], None] = lambda *_: None) -> list[Change]:
    """Make every pending change, in order; `applied` is told of each, with the answer of the service.

    Raises NotApplied at the first refusal.
    """
    done: list[Change] = []
    for _, group in itertools.groupby(plan.pending, key=lambda change: (change.kind, change.service)):
        for batch in _batches(list(group)):
            answers = await asyncio.gather(*(_send(client, change) for change in batch), return_exceptions=True)
            failed: tuple[Change, BaseException] | None = None
            for change, answer in zip(batch, answers, strict=True):
                if isinstance(answer, BaseException):
                    failed = failed or (change, answer)
                else:
                    done.append(change)
                    applied(change, answer)
            if failed is not None:
                change, error = failed
                if isinstance(error, Refused):
                    raise NotApplied(change, error, done) from error
                raise error
    return done


def _batches(changes: list[Change]) -> Iterator[list[Change]]:
    """Queues one by one, for an overflow has to find its queue; the others several at once."""
    size = 1 if changes[0].kind in ("queue", "leads") else AT_ONCE
    for start in range(0, len(changes), size):
        yield changes[start : start + size]


async def _listed(client: Client, service: str, kind: str) -> dict[str, dict[str, Any]]:
    if kind == "share":
        return await listed_shares(client)
    return {
        str(item.get("id") or item[f"{kind}_id"]): item
        async for item in client.pages(service, LISTS[kind])
        if kind != "tenant" or (item.get("id") or item.get("tenant_id")) != "floor"
    }


def _put(wanted: Resource, current: Mapping[str, Any] | None) -> Change:
    fields = differences(current or {}, wanted.body)
    action: Action = "created" if current is None else "changed" if fields else "unchanged"
    return Change(
        kind=wanted.kind,
        id=wanted.id,
        service=wanted.service,
        action=action,
        place=wanted.place,
        fields=tuple(fields),
        path=wanted.path,
        body=wanted.body,
        places=wanted.places,
    )


def _skills_to_take_away(changes: list[Change]) -> list[Change]:
    """A pool's skill goes only after the queues and agents that named it: the pool is put twice, at first with both."""
    later: list[Change] = []
    for number, change in enumerate(changes):
        old = next((old for name, old, _ in change.fields if name == "skills"), None)
        if change.kind == "pool" and change.action == "changed" and old and change.body is not None:
            gone = set(old) - set(change.body["skills"])
            if gone:
                body = {**change.body, "skills": sorted({*old, *change.body["skills"]})}
                first = _told(change, body)
                changes[number] = replace(change, body=body, fields=first, action="changed" if first else "unchanged")
                later.append(replace(change, fields=(("skills", body["skills"], change.body["skills"]),)))
    return later


def _weights_to_lower(changes: list[Change], running: Mapping[str, Mapping[str, Any]]) -> list[Change]:
    """The weights of a pool come to more than nothing at every moment: a queue that weighs nothing, and is put before
    those that outweigh it, is put twice, at first without weights."""
    costs = {queue_id: (queue["pool_id"], _lost_call_cost(queue)) for queue_id, queue in running.items()}
    later: list[Change] = []
    for number, change in enumerate(changes):
        if change.kind != "queue" or change.action == "unchanged" or change.body is None:
            continue
        pool_id = change.body["pool_id"]
        costs[change.id] = pool_id, _lost_call_cost(change.body)
        if weightless(cost for home, cost in costs.values() if home == pool_id):
            costs[change.id] = pool_id, None
            body = {**change.body, "weights": None}
            first = _told(change, body)
            changes[number] = replace(change, body=body, fields=first, action=change.action if first else "unchanged")
            later.append(replace(change, fields=(("weights", None, change.body["weights"]),), action="changed"))
    return later


def _lost_call_cost(queue: Mapping[str, Any]) -> float | None:
    return None if queue.get("weights") is None else queue["weights"]["lost_call_cost"]


def _told(change: Change, body: Mapping[str, Any]) -> tuple[tuple[str, Any, Any], ...]:
    fields = ((name, old, body[name]) for name, old, _ in change.fields)
    return tuple((name, old, new) for name, old, new in fields if not same(name, old, new))


async def _tariff(
    client: Client, tenant: Tenant, listed: Mapping[tuple[str, str], Mapping[str, Mapping[str, Any]]]
) -> Change:
    """A new version of the tariff, unless the newest (of that date, when the file names one) has this price."""
    tariff = tenant.tariff
    assert tariff is not None
    path = f"/v1/tenants/{tenant.id}"
    versions = []
    if tenant.id in listed["billing", "tenant"]:
        versions = [version async for version in client.pages("billing", f"{path}/tariffs")]
    current = newest_tariff(versions, tariff)
    body: dict[str, Any] = {"price_per_closed_case": f"{tariff.price_per_closed_case:f}"}
    if tariff.valid_from is not None:
        body["valid_from"] = tariff.valid_from.isoformat()
    fields = differences(current or {}, body)
    return Change(
        kind="tariff",
        id=tenant.id,
        service="billing",
        action="unchanged" if current is not None and not fields else "changed" if versions else "created",
        place=tariff.place,
        fields=tuple(fields),
        path=f"{path}/tariff",
        body=body,
    )


async def _do_not_call(client: Client, tenant: Tenant, *, known: bool) -> Change:
    """The numbers of the file that the list has not; those that only the list has stay on it."""
    path = f"/v1/tenants/{tenant.id}/do-not-call"
    present = {item["phone"] async for item in client.pages("dialer", path)} if known else set()
    missing = [phone for phone in tenant.do_not_call if phone not in present]
    return Change(
        kind="do-not-call list",
        id=tenant.id,
        service="dialer",
        action="created" if missing else "unchanged",
        place=tenant.where("do_not_call"),
        fields=(("numbers", None, len(missing)),) if missing else (),
        method="POST",
        path=path,
        body={"phones": missing, "reason": "floor file"},
    )


def newest_tariff(versions: Sequence[Mapping[str, Any]], wanted: Tariff | None = None) -> Mapping[str, Any] | None:
    """The last version made; when `wanted` names a date, the last one of that date."""
    if wanted is not None and wanted.valid_from is not None:
        versions = [version for version in versions if version["valid_from"] == wanted.valid_from.isoformat()]
    return max(versions, key=lambda version: int(version["version"]), default=None)


async def _campaign(
    client: Client, floor: Floor, campaign: Campaign, current: Mapping[str, Any] | None
) -> AsyncIterator[Change]:
    """The rows of the list that the dialer has not, and whether the campaign runs."""
    path = f"{LISTS['campaign']}/{campaign.id}"
    missing = 0
    if campaign.leads is not None:
        known: set[str] = set()
        if current is not None:
            known = {lead["phone"] async for lead in client.pages("dialer", f"{path}/leads")}
            # What somebody has taken off the list stays off it.
            known |= {lead["phone"] async for lead in client.pages("dialer", f"{path}/leads", state="removed")}
        every = leads(campaign.leads, campaign, floor.tenant(campaign.tenant_id))
        rows = [row for row in every if isinstance(row, Lead) and row.phone not in known]
        missing = len(rows)
        place = campaign.where("leads")
        if not rows:
            yield Change("leads", campaign.id, "dialer", "unchanged", place)
        for start in range(0, missing, BATCH_LEADS):
            part = rows[start : start + BATCH_LEADS]
            yield Change(
                kind="leads",
                id=campaign.id,
                service="dialer",
                action="created",
                place=place,
                fields=(("rows", None, len(part)),),
                method="POST",
                path=f"{path}/leads",
                csv=as_csv(part),
            )
    state = "draft" if current is None else str(current.get("state") or current.get("status"))
    going = state == "running" or (state == "completed" and not missing)
    verb = "start" if campaign.running and not going else "pause" if not campaign.running and state == "running" else ""
    if verb:
        yield Change(
            kind="campaign state",
            id=campaign.id,
            service="dialer",
            action="changed",
            place=campaign.where("running"),
            fields=(("state", state, "running" if verb == "start" else "paused"),),
            method="POST",
            path=f"{path}/{verb}",
        )


async def _send(client: Client, change: Change) -> Any:
    if change.csv is not None:
        key = str(derived_id("leads", change.id, change.csv.decode()))
        headers = {"Content-Type": "text/csv"}
        return await client.request(change.service, "POST", change.path, content=change.csv, headers=headers, key=key)
    if change.method == "POST":
        return await client.post(change.service, change.path, change.body)
    return await client.put(change.service, change.path, change.body or {})


__all__ = ["Change", "NotApplied", "Plan", "apply", "newest_tariff", "plan", "same"]
