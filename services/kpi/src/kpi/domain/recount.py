"""The independent recount: what the rows must be, from whole calls instead of from events.

Shares neither the incremental fold nor any SQL with the figures that it checks. It drops repeated events, puts each
call's history together in the order of its sequence, reads from it where the call stood and how it left each queue, and
only then counts whole calls per queue and interval. Quantiles are exact here, so the served ones may differ by the
accuracy of the sketch and by no more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from common.events import (
    CallAbandoned,
    CallAnswered,
    CallEvent,
    CallOverflowed,
    CallQueued,
    CallRedirected,
    CallWrappedUp,
    Event,
)
from common.events.routing import CALLBACK_ENDS

Outcome = Literal["waiting", "answered", "abandoned", "overflowed", "not_called_back", "machine"]
Key = tuple[str, str | None, datetime]
"""Tenant, queue (None: the whole tenant), start of the interval in UTC."""

QUARTER = timedelta(minutes=15)
TOLERANCE = 0.0101
"""Of quantiles: the sketch's 1 % and a little for the milliseconds."""


@dataclass(slots=True)
class Stay:
    """One call in one queue, and how it left. `wait` is its time there, once it has left."""

    queue_id: str
    since: datetime
    threshold: timedelta
    outcome: Outcome = "waiting"
    wait: timedelta = timedelta(0)
    """On the line."""
    away: timedelta = timedelta(0)
    """Not on the line, to be called back."""
    short: bool = False


@dataclass(slots=True)
class History:
    """One whole call."""

    tenant_id: str
    offered_at: datetime
    first_call_id: str | None
    """The call by which the caller came; None: this one."""
    first_offered_at: datetime | None
    """When that was offered; None: this one is the first, or nobody said."""
    stays: list[Stay] = field(default_factory=list)
    talk: timedelta | None = None
    wrap_up: timedelta | None = None
    queue_id: str = ""
    """The queue that it was last in or offered to."""
    turned_away: bool = False
    redirected: bool = False

    @property
    def elsewhere(self) -> bool:
        """Told a message, or sent to a number outside."""
        return self.turned_away or self.redirected


