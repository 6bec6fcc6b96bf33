"""Brokers that speak the Kafka protocol: noida-db from its wheel, and the real Apache Kafka with the help of Maven."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from plateau.servers.process import HOST, Server, ServerFailed, free_port, made_once, run, running

KAFKA_VERSION: Final = "4.3.1"
OLDEST_JAVA: Final = 17
HEAP: Final = ("-Xms256m", "-Xmx512m", "-XX:+ExitOnOutOfMemoryError")
CLUSTER_ID: Final = "MkU3OEVBNTcwNTJENDM2Qk"  # any 16 bytes in base64

POM: Final = """\
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>plateau</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{version}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""

LOGGING: Final = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
    "-Dorg.slf4j.simpleLogger.showThreadName=false",
)


class KafkaServer(Server):
    """One broker, without encryption or authentication."""

    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    @property
    def bootstrap_servers(self) -> str:
        return f"{HOST}:{self.port}"

    async def _answers(self) -> bool:
        if not await _accepts(self.port):  # first, because the client logs every refusal as an error
            return False
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers, request_timeout_ms=5000)
        try:
            await admin.start()
            cluster = await admin.describe_cluster()
        except KafkaError:
            return False
        finally:
            await admin.close()
        return any(broker["port"] == self.port for broker in cluster["brokers"])


class _Noida(KafkaServer):
    name: ClassVar[str] = "noida-db"
    start_timeout: ClassVar[float] = 30.0
    stop_timeout: ClassVar[float] = 20.0

    async def _prepare(self) -> None:
        program = self._program()
        if not os.access(program, os.X_OK):  # not every installer keeps the mode
            program.chmod(0o755)

    def _command(self) -> list[str]:
        options = ["--only", "kafka", "--host", HOST, "--kafka-port", str(self.port)]
        return [str(self._program()), "start", *options, "--data-dir", str(self.data_dir / "data")]

    def _program(self) -> Path:
        # The binary itself, not the wheel's script: that one waits beside it and does not pass signals on.
        spec = find_spec("noida_db")
        if spec is None or spec.origin is None:
            raise ServerFailed(self.name, "is not installed: `pip install noida-db`")
        return Path(spec.origin).parent / "noida-db"


class _ApacheKafka(KafkaServer):
    name: ClassVar[str] = "Apache Kafka"
    start_timeout: ClassVar[float] = 90.0
    stop_timeout: ClassVar[float] = 30.0

    def __init__(self, data_dir: Path, port: int | None, version: str) -> None:
        super().__init__(data_dir, port)
        self._version = version
        self._logs = self.data_dir / "data"
        self._properties = self.data_dir / "server.properties"

    async def _prepare(self) -> None:
        if (reason := kafka_available(self._version)) is not None:
            raise ServerFailed(self.name, f"cannot run: {reason}")
        await self._resolve_jars()
        if not self._logs.exists():
            await self._format()
        self._properties.write_text(self._settings(self._logs))

    async def _resolve_jars(self) -> None:
        target = _jars(self._version)
        if target.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with made_once(target) as jars:
            pom = jars.parent / "pom.xml"
            pom.write_text(POM.format(version=self._version))
            goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={jars}"]
            await run(self.name, ["mvn", "-q", "-B", "-f", str(pom), *goal])

    async def _format(self) -> None:
        # Beside its place and moved there when complete, as for PostgreSQL.
        unfinished = self.data_dir / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._properties.write_text(self._settings(unfinished))
        tool = ["kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER_ID, "--config", str(self._properties)]
        await run(self.name, [*self._java(), *tool])
        unfinished.rename(self._logs)

    def _settings(self, logs: Path) -> str:
        controller = f"{HOST}:{free_port(but_not=self.port)}"
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"PLAINTEXT://{self.bootstrap_servers},CONTROLLER://{controller}",
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(logs),
            # After a SIGKILL the broker may register again only once its last session is over (default: 9 s).
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            "offsets.topic.num.partitions": "8",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "8",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())

    def _java(self) -> list[str]:
        return [str(_java_program()), *HEAP, *LOGGING, "-cp", f"{_jars(self._version)}/*"]

    def _command(self) -> list[str]:
        return [*self._java(), "kafka.Kafka", str(self._properties)]

    def _environment(self) -> Mapping[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "JAVA_TOOL_"))}


@asynccontextmanager
async def noida(data_dir: Path, port: int | None = None) -> AsyncIterator[KafkaServer]:
    """Runs noida-db's Kafka part on 127.0.0.1 for the length of the block; without `port`, on a free one.

    `data_dir` keeps the topics from one run to the next when the server is stopped in good order. It is not made to
    survive `kill`: idempotent producers may be refused for ever afterwards. Raises `ServerFailed`.
    """
    async with running(_Noida(data_dir, port)) as server:
        yield server


@asynccontextmanager
async def apache_kafka(
    data_dir: Path, port: int | None = None, version: str = KAFKA_VERSION
) -> AsyncIterator[KafkaServer]:
    """Runs Apache Kafka (KRaft, broker and controller in one) on 127.0.0.1 for the length of the block.

    `data_dir` keeps the topics from one run to the next, and through `kill`. Maven fetches the program on the first
    use; it is then kept in `$XDG_CACHE_HOME/plateau` (default `~/.cache/plateau`). Raises `ServerFailed`, among others
    for the reasons that `kafka_available` gives.
    """
    async with running(_ApacheKafka(data_dir, port, version)) as server:
        yield server


def kafka_available(version: str = KAFKA_VERSION) -> str | None:
    """Why Apache Kafka cannot run on this machine; None when it can."""
    java = _java_program()
    if java is None:
        return f"java is missing: install a Java runtime, {OLDEST_JAVA} or newer"
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603
    found = re.search(r'version "(\d+)', told)
    if found is None or int(found[1]) < OLDEST_JAVA:
        return f"{java} is too old: install a Java runtime, {OLDEST_JAVA} or newer"
    if shutil.which("mvn") is None and not _jars(version).exists():
        return "mvn is missing: install Maven, which fetches Apache Kafka"
    return None


def _java_program() -> Path | None:
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    return Path(found) if found else None


def _jars(version: str) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "plateau" / f"kafka-{version}"


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True
