"""The whole of Plateau on one machine: servers, migrations, topics, five service processes.

ServiceDied             a service ended although nobody stopped it; with the end of its log
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

from common.clock import Clock
from common.config import GRACE_SECONDS
from common.kafka import Kafka
from common.migrations import provision, upgrade

from plateau.client import DEFAULT_PORTS, SERVICES
from plateau.servers import ServerFailed, noida, postgres
from plateau.servers.process import HOST, POLL_SECONDS, Server, free_port, port_is_free, tail
from plateau.state import State, Times

log = logging.getLogger(__name__)

POSTGRES_PORT: Final = 8132
KAFKA_PORT: Final = 8192
IDLE_PAUSE_MS: Final = 10
"""The embedded broker answers empty fetches at once: without a pause, idle services would ask without end."""
DEFAULT_SPEED: Final = 10.0
DIRECTORY: Final = Path(".local")
STARTS: Final = 3
STOP_SECONDS: Final = 90.0
"""Real seconds in which the stack has stopped, even when its servers are dead: services, broker, PostgreSQL."""
_TRIES: Final = 20
_TAKEN: Final = "address already in use"

Tell = Callable[[str], None]


class ServiceDied(ServerFailed):
    """A service ended although nobody stopped it."""


class ServiceProcess(Server):
    """One of the five services as a process: `start` returns once it is ready."""

    name: ClassVar[str] = "service"
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    start_timeout: ClassVar[float] = 90.0
    stop_timeout: ClassVar[float] = GRACE_SECONDS + 5

    def __init__(self, service: str, state: State, port: int, environment: Mapping[str, str]) -> None:
        super().__init__(state.directory, port)
        self.service = service
        self.log = state.logs / f"{service}.log"
        self._own = dict(environment)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def log_tail(self) -> str:
        return tail(self.log.read_text(errors="replace"))

    async def start(self) -> None:
        try:
            await super().start()
        except ServerFailed as failure:
            raise ServiceDied(self.service, failure.reason, failure.log_tail) from None

    async def _prepare(self) -> None:
        return

    def _command(self) -> list[str]:
        return [sys.executable, "-m", f"{import_name(self.service)}.main"]

    def _environment(self) -> Mapping[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name not in _OWN_SETTINGS}
        return {**inherited, **self._own, "HTTP_HOST": HOST, "HTTP_PORT": str(self.port), "PYTHONUNBUFFERED": "1"}

    async def _answers(self) -> bool:
        ready = await _is_ready(self.port)
        if not ready:
            await asyncio.sleep(5 * POLL_SECONDS)
        return ready


_OWN_SETTINGS: Final = {"DATABASE_URL", "HTTP_PORT", "HTTP_HOST", "JWKS_URL", "JWT_ISSUER", "JWT_AUDIENCE"}


def import_name(service: str) -> str:
    return service.replace("-", "_")


async def _is_ready(port: int) -> bool:
    """Whether /health/ready answers 200: asked by hand, many times a second, so without a client's weight."""
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(f"GET /health/ready HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
                await writer.drain()
                status = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
    return status.split()[1:2] == [b"200"]


@dataclass(slots=True)
class Stack:
    """A running stack."""

    state: State
    times: Times
    bootstrap_servers: str
    database_urls: Mapping[str, str]
    """Each service's own, by folder name."""
    processes: dict[str, ServiceProcess] = field(default_factory=dict)
    servers: list[Server] = field(default_factory=list)
    """PostgreSQL and the broker, as far as they are ours."""

    @property
    def urls(self) -> dict[str, str]:
        return {service: process.url for service, process in self.processes.items()}

    @property
    def clock(self) -> Clock:
        return self.times.clock()

    def token(self) -> str:
        """A token for the stack's own tools: floor file, simulator, live view."""
        return self.state.issuer.mint("operator,service,supervisor", subject="plateau")

    async def watch(self) -> None:
        """Returns never; raises ServiceDied when a process ends."""

        async def guard(name: str, process: Server) -> None:
            status = await process.wait()
            end = tail(process.log.read_text(errors="replace"))
            raise ServiceDied(name, f"ended with status {status}", end)

        async with asyncio.TaskGroup() as group:
            for service, process in self.processes.items():
                group.create_task(guard(service, process))
            for server in self.servers:
                group.create_task(guard(server.name, server))

    async def keep_time(self) -> None:
        """Write down the simulated time every second, so that it never runs backwards over a restart."""
        while True:
            self.state.note_time(self.times)
            await asyncio.sleep(1)


@asynccontextmanager
async def running_stack(
    state: State, *, speed: float = DEFAULT_SPEED, time_zone: str = "Europe/Paris", tell: Tell = lambda _: None
) -> AsyncIterator[Stack]:
    """The stack for the length of the block. Raises ServerFailed (ServiceDied), AlreadyRunning.

    With DATABASE_URL (of an administrator) or KAFKA_BOOTSTRAP_SERVERS set, those servers are used.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(state.locked())
        ports = _Ports(stack, tell)
        servers: list[Server] = []

        async def database() -> str:
            if url := os.environ.get("DATABASE_URL"):
                return url
            server = await stack.enter_async_context(postgres(state.directory / "postgres", ports.take(POSTGRES_PORT)))
            servers.append(server)
            return server.url

        async def broker() -> str:
            if address := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
                return address
            server = await stack.enter_async_context(noida(state.directory / "kafka", ports.take(KAFKA_PORT)))
            servers.append(server)
            return server.bootstrap_servers

        tell("starting PostgreSQL and the broker")
        admin_url = await database()
        bootstrap_servers = await broker()
        tell("migrating the services' schemas and creating topics")
        urls, _ = await asyncio.gather(
            asyncio.to_thread(_migrate, state, admin_url), Kafka(bootstrap_servers).create_topics()
        )
        times = state.times(speed, time_zone)
        running = Stack(state, times, bootstrap_servers, urls, servers=servers)
        stack.push_async_callback(_stop, running)
        tell("starting the five services")
        for attempt in range(STARTS, 0, -1):
            _prepare_processes(running, ports)
            try:
                await _start(running, tell)
                break
            except ServiceDied as died:
                # Between our look at a port and the service's use of it, somebody else may take it.
                if attempt == 1 or _TAKEN not in died.log_tail:
                    raise
                tell(f"{died.name}: its port was taken meanwhile; starting again on others")
                await _stop(running)
        state.note_urls(running.urls)
        yield running


def _prepare_processes(running: Stack, free: _Ports) -> None:
    ports = {service: free.take(DEFAULT_PORTS[service]) for service in SERVICES}
    for service in SERVICES:
        settings = _settings(running, service, ports)
        running.processes[service] = ServiceProcess(service, running.state, ports[service], settings)


async def _start(running: Stack, tell: Tell) -> None:
    async def start(process: ServiceProcess) -> None:
        await process.start()
        tell(f"{process.service} is ready on {process.url}")

    try:
        async with asyncio.TaskGroup() as group:
            for process in running.processes.values():
                group.create_task(start(process))
    except BaseExceptionGroup as failures:
        for failure in failures.exceptions:
            if isinstance(failure, ServerFailed):
                raise failure from None
        raise


async def _stop(running: Stack) -> None:
    running.state.note_time(running.times)
    await asyncio.gather(*(_end(process) for process in running.processes.values()))
    running.state.note_time(running.times)


async def _end(process: ServiceProcess) -> None:
    """Stop the service; say what it has left when that was not in good order."""
    if not process.running:
        return
    await process.stop()
    status = await process.wait()
    if status not in (0, -signal.SIGTERM):  # that one: it had not begun to listen for signals
        log.warning("%s ended with status %d when told to stop:\n%s", process.service, status, process.log_tail())


class _Ports:
    """Ports for one stack. Each is held by a lock file, so that two stacks that start at once never choose the same:
    a service that is told one of another stack would look ready long before it finds that it cannot listen."""

    def __init__(self, held: AsyncExitStack, tell: Tell) -> None:
        self._held = held
        self._tell = tell

    def take(self, preferred: int) -> int:
        """The preferred port if it is free and nobody else's, else another one."""
        for port in (preferred, *(free_port() for _ in range(_TRIES))):
            if port_is_free(port) and self._hold(port):
                if port != preferred:
                    self._tell(f"port {preferred} is taken: {port} serves instead")
                return port
        raise ServerFailed("the stack", f"found no free port on {HOST}: end what listens there")

    def _hold(self, port: int) -> bool:
        path = Path(tempfile.gettempdir()) / f"plateau-port-{port}.lock"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except PermissionError:  # another account's stack
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._held.callback(os.close, descriptor)
        return True


def _migrate(state: State, admin_url: str) -> dict[str, str]:
    """Role, schema and newest migration for each service; their URLs."""
    urls: dict[str, str] = {}
    for service in SERVICES:
        name = import_name(service)
        urls[service] = provision(admin_url, name, state.secret(f"database password of {service}"))
        upgrade(name, urls[service])
    return urls


def _settings(running: Stack, service: str, ports: Mapping[str, int]) -> dict[str, str]:
    state = running.state
    settings = {
        "DATABASE_URL": running.database_urls[service],
        "KAFKA_BOOTSTRAP_SERVERS": running.bootstrap_servers,
        "JWKS_URL": state.issuer.jwks_url,
        "JWT_ISSUER": state.issuer.issuer,
        "JWT_AUDIENCE": state.issuer.audience,
        **running.times.environment(),
    }
    if "KAFKA_BOOTSTRAP_SERVERS" not in os.environ:
        settings["KAFKA_IDLE_PAUSE_MS"] = str(IDLE_PAUSE_MS)
    if service == "crm-bridge":
        settings["WEBHOOK_SECRET_KEY"] = state.fernet_key("webhook secret key")
        settings["WEBHOOK_ALLOW_PRIVATE"] = "true"
    if service == "dialer":
        settings["ROUTING_URL"] = f"http://{HOST}:{ports['routing']}"
        settings["ROUTING_TOKEN_FILE"] = str(state.write_token("dialer", "service"))
    return settings
