"""Processes die, freeze, join and leave while calls are under way; events come twice. No promise may break.

Each test ends with the floor at rest and everything checked from the event log (see `plateau.checker`), KPI compared
with the recount, and billing's ledger with a replay from zero.
"""

from __future__ import annotations

import asyncio
import re
import signal
import socket
from functools import partial
from uuid import uuid4

import asyncpg
import pytest
from common.testing import eventually
from faults.harness import Floor, assert_kept, figures
from faults.keeping import Keeper, members, remove_members
from plateau.client import SERVICES, Client

KILLS = 10
FLOOD = 400


@pytest.mark.deep
async def test_every_service_is_killed_and_every_event_comes_twice(
    floor: Floor, capsys: pytest.CaptureFixture[str]
) -> None:
    duplicator = floor.duplicate()
    async with (
        floor.load() as simulator,
        floor.moving("information", "east", "west", shortest=1.0, longest=4.0) as moves,
    ):
        await asyncio.sleep(2)
        await floor.kill_at_random(KILLS, shortest=0.3, longest=4.0)
        await floor.busy(simulator, answered=60, settled=40, called_back=5)
    outcome = await floor.rest()
    replay = await floor.billing_replay()
    with capsys.disabled():
        more = {"kills": floor.kills, "duplicates": duplicator.repeated.total(), "moves": len(moves)}
        print("\nkills and duplicates:", figures(outcome, **more))
    assert_kept(
        outcome,
        replay,
        calls_offered=100,
        calls_answered=60,
        callbacks_dialled=5,
        cases_closed=20,
        charges=20,
        reversals=1,
        attempts_ended=10,
    )
    assert min(floor.kills.values()) >= KILLS
    rang = simulator.counters.callbacks
    assert (set(rang.values()), rang.total()) == ({1}, outcome.report.counts["callbacks_dialled"])
    assert len(moves) >= 4
    assert floor.died == []
    assert outcome.report.counts["repeated"] >= outcome.report.counts["events"]
    assert duplicator.repeated["routing-inputs"] > 100


