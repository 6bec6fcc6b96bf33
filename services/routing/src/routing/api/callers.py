"""What is known of those who call, to go with their calls: their priority as contacts, who last spoke with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.errors import Invalid
from common.events.routing import Direction
from common.phone import InvalidPhone, normalise

from routing.api.state import QueueHome


@dataclass(frozen=True, slots=True)
class Callers:
    """By tenant and phone."""

    priorities: Mapping[tuple[str, str], int]
    last_agents: Mapping[tuple[str, str], str]

    def fields_of(
        self, home: QueueHome, phone: str, preferred_agent_id: str | None, direction: Direction = "inbound"
    ) -> dict[str, Any]:
        """Of the input for a call: its caller, and whom it is to go to."""
        caller = (home.tenant_id, phone)
        last = self.last_agents.get(caller) if asks_for_last_agent(home, preferred_agent_id, direction) else None
        return {
            "contact_phone": phone,
            "contact_priority": self.priorities.get(caller),
            "preferred_agent_id": preferred_agent_id or last,
            "spoke_last": last is not None,
        }


def asks_for_last_agent(home: QueueHome, preferred_agent_id: str | None, direction: Direction = "inbound") -> bool:
    """Whether it matters who last spoke with the caller: nobody says whom the call is to go to, and it may wait for
    them. Who is dialled waits for nobody in particular."""
    return home.is_sticky and preferred_agent_id is None and direction == "inbound"


def phone_of(contact_phone: str | None) -> str:
    """In E.164, empty when withheld. Raises Invalid."""
    try:
        return normalise(contact_phone) if contact_phone else ""
    except InvalidPhone as wrong:
        raise Invalid(str(wrong), field="contact_phone") from None
