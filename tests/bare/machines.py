"""Plateau on the machines that people have: `python tests/bare/machines.py [WORD ...]`, all or the cases with a word.

Needs Python 3.11 and git; as root it tries more. Each case prints a line, a failed one the end of what was written too.
"""

from __future__ import annotations

import ensurepip
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import Final

from machine import (
    NEWEST,
    ROOT,
    Failed,
    OrdinaryUser,
    Skipped,
    accounts,
    clone,
    environment,
    mounting,
    needs_root,
    output,
    plays,
    python,
    refuses,
    run,
    small_disk,
    succeeds,
    without_name,
)

PORTS: Final = (8101, 8102, 8103, 8104, 8105, 8132, 8192)
TESTS: Final = ("-m", "pytest", "-q", "-m", "not kafka", "tests/local/test_servers.py")
FULL: Final = "remedy: free some space"
ANOTHER_STATE: Final = "plateau run --state"
ORDINARY: Final = "run it as an ordinary user"


class Machine:
    """A folder for the cases. `closed` is a clone below a directory that is closed to other accounts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.closed = folder / "closed" / "plateau"

    def new(self, name: str, mode: int = 0o755) -> Path:
        made = self.folder / name
        made.mkdir()
        made.chmod(mode)
        return made

    def state(self, name: str) -> Path:
        return self.closed.parent / f"state {name}"


# ------------------------------------------------------------------------------------ accounts, from a fresh clone


def closed_directory(machine: Machine) -> None:
    machine.new("closed", 0o700)
    clone(machine.closed)
    plays(["make", "run", "SECONDS=5"], machine.closed)


def closed_directory_tests(machine: Machine) -> None:
    succeeds([".venv/bin/python", *TESTS], machine.closed)


def ordinary_user(machine: Machine) -> None:
    home = machine.new("olive")
    user = OrdinaryUser(home)
    checkout = clone(home / "plateau")
    user.owns(home)
    make = ["make", "run", "SECONDS=5", f"PYTHON={user.python()}"]
    plays(user.command(*make), checkout, env=user.environment())
    succeeds(user.command(".venv/bin/python", *TESTS), checkout, env=user.environment())


def no_postgres_account(machine: Machine) -> None:
    passwd = _passwd(machine, but_not="postgres")
    plays(accounts(passwd, run(3, state=machine.state("nobody"))), machine.closed)


def no_account(machine: Machine) -> None:
    passwd = _passwd(machine, but_not="postgres:nobody")
    if output(accounts(passwd, ["getent", "passwd", "nobody"]), machine.folder)[0] == 0:
        raise Skipped("this machine knows nobody without /etc/passwd")
    refuses(accounts(passwd, run(1, state=machine.state("root alone"), traffic=False)), machine.closed, ORDINARY)


def _passwd(machine: Machine, *, but_not: str) -> Path:
    lines = Path("/etc/passwd").read_text().splitlines(keepends=True)
    passwd = machine.folder / f"passwd-without-{but_not}"
    passwd.write_text("".join(line for line in lines if line.partition(":")[0] not in but_not.split(":")))
    passwd.chmod(0o644)
    return passwd


def user_without_name(machine: Machine) -> None:
    state = machine.new("nameless", 0o777)
    user = OrdinaryUser(state)
    checkout = machine.folder / "olive" / "plateau"
    if not (checkout / ".venv").exists():
        raise Skipped("needs the clone of the ordinary user")
    refuses(without_name(user.id, *run(1, state=state, traffic=False)), checkout, "add it to /etc/passwd")


def root_without_dac(machine: Machine) -> None:
    needs_root()
    bare = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all", "--"]
    refuses([*bare, *run(1, state=machine.state("no capability"), traffic=False)], machine.closed, ORDINARY)


def no_setpriv(machine: Machine) -> None:
    without = mounting(
        'mount --bind /dev/null "$(command -v setpriv)"', command=run(1, state=machine.state("no setpriv"))
    )
    refuses(without, machine.closed, "install util-linux", ORDINARY)


# ---------------------------------------------------------------------------------------------- paths, environment


def path_with_spaces(machine: Machine) -> None:
    checkout = clone(machine.new("two words") / "plateau of today")
    succeeds(["make", ".venv/installed"], checkout)
    plays(run(3), checkout)


def no_home(machine: Machine) -> None:
    env = environment(HOME=None)
    succeeds(["make", "no-home/installed", "VENV=no-home"], machine.closed, env=env)
    plays(run(3, venv="no-home", state=machine.state("no home")), machine.closed, env=env)


def c_locale(machine: Machine) -> None:
    plays(run(3, state=machine.state("C")), machine.closed, env=environment(LC_ALL="C", LANG=None))


def one_python(version: str, machine: Machine) -> None:
    program = python(version)
    if program is None:
        raise Skipped(f"there is no Python {version}")
    venv = f"python{version}"
    succeeds(["make", f"{venv}/installed", f"VENV={venv}", f"PYTHON={program}"], machine.closed)
    plays(run(3, venv=venv, state=machine.state(version)), machine.closed)


def taken_ports(machine: Machine) -> None:
    ours = []
    with ExitStack() as held:
        for port in PORTS:
            taken = held.enter_context(socket.socket())
            with suppress(OSError):  # else somebody else has taken it, and may free it
                taken.bind(("127.0.0.1", port))
                taken.listen()
                ours.append(port)
        told = plays(run(3, state=machine.state("ports")), machine.closed)
    for port in ours:
        if f"port {port} is taken" not in told:
            raise Failed(f"does not say that port {port} is taken")


# ------------------------------------------------------------------------------------------------------------ disks


def full_disk(machine: Machine) -> None:
    disk = machine.closed.parent / "full disk"
    refuses(small_disk("8m", disk, *run(3, state=disk / "state")), machine.closed, FULL, ANOTHER_STATE)


def disk_that_fills(machine: Machine) -> None:
    disk = machine.closed.parent / "filling disk"
    log = machine.folder / "filling.log"
    filling = (
        '("$@" || echo "exit status $?") > "$LOG" 2>&1 & '
        'while ! grep -q "offered\\|exit status" "$LOG"; do sleep 0.2; done; '
        'head -c 1G /dev/zero > "$DISK/filler" 2>/dev/null || true; wait; cat "$LOG"; exit 1'
    )
    command = small_disk("300m", disk, "sh", "-c", filling, "sh", *run(90, state=disk / "state"))
    env = environment(LOG=str(log), DISK=str(disk))
    refuses(command, machine.closed, FULL, ANOTHER_STATE, "exit status 1", env=env)


def read_only_state(machine: Machine) -> None:
    disk = machine.closed.parent / "read only"
    command = run(1, state=disk / "state", traffic=False)
    if ROOT:
        disk.mkdir()
        read_only = mounting('mount -t tmpfs -o ro none "$1"', disk, command=command)
    else:
        disk.mkdir(mode=0o555)
        read_only = list(command)
    refuses(read_only, machine.closed, ANOTHER_STATE)


# ----------------------------------------------------------------------------------------------------- installation


def old_python(machine: Machine) -> None:
    program = next(filter(None, map(python, ("3.10", "3.9", "3.8"))), None)
    if program is None:
        raise Skipped("there is no Python older than 3.11")
    refuses(_make("old", f"PYTHON={program}"), machine.closed, "needs Python 3.11 or newer", "PYTHON=")


def missing_python(machine: Machine) -> None:
    refuses(_make("none", "PYTHON=python-of-nobody"), machine.closed, "needs Python 3.11 or newer", "PYTHON=")


def no_ensurepip(machine: Machine) -> None:
    if output([sys.executable, "-c", "import pip"], machine.closed)[0] != 0:
        raise Skipped("this Python has no pip of its own")
    command = _without_ensurepip(_make("no-ensurepip", f"PYTHON={sys.executable}"))
    succeeds(command, machine.closed)
    succeeds(["no-ensurepip/bin/plateau", "--help"], machine.closed)


def neither_ensurepip_nor_pip(machine: Machine) -> None:
    program = machine.folder / "python-without-packages"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    program.chmod(0o755)
    command = _without_ensurepip(_make("no-venv", f"PYTHON={program}"))
    refuses(command, machine.closed, "apt install python3-venv", "PYTHON=")


def _without_ensurepip(command: list[str]) -> list[str | Path]:
    return mounting('mount -t tmpfs none "$1"', Path(ensurepip.__file__).parent, command=command)


def no_network(machine: Machine) -> None:
    needs_root()
    env = environment(PIP_RETRIES="0", PIP_NO_CACHE_DIR="1", PIP_FIND_LINKS=None)
    refuses(["unshare", "--net", *_make("no-network")], machine.closed, "HTTPS_PROXY", "PIP_INDEX_URL", env=env)


def full_disk_for_the_environment(machine: Machine) -> None:
    disk = machine.closed / "full-disk"
    refuses(small_disk("4m", disk, *_make("full-disk/venv")), machine.closed, FULL)


def interrupted_installation(machine: Machine) -> None:
    succeeds([sys.executable, "-m", "venv", "--without-pip", "half"], machine.closed)
    succeeds(_make("half"), machine.closed)
    succeeds(["half/bin/plateau", "--help"], machine.closed)


def _make(venv: str, *options: str) -> list[str]:
    return ["make", f"{venv}/installed", f"VENV={venv}", *options]


CASES: Final[dict[str, Callable[[Machine], None]]] = {
    "make run below a directory of mode 0700": closed_directory,
    "make run and tests as an ordinary user": ordinary_user,
    "tests below a directory of mode 0700": closed_directory_tests,
    "a path with spaces": path_with_spaces,
    "without HOME": no_home,
    "in the C locale": c_locale,
    **{f"Python {version}": partial(one_python, version) for version in NEWEST},
    "every port taken": taken_ports,
    "root, no account postgres": no_postgres_account,
    "root, no account to run as": no_account,
    "root without CAP_DAC_OVERRIDE": root_without_dac,
    "root without setpriv": no_setpriv,
    "a user id without a name": user_without_name,
    "a full disk": full_disk,
    "a disk that fills during the run": disk_that_fills,
    "a state directory that is read-only": read_only_state,
    "installation: an old Python": old_python,
    "installation: no Python": missing_python,
    "installation: no ensurepip": no_ensurepip,
    "installation: neither ensurepip nor pip": neither_ensurepip_nor_pip,
    "installation: no network": no_network,
    "installation: a full disk": full_disk_for_the_environment,
    "installation: after an interrupted one": interrupted_installation,
}
FIRST: Final = "make run below a directory of mode 0700"
"""The others use its clone and its environment."""


def tried(name: str, machine: Machine) -> str:
    """Try a case, print its line; 'passed', 'failed' or 'skipped'."""
    begin = time.monotonic()
    outcome, more = "passed", ""
    try:
        CASES[name](machine)
    except Skipped as why:
        outcome = "skipped"
        more = f": {why}"
    except Failed as failure:
        outcome = "failed"
        more = f"\n{failure}"
    except Exception as failure:
        outcome = "failed"
        more = f": {failure!r}"
    print(f"{name:44} {outcome:8} {time.monotonic() - begin:5.1f} s{more}", flush=True)
    return outcome


def main(words: list[str]) -> int:
    begin = time.monotonic()
    chosen = [name for name in CASES if name != FIRST and (not words or any(word in name for word in words))]
    folder = Path(tempfile.mkdtemp(prefix="plateau-bare-"))
    folder.chmod(0o711)  # other accounts may pass
    try:
        machine = Machine(folder)
        outcomes = [tried(FIRST, machine)]
        with ThreadPoolExecutor(2) as two:
            outcomes += two.map(partial(tried, machine=machine), chosen)
    finally:
        rmtree(folder, ignore_errors=True)
    print(f"in {time.monotonic() - begin:.0f} s")
    print(", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in ("passed", "failed", "skipped")))
    return 1 if "failed" in outcomes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
