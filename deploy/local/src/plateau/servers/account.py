"""Servers that refuse to run as root: the account that they run as instead, its files and its programs.

The account gets no capability. It may be barred from the directories above its files (those of root's home, say): so a
server starts in its directory and names it `HERE`, and programs that it cannot reach are copied once to `COPIES`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, TypeVar

from plateau.servers.process import ServerFailed, made_once

Key = TypeVar("Key")

HERE: Final = "/proc/self/cwd"
"""The directory in which a process started, whatever bars the way to it."""
COPIES: Final = Path("/var/cache/plateau")
"""Root alone writes there, so nobody else can lay programs in wait."""
ACCOUNTS: Final = ("postgres", "nobody")
_REMEDY: Final = "run it as an ordinary user"


def account_of(server: str, data: Path) -> pwd.struct_passwd:
    """The account that serves `data` when we are root: its owner, else the first of `ACCOUNTS` that is there."""
    owner = data.stat().st_uid
    found = [_looked_up(pwd.getpwuid, owner) if owner else None, *(_looked_up(pwd.getpwnam, name) for name in ACCOUNTS)]
    account = next(filter(None, found), None)
    if account is None:
        raise ServerFailed(
            server, f"refuses to run as root, and no account is called {' or '.join(ACCOUNTS)}: add one, or {_REMEDY}"
        )
    return account


def give(server: str, data: Path, account: pwd.struct_passwd) -> None:
    """Makes everything in `data` the account's. Raises `ServerFailed` when this root may not, or not go in after."""
    try:
        for directory, _, names in os.walk(data):
            for path in (directory, *(os.path.join(directory, name) for name in names)):
                if os.lstat(path).st_uid != account.pw_uid:
                    os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
    except OSError as error:
        reason = f"cannot give {error.filename} from root to {account.pw_name}: {error.strerror}: {_REMEDY}"
        raise ServerFailed(server, reason) from None
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        raise ServerFailed(server, f"keeps its files closed to a root without CAP_DAC_OVERRIDE: {_REMEDY}")


def run_as(server: str, account: pwd.struct_passwd, stop_signal: signal.Signals) -> list[str]:
    """The prefix of a command line that runs it as `account`, told to stop when we die. Raises `ServerFailed`."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise ServerFailed(server, f"cannot leave root without `setpriv`: install util-linux, or {_REMEDY}")
    prefix = [setpriv, f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    # The change of account clears the signal that we asked for.
    return [*prefix, "--pdeathsig", stop_signal.name.removeprefix("SIG"), "--"]


def within_reach(server: str, origin: Path, program: str, parts: Iterable[str], name: str) -> Path:
    """A directory from which every account may run `program`, which needs the `parts` beside it; both are paths in it.

    That is `origin` where nothing bars the way, else a copy of the parts that is called `name`, made at the first use.
    Raises `ServerFailed`.
    """
    if _open_to_all(origin / program):
        return origin
    copy = COPIES / name
    try:
        if not copy.exists():
            COPIES.mkdir(parents=True, exist_ok=True)
            COPIES.chmod(0o755)
            with made_once(copy) as unfinished:
                _copy(origin, parts, unfinished)
    except OSError as error:
        why = error.args[0][0][2] if isinstance(error, shutil.Error) else error.strerror
        raise ServerFailed(server, f"cannot copy its programs to {copy}: {why}: {_REMEDY}") from None
    if not _open_to_all(copy / program):
        raise ServerFailed(server, f"cannot run its programs in {copy}, which is closed to other accounts: open it")
    return copy


def _copy(origin: Path, parts: Iterable[str], target: Path) -> None:
    for part in parts:
        shutil.copytree(origin / part, target / part)
    for path in (target, *target.rglob("*")):
        ours = path.stat().st_mode
        path.chmod(ours | (ours & 0o500) >> 3 | (ours & 0o500) >> 6)


def _looked_up(look_up: Callable[[Key], pwd.struct_passwd], key: Key) -> pwd.struct_passwd | None:
    try:
        return look_up(key)
    except KeyError:
        return None


def _open_to_all(program: Path) -> bool:
    resolved = program.resolve()
    everybody = stat.S_IROTH | stat.S_IXOTH
    ways = all(parent.stat().st_mode & stat.S_IXOTH for parent in resolved.parents)
    return ways and resolved.stat().st_mode & everybody == everybody
