"""Tables of routing: what the operator declares, what the pools' owners save, and who owns what."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from common.tables import system_tables
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel


def _moment(*, default: bool = True) -> Any:
    return Field(
        sa_type=DateTime(timezone=True),
        nullable=False,
        sa_column_kwargs={"server_default": text("now()")} if default else {},
    )


def _json() -> Any:
    return Field(sa_column=Column(JSONB, nullable=False))


def _texts() -> Any:
    return Field(sa_column=Column(ARRAY(String), nullable=False))


class Base(SQLModel):
    metadata = MetaData()


class Tenant(Base, table=True):
    """A client company."""

    __tablename__ = "tenants"

    tenant_id: str = Field(primary_key=True)
    name: str
    time_zone: str
    region: str = Field(sa_column=Column(String, nullable=False, server_default="FR"))
    allow_possible_numbers: bool = Field(sa_column=Column(Boolean, nullable=False, server_default="false"))
    directory: dict[str, str] = _json()
    version: int
    updated_at: datetime = _moment()


class PoolRow(Base, table=True):
    """A pool, which belongs to the floor, and the skills that its queues and agents may name."""

    __tablename__ = "pools"

    id: str = Field(primary_key=True)
    tenant_id: str
    name: str
    skills: list[str] = _texts()
    interrupts: dict[str, list[str]] = Field(sa_column=Column(JSONB, nullable=False, server_default="{}"))
    break_reasons: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False, server_default="{}"))
    """Empty: whatever is said."""
    version: int
    updated_at: datetime = _moment()


class QueueRow(Base, table=True):
    """A queue's rules."""

    __tablename__ = "queues"
    __table_args__ = (Index("queues_of_pool", "pool_id", "id"),)

    id: str = Field(primary_key=True)
    tenant_id: str = Field(sa_column=Column(String, ForeignKey("tenants.tenant_id"), nullable=False))
    pool_id: str = Field(sa_column=Column(String, ForeignKey("pools.id"), nullable=False))
    channel: str
    required_skills: list[str] = _texts()
    priority: int
    ageing_seconds_per_priority: float
    service_level_seconds: float
    short_abandon_seconds: float
    offer_timeout_seconds: float
    wrap_up_seconds: float
    max_wait_seconds: float | None
    known_in: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False, server_default="{}"))
    """Pools beside its own that know it for ever: it was at home there, so that calls of it may still be there."""
    overflow_queue_id: str | None = Field(
        sa_column=Column(String, ForeignKey("queues.id", name="queues_overflow"), nullable=True)
    )
    overflow_after_seconds: float | None
    recording: str = Field(sa_column=Column(String, nullable=False, server_default="never"))
    hours: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB, nullable=True))
    requirement: str | None
    relaxations: list[dict[str, Any]] = Field(sa_column=Column(JSONB, nullable=False, server_default="[]"))
    agent_order: str = Field(sa_column=Column(String, nullable=False, server_default="longest_idle"))
    overflows: list[dict[str, Any]] = Field(sa_column=Column(JSONB, nullable=False, server_default="[]"))
    override: str | None
    """open or closed: what an operator said, and who, when and why."""
    override_by: str | None
    override_at: datetime | None = Field(sa_column=Column(DateTime(timezone=True), nullable=True))
    override_reason: str | None
    sticky_seconds: float = Field(sa_column=Column(Float, nullable=False, server_default="0"))
    weights: dict[str, float] | None = Field(default=None, sa_column=Column(JSONB, nullable=True))
    split: list[dict[str, Any]] = Field(sa_column=Column(JSONB, nullable=False, server_default="[]"))
    cover: list[dict[str, Any]] = Field(sa_column=Column(JSONB, nullable=False, server_default="[]"))
    callback: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB, nullable=True))
    announcements: list[dict[str, Any]] = Field(sa_column=Column(JSONB, nullable=False, server_default="[]"))
    missed_offers_before_break: int = Field(sa_column=Column(Integer, nullable=False, server_default="1"))
    version: int
    updated_at: datetime = _moment()


class ShareRow(Base, table=True):
    """A tenant's share of a pool. `rules` null: it was taken away; the row stays, so that its version grows on."""

    __tablename__ = "shares"

    pool_id: str = Field(sa_column=Column(String, ForeignKey("pools.id"), primary_key=True))
    tenant_id: str = Field(sa_column=Column(String, ForeignKey("tenants.tenant_id"), primary_key=True))
    rules: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB, nullable=True))
    burst_override: str | None
    """on or off: what an operator said, and who, when and why."""
    burst_override_by: str | None
    burst_override_at: datetime | None = Field(sa_column=Column(DateTime(timezone=True), nullable=True))
    burst_override_reason: str | None
    version: int
    updated_at: datetime = _moment()


class SiteRow(Base, table=True):
    """A building or partner with positions, and whether an operator has set it down or drains it."""

    __tablename__ = "sites"

    id: str = Field(primary_key=True)
    tenant_id: str
    name: str
    time_zone: str
    down: bool = Field(sa_column=Column(Boolean, nullable=False, server_default="false"))
    down_by: str | None
    down_at: datetime | None = Field(sa_column=Column(DateTime(timezone=True), nullable=True))
    down_reason: str | None
    drained_by: str | None
    drained_at: datetime | None = Field(sa_column=Column(DateTime(timezone=True), nullable=True))
    drain_reason: str | None
    version: int
    updated_at: datetime = _moment()


