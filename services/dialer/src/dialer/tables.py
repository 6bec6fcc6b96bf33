"""Tables of dialer. What belongs to a tenant carries `tenant_id` and is held apart by row-level security."""

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
    Identity,
    Index,
    Integer,
    MetaData,
    String,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel


class Base(SQLModel):
    """Base of dialer's tables."""

    metadata = MetaData()


def _moment(*, nullable: bool = False, default: bool = False) -> Any:
    return Column(DateTime(timezone=True), nullable=nullable, server_default=func.now() if default else None)


class TenantRow(Base, table=True):
    __tablename__ = "tenants"

    tenant_id: str = Field(primary_key=True)
    name: str
    time_zone: str
    region: str
    allow_possible_numbers: bool = Field(sa_column=Column(Boolean, nullable=False, server_default="false"))
    rest_after_call_minutes: int = Field(sa_column=Column(Integer, nullable=False, server_default=text("60")))
    version: int = Field(sa_column=Column(Integer, nullable=False))


class CampaignRow(Base, table=True):
    __tablename__ = "campaigns"
    __table_args__ = (
        Index("campaigns_tenant", "tenant_id", "campaign_id"),
        Index("campaigns_running", "queue_id", postgresql_where=text("state = 'running'")),
    )

    campaign_id: str = Field(primary_key=True)
    tenant_id: str = Field(sa_column=Column(String, ForeignKey("tenants.tenant_id"), nullable=False))
    queue_id: str
    name: str
    calling_hours: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    holidays: str | None
    exceptions: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False, server_default=text("'{}'::jsonb")))
    max_attempts: int
    retry_after_minutes: int
    rest_after_abandon_minutes: int
    ring_seconds: int
    state: str
    version: int
    created_at: datetime = Field(sa_column=_moment())
    last_dialled_at: datetime | None = Field(sa_column=_moment(nullable=True))


class CampaignZonesRow(Base, table=True):
    """The sets of time zones that a campaign's leads are in: a handful, however many leads."""

    __tablename__ = "campaign_zones"

    campaign_id: str = Field(sa_column=Column(String, ForeignKey("campaigns.campaign_id"), primary_key=True))
    zones: str = Field(primary_key=True)
    tenant_id: str


class LeadRow(Base, table=True):
    __tablename__ = "leads"
    __table_args__ = (
        UniqueConstraint("campaign_id", "phone", name="leads_phone"),
        Index("leads_page", "campaign_id", "lead_id"),
        Index("leads_due", "campaign_id", "zones", "due_at", "lead_id", postgresql_where=text("state = 'pending'")),
        Index("leads_open", "campaign_id", postgresql_where=text("state IN ('pending', 'in_progress')")),
        Index("leads_barred", "tenant_id", "phone", postgresql_where=text("state = 'barred'")),
    )

    lead_id: UUID = Field(sa_column=Column(Uuid, primary_key=True))
    tenant_id: str
    campaign_id: str = Field(sa_column=Column(String, ForeignKey("campaigns.campaign_id"), nullable=False))
    phone: str
    name: str | None
    external_id: str | None
    zones: str
    state: str
    due_at: datetime = Field(sa_column=_moment())
    attempts: int
    last_outcome: str | None
    created_at: datetime = Field(sa_column=_moment())
    version: int = Field(sa_column=Column(Integer, nullable=False, server_default=text("1")))


class DoNotCallRow(Base, table=True):
    """Numbers that none of a tenant's campaigns dials. Kept until somebody takes them off; the audit says who."""

    __tablename__ = "do_not_call"

    tenant_id: str = Field(primary_key=True)
    phone: str = Field(primary_key=True)
    reason: str | None
    added_by: str
    added_at: datetime = Field(sa_column=_moment())


class RecentCallRow(Base, table=True):
    """A telephone call with a number of a tenant's. Kept while it lasts, and for the tenant's rest after it."""

    __tablename__ = "recent_calls"
    __table_args__ = (Index("recent_calls_number", "tenant_id", "phone"),)

    call_id: str = Field(primary_key=True)
    phone: str = Field(primary_key=True)
    tenant_id: str
    began_at: datetime = Field(sa_column=_moment())
    over_at: datetime | None = Field(sa_column=_moment(nullable=True))


