"""Overflow rules of a queue in a floor file: written as the API takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import yaml

from plateau.floor.document import SLUG, Fields

MOST_RULES: Final = 20
_DAY_SECONDS: Final = 86_400
_ALWAYS: Final[Mapping[str, Any]] = {"type": "waited", "seconds": 0}
_AWAY: Final[Mapping[str, Any]] = {"type": "message", "message": "unread"}
_CONDITIONS: Final = "must be waited, queue_length, estimated_wait, nobody_logged_in, site_down or closed"
_STAY: Final[Mapping[str, Any]] = {"type": "stay"}
"""What stands for a part that could not be read (and was noted), so that the rest is checked all the same."""


def read_overflows(queue: Fields) -> tuple[Mapping[str, Any], ...]:
    """The queue's `overflows`: `{when: {type: waited, seconds: 45}, to: {type: queue, queue_id: late}}` and so on.

    The place of a rule's target is noted in `queue.places` as the API names it.
    """
    node = queue.node_of("overflows")
    if node is None:
        return ()
    rules = []
    for number, (item, path) in enumerate(queue.document.items(node, queue.path_of("overflows"), MOST_RULES)):
        fields = queue.document.fields(item, path)
        rules.append({"when": _part(fields, "when", _when, _ALWAYS), "to": _part(fields, "to", _to, _AWAY)})
        fields.done()
        queue.places[f"overflows.{number}"] = fields.place
        queue.places[f"overflows.{number}.when"] = fields.places.get("when", fields.place)
        queue.places[f"overflows.{number}.to"] = fields.places.get("to", fields.place)
        queue.places[f"overflows.{number}.to.queue_id"] = fields.places.get("to", fields.place)
    return tuple(rules)


def read_split(queue: Fields) -> tuple[Mapping[str, Any], ...]:
    """The queue's `split`: `{percent: 70, to: {type: stay}}` and so on; the percentages come to 100."""
    node = queue.node_of("split")
    if node is None:
        return ()
    shares: list[Mapping[str, Any]] = []
    for number, (item, path) in enumerate(queue.document.items(node, queue.path_of("split"), MOST_RULES)):
        fields = queue.document.fields(item, path)
        percent = fields.integer("percent", low=1, high=100)
        shares.append({"percent": percent, "to": _part(fields, "to", _to_of_share, _STAY)})
        fields.done()
        queue.places[f"split.{number}"] = fields.place
        queue.places[f"split.{number}.to"] = fields.places.get("to", fields.place)
    percents = sum(share["percent"] for share in shares)
    if percents != 100:
        queue.refuse("split", f"the percentages come to {percents}, not to 100")
    return tuple(shares)


def targets(name: str, ways: tuple[Mapping[str, Any], ...], kind: str, key: str) -> list[tuple[str, str]]:
    """(field as the API names it, target) of the rules or shares that lead to a target of this kind."""
    return [
        (f"{name}.{number}.to.{key}", one["to"][key]) for number, one in enumerate(ways) if one["to"]["type"] == kind
    ]


def _part(
    rule: Fields, name: str, read: Callable[[Fields], Mapping[str, Any]], instead: Mapping[str, Any]
) -> Mapping[str, Any]:
    node: yaml.Node | None = rule.node_of(name)
    if node is None:
        rule.refuse(name, "is missing")
        return instead
    fields = rule.document.fields(node, rule.path_of(name))
    known = len(rule.document.wrong)
    said = read(fields)
    fields.done()
    return said if len(rule.document.wrong) == known else instead


def _when(fields: Fields) -> dict[str, Any]:
    kind = fields.text("type")
    match kind:
        case "waited":
            return {"type": kind, "seconds": fields.number("seconds", low=0, high=_DAY_SECONDS)}
        case "queue_length":
            return {"type": kind, "calls": fields.integer("calls", low=1, high=1_000_000)}
        case "estimated_wait":
            return {"type": kind, "seconds": fields.number("seconds", low=0, high=_DAY_SECONDS)}
        case "nobody_logged_in":
            return {"type": kind}
        case "site_down":
            waiting = fields.boolean("waiting", False)
            return {"type": kind, "site_id": fields.text("site_id", check=_id), "waiting": waiting}
        case "closed":
            return {"type": kind, "waiting": fields.boolean("waiting", False)}
        case _:
            fields.refuse("type", _CONDITIONS, kind)
            return {}


def _to(fields: Fields) -> dict[str, Any]:
    kind = fields.text("type")
    match kind:
        case "queue":
            return {"type": kind, "queue_id": fields.text("queue_id", check=_id)}
        case "site":
            return {"type": kind, "site_id": fields.text("site_id", check=_id)}
        case "number":
            return {"type": kind, "name": fields.text("name", check=_id)}
        case "message":
            return {"type": kind, "message": fields.text("message", check=_id)}
        case "callback":
            return {"type": kind}
        case _:
            fields.refuse("type", "must be queue, site, number, message or callback", kind)
            return {}


def _to_of_share(fields: Fields) -> dict[str, Any]:
    if fields.node_of("type") is not None and fields.text("type") == "stay":
        return {"type": "stay"}
    to = _to(fields)
    if to.get("type") in ("message", "callback"):
        fields.refuse("type", "must be queue, site, number or stay", to["type"])
    return to


def _id(text: str) -> str:
    if not SLUG.fullmatch(text):
        raise ValueError("must be an id of lower-case letters, digits and hyphens")
    return text
