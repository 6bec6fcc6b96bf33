"""What to do about a failure whose cause is the machine and not the program."""

from __future__ import annotations

import errno
import os
from typing import Final

_FULL: Final = "free some space, or keep the state on another disk: plateau run --state DIRECTORY"
_CLOSED: Final = (
    "keep the state where this account may write: plateau run --state DIRECTORY "
    "(what a run of another account left there, that account can remove)"
)
_OF_THE_MACHINE: Final = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: "allow larger files: ulimit -f unlimited",
    errno.EACCES: _CLOSED,
    errno.EPERM: _CLOSED,
    errno.EROFS: _CLOSED,
    errno.EMFILE: "allow more open files: ulimit -n 4096",
    errno.ENFILE: "the machine has no files left to open: end other programs",
    errno.ENOMEM: "the machine has no memory left: end other programs",
    errno.EAGAIN: "the machine starts no more processes: end other programs, or ulimit -u unlimited",
}


def remedy(failure: BaseException) -> str | None:
    """What helps against `failure`; None unless it, or the end of a log that it quotes, says a fault of the machine."""
    told = str(failure)
    return next((what for number, what in _OF_THE_MACHINE.items() if os.strerror(number) in told), None)
