"""KPI's tables: what was counted per interval of 15 minutes (and per minute, for two hours), and what is the case now.

Every count is a plain sum, so a row is brought up to date by adding to it, by any replica, in any order.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from common.tables import system_tables
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    DateTime,
    Index,
    Integer,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    text,
)
from sqlmodel import Field, SQLModel


class Base(SQLModel):
    """Root of KPI's tables."""

    metadata: ClassVar[MetaData] = MetaData()


def _moment(name: str, *, nullable: bool = False, key: bool = False) -> Column[datetime]:
    return Column(name, DateTime(timezone=True), nullable=nullable, primary_key=key)


class Tenant(Base, table=True):
    """A client company as KPI knows it."""

    __tablename__ = "tenants"

    tenant_id: str = Field(primary_key=True)
    name: str
    time_zone: str
    service_level_formula: str
    version: int = Field(sa_column=Column("version", Integer, nullable=False))


class Queue(Base, table=True):
    """A queue that was declared, or that a call has entered: shown with its zeros while nothing happens there."""

    __tablename__ = "queues"

    queue_id: str = Field(primary_key=True)
    tenant_id: str


class CallColumns(Base):
    """Counts of calls, as `kpi.domain.counts.CallCounts` has them."""

    offered: int = Field(sa_type=BigInteger)
    answered: int = Field(sa_type=BigInteger)
    abandoned: int = Field(sa_type=BigInteger)
    short_abandoned: int = Field(sa_type=BigInteger)
    overflowed_out: int = Field(sa_type=BigInteger)
    not_called_back: int = Field(sa_column_kwargs={"server_default": "0"}, sa_type=BigInteger)
    turned_away: int = Field(sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    redirected: int = Field(sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    machines: int = Field(sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    answered_within: int = Field(sa_type=BigInteger)
    abandoned_within: int = Field(sa_type=BigInteger)
    wait_answered_ms: int = Field(sa_type=BigInteger)
    handled: int = Field(sa_type=BigInteger)
    talk_ms: int = Field(sa_type=BigInteger)
    wrap_up_ms: int = Field(sa_type=BigInteger)
    max_wait_ms: int = Field(sa_type=BigInteger)


class CallInterval(CallColumns, table=True):
    """Calls of one queue ('' the whole tenant) by the interval in which they were offered."""

    __tablename__ = "intervals"
    __table_args__ = (
        Index("intervals_start", "interval_start"),
        Index("intervals_queue", "queue_id", "interval_start"),
    )

    tenant_id: str = Field(primary_key=True)
    queue_id: str = Field(primary_key=True)
    interval_start: datetime = Field(sa_column=_moment("interval_start", key=True))


class CallMinute(CallColumns, table=True):
    """The same per minute, for the sliding window of the live service level; pruned."""

    __tablename__ = "minutes"
    __table_args__ = (Index("minutes_start", "interval_start"),)

    tenant_id: str = Field(primary_key=True)
    queue_id: str = Field(primary_key=True)
    interval_start: datetime = Field(sa_column=_moment("interval_start", key=True))


class WaitBucket(Base, table=True):
    """One bucket of the sketch of an interval's waits."""

    __tablename__ = "wait_buckets"

    tenant_id: str = Field(primary_key=True)
    queue_id: str = Field(primary_key=True)
    interval_start: datetime = Field(sa_column=_moment("interval_start", key=True))
    bucket: int = Field(sa_column=Column("bucket", SmallInteger, primary_key=True, autoincrement=False))
    calls: int = Field(sa_type=BigInteger)


class AgentInterval(Base, table=True):
    """Time spent by one agent ('' all agents, on the tenant's calls), by the interval in which it was spent."""

    __tablename__ = "agent_time"
    __table_args__ = (
        Index("agent_time_start", "interval_start"),
        Index("agent_time_agent", "agent_id", "interval_start"),
    )

    tenant_id: str = Field(primary_key=True)
    agent_id: str = Field(primary_key=True)
    interval_start: datetime = Field(sa_column=_moment("interval_start", key=True))
    available_ms: int = Field(sa_type=BigInteger)
    offered_ms: int = Field(sa_type=BigInteger)
    busy_ms: int = Field(sa_type=BigInteger)
    wrap_up_ms: int = Field(sa_type=BigInteger)
    break_ms: int = Field(sa_type=BigInteger)


class CaseInterval(Base, table=True):
    """What happened to cases in the interval, by the queue of the call that opened them."""

    __tablename__ = "case_intervals"
    __table_args__ = (
        Index("case_intervals_start", "interval_start"),
        Index("case_intervals_queue", "queue_id", "interval_start"),
    )

    tenant_id: str = Field(primary_key=True)
    queue_id: str = Field(primary_key=True)
    interval_start: datetime = Field(sa_column=_moment("interval_start", key=True))
    opened: int = Field(sa_type=BigInteger)
    calls_linked: int = Field(sa_type=BigInteger)
    closed: int = Field(sa_type=BigInteger)
    reopened: int = Field(sa_type=BigInteger)
    closed_calls: int = Field(sa_type=BigInteger)
    open_ms: int = Field(sa_type=BigInteger)


class ChargeInterval(Base, table=True):
    """Money charged and taken back in the interval."""

    __tablename__ = "charge_intervals"
    __table_args__ = (Index("charge_intervals_start", "interval_start"),)

    tenant_id: str = Field(primary_key=True)
    currency: str = Field(primary_key=True)
    interval_start: datetime = Field(sa_column=_moment("interval_start", key=True))
    charges: int = Field(sa_type=BigInteger)
    reversals: int = Field(sa_type=BigInteger)
    amount: Decimal = Field(sa_column=Column("amount", Numeric, nullable=False))


class DialingInterval(Base, table=True):
    """Attempts of one campaign by the interval in which the dial started."""

    __tablename__ = "dialing_intervals"
    __table_args__ = (
        Index("dialing_intervals_start", "interval_start"),
        Index("dialing_intervals_campaign", "campaign_id", "interval_start"),
    )

    tenant_id: str = Field(primary_key=True)
    campaign_id: str = Field(primary_key=True)
    interval_start: datetime = Field(sa_column=_moment("interval_start", key=True))
    attempts: int = Field(sa_type=BigInteger)
    answered: int = Field(sa_type=BigInteger)
    abandoned: int = Field(sa_type=BigInteger)
    busy: int = Field(sa_type=BigInteger)
    no_answer: int = Field(sa_type=BigInteger)
    failed: int = Field(sa_type=BigInteger)
    machine: int = Field(sa_type=BigInteger)
    refused: int = Field(sa_type=BigInteger)
    ring_ms: int = Field(sa_type=BigInteger)


class LiveCallRow(Base, table=True):
    """The newest known state of a call; kept for a while after its end, so that an old event cannot bring it back."""

    __tablename__ = "live_calls"
    __table_args__ = (
        Index("live_calls_open", "tenant_id", "queue_id", postgresql_where=text("state <> 'done'")),
        Index("live_calls_finished", "occurred_at", postgresql_where=text("state = 'done'")),
    )

    call_id: str = Field(primary_key=True)
    sequence: int = Field(sa_type=BigInteger)
    tenant_id: str
    queue_id: str
    state: str
    offered_at: datetime = Field(sa_column=_moment("offered_at"))
    queued_at: datetime | None = Field(sa_column=_moment("queued_at", nullable=True))
    service_level_ms: int = Field(sa_type=BigInteger)
    occurred_at: datetime = Field(sa_column=_moment("occurred_at"))
    handed_on: bool = Field(sa_column_kwargs={"server_default": text("false")})


class LiveAgentRow(Base, table=True):
    """The newest known state of an agent."""

    __tablename__ = "live_agents"

    agent_id: str = Field(primary_key=True)
    sequence: int = Field(sa_type=BigInteger)
    tenant_id: str
    pool_id: str
    queue_ids: list[str] = Field(sa_column=Column("queue_ids", ARRAY(String), nullable=False))
    state: str
    since: datetime = Field(sa_column=_moment("since"))


TENANT_TABLES = (
    "tenants",
    "queues",
    "intervals",
    "minutes",
    "wait_buckets",
    "agent_time",
    "case_intervals",
    "charge_intervals",
    "dialing_intervals",
    "live_calls",
    "live_agents",
)
"""Tables under row-level security: all of ours."""

system_tables(Base.metadata)
