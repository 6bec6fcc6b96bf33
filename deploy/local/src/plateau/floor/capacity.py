"""Several calls at a time, as a floor file says it: `capacity` of agents and positions, `interrupts` of pools."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, get_args

from common.events.routing import Channel

from plateau.floor.document import Fields, suggestion

CHANNELS: Final[tuple[str, ...]] = get_args(Channel)
MOST: Final = 100


def read_capacity(agent: Fields) -> dict[str, int]:
    """`{voice: 1, chat: 3}`; empty: one call at a time, of whatever channel."""
    node = agent.node_of("capacity")
    if node is None:
        return {}
    known = len(agent.document.wrong)
    fields = agent.document.fields(node, agent.path_of("capacity"))
    capacity = {
        channel: fields.integer(channel, low=0, high=1 if channel == "voice" else MOST)
        for channel in CHANNELS
        if fields.has(channel)
    }
    _note(agent, "capacity", fields)
    fields.done()
    if capacity and not any(capacity.values()) and len(agent.document.wrong) == known:
        agent.refuse("capacity", "the agent could take no call at all")
    return capacity


def read_interrupts(pool: Fields) -> dict[str, tuple[str, ...]]:
    """`{voice: [email, post]}`: voice is never interrupted, and no two channels interrupt each other."""
    node = pool.node_of("interrupts")
    if node is None:
        return {}
    fields = pool.document.fields(node, pool.path_of("interrupts"))
    read = {channel: fields.texts(channel, ()) for channel in CHANNELS if fields.has(channel)}
    _note(pool, "interrupts", fields)
    fields.done()
    interrupts = {channel: tuple(other for other, _ in others) for channel, others in read.items()}
    for channel, others in read.items():
        for other, _ in others:
            if other not in CHANNELS:
                fields.refuse(channel, f"is no channel{suggestion(other, CHANNELS)}", other)
            elif other == "voice":
                fields.refuse(channel, "a voice call cannot be interrupted", other)
            elif channel in _reached(other, interrupts):
                fields.refuse(channel, f"{channel} and {other} would interrupt each other", other)
    return interrupts


def _reached(start: str, interrupts: Mapping[str, Iterable[str]]) -> list[str]:
    """What a channel interrupts by itself or by others, itself included."""
    reached = [start]
    for channel in reached:
        reached += [other for other in interrupts.get(channel, ()) if other not in reached]
    return reached


def _note(outer: Fields, name: str, inner: Fields) -> None:
    for key, place in inner.places.items():
        outer.places[f"{name}.{key}"] = place
