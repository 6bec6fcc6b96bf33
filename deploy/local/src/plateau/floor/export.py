"""Write a floor file from a running floor. Applying it changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import yaml
from crm_bridge.domain.webhooks import EVENT_TYPES

from plateau.client import Client
from plateau.floor.apply import newest_tariff
from plateau.floor.entry_points import step_as_written
from plateau.floor.model import Queue
from plateau.floor.resources import LISTS, queue_body
from plateau.floor.shares import listed_shares, share_as_written

_QUEUE_DEFAULTS: Final = queue_body(Queue(id="", tenant_id="", pool_id=""))
_CAMPAIGN_DEFAULTS: Final = {
    "max_attempts": 4,
    "retry_after_minutes": 120,
    "rest_after_abandon_minutes": 4320,
    "ring_seconds": 25,
    "holidays": None,
}


class _Dumper(yaml.SafeDumper):
    """Short lists and mappings on one line, as a person would write them."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


class _Flow(dict[str, Any]):
    """A mapping to be written on one line."""


class _FlowList(list[Any]):
    """A list to be written on one line."""


_Dumper.add_representer(
    _Flow, lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data.items(), flow_style=True)
)
_Dumper.add_representer(
    _FlowList, lambda dumper, data: dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=True)
)


async def export(client: Client) -> str:
    """The running floor as YAML. Rows of campaigns' lists are data, not part of it."""
    asked = [
        ("routing", "pool"),
        ("routing", "agent"),
        ("routing", "queue"),
        ("routing", "entry point"),
        ("crm-bridge", "tenant"),
        ("billing", "tenant"),
        ("crm-bridge", "webhook"),
        ("dialer", "campaign"),
        ("routing", "tenant"),
        ("routing", "site"),
        ("dialer", "tenant"),
    ]
    answers = await asyncio.gather(*(_all(client, service, kind) for service, kind in asked))
    pools, agents, queues, entry_points, tenants, payers, webhooks, campaigns, callers, sites, dialled = answers
    shares = await listed_shares(client)
    floor: dict[str, Any] = {"pools": {}, "tenants": {}}
    if sites:
        named = {key: _Flow(name=site["name"], time_zone=site["time_zone"]) for key, site in sites.items()}
        floor = {"sites": named, **floor}
    for pool_id, pool in pools.items():
        own = [_agent(key, agent) for key, agent in agents.items() if agent["pool_id"] == pool_id]
        floor["pools"][pool_id] = _without_nothing(
            {
                "name": pool["name"],
                "skills": _FlowList(pool.get("skills") or []),
                "interrupts": _flowing(pool.get("interrupts") or {}),
                "break_reasons": _FlowList(pool.get("break_reasons") or []),
                "agents": own,
                "shares": {
                    key.partition("/")[2]: _share(one)
                    for key, one in sorted(shares.items())
                    if key.startswith(f"{pool_id}/")
                },
            }
        )
    for tenant_id, tenant in tenants.items():
        tariff = None
        if tenant_id in payers:
            versions = [one async for one in client.pages("billing", f"/v1/tenants/{tenant_id}/tariffs")]
            tariff = newest_tariff(versions)
        floor["tenants"][tenant_id] = _without_nothing(
            {
                "name": tenant["name"],
                "time_zone": tenant["time_zone"],
                "region": tenant["region"],
                "allow_possible_numbers": tenant.get("allow_possible_numbers") or None,
                "currency": payers.get(tenant_id, {}).get("currency", "EUR"),
                "reopen_window_days": tenant["reopen_window_days"],
                "closing_dispositions": _FlowList(tenant["closing_dispositions"]),
                "directory": callers.get(tenant_id, {}).get("directory"),
                "rest_after_call_minutes": dialled.get(tenant_id, {}).get("rest_after_call_minutes"),
                "tariff": None if tariff is None else _tariff(tariff),
                "webhooks": {key: _webhook(one) for key, one in webhooks.items() if one["tenant_id"] == tenant_id},
                "queues": {key: _queue(one) for key, one in queues.items() if one["tenant_id"] == tenant_id},
                "entry_points": {
                    key: _entry_point(one) for key, one in entry_points.items() if one["tenant_id"] == tenant_id
                },
                "campaigns": {key: _campaign(one) for key, one in campaigns.items() if one["tenant_id"] == tenant_id},
            }
        )
    written = yaml.dump(floor, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return f"# A floor file, written from a running floor by `plateau export`.\n\n{written}"


async def _all(client: Client, service: str, kind: str) -> dict[str, dict[str, Any]]:
    items = [item async for item in client.pages(service, LISTS[kind])]
    by_id = {str(item.get("id") or item[f"{kind}_id"]): item for item in items}
    return {key: by_id[key] for key in sorted(by_id) if key != "floor"}


def _without_nothing(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, [], {})}


