"""CloudEvents 1.0 over Kafka, binary mode: attributes in headers, the event as JSON in the value.

Written out here rather than through the `cloudevents` package because it stands on the hottest path (a header list
in, a struct out); a contract test holds it to that package's Kafka binding in both directions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

import msgspec

from common.errors import InvalidEvent
from common.events import CATALOGUE, Event

Headers = Sequence[tuple[str, bytes]]

_encoder = msgspec.json.Encoder(decimal_format="string")
_decoders: dict[type[Event], msgspec.json.Decoder[Event]] = {}
E_co = TypeVar("E_co", bound=Event, covariant=True)

CONTENT_TYPE = b"application/json"


@dataclass(frozen=True, slots=True)
class Envelope:
    """One event with its CloudEvents attributes. `(source, id)` names it for ever."""

    id: UUID
    source: str
    type: str
    time: datetime
    traceparent: str | None
    event: Event


def encode(
    event: Event, *, event_id: UUID, source: str, time: datetime, traceparent: str | None
) -> tuple[list[tuple[str, bytes]], bytes]:
    """Headers and value of one record."""
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", str(event_id).encode()),
        ("ce_source", source.encode()),
        ("ce_type", event.TYPE.encode()),
        ("ce_subject", event.subject.encode()),
        ("ce_time", time.isoformat().encode()),
        ("ce_tenantid", event.tenant_id.encode()),
        ("content-type", CONTENT_TYPE),
    ]
    if traceparent is not None:
        headers.append(("traceparent", traceparent.encode()))
    return headers, _encoder.encode(event)


def event_type(headers: Iterable[tuple[str, bytes]]) -> str | None:
    """The CloudEvents type of a record, without reading the rest; None when it has none."""
    for name, value in headers:
        if name == "ce_type":
            return value.decode(errors="replace")
    return None


def decode(headers: Headers, value: bytes | None, catalogue: Mapping[str, type[Event]] = CATALOGUE) -> Envelope:
    """Read one record. Raises InvalidEvent naming what is wrong, without quoting personal data."""
    attributes = dict(headers)
    try:
        kind = attributes["ce_type"].decode()
        identifier = UUID(attributes["ce_id"].decode())
        source = attributes["ce_source"].decode()
        stamp = attributes.get("ce_time")
        time = datetime.fromisoformat(stamp.decode()) if stamp is not None else datetime.now(UTC)
        traceparent = attributes["traceparent"].decode() if "traceparent" in attributes else None
    except KeyError as missing:
        raise InvalidEvent(f"header {missing.args[0]} is missing") from None
    except (ValueError, UnicodeDecodeError) as wrong:
        raise InvalidEvent(f"a CloudEvents header cannot be read: {wrong}") from None
    if time.tzinfo is None:
        raise InvalidEvent("header ce_time has no time zone")
    cls = catalogue.get(kind)
    if cls is None:
        raise InvalidEvent(f"unknown event type {kind}")
    if value is None:
        raise InvalidEvent("the record has no value")
    decoder = _decoders.get(cls)
    if decoder is None:
        decoder = _decoders[cls] = msgspec.json.Decoder(cls)
    try:
        event = decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise InvalidEvent(f"{kind}: {wrong}") from None
    return Envelope(identifier, source, kind, time, traceparent, event)
