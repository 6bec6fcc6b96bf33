"""An agent asks for help, hands a caller on warm, confers; a supervisor takes over: through the real services."""

from __future__ import annotations

from pathlib import Path

import pytest
from common.events import CallOffered, CaseOpened
from common.testing import eventually
from plateau.checker.report import violations
from plateau.client import Client
from plateau.floor import parse
from plateau.floor.apply import apply, plan
from plateau.floor.export import export
from plateau.stack import running_stack
from plateau.state import State

from .floors import StackFloor, history

pytestmark = pytest.mark.deep

FLOOR = """\
pools:
  main:
    name: Main
    skills: [expert]
    agents:
      - {id: ann, name: Ann}
      - {id: eve, name: Eve, skills: {expert: 8}}
      - {id: sue, name: Sue}
tenants:
  kettle:
    name: Kettle & Quill (invented)
    time_zone: Europe/Paris
    closing_dispositions: [solved]
    directory: {night-desk: "+33199000199"}
    tariff: {price_per_closed_case: "4.20"}
    queues:
      level-1: {pool: main, missed_offers_before_break: 2}
      level-2: {pool: main, required_skills: [expert]}
"""


class Floor(StackFloor):
    """Ann, eve and a caller."""

    async def converse(self, phone: str) -> str:
        """A caller of level 1 who speaks with ann."""
        offer = {"queue_id": "level-1", "contact_phone": phone, "preferred_agent_id": "ann"}
        call_id = str((await self.do("calls", **offer))["call_id"])
        await self.is_in(call_id, "offered")
        await self.do(f"calls/{call_id}/accept", agent_id="ann")
        await self.is_in(call_id, "talking")
        return call_id

    async def consult(self, call_id: str, **asked: str) -> str:
        """Ann asks eve, who answers."""
        accepted = await self.do(f"calls/{call_id}/consultation", agent_id="ann", **asked)
        between = str(accepted["consultation_id"])
        await self.is_in(between, "offered")
        await self.do(f"calls/{between}/accept", agent_id="eve")
        await self.is_in(between, "talking")
        return between


async def test_help_for_an_agent_keeps_the_callers_history_and_case(tmp_path: Path) -> None:
    """Given a floor file with two levels, applied, and an agent of each; when level 1 consults level 2 and hands the
    caller on warm, confers about a second caller, has a third one taken over by a supervisor and misses offers; then
    each caller has one case, each call one agent and its figures, nobody is charged twice, and `explain` tells who
    asked whom and where the caller went."""
    async with running_stack(State(tmp_path), speed=1.0) as stack, Client(stack.urls, stack.token()) as client:
        await apply(client, await plan(client, parse(FLOOR)))
        assert (await plan(client, parse(FLOOR))).pending == ()
        assert "missed_offers_before_break: 2" in await export(client)
        floor = Floor(client)
        await floor.do("agents/ann/log-in")
        await floor.agent_is("ann", "available")

        await _warm_transfer(floor)
        await _conference(floor)
        await _take_over(floor)
        await _missed_offers(floor)

        async def charges() -> bool:
            return len((await client.get("billing", "/v1/charges", tenant_id="kettle"))["items"]) == 3

        await eventually(charges)
        cases = (await client.get("crm-bridge", "/v1/cases", tenant_id="kettle"))["items"]
        assert sorted((case["status"], case["calls"]) for case in cases) == [
            ("closed", 1),
            ("closed", 2),
            ("closed", 2),
        ]

        async def figures() -> dict[str, tuple[int, int, int]]:
            found: dict[str, tuple[int, int, int]] = {}
            async for row in client.pages("kpi", "/v1/intervals", step="15m"):
                key = row["queue_id"] or "all"
                before = found.get(key, (0, 0, 0))
                counted = (row["offered"], row["answered"], row["abandoned"])
                found[key] = tuple(map(sum, zip(before, counted, strict=True)))  # type: ignore[assignment]
            return found

        async def counted() -> bool:
            return await figures() == {"level-1": (5, 4, 1), "level-2": (1, 1, 0), "all": (4, 3, 1)}

        await eventually(counted)
        events = await history(stack.bootstrap_servers)
    assert violations(events, complete=True) == []
    assert sum(isinstance(event, CaseOpened) for event in events) == 3
    assert sum(isinstance(event, CallOffered) for event in events) == 6


async def _warm_transfer(floor: Floor) -> None:
    """Nobody of level 2 is there at first; a colleague by name is not there either; then eve comes and takes it."""
    first = await floor.converse("+33199001231")
    absent = await floor.do(f"calls/{first}/consultation", agent_id="ann", colleague_id="eve")
    assert await floor.refusal(absent) == "agent_not_available"
    accepted = await floor.do(f"calls/{first}/consultation", agent_id="ann", queue_id="level-2")
    between = accepted["consultation_id"]
    await floor.is_in(between, "queued")
    early = await floor.do(f"calls/{first}/consultation/complete", agent_id="ann")
    assert await floor.refusal(early) == "consultation_not_answered"
    await floor.do("agents/eve/log-in")
    await floor.is_in(between, "offered")
    await floor.do(f"calls/{between}/accept", agent_id="eve")
    view = await floor.is_in(between, "talking")
    assert (view["consults"], view["agent_id"]) == (first, "eve")
    view = await floor.is_in(first, "talking")
    assert (view["on_hold"], view["consultation"]["queue_id"]) == (True, "level-2")
    words = (await floor.explained(first))["words"]
    assert words[-1].endswith("ann consults queue level-2; the caller does not hear it.")

    await floor.do(f"calls/{first}/consultation/complete", agent_id="ann")
    view = await floor.is_in(first, "wrapping_up")
    assert view["transferred_to"] == between
    view = await floor.is_in(between, "talking")
    assert (view["consults"], view["transferred_from"], view["queue_id"]) == (None, first, "level-2")
    await floor.wrap_up(first, "ann", "handed on")
    await floor.do(f"calls/{between}/hang-up")
    await floor.is_in(between, "wrapping_up")
    await floor.wrap_up(between, "eve", "solved")

    explained = await floor.explained(first)
    assert explained["words"][-3].endswith(
        "ann consulted queue level-2, where eve answered; the caller went on with them."
    )
    assert explained["words"][-2] == f"The caller went on as call {between}."
    assert "; ann wrapped up as 'handed on', " in explained["words"][-1]
    assert explained["transferred_to"] == between
    (consulted,) = explained["consultations"]
    assert (consulted["agent_id"], consulted["answered_by"], consulted["outcome"]) == ("ann", "eve", "completed")
    explained = await floor.explained(between)
    assert explained["words"][0] == f"ann asked for help with call {first}."
    assert "eve came free" in explained["words"][1]
    assert explained["words"][-2].endswith(f"it is the caller's, who comes from call {first}.")
    assert explained["transferred_from"] == first


