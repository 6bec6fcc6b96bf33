"""Billing's tables. `ledger` and `tariffs` only grow: triggers of the migration refuse every other change."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import ClassVar
from uuid import UUID

from common.tables import system_tables
from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    MetaData,
    Numeric,
    UniqueConstraint,
    func,
    text,
)
from sqlmodel import Field, SQLModel


class Base(SQLModel):
    """Root of billing's tables."""

    metadata: ClassVar[MetaData] = MetaData()


def _moment(name: str, *, nullable: bool = False) -> Column[datetime]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


class Tenant(Base, table=True):
    """A client company as billing knows it."""

    __tablename__ = "tenants"

    tenant_id: str = Field(primary_key=True)
    name: str
    time_zone: str
    currency: str
    version: int
    updated_at: datetime = Field(
        sa_column=Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now())
    )


class Tariff(Base, table=True):
    """One version of a tenant's tariff."""

    __tablename__ = "tariffs"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="tariffs_tenant_fkey"),
        CheckConstraint("price_per_closed_case >= 0", name="tariffs_price_not_negative"),
    )

    tenant_id: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    valid_from: date
    price_per_closed_case: Decimal = Field(sa_column=Column("price_per_closed_case", Numeric, nullable=False))
    currency: str
    created_at: datetime = Field(sa_column=_moment("created_at"))


class Closing(Base, table=True):
    """One closing of a case. `tariff_version` pins the tariff once it is charged; NULL while unrated."""

    __tablename__ = "closings"
    __table_args__ = (
        CheckConstraint("closing >= 1", name="closings_closing_positive"),
        CheckConstraint("reopened_at >= closed_at", name="closings_reopened_after_closed"),
        Index(
            "closings_unrated",
            "tenant_id",
            "closed_at",
            "case_id",
            "closing",
            postgresql_where=text("tariff_version IS NULL"),
        ),
    )

    tenant_id: str = Field(primary_key=True)
    case_id: str = Field(primary_key=True)
    closing: int = Field(primary_key=True)
    closed_at: datetime = Field(sa_column=_moment("closed_at"))
    reopened_at: datetime | None = Field(sa_column=_moment("reopened_at", nullable=True))
    tariff_version: int | None


class LedgerEntry(Base, table=True):
    """One charge or reversal, for ever. `day` is the tenant's day of `occurred_at` and decides the month."""

    __tablename__ = "ledger"
    __table_args__ = (
        UniqueConstraint("tenant_id", "case_id", "charge_code", "version", "kind", name="ledger_once"),
        ForeignKeyConstraint(
            ["tenant_id", "tariff_version"], ["tariffs.tenant_id", "tariffs.version"], name="ledger_tariff_fkey"
        ),
        ForeignKeyConstraint(["reverses"], ["ledger.id"], name="ledger_reverses_fkey"),
        CheckConstraint(
            "(kind = 'charge' AND amount >= 0 AND reverses IS NULL)"
            " OR (kind = 'reversal' AND amount <= 0 AND reverses IS NOT NULL)",
            name="ledger_sign",
        ),
        Index("ledger_statement", "tenant_id", "day", "occurred_at", "id"),
        Index("ledger_listing", "occurred_at", "id"),
    )

    id: UUID = Field(primary_key=True)
    tenant_id: str
    case_id: str
    charge_code: str
    version: int
    kind: str
    amount: Decimal = Field(sa_column=Column("amount", Numeric, nullable=False))
    currency: str
    tariff_version: int
    day: date
    occurred_at: datetime = Field(sa_column=_moment("occurred_at"))
    reverses: UUID | None
    recorded_at: datetime = Field(sa_column=_moment("recorded_at"))


system_tables(Base.metadata)
