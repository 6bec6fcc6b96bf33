"""Webhooks to a receiver that is really there."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from common.clock import ManualClock
from common.database import Database
from common.errors import Conflict, Invalid
from crm_bridge.domain.webhooks import LIFETIME, Answered, Unreached
from crm_bridge.service import sender as sender_module
from crm_bridge.service import webhooks as service
from crm_bridge.service.courier import LEASE, PER_WEBHOOK, Courier
from crm_bridge.service.secrets import Vault
from crm_bridge.service.sender import open_sender
from crm_bridge.store import deliveries, tenants
from crm_bridge.store.deliveries import Delivery
from crm_bridge.store.webhooks import Webhook
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from .calls import follow, handled
from .conftest import SECRET_KEY, Received, Receiver

VAULT = Vault(SECRET_KEY)
CASE_EVENTS = ["case.opened.v1", "case.closed.v1"]


class Desk:
    """Couriers, an endpoint and its receiver, with a clock that is moved by hand."""

    def __init__(self, database: Database, receiver: Receiver, exits: AsyncExitStack) -> None:
        self.database = database
        self.receiver = receiver
        self.clock = ManualClock(datetime.now(UTC) + timedelta(seconds=1))
        self._exits = exits

    async def courier(self, *, timeout_seconds: float = 10, allow_private: bool = True) -> Courier:
        sender = await self._exits.enter_async_context(
            open_sender(allow_private=allow_private, timeout_seconds=timeout_seconds, connections=20)
        )
        return Courier(self.database, VAULT, sender, self.clock, concurrency=20)

    async def endpoint(self, webhook_id: str = "hook", tenant: str = "kettle", **changes: Any) -> service.Put:
        fields: dict[str, Any] = {"url": self.receiver.url(), "event_types": CASE_EVENTS, "enabled": True, **changes}
        async with self.database.transaction() as session:
            await tenants.put(
                session,
                tenants.Tenant(
                    tenant_id=tenant,
                    name=tenant,
                    time_zone="Europe/Paris",
                    region="FR",
                    reopen_window_days=14,
                    closing_dispositions=["resolved"],
                ),
            )
            return await service.put(
                session, webhook_id, service.Endpoint(tenant_id=tenant, **fields), vault=VAULT, allow_private=True
            )

    async def deliveries(self, webhook_id: str = "hook") -> list[Delivery]:
        async with self.database.transaction() as session:
            found = await deliveries.page(session, webhook_id=webhook_id, state=None, before=None, limit=1000)
        return found[::-1]

    async def webhook(self, webhook_id: str = "hook") -> Webhook:
        async with self.database.transaction() as session:
            return await service.get(session, webhook_id)


@pytest.fixture
async def desk(database: Database, receiver: Receiver) -> Any:
    async with AsyncExitStack() as exits:
        yield Desk(database, receiver, exits)


def verified(secret: str | None, request: Received) -> dict[str, Any]:
    """The message, checked as a receiver would check it."""
    assert secret is not None
    message: dict[str, Any] = Verifier(secret).verify(request.body, request.headers)
    return message


async def test_a_case_is_told_and_signed(desk: Desk) -> None:
    secret = (await desk.endpoint()).secret
    await follow(desk.database, handled("a"))
    assert await (await desk.courier()).deliver_due() == 2
    messages = {message["type"]: message for message in (verified(secret, r) for r in desk.receiver.received)}
    assert set(messages) == set(CASE_EVENTS)
    closed = messages["case.closed.v1"]
    assert closed["timestamp"] == closed["data"]["closed_at"]
    assert closed["data"]["tenant_id"] == "kettle"
    assert closed["data"]["closing"] == 1
    assert "+33" not in json.dumps(messages), "nothing about the person"
    assert desk.receiver.received[0].headers["content-type"] == "application/json"
    for delivery in await desk.deliveries():
        assert (delivery.state, delivery.attempts, delivery.last_status) == ("delivered", 1, 204)
    with pytest.raises(WebhookVerificationError):
        verified("whsec_" + "A" * 43 + "=", desk.receiver.received[0])


async def test_only_what_was_subscribed_by_the_tenant_itself_and_while_enabled(desk: Desk) -> None:
    await desk.endpoint("closings", event_types=["case.closed.v1"])
    await desk.endpoint("silent", enabled=False)
    await desk.endpoint("other", tenant="lantern")
    await follow(desk.database, handled("a"))
    assert [d.event_type for d in await desk.deliveries("closings")] == ["case.closed.v1"]
    assert await desk.deliveries("silent") == []
    assert await desk.deliveries("other") == []


async def test_nothing_is_told_of_what_was_rolled_back(desk: Desk) -> None:
    await desk.endpoint()
    with pytest.raises(ZeroDivisionError):
        async with desk.database.transaction() as session:
            from crm_bridge.service.cases import follow_calls

            from .calls import delivery

            await follow_calls(session, [delivery(event) for event in handled("a")])
            raise ZeroDivisionError
    assert await desk.deliveries() == []


async def test_failures_are_tried_again_under_the_same_id_until_one_gets_through(desk: Desk) -> None:
    secret = (await desk.endpoint(event_types=["case.closed.v1"])).secret
    courier = await desk.courier()
    await follow(desk.database, handled("a"))
    desk.receiver.status, desk.receiver.answer = 500, b"<b>database\x00 is  down</b>" + b"x" * 5000
    assert await courier.deliver_due() == 1
    assert await courier.deliver_due() == 0, "not before it is due"
    (delivery,) = await desk.deliveries()
    assert (delivery.state, delivery.attempts, delivery.last_status) == ("pending", 1, 500)
    assert delivery.last_excerpt is not None
    assert delivery.last_excerpt.startswith("<b>database is down</b>xxx")
    assert len(delivery.last_excerpt) == 200
    assert 4 <= (delivery.next_attempt_at - desk.clock.now()).total_seconds() <= 6
    assert (await desk.webhook()).failing_since == desk.clock.now()

    desk.clock.advance(6)
    assert await courier.deliver_due() == 1
    desk.clock.advance(25)
    desk.receiver.status = 200
    assert await courier.deliver_due() == 1
    (delivery,) = await desk.deliveries()
    assert (delivery.state, delivery.attempts, delivery.delivered_at) == ("delivered", 3, desk.clock.now())
    assert (await desk.webhook()).failing_since is None
    ids = {request.headers["webhook-id"] for request in desk.receiver.received}
    assert len(ids) == 1
    assert len({request.headers["webhook-timestamp"] for request in desk.receiver.received}) == 3
    for request in desk.receiver.received:
        verified(secret, request)


async def test_a_dead_endpoint_is_given_up_disabled_and_can_be_resumed(desk: Desk) -> None:
    await desk.endpoint(event_types=["case.closed.v1"])
    courier = await desk.courier()
    desk.receiver.status = 503
    await follow(desk.database, handled("a"))
    tries = 0
    while (await desk.deliveries())[0].state == "pending":
        tries += await courier.deliver_due()
        desk.clock.advance(3600)
    assert 10 <= tries <= 16
    webhook = await desk.webhook()
    assert not webhook.enabled
    assert webhook.disabled_reason is not None
    assert webhook.disabled_reason.startswith("nothing got through since")
    await follow(desk.database, handled("b", 100))
    assert len(await desk.deliveries()) == 1, "a disabled endpoint collects nothing"

    desk.receiver.status = 204
    resumed = (await desk.endpoint(event_types=["case.closed.v1"])).webhook
    assert (resumed.enabled, resumed.disabled_reason, resumed.failing_since) == (True, None, None)
    async with desk.database.transaction() as session:
        await service.replay(session, "hook", (await desk.deliveries())[0].id)
    assert await courier.deliver_due() == 1
    (delivery,) = await desk.deliveries()
    assert (delivery.state, delivery.attempts) == ("delivered", 1)
    assert desk.receiver.received[-1].headers["webhook-id"] == desk.receiver.received[0].headers["webhook-id"]


async def test_gone_disables_at_once_and_keeps_the_rest(desk: Desk) -> None:
    await desk.endpoint(event_types=["case.closed.v1"])
    courier = await desk.courier()
    desk.receiver.status = 410
    await follow(desk.database, handled("a"))
    await courier.deliver_due()
    webhook = await desk.webhook()
    assert (webhook.enabled, webhook.disabled_reason) == (False, "the receiver answered 410 Gone")
    assert (await desk.deliveries())[0].state == "failed"
    with pytest.raises(Conflict):
        async with desk.database.transaction() as session:
            await service.replay(session, "hook", (await desk.deliveries())[0].id)
    desk.clock.advance(LIFETIME.total_seconds())
    assert await courier.deliver_due() == 0


async def test_redirects_are_not_followed(desk: Desk) -> None:
    await desk.endpoint(event_types=["case.closed.v1"])
    desk.receiver.status, desk.receiver.headers = 302, f"location: {desk.receiver.url('/elsewhere')}\r\n"
    await follow(desk.database, handled("a"))
    await (await desk.courier()).deliver_due()
    assert [request.path for request in desk.receiver.received] == ["/hook"]
    assert (await desk.deliveries())[0].last_status == 302


async def test_silence_and_closed_doors(desk: Desk) -> None:
    await desk.endpoint(event_types=["case.closed.v1"])
    courier = await desk.courier(timeout_seconds=0.2)
    desk.receiver.hang = True
    await follow(desk.database, handled("a"))
    await courier.deliver_due()
    assert (await desk.deliveries())[0].last_error == "no answer within 0.2 s"
    await desk.endpoint(event_types=["case.closed.v1"], url="http://127.0.0.1:1/")
    desk.clock.advance(6)
    await courier.deliver_due()
    assert (await desk.deliveries())[0].last_error == "no connection"


async def test_two_workers_send_each_message_once(desk: Desk) -> None:
    await desk.endpoint(event_types=["case.closed.v1"])
    await follow(desk.database, [e for n in range(100) for e in handled(f"c{n}", n, phone=f"+33640000{n:03d}")])
    tries = await asyncio.gather(*[(await desk.courier()).deliver_due() for _ in range(3)])
    assert sum(tries) == len(desk.receiver.received) == 100
    assert len({request.headers["webhook-id"] for request in desk.receiver.received}) == 100
    assert {delivery.state for delivery in await desk.deliveries()} == {"delivered"}


async def test_a_worker_that_dies_leaves_its_message_to_another(desk: Desk) -> None:
    await desk.endpoint(event_types=["case.closed.v1"])
    await follow(desk.database, handled("a"))
    desk.receiver.hang = True
    dying = asyncio.create_task((await desk.courier()).deliver_due())
    while not desk.receiver.received:
        await asyncio.sleep(0.001)
    dying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dying
    desk.receiver.hang = False
    other = await desk.courier()
    assert await other.deliver_due() == 0, "the lease holds"
    desk.clock.advance(LEASE.total_seconds())
    assert await other.deliver_due() == 1
    assert (await desk.deliveries())[0].state == "delivered"
    first, second = (request.headers["webhook-id"] for request in desk.receiver.received)
    assert first == second


async def test_what_comes_after_the_lease_is_not_recorded(desk: Desk) -> None:
    await desk.endpoint(event_types=["case.closed.v1"])
    await follow(desk.database, handled("a"))
    now = desk.clock.now()

    async def claim() -> deliveries.Claim:
        async with desk.database.transaction() as session:
            (claim,) = await deliveries.claim(
                session, now=desk.clock.now(), lease=LEASE, limit=9, per_webhook=PER_WEBHOOK, busy=[]
            )
            return claim

    async def record(claim: deliveries.Claim, state: str) -> bool:
        async with desk.database.transaction() as session:
            return await deliveries.record(
                session, claim, state=state, at=now, next_attempt_at=now, status=204, error=None, excerpt=None
            )

    slow = await claim()
    desk.clock.advance(LEASE.total_seconds())
    quick = await claim()
    assert (slow.attempt, quick.attempt) == (1, 2)
    assert not await record(slow, "failed")
    assert await record(quick, "delivered")
    assert not await record(replace(slow, attempt=2), "failed"), "finished is finished"


async def test_a_slow_endpoint_delays_only_itself(desk: Desk) -> None:
    await desk.endpoint("slow", event_types=["case.closed.v1"])
    other = Receiver()
    server = await asyncio.start_server(other.serve, "127.0.0.1", 0)
    other.port = server.sockets[0].getsockname()[1]
    desk.receiver.hang = True
    await follow(desk.database, [e for n in range(60) for e in handled(f"c{n}", n, phone=f"+336400000{n:02d}")])
    await desk.endpoint("quick", url=other.url(), event_types=["case.opened.v1"])
    await follow(desk.database, [e for n in range(60, 70) for e in handled(f"c{n}", n, phone=f"+336400000{n:02d}")])
    task = asyncio.create_task((await desk.courier(timeout_seconds=60)).run())
    async with asyncio.timeout(10):
        while len(other.received) < 10:
            await asyncio.sleep(0.01)
    assert len(desk.receiver.received) <= 2 * PER_WEBHOOK
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    server.close()


async def test_while_a_secret_is_rotated_both_sign(desk: Desk) -> None:
    old = (await desk.endpoint(event_types=["case.closed.v1"])).secret
    async with desk.database.transaction() as session:
        new = (await service.rotate_secret(session, "hook", vault=VAULT, clock=desk.clock)).secret
    assert old != new
    courier = await desk.courier()
    await follow(desk.database, handled("a"))
    await courier.deliver_due()
    verified(old, desk.receiver.received[0])
    verified(new, desk.receiver.received[0])
    desk.clock.advance(service.ROTATION.total_seconds())
    await follow(desk.database, handled("b", 100))
    await courier.deliver_due()
    # The clock of this test is a day ahead of the one that the verifier reads; the signatures are what matters.
    assert len(desk.receiver.received[0].headers["webhook-signature"].split()) == 2
    assert len(desk.receiver.received[1].headers["webhook-signature"].split()) == 1


async def test_no_secret_in_the_database(desk: Desk) -> None:
    secret = (await desk.endpoint()).secret
    assert secret is not None
    async with desk.database.transaction() as session:
        stored = await session.fetchval("SELECT secret FROM webhooks")
    assert secret.removeprefix("whsec_").encode() not in stored
    assert VAULT.open(stored) == secret


async def test_a_key_that_is_lost_is_told_and_does_not_stop_the_rest(desk: Desk) -> None:
    await desk.endpoint(event_types=["case.closed.v1"])
    async with desk.database.transaction() as session:
        await session.execute("UPDATE webhooks SET secret = 'gibberish'")
    await follow(desk.database, handled("a"))
    assert await (await desk.courier()).deliver_due() == 1
    assert (await desk.deliveries())[0].last_error == "the endpoint's secret cannot be read; rotate it"


async def test_deleting_an_endpoint_while_cases_are_told(desk: Desk) -> None:
    await desk.endpoint()

    async def delete() -> None:
        async with desk.database.transaction() as session:
            await service.delete(session, "hook")

    await asyncio.gather(*(follow(desk.database, handled(f"c{n}", n)) for n in range(5)), delete())
    assert await desk.deliveries() == []


async def test_old_deliveries_are_forgotten_and_waiting_ones_are_not(desk: Desk) -> None:
    await desk.endpoint(event_types=["case.closed.v1"])
    courier = await desk.courier()
    await follow(desk.database, handled("a"))
    await courier.deliver_due()
    await follow(desk.database, handled("b", 100))
    async with desk.database.transaction() as session:
        await deliveries.prune(session, older_than=timedelta(days=30))
        await session.execute("UPDATE deliveries SET created_at = now() - interval '31 days'")
    async with desk.database.transaction() as session:
        await deliveries.prune(session, older_than=timedelta(days=30))
    assert [delivery.state for delivery in await desk.deliveries()] == ["pending"]


async def test_the_guard_lets_nothing_into_the_own_network(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_sender(allow_private=False, timeout_seconds=5, connections=5) as guarded:
        for url in ("https://127.0.0.1/", f"http://127.0.0.1:{desk.receiver.port}/", "https://localhost/"):
            assert isinstance(await guarded.post(url, {}, b"{}"), Unreached)
        # A public-looking name whose address is this machine's.
        monkeypatch.setattr(sender_module, "refusal", lambda url, allow_private: None)
        inside = f"http://{uuid4().hex}.localhost:{desk.receiver.port}/"
        answer = await guarded.post(inside, {}, b"{}")
        assert isinstance(answer, Unreached)
        # Even a name that changes its address after we asked: the client's own guard looks at what it connects to.
        monkeypatch.setattr(sender_module, "_resolves_to_public", _yes)
        answer = await guarded.post(f"http://127.0.0.1:{desk.receiver.port}/", {}, b"{}")
        assert answer == Unreached("no connection"), "and it tells nothing about what it found"
    assert desk.receiver.received == []
    async with open_sender(allow_private=True, timeout_seconds=5, connections=5) as local:
        assert await local.post(desk.receiver.url(), {}, b"{}") == Answered(204)


async def _yes(url: object) -> bool:
    return True


async def test_an_endpoint_cannot_change_its_tenant_or_have_a_bad_url(desk: Desk) -> None:
    first = await desk.endpoint()
    again = await desk.endpoint()
    assert again.secret is None
    assert again.webhook == first.webhook
    with pytest.raises(Conflict):
        await desk.endpoint(tenant="lantern")
    with pytest.raises(Invalid, match="url"):
        await desk.endpoint(url="ftp://example.org/")