class AgentRow(Base, table=True):
    """An agent as declared."""

    __tablename__ = "agents"
    __table_args__ = (Index("agents_of_pool", "pool_id", "id"),)

    id: str = Field(primary_key=True)
    tenant_id: str
    pool_id: str = Field(sa_column=Column(String, ForeignKey("pools.id"), nullable=False))
    name: str
    skills: dict[str, int] = _json()
    capacity: dict[str, int] = Field(sa_column=Column(JSONB, nullable=False, server_default="{}"))
    """Empty: one call at a time, of whatever channel."""
    drained_by: str | None
    drained_at: datetime | None = Field(sa_column=Column(DateTime(timezone=True), nullable=True))
    """Null: not drained."""
    drain_reason: str | None
    site_id: str | None = Field(sa_column=Column(String, ForeignKey("sites.id", name="agents_site"), nullable=True))
    version: int
    updated_at: datetime = _moment()


class EntryPointRow(Base, table=True):
    """Numbers of a tenant and the flow that they lead to. `flow` is the whole `domain.flows.Flow`."""

    __tablename__ = "entry_points"
    __table_args__ = (Index("entry_points_of_pool", "pool_id", "id"),)

    id: str = Field(primary_key=True)
    tenant_id: str = Field(sa_column=Column(String, ForeignKey("tenants.tenant_id"), nullable=False))
    pool_id: str = Field(sa_column=Column(String, ForeignKey("pools.id"), nullable=False))
    numbers: list[str] = _texts()
    flow: dict[str, Any] = _json()
    version: int
    updated_at: datetime = _moment()


class EntryPointNumber(Base, table=True):
    """One dialled number: it leads to one entry point."""

    __tablename__ = "entry_point_numbers"
    __table_args__ = (Index("numbers_of_entry_point", "entry_point_id"),)

    number: str = Field(primary_key=True)
    tenant_id: str
    entry_point_id: str = Field(sa_column=Column(String, ForeignKey("entry_points.id"), nullable=False))


class Contact(Base, table=True):
    """A contact of a tenant, as crm-bridge tells."""

    __tablename__ = "contacts"
    __table_args__ = (Index("contacts_of_phone", "phone", "tenant_id"),)

    contact_id: str = Field(primary_key=True)
    tenant_id: str
    phone: str
    priority: int


class AgentStateRow(Base, table=True):
    """An agent's state as the pool's owner saved it. `data` is the whole `domain.agents.Agent`."""

    __tablename__ = "agent_states"
    __table_args__ = (Index("agent_states_of_pool", "pool_id"),)

    agent_id: str = Field(primary_key=True)
    tenant_id: str
    pool_id: str
    data: dict[str, Any] = _json()


class QueueMemoryRow(Base, table=True):
    """What the pool's owner remembers of a queue. `data` is the whole `domain.memory.Memory`."""

    __tablename__ = "queue_memories"
    __table_args__ = (Index("queue_memories_of_pool", "pool_id"),)

    queue_id: str = Field(primary_key=True)
    tenant_id: str
    pool_id: str
    data: dict[str, Any] = _json()


class CallRow(Base, table=True):
    """A call as the pool's owner saved it. `data` is the whole `domain.calls.Call`; what is over stays readable."""

    __tablename__ = "calls"
    __table_args__ = (
        Index("calls_live", "pool_id", postgresql_where=text("live")),
        Index("calls_of_tenant", "tenant_id", "id"),
        Index("calls_of_queue", "queue_id", "id"),
        Index("calls_over_at", "over_at", postgresql_using="brin"),
        Index(
            "calls_answered",
            "tenant_id",
            "spoke_with",
            "answered_at",
            postgresql_where=text("answered_at IS NOT NULL"),
        ),
    )

    id: str = Field(primary_key=True)
    tenant_id: str
    pool_id: str
    queue_id: str
    state: str
    agent_id: str | None
    live: bool
    over_at: datetime | None = Field(sa_column=Column(DateTime(timezone=True), nullable=True))
    spoke_with: str | None
    """The caller's number, once an agent has answered; null: nobody has, it was withheld, or no caller takes part."""
    answered_at: datetime | None = Field(sa_column=Column(DateTime(timezone=True), nullable=True))
    """Null with `spoke_with`."""
    data: dict[str, Any] = _json()


class PoolClock(Base, table=True):
    """The time that a pool has reached."""

    __tablename__ = "pool_clocks"

    pool_id: str = Field(primary_key=True)
    reached_at: datetime = _moment(default=False)


class Writer(Base, table=True):
    """Who may write the pools of a partition of `routing-inputs`: whoever holds the present epoch."""

    __tablename__ = "writers"

    partition: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    epoch: int = Field(sa_column=Column("epoch", BigInteger, nullable=False))
    owner: str


class Refusal(Base, table=True):
    """A command that changed nothing, and why."""

    __tablename__ = "refusals"
    __table_args__ = (Index("refusals_refused_at", "refused_at", postgresql_using="brin"),)

    command_id: UUID = Field(primary_key=True)
    tenant_id: str
    reason: str
    refused_at: datetime = _moment()


class SimulationRow(Base, table=True):
    """A day of a pool under a changed configuration. `task` is the whole `domain.simulation.Task`."""

    __tablename__ = "simulations"

    id: UUID = Field(primary_key=True)
    tenant_id: str
    pool_id: str
    asked_by: str
    asked_at: datetime = _moment()
    task: dict[str, Any] = _json()
    progress: float = Field(sa_column=Column(Float, nullable=False, server_default="0"))
    alive_at: datetime | None = Field(sa_column=Column(DateTime(timezone=True), nullable=True))
    """When the process that works at it was last heard of."""
    result: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB, nullable=True))
    failure: str | None


system_tables(Base.metadata)
_audit = Base.metadata.tables["audit"]
Index("audit_of_subject", _audit.c.subject, _audit.c.id)
