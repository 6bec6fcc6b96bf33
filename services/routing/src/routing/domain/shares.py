"""What the floor's operator has declared about a tenant's share of a pool's agents."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec
from common.hours import Hours, is_open, next_change

BurstState = Literal["on", "off"]


class Positions(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of agents. An agent serves a tenant from the ring of its call to the end of the wrap-up."""

    reserved_positions: int = 0
    """So many agents serve the tenant or are kept available for it, as long as so many are there who may serve it."""
    guaranteed_positions: int = 0
    """While calls of the tenant wait and fewer agents serve it, an agent who comes free takes its calls first. Nobody
    is kept idle for it."""
    most_positions: int | None = None
    """Never do more agents serve it at once."""


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant's share of a pool. `version` grows with every change: an older one never replaces a newer one. One that
    says nothing stands for a share that was taken away."""

    tenant_id: str
    time_zone: str
    version: int
    usual: Positions = Positions()
    burst: Positions | None = None
    """In the place of `usual` while it is switched on."""
    burst_hours: Hours | None = None
    """When it is on by itself; None: never."""
    burst_override: BurstState | None = None
    """Said by an operator, against the hours."""
    release_after_seconds: float | None = None
    """Another tenant's call that has waited this long, over all its queues, may take a reserved agent all the same;
    None: never."""

    def bursts_at(self, at: datetime) -> bool:
        """Whether the burst is on: as an operator said, else by its hours."""
        if self.burst is None:
            return False
        if self.burst_override is not None:
            return self.burst_override == "on"
        return self.burst_hours is not None and is_open(self.burst_hours, self.time_zone, at)

    def positions_at(self, at: datetime) -> Positions:
        """The figures in force."""
        return self.burst if self.burst is not None and self.bursts_at(at) else self.usual

    def changes_after(self, at: datetime) -> datetime | None:
        """When the burst is next switched by its hours; None: never, as things stand."""
        if self.burst is None or self.burst_override is not None or self.burst_hours is None:
            return None
        return next_change(self.burst_hours, self.time_zone, at)

    @property
    def says_something(self) -> bool:
        return self.usual != Positions() or (self.burst is not None and self.burst != Positions())


def faults(usual: Positions, burst: Positions | None) -> list[tuple[str, str]]:
    """What cannot be, as (place, reason)."""
    wrong = [*_faults("", usual), *_faults("burst.", burst or Positions())]
    if usual == Positions() and burst in (None, Positions()):
        wrong.append(("reserved_positions", "nothing is reserved, guaranteed or limited: such a share says nothing"))
    return wrong


def _faults(prefix: str, positions: Positions) -> list[tuple[str, str]]:
    most = positions.most_positions
    if most is None:
        return []
    return [
        (f"{prefix}{name}", f"is more than most_positions, {most}")
        for name in ("reserved_positions", "guaranteed_positions")
        if getattr(positions, name) > most
    ]
