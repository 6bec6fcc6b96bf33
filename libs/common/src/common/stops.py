"""Stops: how a process and its parts end when they are told to.

    first signal      ─▶ what runs is asked to end, or cancelled; it cleans up, and the process ends
    second signal     ─▶ the process ends at once, with status 128 + the signal's number
    grace period over ─▶ the process says what it leaves, and ends with status 1

A cancellation can be lost: code that is not ours swallows it, or a clean-up that fails takes its place. So a part is
cancelled again until it ends, and nothing outlasts the grace period, whatever the event loop is kept by.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Final, TypeVar

from aiokafka.errors import KafkaError

from common.database import is_transient
from common.errors import PlateauError, StaleWriter

log = logging.getLogger(__name__)

T = TypeVar("T")

TOOL_GRACE_SECONDS: Final = 30.0
"""Real seconds in which a command ends that has been told to."""
AGAIN_SECONDS: Final = 10.0
"""A cancellation is repeated after so long, which no clean-up takes: one that is interrupted leaves more behind."""
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_SAYING_SECONDS: Final = 1.0


class Interrupted(PlateauError):
    """A signal cancelled the process's work."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(f"stopped by {number.name}")
        self.signal = number

    @property
    def status(self) -> int:
        """The exit status that shells know."""
        return 128 + self.signal


