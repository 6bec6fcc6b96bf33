"""A queue as its pool holds it: rules, hours, and the rings of its waiting calls."""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

from routing.domain.calls import Call, order_of_service
from routing.domain.configuration import Queue
from routing.domain.groups import Rule

WaitingKey: TypeAlias = tuple[float, str]
"""Order of service, then id."""


class Ring:
    """One ring of a queue: the bin of the calls that have reached it, the rule that says who may serve them."""

    __slots__ = ("number", "rule")

    def __init__(self, number: int, rule: Rule) -> None:
        self.number = number
        self.rule = rule


Skills: TypeAlias = tuple[str, ...]
"""What a call asks for beside its queue's requirement."""


class QueueSlot:
    """A queue's rules and its rings: those of its own requirement (no skills), and those of calls that ask for more."""

    __slots__ = ("changes_at", "covering", "is_open", "numbers", "queue", "rings")

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.rings: dict[Skills, list[Ring]] = {(): []}
        self.numbers: dict[Skills, list[int]] = {(): []}
        """Bins that were opened for rings, also for those that have gone since: they are used again."""
        self.is_open = True
        self.changes_at: datetime | None = None
        self.covering: tuple[str, ...] | None = None
        """The sites that serve it now; None: every site."""

    def follow_hours(self, at: datetime) -> None:
        """Whether it is open at that time by its hours, who covers it, and until when."""
        self.is_open = self.queue.is_open_at(at)
        self.covering = self.queue.covering_at(at) if self.queue.cover else None
        self.changes_at = self.queue.next_change(at)

    def key(self, call: Call) -> WaitingKey:
        """Its place in the order of service."""
        return order_of_service(call, self.queue)

    @property
    def bins(self) -> list[int]:
        """The bins of all its rings."""
        return [ring.number for rings in self.rings.values() for ring in rings]
