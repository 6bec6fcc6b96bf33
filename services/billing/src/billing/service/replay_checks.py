"""The replay-from-zero check: rate the whole log of cases again and hold the ledger against it."""

from __future__ import annotations

from typing import Any

from common.database import Database
from common.kafka import Kafka
from pydantic import BaseModel

from billing.domain.rating import EntryKey
from billing.domain.replay import Comparison, Recorded, compare
from billing.store import case_log
from billing.store import ledger as store
from billing.store import tariffs as tariff_store

LISTED = 100
"""How many keys of each kind a report lists; the counts are always whole."""


class LedgerKey(BaseModel):
    """Names one entry of the ledger."""

    tenant_id: str
    case_id: str
    charge_code: str
    version: int
    kind: str


class Differing(LedgerKey):
    """An entry that is not what the log makes it: field by field what is due and what was found."""

    fields: dict[str, dict[str, str]]


class Report(BaseModel):
    """Outcome of one check. `equal` is true when nothing is missing, unexpected or different.

    Lists hold the first hundred; `*_count` count all. `charges_expected` and `charges_found` count charges and
    reversals alike; they may differ by what was charged while the check ran.
    """

    events: int
    repeated: int
    unreadable: int
    cases: int
    charges_expected: int
    charges_found: int
    missing: list[LedgerKey]
    missing_count: int
    unexpected: list[LedgerKey]
    unexpected_count: int
    different: list[Differing]
    different_count: int
    equal: bool


async def check(database: Database, kafka: Kafka, group: str) -> Report:
    """Compare the ledger with the log, while both may grow. Changes nothing.

    The order matters: the committed offsets first (their effects are in the ledger read after), the end of the log
    last (what is in the ledger was published before). Memory: about 1 kB per closing. Raises Unavailable.
    """
    committed = await case_log.committed_offsets(kafka, group)
    async with database.transaction() as session:
        await tariff_store.lock_shared(session)
        terms = await tariff_store.terms_of(session)
        ledger = {entry.key: Recorded(entry, name) async for entry, name in store.whole_ledger(session)}
    reading = await case_log.read(kafka, committed)
    comparison = compare(reading.committed.closings.values(), reading.published.closings.values(), terms, ledger)
    return _report(reading, comparison)


def _report(reading: case_log.Reading, comparison: Comparison) -> Report:
    return Report(
        events=reading.events,
        repeated=reading.repeated,
        unreadable=reading.unreadable + reading.published.refused,
        cases=reading.published.cases,
        charges_expected=comparison.expected,
        charges_found=comparison.found,
        missing=[LedgerKey(**_fields(key)) for key in comparison.missing[:LISTED]],
        missing_count=len(comparison.missing),
        unexpected=[LedgerKey(**_fields(key)) for key in comparison.unexpected[:LISTED]],
        unexpected_count=len(comparison.unexpected),
        different=[
            Differing(
                **_fields(each.key),
                fields={name: {"due": due, "found": found} for name, (due, found) in each.fields.items()},
            )
            for each in comparison.different[:LISTED]
        ],
        different_count=len(comparison.different),
        equal=comparison.equal,
    )


def _fields(key: EntryKey) -> dict[str, Any]:
    return {**key._asdict(), "kind": key.kind.value}
