"""The backbone against a real PostgreSQL and a real Kafka protocol: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from common import dead_letters, envelope, outbox
from common.clock import SystemClock
from common.consumer import Consumer, Delivery, per_event
from common.database import Database, Session
from common.errors import DeadLetterLimit, InvalidEvent, StaleWriter
from common.events import CaseOpened, ChargeRecorded, ContactCreated, Event
from common.ids import derived_id, new_id
from common.kafka import Kafka, partition_of
from common.outbox import unpack_headers
from common.relay import Relay
from common.testing import eventually
from plateau.servers import noida
from support import Stack, read_all

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def contact(number: int, name: str = "ada") -> ContactCreated:
    return ContactCreated(
        tenant_id="kettle", contact_id=f"c{number}", phone="+33199000000", name=name, occurred_at=NOON
    )


async def tally(session: Session, event: Event, clock: object) -> None:
    """Counts an event, and says so with another one."""
    assert isinstance(event, ContactCreated)
    if event.name == "poison":
        raise InvalidEvent("a poisoned contact")
    await session.execute(
        """
        INSERT INTO tallies VALUES ('kettle', $1, 1)
        ON CONFLICT (tenant_id, name) DO UPDATE SET count = tallies.count + 1
        """,
        event.name,
    )
    outbox.add(
        session,
        CaseOpened(
            tenant_id="kettle",
            case_id=event.contact_id,
            contact_id=event.contact_id,
            queue_id="q",
            sequence=1,
            opened_at=NOON,
            occurred_at=NOON,
            calls=1,
        ),
    )


async def count(database: Database, sql: str) -> int:
    async with database.transaction() as session:
        found: int = await session.fetchval(sql)
        return found


async def tallied(database: Database) -> int:
    return await count(database, "SELECT coalesce(sum(count), 0)::int FROM tallies")


@asynccontextmanager
async def running(*parts: Consumer | Relay) -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks = [asyncio.create_task(part.run()) for part in parts]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, DeadLetterLimit):
                await task


def consumer(stack: Stack, database: Database, **options: object) -> Consumer:
    return Consumer(
        **{  # type: ignore[arg-type]
            "group": "toy",
            "topics": ["contacts"],
            "database": database,
            "kafka": stack.kafka,
            "clock": SystemClock(),
            "handle": per_event({ContactCreated: tally}),
            "handles": [ContactCreated],
            **options,
        }
    )


async def produce(kafka: Kafka, events: Sequence[tuple[Event, UUID]], **headers: bytes) -> None:
    async with kafka.producer() as producer:
        for event, event_id in events:
            attributes, value = envelope.encode(event, event_id=event_id, source="test", time=NOON, traceparent=None)
            extra = list(headers.items())
            await producer.send_and_wait(
                event.TOPIC, value=value, key=event.key.encode(), headers=[*attributes, *extra]
            )


async def test_each_event_counts_once_though_delivered_three_times(stack: Stack, toy: Database) -> None:
    events = [(contact(n), new_id()) for n in range(200)]
    await produce(stack.kafka, events * 2)
    async with running(consumer(stack, toy), Relay(toy, stack.kafka)):
        await eventually(lambda: _is(tallied(toy), 200))
        await produce(stack.kafka, [*events, (contact(999, "last"), new_id())])
        await eventually(lambda: _is(tallied(toy), 201))
        await eventually(lambda: _is(count(toy, "SELECT count(*) FROM outbox"), 0))
    published = await read_all(stack.kafka, "cases")
    assert len({record.key for record in published}) == len(published) == 201


async def _is(found: Awaitable[int], wanted: int) -> bool:
    return await found == wanted


async def test_a_handler_that_fails_in_passing_is_retried_in_place_and_leaves_nothing_half(
    stack: Stack, toy: Database
) -> None:
    failures = 3

    async def flaky(session: Session, deliveries: Sequence[Delivery], clock: object) -> None:
        nonlocal failures
        for delivery in deliveries:
            await tally(session, delivery.event, clock)
        if failures:
            failures -= 1
            raise ConnectionResetError("the network blinked")

    await produce(stack.kafka, [(contact(n), new_id()) for n in range(20)])
    async with running(consumer(stack, toy, handle=flaky)):
        await eventually(lambda: _is(tallied(toy), 20))
    assert failures == 0
    assert await count(toy, "SELECT count(*) FROM outbox") == 20


async def test_an_event_that_can_never_be_handled_goes_to_the_dead_letters_and_the_rest_goes_on(
    stack: Stack, toy: Database
) -> None:
    events = [(contact(n, "poison" if n == 7 else "ada"), new_id()) for n in range(20)]
    await produce(stack.kafka, events)
    async with stack.kafka.producer() as producer:
        await producer.send_and_wait("contacts", value=b"{", key=b"c1", headers=[("ce_type", b"contact.created.v1")])
        attributes, _ = envelope.encode(contact(1), event_id=new_id(), source="test", time=NOON, traceparent=None)
        await producer.send_and_wait("contacts", value=b'{"tenant_id": 3}', key=b"c1", headers=attributes)
    await produce(stack.kafka, [(contact(30, "nul\x00"), new_id()), (contact(31), new_id())])
    async with running(consumer(stack, toy), Relay(toy, stack.kafka)):
        await eventually(lambda: _is(tallied(toy), 20))
        await eventually(lambda: _is(count(toy, "SELECT count(*) FROM outbox"), 0))
    async with toy.transaction() as session:
        causes = sorted(row["cause"] for row in await session.fetch("SELECT cause FROM dead_letters"))
    assert causes == [
        "CharacterNotInRepertoireError: refused by the database",
        "a poisoned contact",
        "contact.created.v1: Expected `str`, got `int` - at `$.tenant_id`",
        "header ce_id is missing",
    ]
    dead = await read_all(stack.kafka, "contacts.dead-letters")
    assert {dict(record.headers)["dead_letter_cause"].decode() for record in dead} == set(causes)


async def test_a_dead_letter_is_redriven_once_for_its_own_group(stack: Stack, toy: Database) -> None:
    healed = False

    async def handle(session: Session, event: ContactCreated, clock: object) -> None:
        if not healed:
            raise InvalidEvent("not yet")
        await tally(session, event, clock)

    other_tallies = 0

    async def other(session: Session, event: ContactCreated, clock: object) -> None:
        nonlocal other_tallies
        other_tallies += 1

    await produce(stack.kafka, [(contact(1), new_id())])
    async with running(consumer(stack, toy, handle=per_event({ContactCreated: handle})), Relay(toy, stack.kafka)):
        await eventually(lambda: _is(count(toy, "SELECT count(*) FROM dead_letters"), 1))
        healed = True
        async with toy.transaction() as session:
            letter = await session.fetchval("SELECT id FROM dead_letters")
            await dead_letters.redrive(session, letter, actor="olive")
        await eventually(lambda: _is(tallied(toy), 1))
    records = await read_all(stack.kafka, "contacts")
    assert len(records) == 2
    assert dead_letters.redriven_for_another(records[1].headers, "billing")
    assert not dead_letters.redriven_for_another(records[1].headers, "toy")
    assert await count(toy, "SELECT count(*) FROM audit WHERE action = 'dead_letter.redriven'") == 1
    assert other_tallies == 0


async def test_too_many_dead_letters_stop_the_consumer_before_the_offset_is_committed(
    stack: Stack, toy: Database
) -> None:
    await produce(stack.kafka, [(contact(n, "poison"), new_id()) for n in range(8)])
    async with running(consumer(stack, toy, dead_letter_limit=5)) as tasks:
        with pytest.raises(DeadLetterLimit):
            async with asyncio.timeout(10):
                await tasks[0]
    assert await count(toy, "SELECT count(*) FROM dead_letters") <= 5
    async with stack.kafka.admin() as admin:
        offsets = await admin.list_consumer_group_offsets("toy")
    assert all(item.offset <= 0 for item in offsets.values())


async def test_a_stale_writer_commits_nothing_and_the_consumer_joins_anew(stack: Stack, toy: Database) -> None:
    stale = True

    async def handle(session: Session, deliveries: Sequence[Delivery], clock: object) -> None:
        nonlocal stale
        for delivery in deliveries:
            await tally(session, delivery.event, clock)
        if stale:
            stale = False
            raise StaleWriter("another process owns the partition")

    await produce(stack.kafka, [(contact(1), new_id())])
    async with running(consumer(stack, toy, handle=handle)):
        await eventually(lambda: _is(tallied(toy), 1))
    assert not stale
    assert await count(toy, "SELECT count(*) FROM outbox") == 1


@pytest.mark.kafka  # noida-db strands a group when a member leaves while another commits
async def test_two_replicas_share_the_partitions_and_count_once_while_one_leaves(stack: Stack, toy: Database) -> None:
    events = [(contact(n), new_id()) for n in range(600)]
    first, second = consumer(stack, toy, max_records=7), consumer(stack, toy, max_records=7)
    async with running(first, Relay(toy, stack.kafka), Relay(toy, stack.kafka)):
        await produce(stack.kafka, events[:200])
        async with running(second):
            await produce(stack.kafka, events[200:400])
            await eventually(lambda: _at_least(tallied(toy), 250))
        await produce(stack.kafka, events[400:] + events[:50])
        await eventually(lambda: _is(tallied(toy), 600))
        await eventually(lambda: _is(count(toy, "SELECT count(*) FROM outbox"), 0))
    published = await read_all(stack.kafka, "cases")
    assert {record.key for record in published} == {f"c{n}".encode() for n in range(600)}
    assert len({dict(record.headers)["ce_id"] for record in published}) == 600


async def _at_least(found: Awaitable[int], wanted: int) -> bool:
    return await found >= wanted


@pytest.mark.kafka
async def test_a_named_replica_is_back_at_once_after_a_kill_and_leaves_at_once_when_stopped(
    stack: Stack, toy: Database
) -> None:
    """Given sessions that outlast the test, so that nothing below comes from a session's end."""
    named = [
        consumer(stack, toy, kafka=replace(stack.kafka, instance_id=name, session_timeout_ms=60_000))
        for name in ("toy-0", "toy-0", "toy-1")
    ]
    killed = named[0]._kafka.consumer("toy")
    killed.subscribe(["contacts"])
    await killed.start()
    await killed.getmany(timeout_ms=3000)
    assert killed.assignment()
    await killed._client.close()  # gone without a word, as after SIGKILL
    await produce(stack.kafka, [(contact(0), new_id())])
    async with running(named[1]) as first:
        await eventually(lambda: tallied(toy))
        async with running(named[2]):
            first[0].cancel()
            await asyncio.gather(*first, return_exceptions=True)
            await produce(stack.kafka, [(contact(n), new_id()) for n in range(1, 20)])

            async def all_of_them() -> bool:
                return await tallied(toy) == 20

            await eventually(all_of_them)
    # Whatever it says of its lost connection, cancelled fetches included.
    await asyncio.gather(killed.stop(), return_exceptions=True)