@pytest.mark.kafka  # noida-db keeps members that went away in their group
async def test_a_second_replica_of_each_service_joins_and_leaves(
    floor: Floor, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (await floor.rest()).report.counts
    async with floor.load() as simulator:
        async with floor.replicas(*SERVICES) as replicas:
            await floor.busy(simulator, answered=30, settled=20)
            # kpi, crm-bridge, billing and routing read busy topics: their replicas come to have a share of the work.
            worked = dict.fromkeys(SERVICES, 0)

            async def all_have_worked() -> bool:
                for service, keeper in zip(SERVICES, replicas, strict=True):
                    worked[service] = await _handled(floor, keeper)
                return all(count > 0 for service, count in worked.items() if service != "dialer")

            await eventually(all_have_worked, timeout=90)
        await floor.busy(simulator, answered=50, settled=30)
    outcome = await floor.rest()
    replay = await floor.billing_replay()
    with capsys.disabled():
        print("\nreplicas:", figures(outcome, handled_by_replicas=worked))
    assert_kept(outcome, replay, calls_offered=before["calls_offered"] + 30, cases_closed=before["cases_closed"] + 15)
    assert floor.died == []


@pytest.mark.kafka  # noida-db keeps members that went away in their group
async def test_a_frozen_writer_cannot_commit_when_it_wakes(floor: Floor, capsys: pytest.CaptureFixture[str]) -> None:
    """The replica is stopped inside a transaction, after it has made sure that it is still the writer.

    PostgreSQL cuts that transaction off for its successor, which claims the partitions and is stopped in turn before it
    can handle what the replica holds in its hands: so when the replica wakes and tries again, nothing but the fence
    stands between it and a second history of the same calls.
    """
    before = (await floor.rest()).report.counts
    async with floor.load() as simulator:
        others = await members(floor.stack.bootstrap_servers, "routing")
        async with floor.replicas("routing") as (replica,):
            await _wake_after_claim(floor, replica, others)
            await floor.keepers["routing"].ready()
            await replica.ready()
            await floor.busy(simulator, answered=20, settled=10)
    outcome = await floor.rest()
    replay = await floor.billing_replay()
    with capsys.disabled():
        print("\nfrozen writer:", figures(outcome, said=await _refused(replica)))
    assert_kept(outcome, replay, calls_offered=before["calls_offered"] + 20)
    assert floor.died == []


async def _refused(replica: Keeper) -> list[str]:
    """What the replica says about its transactions that were cut off, or that the fence did not let through."""
    return re.findall(r"(?:routing tries again|StaleWriter): [^\"]*", replica.log())


async def _handled(floor: Floor, keeper: Keeper) -> int:
    """Events that a process has handled, by its own metrics."""
    async with Client({"it": keeper.process.url}, floor.stack.token, patience=10) as client:
        text = (await client.request("it", "GET", "/metrics")).text
    found = re.findall(r"^plateau_events_handled_total\{.*\} ([0-9.e+]+)$", text, re.MULTILINE)
    return sum(int(float(value)) for value in found)


async def _wake_after_claim(floor: Floor, replica: Keeper, others: set[str]) -> None:
    """Stop it within a transaction wake it when its successor has claimed its partitions; until it is refused."""
    first, address = floor.keepers["routing"], floor.stack.bootstrap_servers
    await eventually(partial(_own_pools, {first: 1, replica: 1}))
    its_own = await members(address, "routing") - others
    owner = f"{socket.gethostname()}:{replica.process.pid}"
    connection = await asyncpg.connect(floor.stack.database_urls["routing"])
    flood = asyncio.create_task(_flood(floor))
    try:
        async with asyncio.timeout(90):
            while not await _stopped_amid_transaction(replica, connection, owner):
                assert not flood.done(), flood.exception()
            if floor.expire:
                await remove_members(address, "routing", its_own)
            while await connection.fetchval("SELECT count(*) FROM writers WHERE owner = $1", owner):
                await asyncio.sleep(0.002)
        first.signal(signal.SIGSTOP)
        replica.signal(signal.SIGCONT)
        await eventually(partial(_refused, replica))
    finally:
        replica.signal(signal.SIGCONT)
        first.signal(signal.SIGCONT)
        flood.cancel()
        await connection.close()


async def _stopped_amid_transaction(
    replica: Keeper, connection: asyncpg.Connection[asyncpg.Record], owner: str
) -> bool:
    """Stop the replica once it holds the lock of its fence; if it got past its commit all the same, let it go on."""

    async def deciding() -> bool:
        free = await connection.fetch("SELECT 1 FROM writers WHERE owner = $1 FOR UPDATE SKIP LOCKED", owner)
        held: int = await connection.fetchval("SELECT count(*) FROM writers WHERE owner = $1", owner)
        return len(free) < held

    if not await deciding():
        return False
    replica.signal(signal.SIGSTOP)
    await asyncio.sleep(0.1)  # what it had sent before is done by then
    if await deciding():
        return True
    replica.signal(signal.SIGCONT)
    return False


async def _flood(floor: Floor) -> None:
    """Keep both writers busy with harmless facts: nobody knows these calls."""
    async with Client(floor.stack.urls, floor.stack.token) as client:
        while True:
            facts = [
                {"type": "hung_up", "id": str(uuid4()), "call_id": f"{uuid4()}.{queue}"}
                for _ in range(FLOOD // 2)
                for queue in ("complaints", "information")
            ]
            await client.post("routing", "/v1/telephony/facts", {"facts": facts})


async def _own_pools(wanted: dict[Keeper, int]) -> bool:
    return all(_pools(keeper) == number for keeper, number in wanted.items())


def _pools(keeper: Keeper) -> int:
    """How many pools the process says it owns since its last assignment."""
    owned = re.findall(r"writer of partitions \[[^]]*\] with (\d+) pools", keeper.log())
    return int(owned[-1]) if owned else 0
