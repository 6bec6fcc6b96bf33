"""Makes the virtual environment: `python install.py ENVIRONMENT UV_VERSION PACKAGE...`, in the folder of the workspace.

Needs nothing but the standard library. What fails is shown with what helps; the next attempt then starts from wherever
this one came to.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

NO_VENV: Final = (
    "this Python has neither ensurepip nor pip: install them (on Debian and Ubuntu: apt install python3-venv), "
    "or name another Python, as in: make run PYTHON=python3.13"
)
REMEDIES: Final = {
    "No space left on device": "free some space, or make the environment on another disk, as in: make run VENV=/mnt/v",
    "Permission denied": "make the environment where this account may write, as in: make run VENV=/tmp/v; "
    "what another account left behind, that account can remove",
    "Read-only file system": "make the environment where one may write, as in: make run VENV=/tmp/v",
}
NO_NETWORK: Final = (
    "if no package index was reached: a proxy is named by HTTPS_PROXY, an index of your own by PIP_INDEX_URL "
    "(and by UV_DEFAULT_INDEX where uv needs another)"
)


def install(environment: Path, uv_version: str, packages: list[str]) -> None:
    """Raises `SystemExit` with the remedy."""
    python = environment / "bin" / "python"
    pip = [str(python), "-m", "pip"]
    try:
        from ensurepip import version as _  # noqa: F401 - Debian splits it off; its folder may still be there
    except ImportError:
        if find_spec("pip") is None:
            raise SystemExit(NO_VENV) from None
        bring, pip = [], [sys.executable, "-m", "pip", "--python", str(python)]
    else:
        bring = [str(python), "-m", "ensurepip", "--default-pip"]
    if not _succeeds([*pip, "--version"]):
        _step([sys.executable, "-m", "venv", "--clear", "--without-pip", str(environment)], "")
        if bring:  # by itself, for venv would keep what it says to itself
            _step(bring, "")
    _step([*pip, "install", "--quiet", "--disable-pip-version-check", f"uv=={uv_version}"], NO_NETWORK)
    uv = [str(environment / "bin" / "uv"), "pip", "install", "--quiet", "--python", str(python)]
    _step([*uv, "--require-hashes", "-r", "requirements.lock"], NO_NETWORK)
    _step([*uv, "--no-deps", *(part for package in packages for part in ("-e", package))], NO_NETWORK)


def _step(command: list[str], remedy: str) -> None:
    environment = dict(os.environ)
    if index := environment.get("PIP_INDEX_URL"):
        environment.setdefault("UV_DEFAULT_INDEX", index)
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # noqa: S603
    if done.returncode == 0:
        return
    # The traceback of ensurepip says nothing that pip has not said before it.
    print(done.stdout.partition("Traceback (most recent call last)")[0], end="", file=sys.stderr)
    found = next((what for cause, what in REMEDIES.items() if cause in done.stdout), remedy)
    raise SystemExit(f"could not make the environment: {' '.join(command)}" + (f"\nremedy: {found}" if found else ""))


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603
    except OSError:
        return False


if __name__ == "__main__":
    install(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
