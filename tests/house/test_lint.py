"""What the linter forbids beside its own rules is refused in every way in which it can be written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("libs/common/src/common", "services/routing/src/routing/service", "deploy/local/src/plateau", "tests/common")
WAYS = (
    "import asyncio\n\nwaiting = asyncio.wait_for",
    "import asyncio as io\n\nwaiting = io.wait_for",
    "from asyncio import wait_for\n\nwaiting = wait_for",
    "from asyncio import wait_for as waiting\n\nwaiting",
    "from asyncio import tasks\n\nwaiting = tasks.wait_for",
)


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("way", WAYS)
def test_wait_for_is_refused_with_what_to_use(way: str, folder: str) -> None:
    command = [str(Path(sys.executable).with_name("ruff")), "check", "--no-cache"]
    command += ["--stdin-filename", f"{folder}/planted.py", "-"]
    found = subprocess.run(command, cwd=ROOT, input=way + "\n", capture_output=True, text=True, check=False)
    assert found.returncode == 1, found.stdout + found.stderr
    assert "TID251" in found.stdout
    assert "asyncio.timeout" in found.stdout