async def test_the_relay_keeps_the_order_of_a_key_and_publishes_at_once(stack: Stack, toy: Database) -> None:
    async with running(Relay(toy, stack.kafka), Relay(toy, stack.kafka), Relay(toy, stack.kafka)):
        for number in range(40):
            async with toy.transaction() as session:
                outbox.add(session, contact(1, f"{number:03}"))
                outbox.add(session, contact(2, f"{number:03}"))
        await eventually(lambda: _is(count(toy, "SELECT count(*) FROM outbox"), 0))
    for key in (b"c1", b"c2"):
        records = await read_all(stack.kafka, "contacts")
        events = [envelope.decode(record.headers, record.value).event for record in records if record.key == key]
        names = [event.name for event in events if isinstance(event, ContactCreated)]
        assert names == [f"{number:03}" for number in range(40)]


async def test_nothing_is_published_when_the_transaction_rolls_back(stack: Stack, toy: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with toy.transaction() as session:
            outbox.add(session, contact(1))
            raise ZeroDivisionError
    assert await count(toy, "SELECT count(*) FROM outbox") == 0


async def test_a_frozen_relay_gives_way(stack: Stack, toy: Database) -> None:
    holder = await toy.connect()
    try:
        await holder.execute("SET idle_in_transaction_session_timeout = '300ms'")
        await holder.execute("BEGIN")
        await holder.execute(
            "SELECT pg_advisory_xact_lock($1, hashtext(current_schema()))".replace("$1", str(0x706C6174))
        )
        async with toy.transaction() as session:
            outbox.add(session, contact(1))
        async with running(Relay(toy, stack.kafka)):
            await eventually(lambda: _is(count(toy, "SELECT count(*) FROM outbox"), 0))
    finally:
        holder.terminate()


async def test_row_level_security_hides_and_refuses_other_tenants(toy: Database) -> None:
    async with toy.transaction("kettle") as session:
        await session.execute("INSERT INTO tallies VALUES ('kettle', 'a', 1)")
    async with toy.transaction("lantern") as session:
        assert await session.fetchval("SELECT count(*) FROM tallies") == 0
        assert await session.execute("UPDATE tallies SET count = 9") == "UPDATE 0"
    async with toy.transaction("") as session:
        assert await session.fetchval("SELECT count(*) FROM tallies") == 0
    with pytest.raises(Exception, match="row-level security"):
        async with toy.transaction("lantern") as session:
            await session.execute("INSERT INTO tallies VALUES ('kettle', 'b', 1)")
    assert await tallied(toy) == 1


async def test_our_partition_is_the_one_that_kafka_clients_choose(stack: Stack) -> None:
    async with stack.kafka.producer() as producer:
        for number in range(30):
            key = f"pool-{number}".encode()
            sent = await producer.send_and_wait("routing-inputs", value=b"", key=key)
            assert sent.partition == partition_of(key, 12)


def test_the_envelope_survives_the_round_trip_and_money_stays_exact() -> None:
    from decimal import Decimal

    event = ChargeRecorded(
        tenant_id="kettle",
        charge_id=str(derived_id("a")),
        case_id="c",
        charge_code="case",
        version=1,
        amount=Decimal("0.10"),
        currency="EUR",
        tariff_version=1,
        month="2026-03",
        occurred_at=NOON,
    )
    headers, value = envelope.encode(event, event_id=new_id(), source="billing", time=NOON, traceparent="00-a-b-01")
    read = envelope.decode(unpack_headers(outbox.pack_headers(headers)), value)
    assert read.event == event
    assert b'"0.10"' in value
    assert (read.source, read.time, read.traceparent) == ("billing", NOON, "00-a-b-01")


async def test_a_producer_whose_broker_is_dead_does_not_keep_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.kafka.STOP_SECONDS", 0.2)
    async with noida(tmp_path) as broker, asyncio.timeout(60):
        await Kafka(broker.bootstrap_servers).create_topics()
        async with Kafka(broker.bootstrap_servers).producer() as producer:
            await producer.send_and_wait("cases", value=b"1")
            await broker.kill()
            unsent = await producer.send("cases", value=b"2")
        assert not unsent.done() or unsent.exception() is not None
