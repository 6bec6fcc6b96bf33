"""Tables that every service has beside its own."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB


def _moment(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable, server_default=None if nullable else func.now())


def system_tables(metadata: MetaData) -> None:
    """Declare inbox, outbox, dead letters, idempotency keys, API keys and audit in `metadata`."""
    Table(
        "inbox",
        metadata,
        Column("id", Uuid, nullable=False),
        Column("source", String, nullable=False),
        _moment("received_at"),
        PrimaryKeyConstraint("id", "source", name="inbox_pkey"),
        Index("inbox_received_at", "received_at", postgresql_using="brin"),
    )
    Table(
        "outbox",
        metadata,
        Column("id", BigInteger, Identity(always=True), primary_key=True),
        Column("topic", String, nullable=False),
        Column("key", LargeBinary),
        Column("headers", LargeBinary, nullable=False, comment="MessagePack list of [name, value]"),
        Column("value", LargeBinary),
        _moment("created_at"),
    )
    Table(
        "dead_letters",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("consumer_group", String, nullable=False),
        Column("topic", String, nullable=False),
        Column("partition", Integer, nullable=False),
        Column("position", BigInteger, nullable=False),
        Column("key", LargeBinary),
        Column("headers", LargeBinary, nullable=False, comment="MessagePack list of [name, value]"),
        Column("value", LargeBinary),
        Column("type", String),
        Column("cause", String, nullable=False),
        _moment("died_at"),
        _moment("redriven_at", nullable=True),
        Column("redriven_by", String),
        UniqueConstraint("consumer_group", "topic", "partition", "position", name="dead_letters_record"),
        Index("dead_letters_died_at", "died_at"),
    )
    Table(
        "idempotency_keys",
        metadata,
        Column("tenant_id", String, nullable=False),
        Column("caller", String, nullable=False),
        Column("key", String, nullable=False),
        Column("route", String, nullable=False),
        Column("fingerprint", LargeBinary, nullable=False),
        Column("status", SmallInteger),
        Column("headers", JSONB),
        Column("body", LargeBinary),
        _moment("created_at"),
        PrimaryKeyConstraint("tenant_id", "caller", "key", name="idempotency_keys_pkey"),
        Index("idempotency_keys_created_at", "created_at", postgresql_using="brin"),
    )
    Table(
        "api_keys",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("tenant_id", String, nullable=False),
        Column("name", String, nullable=False),
        Column("hash", LargeBinary, nullable=False, comment="SHA-256 of the secret"),
        Column("roles", ARRAY(String), nullable=False),
        _moment("created_at"),
        _moment("revoked_at", nullable=True),
    )
    Table(
        "audit",
        metadata,
        Column("id", BigInteger, Identity(always=True), primary_key=True),
        Column("tenant_id", String, nullable=False),
        Column("actor", String, nullable=False),
        Column("action", String, nullable=False),
        Column("subject", String, nullable=False),
        Column("detail", JSONB),
        _moment("happened_at"),
        Index("audit_happened_at", "happened_at"),
    )


TENANT_TABLES = ("idempotency_keys", "api_keys", "audit")
"""The system tables that hold rows of tenants."""
