"""What a day came to, in figures: per pool, tenant and queue; and what a change made of them.

A call counts in the queue that it entered first, whoever answers it. Service level, abandonment and ASA are defined as
everywhere: short abandons are in neither of the first two, ASA is the mean wait of those who were answered, from their
first queue on, less the time for which they had hung up to be called back; for the service level that counts. Who was
not called back is offered, and not abandoned; a dial that an answering machine took is not offered. Occupancy is
handling (offered, busy, wrap-up) divided by handling and available time; the part of a tenant or queue is what its own
calls make of that: an agent's time with several calls is shared evenly among those that are not paused.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec
from common.events import CallAbandoned, CallAnswered, CallQueued, Event
from common.events.routing import CALLBACK_ENDS, AgentEvent, AgentLoggedIn, AgentLoggedOut, AgentStateChanged

HANDLING = frozenset({"offered", "busy", "wrap_up"})


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Null: there is nothing to divide by."""

    offered: int
    answered: int
    abandoned: int
    short_abandoned: int
    turned_away: int
    """By a rule, to a message."""
    not_called_back: int = 0
    """Hung up to be called back, and were not."""
    service_level: float | None
    abandonment: float | None
    asa_seconds: float | None
    occupancy: float | None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Of the pool (no tenant, no queue), a tenant (no queue), or a queue."""

    tenant_id: str | None
    queue_id: str | None
    recorded: Figures
    """What really happened."""
    baseline: Figures
    """The day simulated as it was."""
    changed: Figures
    """The day simulated under the change."""
    difference: dict[str, float | None]
    """Changed minus baseline."""


class Tally:
    """Counts the events of one play of a day, from `start` to `end`."""

    def __init__(self, start: datetime, end: datetime) -> None:
        self._start = start
        self._end = end
        self._counts: dict[tuple[str, str], dict[str, float]] = {}
        self._queue_of: dict[str, tuple[str, str]] = {}
        self._agents: dict[str, tuple[str, datetime, tuple[str, ...]]] = {}
        self._available = 0.0
        self._handling: dict[tuple[str, str], float] = {}

    def hear(self, events: Iterable[Event]) -> Tally:
        """Count them; nothing after the end may be among them."""
        for event in events:
            match event:
                case CallQueued(entry=1):
                    self._queue_of[event.call_id] = (event.tenant_id, event.queue_id)
                    if event.occurred_at >= self._start:
                        self._count(event.call_id, "offered")
                case CallAnswered() if self._counts_here(event, event.answered_at):
                    since_queued = event.total_wait_seconds + event.away_seconds
                    self._count(event.call_id, "answered")
                    self._count(event.call_id, "waited", event.total_wait_seconds)
                    self._count(event.call_id, "within", since_queued <= event.service_level_seconds)
                case CallAbandoned() if self._counts_here(event, event.abandoned_at):
                    if event.machine:
                        self._count(event.call_id, "offered", -1)
                    elif event.reason in CALLBACK_ENDS:
                        self._count(event.call_id, "not_called_back")
                    elif event.reason in ("overflow", "closed"):
                        self._count(event.call_id, "turned_away")
                    else:
                        self._count(event.call_id, "short_abandoned" if event.short else "abandoned")
                case AgentLoggedIn() | AgentStateChanged() | AgentLoggedOut():
                    self._follow(event)
                case _:
                    pass
        return self

    def _counts_here(self, event: CallAnswered | CallAbandoned, at: datetime) -> bool:
        """Calls that were there before the beginning are not counted."""
        since_queued = event.total_wait_seconds + event.away_seconds
        return event.call_id in self._queue_of and at.timestamp() - since_queued >= self._start.timestamp() - 1e-3

    def _count(self, call_id: str, name: str, much: float = 1) -> None:
        counts = self._counts.setdefault(self._queue_of[call_id], {})
        counts[name] = counts.get(name, 0) + much

    def _follow(self, event: AgentEvent) -> None:
        state = "logged_out" if isinstance(event, AgentLoggedOut) else str(getattr(event, "state", ""))
        call_id = getattr(event, "call_id", None)
        calls = tuple(one.call_id for one in getattr(event, "calls", ()) if not one.paused)
        self._close(event.agent_id, event.occurred_at)
        self._agents[event.agent_id] = (state, event.occurred_at, calls or (call_id or "",))

    def _close(self, agent_id: str, at: datetime) -> None:
        state, since, calls = self._agents.get(agent_id, ("logged_out", at, ()))
        spent = (min(at, self._end) - max(since, self._start)).total_seconds()
        if spent <= 0:
            return
        if state == "available":
            self._available += spent
        elif state in HANDLING:
            for call_id in calls:
                key = self._queue_of.get(call_id, ("", ""))
                self._handling[key] = self._handling.get(key, 0.0) + spent / len(calls)

    def figures(self) -> dict[tuple[str | None, str | None], Figures]:
        """By (tenant, queue); (tenant, None) is the tenant, (None, None) the pool. Closes the count."""
        for agent_id in list(self._agents):
            self._close(agent_id, self._end)
            self._agents[agent_id] = ("logged_out", self._end, ())
        total: dict[tuple[str | None, str | None], dict[str, float]] = {(None, None): {}}
        for key in sorted({*self._counts, *self._handling} - {("", "")}):
            counts = {**self._counts.get(key, {}), "handling": self._handling.get(key, 0.0)}
            for place in (key, (key[0], None), (None, None)):
                into = total.setdefault(place, {})
                for name, much in counts.items():
                    into[name] = into.get(name, 0) + much
        time = self._available + sum(self._handling.values())
        return {place: _figures(counts, time) for place, counts in total.items()}


def _figures(counts: dict[str, float], time: float) -> Figures:
    offered, answered, short = (int(counts.get(name, 0)) for name in ("offered", "answered", "short_abandoned"))
    abandoned, counted = int(counts.get("abandoned", 0)), offered - short
    return Figures(
        offered=offered,
        answered=answered,
        abandoned=abandoned,
        short_abandoned=short,
        turned_away=int(counts.get("turned_away", 0)),
        not_called_back=int(counts.get("not_called_back", 0)),
        service_level=counts.get("within", 0) / counted if counted else None,
        abandonment=abandoned / counted if counted else None,
        asa_seconds=counts.get("waited", 0.0) / answered if answered else None,
        occupancy=counts.get("handling", 0.0) / time if time else None,
    )


def compare(recorded: Tally, baseline: Tally, changed: Tally) -> list[Line]:
    """The pool first, then each tenant with its queues."""
    three = [tally.figures() for tally in (recorded, baseline, changed)]
    nothing = _figures({}, 0.0)
    places = sorted({place for figures in three for place in figures}, key=lambda one: (one[0] or "", one[1] or ""))
    lines = []
    for tenant_id, queue_id in places:
        was, before, after = (figures.get((tenant_id, queue_id), nothing) for figures in three)
        old, new = msgspec.structs.asdict(before), msgspec.structs.asdict(after)
        difference = {name: None if old[name] is None or new[name] is None else new[name] - old[name] for name in old}
        lines.append(
            Line(
                tenant_id=tenant_id,
                queue_id=queue_id,
                recorded=was,
                baseline=before,
                changed=after,
                difference=difference,
            )
        )
    return lines
