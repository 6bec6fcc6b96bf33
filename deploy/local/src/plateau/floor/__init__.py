"""The floor file: one YAML file that describes a whole centre.

`load` reads and validates it as a whole (FloorInvalid lists every wrong value with its line); `plan` compares it with a
running floor; `apply` makes the running floor so; `export` writes one from a running floor.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from plateau.floor.check import check, warnings
from plateau.floor.document import FloorInvalid, Place, Wrong
from plateau.floor.model import Agent, Campaign, Floor, Overflow, Pool, Queue, Tariff, Tenant, Webhook
from plateau.floor.parse import read

__all__ = [
    "Agent",
    "Campaign",
    "Floor",
    "FloorInvalid",
    "Overflow",
    "Place",
    "Pool",
    "Queue",
    "Tariff",
    "Tenant",
    "Webhook",
    "Wrong",
    "load",
    "parse",
]


def parse(text: str, source: str = "floor.yaml", directory: Path = Path()) -> Floor:
    """The floor that `text` describes. Raises FloorInvalid with every wrong value."""
    draft = read(text, source, directory)
    if draft.document.root is not None:
        check(draft)
    if draft.document.wrong:
        raise FloorInvalid(draft.document.wrong)
    return replace(draft.floor(), warnings=warnings(draft))


def load(path: Path) -> Floor:
    """The floor of a file. Raises FloorInvalid with every wrong value, OSError when the file cannot be read."""
    return parse(path.read_text(encoding="utf-8"), path.name, path.parent)
