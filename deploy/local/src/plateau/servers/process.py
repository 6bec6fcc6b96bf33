"""A server as a child process of this one: start it until it answers, stop it, kill it, start it again."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import ctypes
import os
import random
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar, Final, TypeVar

from common.errors import PlateauError

HOST: Final = "127.0.0.1"
POLL_SECONDS: Final = 0.02
LOG_TAIL_LINES: Final = 30

# Below every system's ephemeral range: from inside it, a client that keeps connecting to a killed server's port can be
# given that very port as its own, connect to itself, and keep the server from coming back.
FREE_PORTS: Final = range(15_000, 32_000)


class ServerFailed(PlateauError):
    """The server `name` did not start, because of `reason`; `log_tail` is the end of what it wrote."""

    def __init__(self, name: str, reason: str, log_tail: str = "") -> None:
        super().__init__(f"{name} {reason}" + (f"\n{log_tail}" if log_tail else ""))
        self.name = name
        self.reason = reason
        self.log_tail = log_tail


@dataclass(frozen=True)
class ExternalServer:
    """A server that somebody else runs: it can be used, never stopped. `address` is a URL or a list of host:port."""

    address: str

    @property
    def url(self) -> str:
        return self.address

    @property
    def bootstrap_servers(self) -> str:
        return self.address


class Server(abc.ABC):
    """One server process on 127.0.0.1. Its own files are in `data_dir`/data, what it prints in `data_dir`/server.log.

    It leads a session of its own, so a Ctrl-C in the terminal reaches it only through `stop`; when this process dies,
    however it dies, the server is told to stop (Linux). Start it from a thread that lives as long as it should.
    """

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    start_timeout: ClassVar[float]  # seconds
    stop_timeout: ClassVar[float]  # seconds

    def __init__(self, data_dir: Path, port: int | None = None) -> None:
        self.data_dir = data_dir.absolute()
        self.log = self.data_dir / "server.log"
        self.port = free_port() if port is None else port
        self._process: Process | None = None

    @property
    def pid(self) -> int:
        """Process id of the server, of the last one when it has ended. Raises RuntimeError before the first start."""
        if self._process is None:
            raise RuntimeError(f"{self.name} has not been started")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Returns once the server answers. Raises `ServerFailed`, and then no process is left."""
        if self.running:
            return
        if not port_is_free(self.port):
            raise ServerFailed(
                self.name, f"cannot listen on {HOST}:{self.port}: the port is taken: end what listens there"
            )
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            await self._prepare()
            with self._open_log() as log:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command(),
                    stdin=DEVNULL,
                    stdout=log,
                    stderr=STDOUT,
                    cwd=self._directory(),
                    env=self._environment(),
                    start_new_session=True,
                    preexec_fn=_dies_with_parent(self.stop_signal),
                )
        except OSError as error:
            raise ServerFailed(self.name, f"cannot use {error.filename}: {error.strerror}") from None
        try:
            await self._wait_until_it_answers(self._process)
        except BaseException:
            await self.kill()
            raise

    async def stop(self) -> None:
        """Stops the server in good order; kills it when it takes longer than `stop_timeout`. Harmless when ended."""
        if self._process is None or not self.running:
            return
        try:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(self.stop_signal)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.stop_timeout):
                    await self._process.wait()
        finally:
            await self.kill()

    async def kill(self) -> None:
        """SIGKILL to the server and its descendants; returns when all are gone. Harmless when ended."""
        if self._process is not None:
            await kill_tree(self._process)

    async def restart(self) -> None:
        """Starts the server again on the same port and data, after stopping it if it still runs."""
        await self.stop()
        await self.start()

    async def wait(self) -> int:
        """Returns the exit status (negative: the signal) when the running server ends, for whatever cause."""
        if self._process is None:
            raise RuntimeError(f"{self.name} has not been started")
        return await self._process.wait()

    @abc.abstractmethod
    async def _prepare(self) -> None:
        """Makes everything that the server needs before its process can start. Raises `ServerFailed`."""

    @abc.abstractmethod
    def _command(self) -> list[str]:
        """The server itself as program and arguments: no shell, no daemon."""

    @abc.abstractmethod
    async def _answers(self) -> bool:
        """Whether a client is served now."""

    def _environment(self) -> Mapping[str, str]:
        return dict(os.environ)

    def _directory(self) -> Path | None:
        """Where the server starts; None: where we are."""
        return None

    def _open_log(self) -> IO[bytes]:
        return self.log.open("wb" if self._process is None else "ab")

    async def _wait_until_it_answers(self, process: Process) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.start_timeout):
                while process.returncode is None:
                    if await self._answers():
                        return
                    await asyncio.sleep(POLL_SECONDS)
        if process.returncode is None:
            reason = f"did not answer within {self.start_timeout:g} seconds"
        else:
            reason = f"ended with status {process.returncode} while it started"
        raise ServerFailed(self.name, reason, tail(self.log.read_text(errors="replace")))


