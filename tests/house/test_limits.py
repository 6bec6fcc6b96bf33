"""A test that hangs ends after its limit, is named with the stacks of what waited, and the others go on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from limits import seconds_of

ROOT = Path(__file__).parents[2]
AFTER = """

async def test_after():
    import asyncio
    await asyncio.sleep(0)
"""
HANGING = {
    "an async test": (
        "import asyncio\nimport pytest\n\n"
        "async def waits_for_nothing():\n    await asyncio.Event().wait()\n\n"
        "@pytest.mark.limit(3)\nasync def test_hangs():\n"
        "    other = asyncio.create_task(waits_for_nothing(), name='other')\n"
        "    await asyncio.gather(other, waits_for_nothing())\n",
        "being called",
        ("waits_for_nothing", "task other:"),
    ),
    "a sync test": (
        "import threading\nimport pytest\n\n@pytest.mark.limit(3)\ndef test_hangs():\n    threading.Event().wait()\n",
        "being called",
        ("thread MainThread:", "test_hangs"),
    ),
    "a fixture": (
        "import asyncio\nimport pytest\n\n"
        "@pytest.fixture(scope='session')\nasync def slow():\n    await asyncio.Event().wait()\n\n"
        "@pytest.mark.limit(3)\ndef test_hangs(slow):\n    pass\n",
        "being set up",
        ("in slow", "Event().wait()"),
    ),
    "the end of a fixture": (
        "import asyncio\nimport pytest\n\n"
        "@pytest.fixture\nasync def slow():\n    yield\n    await asyncio.Event().wait()\n\n"
        "@pytest.mark.limit(3)\nasync def test_hangs(slow):\n    pass\n",
        "being torn down",
        ("in slow",),
    ),
}
STUBBORN = """
import asyncio
import pytest

@pytest.mark.limit(3)
async def test_hangs():
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            pass
"""


def _environment() -> dict[str, str]:
    """Without what pytest and xdist tell their own processes."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PLATEAU_TEST_"))}


def run(directory: Path, source: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Tests of their own, with the plugin and the settings of this workspace."""
    (directory / "conftest.py").write_text('pytest_plugins = ["limits"]\n')
    (directory / "test_planted.py").write_text(source + AFTER)
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(directory)]
    return subprocess.run(
        [*command, *options, str(directory)],
        cwd=ROOT,
        env={**_environment(), "PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )


@pytest.mark.parametrize(("kind", "options"), [*((kind, ()) for kind in HANGING), ("an async test", ("-n", "1"))])
def test_what_hangs_ends_after_its_limit_and_the_others_go_on(
    tmp_path: Path, kind: str, options: tuple[str, ...]
) -> None:
    source, phase, shown = HANGING[kind]
    ended = run(tmp_path, source, *options)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert f"test_planted.py::test_hangs, {phase}, has not ended after 3 s" in ended.stdout
    for text in shown:
        assert text in ended.stdout
    assert "1 passed" in ended.stdout or "2 passed" in ended.stdout


@pytest.mark.parametrize(
    ("marks", "factor", "seconds"),
    [([], "1", 300), ([], "0.5", 150), (["deep"], "1", 900), (["kafka"], "2", 1800), (["deep", "limit"], "2", 14)],
)
def test_a_test_has_its_own_limit(
    marks: list[str], factor: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLATEAU_TEST_LIMIT_FACTOR", factor)
    item: Any = SimpleNamespace(get_closest_marker=lambda name: pytest.mark.limit(7).mark if name in marks else None)
    assert seconds_of(item) == seconds


def test_what_cannot_be_cancelled_ends_the_process_with_its_name_and_where_it_waits(tmp_path: Path) -> None:
    ended = run(tmp_path, STUBBORN)
    assert ended.returncode == 1
    assert (
        "test_planted.py::test_hangs, being called, has not ended after 3 s, nor when it was cancelled" in ended.stderr
    )
    assert "await asyncio.sleep(1000)" in ended.stderr
