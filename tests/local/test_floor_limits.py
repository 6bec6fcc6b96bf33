"""How long a list may be: the floor file takes as much as the API, which would refuse the rest half-way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from common.http import Model
from crm_bridge.api.tenants import TenantBody as CaseRules
from plateau.floor import FloorInvalid, parse
from pydantic import ValidationError
from routing.api.configuration import AgentBody, PoolBody, QueueBody, TenantBody
from routing.api.entry_points import EntryPointBody

NAMES = [f"s{number}" for number in range(1100)]
CASES: list[tuple[type[Model], str, Callable[[int], Any]]] = [
    (PoolBody, "pools.room.skills", lambda count: NAMES[:count]),
    (AgentBody, "pools.room.agents.0.skills", lambda count: NAMES[:count]),
    (AgentBody, "pools.room.agents.0.skills", lambda count: dict.fromkeys(NAMES[:count], 5)),
    (TenantBody, "tenants.boats.directory", lambda count: dict.fromkeys(NAMES[:count], "+33639980001")),
    (CaseRules, "tenants.boats.closing_dispositions", lambda count: NAMES[:count]),
    (CaseRules, "tenants.boats.closing_dispositions", lambda count: ["x" * count]),
    (QueueBody, "tenants.boats.queues.orders.required_skills", lambda count: NAMES[:count]),
    (
        QueueBody,
        "tenants.boats.queues.orders.relaxations",
        lambda count: [{"after_seconds": number, "requirement": "s0"} for number in range(1, count + 1)],
    ),
    (
        QueueBody,
        "tenants.boats.queues.orders.overflows",
        lambda count: [{"when": {"type": "closed"}, "to": {"type": "message", "message": "sorry"}}] * count,
    ),
    (
        QueueBody,
        "tenants.boats.queues.orders.split",
        lambda count: [
            {"percent": 101 - count if number == 0 else 1, "to": {"type": "stay"}} for number in range(count)
        ],
    ),
    (QueueBody, "tenants.boats.queues.orders.cover", lambda count: [{"sites": ["s0"]}] * count),
    (QueueBody, "tenants.boats.queues.orders.cover", lambda count: [{"sites": NAMES[:count]}]),
    (
        QueueBody,
        "tenants.boats.queues.orders.announcements",
        lambda count: [{"message": "hold", "after_seconds": 5}] * count,
    ),
    (
        QueueBody,
        "tenants.boats.queues.orders.hours",
        lambda count: {
            "week": {"mon": [["08:00", "12:00"]]},
            "exceptions": {
                f"{2000 + number // 300}-{number // 25 % 12 + 1:02d}-{number % 25 + 1:02d}": []
                for number in range(count)
            },
        },
    ),
    (
        EntryPointBody,
        "tenants.boats.entry_points.line.numbers",
        lambda count: [f"+3363998{number:04d}" for number in range(count)],
    ),
    (
        EntryPointBody,
        "tenants.boats.entry_points.line.steps",
        lambda count: {
            **{
                f"s{number}": {"type": "greeting", "prompt": "on", "next": f"s{number + 1}"}
                for number in range(count - 1)
            },
            f"s{count - 1}": {"type": "message", "prompt": "bye"},
        },
    ),
]
"""The API's body, the place in the file, and what stands there with so many entries (or characters)."""


def floor() -> dict[str, Any]:
    """With everything that the cases name."""
    return {
        "sites": {name: {"name": name, "time_zone": "UTC"} for name in NAMES[:60]},
        "pools": {"room": {"name": "Room", "skills": NAMES[:1000], "agents": [{"id": "ann", "name": "Ann"}]}},
        "tenants": {
            "boats": {
                "name": "Paper Boats",
                "time_zone": "UTC",
                "queues": {"orders": {"pool": "room"}},
                "entry_points": {
                    "line": {"pool": "room", "start": "s0", "steps": {"s0": {"type": "message", "prompt": "bye"}}}
                },
            }
        },
    }


def refused_by_file(path: str, value: Any) -> list[str]:
    text = floor()
    *ways, last = path.split(".")
    at: Any = text
    for way in ways:
        at = at[int(way) if way.isdigit() else way]
    at[last] = value
    try:
        parse(yaml.safe_dump(text, default_flow_style=None))
    except FloorInvalid as refused:
        return [str(one) for one in refused.wrong]
    return []


def refused_by_api(body: type[Model], field: str, value: Any) -> bool:
    """Whether the length alone is too much for it; what else the body needs is not said here."""
    place = ("flow", field) if field == "steps" else (field,)
    given = {"flow": {"steps": value}} if field == "steps" else {field: value}
    try:
        body.model_validate(given)
    except ValidationError as refused:
        return any(one["loc"][: len(place)] == place and "too_long" in one["type"] for one in refused.errors())
    return False


@pytest.mark.parametrize(("body", "path", "made"), CASES)
def test_the_file_takes_as_much_as_the_api(body: type[Model], path: str, made: Callable[[int], Any]) -> None:
    """The most that the API takes is found by halving; so much is right in a file, and one more is wrong."""
    field = path.rpartition(".")[2]
    most, more = 1, len(NAMES)
    assert refused_by_api(body, field, made(more)), "the API takes any number"
    while more - most > 1:
        half = (most + more) // 2
        most, more = (most, half) if refused_by_api(body, field, made(half)) else (half, more)
    assert refused_by_file(path, made(most)) == []
    assert len(refused_by_file(path, made(more))) == 1
