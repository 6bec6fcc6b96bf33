"""Live streams (server-sent events): what an agent's desktop and a PBX are told.

Each replica reads the topics `calls` and `agents` from their end and gives each event to whoever listens. A stream
begins with a `snapshot` from the database; a reader that falls behind, or whose replica has lost the broker, is
disconnected and begins again with a new snapshot.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import KafkaError
from common import envelope
from common.auth import Role
from common.database import Database
from common.errors import Forbidden, InvalidEvent
from common.events import (
    AgentLoggedIn,
    AgentLoggedOut,
    AgentStateChanged,
    CallAbandoned,
    CallAnswered,
    CallAssigned,
    CallbackDialled,
    CallbackFailed,
    CallConferenced,
    CallConsultationBegun,
    CallConsultationEnded,
    CallEnded,
    CallEvent,
    CallMachineDetected,
    CallOfferMissed,
    CallWrappedUp,
    ConsultationAnswered,
    ConsultationAssigned,
    ConsultationEnded,
    ConsultationEvent,
    ConsultationOfferMissed,
    Event,
)
from common.events.routing import AgentEvent
from common.http import Caller, PlainRouter, require
from common.kafka import Kafka
from common.stops import to_retry
from fastapi import Depends, Request
from fastapi.responses import StreamingResponse

from routing.api.configuration import agent_view
from routing.api.state import Here, SlugPath, check_floor
from routing.store import configuration as store
from routing.store.reading import agent_of

log = logging.getLogger(__name__)

TOPICS = ("calls", "agents")


class Sent(msgspec.Struct, frozen=True):
    """One server-sent event."""

    name: str
    data: Any
    id: str | None = None

    def encoded(self) -> bytes:
        """As it goes over the wire."""
        identity = f"id: {self.id}\n" if self.id else ""
        return f"{identity}event: {self.name}\ndata: ".encode() + msgspec.json.encode(self.data) + b"\n\n"


class Seen(msgspec.Struct, frozen=True):
    """An event as the readers get it. `ringing_at`: the agent a call rang at until this event, if known."""

    id: str
    event: Event
    ringing_at: str | None


def command_of(event: CallEvent | ConsultationEvent, seen: Seen, name: str, **more: Any) -> Sent:
    """What a PBX has to do for the call or consultation."""
    about = {
        "call_id": event.call_id,
        "external_id": event.external_id,
        "queue_id": event.queue_id,
        "tenant_id": event.tenant_id,
    }
    return Sent(name, {**about, **more}, seen.id)


class Reader:
    """One open stream. `closed` once it is too far behind."""

    def __init__(self, backlog: int) -> None:
        self._queue: asyncio.Queue[Seen | None] = asyncio.Queue(backlog + 1)
        self._backlog = backlog
        self.closed = False

    def offer(self, seen: Seen) -> None:
        if self._queue.qsize() >= self._backlog:
            self.close()
        elif not self.closed:
            self._queue.put_nowait(seen)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._queue.put_nowait(None)

    async def take(self) -> Seen | None:
        """The next event; None when the stream is over."""
        return await self._queue.get()


class Streams:
    """Reads the topics for all streams of this process."""

    def __init__(self, kafka: Kafka, *, backlog: int, heartbeat_seconds: float) -> None:
        self._kafka = kafka
        self._backlog = backlog
        self._heartbeat_seconds = heartbeat_seconds
        self._readers: set[Reader] = set()
        self._ringing: dict[str, str] = {}
        self.ready = asyncio.Event()
        """Set while the topics are being read: a stream that begins now misses nothing."""

    async def run(self) -> None:
        """For ever. When the broker is lost for good, the streams end and everything begins anew."""
        delay = 0.1
        while True:
            consumer = self._kafka.consumer(None, auto_offset_reset="latest")
            consumer.subscribe(TOPICS)
            try:
                await consumer.start()
                for partition in consumer.assignment():
                    await consumer.position(partition)
                self.ready.set()
                delay = 0.1
                await self._read(consumer)
            except KafkaError as failure:
                if not to_retry(failure):
                    raise
                log.warning("streams begin anew: %s", failure)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 5.0)
            finally:
                self.ready.clear()
                self._ringing.clear()
                self.close()
                await self._kafka.leave(consumer)

    def close(self) -> None:
        """End every open stream."""
        for reader in self._readers:
            reader.close()

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            for records in (await self._kafka.poll(consumer)).values():
                for record in records:
                    self._spread(record)

    def _spread(self, record: ConsumerRecord[bytes, bytes]) -> None:
        if not self._readers:
            return
        try:
            event = envelope.decode(record.headers, record.value).event
        except InvalidEvent as wrong:
            log.warning("%s[%d]@%d cannot be shown: %s", record.topic, record.partition, record.offset, wrong)
            return
        seen = Seen(f"{record.topic}-{record.partition}-{record.offset}", event, self._note(event))
        for reader in self._readers:
            reader.offer(seen)

    def _note(self, event: Event) -> str | None:
        """Where a call rang until this event; remembers where it rings from now on."""
        match event:
            case CallAssigned() | ConsultationAssigned():
                self._ringing[event.call_id] = event.agent_id
                return None
            case CallOfferMissed() | CallAnswered() | CallAbandoned() | CallbackDialled():
                return self._ringing.pop(event.call_id, None)
            case ConsultationOfferMissed() | ConsultationAnswered() | ConsultationEnded():
                return self._ringing.pop(event.call_id, None)
            case _:
                return None

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """An open stream's share of the events."""
        reader = Reader(self._backlog)
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)
            if not self._readers:
                self._ringing.clear()

    async def lines(self, reader: Reader, shown: Callable[[Seen], list[Sent]]) -> AsyncIterator[bytes]:
        """The stream's bytes, until it is over; a comment whenever it has been quiet for a while."""
        while True:
            try:
                async with asyncio.timeout(self._heartbeat_seconds):
                    seen = await reader.take()
            except TimeoutError:
                yield b": still here\n\n"
                continue
            if seen is None:
                return
            for sent in shown(seen):
                yield sent.encoded()


