"""What OpenAPI promises of numbers, days and times is what models and routes take: the grammar of `common.spelling`.

Pydantic reads more than it documents: `"4_20"` as an integer, `true` as 1, 1764320400 as a day. `exact` narrows the
schema of a model; `Parameters` does the same for the query and the path of a route, and refuses what a route does not
know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import params
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_flat_params
from pydantic import TypeAdapter
from pydantic_core import CoreSchema, core_schema
from starlette.requests import Request

from common import spelling
from common.errors import Invalid


def _number(value: Any) -> Any:
    if isinstance(value, str | bytes | bool):
        raise ValueError("write a number, without quotes" if isinstance(value, str) else "write a number, such as 42")
    return value


def _decimal(value: Any) -> Any:
    return spelling.decimal(value) if isinstance(value, str) else _number(value)


def _written(kind: type, read: Callable[[str], Any]) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if isinstance(value, str):
            return read(value)
        if not isinstance(value, kind):
            raise ValueError(f"write a text, {str(read.__doc__).partition('such as ')[2].rstrip('.') or 'in quotes'}")
        return value

    return check


_CHECKS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "int": _number,
    "float": _number,
    "decimal": _decimal,
    "date": _written(date, spelling.day),
    "datetime": _written(datetime, spelling.moment),
    "time": _written(time, spelling.time_of_day),
}
_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "int": spelling.whole,
    "float": spelling.decimal,
    "decimal": spelling.decimal,
    "date": spelling.day,
    "datetime": spelling.moment,
    "time": spelling.time_of_day,
    "bool": spelling.truth,
}
_NO_SCHEMA: Final = {"metadata", "default", "serialization", "config", "expected"}


def _inner(schema: Mapping[str, Any]) -> Iterator[tuple[Any, Any, Any]]:
    """(container, key, value) of what may hold schemas within."""
    for key, value in schema.items():
        if key in _NO_SCHEMA:
            continue
        if isinstance(value, dict):
            yield schema, key, value
        elif isinstance(value, list):
            yield from ((value, number, item) for number, item in enumerate(value) if isinstance(item, dict))
            for item in value:
                if isinstance(item, tuple):  # a choice of a union with its label
                    yield from _inner({"of": list(item)})


def exact(schema: CoreSchema) -> CoreSchema:
    """The schema of a model, changed in place so that its numbers, days and times are taken as documented alone."""
    narrowed: CoreSchema = _narrow(schema)
    return narrowed


def _narrow(schema: Any) -> Any:
    kind = schema.get("type")
    if kind == "bool":
        schema["strict"] = True
    if isinstance(kind, str) and kind in _CHECKS:
        return core_schema.no_info_before_validator_function(_CHECKS[kind], schema)
    if kind == "function-before" and schema["function"]["function"] in _CHECKS.values():
        return schema
    for container, key, value in list(_inner(schema)):
        container[key] = _narrow(value)
    return schema


def _kinds(schema: Any) -> set[str]:
    kind = schema.get("type")
    if isinstance(kind, str) and (kind in _READERS or kind == "str"):
        return {kind}
    return {found for _, _, value in _inner(schema) for found in _kinds(value)}


class Parameters:
    """The query and path parameters that a route declares, its dependencies' included."""

    def __init__(self, dependant: Dependant) -> None:
        fields = get_flat_params(dependant)
        readers = [(field.field_info, field.alias, _reader(field.field_info.annotation)) for field in fields]
        self._query = {alias: read for info, alias, read in readers if isinstance(info, params.Query)}
        self._path = {alias: read for info, alias, read in readers if isinstance(info, params.Path)}

    def check(self, request: Request) -> None:
        """Raises Invalid with every parameter that is unknown or not written as documented. A moment whose plus
        arrived as a blank is mended in the request's scope."""
        errors: list[dict[str, str]] = []
        items = list(request.query_params.multi_items())
        mended = []
        for name, text in items:
            if name not in self._query:
                errors.append({"field": name, "reason": self._unknown()})
                continue
            read = self._query[name]
            right = spelling.with_its_plus(text) if read is spelling.moment else text
            mended.append((name, right))
            errors += _fault(name, right, read)
        for name, read in self._path.items():
            errors += _fault(name, str(request.path_params.get(name, "")), read)
        if errors:
            raise Invalid(f"{errors[0]['field']}: {errors[0]['reason']}", field=errors[0]["field"], errors=errors)
        if mended != items:
            request.scope["query_string"] = urlencode(mended).encode()

    def _unknown(self) -> str:
        known = ", ".join(sorted(self._query))
        return f"is no parameter of this route; it knows {known}" if known else "this route takes no parameters"


def _reader(annotation: Any) -> Callable[[str], Any] | None:
    """How the one kind of value that a parameter takes is written; None for texts, which have rules of their own."""
    kinds = _kinds(TypeAdapter(annotation).core_schema)
    return _READERS.get(kinds.pop()) if len(kinds) == 1 else None


def _fault(name: str, text: str, read: Callable[[str], Any] | None) -> list[dict[str, str]]:
    if read is None:
        return []
    try:
        read(text)
    except ValueError as wrong:
        hint = "; percent-encode its plus (%2B)" if read is spelling.moment and " " in text else ""
        return [{"field": name, "reason": f"{wrong}{hint}"}]
    return []
