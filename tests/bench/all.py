"""Every benchmark of `make bench`, one after the other; the last line is one JSON object with all their figures.

    python tests/bench/all.py [script …]

A part is a script that prints its figures as JSON objects, one to a line; what a later line says of a figure counts.
A part that fails, dies or takes longer than its limit is stopped with its children, and those after it run all the
same. The last line has every figure that was printed, `failed` (by script: why) and `part_seconds`. The exit status is
1 when a part failed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from plateau.servers.process import kill_tree

HERE = Path(__file__).parent
LIMIT_SECONDS: Mapping[str, float] = {
    "bench_decide.py": 300,
    "bench_estimates.py": 180,
    "bench_kpi.py": 300,
    "bench_import.py": 300,
    "bench_backbone.py": 600,
    "bench_routing.py": 600,
    "bench_memory.py": 3600,
}
"""The parts, and how long each may take: several times what it takes on a slow machine."""


@dataclass
class Report:
    """What all parts said. `failed`: why, by script; `part_seconds`: how long each took."""

    figures: dict[str, Any] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    part_seconds: dict[str, float] = field(default_factory=dict)

    def line(self) -> str:
        return json.dumps({**self.figures, "failed": self.failed, "part_seconds": self.part_seconds})


async def measure(
    report: Report,
    parts: Iterable[tuple[Path, float]],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Run the parts (script, limit in seconds) and add what they say to the report. When cancelled, the part under way
    is stopped and noted as failed."""
    for script, limit in parts:
        print(f"\n── {script.name}", flush=True)
        began = time.perf_counter()
        try:
            failure = await _part(script, limit, report.figures, sleep)
        except asyncio.CancelledError:
            report.failed[script.name] = "was interrupted"
            raise
        finally:
            report.part_seconds[script.name] = round(time.perf_counter() - began, 1)
        if failure is not None:
            report.failed[script.name] = failure
            print(f"{script.name} {failure}", flush=True)


async def _part(
    script: Path, limit: float, figures: dict[str, Any], sleep: Callable[[float], Awaitable[None]]
) -> str | None:
    """Why it failed; None when it did not. Nothing of it is left, neither processes nor files."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as place, _pipe() as (ours, theirs):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(script),
            stdout=theirs,
            env={**os.environ, "TMPDIR": place},
            start_new_session=True,
        )
        theirs.close()
        reading = asyncio.ensure_future(_read(ours, figures))
        ending = asyncio.ensure_future(process.wait())
        waiting = asyncio.ensure_future(sleep(limit))
        try:
            await asyncio.wait((ending, waiting), return_when=asyncio.FIRST_COMPLETED)
            in_time = ending.done()
        finally:
            waiting.cancel()
            await kill_tree(process)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what it has left behind
            await asyncio.wait((reading,), timeout=5)  # longer only if a child that nobody knows of has the pipe
            reading.cancel()
            await asyncio.wait((reading,))
    status = await ending
    if not in_time:
        return f"took longer than {limit:g} seconds"
    if not status:
        return None
    return f"ended with status {status}" if status > 0 else f"died of {signal.Signals(-status).name}"


@contextmanager
def _pipe() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """A pipe of our own: with asyncio's, a process would not count as ended while any child of it has the pipe."""
    ends = os.pipe()
    with os.fdopen(ends[0], "rb") as ours, os.fdopen(ends[1], "wb") as theirs:
        yield ours, theirs


async def _read(pipe: IO[bytes], figures: dict[str, Any]) -> None:
    """Pass on what the part prints, and collect its figures, to the end of the pipe."""
    lines = asyncio.StreamReader(limit=1 << 20)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), pipe)
    try:
        async for line in lines:
            text = line.decode(errors="replace")
            print(text, end="", flush=True)
            if text.startswith("{"):
                with suppress(ValueError):  # a line that was cut off
                    figures.update(json.loads(text))
    finally:
        transport.close()


async def main(scripts: list[str]) -> int:
    """The exit status. SIGINT and SIGTERM stop it, with what it has so far."""
    report = Report()
    parts = [(HERE / name, LIMIT_SECONDS.get(name, 3600)) for name in scripts or LIMIT_SECONDS]
    measuring = asyncio.ensure_future(measure(report, parts))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, measuring.cancel)
    with suppress(asyncio.CancelledError):
        await measuring
    print()
    print(report.line())
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
