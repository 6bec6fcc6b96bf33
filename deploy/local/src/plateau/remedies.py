"""What to do about a failure whose cause is the machine and not the program."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from shutil import disk_usage
from typing import Final

_FULL: Final = "free some space, or keep the state on another disk: plateau run --state DIRECTORY"
_CLOSED: Final = (
    "keep the state where this account may write: plateau run --state DIRECTORY "
    "(what a run of another account left there, that account can remove)"
)
_OF_THE_MACHINE: Final = {
    os.strerror(errno.ENOSPC): _FULL,
    "Check free disk space": _FULL,  # PostgreSQL, when only half of a block could be written
    os.strerror(errno.EDQUOT): _FULL,
    os.strerror(errno.EFBIG): "allow larger files: ulimit -f unlimited",
    os.strerror(errno.EACCES): _CLOSED,
    os.strerror(errno.EPERM): _CLOSED,
    os.strerror(errno.EROFS): _CLOSED,
    os.strerror(
        errno.ENFILE
    ): "the machine has no files left to open: end other programs",  # before the next, which its words begin with
    os.strerror(errno.EMFILE): "allow more open files: ulimit -n 4096",
    os.strerror(errno.ENOMEM): "the machine has no memory left: end other programs",
    os.strerror(errno.EAGAIN): "the machine starts no more processes: end other programs, or ulimit -u unlimited",
}
_NEXT_TO_NOTHING: Final = 16 * 1024 * 1024
"""Bytes: one more file of PostgreSQL's write-ahead log."""


def remedy(failure: BaseException, state: Path | None = None) -> str | None:
    """What helps against `failure`; None unless it, or the end of a log that it quotes, says a fault of the machine.

    When the disk of `state` is full, that is the fault, whatever it looks like to the services.
    """
    told = str(failure)
    found = next((what for words, what in _OF_THE_MACHINE.items() if words in told), None)
    if found is None and state is not None and state.exists() and disk_usage(state).free < _NEXT_TO_NOTHING:
        return _FULL
    return found