@dataclass(slots=True)
class Expected:
    """What an interval's row must say. Waits are of the calls that left, in seconds."""

    offered: int = 0
    answered: int = 0
    abandoned: int = 0
    short_abandoned: int = 0
    overflowed_out: int = 0
    not_called_back: int = 0
    machines: int = 0
    turned_away: int = 0
    redirected: int = 0
    answered_within: int = 0
    abandoned_within: int = 0
    handled: int = 0
    wait_answered_ms: int = 0
    talk_ms: int = 0
    wrap_up_ms: int = 0
    waits: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that is not what it must be. `row` names the interval, or the call that contradicts itself."""

    row: str
    name: str
    expected: object
    found: object


@dataclass(frozen=True, slots=True)
class Recount:
    """The recount of a stretch of the log."""

    calls: int
    events: int
    repeated: int
    intervals: Mapping[Key, Expected]
    contradictions: Sequence[Difference]
    """Histories that cannot be: counted as far as they go, and always a difference."""


def recount(events: Iterable[tuple[object, Event]]) -> Recount:
    """Counts the calls of `(event id, event)` pairs, which may be repeated and in any order."""
    seen: set[object] = set()
    per_call: dict[str, list[CallEvent]] = defaultdict(list)
    total = 0
    for identifier, event in events:
        total += 1
        if identifier not in seen:
            seen.add(identifier)
            if isinstance(event, CallEvent):
                per_call[event.call_id].append(event)
    contradictions: list[Difference] = []
    intervals: dict[Key, Expected] = {}
    histories = {
        call_id: _history(call_id, sorted(of_call, key=lambda event: event.sequence), contradictions)
        for call_id, of_call in per_call.items()
    }
    for call_id, history in histories.items():
        if history.stays:
            _count_queues(history, intervals)
            _count_tenant(history, intervals)
        first = histories.get(history.first_call_id or "")
        if first is not None and history.first_offered_at not in (None, first.offered_at):
            wrong = Difference(f"call {call_id}", "first_offered_at", first.offered_at, history.first_offered_at)
            contradictions.append(wrong)
        if history.elsewhere:
            _count_elsewhere(history, intervals)
    return Recount(len(per_call), total, total - len(seen), intervals, contradictions)


def _history(call_id: str, events: Sequence[CallEvent], contradictions: list[Difference]) -> History:
    begin = events[0]
    history = History(begin.tenant_id, begin.offered_at, begin.first_call_id, begin.first_offered_at)

    def contradiction(name: str, expected: object, found: object) -> None:
        contradictions.append(Difference(f"call {call_id}", name, expected, found))

    sequences = [event.sequence for event in events]
    if len(set(sequences)) != len(sequences):
        contradiction("sequence", "each number once", sequences)
    for event in events:
        history.queue_id = event.queue_id
        history.turned_away |= isinstance(event, CallAbandoned) and event.reason in ("closed", "overflow")
        history.redirected |= isinstance(event, CallRedirected)
        match event:
            case CallQueued():
                if event.entry != len(history.stays) + 1 or event.queued_at is None:
                    contradiction("entry", len(history.stays) + 1, event.entry)
                history.stays.append(
                    Stay(
                        event.queue_id,
                        event.queued_at or event.occurred_at,
                        timedelta(seconds=event.service_level_seconds),
                    )
                )
            case CallOverflowed() | CallAnswered() | CallAbandoned() | CallRedirected():
                if event.entry == 0 and not isinstance(event, CallAnswered):
                    continue
                stay = history.stays[-1] if history.stays else None
                if stay is None or stay.outcome != "waiting" or stay.queue_id != event.queue_id:
                    contradiction("left a queue", "the queue that it waits in", f"{event.TYPE} from {event.queue_id}")
                    continue
                left = _leave(stay, event)
                if abs(left.total_seconds() - event.wait_seconds) > 0.002:
                    contradiction("wait_seconds", left.total_seconds(), event.wait_seconds)
            case CallWrappedUp():
                if not history.stays or history.stays[-1].outcome != "answered" or history.talk is not None:
                    contradiction("wrapped up", "an answered call, once", event.TYPE)
                    continue
                history.talk = event.ended_at - event.answered_at
                history.wrap_up = event.wrapped_up_at - event.ended_at
            case _:
                pass
    return history


def _leave(stay: Stay, event: CallOverflowed | CallAnswered | CallAbandoned | CallRedirected) -> timedelta:
    match event:
        case CallAnswered():
            stay.away = timedelta(seconds=event.away_seconds)
            stay.outcome, stay.wait = "answered", event.answered_at - stay.since - stay.away
        case CallAbandoned():
            stay.away = timedelta(seconds=event.away_seconds)
            stay.outcome = "not_called_back" if event.reason in CALLBACK_ENDS else "abandoned"
            if event.machine:
                stay.outcome = "machine"
            stay.wait, stay.short = event.abandoned_at - stay.since - stay.away, event.short
        case CallOverflowed():
            stay.outcome, stay.wait = "overflowed", event.occurred_at - stay.since
        case CallRedirected():
            stay.outcome, stay.wait = "overflowed", event.redirected_at - stay.since
    return stay.wait


def _start(when: datetime) -> datetime:
    utc = when.astimezone(UTC)
    midnight = utc.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (utc - midnight) // QUARTER * QUARTER


def _ms(duration: timedelta) -> int:
    return (duration // timedelta(microseconds=1) + 500) // 1000


def _count(expected: Expected, outcome: Outcome, wait: timedelta, stay: Stay) -> None:
    """`stay`: the one that decided."""
    within = wait + stay.away <= stay.threshold
    expected.offered += 1
    match outcome:
        case "answered":
            expected.answered += 1
            expected.answered_within += within
            expected.wait_answered_ms += _ms(wait)
        case "abandoned":
            expected.abandoned += 1
            expected.abandoned_within += within
            expected.short_abandoned += stay.short
        case "overflowed":
            expected.overflowed_out += 1
        case "not_called_back":
            expected.not_called_back += 1
        case "machine":
            expected.machines += 1
            return
        case "waiting":
            return
    expected.waits.append(_ms(wait) / 1000)


def _count_handling(expected: Expected, history: History, *, handled: int) -> None:
    if history.talk is not None and history.wrap_up is not None:
        expected.handled += handled
        expected.talk_ms += _ms(history.talk)
        expected.wrap_up_ms += _ms(history.wrap_up)


def _count_queues(history: History, intervals: dict[Key, Expected]) -> None:
    for stay in history.stays:
        expected = intervals.setdefault((history.tenant_id, stay.queue_id, _start(stay.since)), Expected())
        _count(expected, stay.outcome, stay.wait, stay)
        if stay is history.stays[-1]:
            _count_handling(expected, history, handled=1)


def _count_tenant(history: History, intervals: dict[Key, Expected]) -> None:
    """A caller who was handed on counts with the first call, and the agents' time there too."""
    expected = intervals.setdefault(
        (history.tenant_id, None, _start(history.first_offered_at or history.offered_at)), Expected()
    )
    _count_handling(expected, history, handled=int(history.first_call_id is None))
    if history.first_call_id is not None:
        return
    last = history.stays[-1]
    outcome = "waiting" if last.outcome == "overflowed" and not history.redirected else last.outcome
    wait = last.since + last.wait - history.stays[0].since
    _count(expected, outcome, wait, last)


