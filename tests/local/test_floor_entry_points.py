"""Entry points of a floor file: read whole, every fault named with its line."""

from __future__ import annotations

import pytest
from plateau.floor import FloorInvalid, parse

FLOOR = """\
pools:
  room: {name: Room, skills: [french]}
tenants:
  boats:
    name: Paper Boats
    time_zone: Europe/Paris
    closing_dispositions: [settled]
    queues:
      orders: {pool: room, callback: {mode: agent_first}}
      repairs: {pool: room}
    entry_points:
      line:
        pool: room
        numbers: ["+33 6 39 98 01 00"]
        start: hello
        steps:
          hello: {type: greeting, prompt: welcome, next: speech}
          speech:
            type: language
            prompt: speeches
            choices: {"1": french}
            next: topic
            otherwise: topic
            no_input: topic
          topic:
            type: menu
            prompt: topics
            choices:
              "1": wait
              "2": hello
              "3": call-me
            otherwise: wait
            no_match: wait
          wait: {type: queue, queue: orders}
          call-me: {type: callback, queue: orders, otherwise: wait}
"""


def line_of(fragment: str) -> int:
    (line,) = [number for number, line in enumerate(FLOOR.splitlines(), 1) if fragment in line]
    return line


def test_a_flow_may_lead_to_a_queue_of_another_pool() -> None:
    other = FLOOR.replace("pools:\n", "pools:\n  hall: {name: Hall, skills: []}\n")
    (line,) = parse(other.replace("orders: {pool: room,", "orders: {pool: hall,")).entry_points
    assert line.pool_id == "room"


def test_an_entry_point_is_read_with_every_default() -> None:
    (line,) = parse(FLOOR).entry_points
    assert (line.tenant_id, line.pool_id, line.numbers) == ("boats", "room", ("+33639980100",))
    assert line.flow["steps"]["topic"] == {
        "type": "menu",
        "prompt": "topics",
        "choices": [
            {"digits": "1", "next": "wait"},
            {"digits": "2", "next": "hello"},
            {"digits": "3", "next": "call-me"},
        ],
        "otherwise": "wait",
        "tries": 3,
        "timeout_seconds": 15,
        "no_input": None,
        "no_match": "wait",
    }
    assert line.flow["steps"]["call-me"] == {"type": "callback", "queue_id": "orders", "otherwise": "wait"}


@pytest.mark.parametrize(
    ("right", "wrong", "line", "told"),
    [
        ("next: speech}", "next: speach}", "hello: {type", "there is no step 'speach'"),
        (", next: speech}", "}", "hello: {type", "is a dead end"),
        ('"1": french', '"1": dutch', '"1": french', "unknown skill 'dutch'"),
        ('"2": hello', '"x": hello', '"2": hello', "must be 1 to 8 of"),
        ('"2": hello', '"1": hello', '"2": hello', "is said twice"),
        ("  otherwise: wait\n", "  otherwise: topic\n", "  otherwise: wait", "is a loop without an exit"),
        ("  otherwise: wait\n", "  otherwise: hello\n", "  otherwise: wait", "is a loop without an exit"),
        ("no_match: wait", "no_match: weight", "no_match: wait", "there is no step 'weight'"),
        ("no_match: wait", 'no_match: ""', "no_match: wait", "must be a text of 1 to"),
        ("no_input: topic", "no_input: hello", "no_input: topic", "a loop without an exit: hello -> speech -> hello"),
        ("queue: orders}", "queue: order}", "queue: orders}", "there is no queue 'order'"),
        (", otherwise: wait}", "}", "call-me: {", "callers who withhold the number cannot be called back"),
        (", otherwise: wait}", ", otherwise: call-me}", "call-me: {", "is a loop without an exit"),
        ("queue: orders, otherwise", "queue: repairs, otherwise", "call-me: {", "'repairs' calls nobody back"),
        ("type: queue", "type: que", "wait: {type", 'must be one of greeting, menu, language, hours, priority'),
        ("start: hello", "start: hallo", "start: hello", "there is no step 'hallo'"),
        ('"+33 6 39 98 01 00"', '"0639"', "numbers:", "it is too short for +33"),
        ("line:\n        pool: room", "line:\n        pool: rom", "        pool: room", "there is no such pool"),
        ("          wait: {", "          x: {type: message, prompt: x}\n          wait: {", "wait: {", "unreachable"),
    ],
)  # fmt: skip
def test_each_fault_is_named_with_its_line(right: str, wrong: str, line: str, told: str) -> None:
    assert FLOOR.count(right) == 1, right
    with pytest.raises(FloorInvalid) as refused:
        parse(FLOOR.replace(right, wrong), "floor.yaml")
    lines = [str(one) for one in refused.value.wrong if told in str(one)]
    assert lines, refused.value.wrong
    assert lines[0].startswith(f"floor.yaml:{line_of(line)}:"), lines


def test_a_number_leads_to_one_entry_point() -> None:
    second = """\
      second: {pool: room, numbers: ["+33639980100"], start: wait, steps: {wait: {type: queue, queue: orders}}}
"""
    with pytest.raises(FloorInvalid, match=r"floor.yaml:36:.*leads to line already"):
        parse(FLOOR + second, "floor.yaml")


def test_a_step_or_pool_that_cannot_be_read_hides_no_other_fault_and_invents_none() -> None:
    """What only the step of an unknown type leads to is not called unreachable, nor a skill of an unknown pool
    unknown; what is wrong beside them is told."""
    unread = FLOOR.replace("type: menu", "type: men").replace("queue: orders, otherwise", "queue: repairs, otherwise")
    unknown = FLOOR.replace("line:\n        pool: room", "line:\n        pool: rom").replace(
        "next: speech}", "next: sp}"
    )
    for text, reasons in (
        (unread, ["must be one of greeting", "'repairs' calls nobody back"]),
        (unknown, ["there is no such pool", "there is no step 'sp'", *["unreachable"] * 4]),
    ):
        with pytest.raises(FloorInvalid) as refused:
            parse(text)
        told = [str(one) for one in refused.value.wrong]
        assert [reason in one for one, reason in zip(told, reasons, strict=True)] == [True] * len(told), told