router = PlainRouter(tags=["streams"])
STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "Server-sent events, until the client leaves", "content": {"text/event-stream": {}}}
}


def streamed(lines: AsyncIterator[bytes]) -> StreamingResponse:
    """The lines as an answer that no proxy stores or holds back."""
    return StreamingResponse(
        lines, media_type="text/event-stream", headers={"cache-control": "no-store", "x-accel-buffering": "no"}
    )


@router.get(
    "/agents/{agent_id}/stream",
    dependencies=[
        require(Role.OPERATOR, Role.SUPERVISOR, Role.SERVICE, Role.AGENT),
        Depends(check_floor),
    ],
    response_class=StreamingResponse,
    responses=STREAM,
)
async def stream_agent(agent_id: SlugPath, caller: Caller, here: Here, request: Request) -> StreamingResponse:
    """What an agent's desktop shows: `snapshot` (the agent, as `GET /v1/agents/{id}`), then `offer`, `offer_withdrawn`,
    `call` (answered, ended, wrapped up; an answering machine detected; the customer of a callback dialled, or not
    reached), `consultation` (for the
    agent who asks: begun, ringing, missed, answered, conferenced, ended; for the one who is asked: answered, ended) and
    `state`, each with the event's data. An `offer` with `callback` is of a caller who has hung up: they are dialled
    once it is accepted. The offer of a consultation names the call that it `consults` and who it was `asked_by`. An
    agent sees only their own."""
    if caller.subject != agent_id and not caller.has(Role.OPERATOR, Role.SUPERVISOR, Role.SERVICE):
        raise Forbidden("an agent sees only their own stream")
    await here.directory.agent(agent_id)
    return streamed(_agent_lines(agent_id, here.streams, request.app.state.runtime.database))


async def _agent_lines(agent_id: str, streams: Streams, database: Database) -> AsyncIterator[bytes]:
    await streams.ready.wait()
    with streams.reader() as reader:
        async with database.transaction() as session:
            row = await store.agent(session, agent_id)
        if row is None:
            return
        saved = agent_of(row["saved"])
        sequence = saved.sequence if saved else 0
        yield Sent("snapshot", agent_view(row).model_dump()).encoded()
        async for line in streams.lines(reader, lambda seen: for_agent(agent_id, sequence, seen)):
            yield line


def for_agent(agent_id: str, known: int, seen: Seen) -> list[Sent]:
    """What an agent's desktop is told of an event. `known`: sequence of the agent's event that the snapshot shows."""
    event = seen.event
    match event:
        case ConsultationEvent():
            return _of_consultation(agent_id, event, seen)
        case CallConsultationBegun(agent_id=who) | CallConferenced(agent_id=who) if who == agent_id:
            return [Sent("consultation", _told(event), seen.id)]
        case CallConsultationEnded(agent_id=who) if who == agent_id:
            return [Sent("consultation", _told(event), seen.id)]
        case CallAssigned(agent_id=who) if who == agent_id:
            return [Sent("offer", _told(event), seen.id)]
        case CallOfferMissed(agent_id=who, reason=reason) if who == agent_id:
            return [Sent("offer_withdrawn", {"call_id": event.call_id, "reason": reason}, seen.id)]
        case CallAbandoned(call_id=call_id) if seen.ringing_at == agent_id:
            return [Sent("offer_withdrawn", {"call_id": call_id, "reason": "abandoned"}, seen.id)]
        case CallAnswered(agent_id=who) | CallEnded(agent_id=who) | CallWrappedUp(agent_id=who) if who == agent_id:
            return [Sent("call", _told(event), seen.id)]
        case CallbackDialled(agent_id=who) | CallbackFailed(agent_id=who) if who == agent_id:
            return [Sent("call", _told(event), seen.id)]
        case CallMachineDetected(agent_id=who) if who == agent_id:
            return [Sent("call", _told(event), seen.id)]
        case AgentLoggedIn() | AgentStateChanged() | AgentLoggedOut() if event.agent_id == agent_id:
            return [Sent("state", _told(event), seen.id)] if event.sequence > known else []
        case _:
            return []


def _of_consultation(agent_id: str, event: ConsultationEvent, seen: Seen) -> list[Sent]:
    """For the agent who asks, and for the one who is asked."""
    if event.asked_by == agent_id:
        return [] if isinstance(event, ConsultationEnded) else [Sent("consultation", _told(event), seen.id)]
    match event:
        case ConsultationAssigned(agent_id=who) if who == agent_id:
            return [Sent("offer", _told(event), seen.id)]
        case ConsultationOfferMissed(agent_id=who, reason=reason) if who == agent_id:
            return [Sent("offer_withdrawn", {"call_id": event.call_id, "reason": reason}, seen.id)]
        case ConsultationEnded(agent_id=who, outcome=outcome) if who == agent_id and seen.ringing_at == agent_id:
            return [Sent("offer_withdrawn", {"call_id": event.call_id, "reason": outcome}, seen.id)]
        case ConsultationAnswered(agent_id=who) | ConsultationEnded(agent_id=who) if who == agent_id:
            return [Sent("consultation", _told(event), seen.id)]
        case _:
            return []


def _told(event: CallEvent | ConsultationEvent | AgentEvent) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.to_builtins(event)
    return {"type": event.TYPE, **data}
