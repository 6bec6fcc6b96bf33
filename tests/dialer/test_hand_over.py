"""The hand-over of answered calls to a routing that is well, slow, failing or gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from common.clock import Clock, SystemClock
from common.database import Database
from common.testing import eventually
from dialer.domain.attempt import Connected, Ended, HandedOver, PbxFact
from dialer.service.hand_over import HandOvers
from dialer.service.routing import Routing, token_of
from dialer.service.state import Signal

from .conftest import PATIENCE, Floor, RoutingStub


@asynccontextmanager
async def worker(
    floor: Floor, url: str, *, clock: Clock | None = None, database: Database | None = None
) -> AsyncIterator[Signal]:
    """One replica's worker; cancelled at the end, as by a kill."""
    woken = Signal()
    async with Routing(url, token_of("secret", None)) as routing:
        work = HandOvers(
            database or floor.database, clock or floor.clock, routing, woken, limit_seconds=2.0, patience=PATIENCE
        )
        task = asyncio.create_task(work.run())
        try:
            yield woken
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def settled(floor: Floor) -> Callable[[], Any]:
    """Whether nothing is left to tell routing."""

    async def nothing_left() -> bool:
        return not await floor.rows("SELECT 1 FROM routing_requests")

    return nothing_left


async def commands(floor: Floor) -> list[str]:
    return [command for _, command in await floor.commands()]


async def test_an_answer_becomes_one_call(floor: Floor, routing: RoutingStub) -> None:
    attempt = await floor.answered()
    floor.clock.advance(0.5)
    async with worker(floor, routing.url):
        await eventually(settled(floor))
    (request,) = routing.requests
    assert request == {
        "queue_id": "sales",
        "contact_phone": "+33639980000",
        "channel": "voice",
        "direction": "outbound",
        "max_wait_seconds": 1.5,
        "campaign_id": "renewals",
        "lead_id": str(attempt.lead_id),
        "attempt_id": str(attempt.attempt_id),
        "key": str(attempt.attempt_id),
        "authorization": "Bearer secret",
        "traceparent": attempt.traceparent,
    }
    call_id = f"{attempt.attempt_id}.sales"
    assert (await floor.only()).state == HandedOver(call_id)
    assert await commands(floor) == ["dial", "handed_over"]
    await floor.tell(attempt.attempt_id, PbxFact.ANSWERED)
    assert await floor.rows("SELECT 1 FROM routing_requests") == []


@pytest.mark.parametrize("status", [404, 422, 401])
async def test_a_refusal_is_an_abandoned_attempt_at_once(floor: Floor, routing: RoutingStub, status: int) -> None:
    routing.status = status
    await floor.answered()
    async with worker(floor, routing.url):
        await eventually(settled(floor))
    assert (await floor.only()).state == Ended("abandoned", "hand_over_failed")
    assert await commands(floor) == ["dial", "play_abandonment_message", "hang_up"]
    assert len(routing.requests) == 1


async def test_a_failing_routing_is_asked_again_until_the_limit(floor: Floor, routing: RoutingStub) -> None:
    routing.status = 503
    await floor.answered()
    async with worker(floor, routing.url):

        async def asked_thrice() -> bool:
            return len(routing.requests) >= 3

        await eventually(asked_thrice)
        floor.clock.advance(1.9)
        routing.status = 202
        await eventually(settled(floor))
    assert isinstance((await floor.only()).state, HandedOver)
    assert routing.requests[-1]["max_wait_seconds"] == pytest.approx(0.1)


async def test_a_routing_that_nobody_listens_for_costs_two_seconds(floor: Floor) -> None:
    await floor.answered()
    async with worker(floor, "http://127.0.0.1:9"):
        await asyncio.sleep(0)
        assert await commands(floor) == ["dial"]
        floor.clock.advance(2)
        await eventually(settled(floor))
    assert (await floor.only()).state == Ended("abandoned", "hand_over_failed")
    assert await commands(floor) == ["dial", "play_abandonment_message", "hang_up"]


async def test_a_machine_is_withdrawn_from_routing(floor: Floor, routing: RoutingStub) -> None:
    attempt = await floor.answered()
    call_id = f"{attempt.attempt_id}.sales"
    async with worker(floor, routing.url) as woken:
        await eventually(settled(floor))
        await floor.tell(attempt.attempt_id, PbxFact.MACHINE)
        woken.set()
        await eventually(settled(floor))
    assert (await floor.only()).state == Ended("machine", "pbx", call_id)
    assert (routing.machines, routing.hang_ups) == ([call_id], [])
    assert await commands(floor) == ["dial", "handed_over", "hang_up"]
    about = {"attempt_id": str(attempt.attempt_id), "direction": "outbound", "contact_phone": attempt.phone}
    await floor.deliver(
        floor.call("offered", call_id, **about),
        floor.call("abandoned", call_id, **about, reason="hung_up", machine=True),
    )
    (lead,) = await floor.leads()
    assert (lead["state"], lead["last_outcome"]) == ("pending", "machine")
    # Nobody was in a call.
    assert await floor.rows("SELECT 1 FROM recent_calls") == []


