"""The floor of a file on a routing process, as an operator and the switch speak to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from common import envelope
from common.clock import Clock, ManualClock
from common.events import Event
from common.kafka import Kafka
from common.service import Running, started
from common.testing import eventually
from plateau.client import Client
from plateau.floor import parse
from plateau.floor.resources import resources
from routing.config import Settings
from routing.main import wire
from support import Stack, read_all


def daily(opens: str, closes: str) -> str:
    """In a floor file, the week of which all days are alike."""
    days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    return "{" + ", ".join(f'{day}: [["{opens}", "{closes}"]]' for day in days) + "}"


@dataclass
class RoutingFloor:
    """Whoever speaks to it here is an operator, but for `explain` as a tenant's people see it."""

    stack: Stack
    running: Running
    operator: httpx.AsyncClient
    exits: AsyncExitStack

    async def get(self, path: str, **params: Any) -> dict[str, Any]:
        answer = await self.operator.get(f"/v1/{path}", params=params)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = await self.operator.post(f"/v1/{path}", json=body)
        assert answer.is_success, answer.text
        return dict(answer.json())

    async def log_in(self, *agents: str) -> None:
        for agent_id in agents:
            await self.post(f"agents/{agent_id}/log-in")
            await self.until(f"agents/{agent_id}", state="available")

    async def tell(self, **fact: Any) -> str:
        """A fact of the switch's; the id of its call."""
        return str((await self.post("telephony/facts", {"facts": [fact]}))["accepted"][0]["call_id"])

    async def call(self, queue_id: str, state: str, **more: Any) -> str:
        """A call for the queue, once it is in this state."""
        call_id = str((await self.post("calls", {"queue_id": queue_id, **more}))["call_id"])
        await self.is_in(call_id, state)
        return call_id

    async def is_in(self, call_id: str, state: str, **more: Any) -> dict[str, Any]:
        return await self.until(f"calls/{call_id}", state=state, **more)

    async def accept(self, call_id: str, agent_id: str) -> None:
        """The call, which rings at the agent or will, is answered by them."""
        await self.is_in(call_id, "offered", agent_id=agent_id)
        await self.tell(type="accepted", call_id=call_id, agent_id=agent_id)
        await self.is_in(call_id, "talking")

    async def finish(self, call_id: str, agent_id: str, disposition: str = "solved") -> None:
        """The conversation and its wrap-up are over."""
        await self.tell(type="hung_up", call_id=call_id)
        await self.tell(type="wrapped_up", call_id=call_id, agent_id=agent_id, disposition=disposition)
        await self.is_in(call_id, "wrapped_up")

    async def until(self, path: str, **wanted: Any) -> dict[str, Any]:
        """The view, once it says that."""

        async def reached() -> dict[str, Any] | None:
            answer = await self.operator.get(f"/v1/{path}")
            view = dict(answer.json())
            right = answer.status_code == 200 and all(view[name] == value for name, value in wanted.items())
            return view if right else None

        found = await eventually(reached)
        assert found is not None
        return found

    async def refusal(self, path: str, body: dict[str, Any] | None = None) -> str | None:
        """Why the command is refused, once it is decided; None: it is not."""
        command_id = (await self.post(path, body))["command_id"]

        async def decided() -> dict[str, Any] | None:
            view = await self.get(f"commands/{command_id}")
            return view if view["status"] != "pending" else None

        found = await eventually(decided)
        assert found is not None
        reason: str | None = found["reason"]
        return reason

    async def explain(self, call_id: str, tenant: str | None = None) -> dict[str, Any]:
        """To the operator, or to the tenant's people."""
        if tenant is None:
            return await self.get(f"calls/{call_id}/explain")
        token = self.stack.token("tenant", tenant=tenant)
        client = await self.exits.enter_async_context(self.running.client(token))
        return dict((await client.get(f"/v1/calls/{call_id}/explain")).json())

    async def words(self, call_id: str) -> str:
        """What `explain` says, in one text."""
        return "\n".join((await self.explain(call_id))["words"])


