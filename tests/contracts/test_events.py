"""What was published stays readable: golden files, schemas, and the AsyncAPI document."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from common import asyncapi, envelope
from common.events import CATALOGUE
from common.topics import TOPICS

from .published import GOLDEN, SCHEMAS, compatible, schema_text

TYPES = sorted(CATALOGUE)
DOCUMENT = Path(__file__).parents[2] / "docs" / "asyncapi.json"


def golden(kind: str) -> bytes:
    """The value of one record, as it was published."""
    path = GOLDEN / f"{kind}.json"
    assert path.exists(), f"write {path.name}: an example of the event with every field filled"
    return msgspec.json.format(path.read_bytes().strip(), indent=0)


def test_nothing_published_is_left_out_or_taken_back() -> None:
    for folder in (GOLDEN, SCHEMAS):
        assert {path.stem for path in folder.iterdir()} == set(TYPES), f"{folder.name} and the catalogue differ"


@pytest.mark.parametrize("kind", TYPES)
def test_golden_files_are_read_and_written_alike(kind: str) -> None:
    value = golden(kind)
    headers = [("ce_type", kind.encode()), ("ce_id", b"01976f3e-0000-7000-8000-000000000001"), ("ce_source", b"x")]
    read = envelope.decode(headers, value)
    assert type(read.event) is CATALOGUE[kind]
    _, written = envelope.encode(read.event, event_id=read.id, source=read.source, time=read.time, traceparent=None)
    assert re.sub(rb"\s", b"", written) == re.sub(rb"\s", b"", value)


@pytest.mark.parametrize("kind", TYPES)
def test_golden_files_fill_every_field(kind: str) -> None:
    empty = {name for name, value in json.loads(golden(kind)).items() if value is None}
    assert empty == set()
    assert set(json.loads(golden(kind))) == {field.encode_name for field in msgspec.structs.fields(CATALOGUE[kind])}


@pytest.mark.parametrize("kind", TYPES)
def test_fields_with_a_default_may_be_missing_and_unknown_ones_present(kind: str) -> None:
    cls = CATALOGUE[kind]
    required = {field.encode_name for field in msgspec.structs.fields(cls) if field.required}
    old = {name: value for name, value in json.loads(golden(kind)).items() if name in required}
    new = {**json.loads(golden(kind)), "added_in_a_later_release": {"any": ["thing"]}}
    for data in (old, new):
        assert isinstance(msgspec.json.decode(json.dumps(data), type=cls), cls)


@pytest.mark.parametrize("kind", TYPES)
def test_a_published_version_never_changes_incompatibly(kind: str) -> None:
    published, present = (SCHEMAS / f"{kind}.json").read_text(), schema_text(CATALOGUE[kind])
    assert compatible(published, present), f"{kind}: readers of what was published would break; publish a new version"
    assert published == present, "a compatible change: run `python tests/contracts/published.py`"


def _remove(schema: dict[str, Any]) -> None:
    del schema["properties"]["closed_at"]
    schema["required"].remove("closed_at")


def _rename(schema: dict[str, Any]) -> None:
    schema["properties"]["tenant"] = schema["properties"].pop("tenant_id")
    schema["required"][schema["required"].index("tenant_id")] = "tenant"


def _require(schema: dict[str, Any]) -> None:
    schema["properties"]["agent_id"] = {"type": "string"}
    schema["required"].append("agent_id")


def _retype(schema: dict[str, Any]) -> None:
    schema["properties"]["closing"] = {"type": "string"}


def _narrow(schema: dict[str, Any]) -> None:
    schema["properties"]["disposition"] = {"enum": ["settled"]}


def _demand(schema: dict[str, Any]) -> None:
    schema["required"].append("call_id")


@pytest.mark.parametrize("plant", [_remove, _rename, _require, _retype, _narrow, _demand])
def test_a_planted_incompatible_change_is_found(plant: Callable[[dict[str, Any]], None]) -> None:
    published = (SCHEMAS / "case.closed.v1.json").read_text()
    changed = json.loads(published)
    plant(changed["$defs"]["CaseClosed"])
    assert not compatible(published, json.dumps(changed))


def test_an_optional_field_may_be_added() -> None:
    published = (SCHEMAS / "case.closed.v1.json").read_text()
    changed = copy.deepcopy(json.loads(published))
    changed["$defs"]["CaseClosed"]["properties"]["agent_id"] = {
        "anyOf": [{"type": "string"}, {"type": "null"}],
        "default": None,
    }
    assert compatible(published, json.dumps(changed))


def test_the_asyncapi_document_is_current() -> None:
    assert json.loads(DOCUMENT.read_text()) == json.loads(json.dumps(asyncapi.document())), (
        "run `python -m common.asyncapi > docs/asyncapi.json`"
    )


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "$ref":
                yield value
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for each in node:
            yield from _references(each)


def test_the_asyncapi_document_is_whole() -> None:
    document = asyncapi.document()
    assert document["asyncapi"] == "3.0.0"
    for reference in set(_references(document)):
        found = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
    told = {kind for channel in document["channels"].values() for kind in channel["messages"]}
    assert told == set(CATALOGUE)
    assert {channel["address"] for channel in document["channels"].values()} >= {topic.name for topic in TOPICS}
    description = document["components"]["schemas"]["CaseClosed"]["properties"]["queue_id"]["description"]
    assert description == "Queue of the call that opened the case."


@pytest.mark.parametrize("kind", TYPES)
def test_golden_files_fit_the_asyncapi_document(kind: str) -> None:
    document = asyncapi.document()
    schema = {**document["components"]["messages"][kind]["payload"], "components": document["components"]}
    jsonschema_rs.validate(schema, json.loads(golden(kind)))
