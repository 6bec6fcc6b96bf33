"""Opening hours of a queue in a floor file: written as the API takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import yaml
from common.hours import InvalidHours, parse

from plateau.floor.document import Fields

_NULL: Final = "tag:yaml.org,2002:null"
_KNOWN: Final = ("week", "time_zone", "holidays", "exceptions")


def read_hours(queue: Fields) -> Mapping[str, Any] | None:
    """The queue's `hours`, in the API's own order and spelling; every fault is noted at its line."""
    node = queue.node_of("hours")
    if node is None:
        return None
    path = queue.path_of("hours")
    fields = queue.document.fields(node, path)
    said = {name: plain(inner) for name in _KNOWN if (inner := fields.node_of(name)) is not None}
    fields.done()
    wrong = [name for name in ("week", "exceptions") if not _lists_by_name(said.get(name, {}))]
    for name in wrong:
        fields.refuse(name, 'must be lists of spans by day, such as {mon: [["08:00", "12:00"]]}')
    if wrong:
        return None
    try:
        return parse(said).as_mapping()
    except InvalidHours as refused:
        for fault in refused.faults:
            queue.document.refuse(nearest(node, fault.place), f"{path}.{fault.place}", fault.reason)
        return None


def _lists_by_name(said: Any) -> bool:
    return isinstance(said, Mapping) and all(isinstance(spans, list | None) for spans in said.values())


def plain(node: yaml.Node) -> Any:
    """Mappings, lists and texts, every scalar as it is written: 10:00 is no number here, and 2026-12-25 no date."""
    if isinstance(node, yaml.MappingNode):
        return {str(key.value): plain(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [plain(item) for item in node.value]
    return None if node.tag == _NULL else str(node.value)


def nearest(node: yaml.Node, place: str) -> yaml.Node:
    """The node at a place such as `week.mon.0`, or as far towards it as there is one."""
    for part in place.split("."):
        if isinstance(node, yaml.MappingNode):
            found = next((value for key, value in node.value if key.value == part), None)
        elif isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
            found = node.value[int(part)]
        else:
            found = None
        if found is None:
            break
        node = found
    return node
