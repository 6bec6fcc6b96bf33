"""Our Kafka binding beside the reference implementation's, in both directions."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event, to_binary_event
from cloudevents.core.v1.event import CloudEvent
from common import envelope
from common.events import CATALOGUE, Event
from common.ids import new_id
from hypothesis import given
from hypothesis import strategies as st

from .published import GOLDEN

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
MOMENT = datetime(2026, 11, 20, 12, 30, 15, 123456, tzinfo=UTC)


def example(kind: str) -> Event:
    headers = [("ce_type", kind.encode()), ("ce_id", str(new_id()).encode()), ("ce_source", b"x")]
    return envelope.decode(headers, (GOLDEN / f"{kind}.json").read_bytes()).event


def ours(event: Event, identifier: UUID, time: datetime = MOMENT) -> KafkaMessage:
    headers, value = envelope.encode(event, event_id=identifier, source="routing", time=time, traceparent=TRACE)
    assert len(dict(headers)) == len(headers), "no header is sent twice"
    return KafkaMessage(headers=dict(headers), key=event.key.encode(), value=value)


@pytest.mark.parametrize("kind", sorted(CATALOGUE))
def test_the_reference_implementation_reads_what_we_write(kind: str) -> None:
    event, identifier = example(kind), new_id()
    read = from_binary_event(ours(event, identifier))
    assert read.get_attributes() == {
        "specversion": "1.0",
        "id": str(identifier),
        "source": "routing",
        "type": kind,
        "subject": event.subject,
        "time": MOMENT,
        "tenantid": event.tenant_id,
        "datacontenttype": "application/json",
        "partitionkey": event.key,
    }
    assert read.get_data() == json.loads((GOLDEN / f"{kind}.json").read_bytes())


@pytest.mark.parametrize("kind", sorted(CATALOGUE))
def test_we_read_what_the_reference_implementation_writes(kind: str) -> None:
    event, identifier = example(kind), new_id()
    attributes: dict[str, Any] = {
        "id": str(identifier),
        "source": "routing",
        "type": kind,
        "specversion": "1.0",
        "subject": event.subject,
        "time": MOMENT,
        "tenantid": event.tenant_id,
        "datacontenttype": "application/json",
        "partitionkey": event.key,
    }
    message = to_binary_event(CloudEvent(attributes, json.loads((GOLDEN / f"{kind}.json").read_bytes())))
    read = envelope.decode(list(message.headers.items()), message.value)
    assert (read.id, read.source, read.type, read.time, read.event) == (identifier, "routing", kind, MOMENT, event)
    assert message.key == event.key
    theirs = {name: value for name, value in message.headers.items() if name != "ce_partitionkey"}
    mine = {name: value for name, value in ours(event, identifier).headers.items() if name != "traceparent"}
    assert {**theirs, "ce_time": b""} == {**mine, "ce_time": b""}


@given(
    st.datetimes(
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-3))])
    )
)
def test_both_mean_the_same_moment(time: datetime) -> None:
    event = example("case.closed.v1")
    message = ours(event, new_id(), time)
    read = from_binary_event(message).get_time()
    assert read == time
    assert envelope.decode(list(message.headers.items()), message.value).time == time


def test_the_trace_context_travels_beside_the_attributes() -> None:
    message = ours(example("case.closed.v1"), new_id())
    assert message.headers["traceparent"] == TRACE.encode()
    assert envelope.decode(list(message.headers.items()), message.value).traceparent == TRACE
