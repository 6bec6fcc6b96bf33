"""The calls of a pool whose callers have hung up and are called back, found by what decisions ask for."""

from __future__ import annotations

from typing import TypeAlias

from routing.domain.call_states import CallingBack, Queued
from routing.domain.calls import Call

Phone: TypeAlias = tuple[str, str]
"""Tenant, number in E.164."""


class CallbackPlaces:
    """Empty, and then of no cost, in a pool that calls nobody back."""

    def __init__(self) -> None:
        self.near: dict[str, list[tuple[float, str]]] = {}
        """Queue -> its places in line that are called back customer first, in the order of service."""
        self._pending: dict[Phone, str] = {}
        self._in_flight: dict[str, int] = {}

    def __bool__(self) -> bool:
        """Whether any caller waits to be reached."""
        return bool(self._pending)

    def pending(self, tenant_id: str, *phones: str) -> str | None:
        """The call whose caller waits to be reached and has one of these numbers, to be dialled or dialled from."""
        found = (self._pending.get((tenant_id, phone)) for phone in phones if phone)
        return next((call_id for call_id in found if call_id is not None), None)

    def call_ids(self) -> list[str]:
        """Of all whose callers wait to be reached, by id."""
        return sorted(set(self._pending.values()))

    def in_flight(self, queue_id: str) -> int:
        """Customers of the queue who are being dialled before an agent is found, or have been and wait for one."""
        return self._in_flight.get(queue_id, 0)

    def leave(self, queue_id: str, key: tuple[float, str]) -> None:
        """A place that is called back customer first is not in line any more."""
        keys = self.near[queue_id]
        keys.remove(key)
        if not keys:
            del self.near[queue_id]

    def follow(self, before: Call | None, call: Call) -> None:
        """A call that is or was to be called back has a new state."""
        for phone in _phones(call):
            if call.held_place is not None and call.moving_to is None:
                self._pending[phone] = call.id
            elif self._pending.get(phone) == call.id:
                del self._pending[phone]
        change = _is_in_flight(call) - (before is not None and _is_in_flight(before))
        if change:
            self._in_flight[call.queue_id] = self._in_flight.get(call.queue_id, 0) + change


def is_near(call: Call) -> bool:
    """Whether a place that is kept for the call is called back customer first."""
    return call.callback is not None and call.callback.rules.mode == "customer_first"


def _phones(call: Call) -> list[Phone]:
    numbers = [] if call.callback is None else [call.callback.phone, call.contact_phone]
    return [(call.tenant_id, number) for number in numbers if number]


def _is_in_flight(call: Call) -> bool:
    if call.moving_to is not None:
        return False
    match call.state:
        case CallingBack(agent_id=None):
            return True
        case Queued():
            return call.callback is not None
        case _:
            return False