async def test_a_machine_that_is_recognised_on_the_way_is_withdrawn_once_routing_has_it(
    floor: Floor, routing: RoutingStub
) -> None:
    attempt = await floor.answered()
    routing.gate.clear()
    async with worker(floor, routing.url):

        async def asked() -> bool:
            return bool(routing.requests)

        await eventually(asked)
        await floor.tell(attempt.attempt_id, PbxFact.MACHINE)
        routing.gate.set()
        await eventually(settled(floor))
    assert (await floor.only()).state == Ended("machine", "pbx")
    assert routing.machines == [f"{attempt.attempt_id}.sales"]


async def test_a_machine_before_routing_was_asked_is_no_call(floor: Floor, routing: RoutingStub) -> None:
    attempt = await floor.answered()
    await floor.tell(attempt.attempt_id, PbxFact.MACHINE)
    async with worker(floor, routing.url):
        await eventually(settled(floor))
    assert (routing.requests, routing.machines) == ([], [])


async def test_the_agent_who_speaks_with_a_machine_is_told(floor: Floor, routing: RoutingStub) -> None:
    attempt = await floor.answered()
    call_id = f"{attempt.attempt_id}.sales"
    about = {"attempt_id": str(attempt.attempt_id), "direction": "outbound", "contact_phone": attempt.phone}
    async with worker(floor, routing.url) as woken:
        await eventually(settled(floor))
        await floor.deliver(*(floor.call(kind, call_id, **about) for kind in ("offered", "queued", "answered")))
        await floor.tell(attempt.attempt_id, PbxFact.MACHINE)
        woken.set()
        await eventually(settled(floor))
        assert (await floor.only()).state == Connected(call_id, machine=True)
        await floor.deliver(floor.call("wrapped_up", call_id, **about, disposition="machine"))
    assert routing.machines == [call_id]
    after = await floor.only()
    assert after.state == Ended("machine", "routing", call_id, "machine")
    assert after.machine_at is not None
    assert [lead["state"] for lead in await floor.leads()] == ["pending"]


async def test_a_slow_routing_is_given_up_in_time_and_its_late_call_withdrawn(
    floor: Floor, routing: RoutingStub
) -> None:
    routing.gate.clear()
    attempt = await floor.answered()
    async with worker(floor, routing.url) as woken:

        async def asked() -> bool:
            return len(routing.calls) == 1

        await eventually(asked)
        floor.clock.advance(2)
        await eventually(settled(floor))
        assert (await floor.only()).state == Ended("abandoned", "hand_over_failed")
        # Routing made a call of it all the same, and tells so over Kafka.
        routing.gate.set()
        call_id = f"{attempt.attempt_id}.sales"
        await floor.deliver(floor.call("queued", call_id, attempt_id=str(attempt.attempt_id), direction="outbound"))
        woken.set()

        async def withdrawn() -> bool:
            return routing.hang_ups == [call_id]

        await eventually(withdrawn)
        await eventually(settled(floor))
    assert len(routing.calls) == 1


async def test_answers_that_get_lost_make_no_second_call(floor: Floor, routing: RoutingStub) -> None:
    routing.lose_answers = True
    attempt = await floor.answered()
    async with worker(floor, routing.url):

        async def asked_again() -> bool:
            return len(routing.requests) >= 3

        await eventually(asked_again)
        # Its event arrives before its answer.
        about = {"attempt_id": str(attempt.attempt_id), "call_id": f"{attempt.attempt_id}.sales"}
        await floor.deliver(floor.call("offered", **about))
        await eventually(settled(floor))
    assert len(routing.calls) == 1
    assert isinstance((await floor.only()).state, HandedOver)


async def test_two_replicas_and_one_that_dies_make_one_call(floor: Floor, routing: RoutingStub) -> None:
    routing.gate.clear()
    attempt = await floor.answered()
    clock = SystemClock()
    floor.clock.set(max(floor.clock.now(), clock.now()))
    await floor.rows("UPDATE attempts SET answered_at = now() RETURNING 1")
    async with worker(floor, routing.url, clock=clock):

        async def asked() -> bool:
            return len(routing.requests) == 1

        await eventually(asked)
    # Killed in the middle of its request. Another replica takes over once the lease has run out.
    routing.gate.set()
    async with (
        Database(floor.database.url, source="dialer") as other,
        worker(floor, routing.url, clock=clock, database=other),
        worker(floor, routing.url, clock=clock),
    ):
        await eventually(settled(floor))
    assert list(routing.calls) == [str(attempt.attempt_id)]
    assert (await floor.only()).state == HandedOver(f"{attempt.attempt_id}.sales")


async def test_a_person_who_hung_up_before_the_hand_over_is_not_offered(floor: Floor, routing: RoutingStub) -> None:
    attempt = await floor.answered()
    await floor.tell(attempt.attempt_id, PbxFact.HUNG_UP)
    async with worker(floor, routing.url):
        await eventually(settled(floor))
    assert routing.requests == []
    assert (await floor.only()).state == Ended("abandoned", "hand_over_failed")
    assert await commands(floor) == ["dial"]


async def test_a_person_who_hangs_up_is_withdrawn_from_routing(floor: Floor, routing: RoutingStub) -> None:
    attempt = await floor.answered()
    async with worker(floor, routing.url) as woken:
        await eventually(settled(floor))
        await floor.tell(attempt.attempt_id, PbxFact.HUNG_UP)
        woken.set()
        await eventually(settled(floor))
    assert routing.hang_ups == [f"{attempt.attempt_id}.sales"]


def test_a_token_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    token = token_of("never", file)
    assert token() == "first"
    file.write_text("second\n")
    assert token() == "second"
    assert token_of("fixed", None)() == "fixed"
