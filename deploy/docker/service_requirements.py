"""The part of `requirements.lock` that one service needs, hashes and all: what its image installs.

python service_requirements.py requirements.lock common/pyproject.toml service/pyproject.toml >service.lock

The lock is one for the whole workspace, development tools included. pip resolves what the named projects ask for,
held to the versions of the lock; the lock's lines for those packages are kept. `pip install --require-hashes` of the
result then fails if anything is wanting or differs.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path

OURS = {"common"}
"""Not in the lock: copied from the source tree."""

_PACKAGE = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*])?(==[^\\\n]*)")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def direct(pyprojects: Iterable[str]) -> list[str]:
    """What these `pyproject.toml` texts depend on, without our own packages."""
    wanted = (line for text in pyprojects for line in tomllib.loads(text)["project"]["dependencies"])
    return sorted({line for line in wanted if line not in OURS})


def pins(lock: str) -> str:
    """The versions of the lock as constraints: no hashes, no extras, markers kept."""
    found = (_PACKAGE.match(line) for line in lock.splitlines())
    return "".join(f"{match[1]}{match[2].rstrip()}\n" for match in found if match)


def kept(lock: str, names: Iterable[str]) -> str:
    """The lines of the lock for these packages. Raises ValueError when one of them is not locked."""
    missing = {_normal(name) for name in names}
    wanted = frozenset(missing)
    lines = []
    keep = False
    for line in lock.splitlines(keepends=True):
        match = _PACKAGE.match(line)
        if match:
            keep = _normal(match[1]) in wanted
            missing.discard(_normal(match[1]))
        if keep:
            lines.append(line)
    if missing:
        raise ValueError(f"not in the lock: {', '.join(sorted(missing))}")
    return "".join(lines)


def resolve(requirements: Iterable[str], constraints: str) -> set[str]:
    """Names of all packages that pip would install here. Raises CalledProcessError when it finds no way."""
    with tempfile.TemporaryDirectory() as folder:
        held = Path(folder) / "constraints.txt"
        held.write_text(constraints)
        report = Path(folder) / "report.json"
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--dry-run",
            "--ignore-installed",
            "--no-cache-dir",
        ]
        command += ["--disable-pip-version-check", "--report", str(report), "--constraint", str(held), *requirements]
        subprocess.run(command, check=True)  # noqa: S603 - arguments from our own files
        return {each["metadata"]["name"] for each in json.loads(report.read_text())["install"]}


def main() -> None:
    """Command line."""
    lock, *pyprojects = (Path(name).read_text() for name in sys.argv[1:])
    sys.stdout.write(kept(lock, resolve(direct(pyprojects), pins(lock))))


if __name__ == "__main__":
    main()
