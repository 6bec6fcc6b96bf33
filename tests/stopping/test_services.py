"""A service as a process ends when it is told to: with an open stream, and with dead servers."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from common.kafka import Kafka
from common.migrations import provision, upgrade
from common.testing import Issuer, eventually
from plateau.servers import KafkaServer, PostgresServer, noida, postgres
from plateau.servers.process import HOST, _descendants, free_port

GRACE_SECONDS = 17
STARTED = 120.0
"""Real seconds until a service serves, on a machine that does other things too."""


@dataclass
class Dialer:
    """One dialer process, and a client that has opened its stream and reads nothing more than the status."""

    process: Process
    port: int
    token: str

    async def serves(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(HOST, self.port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[asyncio.StreamReader]:
        reader, writer = await asyncio.open_connection(HOST, self.port)
        request = f"GET /v1/dials/stream HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {self.token}\r\n\r\n"
        try:
            writer.write(request.encode())
            async with asyncio.timeout(STARTED):
                assert b" 200 " in await reader.readline()
            yield reader
        finally:
            writer.close()

    async def end(self) -> str:
        """The rest of its log; it must not take longer than its grace period, with room for a busy machine."""
        assert self.process.stdout is not None
        async with asyncio.timeout(GRACE_SECONDS + STARTED):
            said = await self.process.stdout.read()
            await self.process.wait()
        return said.decode()


@dataclass
class Floor:
    """PostgreSQL, a broker and three dialers on them."""

    database: PostgresServer
    broker: KafkaServer
    dialers: list[Dialer]

    async def kill_servers(self) -> None:
        """The broker is gone; PostgreSQL keeps its connections open and never says another word."""
        await self.broker.kill()
        for pid in (self.database.pid, *_descendants(self.database.pid)):
            os.kill(pid, signal.SIGSTOP)


@pytest.fixture(scope="module")
async def floor(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Floor]:
    directory = tmp_path_factory.mktemp("stopping")
    issuer = Issuer(directory / "issuer")
    async with postgres(directory / "postgres") as database, noida(directory / "kafka") as broker:
        await Kafka(broker.bootstrap_servers).create_topics()
        url = provision(database.url, "dialer", "secret")
        upgrade("dialer", url)
        environment = {
            **os.environ,
            "DATABASE_URL": url,
            "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "KAFKA_IDLE_PAUSE_MS": "10",
            "JWKS_URL": issuer.jwks_url,
            "JWT_ISSUER": issuer.issuer,
            "HTTP_HOST": HOST,
        }
        dialers = [await _started(environment, issuer.mint("service"), grace) for grace in (3600, GRACE_SECONDS, 3600)]
        try:
            for dialer in dialers:
                await eventually(dialer.serves, timeout=STARTED)
            yield Floor(database, broker, dialers)
        finally:
            for dialer in dialers:
                if dialer.process.returncode is None:
                    dialer.process.kill()
                await dialer.process.wait()
            await database.kill()  # it may stand still


async def _started(environment: dict[str, str], token: str, grace_seconds: float) -> Dialer:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "dialer.main"],
        env={**environment, "HTTP_PORT": str(port), "GRACE_SECONDS": str(grace_seconds)},
        stdout=PIPE,
        stderr=STDOUT,
    )
    return Dialer(process, port, token)


@pytest.mark.limit(400)
async def test_an_open_stream_ends_with_its_service(floor: Floor) -> None:
    dialer = floor.dialers[0]
    async with dialer.stream() as stream:
        dialer.process.terminate()
        said = await dialer.end()
        async with asyncio.timeout(STARTED):
            await stream.read()
    assert dialer.process.returncode == 0, said
    assert '"dialer stops"' in said
    assert "left" not in said


@pytest.mark.limit(400)
async def test_dead_servers_and_an_open_stream_keep_no_service_beyond_its_grace_period(floor: Floor) -> None:
    """Given PostgreSQL that says nothing any more and a broker that is gone; when told to stop; then it ends, says what
    it has left, and a second signal ends another at once."""
    patient, hurried = floor.dialers[1:]
    async with patient.stream(), hurried.stream():
        await floor.kill_servers()
        for dialer in (patient, hurried):
            dialer.process.terminate()
        hurried.process.send_signal(signal.SIGINT)
        await hurried.end()
        said = await patient.end()
    assert hurried.process.returncode in {128 + signal.SIGINT, 128 + signal.SIGTERM}
    assert patient.process.returncode in {0, 1}, said
    assert "left" in said or "leaves" in said or "cut off" in said, said
