"""What the simulator has done: its own view, to be compared with the services'."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """Counts since the simulator was made."""

    offered: int = 0
    """Inbound calls that routing took."""
    answered: int = 0
    """Calls bridged with an agent, outbound ones too."""
    hung_up: int = 0
    """Callers who lost patience."""
    limit_passed: int = 0
    """Calls that routing released because nobody was free in time."""
    ended: int = 0
    wrapped_up: int = 0
    settled: int = 0
    """Wrap-ups with a closing disposition."""
    missed: int = 0
    """Offers overlooked or declined."""
    dials: Counter[str] = field(default_factory=Counter)
    """Dials by outcome."""
    callbacks: Counter[str] = field(default_factory=Counter)
    """How often a phone rang for each attempt to call a caller back, by `dial_id`: once."""
    adopted: int = 0
    """Calls found in progress at the start, or after a broken stream."""

    @property
    def unanswered(self) -> int:
        return self.hung_up + self.limit_passed
