"""What has been read of a floor file so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

import yaml
from common.time_zones import is_time_zone, remedy

from plateau.floor.document import SLUG, Document, Fields, Place
from plateau.floor.model import Agent, Campaign, EntryPoint, Floor, Pool, Queue, Share, Site, Tenant, Webhook

SHORTEST: Final = 0.1
"""Seconds; a limit of none at all would be no limit."""
DAY_SECONDS: Final = 86_400
ID_RULE: Final = "an id has 1 to 63 lower-case letters, digits or hyphens and begins with a letter or digit"
Kind = TypeVar("Kind")


@dataclass(slots=True)
class Draft:
    """What has been read so far, with the places that `check` needs."""

    document: Document
    sites: list[Site] = field(default_factory=list)
    tenants: list[Tenant] = field(default_factory=list)
    pools: list[Pool] = field(default_factory=list)
    shares: list[Share] = field(default_factory=list)
    agents: list[Agent] = field(default_factory=list)
    queues: list[Queue] = field(default_factory=list)
    entry_points: list[EntryPoint] = field(default_factory=list)
    webhooks: list[Webhook] = field(default_factory=list)
    campaigns: list[Campaign] = field(default_factory=list)
    skill_places: dict[tuple[str, str, str], Place] = field(default_factory=dict)
    """(kind, id, skill) -> where the skill was named."""
    seen: dict[tuple[str, str], Place] = field(default_factory=dict)

    def new_id(self, kind: str, name: str, node: yaml.Node, path: str) -> None:
        """Note a wrong id, or one that the floor already has: ids are unique over the whole floor."""
        if not SLUG.fullmatch(name):
            self.document.refuse(node, path, ID_RULE, name)
        first = self.seen.setdefault((kind, name), self.document.place(node))
        if first != self.document.place(node):
            self.document.refuse(node, path, f"this {kind} is already on line {first.line}", name)

    def floor(self) -> Floor:
        return Floor(
            sites=tuple(self.sites),
            tenants=tuple(self.tenants),
            pools=tuple(self.pools),
            shares=tuple(self.shares),
            agents=tuple(self.agents),
            queues=tuple(self.queues),
            entry_points=tuple(self.entry_points),
            webhooks=tuple(self.webhooks),
            campaigns=tuple(self.campaigns),
        )


def each(
    draft: Draft, fields: Fields, name: str, kind: str, reader: Callable[[str, Fields], Kind], into: list[Kind]
) -> None:
    """Read the mapping of ids under `name` and add each to `into`."""
    node = fields.node_of(name)
    if node is None:
        return
    section = draft.document.fields(node, fields.path_of(name))
    for identifier, value, path in section.entries():
        draft.new_id(kind, identifier, section.key(identifier), path)
        into.append(reader(identifier, draft.document.fields(value, path)))


def renamed(places: dict[str, Place], names: dict[str, str]) -> dict[str, Place]:
    """The places of fields that the API calls something else."""
    return {names.get(name, name): place for name, place in places.items()}


def time_zone(text: str) -> str:
    """The name of a place's time zone. Raises ValueError."""
    if not is_time_zone(text):
        raise ValueError(f"must be the time zone of a place ({remedy(text)})")
    return text
