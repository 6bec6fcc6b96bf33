"""A floor file with a fault of every kind: each is told by its line, and nothing of the file is applied."""

from __future__ import annotations

from pathlib import Path

import pytest
from plateau.cli import app
from plateau.floor import FloorInvalid, parse
from typer.testing import CliRunner

FLOOR = """\
pools:
  room: {name: Room, skills: [french]}
  attic: {name: Attic}
tenants:
  boats:
    name: Paper Boats (invented)
    time_zone: Europe/Paris
    queues:
      orders:
        pool: room
        requirement: french >= 5 and greek
        overflow: {queue: late, after_seconds: 30}
      late:
        pool: room
        hours: {week: {mon: [["08:00", "12:00"], ["11:00", "18:00"]]}}
        overflow: {queue: orders, after_seconds: 30}
      dear:
        pool: room
        weights: {lost_call_cost: -3, service_level_target: 80}
      odd:
        pool: room
        weights: {late_call_cost: 2}
      idle:
        pool: attic
        weights: {lost_call_cost: 0}
    entry_points:
      line:
        pool: room
        numbers: ["+33 6 39 98 01 00"]
        start: hello
        steps:
          hello: {type: greeting, prompt: welcome, next: nowhere}
          lonely: {type: queue, queue: orders}
"""
FAULTS = {
    "requirement: french": "greek",
    "queue: late": "for ever (orders -> late -> orders)",
    "11:00": "hours.week.mon",
    "queue: orders, after": "for ever (late -> orders -> late)",
    "lost_call_cost: -3": "weights.lost_call_cost: must be",
    "service_level_target: 80": "weights.service_level_target: must be",
    "late_call_cost: 2": "needs a service_level_target",
    "lost_call_cost: 0": "the weights of pool attic sum to nothing",
    "next: nowhere": "nowhere",
    "lonely:": "lonely",
}
"""Part of a line, and what is said of it."""


def test_every_fault_of_a_file_is_told_at_its_line() -> None:
    with pytest.raises(FloorInvalid) as refused:
        parse(FLOOR)
    told = [str(one) for one in refused.value.wrong]
    for fragment, reason in FAULTS.items():
        (line,) = [number for number, text in enumerate(FLOOR.splitlines(), 1) if fragment in text]
        assert [one for one in told if f":{line}:" in one and reason in one], (fragment, told)
    assert len(told) == len(FAULTS), told


def test_nothing_of_a_file_with_a_fault_is_applied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No service is even asked: there is none."""
    path = tmp_path / "floor.yaml"
    path.write_text(FLOOR)
    result = CliRunner().invoke(app, ["apply", str(path), "--token", "none"])
    assert result.exit_code == 1
    assert f"{len(FAULTS)} wrong values; nothing was done" in result.output
