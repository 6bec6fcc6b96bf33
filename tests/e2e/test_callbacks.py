"""Callers who hang up and are called back, from the floor file to the figures, with routing killed in between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from common import envelope
from common.events import CallAnnounced, CallbackDialled, Event
from common.kafka import Kafka
from common.testing import eventually
from faults.keeping import Keeper
from plateau.checker.figures import settled
from plateau.client import Client
from plateau.floor import parse
from plateau.floor.apply import apply, plan
from plateau.floor.export import export
from plateau.stack import Stack, running_stack
from plateau.state import State
from support import read_all

pytestmark = pytest.mark.deep

FLOOR = """\
pools:
  main:
    name: Main
    skills: [orders, desk]
    agents: [{id: ada, name: Ada, skills: [orders]}, {id: bo, name: Bo, skills: [desk]}]
tenants:
  kettle:
    name: Kettle & Quill (invented)
    time_zone: Europe/Paris
    closing_dispositions: [solved]
    tariff: {price_per_closed_case: "4.20"}
    queues:
      orders:
        pool: main
        required_skills: [orders]
        callback: {mode: agent_first, attempts: 2, ring_seconds: 60}
        announcements:
          - {message: please-hold, after_seconds: 0, every_seconds: 600, tell: [position, estimated_wait]}
      desk:
        pool: main
        required_skills: [desk]
        callback: {mode: customer_first, attempts: 2, retry_seconds: 1, ring_seconds: 60}
        overflows:
          - {when: {type: waited, seconds: 1}, to: {type: callback}}
"""


class Pbx:
    """A switch at the telephony stream. It dials an attempt once, however often it is told of it."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.told: list[str] = []
        self.dialled: list[str] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._listen())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _listen(self) -> None:
        headers = {"authorization": f"Bearer {self._stack.token()}"}
        while True:
            url = f"{self._stack.urls['routing']}/v1/telephony/stream"
            with suppress(httpx.HTTPError):
                async with httpx.AsyncClient(headers=headers) as client, client.stream("GET", url) as response:
                    name = ""
                    async for line in response.aiter_lines():
                        kind, _, value = line.partition(": ")
                        if kind == "event":
                            name = value
                        elif kind == "data":
                            self._obey(name, json.loads(value))
            await asyncio.sleep(0.05)

    def _obey(self, name: str, data: dict[str, Any]) -> None:
        match name:
            case "snapshot":
                for call in data["calls"]:
                    if call["callback"] is not None and call["callback"]["dial_id"] is not None:
                        self._dial(call["callback"]["dial_id"])
            case "dial":
                self._dial(data["dial_id"])
            case _:
                pass

    def _dial(self, dial_id: str) -> None:
        self.told.append(dial_id)
        if dial_id not in self.dialled:
            self.dialled.append(dial_id)


async def test_callers_are_called_back_once_and_counted_once(tmp_path: Path) -> None:
    """Given two queues of a floor file that call back, agent first and customer first;

    when a caller hangs up at their place, an agent accepts, and routing is killed between the dial and the answer, then
    the customer was dialled once, the attempt goes on, is answered, and one case is closed and charged once;

    when a caller is to be called back by a rule of overflow, then nobody dials them before an agent is there; busy at
    first, they call themselves while the second attempt rings, and then their new call has the place and the attempt's
    answer comes too late;

    and every promise was kept, KPI says of each caller what happened once, and `explain` tells the whole way."""
    async with running_stack(State(tmp_path), speed=1.0) as stack, Client(stack.urls, stack.token()) as client:
        await apply(client, await plan(client, parse(FLOOR)))
        assert (await plan(client, parse(FLOOR))).pending == ()
        assert (await plan(client, parse(await export(client)))).pending == ()
        pbx = Pbx(stack)
        keeper = Keeper(stack.processes["routing"], stack.bootstrap_servers, expire=True)
        try:
            async with pbx.listening():
                first = await _agent_first(client, pbx, keeper)
                second, third = await _customer_first(client, pbx)
        finally:
            await keeper.leave()

        assert [dial_id.partition("/")[2] for dial_id in pbx.dialled] == ["1", "1", "2"]
        assert pbx.told.count(f"{first}/1") >= 2, "the snapshot told it again"

        outcome = await settled(stack.bootstrap_servers, client, timeout=30)
        assert outcome.report.violations == []
        assert outcome.differences == []
        figures = (await client.get("kpi", "/v1/intervals", tenant_id="kettle", step="15m"))["items"]
        counted = {
            name: sum(row[name] for row in figures if row["queue_id"] is None)
            for name in ("offered", "answered", "abandoned", "not_called_back")
        }
        assert counted == {"offered": 3, "answered": 1, "abandoned": 1, "not_called_back": 1}, (second, third)
        (case,) = (await client.get("crm-bridge", "/v1/cases", tenant_id="kettle"))["items"]
        assert (case["status"], case["calls"]) == ("closed", 1)
        assert len((await client.get("billing", "/v1/charges", tenant_id="kettle"))["items"]) == 1

        records = await read_all(Kafka(stack.bootstrap_servers), "calls")
        events: list[Event] = [envelope.decode(record.headers, record.value).event for record in records]
        assert sum(isinstance(event, CallbackDialled) and event.call_id == first for event in events) == 1
        heard = [event for event in events if isinstance(event, CallAnnounced)]
        assert [(event.call_id, event.message, event.position) for event in heard] == [(first, "please-hold", 1)]


