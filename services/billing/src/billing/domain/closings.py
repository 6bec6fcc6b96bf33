"""Closings: a case may be closed, reopened and closed again; each closing is one thing to charge.

Facts about a closing come in any order and any number of times: CaseReopened may overtake CaseClosed when one of them
was redriven from the dead letters. Both say when the closing was, so either alone is enough to know it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

from common.errors import InvalidEvent
from common.events import CaseClosed, CaseReopened

_YEARS = range(1900, 9999)


class ClosingKey(NamedTuple):
    """Names one closing for ever."""

    tenant_id: str
    case_id: str
    closing: int


@dataclass(frozen=True, slots=True)
class Closing:
    """Closing number `closing` of a case; `reopened_at` is set once it does not stand any more."""

    tenant_id: str
    case_id: str
    closing: int
    closed_at: datetime
    reopened_at: datetime | None = None

    @property
    def key(self) -> ClosingKey:
        return ClosingKey(self.tenant_id, self.case_id, self.closing)


def closing_of(event: CaseClosed | CaseReopened) -> Closing:
    """What the event says. Raises InvalidEvent when it cannot be true."""
    reopened_at = event.reopened_at if isinstance(event, CaseReopened) else None
    if event.closing < 1:
        raise InvalidEvent(f"case {event.case_id}: closing {event.closing} is not 1 or more")
    for name, moment in (("closed_at", event.closed_at), ("reopened_at", reopened_at)):
        if moment is None:
            continue
        if moment.tzinfo is None:
            raise InvalidEvent(f"case {event.case_id}: {name} {moment.isoformat()} has no time zone")
        if moment.year not in _YEARS:
            raise InvalidEvent(f"case {event.case_id}: {name} {moment.isoformat()} is out of range")
    if reopened_at is not None and reopened_at < event.closed_at:
        raise InvalidEvent(
            f"case {event.case_id}: reopened at {reopened_at.isoformat()}, before it was closed at "
            f"{event.closed_at.isoformat()}"
        )
    return Closing(
        event.tenant_id,
        event.case_id,
        event.closing,
        event.closed_at.astimezone(UTC),
        None if reopened_at is None else reopened_at.astimezone(UTC),
    )


def merge(known: Closing, told: Closing) -> Closing:
    """`known` with what `told` adds about the same closing. Raises InvalidEvent when they contradict each other."""
    if told.closed_at != known.closed_at:
        raise _contradiction(known, "closed", known.closed_at, told.closed_at)
    if known.reopened_at is None:
        return replace(known, reopened_at=told.reopened_at)
    if told.reopened_at is not None and told.reopened_at != known.reopened_at:
        raise _contradiction(known, "reopened", known.reopened_at, told.reopened_at)
    return known


def merge_all(closings: Iterable[Closing]) -> dict[ClosingKey, Closing]:
    """One closing per key, in the order of their first mention. Raises InvalidEvent as `merge` does."""
    merged: dict[ClosingKey, Closing] = {}
    for told in closings:
        known = merged.get(told.key)
        merged[told.key] = told if known is None else merge(known, told)
    return merged


def _contradiction(closing: Closing, what: str, known: datetime, told: datetime) -> InvalidEvent:
    return InvalidEvent(
        f"case {closing.case_id}, closing {closing.closing}: {what} at {told.isoformat()} contradicts "
        f"{known.isoformat()}, which is on record"
    )
