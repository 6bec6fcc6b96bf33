"""A test that hangs ends after its own limit, and says where everything waits.

Setting up, calling and tearing down a test may each take LIMIT_SECONDS (LONG_SECONDS when it is marked as long, or
what `@pytest.mark.limit(seconds)` says), times PLATEAU_TEST_LIMIT_FACTOR. Then the stacks of all tasks and threads are
shown, and what waits is cancelled: the test has failed, and the others go on. What is still there GRACE_SECONDS later
ends the process.

pytest-timeout does not fit: its signal raises inside the event loop that all tests share, and leaves the test's task
running in it; its thread ends the whole process at once; neither shows tasks. Here Python's own SIGINT is used, which
`asyncio.Runner` answers by cancelling the test's task, and everything else by KeyboardInterrupt.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
import traceback
from collections.abc import Generator
from typing import Any, Final

import pytest
from common.stops import frames

LIMIT_SECONDS: Final = 300.0
"""On two cores with a load of eighteen, setting up servers and services took 93 s."""
LONG_SECONDS: Final = 900.0
LONG: Final = ("deep", "kafka")
"""Markers of tests that take long."""
GRACE_SECONDS: Final = 10.0
FRAMES: Final = 15
"""Of a thread, the innermost."""
FACTOR: Final = "PLATEAU_TEST_LIMIT_FACTOR"

_stderr = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "limit(seconds): what each phase of the test may take, in seconds")
    # Nothing is captured yet: the process's last words need the real one.
    config.stash[_stderr] = os.dup(2)


def pytest_unconfigure(config: pytest.Config) -> None:
    os.close(config.stash[_stderr])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    return (yield from _limited(item, "set up"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    return (yield from _limited(item, "called"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, Any]:
    return (yield from _limited(item, "torn down"))


def seconds_of(item: pytest.Item) -> float:
    """The limit of each phase of a test."""
    marker = item.get_closest_marker("limit")
    usual = LONG_SECONDS if any(item.get_closest_marker(name) for name in LONG) else LIMIT_SECONDS
    return (usual if marker is None else float(marker.args[0])) * float(os.environ.get(FACTOR, "1"))


def _limited(item: pytest.Item, phase: str) -> Generator[None, Any, Any]:
    limit = _Limit(f"{item.nodeid}, being {phase}, has not ended after", seconds_of(item), item.config.stash[_stderr])
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # the one that asyncio.Runner takes over
    try:
        limit.begin()
        return (yield)
    except KeyboardInterrupt:
        if not limit.reached:
            raise
        raise pytest.fail.Exception(limit.told, pytrace=False) from None
    finally:
        limit.end()
        signal.signal(signal.SIGINT, handler)


class _Limit:
    """Watches one phase of one test from a thread of its own."""

    def __init__(self, what: str, seconds: float, stderr: int) -> None:
        self.told = ""
        self._what = what
        self._seconds = seconds
        self._stderr = stderr
        self._ended = threading.Event()
        self._watching = threading.Thread(target=self._watch, name="limit", daemon=True)

    @property
    def reached(self) -> bool:
        return bool(self.told)

    def begin(self) -> None:
        self._watching.start()

    def end(self) -> None:
        self._ended.set()
        self._watching.join()

    def _watch(self) -> None:
        if self._ended.wait(self._seconds):
            return
        self.told = f"{self._what} {self._seconds:g} s\n{stacks()}"
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        if self._ended.wait(GRACE_SECONDS):
            return
        last = f"\n{self._what} {self._seconds:g} s, nor when it was cancelled: this process ends\n{stacks()}\n"
        os.write(self._stderr, last.encode())
        os._exit(1)


def stacks() -> str:
    """Those of all tasks of all event loops, and of all threads."""
    # Over the garbage collector: asyncio has no public list of the tasks of every loop.
    tasks = [task for task in gc.get_objects() if isinstance(task, asyncio.Task) and not task.done()]
    parts = [f"task {task.get_name()}:\n{_stack(frames(task))}" for task in tasks]
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():
        if ident != threading.get_ident():
            parts.append(f"thread {names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame, limit=FRAMES))}")
    return "\n".join(parts)


def _stack(waiting: list[Any]) -> str:
    """A running task's innermost frames are those of its thread."""
    return "".join(line for frame in waiting for line in traceback.format_list(traceback.extract_stack(frame, limit=1)))