async def _agent_first(client: Client, pbx: Pbx, keeper: Keeper) -> str:
    await keeper.ready()
    call_id = await _tell(client, type="offered", queue_id="orders", contact_phone="+33199001234")
    await _is_in(client, call_id, "queued")
    await client.post("routing", f"/v1/calls/{call_id}/callback")
    await _is_in(client, call_id, "held_place")
    await _tell(client, type="hung_up", call_id=call_id)
    words = await _words(client, call_id)
    assert "the caller hung up to be called back, agent first" in words
    assert "The place is in line; attempts left: 2." in words

    await client.post("routing", "/v1/agents/ada/log-in")
    await _is_in(client, call_id, "offered")
    await _tell(client, type="accepted", call_id=call_id, agent_id="ada")
    await eventually(lambda: _has(pbx.dialled, f"{call_id}/1"), timeout=20)
    keeper.kill()
    await keeper.ready()
    await eventually(lambda: _has(pbx.told[1:], f"{call_id}/1"), timeout=20)
    assert "Attempt 1 of 2" in await _words(client, call_id)
    await _tell(client, type="dial_result", call_id=call_id, dial_id=f"{call_id}/1", outcome="answered")
    await _is_in(client, call_id, "talking")
    await _tell(client, type="hung_up", call_id=call_id)
    await _tell(client, type="wrapped_up", call_id=call_id, agent_id="ada", disposition="solved")
    await _is_in(client, call_id, "wrapped_up")
    explained = await client.get("routing", f"/v1/calls/{call_id}/explain")
    assert explained["words"][-3].endswith("for ada: the customer answered.")
    assert [dial["outcome"] for dial in explained["callback"]["dials"]] == ["answered"]
    return call_id


async def _customer_first(client: Client, pbx: Pbx) -> tuple[str, str]:
    call_id = await _tell(client, type="offered", queue_id="desk", contact_phone="+33199005678")
    await _is_in(client, call_id, "held_place")
    assert f"{call_id}/1" not in pbx.dialled
    await client.post("routing", "/v1/agents/bo/log-in")
    await eventually(lambda: _has(pbx.dialled, f"{call_id}/1"), timeout=20)
    await _tell(client, type="dial_result", call_id=call_id, dial_id=f"{call_id}/1", outcome="busy")
    await eventually(lambda: _has(pbx.dialled, f"{call_id}/2"), timeout=20)
    again = await _tell(client, type="offered", queue_id="desk", contact_phone="+33199005678")
    await _is_in(client, call_id, "abandoned")
    facts = [{"type": "dial_result", "call_id": call_id, "dial_id": f"{call_id}/2", "outcome": "answered"}]
    late = (await client.post("routing", "/v1/telephony/facts", {"facts": facts}))["accepted"][0]["command_id"]

    async def refused() -> bool:
        return bool((await client.get("routing", f"/v1/commands/{late}"))["reason"] == "no_live_call")

    await eventually(refused, timeout=20)
    await _tell(client, type="hung_up", call_id=again)
    await _is_in(client, again, "abandoned")
    words = await _words(client, call_id)
    assert "sent it to a callback" in words
    assert "Attempt 1 of 2" in words
    assert ": busy." in words
    assert f"The callback was ended by {again}." in words
    assert "The caller had called again, and the new call took over the place" in words
    assert "It took over the place of a callback to its caller" in await _words(client, again)
    return call_id, again


async def _tell(client: Client, **fact: Any) -> str:
    accepted = (await client.post("routing", "/v1/telephony/facts", {"facts": [fact]}))["accepted"]
    return str(accepted[0]["call_id"])


async def _is_in(client: Client, call_id: str, state: str) -> None:
    await eventually(partial(_reached, client, call_id, state), timeout=20)


async def _reached(client: Client, call_id: str, state: str) -> bool:
    found = await client.find("routing", f"/v1/calls/{call_id}")
    return found is not None and found["state"] == state


async def _words(client: Client, call_id: str) -> str:
    return "\n".join((await client.get("routing", f"/v1/calls/{call_id}/explain"))["words"])


async def _has(some: list[str], one: str) -> bool:
    return one in some
