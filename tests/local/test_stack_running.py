"""`plateau run` as its user starts it: to its end, over a restart, through a death, a signal and a kill."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from common.testing import eventually
from plateau import floor as floors
from plateau.client import Client, Refused
from plateau.floor.apply import NotApplied, apply, plan
from plateau.floor.export import export
from plateau.state import State

pytestmark = pytest.mark.deep

FLOORS = Path(__file__).parents[2] / "deploy" / "local" / "floors"
STARTED = 120.0
"""Real seconds until a stack is up, on a machine that does other things too."""


class Run:
    """One `plateau run`."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def until(self, text: str) -> str:
        """Read its output until a line has `text`; that line."""
        assert self.process.stdout is not None
        async with asyncio.timeout(STARTED):
            while line := (await self.process.stdout.readline()).decode():
                self.lines.append(line.rstrip("\n"))
                if text in line:
                    return self.lines[-1]
        raise AssertionError(f"ended without saying {text!r}:\n" + "\n".join(self.lines))

    async def end(self) -> int:
        """Read the rest; the exit status."""
        assert self.process.stdout is not None
        async with asyncio.timeout(STARTED):
            while line := (await self.process.stdout.readline()).decode():
                self.lines.append(line.rstrip("\n"))
            return await self.process.wait()


@asynccontextmanager
async def plateau_run(directory: Path, *options: str) -> AsyncIterator[Run]:
    command = [sys.executable, "-m", "plateau.cli", "run", "--floor", str(FLOORS / "sample.yaml")]
    process = await asyncio.create_subprocess_exec(
        *command, "--state", str(directory), *options, stdout=PIPE, stderr=STDOUT, env=_environment()
    )
    try:
        yield Run(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _environment() -> dict[str, str]:
    servers = ("DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS")
    return {**{name: value for name, value in os.environ.items() if name not in servers}, "COLUMNS": "200"}


def processes_of(directory: Path) -> dict[int, str]:
    """Processes that work with the directory: services by their environment, servers by their command line."""
    found: dict[int, str] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            told = (entry / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if int(entry.name) != os.getpid() and str(directory) in command + told:
            found[int(entry.name)] = command
    return found


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stack")


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
async def test_a_run_to_its_end_then_a_restart_on_the_same_state(directory: Path) -> None:
    async with plateau_run(directory, "--seconds", "8", "--speed", "20") as first:
        assert await first.end() == 0, "\n".join(first.lines)
    summary = json.loads(first.lines[-1])
    assert list(summary) == [
        "calls_offered",
        "calls_answered",
        "cases_closed",
        "charges",
        "amount",
        "invariant_violations",
    ]
    assert summary["calls_offered"] >= summary["calls_answered"] > 0
    assert summary["cases_closed"] == summary["charges"] > 0
    assert float(summary["amount"]) > 0
    assert summary["invariant_violations"] == 0
    assert not processes_of(directory)
    reached = json.loads((directory / "clock.json").read_text())["now"]

    async with plateau_run(directory, "--speed", "20") as second:
        line = await second.until("floor applied")
        assert "floor applied: 0 changes" in line
        await second.until("offered")
        await _the_floor_file_against_the_running_floor(directory)
        assert json.loads((directory / "clock.json").read_text())["now"] > reached
        (billing,) = [pid for pid, command in processes_of(directory).items() if "billing.main" in command]
        os.kill(billing, signal.SIGKILL)
        assert await second.end() == 1
    told = "\n".join(second.lines)
    assert "billing ended with status -9" in told
    assert '"service":"billing"' in told  # the end of its log
    await eventually(lambda: _gone(directory))


async def _the_floor_file_against_the_running_floor(directory: Path) -> None:
    state = State(directory)
    async with Client(state.urls(), state.issuer.mint("operator")) as client:
        exported = floors.parse(await export(client), "exported.yaml")
        assert (await plan(client, exported)).pending == ()
        text = (FLOORS / "sample.yaml").read_text()
        larger = floors.parse(text.replace("prefix: dario, count: 4", "prefix: dario, count: 6"), directory=FLOORS)
        made = await plan(client, larger)
        assert [change.title for change in made.pending] == ["agent dario-005 (routing)", "agent dario-006 (routing)"]
        await apply(client, made)
        assert (await plan(client, larger)).pending == ()
        hook = (
            "webhooks:\n      moon-hook: {url: 'https://moon.example/hook', event_types: [case.closed.v1]}\n    queues:"
        )
        hooked = floors.parse(text.replace("queues:", hook, 1), directory=FLOORS)
        answers: list[Any] = []
        await apply(client, await plan(client, hooked), lambda _, answer: answers.append(answer))
        assert [answer["secret"][:6] for answer in answers] == ["whsec_"]
        assert (await plan(client, hooked)).pending == ()
        assert (await plan(client, floors.parse(await export(client), "exported.yaml"))).pending == ()
        currency = text.replace("currency: EUR", "currency: CHF", 1)
        other = floors.parse(currency, "floor.yaml", FLOORS)
        with pytest.raises(NotApplied) as refused:
            await apply(client, await plan(client, other))
        line = currency.splitlines().index("    currency: CHF") + 1
        assert str(refused.value).startswith(f"floor.yaml:{line}:")
        with pytest.raises(Refused):
            await client.put("routing", "/v1/queues/none", {"tenant_id": "nobody", "pool_id": "plateau"})


async def test_without_traffic_the_services_run_with_the_floor_and_nobody_calls(directory: Path) -> None:
    async with plateau_run(directory, "--no-traffic", "--seconds", "3") as run:
        assert await run.end() == 0, "\n".join(run.lines)
    told = "\n".join(run.lines)
    assert "floor applied" in told
    assert "no traffic" in told
    assert "refused fact" not in told
    await eventually(lambda: _gone(directory))


async def test_a_signal_while_it_starts_leaves_nothing_behind(directory: Path) -> None:
    async with plateau_run(directory) as run:
        await run.until("starting the five services")
        run.process.send_signal(signal.SIGTERM)
        assert await run.end() == 128 + signal.SIGTERM
    assert "stopped by SIGTERM" in "\n".join(run.lines)
    await eventually(lambda: _gone(directory))


async def test_a_second_signal_ends_it_at_once_and_its_processes_after_it(directory: Path) -> None:
    async with plateau_run(directory) as run:
        await run.until("starting the five services")
        run.process.send_signal(signal.SIGINT)
        run.process.send_signal(signal.SIGTERM)
        assert await run.end() in {128 + signal.SIGINT, 128 + signal.SIGTERM}
    assert "stopped by" not in "\n".join(run.lines)
    await eventually(lambda: _gone(directory), timeout=60)


async def test_dead_servers_do_not_keep_a_run_that_is_told_to_stop(directory: Path) -> None:
    """Given a broker that is killed and a PostgreSQL that stands still; then a run ends and leaves nothing behind."""
    async with plateau_run(directory) as run:
        await run.until("floor applied")
        for pid, command in processes_of(directory).items():
            if "noida" in command or "postgres" in command:
                os.kill(pid, signal.SIGKILL if "noida" in command else signal.SIGSTOP)
        run.process.send_signal(signal.SIGTERM)
        assert await run.end() in {1, 128 + signal.SIGTERM}
    await eventually(lambda: _gone(directory), timeout=60)


async def test_a_killed_run_takes_its_processes_along(directory: Path) -> None:
    async with plateau_run(directory) as run:
        await run.until("starting the five services")
        await eventually(lambda: _some(directory, 4))
        run.process.kill()
        await run.process.wait()
    await eventually(lambda: _gone(directory))


async def _gone(directory: Path) -> bool:
    return not processes_of(directory)


async def _some(directory: Path, count: int) -> bool:
    return len(processes_of(directory)) >= count
