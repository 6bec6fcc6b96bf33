"""Identifiers: time-ordered for what is new, derived for what must come out the same again."""

from __future__ import annotations

from uuid import NAMESPACE_URL, UUID, uuid5

from uuid_utils.compat import uuid7

FLOOR = "floor"
"""Tenant id of what belongs to the floor itself: pools, agents. Never a client company."""

_NAMESPACE = uuid5(NAMESPACE_URL, "urn:plateau")


def new_id() -> UUID:
    """A UUIDv7: unique, and sorted by the time of its making."""
    made: UUID = uuid7()
    return made


def derived_id(*parts: str) -> UUID:
    """The same UUID (version 5) for the same parts, on every machine and in every replay."""
    return uuid5(_NAMESPACE, "\x1f".join(parts))
