"""YAML as a tree of nodes that keep their place, and a reader that collects every wrong value instead of stopping.

FloorInvalid            the file is wrong; `.wrong` lists every place, path and value
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeVar

import yaml
from common import spelling
from common.errors import PlateauError

SLUG: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_NULL: Final = "tag:yaml.org,2002:null"
_MERGE: Final = "tag:yaml.org,2002:merge"
_BOOLEAN: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
LONGEST_TEXT: Final = 200
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_SHOWN: Final = 80
"""A longer value is cut in messages."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something is written; line and column count from 1."""

    source: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Wrong:
    """One wrong value, with its place and, where there is one, the value itself."""

    place: Place
    path: str
    detail: str
    value: str | None = None
    before_value: str = ", not "

    def __str__(self) -> str:
        said = "" if self.value is None else f"{self.before_value}{_shown(self.value)}"
        path = f"{self.path}: " if self.path else ""
        return f"{self.place}: {path}{self.detail}{said}"


class FloorInvalid(PlateauError):
    """The floor file is wrong. Nothing has been applied."""

    def __init__(self, wrong: Iterable[Wrong]) -> None:
        self.wrong = tuple(sorted(wrong, key=lambda one: (one.place, one.path)))
        super().__init__("\n".join(str(one) for one in self.wrong))


def _shown(value: str) -> str:
    text = value if len(value) <= _SHOWN else value[:_SHOWN] + "…"
    return '"' + text.replace("\n", "\\n") + '"'


def suggestion(value: str, known: Iterable[str]) -> str:
    """` (did you mean "x"?)` when a known word is close, otherwise nothing."""
    close = difflib.get_close_matches(value, list(known), n=1)
    return f' (did you mean "{close[0]}"?)' if close else ""


class Document:
    """One YAML text and what is wrong with it."""

    def __init__(self, text: str, source: str) -> None:
        self.source = source
        self.wrong: list[Wrong] = []
        self.warnings: list[Wrong] = []
        """What may stand but is hardly meant."""
        self.root: yaml.Node | None = None
        try:
            self.root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = Place(source, mark.line + 1, mark.column + 1) if mark else Place(source, 1, 1)
            self.wrong.append(Wrong(place, "", f"this is not YAML: {error.problem or error.context}"))
        except yaml.YAMLError as error:
            self.wrong.append(Wrong(Place(source, 1, 1), "", f"this is not YAML: {error}"))
        if self.root is None and not self.wrong:
            self.wrong.append(Wrong(Place(source, 1, 1), "", "the file is empty"))

    def place(self, node: yaml.Node) -> Place:
        return Place(self.source, node.start_mark.line + 1, node.start_mark.column + 1)

    def refuse(self, node: yaml.Node, path: str, detail: str, value: str | None = None) -> None:
        self.wrong.append(Wrong(self.place(node), path, detail, value))

    def warn(self, node: yaml.Node, path: str, detail: str) -> None:
        self.warnings.append(Wrong(self.place(node), path, detail))

    def fields(self, node: yaml.Node, path: str, most: int | None = None) -> Fields:
        """The node as a mapping of at most so many. Anything else is noted as wrong and read as an empty one."""
        if not isinstance(node, yaml.MappingNode):
            if node.tag != _NULL:
                self.refuse(node, path, "must be a mapping of names to values", _text(node))
            return Fields(self, node, path, [])
        entries = list(_entries(node))
        self._limit(node, path, len(entries), most)
        return Fields(self, node, path, entries)

    def items(self, node: yaml.Node, path: str, most: int | None = None) -> list[tuple[yaml.Node, str]]:
        """The node as a list of (item, its path). More than `most` are noted as wrong."""
        if not isinstance(node, yaml.SequenceNode):
            if node.tag != _NULL:
                self.refuse(node, path, "must be a list", _text(node))
            return []
        self._limit(node, path, len(node.value), most)
        return [(item, f"{path}[{number}]") for number, item in enumerate(node.value)]

    def _limit(self, node: yaml.Node, path: str, count: int, most: int | None) -> None:
        if most is not None and count > most:
            self.refuse(node, path, f"has {count} entries; at most {most} are taken")

    def scalar(self, node: yaml.Node, path: str) -> str | None:
        """The node's text as written; None (and noted) when it is no scalar."""
        if isinstance(node, yaml.ScalarNode):
            return str(node.value)
        self.refuse(node, path, "must be a single value")
        return None


def _text(node: yaml.Node) -> str | None:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else None


