"""The simulated PBX and agents, call by call, against a routing that only writes down what it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from common.clock import ManualClock
from common.testing import eventually
from plateau.client import SERVICES, Client, Refused, Unreachable
from plateau.floor import parse
from plateau.simulator import Inbound, Outbound, Traffic, Work
from plateau.simulator.desks import Desks
from plateau.simulator.facts import Facts
from plateau.simulator.people import Matter, new_matter
from plateau.simulator.switch import Switch
from plateau.simulator.world import Tasks, World

FLOOR = parse(
    """\
pools:
  room:
    name: Room
    agents: [{id: alma, name: Alma}]
tenants:
  boats:
    name: Paper Boats
    time_zone: Europe/Paris
    closing_dispositions: [sunk]
    queues:
      orders: {pool: room}
"""
)
INBOUND = Inbound(calls_per_hour=0, patience_seconds=60, return_after_closing=0, redial=0, withheld=0)
NEVER_ABSENT = Work(miss=0, decline=0, reaction_seconds=1)


@dataclass
class Routing:
    """Writes down; answers as told."""

    requests: list[tuple[str, str, str | None, Any]] = field(default_factory=list)
    failures: list[int | type[Exception]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    """What GET /v1/calls lists."""

    def answer(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        key = request.headers.get("idempotency-key")
        self.requests.append((request.method, request.url.path, key, body))
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, int):
                return httpx.Response(failure, json={"detail": "as told"})
            raise failure("as told")
        if request.method == "GET":
            asked = request.url.params.get("state")
            found = [call for call in self.calls if call["state"] == asked] if request.url.path == "/v1/calls" else []
            return httpx.Response(200, json={"items": found, "next_cursor": None})
        return httpx.Response(202, json={"call_id": f"{key}.orders", "command_id": key})

    def facts(self) -> list[dict[str, Any]]:
        return [fact for _, path, _, body in self.requests if path == "/v1/telephony/facts" for fact in body["facts"]]

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [fact for fact in self.facts() if fact["type"] == kind]

    def offers(self) -> list[dict[str, Any]]:
        return self.told("offered")


@dataclass
class Play:
    """One scene: a world with its switch, desks and clock."""

    routing: Routing
    clock: ManualClock
    world: World
    desks: Desks
    switch: Switch

    def place(self, **fields: Any) -> str:
        matter: Matter = new_matter("orders", 1, INBOUND, "FR", "seed")
        for name, value in fields.items():
            setattr(matter, name, value)
        return self.switch.place(matter)

    def event(self, kind: str, call_id: str, **fields: Any) -> None:
        self.switch.on_event(kind, {"call_id": call_id, "queue_id": "orders", "agent_id": "alma", **fields})

    async def until_told(self, kind: str, step: float = 1.0) -> dict[str, Any]:
        """Let time pass until routing has been told."""

        async def told() -> bool:
            self.clock.advance(step)
            await asyncio.sleep(0)
            return bool(self.routing.told(kind))

        await eventually(told)
        return self.routing.told(kind)[-1]


@pytest.fixture
def routing() -> Routing:
    return Routing()


@pytest.fixture
async def client(routing: Routing) -> AsyncIterator[Client]:
    async with Client({service: f"http://{service}" for service in SERVICES}, "token", patience=5) as made:
        await made.http.aclose()
        made.http = httpx.AsyncClient(transport=httpx.MockTransport(routing.answer))
        yield made


@pytest.fixture
async def play(routing: Routing, client: Client) -> AsyncIterator[Play]:
    clock = ManualClock(datetime(2026, 11, 2, 9, 0, tzinfo=UTC))
    facts, tasks = Facts(client), Tasks()
    traffic = Traffic(queues={"orders": INBOUND}, campaigns={"autumn": Outbound(settled=1)}, work=NEVER_ABSENT)
    world = World(client, facts, clock, FLOOR, traffic, "seed", tasks)
    desks = Desks(world)
    tasks.spawn(facts.run())
    await desks.log_in()
    yield Play(routing, clock, world, desks, Switch(world, desks))
    await tasks.stop()


async def test_a_caller_who_waits_too_long_hangs_up(play: Play) -> None:
    call_id = play.place()
    assert (await play.until_told("hung_up"))["call_id"] == call_id
    assert play.world.counters.hung_up == 1
    assert not play.switch.busy


async def test_an_agent_accepts_talks_and_wraps_up_with_a_closing_disposition(play: Play) -> None:
    call_id = play.place(calls_left=1)
    play.event("ring", call_id)
    assert (await play.until_told("accepted", 0.2))["agent_id"] == "alma"
    play.event("bridge", call_id)
    wrapped = await play.until_told("wrapped_up")
    assert (wrapped["call_id"], wrapped["agent_id"], wrapped["disposition"]) == (call_id, "alma", "sunk")
    order = [fact["type"] for fact in play.routing.facts()]
    assert order == ["agent_state", "offered", "accepted", "hung_up", "wrapped_up"]
    assert not play.switch.busy
    desk = play.desks.desk("alma")
    assert desk is not None
    assert desk.activity == "free"


async def test_an_unsettled_matter_brings_another_call_of_the_same_number(play: Play) -> None:
    call_id = play.place(calls_left=2)
    play.event("bridge", call_id)
    assert (await play.until_told("wrapped_up"))["disposition"] == "to-follow"

    async def called_again() -> bool:
        play.clock.advance(30)
        await asyncio.sleep(0)
        return len(play.routing.offers()) == 2

    await eventually(called_again)
    first, second = play.routing.offers()
    assert first["contact_phone"] == second["contact_phone"]
    assert first["external_id"] != second["external_id"]


async def test_commands_told_twice_or_too_late_change_nothing(play: Play) -> None:
    call_id = play.place(calls_left=1)
    for kind in ("ring", "ring", "bridge", "bridge", "ring"):
        play.event(kind, call_id)
    await play.until_told("wrapped_up")
    for kind in ("ring", "bridge", "release"):
        play.event(kind, call_id)
    assert play.world.counters.answered == 1
    assert len(play.routing.told("hung_up")) == 1
    assert not play.switch.busy


async def test_a_released_call_ends_the_wait(play: Play) -> None:
    call_id = play.place()
    play.event("release", call_id)
    assert play.world.counters.limit_passed == 1
    assert not play.switch.busy


async def test_an_agent_who_missed_an_offer_takes_calls_again(play: Play) -> None:
    call_id = play.place()
    play.event("ring", call_id)
    play.event("stop_ringing", call_id, reason="timeout")
    assert play.world.counters.missed == 1

    async def back() -> bool:
        play.clock.advance(1)
        await asyncio.sleep(0)
        return [fact["state"] for fact in play.routing.told("agent_state")] == ["logged_in", "available"]

    await eventually(back)


async def test_an_outbound_call_is_put_through_at_once(play: Play) -> None:
    play.event("ring", "c1.orders", direction="outbound")
    await eventually(lambda: _is(lambda: bool(play.routing.told("accepted"))))
    play.event("bridge", "c1.orders")
    assert (await play.until_told("wrapped_up"))["disposition"] == "sunk"


async def test_calls_in_progress_are_taken_over_after_a_restart(play: Play) -> None:
    play.routing.calls = [
        {"call_id": "c1.orders", "queue_id": "orders", "state": "talking", "agent_id": "alma", "direction": "inbound"},
        {"call_id": "c2.orders", "queue_id": "orders", "state": "queued", "agent_id": None, "direction": "inbound"},
    ]
    play.switch.on_event("snapshot", {"calls": play.routing.calls})
    await play.switch.reconcile()
    assert play.world.counters.adopted == 2
    assert (play.switch.count("talking"), play.switch.count("waiting")) == (1, 1)
    await play.until_told("wrapped_up")
    await eventually(lambda: _is(lambda: play.world.counters.ended == 1))


async def test_hurrying_ends_what_is_in_progress(play: Play) -> None:
    call_id = play.place(calls_left=3)
    play.event("bridge", call_id)
    await asyncio.sleep(0)
    play.world.closing = True
    play.world.hurry()
    await eventually(lambda: _is(lambda: bool(play.routing.told("wrapped_up")) and not play.switch.busy))
    assert len(play.routing.offers()) == 1


async def test_a_request_without_an_answer_is_sent_again_with_the_same_key(routing: Routing, client: Client) -> None:
    routing.failures = [503, httpx.ConnectError, httpx.ReadTimeout, 500]
    await client.post("routing", "/v1/calls", {"queue_id": "orders"}, key="k1")
    assert [key for _, _, key, _ in routing.requests] == ["k1"] * 5
    assert client.repeated == 4


async def test_a_refusal_is_not_repeated(routing: Routing, client: Client) -> None:
    routing.failures = [422]
    with pytest.raises(Refused, match="422 as told"):
        await client.post("routing", "/v1/calls", {})
    assert len(routing.requests) == 1


async def test_patience_ends(routing: Routing) -> None:
    async with Client({"routing": "http://routing"}, "token", patience=0.1) as impatient:
        await impatient.http.aclose()
        impatient.http = httpx.AsyncClient(transport=httpx.MockTransport(routing.answer))
        routing.failures = [503] * 100
        with pytest.raises(Unreachable, match="status 503"):
            await impatient.get("routing", "/v1/calls")


async def test_facts_gather_while_a_request_is_on_its_way_and_keep_their_order(
    routing: Routing, client: Client
) -> None:
    facts, tasks = Facts(client), Tasks()
    for number in range(2500):
        facts.add("hung_up", call_id=str(number))
    tasks.spawn(facts.run())
    await eventually(lambda: _is(lambda: facts.all_sent))
    await tasks.stop()
    assert [len(body["facts"]) for _, _, _, body in routing.requests] == [1000, 1000, 500]
    assert [fact["call_id"] for fact in routing.facts()] == [str(number) for number in range(2500)]
    assert len({fact["id"] for fact in routing.facts()}) == 2500


async def test_one_refused_fact_does_not_hold_up_the_others(routing: Routing, client: Client) -> None:
    facts, tasks = Facts(client), Tasks()
    for number in range(3):
        facts.add("hung_up", call_id=str(number))
    routing.failures = [422, 422]
    tasks.spawn(facts.run())
    await eventually(lambda: _is(lambda: facts.all_sent))
    await tasks.stop()
    assert (facts.sent, facts.refused) == (2, 1)
    assert "as told" in facts.refusals[0]


async def test_a_defect_of_a_simulated_person_is_not_lost() -> None:
    tasks = Tasks()

    async def stumble() -> None:
        raise ZeroDivisionError

    tasks.spawn(stumble())
    with pytest.raises(ZeroDivisionError):
        await tasks.failed
    await tasks.stop()


async def _is(check: Callable[[], bool]) -> bool:
    await asyncio.sleep(0)
    return check()
