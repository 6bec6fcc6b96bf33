"""A dialled number, from the flow to the invoice's line, through the real services."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from common.events import CallbackDialled, CaseOpened, VoicemailLeft
from common.testing import eventually
from plateau.checker.report import violations
from plateau.client import Client
from plateau.floor import parse
from plateau.floor.apply import apply, plan
from plateau.floor.export import export
from plateau.stack import running_stack
from plateau.state import State

from .floors import history

pytestmark = pytest.mark.deep

FLOOR = """\
pools:
  main:
    name: Main
    skills: [complaints]
    agents: [{id: ada, name: Ada, skills: {complaints: 5}}]
tenants:
  kettle:
    name: Kettle & Quill (invented)
    time_zone: Europe/Paris
    closing_dispositions: [solved]
    tariff: {price_per_closed_case: "4.20"}
    queues:
      complaints: {pool: main, required_skills: [complaints], callback: {mode: agent_first, ring_seconds: 60}}
    entry_points:
      kettle-line:
        pool: main
        numbers: ["+33199001000"]
        start: topic
        steps:
          topic:
            type: menu
            prompt: topics
            choices: {"1": wait, "2": record, "3": call-me}
            otherwise: wait
          wait: {type: queue, queue: complaints}
          record: {type: voicemail, prompt: speak, queue: complaints}
          call-me: {type: callback, queue: complaints, otherwise: wait}
"""


async def test_a_dialled_number_leads_to_a_message_a_queue_or_a_callback_and_is_billed_by_case(tmp_path: Path) -> None:
    """Given a floor file with an entry point, applied;

    when a caller leaves a message, and calls again, is answered and their matter is settled, then both are one case,
    closed and charged once;

    when, while the agent speaks, one caller presses 3 and another does who withholds the number, then the first has a
    place at once, is offered to the agent when they come free and is dialled once, and the other waits in the queue;

    and no promise is broken, and `explain` tells the way of each call."""
    async with running_stack(State(tmp_path), speed=1.0) as stack, Client(stack.urls, stack.token()) as client:
        await apply(client, await plan(client, parse(FLOOR)))
        assert (await plan(client, parse(FLOOR))).pending == ()
        assert (await plan(client, parse(await export(client)))).pending == ()
        await client.post("routing", "/v1/agents/ada/log-in")

        async def tell(**fact: Any) -> str:
            accepted = (await client.post("routing", "/v1/telephony/facts", {"facts": [fact]}))["accepted"]
            return str(accepted[0]["call_id"])

        async def is_in(call_id: str, state: str) -> None:
            async def reached() -> bool:
                found = await client.find("routing", f"/v1/calls/{call_id}")
                return found is not None and found["state"] == state

            await eventually(reached)

        async def cases() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = (await client.get("crm-bridge", "/v1/cases", tenant_id="kettle"))["items"]
            return found

        first = await tell(type="arrived", number="+33199001000", contact_phone="+33199001234")
        await tell(type="digits", call_id=first, digits="2")
        await tell(type="recording_done", call_id=first, recording="m-1.wav", seconds=12)
        await is_in(first, "left_in_flow")
        await eventually(cases)
        assert [case["status"] for case in await cases()] == ["open"]
        explained = await client.get("routing", f"/v1/calls/{first}/explain")
        assert explained["words"][0] == "It came by +33199001000, entry point kettle-line."
        assert explained["words"][1].startswith("The caller left a message at")

        second = await tell(type="arrived", number="+33199001000", contact_phone="+33199001234")
        await tell(type="digits", call_id=second, digits="1")
        await is_in(second, "offered")
        await tell(type="accepted", call_id=second, agent_id="ada")
        third = await tell(type="arrived", number="+33199001000", contact_phone="+33199005678")
        await tell(type="digits", call_id=third, digits="3")
        await is_in(third, "held_place")
        await tell(type="hung_up", call_id=third)
        withheld = await tell(type="arrived", number="+33199001000")
        await tell(type="digits", call_id=withheld, digits="3")
        await is_in(withheld, "queued")
        explained = await client.get("routing", f"/v1/calls/{withheld}/explain")
        assert explained["no_callback"] == "no_phone"
        assert "would have had the caller called back, but the number is withheld" in explained["words"][1]
        await tell(type="hung_up", call_id=withheld)
        await tell(type="hung_up", call_id=second)
        await tell(type="wrapped_up", call_id=second, agent_id="ada", disposition="solved")

        async def charges() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = (await client.get("billing", "/v1/charges", tenant_id="kettle"))["items"]
            return found

        await eventually(charges)
        (case,) = [case for case in await cases() if case["status"] == "closed"]
        assert case["calls"] == 2
        assert len(await charges()) == 1

        await is_in(third, "offered")
        await tell(type="accepted", call_id=third, agent_id="ada")
        await is_in(third, "calling_back")
        view = await client.get("routing", f"/v1/calls/{third}")
        assert view["callback"]["dial_id"] == f"{third}/1"
        await tell(type="dial_result", call_id=third, dial_id=f"{third}/1", outcome="answered")
        await tell(type="hung_up", call_id=third)
        await tell(type="wrapped_up", call_id=third, agent_id="ada", disposition="solved")
        await is_in(third, "wrapped_up")
        told = await client.get("routing", f"/v1/calls/{third}/explain")
        assert told["callback"]["promised_by"] == "call-me"
        assert [dial["outcome"] for dial in told["callback"]["dials"]] == ["answered"]
        (promised,) = [said for said in told["words"] if "to be called back" in said]
        assert "as step call-me of the flow says, agent first" in promised

        async def charged_again() -> bool:
            return len(await charges()) == 2

        await eventually(charged_again)
        explained = await client.get("routing", f"/v1/calls/{second}/explain")
        assert "ada" in explained["words"][-1]

        events = await history(stack.bootstrap_servers)
    assert violations(events, complete=True) == []
    assert sum(isinstance(event, VoicemailLeft) for event in events) == 1
    assert sum(isinstance(event, CaseOpened) for event in events) == 2
    assert sum(isinstance(event, CallbackDialled) for event in events) == 1