def _entries(node: yaml.MappingNode, within: tuple[yaml.Node, ...] = ()) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Key and value nodes; those merged with `<<` come last and only where the mapping does not say it itself."""
    own = [(key, value) for key, value in node.value if key.tag != _MERGE]
    yield from own
    said = {_text(key) for key, _ in own}
    for key, value in node.value:
        if key.tag != _MERGE:
            continue
        for merged in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            if isinstance(merged, yaml.MappingNode) and merged is not node and merged not in within:
                for inner_key, inner in _entries(merged, (*within, node)):
                    if _text(inner_key) not in said:
                        said.add(_text(inner_key))
                        yield inner_key, inner


class Fields:
    """The fields of one mapping. Each is asked for once; `done` notes what nobody asked for."""

    def __init__(
        self, document: Document, node: yaml.Node, path: str, entries: list[tuple[yaml.Node, yaml.Node]]
    ) -> None:
        self.document = document
        self.node = node
        self.path = path
        self.place = document.place(node)
        self.places: dict[str, Place] = {}
        self._nodes: dict[str, yaml.Node] = {}
        self._keys: dict[str, yaml.Node] = {}
        self._asked: set[str] = set()
        for key, value in entries:
            name = document.scalar(key, path)
            if name is None:
                continue
            if name in self._nodes:
                first = document.place(self._keys[name])
                document.refuse(key, self.path_of(name), f"is said twice, first on line {first.line}", name)
                continue
            self._nodes[name] = value
            self._keys[name] = key
            self.places[name] = document.place(value)

    def path_of(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def node_of(self, name: str) -> yaml.Node | None:
        """The value's node, None when it is not said or null."""
        self._asked.add(name)
        node = self._nodes.get(name)
        return None if node is None or node.tag == _NULL else node

    def has(self, name: str) -> bool:
        return name in self._nodes

    def refuse(self, name: str, detail: str, value: str | None = None) -> None:
        self.document.refuse(self._nodes.get(name, self.node), self.path_of(name), detail, value)

    def _missing(self, name: str) -> None:
        self.document.refuse(self.node, self.path_of(name), "is missing")

    def value(self, name: str, read: Callable[[str], Value], default: Value, *, required: bool) -> Value:
        """The field read by `read`, which raises ValueError with what it must be. Wrong or missing: `default`."""
        node = self.node_of(name)
        if node is None:
            if required:
                self._missing(name)
            return default
        text = self.document.scalar(node, self.path_of(name))
        if text is None:
            return default
        try:
            return read(text)
        except ValueError as error:
            self.document.refuse(node, self.path_of(name), str(error), text)
            return default

    def text(self, name: str, default: str | None = None, *, check: Callable[[str], str] | None = None) -> str:
        """A text that is not empty; required when there is no default."""
        return self.value(name, check or _not_empty, default or "", required=default is None)

    def integer(self, name: str, default: int | None = None, *, low: int, high: int) -> int:
        return self.value(name, lambda text: _integer(text, low, high), default or 0, required=default is None)

    def number(self, name: str, default: float | None = None, *, low: float, high: float) -> float:
        """A number, whole ones as int; for durations in seconds."""
        return self.value(name, lambda text: _number(text, low, high), default or 0, required=default is None)

    def optional_number(self, name: str, *, low: float, high: float) -> float | None:
        return None if self.node_of(name) is None else self.number(name, low=low, high=high)

    def boolean(self, name: str, default: bool) -> bool:
        return self.value(name, _boolean, default, required=False)

    def texts(
        self, name: str, default: tuple[str, ...] | None = None, *, least: int = 0, most: int | None = None
    ) -> tuple[tuple[str, Place], ...]:
        """A list of texts, each with its place. A text said twice is wrong, and so are fewer or more than these."""
        node = self.node_of(name)
        if node is None:
            if default is None:
                self._missing(name)
            return tuple((text, self.place) for text in default or ())
        found: dict[str, Place] = {}
        if isinstance(node, yaml.SequenceNode) and len(node.value) < least:
            self.refuse(name, f"has {len(node.value)} entries; at least {least} is needed")
        for item, path in self.document.items(node, self.path_of(name), most):
            text = self.document.scalar(item, path)
            if text is None:
                continue
            if not text.strip():
                self.document.refuse(item, path, "must not be empty", text)
            elif text in found:
                self.document.refuse(item, path, f"is said twice, first on line {found[text].line}", text)
            else:
                found[text] = self.document.place(item)
        return tuple(found.items())

    def entries(self) -> Iterator[tuple[str, yaml.Node, str]]:
        """Every field as (name, value, path): for mappings whose names are ids."""
        for name in self._nodes:
            self._asked.add(name)
            yield name, self._nodes[name], self.path_of(name)

    def key(self, name: str) -> yaml.Node:
        return self._keys[name]

    def done(self) -> None:
        """Note the fields that nobody asked for: misspelt ones."""
        for name in self._nodes.keys() - self._asked:
            hint = suggestion(name, self._asked - self._nodes.keys())
            known = ", ".join(sorted(self._asked))
            detail = f"is not known{hint or f'; known are {known}'}"
            self.document.refuse(self._keys[name], self.path_of(name), detail)


def _not_empty(text: str) -> str:
    if not text.strip() or len(text) > LONGEST_TEXT or _CONTROL.search(text):
        raise ValueError(f"must be a text of 1 to {LONGEST_TEXT} characters on one line")
    return text


def _integer(text: str, low: int, high: int) -> int:
    wanted = f"must be a whole number from {low} to {high}"
    try:
        number = spelling.whole(text)
    except ValueError:
        raise ValueError(f"{wanted}, written in digits alone") from None
    if not low <= number <= high:
        raise ValueError(wanted)
    return number


def _number(text: str, low: float, high: float) -> float:
    wanted = f"must be a number from {low:g} to {high:g}"
    try:
        number = float(spelling.decimal(text))
    except ValueError:
        raise ValueError(f"{wanted}, written in digits and a point if need be") from None
    if not low <= number <= high:
        raise ValueError(wanted)
    return int(number) if number.is_integer() else number


def _boolean(text: str) -> bool:
    if text.lower() not in _BOOLEAN:
        raise ValueError("must be true or false")
    return _BOOLEAN[text.lower()]


def decimal(text: str) -> Decimal:
    """A decimal number, exactly as written."""
    try:
        return spelling.decimal(text)
    except ValueError:
        raise ValueError("must be a decimal number, written in digits and a point if need be, such as 4.20") from None
