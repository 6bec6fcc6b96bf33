"""What is counted, per key: plain sums (and one maximum), so that increments commute and may come in any order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import TypeVar

WHOLE_TENANT = ""
"""The queue id of the rows that count a tenant's calls once, through whatever queues they went and agents handed them
on."""


@dataclass(slots=True)
class CallCounts:
    """Calls of one queue (or tenant) offered in one interval. Durations are milliseconds."""

    offered: int = 0
    """Calls that entered the queue."""
    answered: int = 0
    abandoned: int = 0
    """All of them, the short ones too."""
    short_abandoned: int = 0
    overflowed_out: int = 0
    """Left unanswered for another queue or a number outside; of a tenant: for a number outside."""
    turned_away: int = 0
    """Told a message instead of being answered: at a closed queue, which they never entered, or by an overflow rule
    after they had; the latter are abandoned, too."""
    redirected: int = 0
    """Sent to a number outside: by a split or at a closed queue, which they never entered, or after they had; the
    latter are overflowed_out, too."""
    not_called_back: int = 0
    """Callers who hung up to be called back, and were not reached, or whose callback was cancelled: not abandoned."""
    machines: int = 0
    """Dials that an answering machine had taken, withdrawn before an agent spoke: not abandoned."""
    answered_within: int = 0
    """Answered within the queue's service-level threshold T, from queue entry: also of callers who were called back."""
    abandoned_within: int = 0
    """Abandoned within T, the short ones too."""
    wait_answered_ms: int = 0
    """Sum of the waits of the answered calls, from queue entry: while the caller was on the line."""
    handled: int = 0
    """Answered calls whose wrap-up is done: their handling time is known."""
    talk_ms: int = 0
    """Of the handled calls; of a tenant also of the agents to whom their callers were handed on."""
    wrap_up_ms: int = 0
    """As `talk_ms`."""
    max_wait_ms: int = 0
    """Longest wait that is over: of an answered, abandoned or overflowed call."""

    @property
    def waiting(self) -> int:
        """Offered calls that have not left the queue yet, callers who are to be called back included."""
        left = self.answered + self.abandoned + self.overflowed_out + self.not_called_back + self.machines
        return self.offered - left


@dataclass(slots=True)
class AgentTime:
    """Milliseconds that one agent spent in each state in one interval."""

    available_ms: int = 0
    offered_ms: int = 0
    """A call rang at the agent."""
    busy_ms: int = 0
    wrap_up_ms: int = 0
    break_ms: int = 0


@dataclass(slots=True)
class CaseCounts:
    """Cases by the queue of the call that opened them, by what happened in one interval."""

    opened: int = 0
    calls_linked: int = 0
    """Later calls attached to an open case. A caller whom agents handed on counts once, as in `closed_calls`."""
    closed: int = 0
    """Closings: a case that is closed again after a reopening counts again."""
    reopened: int = 0
    closed_calls: int = 0
    """Calls of the closed cases, at their closing."""
    open_ms: int = 0
    """From opening to closing, of the closed cases."""


@dataclass(slots=True)
class ChargeCounts:
    """Money of one currency by the interval in which the charge was recorded or reversed."""

    charges: int = 0
    reversals: int = 0
    amount: Decimal = Decimal(0)
    """Charges less reversals."""


@dataclass(slots=True)
class DialingCounts:
    """Attempts of one campaign by the interval in which the dial started, with how they ended."""

    attempts: int = 0
    answered: int = 0
    """A human answered and spoke with an agent."""
    abandoned: int = 0
    """A human answered and no agent was there within the limit."""
    busy: int = 0
    no_answer: int = 0
    failed: int = 0
    machine: int = 0
    refused: int = 0
    ring_ms: int = 0


C = TypeVar("C", CallCounts, AgentTime, CaseCounts, ChargeCounts, DialingCounts)

MAXIMA = frozenset({"max_wait_ms"})
"""Columns of which the greater is kept; all others are added up."""


def total(into: C, counts: Iterable[C]) -> C:
    """Adds up `counts` in `into`, which is returned."""
    for one in counts:
        for column in fields(into):
            name = column.name
            if name in MAXIMA:
                setattr(into, name, max(getattr(into, name), getattr(one, name)))
            else:
                setattr(into, name, getattr(into, name) + getattr(one, name))
    return into
