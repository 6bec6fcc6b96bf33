"""Hours in a floor file, of queues and of campaigns: written as the APIs take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml
from common.hours import Fault, InvalidHours, near_misses, parse

from plateau.floor.document import Fields

_NULL: Final = "tag:yaml.org,2002:null"


def read_hours(queue: Fields) -> Mapping[str, Any] | None:
    """The queue's `hours`, in the API's own order and spelling; every fault is noted at its line."""
    node = queue.node_of("hours")
    if node is None:
        return None
    fields = queue.document.fields(node, queue.path_of("hours"))
    hours = hours_in(fields, ("week", "time_zone", "holidays", "exceptions"))
    fields.done()
    return hours


def hours_in(fields: Fields, names: Sequence[str], *, within_days: bool = False) -> Mapping[str, Any] | None:
    """The hours that these fields of the mapping say together; the first is the week's.

    Every fault is noted at its line; what may stand but is hardly meant is a warning.
    """
    week = names[0]
    nodes = {name: node for name in names if (node := fields.node_of(name)) is not None}
    said = {name: plain(node) for name, node in nodes.items()}
    wrong = [name for name in (week, "exceptions") if not _lists_by_name(said.get(name, {}))]
    for name in wrong:
        fields.refuse(name, 'must be lists of spans by day, such as {mon: [["08:00", "12:00"]]}')
    if wrong:
        return None

    def told(fault: Fault) -> tuple[yaml.Node, str, str]:
        name, _, rest = fault.place.partition(".")
        node = nodes.get(name, fields.node)
        return nearest(node, rest), fields.path_of(fault.place), fault.reason

    try:
        hours = parse(said, week_field=week, within_days=within_days)
    except InvalidHours as refused:
        for fault in refused.faults:
            fields.document.refuse(*told(fault))
        return None
    for fault in near_misses(hours, week):
        fields.document.warn(*told(fault))
    return hours.as_mapping()


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
