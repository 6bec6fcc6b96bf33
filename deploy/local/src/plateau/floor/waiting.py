"""What happens while callers of a queue wait, in a floor file: written as the API takes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from routing.domain.configuration import Announcement, CallbackRules, OverflowRule
from routing.domain.declarations import wrong_waiting as wrong_in_api

from plateau.floor.document import SLUG, Fields, Wrong
from plateau.floor.draft import DAY_SECONDS, SHORTEST
from plateau.floor.model import Queue

MOST_ANNOUNCEMENTS: Final = 20
_MODES: Final = ("agent_first", "customer_first")
_TELL: Final = ("position", "estimated_wait")


def read_callback(queue: Fields) -> dict[str, Any] | None:
    """The queue's `callback`: `{mode: agent_first, attempts: 3, retry_seconds: 300}` and so on."""
    node = queue.node_of("callback")
    if node is None:
        return None
    fields = queue.document.fields(node, queue.path_of("callback"))
    callback = {
        "mode": fields.text("mode", check=_mode),
        "attempts": fields.integer("attempts", 3, low=1, high=20),
        "retry_seconds": fields.number("retry_seconds", 300, low=SHORTEST, high=DAY_SECONDS),
        "ring_seconds": fields.number("ring_seconds", 30, low=5, high=300),
        "valid_seconds": fields.number("valid_seconds", 14_400, low=SHORTEST, high=DAY_SECONDS),
    }
    for name, place in fields.places.items():
        queue.places[f"callback.{name}"] = place
    fields.done()
    return callback


def read_announcements(queue: Fields) -> tuple[Mapping[str, Any], ...]:
    """The queue's `announcements`: `{message: hold, after_seconds: 30, every_seconds: 60, tell: [position]}`."""
    node = queue.node_of("announcements")
    if node is None:
        return ()
    announcements = []
    for number, (item, path) in enumerate(
        queue.document.items(node, queue.path_of("announcements"), MOST_ANNOUNCEMENTS)
    ):
        fields = queue.document.fields(item, path)
        announcements.append(
            {
                "message": fields.text("message", check=_id),
                "after_seconds": fields.number("after_seconds", low=0, high=DAY_SECONDS),
                "every_seconds": fields.optional_number("every_seconds", low=1, high=DAY_SECONDS),
                "tell": _told(fields),
            }
        )
        queue.places[f"announcements.{number}"] = fields.place
        for name, place in fields.places.items():
            queue.places[f"announcements.{number}.{name}"] = place
        fields.done()
    return tuple(announcements)


def wrong_waiting(queue: Queue) -> Iterator[Wrong]:
    """What routing's own rules refuse of callbacks, announcements and overflow rules."""
    callback = None if queue.callback is None else CallbackRules(**queue.callback)
    announcements = [Announcement(**{**one, "tell": tuple(one["tell"])}) for one in queue.announcements]
    rules = msgspec.convert(queue.overflows, tuple[OverflowRule, ...])
    for fault in wrong_in_api(queue.channel, callback, announcements, rules):
        yield Wrong(queue.where_within(fault["field"]), f"queue {queue.id}: {fault['field']}", fault["reason"])


def _told(fields: Fields) -> list[str]:
    told = [text for text, _ in fields.texts("tell", ())]
    for text in told:
        if text not in _TELL:
            fields.refuse("tell", f"must be a list of {' and '.join(_TELL)}", text)
    return told


def _mode(text: str) -> str:
    if text not in _MODES:
        raise ValueError(f"must be one of {', '.join(_MODES)}")
    return text


def _id(text: str) -> str:
    if not SLUG.fullmatch(text):
        raise ValueError("must be an id of lower-case letters, digits and hyphens")
    return text
