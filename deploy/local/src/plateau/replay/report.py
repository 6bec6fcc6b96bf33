"""Per day and service type: KPI's figures, the recount of the event log, and what the file says happened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from operator import attrgetter
from typing import Any, Final
from zoneinfo import ZoneInfo

from kpi.domain.recount import Recount
from rich.table import Table

from plateau.replay.calls import PastCall
from plateau.replay.plan import SERVICE_LEVEL_SECONDS, SHORT_ABANDON_SECONDS

Cell = tuple[date, str]
"""Day in the tenant's time zone, service type."""
ALL: Final = "all"
KINDS: Final = (ALL, "privileged", "others")
"""Of callers, where policies differ."""


@dataclass(slots=True)
class Figures:
    """Counts of calls, and the figures made of them as `facts` of KPI define them (service level of offered)."""

    offered: int = 0
    answered: int = 0
    abandoned: int = 0
    short: int = 0
    within: int = 0
    wait_seconds: float = 0.0

    def add(self, other: Figures) -> None:
        self.offered += other.offered
        self.answered += other.answered
        self.abandoned += other.abandoned
        self.short += other.short
        self.within += other.within
        self.wait_seconds += other.wait_seconds

    @property
    def service_level(self) -> float | None:
        """Answered within the threshold / (offered − short abandons)."""
        counted = self.offered - self.short
        return self.within / counted if counted else None

    @property
    def asa_seconds(self) -> float | None:
        """Average speed of answer."""
        return self.wait_seconds / self.answered if self.answered else None

    @property
    def abandonment(self) -> float | None:
        """Abandoned of offered, short ones too."""
        return self.abandoned / self.offered if self.offered else None

    def cells(self) -> list[str]:
        """As shown: offered, answered, abandoned, service level, ASA."""
        level, asa = self.service_level, self.asa_seconds
        return [
            str(self.offered),
            str(self.answered),
            str(self.abandoned),
            "–" if level is None else f"{level:.1%}",
            "–" if asa is None else f"{asa:.1f}",
        ]


Grid = dict[Cell, Figures]


def of_kpi(rows: Iterable[Mapping[str, Any]], queue_types: Mapping[str, str]) -> Grid:
    """From KPI's rows of queues (`step=1d`, or any step that does not cross midnight of the tenant)."""
    grid: Grid = {}
    for row in rows:
        service_type = queue_types.get(row["queue_id"])
        if service_type is None:
            continue
        figures = Figures(
            offered=row["offered"],
            answered=row["answered"],
            abandoned=row["abandoned"],
            short=row["short_abandoned"],
            within=row["answered_within"],
            wait_seconds=row["wait_answered_seconds"],
        )
        _add(grid, (datetime.fromisoformat(row["start"]).date(), service_type), figures)
    return grid


def of_recount(recount: Recount, queue_types: Mapping[str, str], zone: ZoneInfo) -> Grid:
    """From the recount's intervals of queues."""
    grid: Grid = {}
    for (_, queue_id, start), expected in recount.intervals.items():
        service_type = queue_types.get(queue_id or "")
        if service_type is None:
            continue
        figures = Figures(
            offered=expected.offered,
            answered=expected.answered,
            abandoned=expected.abandoned,
            short=expected.short_abandoned,
            within=expected.answered_within,
            wait_seconds=expected.wait_answered_ms / 1000,
        )
        _add(grid, (start.astimezone(zone).date(), service_type), figures)
    return grid


def of_file(calls: Iterable[PastCall], kind_of: Callable[[PastCall], str] = attrgetter("service_type")) -> Grid:
    """What happened then, by the same definitions."""
    grid: Grid = {}
    for call in calls:
        figures = Figures(
            offered=1,
            answered=int(call.answered),
            abandoned=int(not call.answered),
            short=int(not call.answered and call.wait_seconds < SHORT_ABANDON_SECONDS),
            within=int(call.answered and call.wait_seconds <= SERVICE_LEVEL_SECONDS),
            wait_seconds=call.wait_seconds if call.answered else 0.0,
        )
        _add(grid, (call.arrival.date(), kind_of(call)), figures)
    return grid


def _add(grid: Grid, cell: Cell, figures: Figures) -> None:
    grid.setdefault(cell, Figures()).add(figures)
    if cell[1] != ALL:
        _add(grid, (cell[0], ALL), figures)


def table(kpi: Grid, recounted: Grid, past: Grid) -> Table:
    """All three side by side."""
    shown = Table(title="offered / answered / abandoned / answered within 20 s / average speed of answer (s)")
    shown.add_column("day", no_wrap=True, min_width=10)
    shown.add_column("type")
    for source in ("KPI", "recount", "the file"):
        for figure in ("off", "ans", "abn", "SL", "ASA"):
            shown.add_column(f"{source}\n{figure}", justify="right")
    empty: Callable[[], Figures] = Figures
    last: date | None = None
    for day, service_type in sorted({*kpi, *recounted, *past}, key=lambda cell: (cell[0], cell[1] == ALL, cell[1])):
        cell = (day, service_type)
        columns = [cells for grid in (kpi, recounted, past) for cells in grid.get(cell, empty()).cells()]
        shown.add_row(
            "" if day == last else day.isoformat(),
            service_type,
            *columns,
            style="bold" if service_type == ALL else None,
            end_section=service_type == ALL,
        )
        last = day
    return shown


def policies(played: Mapping[str, Grid], past: Grid) -> Table:
    """Policy by policy beside the file: all callers, privileged ones, the others; over all days."""
    shown = Table(title="abandoned of offered / answered within 20 s / average speed of answer (s), policy by policy")
    shown.add_column("policy")
    for kind in KINDS:
        for figure in ("off", "abn", "SL", "ASA"):
            shown.add_column(f"{kind}\n{figure}", justify="right")
    for name, grid in {**played, "the file": past}.items():
        cells = []
        for kind in KINDS:
            figures = Figures()
            for (_, of), found in grid.items():
                if of == kind:
                    figures.add(found)
            offered, _, _, level, asa = figures.cells()
            cells += [offered, "–" if figures.abandonment is None else f"{figures.abandonment:.1%}", level, asa]
        shown.add_row(name, *cells, style="bold" if name == "the file" else None)
    return shown
