"""What the local stack keeps, and what it says when a process ends."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from plateau.servers.process import free_port
from plateau.stack import ServiceDied, ServiceProcess
from plateau.state import AlreadyRunning, State


def test_simulated_time_goes_on_over_a_restart_and_never_back(tmp_path: Path) -> None:
    first = State(tmp_path).times(20, "Europe/Paris")
    reached = first.clock().now()
    State(tmp_path).note_time(first)
    second = State(tmp_path).times(5, "Europe/Paris")
    assert second.speed == 5
    assert reached <= second.clock().now() <= reached + timedelta(minutes=5)


def test_a_fresh_floor_starts_on_a_working_morning(tmp_path: Path) -> None:
    origin = State(tmp_path).times(20, "Indian/Reunion").origin.astimezone(ZoneInfo("Indian/Reunion"))
    assert origin.weekday() < 5
    assert origin.hour == 10
    assert timedelta(days=-1) < datetime.now(UTC) - origin < timedelta(days=4)


def test_every_process_is_told_the_same_time(tmp_path: Path) -> None:
    times = State(tmp_path).times(20, "Europe/Paris")
    told = times.environment()
    assert float(told["CLOCK_SPEED"]) == 20
    assert datetime.fromisoformat(told["CLOCK_ORIGIN"]) == times.origin
    assert datetime.fromisoformat(told["CLOCK_REAL_ORIGIN"]) == times.real_origin


def test_secrets_are_made_once_and_private(tmp_path: Path) -> None:
    state = State(tmp_path)
    password, key = state.secret("password"), state.fernet_key("key")
    state.write_token("dialer", "service")
    again = State(tmp_path)
    assert (again.secret("password"), again.fernet_key("key")) == (password, key)
    assert password != again.secret("other")
    private = [tmp_path / "secrets.json", tmp_path / "dialer.token", tmp_path / "issuer" / "issuer.pem"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}


def test_two_stacks_do_not_share_a_directory(tmp_path: Path) -> None:
    with (
        State(tmp_path).locked(),
        pytest.raises(AlreadyRunning, match=f"process {os.getpid()} runs a stack"),
        State(tmp_path).locked(),
    ):
        pass
    with State(tmp_path).locked():
        pass


def test_runs_are_numbered(tmp_path: Path) -> None:
    assert [State(tmp_path).next_run() for _ in range(3)] == [1, 2, 3]


async def test_a_service_that_cannot_start_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    process = ServiceProcess("kpi", State(tmp_path), free_port(), {})
    with pytest.raises(ServiceDied) as died:
        await process.start()
    assert died.value.name == "kpi"
    assert "database_url" in died.value.log_tail
    assert not process.running
