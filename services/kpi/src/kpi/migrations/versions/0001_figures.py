"""The tables of figures and of the live state."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from common.migrations import create_system_tables, enable_row_level_security
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

CALL_COUNTS = (
    "offered",
    "answered",
    "abandoned",
    "short_abandoned",
    "overflowed_out",
    "answered_within",
    "abandoned_within",
    "wait_answered_ms",
    "handled",
    "talk_ms",
    "wrap_up_ms",
    "max_wait_ms",
)
CALLS = ("queue_id", CALL_COUNTS)
SERIES = {
    "intervals": CALLS,
    "minutes": CALLS,
    "agent_time": ("agent_id", ("available_ms", "offered_ms", "busy_ms", "wrap_up_ms", "break_ms")),
    "case_intervals": ("queue_id", ("opened", "calls_linked", "closed", "reopened", "closed_calls", "open_ms")),
    "dialing_intervals": (
        "campaign_id",
        (
            "attempts",
            "answered",
            "abandoned",
            "busy",
            "no_answer",
            "failed",
            "machine",
            "refused",
            "ring_ms",
        ),
    ),
}
TABLES = ("tenants", "queues", *SERIES, "wait_buckets", "charge_intervals", "live_calls", "live_agents")


def text(name: str, *, key: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String, primary_key=key, nullable=False)


def moment(name: str, *, key: bool = False, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), primary_key=key, nullable=nullable)


def count(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def series_key(key: str) -> list[sa.Column[Any]]:
    return [text("tenant_id", key=True), text(key, key=True), moment("interval_start", key=True)]


def upgrade() -> None:
    create_system_tables(op)
    op.create_table(
        "tenants",
        text("tenant_id", key=True),
        text("name"),
        text("time_zone"),
        text("service_level_formula"),
        sa.Column("version", sa.Integer, nullable=False),
    )
    op.create_table("queues", text("queue_id", key=True), text("tenant_id"))
    for table, (key, counts) in SERIES.items():
        op.create_table(table, *series_key(key), *[count(name) for name in counts])
    op.create_table(
        "wait_buckets",
        *series_key("queue_id"),
        sa.Column("bucket", sa.SmallInteger, primary_key=True, autoincrement=False),
        count("calls"),
    )
    op.create_table(
        "charge_intervals",
        *series_key("currency"),
        count("charges"),
        count("reversals"),
        sa.Column("amount", sa.Numeric, nullable=False),
    )
    for table in ("intervals", "minutes", "agent_time", "case_intervals", "charge_intervals", "dialing_intervals"):
        op.create_index(f"{table}_start", table, ["interval_start"])
    op.create_index("intervals_queue", "intervals", ["queue_id", "interval_start"])
    op.create_index("agent_time_agent", "agent_time", ["agent_id", "interval_start"])
    op.create_index("case_intervals_queue", "case_intervals", ["queue_id", "interval_start"])
    op.create_index("dialing_intervals_campaign", "dialing_intervals", ["campaign_id", "interval_start"])
    op.create_table(
        "live_calls",
        text("call_id", key=True),
        count("sequence"),
        text("tenant_id"),
        text("queue_id"),
        text("state"),
        moment("offered_at"),
        moment("queued_at", nullable=True),
        count("service_level_ms"),
        moment("occurred_at"),
    )
    op.create_index(
        "live_calls_open", "live_calls", ["tenant_id", "queue_id"], postgresql_where=sa.text("state <> 'done'")
    )
    op.create_index("live_calls_finished", "live_calls", ["occurred_at"], postgresql_where=sa.text("state = 'done'"))
    op.create_table(
        "live_agents",
        text("agent_id", key=True),
        count("sequence"),
        text("tenant_id"),
        text("pool_id"),
        sa.Column("queue_ids", postgresql.ARRAY(sa.String), nullable=False),
        text("state"),
        moment("since"),
    )
    enable_row_level_security(op, *TABLES)
    # The rows of the present quarter of an hour change with every batch: leave room to change them in place.
    for table in ("intervals", "minutes", "wait_buckets", "live_calls", "live_agents", "agent_time"):
        op.execute(f"ALTER TABLE {table} SET (fillfactor = 70)")