def _agent(agent_id: str, agent: Mapping[str, Any]) -> _Flow:
    return _Flow(
        _without_nothing(
            {
                "id": agent_id,
                "name": agent["name"],
                "site": agent.get("site_id"),
                "skills": _Flow(agent.get("skills") or {}),
                "capacity": _Flow(agent.get("capacity") or {}),
            }
        )
    )


def _tariff(tariff: Mapping[str, Any]) -> _Flow:
    return _Flow(price_per_closed_case=str(tariff["price_per_closed_case"]), valid_from=str(tariff["valid_from"]))


def _webhook(webhook: Mapping[str, Any]) -> dict[str, Any]:
    """Only what is not the default."""
    fields: dict[str, Any] = {"url": webhook["url"]}
    if set(webhook["event_types"]) != set(EVENT_TYPES):
        fields["event_types"] = _FlowList(webhook["event_types"])
    return fields if webhook.get("enabled", True) else {**fields, "enabled": False}


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _queue(queue: Mapping[str, Any]) -> dict[str, Any]:
    """Only what is not the default."""
    fields: dict[str, Any] = {"pool": queue["pool_id"]}
    for name, default in _QUEUE_DEFAULTS.items():
        value = _number(queue.get(name, default))
        if name in ("tenant_id", "pool_id") or value == default:
            continue
        if name == "overflow":
            after = _number(value["after_seconds"])
            fields["overflow"] = _Flow(queue=value["queue_id"], after_seconds=after)
        elif name == "hours":
            fields["hours"] = _hours(value)
        elif name == "weights":
            fields[name] = _Flow({key: _number(number) for key, number in value.items() if number is not None})
        elif name == "relaxations":
            fields[name] = [
                _Flow(after_seconds=_number(one["after_seconds"]), requirement=one["requirement"]) for one in value
            ]
        elif name == "cover":
            fields[name] = [
                _without_nothing({"sites": _FlowList(one["sites"]), "hours": one["hours"] and _hours(one["hours"])})
                for one in value
            ]
        elif name in ("overflows", "split"):
            fields[name] = [_flowing(one) for one in value]
        elif name == "callback":
            fields[name] = _Flow({key: _number(said) for key, said in value.items()})
        elif name == "announcements":
            fields[name] = [
                _Flow({key: _flowing(_number(said)) for key, said in _without_nothing(one).items()}) for one in value
            ]
        else:
            fields[name] = _FlowList(value) if isinstance(value, list) else value
    return fields


def _entry_point(one: Mapping[str, Any]) -> dict[str, Any]:
    steps = {name: _flowing(step_as_written(step)) for name, step in one["flow"]["steps"].items()}
    numbers = _FlowList(one["numbers"])
    return _without_nothing({"pool": one["pool_id"], "numbers": numbers, "start": one["flow"]["start"], "steps": steps})


def _flowing(value: Any) -> Any:
    """The value with everything in it on one line."""
    if isinstance(value, Mapping):
        return _Flow({name: _flowing(inner) for name, inner in value.items()})
    return _FlowList(value) if isinstance(value, list) else value


def _share(share: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: _number(value) for name, value in share_as_written(share).items()}
    if "burst" in fields:
        fields["burst"] = {**fields["burst"]}
        if "hours" in fields["burst"]:
            fields["burst"]["hours"] = _hours(fields["burst"]["hours"])
    return fields


def _hours(hours: Mapping[str, Any]) -> dict[str, Any]:
    days = {name: _spans_by_day(hours[name]) for name in ("week", "exceptions")}
    return _without_nothing({**days, "time_zone": hours["time_zone"], "holidays": hours["holidays"]})


def _spans_by_day(days: Mapping[str, Any]) -> dict[str, Any]:
    return {day: _FlowList(_FlowList(span) for span in spans) for day, spans in days.items()}


def _campaign(campaign: Mapping[str, Any]) -> dict[str, Any]:
    hours = _spans_by_day(campaign["calling_hours"])
    fields = {"name": campaign["name"], "queue": campaign["queue_id"], "calling_hours": hours}
    if campaign["exceptions"]:
        fields["exceptions"] = _spans_by_day(campaign["exceptions"])
    for name, default in _CAMPAIGN_DEFAULTS.items():
        if campaign.get(name, default) != default:
            fields[name] = campaign[name]
    if (campaign.get("state") or campaign.get("status")) == "running":
        fields["running"] = True
    return fields
