"""What a floor is: frozen values with every default filled in, each knowing where it was written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from common.phone import DEFAULT_REGION
from common.requirements import Requirement, all_of, is_met, parse
from dialer.domain.lead_file import UnknownColumns

from plateau.floor.document import Place

NOWHERE = Place("", 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing with an id. `places` says where each field (by its name in the API) was written."""

    id: str
    place: Place = field(default=NOWHERE, compare=False, repr=False)
    places: Mapping[str, Place] = field(default_factory=dict, compare=False, repr=False)

    def where(self, name: str) -> Place:
        return self.places.get(name, self.place)

    def where_within(self, name: str) -> Place:
        """Place of a dotted field, or of the nearest thing around it that has one."""
        while name and name not in self.places:
            name = name.rpartition(".")[0]
        return self.where(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """Price of one closed case in the tenant's currency, from a date on (None: from now on)."""

    price_per_closed_case: Decimal
    valid_from: date | None = None
    place: Place = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant(Item):
    name: str
    time_zone: str
    region: str = DEFAULT_REGION
    allow_possible_numbers: bool = False
    currency: str = "EUR"
    reopen_window_days: int = 14
    closing_dispositions: tuple[str, ...] = ()
    directory: Mapping[str, str] = field(default_factory=dict)
    """Numbers outside, by name."""
    rest_after_call_minutes: int = 60
    do_not_call: tuple[str, ...] = field(default=(), compare=False)
    """Numbers (E.164) for the do-not-call list, which may have others: they are data and no part of an export."""
    tariff: Tariff | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool(Item):
    name: str
    skills: tuple[str, ...] = ()
    interrupts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By channel, the channels whose calls it interrupts."""
    break_reasons: tuple[str, ...] = ()
    """Empty: any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site(Item):
    name: str
    time_zone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Share(Item):
    """A tenant's share of a pool's agents. `body` is as the API takes it."""

    pool_id: str
    tenant_id: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent(Item):
    name: str
    pool_id: str
    skills: Mapping[str, int] = field(default_factory=dict)
    """Level 1 to 10 by skill."""
    site_id: str | None = None
    capacity: Mapping[str, int] = field(default_factory=dict)
    """Calls at a time by channel; empty: one, of whatever channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overflow:
    queue_id: str
    after_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxation:
    after_seconds: float
    requirement: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue(Item):
    tenant_id: str
    pool_id: str
    channel: str = "voice"
    required_skills: tuple[str, ...] = ()
    priority: int = 5
    ageing_seconds_per_priority: float = 60
    service_level_seconds: float = 20
    short_abandon_seconds: float = 5
    offer_timeout_seconds: float = 20
    wrap_up_seconds: float = 60
    max_wait_seconds: float | None = None
    overflow: Overflow | None = None
    recording: str = "never"
    hours: Mapping[str, Any] | None = None
    """As the API takes them; None: always open."""
    overflows: tuple[Mapping[str, Any], ...] = ()
    """As the API takes them, beside `overflow`."""
    requirement: str | None = None
    """In the place of required_skills."""
    relaxations: tuple[Relaxation, ...] = ()
    agent_order: str = "longest_idle"
    sticky_seconds: float = 0
    split: tuple[Mapping[str, Any], ...] = ()
    """As the API takes it."""
    cover: tuple[Mapping[str, Any], ...] = ()
    """As the API takes it."""
    weights: Mapping[str, float | None] | None = None
    """As the API takes them; None: none."""
    missed_offers_before_break: int = 1
    callback: Mapping[str, Any] | None = None
    """As the API takes it; None: callers are not called back."""
    announcements: tuple[Mapping[str, Any], ...] = ()
    """As the API takes them."""

    def requirements(self) -> list[Requirement]:
        """Who may serve at first, and who else later."""
        first = all_of(self.required_skills) if self.requirement is None else parse(self.requirement)
        return [first, *(parse(relaxation.requirement) for relaxation in self.relaxations)]


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPoint(Item):
    """Dialled numbers and the flow that they lead to. `flow` is as the API takes it."""

    tenant_id: str
    pool_id: str
    numbers: tuple[str, ...]
    flow: Mapping[str, Any]
    unread: tuple[str, ...] = field(default=(), compare=False)
    """The steps that could not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook(Item):
    tenant_id: str
    url: str
    event_types: tuple[str, ...]
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign(Item):
    tenant_id: str
    queue_id: str
    name: str
    calling_hours: Mapping[str, list[list[str]]]
    """Spans ["10:00", "13:00"] by day (mon … sun), in the lead's time zone."""
    holidays: str | None = None
    exceptions: Mapping[str, list[list[str]]] = field(default_factory=dict)
    max_attempts: int = 4
    retry_after_minutes: int = 120
    rest_after_abandon_minutes: int = 4320
    ring_seconds: int = 25
    running: bool = False
    leads: Path | None = field(default=None, compare=False)
    """CSV file of the list; its rows are data and no part of an export, and neither is how it is read."""
    lead_columns: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Headings of the file by column; then no other columns are taken."""
    unknown_lead_columns: UnknownColumns = field(default="refuse", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    sites: tuple[Site, ...] = ()
    tenants: tuple[Tenant, ...] = ()
    pools: tuple[Pool, ...] = ()
    shares: tuple[Share, ...] = ()
    agents: tuple[Agent, ...] = ()
    queues: tuple[Queue, ...] = ()
    entry_points: tuple[EntryPoint, ...] = ()
    webhooks: tuple[Webhook, ...] = ()
    campaigns: tuple[Campaign, ...] = ()
    warnings: tuple[str, ...] = field(default=(), compare=False)
    """What is allowed but surely not meant, such as a queue that no agent can serve."""

    def tenant(self, tenant_id: str) -> Tenant:
        return next(tenant for tenant in self.tenants if tenant.id == tenant_id)

    def queue(self, queue_id: str) -> Queue:
        return next(queue for queue in self.queues if queue.id == queue_id)

    def agents_of(self, queue: Queue) -> tuple[Agent, ...]:
        """Agents of the queue's pool who may serve it, at once or later."""
        requirements = queue.requirements()
        return tuple(
            agent
            for agent in self.agents
            if agent.pool_id == queue.pool_id
            and (not agent.capacity or agent.capacity.get(queue.channel))
            and any(is_met(one, agent.skills) for one in requirements)
        )