@dataclass
class TimedFloor(RoutingFloor):
    """One whose time stands still until a test moves it. Commands of before are decided at the time of before."""

    clock: ManualClock

    def later(self, seconds: float) -> None:
        """So much time passes."""
        self.clock.advance(seconds)

    def until_it_is(self, moment: str, time_zone: str) -> None:
        """Time passes until the clocks there next read `moment`, such as "09:30" or, on that day, "07-14 09:30"."""
        day, _, at = moment.rpartition(" ")
        zone, now = ZoneInfo(time_zone), self.clock.now()
        today = now.astimezone(zone).date()
        days = (today + timedelta(days=ahead) for ahead in range(367))
        moments = (datetime.combine(one, time.fromisoformat(at), zone) for one in days if one.isoformat().endswith(day))
        self.clock.set(next(one.astimezone(UTC) for one in moments if one >= now))


@asynccontextmanager
async def routing_floor(stack: Stack, text: str) -> AsyncIterator[RoutingFloor]:
    """A routing process to which the file's tenants, queues and agents were put."""
    async with _routing(stack, Settings, text) as parts:
        yield RoutingFloor(*parts)


@asynccontextmanager
async def timed_floor(stack: Stack, text: str, start: datetime) -> AsyncIterator[TimedFloor]:
    """The same, at that time."""
    clock = ManualClock(start)

    class Timed(Settings):
        def clock(self) -> Clock:
            return clock

    async with _routing(stack, Timed, text) as parts:
        yield TimedFloor(*parts, clock)


@asynccontextmanager
async def _routing(
    stack: Stack, settings: type[Settings], text: str
) -> AsyncIterator[tuple[Stack, Running, httpx.AsyncClient, AsyncExitStack]]:
    async with started("routing", stack.settings(settings, "routing"), wire) as running, AsyncExitStack() as exits:
        operator = await exits.enter_async_context(running.client(stack.token("operator", subject="rose")))
        await running.wiring.consumers[0].assigned.wait()
        async with Client({"routing": running.base_url}, stack.token("operator")) as client:
            for one in resources(parse(text)):
                if one.service == "routing":
                    await client.put("routing", one.path, one.body)
        yield stack, running, operator, exits


class StackFloor:
    """The people of a floor whose five services run, at its APIs."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def do(self, path: str, **body: Any) -> dict[str, Any]:
        accepted: dict[str, Any] = await self._client.post("routing", f"/v1/{path}", body)
        return accepted

    async def is_in(self, call_id: str, state: str) -> dict[str, Any]:
        async def reached() -> dict[str, Any] | None:
            found = await self._client.find("routing", f"/v1/calls/{call_id}")
            return found if found is not None and found["state"] == state else None

        found = await eventually(reached)
        assert found is not None
        return found

    async def agent_is(self, agent_id: str, state: str) -> dict[str, Any]:
        async def reached() -> dict[str, Any] | None:
            found: dict[str, Any] = await self._client.get("routing", f"/v1/agents/{agent_id}")
            return found if found["state"] == state else None

        found = await eventually(reached)
        assert found is not None
        return found

    async def refusal(self, accepted: dict[str, Any]) -> str | None:
        async def decided() -> dict[str, Any] | None:
            found: dict[str, Any] = await self._client.get("routing", f"/v1/commands/{accepted['command_id']}")
            return found if found["status"] != "pending" else None

        found = await eventually(decided)
        assert found is not None
        return str(found["reason"]) if found["status"] == "refused" else None

    async def wrap_up(self, call_id: str, agent_id: str, disposition: str) -> None:
        await self.do(f"calls/{call_id}/wrap-up", agent_id=agent_id, disposition=disposition)
        await self.is_in(call_id, "wrapped_up")

    async def explained(self, call_id: str) -> dict[str, Any]:
        found: dict[str, Any] = await self._client.get("routing", f"/v1/calls/{call_id}/explain")
        return found


async def history(bootstrap_servers: str) -> list[Event]:
    """What the log tells of calls, agents, cases and charges."""
    events: list[Event] = []
    for topic in ("calls", "agents", "cases", "billing"):
        records = await read_all(Kafka(bootstrap_servers), topic)
        events += [envelope.decode(record.headers, record.value).event for record in records]
    return events
