"""What is to be looked at again when agents come or go: queues with a rule for when nobody is logged in, calls that an
agent has handed on."""

from __future__ import annotations

from routing.domain.call_states import HeldPlace, Queued
from routing.domain.calls import Call
from routing.domain.configuration import NobodyLoggedIn, Queue


class Staff:
    """Of one pool. In one without such queues and calls it costs nothing."""

    def __init__(self) -> None:
        self.changed = False
        """Whether agents, or who may serve what, may have changed since `look`."""
        self._watched: set[str] = set()
        self._entered: set[str] = set()
        """Watched queues in which a call has begun to wait since `look`."""
        self.handed_on: dict[str, set[str]] = {}
        """Agent -> the waiting calls that they have handed on."""

    @property
    def is_to_be_looked_at(self) -> bool:
        return self.changed or bool(self._entered)

    def watch(self, queue: Queue) -> None:
        """The queue has these rules now."""
        is_watched = any(isinstance(rule.when, NobodyLoggedIn) for rule in queue.overflows)
        (self._watched.add if is_watched else self._watched.discard)(queue.id)
        self.changed = True

    def follow(self, before: Call | None, call: Call) -> None:
        """A call has a new state."""
        waited, waits = before is not None and _waits(before), _waits(call)
        alike = before is not None and (before.queue_id, before.skills) == (call.queue_id, call.skills)
        if waits and call.queue_id in self._watched and not (waited and alike):
            self._entered.add(call.queue_id)
        if call.handed_on_by is None or waited is waits:
            return
        if waits:
            self.handed_on.setdefault(call.handed_on_by, set()).add(call.id)
            return
        self.handed_on[call.handed_on_by].discard(call.id)
        if not self.handed_on[call.handed_on_by]:
            del self.handed_on[call.handed_on_by]

    def look(self) -> tuple[list[str], list[str]]:
        """The queues and the calls that are to be looked at, since the last time."""
        queues, calls = self._entered, list[str]()
        if self.changed:
            queues = self._watched
            calls = [call_id for some in self.handed_on.values() for call_id in some]
        self.changed, self._entered = False, set()
        return sorted(queues), sorted(calls)


def _waits(call: Call) -> bool:
    return isinstance(call.state, Queued | HeldPlace) and call.moving_to is None
