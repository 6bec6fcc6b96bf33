"""A queue moves to another pool while everything goes on: no call is lost, none is in two pools, places are kept."""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest
from common import envelope
from common.consumer import Delivery
from common.database import OutboxRow, Session
from common.events import CATALOGUE, AgentStateChanged, CallAnswered, CallAssigned, CallEnded, CallEvent, Event
from common.events.routing import AgentEvent
from common.ids import derived_id
from common.outbox import pack_headers, unpack_headers
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from plateau.checker.agents import check_agents
from routing.domain import inputs
from routing.domain.agents import Agent
from routing.domain.call_states import Queued
from routing.domain.calls import Call
from routing.domain.configuration import AgentProfile, Queue
from routing.domain.pool import Pool
from routing.service import pools as service
from routing.store import reading, states

from .conftest import Routing
from .floors import START, TENANT, Floor, at, profile, queue
from .histories import check_histories

POOLS = ("main", "side")
AGENTS = {"ann": "main", "ben": "main", "cat": "side", "dan": "side"}
CALLS = st.integers(0, 10_000)


class Saved:
    """What the database holds, as `store.states` reads and writes it; and the outbox."""

    def __init__(self) -> None:
        self.home = "main"
        self.former: list[str] = []
        self.rules = queue("help")
        self.other = queue("other", overflow=("help", 10))
        self.aside = queue("aside", overflow=("other", 15))
        self.calls: dict[str, tuple[str, bytes]] = {}
        self.agents: dict[str, bytes] = {}
        self.clocks: dict[str, Any] = {}
        self.refused: list[tuple[UUID, str, str]] = []

    def queue_in(self, pool_id: str) -> Queue:
        return self.rules if pool_id == self.home else self.rules.at_home_in(self.home)

    async def queues_of(self, _: Session, pool_id: str) -> list[Queue]:
        mine = [self.other] if pool_id == "main" else [self.aside]
        return [*mine, *([self.queue_in(pool_id)] if pool_id == self.home else [])]

    async def queues_known_in(self, session: Session, pool_id: str) -> list[Queue]:
        known = await self.queues_of(session, pool_id)
        if pool_id == "side":
            known.append(self.other.at_home_in("main"))
        return [*known, self.queue_in(pool_id)] if pool_id in self.former else known

    async def load(self, session: Session, wanted: Sequence[str]) -> dict[str, Pool]:
        (pool_id,) = wanted
        queues = await self.queues_known_in(session, pool_id)
        staff = [profile(agent_id) for agent_id, pool in AGENTS.items() if pool == pool_id]
        agents = [msgspec.json.decode(self.agents[one.id], type=Agent) for one in staff if one.id in self.agents]
        calls = [msgspec.json.decode(data, type=Call) for pool, data in self.calls.values() if pool == pool_id]
        live = [call for call in calls if not call.is_over and call.moving_to is None]
        return {pool_id: Pool.load(pool_id, self.clocks.get(pool_id, START), queues, staff, agents, live)}

    async def save(self, _: Session, changes: dict[str, tuple[Any, list[Call], list[Agent]]]) -> None:
        for pool_id, (now, calls, agents) in changes.items():
            self.clocks[pool_id] = now
            for call in calls:
                self.calls[call.id] = (pool_id, msgspec.json.encode(call))
            for agent in agents:
                self.agents[agent.id] = msgspec.json.encode(agent)

    async def place_of(self, _: Session, call_id: str) -> tuple[str, bool] | None:
        if call_id not in self.calls:
            return None
        pool_id, data = self.calls[call_id]
        call = msgspec.json.decode(data, type=Call)
        return None if call.is_over else (call.moving_to or pool_id, call.moving_to is None)

    async def refuse(self, _: Session, refusals: list[tuple[UUID, str, str]]) -> None:
        self.refused += refusals

    async def profile_of(self, _: Session, pool_id: str, agent_id: str) -> AgentProfile | None:
        return profile(agent_id) if AGENTS[agent_id] == pool_id else None


