"""Who may serve a queue, as a floor file says it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

import yaml
from common.requirements import mentions, parse

from plateau.floor.document import Document, Fields, Place
from plateau.floor.model import Relaxation

MOST_RELAXATIONS: Final = 10
AGENT_ORDERS: Final = ("longest_idle", "best_level", "least_flexible", "fastest")


def requirement(fields: Fields) -> str | None:
    """The field `requirement`; None when it is not said, or wrong (and noted)."""
    return fields.value("requirement", _checked, None, required=False)


def relaxations(queue: Fields, longest: float) -> tuple[Relaxation, ...]:
    """The field `relaxations`; those that are wrong are noted and left out. Notes times that do not rise."""
    node = queue.node_of("relaxations")
    if node is None:
        return ()
    document, found = queue.document, []
    for number, (item, path) in enumerate(document.items(node, queue.path_of("relaxations"), MOST_RELAXATIONS)):
        fields = document.fields(item, path)
        after = fields.number("after_seconds", low=0.1, high=longest)
        text = fields.value("requirement", _checked, None, required=True)
        fields.done()
        for name, place in fields.places.items():
            queue.places[f"relaxations.{number}.{name}"] = place
        if text is not None:
            found.append((Relaxation(after_seconds=after, requirement=text), fields))
    for (before, _), (later, fields) in itertools.pairwise(found):
        if later.after_seconds <= before.after_seconds:
            detail = f"must be later than the one before, {before.after_seconds:g}"
            fields.refuse("after_seconds", detail, f"{later.after_seconds:g}")
    return tuple(one for one, _ in found)


def skill_places(queue: Fields) -> Iterator[tuple[str, Place]]:
    """Every skill that the requirement and the relaxations name, with its place. What cannot be read is left out."""
    nodes = [queue.node_of("requirement")]
    relaxed = queue.node_of("relaxations")
    for item in relaxed.value if isinstance(relaxed, yaml.SequenceNode) else []:
        pairs = item.value if isinstance(item, yaml.MappingNode) else []
        nodes += [value for key, value in pairs if key.value == "requirement"]
    for node in nodes:
        if isinstance(node, yaml.ScalarNode):
            try:
                named = mentions(node.value)
            except ValueError:
                continue
            for skill, column in named:
                yield skill, _within(queue.document, node, column)


def _within(document: Document, node: yaml.ScalarNode, column: int) -> Place:
    """The place of a column (from 1) of a text on one line; of a longer text its beginning."""
    place = document.place(node)
    if node.start_mark.line != node.end_mark.line:
        return place
    return Place(place.source, place.line, place.column + column - 1 + (node.style in ("'", '"')))


def agent_order(text: str) -> str:
    """The text if it is an order of agents; ValueError otherwise."""
    if text not in AGENT_ORDERS:
        raise ValueError(f"must be one of {', '.join(AGENT_ORDERS)}")
    return text


def _checked(text: str) -> str | None:
    parse(text)
    return text
