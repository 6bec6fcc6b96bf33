"""The back-up centre of a client in a crisis: one call to the API, and its reserved positions answer its calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from common import envelope
from common.events import Event
from common.kafka import Kafka
from common.testing import eventually
from plateau.checker.report import violations
from plateau.client import Client
from plateau.floor import parse
from plateau.floor.apply import apply, plan
from plateau.floor.export import export
from plateau.stack import running_stack
from plateau.state import State
from support import read_all

pytestmark = pytest.mark.deep

FLOOR = """\
pools:
  main:
    name: Main
    agents:
      - {id: ada, name: Ada}
      - {id: bob, name: Bob}
      - {id: cleo, name: Cleo}
    shares:
      lamp:
        most_positions: 2
        burst: {reserved_positions: 2, hours: {week: {sun: [["03:00", "03:01"]]}}}
tenants:
  kettle:
    name: Kettle & Quill (invented)
    time_zone: Europe/Paris
    queues:
      kettle-help: {pool: main, offer_timeout_seconds: 600}
  lamp:
    name: Lamp & Sons (invented)
    time_zone: Europe/Paris
    queues:
      lamp-crisis: {pool: main, offer_timeout_seconds: 600}
"""


async def test_a_client_in_a_crisis_is_answered_by_its_reserved_positions(tmp_path: Path) -> None:
    """Given a floor file whose pool serves two clients, one with a burst, applied and exported alike; when the burst is
    switched on with one call, then the other client's calls leave two agents free, the client's calls take them, and
    `explain` and the history tell why; when it is switched off, then the agents are everybody's again."""
    async with running_stack(State(tmp_path), speed=1.0) as stack, Client(stack.urls, stack.token()) as client:
        await apply(client, await plan(client, parse(FLOOR)))
        assert (await plan(client, parse(FLOOR))).pending == ()
        again = await plan(client, parse(await export(client)))
        assert (again.pending, again.elsewhere) == ((), ())
        share = "/v1/pools/main/shares/lamp"

        async def stands(path: str, **wanted: Any) -> dict[str, Any]:
            """The thing at that path, once it is so."""
            seen: list[dict[str, Any]] = []

            async def so() -> bool:
                found = await client.find("routing", path)
                seen.append(found or {})
                return found is not None and wanted.items() <= {**found, **(found.get("live") or {})}.items()

            await eventually(so)
            return seen[-1]

        async def offered(queue_id: str) -> str:
            fact = {"type": "offered", "queue_id": queue_id, "contact_phone": "+33199001234"}
            accepted = (await client.post("routing", "/v1/telephony/facts", {"facts": [fact]}))["accepted"]
            return str(accepted[0]["call_id"])

        async def words(call_id: str) -> str:
            return " ".join((await client.get("routing", f"/v1/calls/{call_id}/explain"))["words"])

        for agent_id in ("ada", "bob", "cleo"):
            await client.post("routing", f"/v1/agents/{agent_id}/log-in")
        assert (await stands(share, available=3))["live"]["shortfall"] == 0

        switched = await client.put("routing", f"{share}/burst", {"state": "on", "reason": "flood at the client's"})
        assert switched["live"] == {"burst_is_on": True, "serving": 0, "available": 3, "shortfall": 2}
        kettle = [await offered("kettle-help") for _ in range(2)]
        await stands(f"/v1/calls/{kettle[0]}", state="offered")
        await stands(f"/v1/calls/{kettle[1]}", state="queued")
        assert "kept for client lamp by a reservation" in await words(kettle[1])

        crisis = [await offered("lamp-crisis") for _ in range(2)]
        answered = {call_id: (await stands(f"/v1/calls/{call_id}", state="offered"))["agent_id"] for call_id in crisis}
        assert "ada" not in answered.values()
        assert await stands(share, serving=2, shortfall=0, available=0)
        for call_id in crisis:
            assert "they were kept for its client by a reservation" in await words(call_id)

        await client.put("routing", f"{share}/burst", {"state": "off", "reason": "over"})
        for call_id, agent_id in answered.items():
            await client.post("routing", f"/v1/calls/{call_id}/accept", {"agent_id": agent_id})
            await client.post("routing", f"/v1/calls/{call_id}/hang-up")
            await client.post("routing", f"/v1/calls/{call_id}/wrap-up", {"agent_id": agent_id})
        await stands(f"/v1/calls/{kettle[1]}", state="offered")
        await stands(share, serving=0, burst_is_on=False)
        told = await client.get("routing", "/v1/configuration-history", kind="share", tenant_id="lamp")
        assert [(one["action"], one["reason"]) for one in told["items"]] == [
            ("burst_off", "over"),
            ("burst_on", "flood at the client's"),
            ("configured", None),
        ]
        assert "came free" in await words(kettle[1])

        events: list[Event] = []
        for topic in ("calls", "agents"):
            records = await read_all(Kafka(stack.bootstrap_servers), topic)
            events += [envelope.decode(record.headers, record.value).event for record in records]
    assert violations(events, complete=False) == []
