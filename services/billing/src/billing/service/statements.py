"""Statements: the lines and totals of a tenant's month, as a stream of JSON or CSV of any length."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from common.database import Database

from billing.domain.rating import Entry, Month
from billing.domain.statements import Totals, csv_header, csv_lines, csv_totals, days_of
from billing.service.tariffs import tenant
from billing.store import ledger as store

_CHUNK = 1000
_encode = msgspec.json.Encoder(decimal_format="string").encode


async def as_csv(database: Database, scope: str, tenant_id: str, month: Month) -> AsyncIterator[bytes]:
    """The statement as CSV (RFC 4180). Raises NotFound before the first chunk."""
    async with database.transaction(scope) as session:
        totals = Totals((await tenant(session, tenant_id)).currency)
        yield csv_header().encode()
        async for entries in _chunks(store.month_entries(session, tenant_id, days_of(month)), totals):
            yield csv_lines(entries).encode()
        yield csv_totals(totals).encode()


async def as_json(database: Database, scope: str, tenant_id: str, month: Month) -> AsyncIterator[bytes]:
    """The statement as one JSON object. Raises NotFound before the first chunk."""
    async with database.transaction(scope) as session:
        owner = await tenant(session, tenant_id)
        totals = Totals(owner.currency)
        head = {
            "tenant_id": owner.tenant_id,
            "name": owner.name,
            "month": str(month),
            "time_zone": owner.time_zone,
            "currency": owner.currency,
        }
        yield _encode(head)[:-1] + b',"lines":['
        separator = b""
        async for entries in _chunks(store.month_entries(session, tenant_id, days_of(month)), totals):
            yield separator + _encode([line(entry) for entry in entries])[1:-1]
            separator = b","
        yield b'],"totals":' + _encode(totals_of(totals)) + b"}"


def line(entry: Entry) -> dict[str, Any]:
    """An entry of the ledger as JSON-ready data."""
    return {
        "charge_id": entry.id,
        "tenant_id": entry.tenant_id,
        "case_id": entry.case_id,
        "charge_code": entry.charge_code,
        "closing": entry.version,
        "kind": entry.kind.value,
        "tariff_version": entry.tariff_version,
        "quantity": entry.quantity,
        "amount": entry.amount.amount,
        "currency": entry.amount.currency,
        "date": entry.day,
        "month": entry.month,
        "occurred_at": entry.occurred_at,
        "reverses": entry.reverses,
    }


def totals_of(totals: Totals) -> dict[str, Any]:
    """Totals as JSON-ready data."""
    return {
        "charge_count": totals.charge_count,
        "charges": totals.charges.amount,
        "reversal_count": totals.reversal_count,
        "reversals": totals.reversals.amount,
        "net": totals.net.amount,
        "currency": totals.currency,
    }


async def _chunks(entries: AsyncIterator[Entry], totals: Totals) -> AsyncIterator[list[Entry]]:
    chunk: list[Entry] = []
    async for entry in entries:
        totals.add(entry)
        chunk.append(entry)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
