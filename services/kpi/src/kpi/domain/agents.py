"""Figures of agents' time: what counts as handling, as available, as logged in."""

from __future__ import annotations

from dataclasses import dataclass

from kpi.domain.counts import AgentTime

HANDLING = ("busy_ms", "wrap_up_ms")
AVAILABLE = ("available_ms", "offered_ms")
"""An agent who is asked but has not accepted is still available: handling starts at accepting."""
ALL_AGENTS = ""
"""The agent id of the rows that add up the handling time spent on one tenant's calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeFigure:
    """A quotient of times by agent state."""

    name: str
    title: str
    numerator: tuple[str, ...]
    denominator: tuple[str, ...]
    exclusions: str
    source: str
    unit: str = "ratio"

    @property
    def formula(self) -> str:
        """The formula as people write it."""
        return f"({' + '.join(self.numerator)}) / ({' + '.join(self.denominator)})"

    def value(self, time: AgentTime) -> float | None:
        """The quotient of the times; None where the denominator is nothing."""
        below: int = sum(getattr(time, column) for column in self.denominator)
        above: int = sum(getattr(time, column) for column in self.numerator)
        return above / below if below else None


OCCUPANCY = TimeFigure(
    name="occupancy",
    title="Occupancy",
    numerator=HANDLING,
    denominator=(*HANDLING, *AVAILABLE),
    exclusions="breaks, above and below",
    source="handling time / (handling + available time); the time with several calls at once counts once",
)
UTILISATION = TimeFigure(
    name="utilisation",
    title="Utilisation",
    numerator=HANDLING,
    denominator=(*HANDLING, *AVAILABLE, "break_ms"),
    exclusions="none of the time logged in",
    source="handling time / logged-in time",
)
TIME_FIGURES = (OCCUPANCY, UTILISATION)