class World:
    """Two pools with their owners, their inputs, and a relay that is sometimes late."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.saved = Saved()
        self.pools: dict[str, Pool] = {}
        self.inputs: dict[str, list[tuple[UUID, inputs.AnyInput]]] = {pool_id: [] for pool_id in POOLS}
        self.done = dict.fromkeys(POOLS, 0)
        self.outbox: list[OutboxRow] = []
        self.events: list[Event] = []
        self.count = 0
        self.seconds = 0.0

    def send(self, pool_id: str, kind: type[Any], **fields: Any) -> UUID:
        self.count += 1
        sent = derived_id("test", str(self.count))
        given = kind(tenant_id=TENANT, pool_id=pool_id, occurred_at=at(self.seconds), **fields)
        self.inputs[pool_id].append((sent, given))
        return sent

    def move(self) -> None:
        """As the API does: the rows, and an input for each pool by the outbox."""
        saved = self.saved
        old, saved.home = saved.home, "side" if saved.home == "main" else "main"
        saved.former = [old]
        saved.rules = replace(saved.rules, version=saved.rules.version + 1)
        for pool_id in POOLS:
            given = inputs.ConfigureQueue(
                tenant_id=TENANT,
                pool_id=pool_id,
                occurred_at=at(self.seconds),
                queue=saved.queue_in(pool_id),
                moved=True,
            )
            self.count += 1
            headers, value = envelope.encode(
                given, event_id=derived_id("move", str(self.count)), source="routing", time=START, traceparent=None
            )
            self.outbox.append(OutboxRow(given.TOPIC, given.key.encode(), pack_headers(headers), value))

    def relay(self, most: int) -> None:
        for row in self.outbox[:most]:
            read = envelope.decode(unpack_headers(row.headers), row.value, {**CATALOGUE, **inputs.INPUTS})
            if isinstance(read.event, inputs.AnyInput):
                self.inputs[read.event.pool_id].append((read.id, read.event))
            else:
                self.events.append(read.event)
        del self.outbox[:most]

    async def decide(self, pool_id: str, most: int, *, fails: bool = False) -> None:
        """One batch of the pool's owner; `fails`: it is killed before the commit."""
        start = self.done[pool_id]
        batch = self.inputs[pool_id][start : start + most]
        if not batch:
            return
        before = copy.deepcopy(self.saved)
        session = Session(cast(Any, None), "*", "routing")
        deliveries = [
            Delivery(inputs.TOPIC, 0, start + n, sent, "routing", given.TYPE, given, given.occurred_at, None)
            for n, (sent, given) in enumerate(batch)
        ]
        owned = {pool_id: self.pools[pool_id]} if pool_id in self.pools else {}
        await service.settle(session, owned, deliveries)
        if fails:
            home, former, rules = self.saved.home, self.saved.former, self.saved.rules
            self.saved.__dict__.update(before.__dict__)
            self.saved.home, self.saved.former, self.saved.rules = home, former, rules
            self.pools.pop(pool_id, None)
            return
        self.pools.update(owned)
        self.outbox += session.outbox
        self.done[pool_id] += len(batch)

    async def catch_up(self) -> None:
        while self.outbox or any(self.done[pool_id] < len(self.inputs[pool_id]) for pool_id in POOLS):
            self.relay(len(self.outbox))
            for pool_id in POOLS:
                await self.decide(pool_id, 1000)
        assert not self.outbox

    def live(self) -> list[tuple[str, Call]]:
        return [(pool_id, call) for pool_id, pool in self.pools.items() for call in pool.calls.values()]

    def check(self) -> None:
        seen = [call.id for _, call in self.live()]
        assert len(set(seen)) == len(seen), "a call in two pools"

    async def step(self) -> None:
        chance = self.chance
        self.seconds += chance.choice([0, 0.5, 3, 8])
        known = sorted(self.saved.calls)
        match chance.randrange(12):
            case 0 | 1:
                self.count += 1
                queue_id, pool_id = chance.choice([("other", "main"), ("aside", "side"), ("help", self.saved.home)])
                if queue_id == "help" and self.saved.former:
                    pool_id = chance.choice([pool_id, *POOLS])
                self.send(
                    pool_id,
                    inputs.OfferCall,
                    call_id=f"c{self.count:04}",
                    queue_id=queue_id,
                    contact_phone="",
                    channel="voice",
                    direction="inbound",
                )
            case 2:
                agent_id = chance.choice(list(AGENTS))
                kind = chance.choice([inputs.LogIn, inputs.LogIn, inputs.LogIn, inputs.LogOut])
                self.send(AGENTS[agent_id], kind, agent_id=agent_id)
                if chance.random() < 0.7:
                    self.send(AGENTS[agent_id], inputs.SetState, agent_id=agent_id, state="available")
            case 3 | 4 | 5 if known:
                saved = [msgspec.json.decode(data, type=Call) for _, data in self.saved.calls.values()]
                at_agents = [call for call in saved if call.agent_id is not None and not call.is_over]
                call = chance.choice(at_agents if at_agents and chance.random() < 0.7 else saved)
                kind = chance.choice([inputs.Accept, inputs.Accept, inputs.HangUp, inputs.WrapUp, inputs.Decline])
                agent = {"agent_id": call.agent_id or "ann"} if kind is not inputs.HangUp else {}
                self.send(chance.choice(POOLS), kind, call_id=call.id, **agent)
            case 6:
                self.move()
            case 7:
                self.pools.pop(chance.choice(POOLS), None)
            case 8:
                self.relay(chance.randrange(1, 4))
            case _:
                await self.decide(chance.choice(POOLS), chance.randrange(1, 5), fails=chance.random() < 0.1)
        self.check()

    async def end(self) -> None:
        """Everybody hangs up or is wrapped up, wherever the input is sent to; then all of it must be over."""
        for _ in range(3):
            await self.catch_up()
            for pool_id, call in self.live():
                rules = self.pools[pool_id].queue(call.queue_id)
                assert rules is not None
                assert not (isinstance(call.state, Queued) and rules.elsewhere), "nobody waits where the queue has left"
            for pool_id, call in self.live():
                where = "side" if pool_id == "main" else "main"
                self.send(where, inputs.HangUp, call_id=call.id)
            self.seconds += 100
            for pool_id in POOLS:
                self.send(pool_id, inputs.Tick)
        await self.catch_up()
        assert self.live() == []
        rows = [msgspec.json.decode(data, type=Call) for _, data in self.saved.calls.values()]
        assert [call.id for call in rows if not call.is_over] == [], "lost on the way"
        check_histories(self.events)
        ends = {event.call_id for event in self.events if isinstance(event, CallEvent)}
        assert ends == set(self.saved.calls)


