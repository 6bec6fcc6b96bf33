"""Events that could not be handled: set aside with their cause, listed, shown, and redriven by an operator.

A redriven record goes back to its topic with the header `redriven_for`, so that only the group that failed reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from common import envelope, outbox
from common.database import Session
from common.errors import Conflict, DeadLetterLimit, NotFound
from common.ids import derived_id
from common.topics import BY_NAME

WINDOW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record set aside."""

    topic: str
    partition: int
    position: int
    key: bytes | None
    headers: envelope.Headers
    value: bytes | None
    cause: str


def of(record: Any, cause: str) -> DeadLetter:
    """A Kafka record with the cause of its death."""
    headers = [(name, value) for name, value in record.headers if name != "redriven_for"]
    return DeadLetter(record.topic, record.partition, record.offset, record.key, headers, record.value, cause)


def redriven_for_another(headers: envelope.Headers, group: str) -> bool:
    """Whether the record came back for a group other than this one."""
    return any(name == "redriven_for" and value != group.encode() for name, value in headers)


async def add(session: Session, dead: Sequence[DeadLetter], *, group: str, limit: int) -> None:
    """Store the records and publish them on `<topic>.dead-letters`; a record that is there already is left alone.

    Raises DeadLetterLimit when more than `limit` died within the last hour: then nothing of this is kept.
    """
    for letter in dead:
        kind = envelope.event_type(letter.headers)
        added = await session.fetchval(
            """
            INSERT INTO dead_letters (id, consumer_group, topic, partition, position, key, headers, value, type, cause)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING RETURNING id
            """,
            derived_id("dead-letter", group, letter.topic, str(letter.partition), str(letter.position)),
            group,
            letter.topic,
            letter.partition,
            letter.position,
            letter.key,
            outbox.pack_headers(letter.headers),
            letter.value,
            None if kind is None else kind.replace("\x00", ""),
            letter.cause.replace("\x00", ""),
        )
        if added is not None:
            headers = [
                *letter.headers,
                ("dead_letter_cause", letter.cause.encode()),
                ("dead_letter_group", group.encode()),
                ("dead_letter_record", f"{letter.topic}/{letter.partition}/{letter.position}".encode()),
            ]
            topic = BY_NAME[letter.topic].dead_letters if letter.topic in BY_NAME else f"{letter.topic}.dead-letters"
            outbox.add_record(session, topic, letter.key, headers, letter.value)
    recent = await session.fetchval(
        "SELECT count(*) FROM dead_letters WHERE died_at > now() - $1::interval AND redriven_at IS NULL", WINDOW
    )
    if recent > limit:
        raise DeadLetterLimit(f"{recent} events of {group} died within an hour; the limit is {limit}")


async def redrive(session: Session, letter_id: UUID, *, actor: str) -> None:
    """Send the record back to its topic for the group that failed, with an audit line, in the transaction at hand.

    Its effect stays exactly-once: the inbox knows whether it has been handled in the meantime.
    Raises NotFound, or Conflict when it was redriven already.
    """
    row = await session.fetchrow("SELECT * FROM dead_letters WHERE id = $1 FOR UPDATE", letter_id)
    if row is None:
        raise NotFound(f"no dead letter {letter_id}")
    if row["redriven_at"] is not None:
        raise Conflict(f"dead letter {letter_id} was redriven at {row['redriven_at'].isoformat()}")
    headers = [*outbox.unpack_headers(row["headers"]), ("redriven_for", row["consumer_group"].encode())]
    outbox.add_record(session, row["topic"], row["key"], headers, row["value"])
    await session.execute(
        "UPDATE dead_letters SET redriven_at = now(), redriven_by = $2 WHERE id = $1", letter_id, actor
    )
    await session.execute(
        "INSERT INTO audit (tenant_id, actor, action, subject) VALUES ('floor', $1, 'dead_letter.redriven', $2)",
        actor,
        str(letter_id),
    )
