"""The single writer: nothing half saved, nothing twice, nobody saves after losing the partition."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
from common import envelope
from common.clock import ManualClock
from common.consumer import Delivery
from common.database import Database
from common.errors import InvalidEvent, StaleWriter
from common.events import Event
from common.ids import derived_id
from common.kafka import Kafka, partition_of
from common.outbox import unpack_headers
from common.service import started
from common.testing import eventually
from common.topics import BY_NAME
from routing.config import Settings
from routing.consumer import Owner
from routing.domain import inputs
from routing.main import wire
from routing.store import configuration
from routing.store.states import forget, load
from support import Stack, read_all

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PARTITIONS = BY_NAME[inputs.TOPIC].partitions
HOME = partition_of(b"main", PARTITIONS)


async def declare(database: Database) -> None:
    """A tenant, a pool, two queues, two agents, as the API leaves them."""
    rules: dict[str, Any] = {
        "tenant_id": "kettle",
        "pool_id": "main",
        "channel": "voice",
        "required_skills": [],
        "priority": 5,
        "ageing_seconds_per_priority": 60.0,
        "service_level_seconds": 20.0,
        "short_abandon_seconds": 5.0,
        "offer_timeout_seconds": 20.0,
        "wrap_up_seconds": 30.0,
        "max_wait_seconds": None,
        "overflow_queue_id": None,
        "overflow_after_seconds": None,
        "hours": None,
    }
    async with database.transaction() as session:
        await configuration.save_tenant(session, "kettle", "Kettle", "Europe/Paris", {})
        await configuration.save_pool(session, "main", "Main", [], {}, [])
        await configuration.save_queue(session, "back-up", rules)
        overflow = {"overflow_queue_id": "back-up", "overflow_after_seconds": 60.0}
        await configuration.save_queue(session, "help", {**rules, **overflow})
        for agent_id in ("ann", "ben"):
            await configuration.save_agent(session, agent_id, "main", agent_id.title(), {}, {})


def deliveries() -> list[Delivery]:
    """A short morning, one input every ten seconds."""
    call: dict[str, Any] = {"contact_phone": "", "channel": "voice", "direction": "inbound", "queue_id": "help"}
    kinds: list[tuple[type[Any], dict[str, Any]]] = [
        (inputs.LogIn, {"agent_id": "ann"}),
        (inputs.OfferCall, {"call_id": "c1", **call}),
        (inputs.OfferCall, {"call_id": "c2", **call}),
        (inputs.Accept, {"call_id": "c1", "agent_id": "ann"}),
        (inputs.Accept, {"call_id": "c2", "agent_id": "ann"}),
        (inputs.LogIn, {"agent_id": "ben"}),
        (inputs.OfferCall, {"call_id": "c3", **call}),
        (inputs.HangUp, {"call_id": "c1"}),
        (inputs.Decline, {"call_id": "c2", "agent_id": "ben"}),
        (inputs.WrapUp, {"call_id": "c1", "agent_id": "ann", "disposition": "sold"}),
        (inputs.Tick, {}),
        (inputs.HangUp, {"call_id": "c3"}),
    ]
    made = []
    for number, (kind, fields) in enumerate(kinds):
        given = kind(tenant_id="kettle", pool_id="main", occurred_at=START + timedelta(seconds=10 * number), **fields)
        made.append(
            Delivery(
                inputs.TOPIC,
                HOME,
                number,
                derived_id(str(number)),
                "routing",
                given.TYPE,
                given,
                given.occurred_at,
                f"00-{number:032x}-0000000000000001-01",
            )
        )
    return made


@pytest.fixture
async def database(service_database: Any) -> Database:
    opened: Database = await service_database("routing")
    await declare(opened)
    return opened


async def outcome(database: Database) -> dict[str, Any]:
    """Everything that is saved and published, without the ids and times of its making."""
    async with database.transaction() as session:
        published = [
            envelope.decode(unpack_headers(row["headers"]), row["value"])
            for row in await session.fetch("SELECT headers, value FROM outbox ORDER BY id")
        ]
        return {
            "events": [(read.traceparent, msgspec.to_builtins(read.event)) for read in published],
            "calls": [dict(row) for row in await session.fetch("SELECT * FROM calls ORDER BY id")],
            "agents": [dict(row) for row in await session.fetch("SELECT * FROM agent_states ORDER BY agent_id")],
            "refusals": [
                tuple(row) for row in await session.fetch("SELECT command_id, reason FROM refusals ORDER BY 1")
            ],
            "clock": await session.fetchval("SELECT reached_at FROM pool_clocks"),
        }


async def settle(owner: Owner, database: Database, batch: Sequence[Delivery], *, crash: bool = False) -> None:
    """One batch in one transaction, as the consumer runs it."""
    async with database.transaction() as session:
        await owner.handle(session, batch, ManualClock(START))
        if crash:
            raise ConnectionError("the database goes away before the commit")


async def owner_of(database: Database, name: str = "first") -> Owner:
    """A writer that has been assigned every partition."""

    class Producer:
        async def partitions_for(self, topic: str) -> set[int]:
            return set(range(PARTITIONS))

    owner = Owner(name, database, Producer(), ManualClock(START))
    await owner.on_assigned(range(PARTITIONS))
    return owner


async def whole(database: Database) -> dict[str, Any]:
    """What comes out when nothing goes wrong."""
    await settle(await owner_of(database), database, deliveries())
    return await outcome(database)


@pytest.fixture
async def expected(service_database: Any) -> dict[str, Any]:
    reference: Database = await service_database("routing")
    await declare(reference)
    found = await whole(reference)
    assert len(found["events"]) > 20
    assert found["refusals"]
    return found


async def test_the_split_into_batches_does_not_matter(database: Database, expected: Any) -> None:
    owner = await owner_of(database)
    for delivery in deliveries():
        await settle(owner, database, [delivery])
    assert await outcome(database) == expected


async def test_a_crash_in_mid_batch_loses_and_repeats_nothing(database: Database, expected: Any) -> None:
    owner = await owner_of(database)
    for start in range(0, 12, 4):
        batch = deliveries()[start : start + 4]
        with pytest.raises(ConnectionError):
            await settle(owner, database, batch, crash=True)
        with pytest.raises(ConnectionError):
            await settle(owner, database, batch[:2], crash=True)
        await settle(owner, database, batch)
    assert await outcome(database) == expected


async def test_the_next_owner_goes_on_where_the_last_one_committed(database: Database, expected: Any) -> None:
    for start in range(0, 12, 3):
        owner = await owner_of(database, f"owner {start}")
        await settle(owner, database, deliveries()[start : start + 3])
    assert await outcome(database) == expected


async def test_a_writer_that_lost_its_partition_cannot_commit(database: Database, expected: Any) -> None:
    first = await owner_of(database, "first")
    await settle(first, database, deliveries()[:6])
    second = await owner_of(database, "second")
    with pytest.raises(StaleWriter):
        await settle(first, database, deliveries()[6:])
    await settle(second, database, deliveries()[6:])
    with pytest.raises(StaleWriter):
        await settle(first, database, deliveries()[6:])
    assert await outcome(database) == expected


async def test_a_writer_frozen_before_its_commit_is_cut_off(database: Database, expected: Any) -> None:
    """SIGSTOP in the middle of a transaction, seen from the database."""
    first = await owner_of(database, "first")
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, ConnectionError)):
        async with database.transaction(idle_seconds=1) as session:
            await first.handle(session, deliveries()[:6], ManualClock(START))
            second = await owner_of(database, "second")
            await settle(second, database, deliveries())
    assert await outcome(database) == expected


async def test_a_partition_that_is_not_held_is_not_written(database: Database) -> None:
    owner = await owner_of(database)
    await owner.on_revoked(())
    with pytest.raises(StaleWriter):
        await settle(owner, database, deliveries())
    assert (await outcome(database))["events"] == []


async def test_an_input_for_a_pool_that_nobody_declared_can_never_be_handled(database: Database) -> None:
    owner = await owner_of(database)
    stray = deliveries()[0]
    given = inputs.Tick(tenant_id="floor", pool_id="none", occurred_at=START)
    wrong = Delivery(stray.topic, 0, 0, stray.id, "routing", given.TYPE, given, START, None)
    with pytest.raises(InvalidEvent, match="no pool none"):
        await settle(owner, database, [wrong])


async def test_a_saved_pool_is_the_pool(database: Database) -> None:
    owner = await owner_of(database)
    await settle(owner, database, deliveries()[:9])
    async with database.transaction() as session:
        loaded = (await load(session, ["main"]))["main"]
    held = owner._pools[HOME]["main"]
    assert (loaded.now, loaded.calls, loaded.agents) == (held.now, held.calls, held.agents)
    assert loaded.next_due() == held.next_due()


async def test_calls_that_are_over_are_forgotten_in_the_end(database: Database) -> None:
    await settle(await owner_of(database), database, deliveries()[:10])
    async with database.transaction() as session:
        over = [
            (row["id"], row["over_at"]) for row in await session.fetch("SELECT * FROM calls WHERE NOT live ORDER BY id")
        ]
        assert over == [("c1", START + timedelta(seconds=70))]
        await forget(session, START + timedelta(seconds=70))
        assert await session.fetchval("SELECT count(*) FROM calls WHERE NOT live") == 1
        await forget(session, START + timedelta(seconds=71))
        left = [row["id"] for row in await session.fetch("SELECT id FROM calls ORDER BY id")]
        assert left == ["c2", "c3"]


async def test_every_input_twice_gives_the_same(stack: Stack, expected: Any) -> None:
    """Through Kafka and the inbox: each record is there twice, the second time after a restart of the service too."""
    settings = stack.settings(Settings, "routing", clock_origin=START - timedelta(days=1))
    async with Database(settings.database_url.get_secret_value(), source="routing") as opened:
        await declare(opened)
        for _ in range(2):
            async with started("routing", settings, wire) as running:
                assert running.runtime.producer is not None
                for delivery in deliveries():
                    headers, value = envelope.encode(
                        delivery.event,
                        event_id=delivery.id,
                        source=delivery.source,
                        time=delivery.time,
                        traceparent=delivery.traceparent,
                    )
                    for _ in range(2):
                        await running.runtime.producer.send_and_wait(
                            inputs.TOPIC, value, key=delivery.event.key.encode(), headers=headers
                        )
                await handled(opened, stack.kafka)
        published = [*await published_on(stack.kafka, "calls"), *await published_on(stack.kafka, "agents")]
        wanted = [event for _, event in expected["events"]]
        assert sorted(published, key=str) == sorted(wanted, key=str)
        found = await outcome(opened)
        assert found["calls"] == expected["calls"]
        assert found["agents"] == expected["agents"]


async def handled(database: Database, kafka: Kafka) -> None:
    """Wait until every input is decided and every event published."""

    async def done() -> bool:
        async with database.transaction() as session:
            known = await session.fetchval("SELECT count(*) FROM inbox")
            waiting = await session.fetchval("SELECT count(*) FROM outbox")
        return bool(known >= len(deliveries()) and waiting == 0)

    await eventually(done)


async def published_on(kafka: Kafka, topic: str) -> list[dict[str, Any]]:
    events: list[Event] = [
        envelope.decode(record.headers, record.value).event for record in await read_all(kafka, topic)
    ]
    return [msgspec.to_builtins(event) for event in events]