@contextmanager
def monkey(world: World) -> Iterator[None]:
    """The owner reads and writes the world's memory instead of a database."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("routing.service.pools.states", world.saved)
        yield


async def played(seed: int, steps: int) -> World:
    world = World(seed)
    with monkey(world):
        for _ in range(steps):
            await world.step()
        await world.end()
    return world


@given(seed=CALLS)
@settings(max_examples=80, deadline=None)
def test_whatever_happens_while_it_moves_every_call_ends_once(seed: int) -> None:
    asyncio.run(played(seed, 120))


def test_the_worlds_really_move_calls_and_answer_them_in_both_pools() -> None:
    """The property above would hold of a world in which nothing happens; this one is not."""
    worlds = [asyncio.run(played(seed, 300)) for seed in range(5)]
    calls = [msgspec.json.decode(data, type=Call) for world in worlds for _, data in world.saved.calls.values()]
    phases = [one.phase for call in calls for one in call.removals]
    assert min(phases.count("waits"), phases.count("enters")) > 20
    assert any(len(call.left_queues) == 2 for call in calls)
    answered = [event for world in worlds for event in world.events if isinstance(event, CallAnswered)]
    assert {event.pool_id for event in answered} == set(POOLS)
    ended = [event for world in worlds for event in world.events if isinstance(event, CallEnded)]
    assert len(ended) == len(answered)


def test_agents_who_are_available_tell_anew_which_queues_they_have() -> None:
    """So that the dialer, which goes by that, dials for the queue where its agents are now."""

    async def story() -> World:
        world = World(0)
        with monkey(world):
            for agent_id, pool_id in AGENTS.items():
                world.send(pool_id, inputs.LogIn, agent_id=agent_id)
            await world.catch_up()
            world.move()
            await world.catch_up()
        return world

    world = asyncio.run(story())
    told = {event.agent_id: event for event in world.events if isinstance(event, AgentStateChanged)}
    assert {agent_id: (event.state, event.queue_ids) for agent_id, event in told.items()} == {
        "ann": ("available", ["other"]),
        "ben": ("available", ["other"]),
        "cat": ("available", ["aside", "help"]),
        "dan": ("available", ["aside", "help"]),
    }
    assert check_agents([event for event in world.events if isinstance(event, AgentEvent)]) == []


def test_those_who_wait_keep_their_places_and_those_who_speak_finish_where_they_are() -> None:
    async def story() -> World:
        world = World(0)
        with monkey(world):
            offer = {"queue_id": "help", "contact_phone": "", "channel": "voice", "direction": "inbound"}
            world.send("main", inputs.LogIn, agent_id="ann")
            for call_id in ("c1", "c2", "c3", "c4"):
                world.seconds += 1
                world.send("main", inputs.OfferCall, call_id=call_id, **offer)
            world.send("main", inputs.Accept, call_id="c1", agent_id="ann")
            await world.catch_up()
            world.move()
            world.seconds += 1
            late = world.send("side", inputs.OfferCall, call_id="c5", **offer)
            await world.catch_up()
            assert {(pool_id, call.id) for pool_id, call in world.live()} == {
                ("main", "c1"),
                *(("side", call_id) for call_id in ("c2", "c3", "c4", "c5")),
            }
            assert late not in [refused for refused, _, _ in world.saved.refused]
            world.send("side", inputs.HangUp, call_id="c1", agent_id="ann")
            world.send("main", inputs.HangUp, call_id="c3")
            wrong = world.send("main", inputs.Accept, call_id="c4", agent_id="ann")
            world.send("side", inputs.WrapUp, call_id="c1", agent_id="ann")
            await world.catch_up()
            assert [(sent, why) for sent, _, why in world.saved.refused] == [(wrong, "not_offered_to_the_agent")]
            for agent_id in ("cat", "dan"):
                world.seconds += 1
                world.send("side", inputs.LogIn, agent_id=agent_id)
            await world.catch_up()
            assigned = [event for event in world.events if isinstance(event, CallAssigned)]
            assert [(event.call_id, event.agent_id) for event in assigned] == [
                ("c1", "ann"),
                ("c2", "cat"),
                ("c4", "dan"),
            ]
            assert world.pools["main"].agents["ann"].state_name == "available"
            assert world.pools["main"].queue_ids_of("ann") == ["other"]
            assert world.pools["side"].queue_ids_of("cat") == ["aside", "help"]
        return world

    asyncio.run(story())


async def test_a_call_on_its_way_is_in_no_pool_but_listed_and_found(routing: Routing) -> None:
    """So that a PBX that connects meanwhile does not take it for over, and whoever owns a pool does not take it up."""
    await routing.floor()
    floor = Floor(queue("help"))
    floor.call(0, "c1", "help")
    floor.give(inputs.ConfigureQueue, 1, queue=queue("help", version=2).at_home_in("side"), moved=True)
    (call,), _ = floor.pool.drain()
    assert (call.moving_to, floor.pool.calls) == ("side", {})
    async with routing.running.runtime.database.transaction() as session:
        await states.save(session, {"main": (at(1), [call], [])})
        assert (await states.load(session, ["main"]))["main"].calls == {}
        assert await states.place_of(session, "c1") == ("side", False)
        assert [found.id for _, found in await reading.live_calls(session)] == ["c1"]
        await session.execute("DELETE FROM calls")
