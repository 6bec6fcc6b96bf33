"""A floor file read: every field's own rules. What spans several things is in `check`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit
from zoneinfo import available_timezones

import phonenumbers
import yaml
from common.events import CATALOGUE
from common.money import EXPONENTS, InvalidMoney, Money
from common.phone import InvalidPhone, normalise

from plateau.floor import requirements
from plateau.floor.document import SLUG, Document, Fields, Place, Wrong, decimal, suggestion
from plateau.floor.entry_points import entry_point
from plateau.floor.hours import read_hours
from plateau.floor.model import Agent, Campaign, EntryPoint, Floor, Overflow, Pool, Queue, Tariff, Tenant, Webhook
from plateau.floor.overflows import read_overflows

EVENT_TYPES: Final = tuple(kind for kind in CATALOGUE if kind.startswith("case."))
CHANNELS: Final = ("voice", "chat", "email", "post")
RECORDING: Final = ("never", "with_consent", "always")
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
RESERVED_TENANT: Final = "floor"
MOST_POSITIONS: Final = 20_000
SHORTEST: Final = 0.1
"""Seconds; a limit of none at all would be no limit."""
DAY_SECONDS: Final = 86_400
_TIME_OF_DAY: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]|24:00")
_ID_RULE: Final = "an id has 1 to 63 lower-case letters, digits or hyphens and begins with a letter or digit"

Kind = TypeVar("Kind")


@dataclass(slots=True)
class Draft:
    """What has been read so far, with the places that `check` needs."""

    document: Document
    tenants: list[Tenant] = field(default_factory=list)
    pools: list[Pool] = field(default_factory=list)
    agents: list[Agent] = field(default_factory=list)
    queues: list[Queue] = field(default_factory=list)
    entry_points: list[EntryPoint] = field(default_factory=list)
    webhooks: list[Webhook] = field(default_factory=list)
    campaigns: list[Campaign] = field(default_factory=list)
    skill_places: dict[tuple[str, str, str], Place] = field(default_factory=dict)
    """(kind, id, skill) -> where the skill was named."""
    seen: dict[tuple[str, str], Place] = field(default_factory=dict)

    def new_id(self, kind: str, name: str, node: yaml.Node, path: str) -> None:
        """Note a wrong id, or one that the floor already has: ids are unique over the whole floor."""
        if not SLUG.fullmatch(name):
            self.document.refuse(node, path, _ID_RULE, name)
        first = self.seen.setdefault((kind, name), self.document.place(node))
        if first != self.document.place(node):
            self.document.refuse(node, path, f"this {kind} is already on line {first.line}", name)

    def floor(self) -> Floor:
        return Floor(
            tenants=tuple(self.tenants),
            pools=tuple(self.pools),
            agents=tuple(self.agents),
            queues=tuple(self.queues),
            entry_points=tuple(self.entry_points),
            webhooks=tuple(self.webhooks),
            campaigns=tuple(self.campaigns),
        )


def read(text: str, source: str, directory: Path) -> Draft:
    """Read a whole file. What is wrong is in `draft.document.wrong`; relative paths are seen from `directory`."""
    draft = Draft(Document(text, source))
    if draft.document.root is None:
        return draft
    top = draft.document.fields(draft.document.root, "")
    for section, reader in (("pools", _pool), ("tenants", _tenant)):
        node = top.node_of(section)
        if node is None:
            continue
        for name, value, path in draft.document.fields(node, section).entries():
            reader(draft, name, value, path, directory)
    top.done()
    return draft


def _each(
    draft: Draft, fields: Fields, name: str, kind: str, reader: Callable[[str, Fields], Kind], into: list[Kind]
) -> None:
    """Read the mapping of ids under `name` and add each to `into`."""
    node = fields.node_of(name)
    if node is None:
        return
    section = draft.document.fields(node, fields.path_of(name))
    for identifier, value, path in section.entries():
        draft.new_id(kind, identifier, section.key(identifier), path)
        into.append(reader(identifier, draft.document.fields(value, path)))


def _tenant(draft: Draft, name: str, node: yaml.Node, path: str, directory: Path) -> None:
    draft.new_id("tenant", name, node, path)
    if name == RESERVED_TENANT:
        draft.document.refuse(node, path, "this id stands for the floor itself: choose another", name)
    fields = draft.document.fields(node, path)
    currency = fields.text("currency", "EUR", check=_currency)
    dispositions = fields.texts("closing_dispositions", ())
    draft.tenants.append(
        Tenant(
            id=name,
            name=fields.text("name"),
            time_zone=fields.text("time_zone", check=_time_zone),
            region=fields.text("region", "FR", check=_region),
            currency=currency,
            reopen_window_days=fields.integer("reopen_window_days", 14, low=0, high=3650),
            closing_dispositions=tuple(text for text, _ in dispositions),
            directory=_directory(fields),
            tariff=_tariff(draft, fields, currency),
            place=fields.place,
            places=fields.places,
        )
    )
    _each(draft, fields, "webhooks", "webhook", lambda key, inner: _webhook(name, key, inner), draft.webhooks)
    _each(draft, fields, "queues", "queue", lambda key, inner: _queue(draft, name, key, inner), draft.queues)
    _each(
        draft,
        fields,
        "entry_points",
        "entry point",
        lambda key, inner: entry_point(name, key, inner),
        draft.entry_points,
    )
    _each(
        draft,
        fields,
        "campaigns",
        "campaign",
        lambda key, inner: _campaign(name, key, inner, directory),
        draft.campaigns,
    )
    fields.done()


def _tariff(draft: Draft, tenant: Fields, currency: str) -> Tariff | None:
    node = tenant.node_of("tariff")
    if node is None:
        return None
    fields = draft.document.fields(node, tenant.path_of("tariff"))
    price = fields.value("price_per_closed_case", lambda text: _price(text, currency), Decimal(0), required=True)
    valid_from = fields.value("valid_from", _date, None, required=False)
    fields.done()
    place = fields.places.get("price_per_closed_case", fields.place)
    return Tariff(price_per_closed_case=price, valid_from=valid_from, place=place)


def _webhook(tenant_id: str, name: str, fields: Fields) -> Webhook:
    event_types = fields.texts("event_types")
    for kind, place in event_types:
        if kind not in EVENT_TYPES:
            detail = f"must be an event that webhooks can carry{suggestion(kind, EVENT_TYPES)}"
            fields.document.wrong.append(Wrong(place, fields.path_of("event_types"), detail, kind))
    webhook = Webhook(
        id=name,
        tenant_id=tenant_id,
        url=fields.text("url", check=_url),
        event_types=tuple(kind for kind, _ in event_types),
        enabled=fields.boolean("enabled", True),
        place=fields.place,
        places=fields.places,
    )
    fields.done()
    return webhook


def _queue(draft: Draft, tenant_id: str, name: str, fields: Fields) -> Queue:
    skills = fields.texts("required_skills", ())
    for skill, place in skills:
        draft.skill_places["queue", name, skill] = place
    for skill, place in requirements.skill_places(fields):
        draft.skill_places.setdefault(("queue", name, skill), place)
    requirement = requirements.requirement(fields)
    if requirement is not None and skills:
        fields.refuse("required_skills", "say it here or as a requirement, not both")
    pool_id = fields.text("pool")
    queue = Queue(
        id=name,
        tenant_id=tenant_id,
        pool_id=pool_id,
        channel=fields.text("channel", "voice", check=_channel),
        required_skills=tuple(skill for skill, _ in skills),
        priority=fields.integer("priority", 5, low=0, high=9),
        ageing_seconds_per_priority=fields.number("ageing_seconds_per_priority", 60, low=SHORTEST, high=DAY_SECONDS),
        service_level_seconds=fields.number("service_level_seconds", 20, low=SHORTEST, high=DAY_SECONDS),
        short_abandon_seconds=fields.number("short_abandon_seconds", 5, low=0, high=DAY_SECONDS),
        offer_timeout_seconds=fields.number("offer_timeout_seconds", 20, low=SHORTEST, high=DAY_SECONDS),
        wrap_up_seconds=fields.number("wrap_up_seconds", 60, low=0, high=DAY_SECONDS),
        max_wait_seconds=fields.optional_number("max_wait_seconds", low=SHORTEST, high=DAY_SECONDS),
        overflow=_overflow(draft, fields),
        recording=fields.text("recording", "never", check=_recording),
        hours=read_hours(fields),
        requirement=requirement,
        relaxations=requirements.relaxations(fields, DAY_SECONDS),
        agent_order=fields.text("agent_order", "longest_idle", check=requirements.agent_order),
        overflows=read_overflows(fields),
        sticky_seconds=fields.number("sticky_seconds", 0, low=0, high=DAY_SECONDS),
        weights=_weights(fields),
        place=fields.place,
        places=_renamed(fields.places, {"pool": "pool_id"}),
    )
    fields.done()
    return queue


def _weights(queue: Fields) -> dict[str, float] | None:
    node = queue.node_of("weights")
    if node is None:
        return None
    fields = queue.document.fields(node, queue.path_of("weights"))
    weights = {
        "lost_call_cost": fields.number("lost_call_cost", 1, low=0, high=1e6),
        "calls_per_hour": fields.number("calls_per_hour", 0, low=0, high=1e6),
        "handling_seconds": fields.number("handling_seconds", 240, low=SHORTEST, high=DAY_SECONDS),
        "patience_seconds": fields.number("patience_seconds", 120, low=SHORTEST, high=DAY_SECONDS),
    }
    for name, place in fields.places.items():
        queue.places[f"weights.{name}"] = place
    fields.done()
    return weights


def _directory(tenant: Fields) -> dict[str, str]:
    node = tenant.node_of("directory")
    if node is None:
        return {}
    fields = tenant.document.fields(node, tenant.path_of("directory"))
    found = {}
    for name, inner, path in fields.entries():
        text = tenant.document.scalar(inner, path)
        if text is None:
            continue
        if not SLUG.fullmatch(name):
            tenant.document.refuse(inner, path, _ID_RULE, name)
        try:
            found[name] = normalise(text)
        except InvalidPhone as wrong:
            tenant.document.refuse(inner, path, str(wrong), text)
    return found


def _overflow(draft: Draft, queue: Fields) -> Overflow | None:
    node = queue.node_of("overflow")
    if node is None:
        return None
    fields = draft.document.fields(node, queue.path_of("overflow"))
    overflow = Overflow(
        queue_id=fields.text("queue"), after_seconds=fields.number("after_seconds", low=0, high=DAY_SECONDS)
    )
    queue.places["overflow"] = queue.places["overflow.queue_id"] = fields.places.get("queue", fields.place)
    fields.done()
    return overflow


def _campaign(tenant_id: str, name: str, fields: Fields, directory: Path) -> Campaign:
    leads = fields.text("leads", "")
    campaign = Campaign(
        id=name,
        tenant_id=tenant_id,
        queue_id=fields.text("queue"),
        name=fields.text("name"),
        calling_hours=_calling_hours(fields),
        max_attempts=fields.integer("max_attempts", 4, low=1, high=100),
        retry_after_minutes=fields.integer("retry_after_minutes", 120, low=1, high=60 * 24 * 365),
        rest_after_abandon_minutes=fields.integer("rest_after_abandon_minutes", 4320, low=1, high=60 * 24 * 365),
        ring_seconds=fields.integer("ring_seconds", 25, low=5, high=120),
        running=fields.boolean("running", False),
        leads=directory / leads if leads else None,
        place=fields.place,
        places=_renamed(fields.places, {"queue": "queue_id"}),
    )
    fields.done()
    return campaign


def _calling_hours(campaign: Fields) -> dict[str, tuple[tuple[str, str], ...]]:
    node = campaign.node_of("calling_hours")
    if node is None:
        campaign.refuse("calling_hours", "is missing")
        return {}
    document = campaign.document
    days = document.fields(node, campaign.path_of("calling_hours"))
    hours: dict[str, tuple[tuple[str, str], ...]] = {}
    for day, value, path in days.entries():
        if day not in DAYS:
            document.refuse(days.key(day), path, f"is no day: {', '.join(DAYS)}", day)
            continue
        ranges = [_hours(document, item, inner) for item, inner in document.items(value, path)]
        read_ranges = sorted(one for one in ranges if one is not None)
        for earlier, later in itertools.pairwise(read_ranges):
            if later[0] < earlier[1]:
                document.refuse(value, path, "hours overlap", f"{'-'.join(earlier)}, {'-'.join(later)}")
        hours[day] = tuple(read_ranges)
    return hours


def _hours(document: Document, node: yaml.Node, path: str) -> tuple[str, str] | None:
    ends = [document.scalar(item, inner) for item, inner in document.items(node, path)]
    if len(ends) != 2:
        document.refuse(node, path, 'must be a range such as ["10:00", "13:00"]')
        return None
    begin, end = ends
    for value in ends:
        if value is not None and not _TIME_OF_DAY.fullmatch(value):
            document.refuse(node, path, 'must be a time of day such as "09:30" (in quotes)', value)
            return None
    if begin is None or end is None:
        return None
    if begin >= end:
        document.refuse(node, path, "must end after it begins", f"{begin}-{end}")
        return None
    return begin, end


def _pool(draft: Draft, name: str, node: yaml.Node, path: str, directory: Path) -> None:
    draft.new_id("pool", name, node, path)
    fields = draft.document.fields(node, path)
    skills = fields.texts("skills", ())
    for skill, place in skills:
        if not SLUG.fullmatch(skill):
            draft.document.wrong.append(Wrong(place, fields.path_of("skills"), _ID_RULE, skill))
    pool = Pool(
        id=name,
        name=fields.text("name"),
        skills=tuple(skill for skill, _ in skills),
        place=fields.place,
        places=fields.places,
    )
    draft.pools.append(pool)
    for section, reader in (("agents", _agent), ("positions", _positions)):
        inner = fields.node_of(section)
        if inner is not None:
            for item, item_path in draft.document.items(inner, fields.path_of(section)):
                reader(draft, name, draft.document.fields(item, item_path))
    fields.done()


def _agent(draft: Draft, pool_id: str, fields: Fields) -> None:
    name = fields.text("id")
    draft.new_id("agent", name, fields.node_of("id") or fields.node, fields.path_of("id"))
    shown = fields.text("name")
    _add_agent(draft, pool_id, fields, name, shown, _levels(draft, fields))
    fields.done()


def _positions(draft: Draft, pool_id: str, fields: Fields) -> None:
    """`{prefix: alma, count: 6, skills: …}`: alma-001 … alma-006. A larger count later keeps the first ones."""
    prefix = fields.text("prefix")
    count = fields.integer("count", low=0, high=MOST_POSITIONS)
    skills = _levels(draft, fields)
    fields.done()
    for number in range(1, count + 1):
        name = f"{prefix}-{number:03d}"
        known = len(draft.document.wrong)
        draft.new_id("agent", name, fields.node_of("prefix") or fields.node, fields.path_of("prefix"))
        if len(draft.document.wrong) > known:
            return
        _add_agent(draft, pool_id, fields, name, f"{prefix.capitalize()} {number:03d}", skills)


def _add_agent(
    draft: Draft, pool_id: str, fields: Fields, name: str, shown: str, skills: dict[str, tuple[int, Place]]
) -> None:
    for skill, (_, place) in skills.items():
        draft.skill_places["agent", name, skill] = place
    levels = {skill: level for skill, (level, _) in skills.items()}
    places = fields.places
    draft.agents.append(Agent(id=name, name=shown, pool_id=pool_id, skills=levels, place=fields.place, places=places))


def _levels(draft: Draft, fields: Fields) -> dict[str, tuple[int, Place]]:
    """Skills with their level: a mapping {french: 8}, or a list, where each is at level 5."""
    node = fields.node_of("skills")
    if node is None:
        return {}
    if isinstance(node, yaml.SequenceNode):
        return {skill: (5, place) for skill, place in fields.texts("skills", ())}
    inner = draft.document.fields(node, fields.path_of("skills"))
    return {
        skill: (inner.integer(skill, low=1, high=10), draft.document.place(inner.key(skill)))
        for skill, _, _ in inner.entries()
    }


def _renamed(places: dict[str, Place], names: dict[str, str]) -> dict[str, Place]:
    return {names.get(name, name): place for name, place in places.items()}


def _currency(text: str) -> str:
    if text not in EXPONENTS:
        raise ValueError(f"must be a currency that can be billed in{suggestion(text, EXPONENTS)}")
    return text


def _time_zone(text: str) -> str:
    known = available_timezones()
    if text not in known:
        raise ValueError(f"must be an IANA time zone{suggestion(text, known)}")
    return text


def _region(text: str) -> str:
    if text not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError("must be a country such as FR (ISO 3166)")
    return text


def _channel(text: str) -> str:
    if text not in CHANNELS:
        raise ValueError(f"must be one of {', '.join(CHANNELS)}")
    return text


def _recording(text: str) -> str:
    if text not in RECORDING:
        raise ValueError(f"must be one of {', '.join(RECORDING)}")
    return text


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be a web address (https://…)")
    return text


def _price(text: str, currency: str) -> Decimal:
    number = decimal(text)
    if number < 0:
        raise ValueError("a price must not be negative")
    try:
        return Money.of(text, currency).amount
    except InvalidMoney as error:
        raise ValueError(f"must be an amount in {currency} ({error})") from None


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError("must be a date such as 2026-11-01") from None
