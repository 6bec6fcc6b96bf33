"""What is known of those who call, to go with their calls: their priority as contacts, who last spoke with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from common.caller_id import CallerId, caller_id
from common.errors import Invalid
from common.events.routing import Direction
from common.phone import InvalidPhone, normalise
from pydantic import Field, PlainValidator, WithJsonSchema

from routing.api.state import QueueHome

Shown = Annotated[
    Any,
    PlainValidator(lambda given: given),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "null"}]}),
    Field(examples=["+33639980001"]),
]
"""What the network shows of the other party: any text, never refused. In international form, or national in the region
of the queue's tenant; null, empty, or what carriers say instead of a number, when withheld."""


@dataclass(frozen=True, slots=True)
class Callers:
    """By tenant and phone."""

    priorities: Mapping[tuple[str, str], int]
    last_agents: Mapping[tuple[str, str], str]

    def fields_of(
        self, home: QueueHome, party: CallerId, preferred_agent_id: str | None, direction: Direction = "inbound"
    ) -> dict[str, Any]:
        """Of the input for a call: its caller, and whom it is to go to."""
        caller = (home.tenant_id, party.phone)
        last = self.last_agents.get(caller) if asks_for_last_agent(home, preferred_agent_id, direction) else None
        return {
            "contact_phone": party.phone,
            "contact_shown": party.shown,
            "contact_priority": self.priorities.get(caller),
            "preferred_agent_id": preferred_agent_id or last,
            "spoke_last": last is not None,
        }


def asks_for_last_agent(home: QueueHome, preferred_agent_id: str | None, direction: Direction = "inbound") -> bool:
    """Whether it matters who last spoke with the caller: nobody says whom the call is to go to, and it may wait for
    them. Who is dialled waits for nobody in particular."""
    return home.is_sticky and preferred_agent_id is None and direction == "inbound"


def party_of(shown: Any, home: QueueHome, direction: Direction = "inbound") -> CallerId:
    """Who a call of the queue is with. Of an outbound call it is the number that was dialled: possible is enough."""
    return caller_id(shown, home.region, possible=home.allow_possible_numbers or direction == "outbound")


def number_of(contact_phone: str, home: QueueHome) -> str:
    """A number to call, as somebody said it, in E.164. Raises Invalid."""
    try:
        return normalise(contact_phone, home.region, possible=home.allow_possible_numbers)
    except InvalidPhone as wrong:
        raise Invalid(f"contact_phone: {wrong}", field="contact_phone") from None
