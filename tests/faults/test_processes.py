"""Processes die, freeze, join and leave while calls are under way; events come twice. No promise may break.

Each test ends with the floor at rest and everything checked from the event log (see `plateau.checker`), KPI compared
with the recount, and billing's ledger with a replay from zero.
"""

from __future__ import annotations

import asyncio
import re
import signal
from uuid import uuid4

import pytest
from common.testing import eventually
from faults.harness import Floor, Keeper, assert_kept, figures, members, remove_members
from plateau.client import SERVICES, Client

KILLS = 10
BACKLOG = 4000


async def test_every_service_is_killed_and_every_event_comes_twice(
    floor: Floor, capsys: pytest.CaptureFixture[str]
) -> None:
    duplicator = floor.duplicate()
    async with floor.load():
        await asyncio.sleep(2)
        await floor.kill_at_random(KILLS, shortest=0.3, longest=5.0)
        for keeper in floor.keepers.values():
            await keeper.ready()
        await asyncio.sleep(4)
    outcome = await floor.rest()
    replay = await floor.billing_replay()
    with capsys.disabled():
        print("\nkills and duplicates:", figures(outcome, kills=floor.kills, duplicates=duplicator.repeated.total()))
    assert_kept(
        outcome,
        replay,
        calls_offered=100,
        calls_answered=40,
        cases_closed=20,
        charges=20,
        reversals=2,
        attempts_ended=10,
    )
    assert min(floor.kills.values()) >= KILLS
    assert floor.died == []
    assert outcome.report.counts["repeated"] >= outcome.report.counts["events"]
    assert duplicator.repeated["routing-inputs"] > 100


async def test_a_second_replica_of_each_service_joins_and_leaves(
    floor: Floor, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (await floor.rest()).report.counts
    async with floor.load():
        replicas = await asyncio.gather(*(floor.replica(service) for service in SERVICES))
        await asyncio.sleep(4)
        worked = [await _handled(keeper) for keeper in replicas]
        await asyncio.gather(*(keeper.leave() for keeper in replicas))
        await asyncio.sleep(2)
    outcome = await floor.rest()
    replay = await floor.billing_replay()
    with capsys.disabled():
        shown = dict(zip(SERVICES, worked, strict=True))
        print("\nreplicas:", figures(outcome, handled_by_replicas=shown))
    assert_kept(outcome, replay, calls_offered=before["calls_offered"] + 30, cases_closed=before["cases_closed"] + 5)
    assert floor.died == []
    # kpi, crm-bridge, billing and routing read busy topics: their replicas must have had a share of the work.
    assert min(count for service, count in zip(SERVICES, worked, strict=True) if service != "dialer") > 0


async def test_a_frozen_writer_cannot_commit_when_it_wakes(floor: Floor, capsys: pytest.CaptureFixture[str]) -> None:
    before = (await floor.rest()).report.counts
    frozen = 0
    async with floor.load():
        others = await members(floor.stack.bootstrap_servers, "routing")
        replica = await floor.replica("routing")
        while True:
            frozen += 1
            await _freeze_while_working(floor, replica, others)
            if await _stale(replica) or frozen == 5:
                break
        await replica.ready()
        await asyncio.sleep(2)
        await replica.leave()
    outcome = await floor.rest()
    replay = await floor.billing_replay()
    refusals = replica.log().count("StaleWriter")
    with capsys.disabled():
        print("\nfrozen writer:", figures(outcome, frozen=frozen, commits_refused=refusals))
    assert_kept(outcome, replay, calls_offered=before["calls_offered"] + 30)
    assert refusals > 0, "the frozen writer never tried to commit"
    assert floor.died == []


async def _handled(keeper: Keeper) -> int:
    """Events that a process has handled, by its own metrics."""
    async with Client({"it": keeper.process.url}, "", patience=10) as client:
        text = (await client.request("it", "GET", "/metrics")).text
    found = re.findall(r"^plateau_events_handled_total\{.*\} ([0-9.e+]+)$", text, re.MULTILINE)
    return sum(int(float(value)) for value in found)


async def _freeze_while_working(floor: Floor, replica: Keeper, others: set[str]) -> None:
    """Stop the replica amid a backlog of inputs for its pools until its partitions have moved; then let it go on."""
    first, address = floor.keepers["routing"], floor.stack.bootstrap_servers

    async def both_own_pools() -> bool:
        return _pools(first) == 1 and _pools(replica) == 1

    await eventually(both_own_pools, timeout=60)
    async with Client(floor.stack.urls, floor.stack.token) as client:
        # Harmless: nobody knows these calls. Both writers are busy with refusing them for a while.
        facts = [
            {"type": "hung_up", "id": str(uuid4()), "call_id": f"{uuid4()}.{queue}"}
            for _ in range(BACKLOG // 2)
            for queue in ("complaints", "information")
        ]
        async with asyncio.TaskGroup() as group:
            for start in range(0, BACKLOG, 1000):
                body = {"facts": facts[start : start + 1000]}
                group.create_task(client.post("routing", "/v1/telephony/facts", body))
    its_own = await members(address, "routing") - others
    replica.signal(signal.SIGSTOP)
    try:
        if floor.expire:
            await remove_members(address, "routing", its_own)

        async def moved() -> bool:
            return _pools(first) == 2

        await eventually(moved, timeout=60)
        await asyncio.sleep(1)  # the new owner decides calls that the frozen one still believes to be its own
    finally:
        replica.signal(signal.SIGCONT)


def _pools(keeper: Keeper) -> int:
    """How many pools the process says it owns since its last assignment."""
    owned = re.findall(r"writer of partitions \[[^]]*\] with (\d+) pools", keeper.log())
    return int(owned[-1]) if owned else 0


async def _stale(replica: Keeper) -> bool:
    """Whether the replica has been refused a commit."""

    async def refused() -> bool:
        return "StaleWriter" in replica.log()

    try:
        await eventually(refused, timeout=10)
    except AssertionError:
        return False
    return True
