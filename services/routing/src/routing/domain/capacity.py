"""Which calls an agent with a declared capacity may be offered beside those at hand, and which of these are paused.

- Of one channel they have at most as many as declared, voice at most one.
- Written calls (chat, email, post) go together; voice goes with no other call.
- A channel that interrupts another one may be offered all the same to who has such calls at hand. From its answer to
  the end of its wrap-up those are paused: their handling time stands still. Nothing that would have to be paused at
  once is offered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from common.events.routing import Channel

from routing.domain.agents import CHANNELS, AgentState, Available, Engagement, Serving, ThenAvailable
from routing.domain.configuration import Capacity

Interrupts = Mapping[Channel, Iterable[Channel]]


def serves(capacity: Capacity | None, channel: Channel) -> bool:
    """Whether an agent with this capacity (None: one call at a time, of whatever channel) is for the channel at all."""
    return capacity is None or capacity.calls.get(channel, 0) > 0


def could_take(state: AgentState, capacity: Capacity | None, channel: Channel) -> bool:
    """Whether an agent in this state could be offered one more call of the channel."""
    return isinstance(state, Available) if capacity is None else channel in takes(state, capacity)


def takes(state: AgentState, capacity: Capacity) -> tuple[Channel, ...]:
    """The channels of which the agent could be offered one more call."""
    match state:
        case Available():
            return tuple(channel for channel in CHANNELS if serves(capacity, channel))
        case Serving(calls=calls, then=ThenAvailable()):
            return tuple(channel for channel in CHANNELS if _one_more(channel, calls, capacity))
        case _:
            return ()


def _one_more(channel: Channel, calls: tuple[Engagement, ...], capacity: Capacity) -> bool:
    return at_hand(channel, calls) < capacity.calls.get(channel, 0) and all(
        one.channel == channel or _together(channel, one.channel, capacity.interrupts) for one in calls
    )


def _together(new: Channel, other: Channel, interrupts: Interrupts) -> bool:
    if other in interrupts.get(new, ()):
        return True
    return "voice" not in (new, other) and new not in interrupts.get(other, ())


def at_hand(channel: Channel, calls: Iterable[Engagement]) -> int:
    """How many calls of the channel these are."""
    return sum(one.channel == channel for one in calls)


def interrupted(calls: tuple[Engagement, ...], capacity: Capacity | None) -> tuple[Channel, ...]:
    """The channels whose calls stand still, because a call of another one is spoken or wrapped up."""
    if capacity is None or not capacity.interrupts:
        return ()
    answered = [one.channel for one in calls if one.phase != "offered"]
    return tuple(other for channel in answered for other in capacity.interrupts.get(channel, ()))


def wrong_capacity(calls: Mapping[Channel, int]) -> list[dict[str, Any]]:
    """Everything wrong with a declared capacity, each with its field."""
    wrong = []
    if calls.get("voice", 0) > 1:
        wrong.append({"field": "capacity.voice", "reason": "an agent has one voice call at a time"})
    if calls and not any(calls.values()):
        wrong.append({"field": "capacity", "reason": "the agent could take no call at all"})
    return wrong


def wrong_interrupts(interrupts: Interrupts) -> list[dict[str, Any]]:
    """Everything wrong with what interrupts what, each with its field: voice is never interrupted, and no channel
    interrupts one that interrupts it, over whatever way."""
    wrong = []
    for channel, others in interrupts.items():
        for place, other in enumerate(others):
            field = f"interrupts.{channel}.{place}"
            if other == "voice":
                wrong.append({"field": field, "reason": "a voice call cannot be interrupted"})
            elif way := _way(other, channel, interrupts):
                around = " -> ".join([channel, *way])
                wrong.append({"field": field, "reason": f"they would interrupt each other: {around}"})
    return wrong


def _way(start: Channel, end: Channel, interrupts: Interrupts) -> list[Channel]:
    """The shortest way from one channel to another by what interrupts what; [] if there is none."""
    ways, seen = [[start]], {start}
    for way in ways:
        if way[-1] == end:
            return way
        for step in interrupts.get(way[-1], ()):
            if step not in seen:
                seen.add(step)
                ways.append([*way, step])
    return []
