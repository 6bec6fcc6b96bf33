"""A floor file with a fault of every kind: each is told by its line, and nothing of the file is applied."""

from __future__ import annotations

from pathlib import Path

import pytest
from plateau.cli import app
from plateau.floor import FloorInvalid, parse
from typer.testing import CliRunner

FLOOR = """\
sites:
  lyon: {name: Lyon, time_zone: Europe/Paris}
pools:
  room:
    name: Room
    skills: [french]
    shares:
      boats: {burst: {hours: {week: {mon: [["08:00", "12:00"]]}}}}
  attic: {name: Attic}
tenants:
  boats:
    name: Paper Boats (invented)
    time_zone: Europe/Paris
    closing_dispositions: [settled]
    tariff: {price_per_closed_case: "1000000001"}
    webhooks:
      secret: {url: "https://boats:secret@boats.example/", event_types: [case.closed.v1]}
      deaf: {url: "https://boats.example/", event_types: []}
    campaigns:
      autumn: {name: Autumn, queue: odd, calling_hours: {mon: []}}
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
      letters:
        pool: room
        channel: post
        overflow: {queue: dear, after_seconds: 60}
        callback: {mode: agent_first, retry_seconds: 600, valid_seconds: 300}
        announcements: [{message: letters-wait, after_seconds: 5}]
        overflows:
          - {when: {type: closed}, to: {type: site, site_id: lyon}}
        split:
          - {percent: 60, to: {type: stay}}
          - {percent: 30, to: {type: queue, queue_id: odd}}
      covered:
        pool: room
        cover:
          - {sites: []}
        overflows:
          - {when: {type: never}, to: {type: message, message: sorry}}
          - {when: {type: waited, seconds: 60}, to: {type: callback}}
    entry_points:
      line:
        pool: room
        numbers: ["+33 6 39 98 01 00"]
        start: hello
        steps:
          hello: {type: greeting, prompt: welcome, next: nowhere}
          lonely: {type: queue, queue: orders}
      second:
        pool: cellar
        start: what
        steps:
          what: {type: quiz, prompt: riddle}
          choose: {type: menu, prompt: choose, choices: {"1": gone}, otherwise: what}
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
    "boats: {burst": "such a share says nothing",
    "queue: dear": "overflow: this queue is for voice, not for post",
    "callback: {mode": "callback: a queue for post calls nobody back",
    "retry_seconds: 600": "callback.retry_seconds: must be shorter than valid_seconds, 300",
    "announcements:": "announcements.0: a queue for post announces nothing",
    "to: {type: site": "overflows.0.to: no site serves a queue that is closed",
    "percent: 60": "split: the percentages come to 90, not to 100",
    "queue_id: odd": "split.1: this queue is for voice, not for post",
    "sites: []": "at least 1 is needed",
    "type: never": "must be waited, queue_length, estimated_wait, nobody_logged_in, site_down or closed",
    "to: {type: callback": "overflows.1.to: the queue has no callback rules",
    "next: nowhere": "nowhere",
    "lonely:": "lonely",
    "price_per_closed_case": "a price must be at most 999999999",
    "secret:": "must not hold a user name or password",
    "deaf:": "at least 1 is needed",
    "autumn:": "calling_hours: has no span, so it would never be open",
    "pool: cellar": "there is no such pool",
    "type: quiz": "must be one of greeting, menu",
    '"1": gone': "there is no step 'gone'",
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