async def _conference(floor: Floor) -> None:
    """Eve is asked by name, all three speak, eve leaves, and ann settles the matter."""
    call_id = await floor.converse("+33199001232")
    between = await floor.consult(call_id, colleague_id="eve")
    await floor.do(f"calls/{call_id}/consultation/confer", agent_id="ann")

    async def joined() -> bool:
        view = await floor.is_in(call_id, "talking")
        return view["consultation"]["joined"] and not view["on_hold"]

    await eventually(joined)
    await floor.do(f"calls/{between}/hang-up", agent_id="eve")
    await floor.agent_is("eve", "available")
    assert (await floor.is_in(call_id, "talking"))["consultation"] is None
    await floor.do(f"calls/{call_id}/hang-up", agent_id="ann")
    await floor.is_in(call_id, "wrapping_up")
    await floor.wrap_up(call_id, "ann", "solved")
    words = (await floor.explained(call_id))["words"]
    assert words[-2].endswith("ann consulted eve, the caller took part; they left.")
    words = (await floor.explained(between))["words"]
    assert words[0] == f"ann asked for help with call {call_id}."
    assert words[-1].endswith(": they left.")


async def _take_over(floor: Floor) -> None:
    """Sue, on a break, listens, takes the call over while ann consults, and goes on with her break."""
    call_id = await floor.converse("+33199001233")
    between = await floor.consult(call_id, queue_id="level-2")
    await floor.do("agents/sue/log-in", state="break")
    await floor.do(f"calls/{call_id}/supervision", agent_id="sue", mode="listen")
    taken = (await floor.do(f"calls/{call_id}/take-over", agent_id="sue"))["to_call_id"]
    assert (await floor.is_in(taken, "talking"))["agent_id"] == "sue"
    await floor.is_in(between, "consultation_over")
    await floor.agent_is("eve", "available")
    await floor.is_in(call_id, "wrapping_up")
    await floor.wrap_up(call_id, "ann", "taken over")
    await floor.do(f"calls/{taken}/hang-up")
    await floor.is_in(taken, "wrapping_up")
    await floor.wrap_up(taken, "sue", "solved")
    await floor.agent_is("sue", "break")
    explained = await floor.explained(call_id)
    assert any(sentence.endswith("supervisor sue listened.") for sentence in explained["words"])
    assert explained["words"][-3].endswith("it was over with the call.")
    assert explained["words"][-2] == f"The caller went on as call {taken}, taken over by sue."
    assert [one["mode"] for one in explained["conversation"]["supervisions"]] == ["listen"]
    assert (explained["conversation"]["holds"], explained["conversation"]["disposition"]) == (1, "taken over")
    explained = await floor.explained(taken)
    assert explained["words"][0] == f"Its caller comes from call {call_id}."
    assert explained["words"][1].startswith("sue took the caller over from ann at ")
    ((supervisor, agent),) = [(one["supervisor_id"], one["agent_id"]) for one in explained["take_overs"]]
    assert (supervisor, agent) == ("sue", "ann")


async def _missed_offers(floor: Floor) -> None:
    """Ann declines: eve, who is behind her in no order, gets the call; both decline again, and ann is on a break."""
    call_id = str((await floor.do("calls", queue_id="level-1"))["call_id"])
    for agent_id, offers in (("eve", 1), ("ann", 2), ("eve", 3), ("ann", 4)):

        async def rings(who: str = agent_id, count: int = offers) -> bool:
            view = await floor.is_in(call_id, "offered")
            return (view["agent_id"], view["offers"]) == (who, count)

        await eventually(rings)
        await floor.do(f"calls/{call_id}/decline", agent_id=agent_id)
    for agent_id in ("ann", "eve"):
        assert (await floor.agent_is(agent_id, "break"))["reason"] == "declined"
    await floor.do(f"calls/{call_id}/hang-up")
    await floor.is_in(call_id, "abandoned")
    explained = await floor.explained(call_id)
    assert [one["agent_id"] for one in explained["assignments"]] == ["eve", "ann", "eve", "ann"]
    misses = [one["missed"] for one in explained["assignments"]]
    assert [(one["reason"], one["in_a_row"], one["agent_then"]) for one in misses] == [
        ("declined", 1, None),
        ("declined", 1, None),
        ("declined", 2, "break"),
        ("declined", 2, "break"),
    ]
    words = "\n".join(explained["words"])
    assert words.count("the call went back to its place: ") == 4
    assert "eve then went on a break: the queue sends whoever misses 2 offers in a row on one." in words
