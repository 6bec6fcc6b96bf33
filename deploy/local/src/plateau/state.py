"""What the local stack keeps in `.local/`: data, keys, secrets, the simulated time.

AlreadyRunning          another `plateau run` uses the directory
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from common.clock import ScaledClock
from common.errors import PlateauError
from common.testing import Issuer
from cryptography.fernet import Fernet

FIRST_HOUR: Final = 10
"""A fresh floor starts on a working day shortly after this hour, when people call and may be called."""
_MARGIN_SECONDS: Final = 3.0
"""Real seconds that a killed run may have gone on after it last wrote down its time."""


class AlreadyRunning(PlateauError):
    """Another stack runs on the same directory."""


@dataclass(frozen=True, slots=True)
class Times:
    """What every process needs to read the same simulated time."""

    speed: float
    origin: datetime
    real_origin: datetime

    def clock(self) -> ScaledClock:
        return ScaledClock(self.speed, self.origin, self.real_origin)

    def environment(self) -> dict[str, str]:
        return {
            "CLOCK_SPEED": str(self.speed),
            "CLOCK_ORIGIN": self.origin.isoformat(),
            "CLOCK_REAL_ORIGIN": self.real_origin.isoformat(),
        }


class State:
    """One directory. Files with secrets are readable by their owner alone."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self.logs = self.directory / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.issuer = Issuer(self.directory / "issuer")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory for this process. Raises AlreadyRunning."""
        with (self.directory / "lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip() or "another process"
                raise AlreadyRunning(f"process {holder} runs a stack in {self.directory}") from None
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def secret(self, name: str) -> str:
        """A secret of its own for `name`, made once."""
        return self._kept(name, lambda: secrets.token_urlsafe(32))

    def fernet_key(self, name: str) -> str:
        """A key for encryption at rest, made once."""
        return self._kept(name, lambda: Fernet.generate_key().decode())

    def _kept(self, name: str, make: Callable[[], str]) -> str:
        path = self.directory / "secrets.json"
        kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        if name not in kept:
            kept[name] = make()
            _write_private(path, json.dumps(kept, indent=1))
        return kept[name]

    def write_token(self, name: str, roles: str) -> Path:
        """A file with a token for a service's own calls; the path."""
        path = self.directory / f"{name}.token"
        _write_private(path, self.issuer.mint(roles, subject=name, seconds=366 * 86_400))
        return path

    def note_urls(self, urls: Mapping[str, str]) -> None:
        """Remember where the services are, for the command line."""
        _write_private(self.directory / "urls.json", json.dumps(dict(urls)))

    def urls(self) -> dict[str, str]:
        """Where the services of the last run were."""
        path = self.directory / "urls.json"
        known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        return known

    def times(self, speed: float, time_zone: str) -> Times:
        """Time goes on where it stopped; on a fresh floor it starts on a working morning in `time_zone`."""
        real = datetime.now(UTC)
        path = self.directory / "clock.json"
        if path.exists():
            kept = json.loads(path.read_text())
            margin = timedelta(seconds=_MARGIN_SECONDS * float(kept["speed"]))
            origin = datetime.fromisoformat(kept["now"]) + margin
        else:
            origin = _working_morning(real, time_zone)
        times = Times(speed, origin, real)
        self.note_time(times)
        return times

    def note_time(self, times: Times) -> None:
        """Remember how far the simulated time has come."""
        now = times.clock().now()
        _write_private(self.directory / "clock.json", json.dumps({"now": now.isoformat(), "speed": times.speed}))

    def next_run(self) -> int:
        """1 for the first run on this directory, then 2, 3 …: each run's simulator draws anew."""
        path = self.directory / "runs"
        number = (int(path.read_text()) if path.exists() else 0) + 1
        _write_private(path, str(number))
        return number


def _working_morning(now: datetime, time_zone: str) -> datetime:
    day = now.astimezone(ZoneInfo(time_zone)).replace(hour=FIRST_HOUR, minute=2, second=0, microsecond=0)
    while day.weekday() >= 5:
        day -= timedelta(days=1)
    return day.astimezone(UTC)


def _write_private(path: Path, text: str) -> None:
    """Replace a file in one step, readable by the owner alone."""
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    unfinished.replace(path)
