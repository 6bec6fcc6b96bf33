"""Pools, agents and positions of a floor file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import yaml

from plateau.floor.capacity import read_capacity, read_interrupts
from plateau.floor.document import SLUG, Fields, Place, Wrong
from plateau.floor.draft import ID_RULE, Draft
from plateau.floor.model import Agent, Pool
from plateau.floor.shares import read_shares

MOST_POSITIONS: Final = 20_000
MOST_SKILLS: Final = 1000
MOST_BREAK_REASONS: Final = 100
MOST_SKILLS_OF_AGENT: Final = 200


def read_pool(draft: Draft, name: str, node: yaml.Node, path: str, directory: Path) -> None:
    draft.new_id("pool", name, node, path)
    fields = draft.document.fields(node, path)
    skills = _slugs(draft, fields, "skills", MOST_SKILLS)
    break_reasons = _slugs(draft, fields, "break_reasons", MOST_BREAK_REASONS)
    pool = Pool(
        id=name,
        name=fields.text("name"),
        skills=skills,
        interrupts=read_interrupts(fields),
        break_reasons=break_reasons,
        place=fields.place,
        places=fields.places,
    )
    draft.pools.append(pool)
    for section, reader in (("agents", _agent), ("positions", _positions)):
        inner = fields.node_of(section)
        if inner is not None:
            for item, item_path in draft.document.items(inner, fields.path_of(section)):
                reader(draft, name, draft.document.fields(item, item_path))
    read_shares(draft, name, fields)
    fields.done()


def _slugs(draft: Draft, fields: Fields, name: str, most: int) -> tuple[str, ...]:
    texts = fields.texts(name, (), most=most)
    for text, place in texts:
        if not SLUG.fullmatch(text):
            draft.document.wrong.append(Wrong(place, fields.path_of(name), ID_RULE, text))
    return tuple(text for text, _ in texts)


def _agent(draft: Draft, pool_id: str, fields: Fields) -> None:
    name = fields.text("id")
    draft.new_id("agent", name, fields.node_of("id") or fields.node, fields.path_of("id"))
    shown = fields.text("name")
    site_id = fields.text("site", "") or None
    _add_agent(draft, pool_id, fields, name, shown, _levels(draft, fields), site_id, read_capacity(fields))
    fields.done()


def _positions(draft: Draft, pool_id: str, fields: Fields) -> None:
    """`{prefix: alma, count: 6, skills: …}`: alma-001 … alma-006. A larger count later keeps the first ones."""
    prefix = fields.text("prefix")
    count = fields.integer("count", low=0, high=MOST_POSITIONS)
    skills, site_id = _levels(draft, fields), fields.text("site", "") or None
    capacity = read_capacity(fields)
    fields.done()
    for number in range(1, count + 1):
        name = f"{prefix}-{number:03d}"
        known = len(draft.document.wrong)
        draft.new_id("agent", name, fields.node_of("prefix") or fields.node, fields.path_of("prefix"))
        if len(draft.document.wrong) > known:
            return
        shown = f"{prefix.capitalize()} {number:03d}"
        _add_agent(draft, pool_id, fields, name, shown, skills, site_id, capacity)


def _add_agent(
    draft: Draft,
    pool_id: str,
    fields: Fields,
    name: str,
    shown: str,
    skills: dict[str, tuple[int, Place]],
    site_id: str | None,
    capacity: dict[str, int],
) -> None:
    for skill, (_, place) in skills.items():
        draft.skill_places["agent", name, skill] = place
    levels = {skill: level for skill, (level, _) in skills.items()}
    draft.agents.append(
        Agent(
            id=name,
            name=shown,
            pool_id=pool_id,
            skills=levels,
            site_id=site_id,
            capacity=capacity,
            place=fields.place,
            places=fields.places,
        )
    )


def _levels(draft: Draft, fields: Fields) -> dict[str, tuple[int, Place]]:
    """Skills with their level: a mapping {french: 8}, or a list, where each is at level 5."""
    node = fields.node_of("skills")
    if node is None:
        return {}
    if isinstance(node, yaml.SequenceNode):
        return {skill: (5, place) for skill, place in fields.texts("skills", (), most=MOST_SKILLS_OF_AGENT)}
    inner = draft.document.fields(node, fields.path_of("skills"), MOST_SKILLS_OF_AGENT)
    return {
        skill: (inner.integer(skill, low=1, high=10), draft.document.place(inner.key(skill)))
        for skill, _, _ in inner.entries()
    }
