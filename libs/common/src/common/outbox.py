"""Events leave a service only through here: committed with the state that they tell of."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import msgspec

from common import envelope
from common.database import OutboxRow, Session
from common.events import Event
from common.ids import new_id
from common.telemetry import current_traceparent

_headers_encoder = msgspec.msgpack.Encoder()


def pack_headers(headers: envelope.Headers) -> bytes:
    """Headers as stored in the outbox."""
    return _headers_encoder.encode(list(headers))


def unpack_headers(packed: bytes) -> list[tuple[str, bytes]]:
    """Headers as aiokafka takes them."""
    return _unpacker.decode(packed)


_unpacker = msgspec.msgpack.Decoder(list[tuple[str, bytes]])


def add(
    session: Session,
    event: Event,
    *,
    event_id: UUID | None = None,
    time: datetime | None = None,
    traceparent: str | None = None,
) -> None:
    """Publish `event` once the transaction commits; nothing is published when it does not.

    Rows are written in one statement at the commit, so that per key the order of publication is that of the commits.
    `time` is the CloudEvents time (default: the event's `occurred_at`, else now); `traceparent` defaults to the trace
    of the work at hand.
    """
    stamp = time or getattr(event, "occurred_at", None) or datetime.now(UTC)
    headers, value = envelope.encode(
        event,
        event_id=event_id or new_id(),
        source=session.source,
        time=stamp,
        traceparent=traceparent or current_traceparent(),
    )
    session.outbox.append(OutboxRow(event.TOPIC, event.key.encode(), pack_headers(headers), value))


def add_record(session: Session, topic: str, key: bytes | None, headers: envelope.Headers, value: bytes | None) -> None:
    """Publish a raw record once the transaction commits: for dead letters and their redriving."""
    session.outbox.append(OutboxRow(topic, key, pack_headers(headers), value))
