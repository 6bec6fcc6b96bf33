"""`make bench` itself, with planted parts: what it prints when one fails, dies, hangs or is interrupted."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from common.testing import eventually

HERE = Path(__file__).parent
CHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session={apart})
"""
HANGS = (
    CHILD
    + """
print('{{"measured_before": 3}}', flush=True)
open({noted!r}, "w").write(f"{{child.pid}}\\n")
time.sleep(600)
"""
)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(HERE)
    return importlib.import_module("all")


def planted(folder: Path, **scripts: str) -> list[tuple[Path, float]]:
    """Parts of these names with a limit that none reaches by itself."""
    parts = []
    for name, text in scripts.items():
        path = folder / f"{name}.py"
        path.write_text(text)
        parts.append((path, 300.0))
    return parts


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


async def noted(path: Path) -> int:
    """The process id in the file, once it is there whole."""

    async def read() -> int | None:
        text = path.read_text() if path.exists() else ""
        return int(text) if text.endswith("\n") else None

    pid = await eventually(read, timeout=120)
    assert pid is not None
    return pid


async def test_parts_that_fail_are_named_and_the_others_count(
    bench: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = planted(
        tmp_path,
        good="print('so far'); print('{\"first\": 1}')",
        fails="print('{\"half\": 2}'); raise SystemExit(3)",
        dies="import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        last="print('{\"second\": 4}'); print('{\"first\": 5}')",
    )
    report = bench.Report()
    await bench.measure(report, parts)
    assert report.figures == {"first": 5, "half": 2, "second": 4}
    assert report.failed == {"fails.py": "ended with status 3", "dies.py": "died of SIGKILL"}
    assert list(report.part_seconds) == ["good.py", "fails.py", "dies.py", "last.py"]
    assert json.loads(report.line()) | {"failed": 0} == report.figures | {
        "failed": 0,
        "part_seconds": report.part_seconds,
    }
    printed = capsys.readouterr().out
    assert "so far\n" in printed
    assert "dies.py died of SIGKILL" in printed


@pytest.mark.parametrize("apart", [False, True])
async def test_a_part_that_hangs_is_stopped_with_its_children(bench: Any, tmp_path: Path, apart: bool) -> None:
    note = tmp_path / "child"
    parts = planted(tmp_path, hangs=HANGS.format(noted=str(note), apart=apart), last="print('{\"second\": 4}')")

    async def until_it_hangs(_: float) -> None:
        await noted(note)
        if report.failed:
            await asyncio.Event().wait()

    report = bench.Report()
    await bench.measure(report, parts, until_it_hangs)
    assert report.failed == {"hangs.py": "took longer than 300 seconds"}
    assert report.figures == {"measured_before": 3, "second": 4}
    assert gone(await noted(note))


async def test_a_child_that_a_part_leaves_behind_holds_nothing_up(bench: Any, tmp_path: Path) -> None:
    note = tmp_path / "child"
    text = CHILD.format(apart=False) + f"open({str(note)!r}, 'w').write(f'{{child.pid}}\\n')"
    report = bench.Report()
    await bench.measure(report, planted(tmp_path, leaves=text))
    assert report.failed == {}

    async def ended() -> bool:
        return gone(await noted(note))

    await eventually(ended)


@pytest.fixture
async def whole(tmp_path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """`all.py` as `make bench` runs it, with one part that hangs and one before it."""
    note = tmp_path / "child"
    parts = planted(tmp_path, good="print('{\"first\": 1}')", hangs=HANGS.format(noted=str(note), apart=True))
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(HERE / "all.py"), *(str(path) for path, _ in parts), stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_interrupted_it_ends_with_what_it_has(whole: asyncio.subprocess.Process, tmp_path: Path) -> None:
    child = await noted(tmp_path / "child")
    os.kill(whole.pid, signal.SIGINT)
    output, _ = await whole.communicate()
    last = json.loads(output.splitlines()[-1])
    assert (whole.returncode, last["first"], last["failed"]) == (1, 1, {"hangs.py": "was interrupted"})
    assert gone(child)


async def test_without_a_failure_the_status_is_0(tmp_path: Path) -> None:
    [(path, _)] = planted(tmp_path, good="print('{\"first\": 1}')")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(HERE / "all.py"), str(path), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    last = json.loads(output.splitlines()[-1])
    assert (process.returncode, last["first"], last["failed"]) == (0, 1, {})
