"""Tables of crm-bridge."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from common.tables import system_tables
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    MetaData,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel


def _moment(*, nullable: bool = False) -> Any:
    return Field(
        sa_type=DateTime(timezone=True),
        nullable=nullable,
        sa_column_kwargs={} if nullable else {"server_default": text("now()")},
    )


def _flag() -> Any:
    return Field(sa_column=Column(Boolean, nullable=False, server_default="false"))


class Base(SQLModel):
    metadata = MetaData()


class Tenant(Base, table=True):
    """What a tenant decides about its contacts and cases."""

    __tablename__ = "tenants"

    tenant_id: str = Field(primary_key=True)
    name: str
    time_zone: str
    region: str
    allow_possible_numbers: bool = Field(sa_column=Column(Boolean, nullable=False, server_default="false"))
    reopen_window_days: int
    closing_dispositions: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False))
    version: int
    updated_at: datetime = _moment()


class Contact(Base, table=True):
    """A person of a tenant. `key` is the E.164 number, or `call:<call id>` for one who withheld it."""

    __tablename__ = "contacts"
    __table_args__ = (
        UniqueConstraint("tenant_id", "key", name="contacts_key"),
        Index("contacts_of_tenant", "tenant_id", "id"),
    )

    id: UUID = Field(primary_key=True)
    tenant_id: str
    key: str
    phone: str | None
    name: str | None
    email: str | None
    priority: int
    version: int
    last_call_at: datetime | None = _moment(nullable=True)
    created_at: datetime = _moment()
    updated_at: datetime = _moment()


class Case(Base, table=True):
    """One matter of one contact. Of a contact at most one case is open."""

    __tablename__ = "cases"
    __table_args__ = (
        CheckConstraint("status IN ('open', 'closed')", name="cases_status"),
        CheckConstraint(
            "(status = 'closed') = (closed_at IS NOT NULL) AND (status = 'closed') = (disposition IS NOT NULL)",
            name="cases_closed",
        ),
        Index("cases_one_open", "tenant_id", "contact_id", unique=True, postgresql_where=text("status = 'open'")),
        Index("cases_current", "contact_id", text("closed_at DESC")),
        Index("cases_of_tenant", "tenant_id", "id"),
    )

    id: UUID = Field(primary_key=True)
    tenant_id: str
    contact_id: UUID = Field(sa_column=Column(ForeignKey("contacts.id"), nullable=False))
    queue_id: str
    status: str
    opened_at: datetime = _moment()
    active_at: datetime = _moment()
    sequence: int
    calls: int
    handed_on: int = Field(sa_column_kwargs={"server_default": "0"})
    closings: int
    closed_at: datetime | None = _moment(nullable=True)
    disposition: str | None


class CaseCall(Base, table=True):
    """A call belongs to one case for ever. The agent's code comes with the wrap-up."""

    __tablename__ = "case_calls"
    __table_args__ = (Index("case_calls_of_case", "case_id", "answered_at"),)

    tenant_id: str = Field(primary_key=True)
    call_id: str = Field(primary_key=True)
    case_id: UUID = Field(sa_column=Column(ForeignKey("cases.id"), nullable=False))
    contact_id: UUID
    queue_id: str
    direction: str
    agent_id: str | None
    answered_at: datetime = _moment()
    wrapped_up_at: datetime | None = _moment(nullable=True)
    disposition: str | None


class HandedOnCall(Base, table=True):
    """A case has calls to which agents handed on the caller of this first call, whether it has that one or not yet."""

    __tablename__ = "handed_on_calls"

    tenant_id: str = Field(primary_key=True)
    first_call_id: str = Field(primary_key=True)
    case_id: UUID = Field(sa_column=Column(ForeignKey("cases.id"), primary_key=True))


class Webhook(Base, table=True):
    """An endpoint of a tenant. Secrets are encrypted; `disabled_reason` tells why *we* stopped sending.

    `older_secrets` were replaced before `previous_secret` and still sign. `resuming`: it was enabled again, and not all
    of the messages that waited for it are in order yet.
    """

    __tablename__ = "webhooks"
    __table_args__ = (Index("webhooks_of_tenant", "tenant_id", "id"),)

    id: str = Field(primary_key=True)
    tenant_id: str
    url: str
    event_types: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False))
    enabled: bool
    disabled_reason: str | None
    failing_since: datetime | None = _moment(nullable=True)
    secret: bytes
    previous_secret: bytes | None
    previous_secret_until: datetime | None = _moment(nullable=True)
    older_secrets: list[dict[str, str]] = Field(sa_column=Column(JSONB, nullable=False, server_default="[]"))
    paused_until: datetime | None = _moment(nullable=True)
    resuming: bool = _flag()
    version: int
    created_at: datetime = _moment()
    updated_at: datetime = _moment()


class WebhookDelivery(Base, table=True):
    """One message to one endpoint. `next_attempt_at` is also the lease of whoever is sending it.

    `in_order`: it waited for its endpoint, which gets nothing else before this has had a try.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'delivered', 'failed', 'expired')", name="deliveries_state"),
        Index("deliveries_due", "webhook_id", "next_attempt_at", postgresql_where=text("state = 'pending'")),
        Index("deliveries_in_order", "webhook_id", "id", postgresql_where=text("state = 'pending' AND in_order")),
        Index("deliveries_expiring", "expires_at", postgresql_where=text("state = 'pending'")),
        Index("deliveries_of_webhook", "webhook_id", "id"),
    )

    id: UUID = Field(primary_key=True)
    tenant_id: str
    webhook_id: str = Field(sa_column=Column(ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False))
    event_type: str
    case_id: UUID
    body: str
    state: str
    attempts: int
    in_order: bool = _flag()
    next_attempt_at: datetime = _moment()
    expires_at: datetime = _moment()
    last_status: int | None
    last_error: str | None
    last_excerpt: str | None
    created_at: datetime = _moment()
    delivered_at: datetime | None = _moment(nullable=True)


system_tables(Base.metadata)
