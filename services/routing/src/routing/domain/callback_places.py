"""The calls of a pool whose callers have hung up and are called back, found by what decisions ask for."""

from __future__ import annotations

from typing import TypeAlias

from routing.domain.call_states import CallingBack, HeldPlace, Offered, Queued, Talking
from routing.domain.calls import Call

Phone: TypeAlias = tuple[str, str]
"""Tenant, number in E.164."""


class CallbackPlaces:
    """Empty, and then of no cost, in a pool that calls nobody back."""

    def __init__(self) -> None:
        self.near: dict[str, list[tuple[float, str]]] = {}
        """Queue -> its places in line that are called back customer first, in the order of service."""
        self.in_flight: set[str] = set()
        """Calls whose customers are being dialled before an agent is found, or have been and wait for one."""
        self._promised: dict[Phone, list[str]] = {}
        """In the order in which the promises were made."""
        self._in_use: dict[Phone, set[str]] = {}
        """Calls that are about to dial the number, dial it, or have reached who is there."""

    def __bool__(self) -> bool:
        """Whether any caller waits to be reached."""
        return bool(self._promised)

    def pending(self, tenant_id: str, *phones: str) -> list[str]:
        """The calls whose callers wait to be reached and have one of these numbers, to be dialled or dialled from."""
        found = (self._promised.get((tenant_id, phone), ()) for phone in phones if phone)
        return list(dict.fromkeys(call_id for call_ids in found for call_id in call_ids))

    def call_ids(self) -> list[str]:
        """Of all whose callers wait to be reached, by id."""
        return sorted({call_id for call_ids in self._promised.values() for call_id in call_ids})

    def is_in_use(self, call: Call, phone: str) -> bool:
        """Whether the number is being dialled, or spoken with, for another promise than this call's."""
        return bool(self._in_use.get((call.tenant_id, phone), set()) - {call.id})

    def leave(self, queue_id: str, key: tuple[float, str]) -> None:
        """A place that is called back customer first is not in line any more."""
        keys = self.near[queue_id]
        keys.remove(key)
        if not keys:
            del self.near[queue_id]

    def follow(self, call: Call) -> None:
        """A call that is or was to be called back has a new state."""
        here = call.moving_to is None
        promised = here and call.held_place is not None
        for phone in _phones(call):
            known = self._promised.get(phone, [])
            if promised and call.id not in known:
                self._promised[phone] = [*known, call.id]
            elif not promised and call.id in known:
                self._promised[phone] = [one for one in known if one != call.id]
                if not self._promised[phone]:
                    del self._promised[phone]
        if call.callback is not None:
            number = (call.tenant_id, call.callback.phone)
            if here and _uses_number(call):
                self._in_use.setdefault(number, set()).add(call.id)
            elif number in self._in_use:
                self._in_use[number].discard(call.id)
                if not self._in_use[number]:
                    del self._in_use[number]
        (self.in_flight.add if here and _is_in_flight(call) else self.in_flight.discard)(call.id)


def is_near(call: Call) -> bool:
    """Whether a place that is kept for the call is called back customer first."""
    return call.callback is not None and call.callback.rules.mode == "customer_first"


def _phones(call: Call) -> list[Phone]:
    numbers = [] if call.callback is None else [call.callback.phone, call.contact_phone]
    return [(call.tenant_id, number) for number in numbers if number]


def _uses_number(call: Call) -> bool:
    match call.state:
        case CallingBack() | Talking():
            return True
        case Offered(waiting=HeldPlace()):
            return True
        case Queued() | Offered():
            return call.callback is not None and call.callback.reached_at is not None
        case _:
            return False


def _is_in_flight(call: Call) -> bool:
    match call.state:
        case CallingBack(agent_id=None):
            return True
        case Queued():
            return call.callback is not None
        case _:
            return False
