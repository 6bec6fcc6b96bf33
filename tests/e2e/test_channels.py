"""An agent with several calls at a time, from the floor file to the events and figures, through the real services."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from common.events import AgentStateChanged, CallWrappedUp
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
    interrupts: {voice: [email]}
    agents:
      - {id: ada, name: Ada, capacity: {voice: 1, chat: 3, email: 2}}
      - {id: bea, name: Bea, capacity: {voice: 1, email: 2}}
tenants:
  kettle:
    name: Kettle & Quill (invented)
    time_zone: Europe/Paris
    closing_dispositions: [solved]
    tariff: {price_per_closed_case: "4.20"}
    queues:
      phone: {pool: main}
      chats: {pool: main, channel: chat}
      mails: {pool: main, channel: email}
"""


async def test_an_agent_has_chats_and_emails_at_once_and_a_voice_call_interrupts_an_email(tmp_path: Path) -> None:
    """Given a floor file where Ada takes three chats and two e-mails at a time, Bea two e-mails, and voice interrupts
    e-mail. When three chats and two e-mails come, then Ada has all five at once, and a fourth chat waits. When a phone
    call comes, then it goes to Bea, whose e-mail stands still until her wrap-up is over, and not to Ada with her chats;
    the e-mail's handling time is without the pause, no promise is broken, and `explain` says all of it."""
    async with running_stack(State(tmp_path), speed=1.0) as stack, Client(stack.urls, stack.token()) as client:
        await apply(client, await plan(client, parse(FLOOR)))
        assert (await plan(client, parse(FLOOR))).pending == ()
        main = yaml.safe_load(await export(client))["pools"]["main"]
        assert main["interrupts"] == {"voice": ["email"]}
        assert main["agents"][0]["capacity"] == {"voice": 1, "chat": 3, "email": 2}

        async def offer(queue_id: str, channel: str) -> str:
            body = {"queue_id": queue_id, "channel": channel, "contact_phone": "+33199001234"}
            return str((await client.post("routing", "/v1/calls", body))["call_id"])

        async def is_in(call_id: str, state: str, **wanted: Any) -> dict[str, Any]:
            async def reached() -> dict[str, Any] | None:
                found = await client.find("routing", f"/v1/calls/{call_id}")
                as_wanted = found is not None and all(found[name] == value for name, value in wanted.items())
                return found if found is not None and as_wanted and found["state"] == state else None

            found = await eventually(reached)
            assert found is not None
            return found

        async def act(call_id: str, what: str, agent_id: str, **more: Any) -> None:
            await client.post("routing", f"/v1/calls/{call_id}/{what}", {"agent_id": agent_id, **more})

        async def agent(agent_id: str) -> dict[str, Any]:
            found: dict[str, Any] = await client.get("routing", f"/v1/agents/{agent_id}")
            return found

        async def words(call_id: str) -> str:
            return " ".join((await client.get("routing", f"/v1/calls/{call_id}/explain"))["words"])

        await client.post("routing", "/v1/agents/ada/log-in")
        chats = [await offer("chats", "chat") for _ in range(3)]
        mails = [await offer("mails", "email") for _ in range(2)]
        for call_id in (*chats, *mails):
            await is_in(call_id, "offered", agent_id="ada")
            await act(call_id, "accept", "ada")
            await is_in(call_id, "talking")
        ada = await agent("ada")
        assert [one["channel"] for one in ada["calls"]] == ["chat", "chat", "chat", "email", "email"]
        assert (ada["state"], ada["call_id"], ada["takes"]) == ("busy", chats[0], [])
        fourth = await offer("chats", "chat")
        await is_in(fourth, "queued")
        live = await client.get("routing", "/v1/queues/chats/live")
        assert live["waiting"] == 1
        assert "ada had 2 of at most 3 chats then." in await words(chats[2])
        assert "Agents who may serve it: 1 logged in, 0 available." in await words(fourth)

        await client.post("routing", "/v1/agents/bea/log-in")
        mail = await offer("mails", "email")
        await is_in(mail, "offered", agent_id="bea")
        await act(mail, "accept", "bea")
        await is_in(mail, "talking")
        phone = await offer("phone", "voice")
        await is_in(phone, "offered", agent_id="bea")
        await act(phone, "accept", "bea")
        await is_in(mail, "talking", paused=True)
        bea = await agent("bea")
        assert [(one["channel"], one["state"], one["paused"]) for one in bea["calls"]] == [
            ("email", "busy", True),
            ("voice", "busy", False),
        ]
        assert (bea["call_id"], bea["takes"]) == (phone, [])
        explained = await client.get("routing", f"/v1/calls/{phone}/explain")
        assert explained["assignments"][0]["beside"] == {"at_hand": 0, "capacity": 1, "interrupts": [mail]}
        assert f"Its answer interrupts call {mail} of bea." in explained["words"]
        assert f"interrupted by call {phone}" in await words(mail)

        await act(phone, "hang-up", "bea")
        await is_in(phone, "wrapping_up")
        assert (await is_in(mail, "talking"))["paused"] is True
        await act(phone, "wrap-up", "bea", disposition="solved")
        await is_in(mail, "talking", paused=False)
        for call_id, agent_id in ((mail, "bea"), *((one, "ada") for one in (*chats, *mails))):
            await act(call_id, "hang-up", agent_id)
            await is_in(call_id, "wrapping_up")
            await act(call_id, "wrap-up", agent_id, disposition="solved")
            await is_in(call_id, "wrapped_up")
        await is_in(fourth, "offered", agent_id="ada")
        await act(fourth, "accept", "ada")
        await client.post("routing", "/v1/agents/ada/log-out")
        await act(fourth, "hang-up", "ada")
        await is_in(fourth, "wrapping_up")
        assert (await agent("ada"))["state"] == "wrap_up"
        await act(fourth, "wrap-up", "ada", disposition="solved")
        await is_in(fourth, "wrapped_up")
        assert (await agent("ada"))["state"] == "logged_out"
        explained = await client.get("routing", f"/v1/calls/{mail}/explain")
        assert explained["words"][-2].startswith(f"It was interrupted once by call {phone}: it stood still for")
        assert explained["pauses"]["talk_seconds"] > 0

        events = await history(stack.bootstrap_servers)
    assert violations(events) == []
    (done,) = [event for event in events if isinstance(event, CallWrappedUp) and event.call_id == mail]
    wall = (done.ended_at - done.answered_at).total_seconds()
    assert done.talk_paused_seconds == explained["pauses"]["talk_seconds"]
    assert abs(done.talk_seconds + done.talk_paused_seconds - wall) < 0.001
    assert max(len(event.calls) for event in events if isinstance(event, AgentStateChanged)) == 5
