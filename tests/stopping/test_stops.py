"""A part that is told to end is told again and left at last; a process ends within its grace period in any case."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import sys
from collections.abc import Coroutine
from typing import Any

import pytest
from common.config import GRACE_SECONDS, ServiceSettings
from common.stops import part
from plateau.stack import ServiceProcess
from stopping.servers import TimelessLoop

KEPT = {
    "a loop that is kept busy": ("while True:\n        pass", "the main thread at work"),
    "a cancellation that is swallowed": (
        "while True:\n        try:\n            await asyncio.sleep(1000)\n"
        "        except asyncio.CancelledError:\n            pass",
        "at sleep",
    ),
    "a clean-up that never ends": (
        "try:\n        await asyncio.sleep(1000)\n    finally:\n        await asyncio.Event().wait()",
        "at Event.wait",
    ),
    "a thread that never ends": ("await asyncio.to_thread(threading.Event().wait)", "the main thread at"),
}
SCRIPT = """
import asyncio, os, sys, threading
from common.stops import command

async def work():
    sys.stdout.write("at work\\n")
    sys.stdout.flush()
    {work}

command(work, grace_seconds={grace})
"""


def started(work: str, grace_seconds: float) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(work=work, grace=grace_seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "at work\n"
    return process


@pytest.mark.parametrize("kept", KEPT)
def test_a_process_ends_within_its_grace_period_and_says_what_it_leaves(kept: str) -> None:
    work, left = KEPT[kept]
    with started(work, 0.5) as process:
        process.terminate()
        _, said = process.communicate()
    assert process.returncode == 1
    assert "not ended after 0.5 s, left: " in said
    assert left in said


def test_a_process_whose_words_nobody_reads_ends_all_the_same() -> None:
    with started("while True: os.write(2, bytes(65_536))", 0.5) as process:
        process.terminate()
        assert process.wait() == 1


@pytest.mark.parametrize("kept", KEPT)
def test_a_second_signal_ends_a_process_at_once(kept: str) -> None:
    work, _ = KEPT[kept]
    with started(work, 3600) as process:
        # Two that differ: a second one of a kind is lost while the first is on its way.
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate()
    assert process.returncode in {128 + signal.SIGINT, 128 + signal.SIGTERM}
    assert "left" not in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_tool_with_the_status_that_shells_know(number: signal.Signals) -> None:
    with started("await asyncio.sleep(1000)", 600) as process:
        process.send_signal(number)
        _, said = process.communicate()
    assert process.returncode == 128 + number
    assert said == f"stopped by {number.name}\n"


async def swallows(times: int) -> None:
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            times -= 1
            if times < 0:
                raise


async def fails(failure: Exception) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        raise failure


async def ended(work: Coroutine[Any, Any, None], *, told: int = 1) -> tuple[asyncio.Task[None], float]:
    """A part of 15 s that is told to end; and how long that took."""
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(part(work, name="worker", seconds=15))
    await asyncio.sleep(1)
    began = loop.time()
    for _ in range(told):
        task.cancel()
        await asyncio.sleep(0.1)
    await asyncio.wait({task}, timeout=60)
    return task, loop.time() - began


@pytest.mark.parametrize(("swallowed", "told", "seconds"), [(0, 1, 0), (0, 3, 0), (1, 1, 10), (1, 3, 10), (2, 1, 15)])
def test_a_part_is_told_again_and_left_after_its_seconds(
    swallowed: int, told: int, seconds: float, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not told again at once: that would interrupt a clean-up that is well on its way."""
    with asyncio.Runner(loop_factory=TimelessLoop) as runner:
        task, took = runner.run(ended(swallows(swallowed), told=told))
        assert task.cancelled()
    assert seconds <= took <= seconds + 1
    left = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert bool(left) == (swallowed > 1)
    assert all(text.startswith("worker has not ended after 15 s: it is left at ") for text in left)


def test_a_clean_up_that_fails_for_the_servers_sake_is_told_and_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    with asyncio.Runner(loop_factory=TimelessLoop) as runner:
        task, _ = runner.run(ended(fails(ConnectionResetError("gone"))))
        assert task.cancelled()
        assert "worker ends with ConnectionResetError: gone" in caplog.text
        task, _ = runner.run(ended(fails(ZeroDivisionError("a defect"))))
        assert isinstance(task.exception(), ZeroDivisionError)


def test_what_stops_others_waits_longer_than_they_may_take() -> None:
    assert ServiceSettings.model_fields["grace_seconds"].default == GRACE_SECONDS
    assert ServiceProcess.stop_timeout > GRACE_SECONDS
