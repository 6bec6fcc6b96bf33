"""The AsyncAPI 3.0 document of all topics and events, made from the two catalogues and the services' subscriptions.

    python -m common.asyncapi > docs/asyncapi.json

A test holds the committed document current. Descriptions are the docstrings of event classes and of their fields.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from importlib.metadata import version
from typing import Any

import msgspec

from common.events import CATALOGUE, Event
from common.topics import DEAD_LETTER_PARTITIONS, DEAD_LETTER_RETENTION, TOPICS, Topic

_DESCRIPTION = """\
Events of Plateau, the back end of a contact centre: CloudEvents 1.0 in binary mode over Kafka (attributes in headers,
the event as JSON in the value). Deliveries may repeat; `(ce_source, ce_id)` names an event for ever. Events of one key
keep their order. Readers ignore unknown fields."""

_HEADERS = {
    "ce_specversion": ("1.0", "Version of CloudEvents"),
    "ce_id": (None, "UUIDv7; with ce_source it names the event for ever"),
    "ce_source": (None, "The service that wrote it"),
    "ce_type": (None, "Name and version of the event"),
    "ce_subject": (None, "Id of what the event is about"),
    "ce_time": (None, "When it happened, RFC 3339"),
    "ce_tenantid": (None, "The tenant that it belongs to"),
    "content-type": ("application/json", "Of the value"),
}
_OPTIONAL_HEADERS = {"traceparent": (None, "W3C trace context of the work that caused it")}

_BINDING = "0.5.0"


def document() -> dict[str, Any]:
    """The document as JSON-ready data, the same for the same catalogues and services."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Plateau events",
            "version": version("common"),
            "description": _DESCRIPTION,
        },
        "defaultContentType": "application/json",
        "channels": {
            name: channel
            for topic in TOPICS
            for name, channel in ((topic.name, _channel(topic)), (topic.dead_letters, _dead_letters(topic)))
        },
        "operations": {name: operation for topic in TOPICS for name, operation in _operations(topic)},
        "components": {
            "messages": {kind: _message(cls) for kind, cls in CATALOGUE.items()},
            "messageTraits": {"cloudEvent": {"headers": _headers()}},
            "schemas": _schemas(),
        },
    }


def field_descriptions(cls: type[Event]) -> dict[str, str]:
    """The docstring below each field of the class and of its bases."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not (isinstance(base, type) and issubclass(base, Event)):
            continue
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(definition, ast.ClassDef)
        for field, below in zip(definition.body, definition.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
                and isinstance(below.value.value, str)
            ):
                found[field.target.id] = inspect.cleandoc(below.value.value)
    return found


def _channel(topic: Topic) -> dict[str, Any]:
    readers = ", ".join(topic.read_by)
    retention = -1 if topic.retention is None else int(topic.retention.total_seconds() * 1000)
    return {
        "address": topic.name,
        "description": f"Written by {topic.written_by}; read by {readers}.",
        "messages": {kind: {"$ref": f"#/components/messages/{kind}"} for kind in _types(topic)},
        "bindings": {"kafka": _kafka(topic.partitions, retention)},
    }


def _dead_letters(topic: Topic) -> dict[str, Any]:
    return {
        "address": topic.dead_letters,
        "description": f"Records of `{topic.name}` that a reader could never handle; headers name the cause.",
        "messages": {},
        "bindings": {
            "kafka": _kafka(DEAD_LETTER_PARTITIONS, int(DEAD_LETTER_RETENTION.total_seconds() * 1000)),
        },
    }


def _kafka(partitions: int, retention_ms: int) -> dict[str, Any]:
    return {
        "partitions": partitions,
        "topicConfiguration": {"retention.ms": retention_ms},
        "bindingVersion": _BINDING,
    }


def _operations(topic: Topic) -> list[tuple[str, dict[str, Any]]]:
    def operation(service: str, action: str, verb: str) -> tuple[str, dict[str, Any]]:
        return f"{service}.{verb}.{topic.name}", {
            "action": action,
            "channel": {"$ref": f"#/channels/{topic.name}"},
            "summary": f"{service} {verb} {topic.name}",
            "tags": [{"name": service}],
        }

    return [
        operation(topic.written_by, "send", "writes"),
        *(operation(service, "receive", "reads") for service in topic.read_by),
    ]


def _message(cls: type[Event]) -> dict[str, Any]:
    return {
        "name": cls.TYPE,
        "title": cls.__name__,
        "summary": inspect.getdoc(cls) or "",
        "contentType": "application/json",
        "traits": [{"$ref": "#/components/messageTraits/cloudEvent"}],
        "payload": {"$ref": f"#/components/schemas/{cls.__name__}"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": "Events of one key keep their order"},
                "bindingVersion": _BINDING,
            }
        },
    }


def _headers() -> dict[str, Any]:
    def header(constant: str | None, description: str) -> dict[str, Any]:
        return {"type": "string", "description": description, **({} if constant is None else {"const": constant})}

    return {
        "type": "object",
        "properties": {name: header(*about) for name, about in (_HEADERS | _OPTIONAL_HEADERS).items()},
        "required": list(_HEADERS),
    }


def _schemas() -> dict[str, Any]:
    classes = list(CATALOGUE.values())
    _, schemas = msgspec.json.schema_components(classes, ref_template="#/components/schemas/{name}")
    for cls in classes:
        schema = schemas[cls.__name__]
        schema.pop("description", None)
        for name, description in field_descriptions(cls).items():
            schema["properties"][name]["description"] = description
    return schemas


def _types(topic: Topic) -> list[str]:
    return [kind for kind, cls in CATALOGUE.items() if topic.name == cls.TOPIC]


def main() -> None:
    """Print the document."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document()), indent=2).decode() + "\n")


if __name__ == "__main__":
    main()