class Stop:
    """How one process is told to end.

    The first signal sets `asked` when it is one of `gentle`, and nothing else; otherwise it cancels the work.
    """

    def __init__(self, grace_seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        self.asked = asyncio.Event()
        self.gentle: Collection[signal.Signals] = ()
        self._grace_seconds = grace_seconds
        self._loop = loop
        self._work: asyncio.Task[Any] | None = None
        self._signal: signal.Signals | None = None
        self._ending = threading.Event()
        self._ended = threading.Event()

    async def _supervise(self, work: Callable[[Stop], Coroutine[Any, Any, T]]) -> T:
        self._work = asyncio.current_task()
        try:
            return await work(self)
        except asyncio.CancelledError:
            if self._signal is None:
                raise
            raise Interrupted(self._signal) from None
        finally:
            self._work = None
            self._ending.set()

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Take the signals for the length of the block (in the main thread: no other can)."""
        threading.Thread(target=self._end_when_late, name="grace period", daemon=True).start()
        before = {}
        if threading.current_thread() is threading.main_thread():
            before = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self._ended.set()
            self._ending.set()

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        # Not a handler of the loop: a loop that is kept busy would not come to it.
        if self._signal is not None:
            os._exit(128 + number)
        self._signal = signal.Signals(number)
        self._ending.set()
        with suppress(RuntimeError):  # the loop is closed: what runs is ending anyway
            self._loop.call_soon_threadsafe(self._ask)

    def _ask(self) -> None:
        if self._signal in self.gentle:
            self.asked.set()
        elif self._work is not None:
            self._work.cancel()
            self._loop.call_later(AGAIN_SECONDS, self._ask)

    def _end_when_late(self) -> None:
        self._ending.wait()
        if self._ended.wait(self._grace_seconds):
            return
        # In a thread of its own: whoever holds the log or does not read it must not hold the process.
        saying = threading.Thread(target=self._say_what_is_left, daemon=True)
        saying.start()
        saying.join(_SAYING_SECONDS)
        os._exit(1)

    def _say_what_is_left(self) -> None:
        left = [f"{task.get_name()} at {place(task)}" for task in asyncio.all_tasks(self._loop)]
        frame = sys._current_frames().get(threading.main_thread().ident or 0)
        if frame is not None:
            left.append(f"the main thread at {_line(frame)}")
        log.critical("not ended after %g s, left: %s", self._grace_seconds, "; ".join(left))


def run(
    work: Callable[[Stop], Coroutine[Any, Any, T]],
    *,
    grace_seconds: float = TOOL_GRACE_SECONDS,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> T:
    """Run `work` in an event loop of its own; what it returns. Raises Interrupted when a signal has cancelled it.

    From the first signal, or from the end of `work`, the process has `grace_seconds` to leave this function.
    """
    loop = asyncio.new_event_loop() if loop_factory is None else loop_factory()
    stop = Stop(grace_seconds, loop)
    with stop._listening(), asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(stop._supervise(work))


def command(
    work: Callable[[], Coroutine[Any, Any, T]],
    *,
    grace_seconds: float = TOOL_GRACE_SECONDS,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> T:
    """`run` for a command: a signal ends it with a line on stderr and the status that shells know."""
    try:
        return run(lambda _: work(), grace_seconds=grace_seconds, loop_factory=loop_factory)
    except Interrupted as interrupted:
        print(interrupted, file=sys.stderr)
        sys.exit(interrupted.status)


async def part(work: Coroutine[Any, Any, T], *, name: str, seconds: float) -> T:
    """Do `work` as a task of its own; cancelled, end it within `seconds`, or say in the log where it is left.

    The work is cancelled again after AGAIN_SECONDS. A clean-up that fails for the servers' sake is no failure.
    """
    task = asyncio.create_task(work, name=name)
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        await _end(task, seconds)
        if task.done() and not task.cancelled() and (failure := task.exception()) is not None:
            if not may_pass(failure):
                raise failure from None
            log.warning("%s ends with %s: %s", name, type(failure).__name__, failure)
        raise
    return task.result()


async def _end(task: asyncio.Task[Any], seconds: float) -> None:
    loop = asyncio.get_running_loop()
    now = loop.time()
    for until in (now + min(AGAIN_SECONDS, seconds * 2 / 3), now + seconds):
        task.cancel()
        while not task.done() and (left := until - loop.time()) > 0:
            with suppress(asyncio.CancelledError):  # told once more: it is being ended
                await asyncio.wait({task}, timeout=left)
    if not task.done():
        log.error("%s has not ended after %g s: it is left at %s", task.get_name(), seconds, place(task))


def may_pass(failure: BaseException) -> bool:
    """Whether PostgreSQL or Kafka were away, or another process was the writer: tried again, the work may succeed."""
    if isinstance(failure, BaseExceptionGroup):
        return all(may_pass(each) for each in failure.exceptions)
    return isinstance(failure, KafkaError | StaleWriter) or is_transient(failure)


def to_retry(failure: BaseException) -> bool:
    """Whether the loop that ran into `failure` goes on: the failure may pass, and nobody has told this task to end.

    Asked by every loop that goes on after failures: a clean-up that fails takes the place of the cancellation.
    """
    task = asyncio.current_task()
    return may_pass(failure) and (task is None or not task.cancelling())


def frames(task: asyncio.Task[Any]) -> list[FrameType]:
    """Those of a task that waits: of its coroutine and of all that this waits in, the innermost last."""
    found: list[FrameType] = []
    waiting: Any = task.get_coro()
    while waiting is not None:
        found += [frame for name in _FRAMES if (frame := getattr(waiting, name, None)) is not None]
        if isinstance(waiting, _AsyncGeneratorStep):
            waiting = next((each for each in gc.get_referents(waiting) if isinstance(each, AsyncGenerator)), None)
        else:
            waiting = next((each for name in _WAITS if (each := getattr(waiting, name, None)) is not None), None)
    return found


_FRAMES: Final = ("cr_frame", "ag_frame", "gi_frame")
_WAITS: Final = ("cr_await", "ag_await", "gi_yieldfrom")


async def _nothing() -> AsyncGenerator[None, None]:
    return
    yield


_AsyncGeneratorStep: Final = type(_nothing().__anext__())


def place(task: asyncio.Task[Any]) -> str:
    """Where a task waits: function, file and line of its innermost coroutine."""
    waiting = frames(task)
    return _line(waiting[-1]) if waiting else "its end"


def _line(frame: FrameType) -> str:
    return f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})"
