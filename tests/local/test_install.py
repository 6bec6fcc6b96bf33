"""The installer says what helps, whichever of its steps fails."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

INSTALL: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "deploy" / "local" / "install.py"))


def installing(monkeypatch: pytest.MonkeyPatch, says: str, environment: Path) -> str:
    """What the installer ends with when pip fails with these words."""

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        fails = "install" in command
        return subprocess.CompletedProcess(command, int(fails), says if fails else "", "")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(SystemExit) as ended:
        INSTALL["install"](environment, "1", ["libs/common"])
    return str(ended.value)


@pytest.mark.parametrize(
    ("says", "words"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "VENV="),
        ("error: failed to create directory `/x`: Permission denied (os error 13)", "VENV="),
        ("OSError: [Errno 30] Read-only file system: '/x'", "VENV="),
        ("ERROR: No matching distribution found for uv==1", "HTTPS_PROXY"),
    ],
)
def test_what_failed_is_followed_by_what_helps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, says: str, words: str
) -> None:
    assert words in installing(monkeypatch, says, tmp_path).partition("remedy: ")[2]


def test_a_python_with_neither_ensurepip_nor_pip_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    monkeypatch.setitem(INSTALL["install"].__globals__, "find_spec", lambda _: None)
    assert "apt install python3-venv" in installing(monkeypatch, "", tmp_path)
