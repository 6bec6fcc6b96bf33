"""The live terminal view: queues, agents, service level, campaigns, cases, money, lag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from plateau.simulator import Counters

QUEUE_COLUMNS: Final = (
    "queue", "waiting", "longest wait", "talking", "agents free", "service level", "offered", "answered", "abandoned",
)  # fmt: skip
AGENT_COLUMNS: Final = ("available", "offered", "busy", "wrap_up", "break")


@dataclass(slots=True)
class Figures:
    """What is shown. Filled anew every second; what could not be read keeps its last value."""

    simulated: str = ""
    live: Mapping[str, Any] = field(default_factory=dict)
    campaigns: Sequence[Mapping[str, Any]] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    amounts: Mapping[str, Decimal] = field(default_factory=dict)
    lag: Mapping[str, int] = field(default_factory=dict)
    trouble: str = ""

    def count(self, name: str) -> int:
        return self.counts.get(name, 0)


def money(amounts: Mapping[str, Decimal]) -> str:
    """`12.30 EUR`, or several joined; `0.00` when nothing was charged."""
    return ", ".join(f"{amount} {currency}" for currency, amount in sorted(amounts.items())) or "0.00"


def percent(value: float | None) -> str:
    return "–" if value is None else f"{value * 100:.0f} %"


def screen(figures: Figures, counters: Counters, urls: Mapping[str, str]) -> RenderableType:
    """Everything on one screen."""
    return Group(
        Panel(_headline(figures, counters), title=f"Plateau · simulated time {figures.simulated}", title_align="left"),
        _queues(figures),
        _bottom(figures, counters),
        Text("  ".join(f"{service}: {url}/docs" for service, url in urls.items()), style="dim"),
        Text(figures.trouble or "Ctrl-C ends it", style="red" if figures.trouble else "dim"),
    )


def _headline(figures: Figures, counters: Counters) -> Text:
    text = Text()
    for label, value, style in (
        ("offered", str(figures.count("calls_offered")), "bold"),
        ("answered", str(figures.count("calls_answered")), "bold green"),
        ("abandoned", str(figures.count("calls_abandoned")), "bold yellow"),
        ("cases closed", str(figures.count("cases_closed")), "bold cyan"),
        ("charges", str(figures.count("charges") - figures.count("reversals")), "bold"),
        ("billed", money(figures.amounts), "bold magenta"),
    ):
        text.append(f"{label} ")
        text.append(value, style)
        text.append("   ")
    return text


def _queues(figures: Figures) -> Table:
    table = Table(title="Queues (service level: last 30 minutes)", title_justify="left", expand=True)
    for name in QUEUE_COLUMNS:
        table.add_column(name, justify="left" if name == "queue" else "right")
    for queue in figures.live.get("queues", []):
        level, agents = queue["service_level"], queue.get("agents") or {}
        style = "" if level is None or level >= 0.8 else "yellow" if level >= 0.6 else "red"
        table.add_row(
            queue["queue_id"],
            str(queue["waiting"]),
            f"{queue['longest_wait_seconds']:.0f} s",
            str(queue["talking"]),
            f"{agents.get('available', 0)} of {sum(agents.values())}",
            Text(percent(level), style),
            str(queue["offered"]),
            str(queue["answered"]),
            str(queue["abandoned"]),
        )
    return table


def _bottom(figures: Figures, counters: Counters) -> Table:
    grid = Table.grid(expand=True, padding=(0, 2))
    for _ in range(3):
        grid.add_column(ratio=1)
    grid.add_row(_agents(figures), _campaigns(figures, counters), _lag(figures))
    return grid


def _agents(figures: Figures) -> Table:
    table = Table(title="Agents", title_justify="left", expand=True)
    table.add_column("state")
    table.add_column("agents", justify="right")
    agents = figures.live.get("agents") or {}
    for state in AGENT_COLUMNS:
        table.add_row(state, str(agents.get(state, 0)))
    return table


def _campaigns(figures: Figures, counters: Counters) -> Table:
    table = Table(title="Campaigns", title_justify="left", expand=True)
    table.add_column("campaign")
    table.add_column("state", justify="right")
    for campaign in figures.campaigns:
        table.add_row(str(campaign.get("id") or campaign.get("campaign_id")), str(campaign.get("state", "")))
    for outcome, count in sorted(counters.dials.items()):
        table.add_row(f"  dials: {outcome}", str(count))
    return table


def _lag(figures: Figures) -> Table:
    table = Table(title="Consumer lag", title_justify="left", expand=True)
    table.add_column("group")
    table.add_column("records", justify="right")
    for group, behind in figures.lag.items():
        table.add_row(group, str(behind))
    return table


def line(figures: Figures, elapsed: float) -> str:
    """One line for a terminal that is none."""
    agents = figures.live.get("agents") or {}
    waiting = sum(queue["waiting"] for queue in figures.live.get("queues", []))
    levels = [queue["service_level"] for queue in figures.live.get("queues", []) if queue["service_level"] is not None]
    level = percent(sum(levels) / len(levels)) if levels else "–"
    return (
        f"{elapsed:5.0f} s | {figures.simulated} | offered {figures.count('calls_offered')}, "
        f"answered {figures.count('calls_answered')}, abandoned {figures.count('calls_abandoned')}, "
        f"waiting {waiting} | "
        f"agents busy {agents.get('busy', 0)}, available {agents.get('available', 0)} | mean service level {level} | "
        f"cases closed {figures.count('cases_closed')} | billed {money(figures.amounts)} | "
        f"lag {sum(figures.lag.values())}" + (f" | {figures.trouble}" if figures.trouble else "")
    )


def summary(
    counts: Mapping[str, int], amounts: Mapping[str, Decimal], counters: Counters, violations: Sequence[str]
) -> Table:
    """The table at the end."""
    table = Table(title="Summary of this run", title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for label, value in (
        ("calls offered", counts.get("calls_offered", 0)),
        ("calls answered", counts.get("calls_answered", 0)),
        ("calls abandoned", counts.get("calls_abandoned", 0)),
        ("dials", sum(counters.dials.values())),
        ("cases opened", counts.get("cases_opened", 0)),
        ("cases closed", counts.get("cases_closed", 0)),
        ("cases reopened", counts.get("cases_reopened", 0)),
        ("charges", counts.get("charges", 0)),
        ("reversals", counts.get("reversals", 0)),
        ("amount, net", money(amounts)),
        ("invariant violations", len(violations)),
    ):
        table.add_row(label, str(value))
    return table
