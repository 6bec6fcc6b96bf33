"""What the routes and tasks of one dialer process share."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

from dialer.domain.attempt import Patience


class Signal:
    """Wakes everyone who waits. Take a ticket before looking whether there is work: then no wake-up is missed."""

    def __init__(self) -> None:
        self._raised = asyncio.Event()

    def ticket(self) -> asyncio.Event:
        """Set once the signal is raised after this moment."""
        return self._raised

    def set(self) -> None:
        """Wake all who hold a ticket."""
        raised, self._raised = self._raised, asyncio.Event()
        raised.set()


async def wait(ticket: asyncio.Event, seconds: float) -> None:
    """Return when the ticket is called, or after so many real seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await ticket.wait()


@dataclass(frozen=True, slots=True)
class State:
    """`dials`: the PBX is told something new; `routing`: there is something to tell routing."""

    patience: Patience
    import_max_bytes: int
    dials: Signal = field(default_factory=Signal)
    routing: Signal = field(default_factory=Signal)

    def wake(self, what: str) -> None:
        """A notification of the database, by its payload."""
        (self.routing if what == "routing" else self.dials).set()
