"""Entry points in a floor file: read field by field, then checked as whole flows by routing's own rules.

A step is written as in the API, but for `queue` (`queue_id` there) and choices, which are a mapping of digits to the
next step (of a language: to the skill).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec
import yaml
from common.phone import InvalidPhone
from routing.domain.flow_drawing import entry_point_svg
from routing.domain.flow_faults import faults
from routing.domain.flows import Flow

from plateau.floor.document import Document, Fields, Place, Wrong, suggestion
from plateau.floor.model import EntryPoint, Pool, Queue

MOST_SECONDS: Final = 120.0
MOST_NUMBERS: Final = 1000
MOST_STEPS: Final = 200
MOST_CHOICES: Final = 100


def entry_point(tenant_id: str, name: str, fields: Fields, read_phone: Callable[[str], str]) -> EntryPoint:
    """One entry point. `read_phone` reads a number of its tenant and raises InvalidPhone. Wrong values are noted in the
    document."""
    places = {"pool_id": fields.places.get("pool", fields.place), "numbers": fields.places.get("numbers", fields.place)}
    numbers = _numbers(fields, "numbers", places, "numbers", read_phone)
    places["flow.start"] = fields.places.get("start", fields.place)
    steps: dict[str, Any] = {}
    unread: list[str] = []
    node = fields.node_of("steps")
    if node is None:
        fields.refuse("steps", "is missing")
    else:
        section = fields.document.fields(node, fields.path_of("steps"), MOST_STEPS)
        for step, inner, path in section.entries():
            made = _step(fields.document, inner, path, places, f"flow.steps.{step}", read_phone)
            places[f"flow.steps.{step}"] = fields.document.place(section.key(step))
            if made is None:
                unread.append(step)
            else:
                steps[step] = made
    read = EntryPoint(
        id=name,
        tenant_id=tenant_id,
        pool_id=fields.text("pool"),
        numbers=tuple(numbers),
        flow={"start": fields.text("start"), "steps": steps},
        unread=tuple(unread),
        place=fields.place,
        places=places,
    )
    fields.done()
    return read


def _numbers(
    fields: Fields, name: str, places: dict[str, Place], as_field: str, read_phone: Callable[[str], str]
) -> list[str]:
    """Phone numbers in E.164, without an order."""
    found: list[str] = []
    for text, place in fields.texts(name, (), most=MOST_NUMBERS):
        places[f"{as_field}.{len(found)}"] = place
        try:
            number = read_phone(text)
        except InvalidPhone as wrong:
            fields.document.wrong.append(Wrong(place, fields.path_of(name), str(wrong), text))
            continue
        if number in found:
            fields.document.wrong.append(Wrong(place, fields.path_of(name), "is said twice", text))
        found.append(number)
    return sorted(found)


def _step(
    document: Document,
    node: yaml.Node,
    path: str,
    places: dict[str, Place],
    at: str,
    read_phone: Callable[[str], str],
) -> dict[str, Any] | None:
    """A step as the API takes it; None when its type is not known."""
    fields = document.fields(node, path)
    kind = fields.text("type")
    reader = _READERS.get(kind)
    if reader is None:
        if kind:
            fields.refuse("type", f"must be one of {', '.join(_READERS)}{suggestion(kind, _READERS)}", kind)
        return None
    for name, place in fields.places.items():
        places[f"{at}.{'queue_id' if name == 'queue' else name}"] = place
    step = {"type": kind, **reader(fields, places, at)}
    if kind == "priority":
        step["phones"] = _numbers(fields, "phones", places, f"{at}.phones", read_phone)
    fields.done()
    return step


Reader = Callable[[Fields, dict[str, Place], str], dict[str, Any]]


def _menu(fields: Fields) -> dict[str, Any]:
    return {
        "prompt": fields.text("prompt"),
        "otherwise": fields.text("otherwise", ""),
        "tries": fields.integer("tries", 3, low=1, high=9),
        "timeout_seconds": fields.number("timeout_seconds", 15, low=1, high=MOST_SECONDS),
        **{name: None if fields.node_of(name) is None else fields.text(name, "") for name in ("no_input", "no_match")},
    }


def _choices(fields: Fields, places: dict[str, Place], at: str, leads_to: str) -> list[dict[str, str]]:
    node = fields.node_of("choices")
    if node is None:
        return []
    choices = []
    section = fields.document.fields(node, fields.path_of("choices"), MOST_CHOICES)
    for number, (digits, inner, path) in enumerate(section.entries()):
        places[f"{at}.choices.{number}.digits"] = fields.document.place(section.key(digits))
        places[f"{at}.choices.{number}.{leads_to}"] = fields.document.place(inner)
        choices.append({"digits": digits, leads_to: fields.document.scalar(inner, path) or ""})
    return choices


_READERS: Final[Mapping[str, Reader]] = {
    "greeting": lambda fields, _, __: {"prompt": fields.text("prompt"), "next": fields.text("next", "")},
    "menu": lambda fields, places, at: {**_menu(fields), "choices": _choices(fields, places, at, "next")},
    "language": lambda fields, places, at: {
        **_menu(fields),
        "next": fields.text("next", ""),
        "choices": _choices(fields, places, at, "skill"),
    },
    "hours": lambda fields, _, __: {
        "queue_id": fields.text("queue"),
        "open": fields.text("open", ""),
        "closed": fields.text("closed", ""),
    },
    "priority": lambda fields, _, __: {
        "next": fields.text("next", ""),
        "steps": fields.integer("steps", 1, low=1, high=9),
        "known_contacts": fields.boolean("known_contacts", False),
    },
    "queue": lambda fields, _, __: {"queue_id": fields.text("queue")},
    "callback": lambda fields, _, __: {"queue_id": fields.text("queue"), "otherwise": fields.text("otherwise", "")},
    "message": lambda fields, _, __: {"prompt": fields.text("prompt")},
    "voicemail": lambda fields, _, __: {
        "prompt": fields.text("prompt"),
        "queue_id": fields.text("queue"),
        "max_seconds": fields.number("max_seconds", 120, low=1, high=600),
    },
}


def wrong_entry_points(entry_points: list[EntryPoint], pools: list[Pool], queues: list[Queue]) -> Iterator[Wrong]:
    """Unknown pools, numbers that lead to two entry points, and every fault of a flow."""
    by_id = {pool.id: pool for pool in pools}
    first: dict[str, str] = {}
    for one in entry_points:
        for number in one.numbers:
            other = first.setdefault(number, one.id)
            if other != one.id:
                yield Wrong(one.where("numbers"), f"entry point {one.id}: numbers", f"leads to {other} already", number)
        pool = by_id.get(one.pool_id)
        if pool is None and one.pool_id:
            hint = suggestion(one.pool_id, by_id)
            yield Wrong(
                one.where("pool_id"), f"entry point {one.id}: pool", f"there is no such pool{hint}", one.pool_id
            )
        own = [queue for queue in queues if (queue.tenant_id, queue.channel) == (one.tenant_id, "voice")]
        calling_back = [queue.id for queue in own if queue.callback is not None]
        flow = msgspec.convert(one.flow, Flow)
        skills = None if pool is None else pool.skills
        for fault in faults(flow, [queue.id for queue in own], skills, calling_back, one.unread):
            place = one.where_within(f"flow.{fault.field}")
            yield Wrong(place, f"entry point {one.id}: {fault.field}", fault.reason)


def picture(one: EntryPoint) -> str:
    """The flow of a valid entry point as SVG, as the API draws it."""
    return entry_point_svg(one.id, one.numbers, msgspec.convert(one.flow, Flow))


def step_as_written(step: Mapping[str, Any]) -> dict[str, Any]:
    """A step of the API as the floor file writes it, without what is the default."""
    written: dict[str, Any] = {}
    for name, value in step.items():
        if value == _DEFAULTS.get((step["type"], name), _DEFAULTS.get(("", name))):
            continue
        if name == "choices":
            written[name] = {choice["digits"]: choice.get("next", choice.get("skill")) for choice in value}
        else:
            number = int(value) if isinstance(value, float) and value.is_integer() else value
            written["queue" if name == "queue_id" else name] = number
    return written


_DEFAULTS: Final[Mapping[tuple[str, str], Any]] = {
    ("", "tries"): 3,
    ("", "timeout_seconds"): 15,
    ("", "no_input"): None,
    ("", "no_match"): None,
    ("", "max_seconds"): 120,
    ("", "phones"): [],
    ("", "known_contacts"): False,
    ("priority", "steps"): 1,
}
