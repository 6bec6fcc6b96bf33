"""Levels of expertise, from the first agent to the invoice's line, through the real services."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from common.events import CaseOpened
from common.testing import eventually
from plateau.checker.report import violations
from plateau.client import Client
from plateau.floor import parse
from plateau.floor.apply import apply, plan
from plateau.stack import running_stack
from plateau.state import State

from .floors import StackFloor, history

FLOOR = """\
pools:
  floor:
    name: Floor
    skills: [complaints]
    agents:
      - {id: ada, name: Ada, skills: {complaints: 2}}
      - {id: ben, name: Ben, skills: {complaints: 6}}
  experts:
    name: Experts
    skills: [complaints]
    agents: [{id: cleo, name: Cleo, skills: {complaints: 10}}]
tenants:
  kettle:
    name: Kettle & Quill (invented)
    time_zone: Europe/Paris
    closing_dispositions: [solved]
    tariff: {price_per_closed_case: "4.20"}
    queues:
      level-1: {pool: floor, requirement: complaints >= 1, agent_order: least_flexible}
      level-2: {pool: floor, requirement: complaints >= 5}
      level-3: {pool: experts, requirement: complaints >= 9}
"""


async def test_an_anonymous_caller_keeps_the_case_from_level_1_to_level_3(tmp_path: Path) -> None:
    """Given three levels of agents, the third in a pool of its own,

    when a caller who withholds the number is handed on from level to level,

    then each level sees the call it comes from, it is one case over three calls, charged once, `explain` tells
    the way in both directions, and the figures count the caller once for the tenant and once for each queue."""
    async with running_stack(State(tmp_path), speed=1.0) as stack, Client(stack.urls, stack.token()) as client:
        await apply(client, await plan(client, parse(FLOOR)))
        for agent_id in ("ada", "ben", "cleo"):
            await client.post("routing", f"/v1/agents/{agent_id}/log-in")

        floor = StackFloor(client)

        async def all_queues() -> bool:
            queues = (await client.get("kpi", "/v1/live"))["queues"]
            return [queue["queue_id"] for queue in queues] == ["level-1", "level-2", "level-3"]

        await eventually(all_queues)

        async def cases() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = (await client.get("crm-bridge", "/v1/cases", tenant_id="kettle"))["items"]
            return found

        async def spoken_with(call_id: str, agent_id: str) -> dict[str, Any]:
            assert (await floor.is_in(call_id, "offered"))["agent_id"] == agent_id
            await floor.do(f"calls/{call_id}/accept", agent_id=agent_id)
            return await floor.is_in(call_id, "talking")

        async def hand_on(call_id: str, agent_id: str, queue_id: str) -> str:
            moved = await floor.do(f"calls/{call_id}/transfer", agent_id=agent_id, queue_id=queue_id)
            await floor.is_in(call_id, "wrapping_up")
            await floor.wrap_up(call_id, agent_id, "escalated")
            return str(moved["to_call_id"])

        first = str((await floor.do("calls", queue_id="level-1", external_id="leg-1"))["call_id"])
        await spoken_with(first, "ada")
        second = await hand_on(first, "ada", "level-2")
        assert (await spoken_with(second, "ben"))["transferred_from"] == first
        third = await hand_on(second, "ben", "level-3")
        view = await spoken_with(third, "cleo")
        assert (view["transferred_from"], view["pool_id"], view["external_id"]) == (second, "experts", "leg-1")

        async def three_calls() -> bool:
            return [case["calls"] for case in await cases()] == [3]

        await eventually(three_calls)
        assert [case["status"] for case in await cases()] == ["open"]
        await floor.do(f"calls/{third}/hang-up")
        await floor.is_in(third, "wrapping_up")
        await floor.wrap_up(third, "cleo", "solved")

        async def charges() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = (await client.get("billing", "/v1/charges", tenant_id="kettle"))["items"]
            return found

        await eventually(charges)
        assert [(case["status"], case["calls"]) for case in await cases()] == [("closed", 3)]
        assert len(await charges()) == 1

        async def counted() -> tuple[list[dict[str, Any]], dict[str, Any]] | None:
            rows = (await client.get("kpi", "/v1/intervals", tenant_id="kettle", step="1d"))["items"]
            (of_tenant,) = (await client.get("kpi", "/v1/summary"))["tenants"]
            complete = sum(row["handled"] for row in rows) == 4 and of_tenant["cases"]["closed"] == 1
            return (rows, of_tenant["cases"]) if complete else None

        figures = await eventually(counted)
        assert figures is not None
        rows, of_cases = figures
        shown = {row["queue_id"]: (row["offered"], row["answered"], row["handled"]) for row in rows}
        assert shown == dict.fromkeys((None, "level-1", "level-2", "level-3"), (1, 1, 1))
        tenant, *queues = sorted(rows, key=lambda row: row["queue_id"] or "")
        assert tenant["talk_seconds"] == pytest.approx(sum(row["talk_seconds"] for row in queues))
        assert (of_cases["calls_per_closed_case"], of_cases["calls_linked"]) == (1, 0)

        words = ["\n".join((await floor.explained(call_id))["words"]) for call_id in (first, second, third)]
        assert f"The caller went on as call {second}." in words[0]
        assert f"Its caller comes from call {first}, handed on by ada." in words[1]
        assert f"The caller went on as call {third}." in words[1]
        assert f"Its caller comes from call {second}, handed on by ben." in words[2]
        assert "asked for 'complaints >= 9', cleo was offered the call" in words[2]

        events = await history(stack.bootstrap_servers)
    assert violations(events, complete=True) == []
    assert sum(isinstance(event, CaseOpened) for event in events) == 1
