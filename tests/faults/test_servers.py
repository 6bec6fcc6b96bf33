"""The broker and the database are killed under load: real Apache Kafka and PostgreSQL, on their own data."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from faults.harness import Floor, assert_kept, figures, running_floor
from plateau.servers import apache_kafka, kafka_available, postgres
from plateau.servers.process import Server

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.skipif(kafka_available() is not None, reason=f"no Apache Kafka: {kafka_available()}"),
]

TIMES = 3


async def _kill_at_random(floor: Floor, server: Server, shortest: float, longest: float) -> None:
    draw = floor.random(f"kills of {server.name}")
    for _ in range(TIMES):
        await asyncio.sleep(draw.uniform(shortest, longest))
        await server.kill()
        await asyncio.sleep(draw.uniform(0.0, 2.0))
        await server.start()


async def test_the_broker_and_the_database_are_killed(
    environment: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with apache_kafka(tmp_path / "kafka") as kafka, postgres(tmp_path / "postgres") as database:
        environment.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
        environment.setenv("KAFKA_SESSION_TIMEOUT_MS", "2000")
        environment.setenv("DATABASE_URL", database.url)
        async with running_floor(tmp_path / "floor", seed=20261122) as floor:
            duplicator = floor.duplicate()
            async with floor.load() as simulator:
                await asyncio.sleep(4)
                async with asyncio.TaskGroup() as group:
                    group.create_task(_kill_at_random(floor, kafka, 3.0, 10.0))
                    group.create_task(_kill_at_random(floor, database, 2.0, 9.0))
                    group.create_task(floor.kill_at_random(3, shortest=3.0, longest=12.0))
                await floor.busy(simulator, answered=60, settled=40, called_back=5)
            outcome = await floor.rest(timeout=90)
            replay = await floor.billing_replay()
            with capsys.disabled():
                killed = {**floor.kills, "broker": TIMES, "PostgreSQL": TIMES}
                more = {"failed_starts": floor.not_started, "duplicates": duplicator.repeated.total()}
                print("\nservers killed:", figures(outcome, kills=killed, **more))
            assert_kept(
                outcome,
                replay,
                calls_offered=100,
                calls_answered=60,
                callbacks_dialled=5,
                cases_closed=20,
                reversals=1,
            )
            assert outcome.report.counts["repeated"] >= outcome.report.counts["events"]
            assert floor.died == []
