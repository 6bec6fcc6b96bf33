"""Cases closed and reopened become entries of the ledger, each exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from common import outbox, telemetry
from common.clock import Clock
from common.consumer import Delivery
from common.database import Session
from common.events import CaseClosed, CaseReopened

from billing.domain.closings import Closing, ClosingKey, closing_of, merge, merge_all
from billing.domain.rating import CASE, Entry, EntryKey, Kind, Rated, Unrated, event_of, rate
from billing.domain.tariffs import Terms
from billing.store import ledger as store
from billing.store import tariffs as tariff_store

_entries = telemetry.meter.create_counter("plateau_billing_entries", description="Ledger entries written, by kind")
_CHUNK = 5000

Traces = dict[EntryKey, str | None]


async def take_deliveries(session: Session, deliveries: Sequence[Delivery], clock: Clock) -> None:
    """Rate every closing that these events tell of. Idempotent, in any order; five statements however many events.

    Raises InvalidEvent for an event that cannot be true or contradicts one before it.
    """
    told: list[Closing] = []
    traces: Traces = {}
    for delivery in deliveries:
        if isinstance(delivery.event, CaseClosed | CaseReopened):
            closing = closing_of(delivery.event)
            told.append(closing)
            kind = Kind.CHARGE if closing.reopened_at is None else Kind.REVERSAL
            traces.setdefault(_entry_key(closing.key, kind), delivery.traceparent)
    if not told:
        return
    merged = merge_all(told)
    await tariff_store.lock_shared(session)
    terms = await tariff_store.terms_of(session, {key.tenant_id for key in merged})
    stored = {one.closing.key: one for one in await store.merge_closings(session, list(merged.values()))}
    rated = []
    for key, closing in merged.items():
        merge(stored[key].closing, closing)
        rating = rate(stored[key].closing, terms.get(key.tenant_id), stored[key].tariff_version)
        if isinstance(rating, Rated):
            rated.append(rating)
    await _charge(session, rated, traces, clock.now())


async def charge_backlog(session: Session, tenant_id: str, terms: Terms, now: datetime) -> int:
    """Rate the tenant's closings that had no tariff so far; returns how many have one now."""
    charged = 0
    last: Closing | None = None
    while closings := await store.unrated_of(session, tenant_id, _CHUNK, last):
        rated = [rating for rating in (rate(each, terms) for each in closings) if isinstance(rating, Rated)]
        await _charge(session, rated, {}, now)
        charged += len(rated)
        last = closings[-1]
    return charged


async def unrated(
    session: Session, tenant_id: str | None, limit: int, after: tuple[str, datetime, str, int] | None
) -> list[Unrated]:
    """Up to `limit` closings that no tariff covers, with the reason, by tenant and age; those behind `after`."""
    closings = await store.unrated(session, tenant_id, limit, after)
    terms = await tariff_store.terms_of(session, {each.tenant_id for each in closings})
    ratings = (rate(each, terms.get(each.tenant_id)) for each in closings)
    return [rating for rating in ratings if isinstance(rating, Unrated)]


async def _charge(session: Session, rated: Sequence[Rated], traces: Traces, now: datetime) -> None:
    if not rated:
        return
    entries = [entry for rating in rated for entry in rating.entries]
    added: set[UUID] = await store.record(session, entries, now)
    await store.pin(session, rated)
    written: list[Entry] = [entry for entry in entries if entry.id in added]
    for entry in written:
        cause = traces.get(entry.key) or traces.get(entry.key._replace(kind=Kind.REVERSAL))
        if cause is None:
            outbox.add(session, event_of(entry))
        else:
            with telemetry.with_traceparent(cause, f"rate {entry.kind}"):
                outbox.add(session, event_of(entry))
    session.after_commit(lambda: _count(written))


def _entry_key(key: ClosingKey, kind: Kind) -> EntryKey:
    return EntryKey(key.tenant_id, key.case_id, CASE, key.closing, kind)


def _count(entries: Sequence[Entry]) -> None:
    counts: dict[tuple[str, Kind], int] = {}
    for entry in entries:
        name = (entry.tenant_id, entry.kind)
        counts[name] = counts.get(name, 0) + 1
    for (tenant_id, kind), count in counts.items():
        _entries.add(count, {"tenant": tenant_id, "kind": kind.value})
