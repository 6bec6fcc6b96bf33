"""A machine as a case finds it: clones, commands as other accounts or on changed disks, and what they must say.

Whatever a case changes (mounts, accounts, the network) it changes in a namespace of its own, which ends with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parents[2]
ROOT: Final = os.geteuid() == 0
TAIL_LINES: Final = 25
NOT_INHERITED: Final = ("DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "VIRTUAL_ENV")


class Skipped(Exception):
    """The case needs something that this machine has not."""


class Failed(Exception):
    """What the case did is not what it should."""


def environment(**changes: str | None) -> dict[str, str]:
    """Ours without what would steer the case; None takes a variable away."""
    inherited: dict[str, str | None] = {name: told for name, told in os.environ.items() if name not in NOT_INHERITED}
    return {name: told for name, told in {**inherited, **changes}.items() if told is not None}


def output(
    command: Sequence[str | Path], where: Path, *, seconds: float = 300, env: dict[str, str] | None = None
) -> tuple[int, str]:
    """Runs a command to its end in a session of its own: exit status and all that it wrote."""
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=where,
        env=env or environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        told, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise Failed(f"did not end within {seconds:g} seconds") from None
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, told.decode(errors="replace")


def succeeds(command: Sequence[str | Path], where: Path, **how: object) -> str:
    """What the command wrote. Raises `Failed` when its exit status is not 0."""
    status, told = output(command, where, **how)  # type: ignore[arg-type]
    if status != 0:
        raise Failed(f"{' '.join(map(str, command))}: exit status {status}\n{tail(told)}")
    return told


def plays(command: Sequence[str | Path], where: Path, **how: object) -> str:
    """The same for a run with traffic: calls came, and nothing was lost or counted twice."""
    told = succeeds(command, where, **how)
    summary = json.loads(told.rstrip().splitlines()[-1])
    if not summary["calls_offered"] or summary["invariant_violations"]:
        raise Failed(f"a run without calls or with violations\n{tail(told)}")
    return told


def refuses(command: Sequence[str | Path], where: Path, *remedy: str, **how: object) -> str:
    """What a command wrote that must fail with these words and no traceback."""
    status, told = output(command, where, **how)  # type: ignore[arg-type]
    missing = [words for words in remedy if words not in told]
    if status == 0 or missing or "Traceback" in told:
        raise Failed(f"exit status {status}, does not say {missing}\n{tail(told)}")
    return told


def tail(told: str) -> str:
    return "\n".join(told.rstrip().splitlines()[-TAIL_LINES:])


def clone(where: Path) -> Path:
    """A fresh clone of the repository as it is committed."""
    git = ["git", "-c", f"safe.directory={REPOSITORY / '.git'}", "clone", "--quiet", "--no-hardlinks"]
    succeeds([*git, REPOSITORY, where], where.parent)
    return where


def run(seconds: int, *, venv: str = ".venv", state: Path | str = ".local", traffic: bool = True) -> list[str]:
    """The command of a run; with simulated time three times as fast as usual, so that it comes to rest sooner."""
    play = ["--speed", "30"] if traffic else ["--no-traffic"]
    return [f"{venv}/bin/plateau", "run", "--seconds", str(seconds), *play, "--state", str(state)]


def needs_root() -> None:
    if not ROOT:
        raise Skipped("needs root")


def mounting(script: str, *arguments: str | Path, command: Sequence[str | Path]) -> list[str | Path]:
    """The command behind a shell script that mounts, where only it sees it; the script's $1 … are `arguments`."""
    needs_root()
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0:
        raise Skipped("this root may not mount")
    shift = f'set -e; {script}; shift {len(arguments)}; exec "$@"'
    return ["unshare", "--mount", "sh", "-c", shift, "sh", *arguments, *command]


def small_disk(size: str, where: Path, *command: str | Path) -> list[str | Path]:
    """The command with an empty disk of `size` on `where`."""
    where.mkdir(exist_ok=True)
    return mounting(f'mount -t tmpfs -o size={size},mode=0755 none "$1"', where, command=command)


def accounts(passwd: Path, command: Sequence[str | Path]) -> list[str | Path]:
    """The command where /etc/passwd is `passwd`."""
    return mounting('mount --bind "$1" /etc/passwd', passwd, command=command)


class OrdinaryUser:
    """One who is not root: ourselves, or as root an account that only the commands see, with a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.home = folder
        if not ROOT:
            self.id = os.geteuid()
            return
        taken = {account.pw_uid for account in pwd.getpwall()}
        self.id = next(number for number in range(6000, 60_000) if number not in taken)
        self._passwd = folder.with_name("passwd-with-olive")
        line = f"olive:x:{self.id}:{self.id}::{self.home}:/bin/sh\n"
        self._passwd.write_text(Path("/etc/passwd").read_text() + line)
        self._passwd.chmod(0o644)

    def command(self, *command: str | Path) -> list[str | Path]:
        if not ROOT:
            return list(command)
        return accounts(self._passwd, without_name(self.id, *command))

    def owns(self, folder: Path) -> None:
        if ROOT:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, self.id, self.id, follow_symlinks=False)

    def environment(self) -> dict[str, str]:
        return environment(HOME=str(self.home), USER="olive") if ROOT else environment()

    def python(self) -> str:
        """A Python that they can run, new enough."""
        known = [sys.executable, shutil.which("python3"), "/usr/bin/python3", *filter(None, map(python, NEWEST))]
        for program in filter(None, known):
            asked = self.command(program, "-c", "import sys; sys.exit(sys.version_info < (3, 11))")
            if output(asked, Path("/"))[0] == 0:
                return program
        raise Skipped("no Python 3.11 or newer that an ordinary user can run")


def without_name(user: int, *command: str | Path) -> list[str | Path]:
    """The command as a user id, whether or not an account has it."""
    needs_root()
    # `env` starts the command: setpriv itself could still pass where the user cannot.
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--inh-caps=-all", "env", *command]


NEWEST: Final = ("3.11", "3.12", "3.13", "3.14")


def python(version: str) -> str | None:
    """The program of a Python version, on the PATH or among pyenv's."""
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    known = [shutil.which(f"python{version}"), *sorted(map(str, versions.glob(f"{version}.*/bin/python{version}")))]
    for program in filter(None, known):
        with contextlib.suppress(OSError):
            if subprocess.run([program, "-c", "import venv"], capture_output=True, check=False).returncode == 0:
                return program
    return None