def _count_elsewhere(history: History, intervals: dict[Key, Expected]) -> None:
    """Under the last queue: when it entered that, or was offered if it never did."""
    entered = history.stays[-1].since if history.stays else history.offered_at
    places: list[tuple[str | None, datetime]] = [(history.queue_id, entered)]
    if history.first_call_id is None:
        places.append((None, history.offered_at))
    for queue_id, when in places:
        expected = intervals.setdefault((history.tenant_id, queue_id, _start(when)), Expected())
        expected.turned_away += history.turned_away
        expected.redirected += history.redirected


COUNTS = (
    "offered",
    "answered",
    "abandoned",
    "short_abandoned",
    "overflowed_out",
    "not_called_back",
    "machines",
    "turned_away",
    "redirected",
    "answered_within",
    "abandoned_within",
    "handled",
)
DURATIONS = {
    "wait_answered_seconds": "wait_answered_ms",
    "talk_seconds": "talk_ms",
    "wrap_up_seconds": "wrap_up_ms",
}
QUANTILES = {"wait_p50_seconds": 0.50, "wait_p90_seconds": 0.90, "wait_p99_seconds": 0.99, "longest_wait_seconds": 1.0}


def compare(expected: Recount, rows: Iterable[Mapping[str, Any]]) -> list[Difference]:
    """Every difference between a recount and the rows of `GET /v1/intervals?step=15m` for the same stretch.

    The rows are the API's JSON: one per tenant, queue and interval, and one per tenant and interval (queue null).
    """
    differences = list(expected.contradictions)
    missing = dict(expected.intervals)
    for row in rows:
        key: Key = (row["tenant_id"], row["queue_id"], datetime.fromisoformat(row["start"]).astimezone(UTC))
        wanted = missing.pop(key, None)
        name = _name(key)
        if wanted is None:
            if any(row[count] for count in COUNTS):
                differences.append(Difference(name, "row", "none", row))
            continue
        differences += _compare_row(name, wanted, row)
    differences += [Difference(_name(key), "row", wanted, "none") for key, wanted in missing.items()]
    return differences


def _name(key: Key) -> str:
    tenant_id, queue_id, start = key
    return f"{tenant_id}/{queue_id if queue_id is not None else '*'} at {start.isoformat()}"


def _compare_row(name: str, wanted: Expected, row: Mapping[str, Any]) -> list[Difference]:
    differences = [
        Difference(name, count, getattr(wanted, count), row[count])
        for count in COUNTS
        if row[count] != getattr(wanted, count)
    ]
    differences += [
        Difference(name, shown, getattr(wanted, counted) / 1000, row[shown])
        for shown, counted in DURATIONS.items()
        if round(row[shown] * 1000) != getattr(wanted, counted)
    ]
    waits = sorted(wanted.waits)
    for figure, q in QUANTILES.items():
        exact = waits[int(q * (len(waits) - 1))] if waits else None
        if not _agree(exact, row[figure], 0.0 if q == 1.0 else TOLERANCE):
            differences.append(Difference(name, figure, exact, row[figure]))
    return differences


def _agree(exact: float | None, shown: float | None, tolerance: float) -> bool:
    if exact is None or shown is None:
        return exact is shown
    return abs(shown - exact) <= exact * tolerance
