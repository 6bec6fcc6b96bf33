"""Several calls at a time: as declared, and as they are."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import asyncpg
from common.events.routing import Channel
from common.http import Model
from pydantic import Field

from routing.domain.agents import Agent
from routing.domain.capacity import takes
from routing.store.states import agent_profile

Capacity = Annotated[
    dict[Channel, Annotated[int, Field(ge=0, le=100)]], Field(examples=[{"voice": 1, "chat": 3, "email": 5}])
]
"""How many calls of each channel the agent takes at a time; a channel that is not named is not taken, voice is 1 at
most. Written calls go together; voice goes with no other call but those that it interrupts. Empty: one call at a time,
of whatever channel."""

Interrupts = Annotated[
    dict[Channel, Annotated[list[Channel], Field(max_length=4)]],
    Field(examples=[{"voice": ["email", "post"], "chat": ["post"]}]),
]
"""By channel, the channels whose calls it interrupts: it is offered to agents with a declared capacity who have such
calls, and from its answer to the end of its wrap-up these are paused."""


class CallAtHandView(Model):
    """One of an agent's calls. `paused`: another of them has interrupted it."""

    call_id: str
    channel: Channel
    state: Literal["offered", "busy", "wrap_up"]
    since: datetime
    paused: bool


def at_hand(agent: Agent | None) -> list[CallAtHandView]:
    """The agent's calls, in the order in which they were offered."""
    return [
        CallAtHandView(call_id=one.call_id, channel=one.channel, state=one.phase, since=one.since, paused=one.paused)
        for one in (agent.calls if agent else ())
    ]


def taken_by(row: asyncpg.Record, agent: Agent | None) -> list[Channel] | None:
    """The channels of which the agent of the row could take one more call; None: all while available, one at a time."""
    capacity = agent_profile(row).capacity
    if capacity is None:
        return None
    return list(takes(agent.state, capacity)) if agent else []