class AttemptRow(Base, table=True):
    __tablename__ = "attempts"
    __table_args__ = (
        Index("attempts_live_lead", "lead_id", unique=True, postgresql_where=text("ended_at IS NULL")),
        Index("attempts_one_dial", "tenant_id", "phone", unique=True, postgresql_where=text("holds_number")),
        Index("attempts_live_queue", "queue_id", postgresql_where=text("ended_at IS NULL")),
        Index("attempts_deadline", "deadline_at", postgresql_where=text("deadline_at IS NOT NULL")),
        Index("attempts_page", "campaign_id", "started_at", "attempt_id"),
    )

    attempt_id: UUID = Field(sa_column=Column(Uuid, primary_key=True))
    tenant_id: str
    campaign_id: str
    queue_id: str
    lead_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("leads.lead_id"), nullable=False))
    number: int
    phone: str
    ring_seconds: float = Field(sa_column=Column(Float, nullable=False))
    state: str
    started_at: datetime = Field(sa_column=_moment())
    deadline_at: datetime | None = Field(sa_column=_moment(nullable=True))
    ringing_at: datetime | None = Field(sa_column=_moment(nullable=True))
    answered_at: datetime | None = Field(sa_column=_moment(nullable=True))
    machine_at: datetime | None = Field(sa_column=_moment(nullable=True))
    ended_at: datetime | None = Field(sa_column=_moment(nullable=True))
    call_id: str | None
    gone: bool
    holds_number: bool = Field(sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    outcome: str | None
    ended_by: str | None
    disposition: str | None
    traceparent: str | None


class DialRow(Base, table=True):
    """What the PBX is told, in the order in which it is told. Committed positions never appear late (see store)."""

    __tablename__ = "dials"
    __table_args__ = (UniqueConstraint("attempt_id", "command", name="dials_once"),)

    position: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    attempt_id: UUID = Field(sa_column=Column(Uuid, nullable=False))
    tenant_id: str
    command: str
    expires_at: datetime = Field(sa_column=_moment())
    call_id: str | None
    written_at: datetime = Field(sa_column=_moment(default=True))


class RoutingRequestRow(Base, table=True):
    """What routing has to be told by HTTP: leased by one replica at a time, removed once done."""

    __tablename__ = "routing_requests"
    __table_args__ = (Index("routing_requests_due", "leased_until"),)

    attempt_id: UUID = Field(sa_column=Column(Uuid, primary_key=True))
    kind: str = Field(primary_key=True)
    tenant_id: str
    call_id: str | None
    tries: int = Field(sa_column=Column(Integer, nullable=False, server_default=text("0")))
    leased_until: datetime = Field(sa_column=_moment(default=True))
    written_at: datetime = Field(sa_column=_moment(default=True))


class PoolRow(Base, table=True):
    """One row per pool of agents: whoever holds its lock paces the campaigns that it serves."""

    __tablename__ = "pools"

    pool_id: str = Field(primary_key=True)


class AgentRow(Base, table=True):
    """The newest known state of each agent; `call_id` is the call that routing gave them, ahead of their state.

    Of an agent with several calls at a time, `state` is available while they could be offered a voice call, and
    `call_id` is a voice call."""

    __tablename__ = "agents"
    __table_args__ = (
        Index("agents_pool", "pool_id"),
        Index("agents_call", "call_id", postgresql_where=text("call_id IS NOT NULL")),
    )

    agent_id: str = Field(primary_key=True)
    pool_id: str
    queue_ids: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False))
    state: str
    sequence: int
    several_calls: bool = Field(sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    call_id: str | None


class WaitingCallRow(Base, table=True):
    """Calls that wait for an agent and were not dialled by us."""

    __tablename__ = "waiting_calls"
    __table_args__ = (Index("waiting_calls_queue", "queue_id"),)

    call_id: str = Field(primary_key=True)
    queue_id: str


system_tables(Base.metadata)
