"""What a fault of the machine ends with: its remedy, and no traceback."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from plateau import cli, remedies, run
from plateau.remedies import remedy
from plateau.servers import ServerFailed

FLOOR = Path(__file__).parents[2] / "deploy" / "local" / "floors" / "pilot-6.yaml"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EFBIG, "ulimit -f"),
        (errno.EACCES, "--state"),
        (errno.EPERM, "--state"),
        (errno.EROFS, "--state"),
        (errno.EMFILE, "ulimit -n"),
        (errno.ENFILE, "end other programs"),
        (errno.ENOMEM, "end other programs"),
        (errno.EAGAIN, "ulimit -u"),
    ],
)
def test_each_fault_of_a_machine_has_a_remedy_however_it_comes(number: int, words: str) -> None:
    failure = OSError(number, os.strerror(number), "/srv/state")
    assert words in str(remedy(failure))
    assert words in str(remedy(ServerFailed("kpi", "ended with status 1", f"...\nOSError: {failure}")))
    assert remedy(ServerFailed("kpi", "ended with status 1", "KeyError: 'tenant'")) is None


def test_a_full_disk_is_the_fault_whatever_it_looks_like(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failure = TimeoutError("the broker does not answer")
    assert remedy(failure, tmp_path / "never made") is None
    monkeypatch.setattr(remedies, "disk_usage", lambda _: SimpleNamespace(free=1 << 40))
    assert remedy(failure, tmp_path) is None
    monkeypatch.setattr(remedies, "disk_usage", lambda _: SimpleNamespace(free=4096))
    assert "free some space" in str(remedy(failure, tmp_path))


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, failure: BaseException) -> Iterator[run.Options]:
    async def fails(*_: Any) -> int:
        async with asyncio.TaskGroup():
            raise failure

    monkeypatch.setattr(run, "run", fails)
    yield run.Options(FLOOR)


def test_a_run_that_fails_by_a_fault_of_the_machine_ends_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    failure = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/srv/state")
    with failing(monkeypatch, failure) as options:
        assert run.main(options) == 1
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("error: [Errno 28] No space left on device")
    assert told[1].startswith("remedy: free some space")


def test_a_defect_is_not_taken_for_a_fault_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with failing(monkeypatch, KeyError("tenant")) as options, pytest.raises(ExceptionGroup):
        run.main(options)


def test_a_command_that_cannot_write_ends_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("")
    monkeypatch.setattr("sys.argv", ["plateau", "token", "--state", str(tmp_path / "taken" / "state")])
    with pytest.raises(NotADirectoryError):
        cli.main()
    monkeypatch.setattr("os.mkdir", _read_only)
    monkeypatch.setattr("sys.argv", ["plateau", "token", "--state", str(tmp_path / "state")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert "remedy: keep the state where this account may write" in capsys.readouterr().err


def _read_only(path: Any, *_: Any, **__: Any) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