ServerT = TypeVar("ServerT", bound=Server)


@contextlib.asynccontextmanager
async def running(server: ServerT) -> AsyncIterator[ServerT]:
    """Starts `server` for the length of the block. Raises `ServerFailed`."""
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def kill_tree(process: Process) -> None:
    """SIGKILL to a child process and its descendants; returns when all are gone. Harmless when it has ended."""
    if process.returncode is not None:
        return
    _signal(process.pid, signal.SIGSTOP)  # it must not fork between the listing and the killing
    victims = [process.pid, *_descendants(process.pid)]
    for victim in victims:
        _signal(victim, signal.SIGKILL)
    await process.wait()
    while any(_alive(victim) for victim in victims):  # noqa: ASYNC110 - orphans announce their end to init alone
        await asyncio.sleep(POLL_SECONDS)


async def run(
    name: str, command: list[str], *, environment: Mapping[str, str] | None = None, directory: Path | None = None
) -> None:
    """Runs a command of the server `name` to its end, in `directory` if given. Raises `ServerFailed` with its words."""
    program = Path(command[0]).name
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            cwd=directory,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise ServerFailed(name, f"cannot run {program}: {error.strerror}") from error
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with its helpers
            await process.wait()
    if process.returncode != 0:
        text = output.decode(errors="replace")
        raise ServerFailed(name, f"could not be prepared: {program} ended with {process.returncode}", tail(text))


@contextlib.contextmanager
def made_once(target: Path) -> Iterator[Path]:
    """A new directory to fill, which becomes `target` when the block ends, so that nobody sees half of it.

    `target`'s parent must exist. When another process was faster, its `target` stays.
    """
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f"{target.name}-") as directory:
        unfinished = Path(directory) / "unfinished"
        unfinished.mkdir()
        yield unfinished
        try:
            unfinished.rename(target)
        except OSError:
            if not target.exists():
                raise


def free_port(*, but_not: int | None = None) -> int:
    """A TCP port of 127.0.0.1 on which nobody listens at this moment, outside the ephemeral range."""
    for port in random.sample(FREE_PORTS, 200):
        if port != but_not and port_is_free(port):
            return port
    raise ServerFailed("a server", f"found no free port among 200 tried on {HOST}: end what listens there")


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def tail(text: str) -> str:
    """The last lines of a log."""
    return "\n".join(text.rstrip().splitlines()[-LOG_TAIL_LINES:])


def _dies_with_parent(stop_signal: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    # Loaded here: after a fork of a threaded process, only what needs no lock is safe.
    prctl = ctypes.CDLL(None).prctl
    pr_set_pdeathsig = 1

    def ask_for_signal() -> None:
        prctl(pr_set_pdeathsig, int(stop_signal))

    return ask_for_signal


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _state_and_parent(pid: int) -> tuple[str, int] | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, parent = stat.rpartition(")")[2].split()[:2]
    return state, int(parent)


def _alive(pid: int) -> bool:
    found = _state_and_parent(pid)
    return found is not None and found[0] not in {"Z", "X"}


def _descendants(pid: int) -> list[int]:
    """Process ids below `pid`; empty where there is no /proc: there, helpers end once they miss their server."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        found = _state_and_parent(int(entry.name))
        if found is not None:
            children.setdefault(found[1], []).append(int(entry.name))
    below = list(children.get(pid, []))
    for child in below:  # grows while it is walked: breadth first
        below += children.get(child, [])
    return below
