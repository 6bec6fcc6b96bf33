"""The figures of calls, each defined once: what is divided by what, what is left out, and where the definition is from.

The definitions are data. The same record computes a figure, is shown beside it by the API, and is what the tests check
against examples counted by hand. Durations are counted in milliseconds and shown in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from kpi.domain.counts import CallCounts
from kpi.domain.sketch import RELATIVE_ACCURACY, quantile

Unit = Literal["calls", "ratio", "seconds"]
ServiceLevelFormula = Literal[
    "of_offered", "of_answered", "of_answered_and_abandoned", "of_answered_and_abandoned_less_short"
]
DEFAULT_SERVICE_LEVEL: ServiceLevelFormula = "of_offered"

Terms = tuple[str, ...]
"""Columns of CallCounts to add up; one with a leading minus is subtracted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A count (no denominator) or a quotient of counts. A quotient by zero has no value."""

    name: str
    title: str
    unit: Unit
    numerator: Terms
    denominator: Terms = ()
    exclusions: str
    source: str

    @property
    def formula(self) -> str:
        """The formula as people write it."""
        return f"{_shown(self.numerator)} / {_shown(self.denominator)}" if self.denominator else _shown(self.numerator)

    def value(self, counts: CallCounts, waits: Mapping[int, int]) -> float | None:
        """The figure of `counts`; `waits` is their sketch."""
        value: float = _sum(self.numerator, counts)
        if self.denominator:
            denominator = _sum(self.denominator, counts)
            if denominator <= 0:
                return None
            value /= denominator
        return value / 1000 if self.unit == "seconds" else value


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantileFigure:
    """A quantile of the waits of all calls that left the queue, from a sketch."""

    name: str
    title: str
    q: float
    unit: Unit = "seconds"
    exclusions: str = f"calls still waiting; within {RELATIVE_ACCURACY:.0%} of the exact lower quantile"
    source: str = "quantiles of the wait of all offered calls; DDSketch (Masson, Rim, Lee, VLDB 2019)"

    @property
    def formula(self) -> str:
        """The formula as people write it."""
        return f"{self.q:.0%} quantile of the wait of answered, abandoned, overflowed_out and not_called_back"

    def value(self, counts: CallCounts, waits: Mapping[int, int]) -> float | None:
        """Seconds, or None when no call has left the queue."""
        value = quantile(waits, self.q)
        return None if value is None else min(value, float(counts.max_wait_ms)) / 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class LongestFigure:
    """The longest wait that is over, exact."""

    name: str = "longest_wait_seconds"
    title: str = "Longest wait"
    unit: Unit = "seconds"
    exclusions: str = "calls still waiting (the live view has those)"
    source: str = "maximum of the wait of all offered calls"

    @property
    def formula(self) -> str:
        """The formula as people write it."""
        return "maximum of the wait of answered, abandoned, overflowed_out and not_called_back"

    def value(self, counts: CallCounts, waits: Mapping[int, int]) -> float | None:
        """Seconds, or None when no call has left the queue."""
        return counts.max_wait_ms / 1000 if counts.waiting < counts.offered else None


AnyFigure = Figure | QuantileFigure | LongestFigure


def _sum(terms: Terms, counts: CallCounts) -> int:
    return sum(-getattr(counts, term[1:]) if term[0] == "-" else getattr(counts, term) for term in terms)


def _shown(terms: Terms) -> str:
    text = terms[0] + "".join(f" − {term[1:]}" if term[0] == "-" else f" + {term}" for term in terms[1:])
    return f"({text})" if len(terms) > 1 else text


OFFERED = Figure(
    name="offered",
    title="Calls offered",
    unit="calls",
    numerator=("offered",),
    exclusions="calls that never entered a queue; a tenant counts a call once, in its first queue, and not again where "
    "agents hand its caller on",
    source="calls that entered the queue",
)
OFFERED_LESS_SHORT = Figure(
    name="offered_less_short",
    title="Calls offered less short abandons",
    unit="calls",
    numerator=("offered", "-short_abandoned"),
    exclusions="short abandons",
    source="the denominator of the rates; some tenants read it as offered",
)
ANSWERED = Figure(
    name="answered",
    title="Calls answered",
    unit="calls",
    numerator=("answered",),
    exclusions="offers to agents that were missed",
    source="offered calls that reached an agent",
)
NOT_CALLED_BACK = Figure(
    name="not_called_back",
    title="Callers not called back",
    unit="calls",
    numerator=("not_called_back",),
    exclusions="callers who were reached: they are answered, or abandoned if they gave up after that",
    source="hung up to be called back; not reached, cancelled, or called again themselves",
)
MACHINES = Figure(
    name="machines",
    title="Dials that an answering machine took",
    unit="calls",
    numerator=("machines",),
    exclusions="machines that the PBX recognised before it handed the call over, or only while an agent spoke",
    source="offered calls that were withdrawn; neither answered nor abandoned",
)
ABANDONED = Figure(
    name="abandoned",
    title="Calls abandoned",
    unit="calls",
    numerator=("abandoned",),
    exclusions="callers who hung up to be called back; short abandons are counted",
    source="the call ended while waiting",
)
SHORT_ABANDONED = Figure(
    name="short_abandoned",
    title="Short abandons",
    unit="calls",
    numerator=("short_abandoned",),
    exclusions="abandons at or after the queue's short-abandon threshold",
    source="abandoned before the queue's threshold (default 5 s)",
)
TURNED_AWAY = Figure(
    name="turned_away",
    title="Calls turned away",
    unit="calls",
    numerator=("turned_away",),
    exclusions="calls that hung up by themselves; those of a closed queue are in no other figure",
    source="told a message at a closed queue, or by an overflow rule",
)
REDIRECTED = Figure(
    name="redirected",
    title="Calls sent to a number outside",
    unit="calls",
    numerator=("redirected",),
    exclusions="transfers by an agent; those that never entered the queue are in no other figure",
    source="by a split or an overflow rule; those that had entered are in offered, and neither answered nor abandoned",
)
ABANDONMENT_RATE = Figure(
    name="abandonment_rate",
    title="Abandonment rate",
    unit="ratio",
    numerator=("abandoned", "-short_abandoned"),
    denominator=("offered", "-short_abandoned"),
    exclusions="short abandons, above and below",
    source="lost-call rate",
)
ASA = Figure(
    name="asa_seconds",
    title="Average speed of answer",
    unit="seconds",
    numerator=("wait_answered_ms",),
    denominator=("answered",),
    exclusions="calls that were not answered; the wait starts at queue entry, after any voice menu; of a caller who "
    "was called back the time that they were not on the line",
    source="sum of the waits of answered calls / answered",
)
AHT = Figure(
    name="aht_seconds",
    title="Average handle time",
    unit="seconds",
    numerator=("talk_ms", "wrap_up_ms"),
    denominator=("handled",),
    exclusions="answered calls whose wrap-up is not done yet; once all are, handled = answered",
    source="sum of talk (with holds) and wrap-up, without interruptions by other calls of the agent, / answered; "
    "of calls that an agent has at once each counts its own time; of a caller whom agents hand on, each queue counts "
    "its agent's part and the tenant all parts, with the first call",
)
LONGEST_WAIT = LongestFigure()
WAIT_P50 = QuantileFigure(name="wait_p50_seconds", title="Median wait", q=0.50)
WAIT_P90 = QuantileFigure(name="wait_p90_seconds", title="Wait, 90 % quantile", q=0.90)
WAIT_P99 = QuantileFigure(name="wait_p99_seconds", title="Wait, 99 % quantile", q=0.99)


def _service_level(numerator: Terms, denominator: Terms, exclusions: str, source: str) -> Figure:
    return Figure(
        name="service_level",
        title="Service level X/T",
        unit="ratio",
        numerator=numerator,
        denominator=denominator,
        exclusions=exclusions,
        source=source,
    )


SERVICE_LEVELS: dict[ServiceLevelFormula, Figure] = {
    "of_offered": _service_level(
        ("answered_within",),
        ("offered", "-short_abandoned"),
        "short abandons",
        "answered within T / (offered − short)",
    ),
    "of_answered": _service_level(
        ("answered_within",), ("answered",), "all calls that were not answered", "Asterisk SL, Wazo"
    ),
    "of_answered_and_abandoned": _service_level(
        ("answered_within", "abandoned_within"),
        ("answered", "abandoned"),
        "calls still waiting or overflowed; short abandons are not excluded",
        "Asterisk SL2",
    ),
    "of_answered_and_abandoned_less_short": _service_level(
        ("answered_within",),
        ("answered", "abandoned", "-short_abandoned"),
        "short abandons, calls still waiting or overflowed",
        "Genesys default shape",
    ),
}
"""A tenant chooses one; `DEFAULT_SERVICE_LEVEL` where it does not."""

RATES_AND_TIMES: tuple[AnyFigure, ...] = (
    OFFERED_LESS_SHORT,
    ABANDONMENT_RATE,
    ASA,
    AHT,
    WAIT_P50,
    WAIT_P90,
    WAIT_P99,
    LONGEST_WAIT,
)
"""What is shown beside the counts, with the tenant's service level."""

DEFINED: tuple[AnyFigure, ...] = (
    OFFERED,
    ANSWERED,
    ABANDONED,
    SHORT_ABANDONED,
    TURNED_AWAY,
    REDIRECTED,
    NOT_CALLED_BACK,
    MACHINES,
    *RATES_AND_TIMES,
)
"""Every figure but the service level, which has one definition per formula."""


def evaluate(counts: CallCounts, waits: Mapping[int, int], formula: ServiceLevelFormula) -> dict[str, float | None]:
    """Every rate and time of the counts by name, with the service level by the tenant's formula."""
    figures: tuple[AnyFigure, ...] = (SERVICE_LEVELS[formula], *RATES_AND_TIMES)
    return {figure.name: figure.value(counts, waits) for figure in figures}
