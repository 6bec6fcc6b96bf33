"""Webhooks to a receiver that is really there."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from common.clock import ManualClock
from common.database import Database
from common.errors import Conflict, Invalid
from crm_bridge.domain.webhooks import LIFETIME
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
from .receivers import ENDINGS, Ways, serving

VAULT = Vault(SECRET_KEY)
CASE_EVENTS = ["case.opened.v1", "case.closed.v1"]


class Desk:
    """Couriers, an endpoint and its receiver, with a clock that is moved by hand."""

    def __init__(self, database: Database, receiver: Receiver, exits: AsyncExitStack) -> None:
        self.database = database
        self.receiver = receiver
        # Ahead of the database's clock, by which messages are due, for as long as a test may take; a verifier lets 5
        # minutes pass.
        self.clock = ManualClock(datetime.now(UTC) + timedelta(minutes=4))
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


async def test_only_what_was_subscribed_by_the_tenant_itself(desk: Desk) -> None:
    await desk.endpoint("closings", event_types=["case.closed.v1"])
    await desk.endpoint("other", tenant="lantern")
    await follow(desk.database, handled("a"))
    assert [d.event_type for d in await desk.deliveries("closings")] == ["case.closed.v1"]
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

    desk.receiver.status = 204
    resumed = (await desk.endpoint(event_types=["case.closed.v1"])).webhook
    assert (resumed.enabled, resumed.disabled_reason, resumed.failing_since) == (True, None, None)
    async with desk.database.transaction() as session:
        await service.replay(session, "hook", (await desk.deliveries())[0].id)
    # By the database's clock, which made it due and says how long it is kept.
    desk.clock = ManualClock(datetime.now(UTC) + timedelta(minutes=4))
    courier = await desk.courier()
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
    elsewhere = desk.receiver.url("/elsewhere")
    desk.receiver.status, desk.receiver.headers = 302, f"location: {elsewhere}\r\n"
    await follow(desk.database, handled("a"))
    await (await desk.courier()).deliver_due()
    assert [request.path for request in desk.receiver.received] == ["/hook"]
    (delivery,) = await desk.deliveries()
    assert delivery.last_status == 302
    assert delivery.last_error == f"redirects are not followed; this one leads to {elsewhere}"


async def test_silence_and_closed_doors(desk: Desk) -> None:
    await desk.endpoint(event_types=["case.closed.v1"])
    courier = await desk.courier(timeout_seconds=2)
    desk.receiver.hang = True
    await follow(desk.database, handled("a"))
    await courier.deliver_due()
    assert (await desk.deliveries())[0].last_error == "no answer within 2 s"
    await desk.endpoint(event_types=["case.closed.v1"], url="http://127.0.0.1:1/")
    desk.clock.advance(6)
    await courier.deliver_due()
    assert (await desk.deliveries())[0].last_error == "the connection was refused"


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


def signers(secrets: list[str], request: Received) -> list[int]:
    """Which of the secrets have signed, by their place in the list; whatever the verifier's own clock says."""
    moment = datetime.fromtimestamp(int(request.headers["webhook-timestamp"]), UTC)
    found = request.headers["webhook-signature"].split()
    made = [Verifier(secret).sign(request.headers["webhook-id"], moment, request.body.decode()) for secret in secrets]
    assert set(found) <= set(made)
    return [place for place, signature in enumerate(made) if signature in found]


async def test_every_replaced_secret_signs_until_its_own_end(desk: Desk) -> None:
    secrets = [(await desk.endpoint(event_types=["case.closed.v1"])).secret or ""]
    courier = await desk.courier()

    async def rotate() -> service.Put:
        async with desk.database.transaction() as session:
            return await service.rotate_secret(session, "hook", vault=VAULT, clock=desk.clock)

    async def signing(call: int) -> list[int]:
        await follow(desk.database, handled(f"c{call}", call * 100))
        assert await courier.deliver_due() == 1
        return signers(secrets, desk.receiver.received[-1])

    hours = service.ROTATION.total_seconds() / 3600
    for _ in range(3):
        secrets.append((await rotate()).secret or "")
        desk.clock.advance(3600)
    assert len(set(secrets)) == 4
    assert await signing(1) == [0, 1, 2, 3]
    desk.clock.advance(3600 * (hours - 3) - 1)
    assert await signing(2) == [0, 1, 2, 3]
    desk.clock.advance(1)
    assert await signing(3) == [1, 2, 3]
    desk.clock.advance(3600)
    assert await signing(4) == [2, 3]
    desk.clock.advance(3600)
    assert await signing(5) == [3]


async def test_rotations_are_bounded_with_the_time_at_which_the_next_is_possible(desk: Desk) -> None:
    await desk.endpoint()

    async def rotate() -> service.Put:
        async with desk.database.transaction() as session:
            return await service.rotate_secret(session, "hook", vault=VAULT, clock=desk.clock)

    first = desk.clock.now()
    for _ in range(service.MOST_REPLACED):
        await rotate()
        desk.clock.advance(60)
    with pytest.raises(Conflict, match=f"{first + service.ROTATION:%Y-%m-%d %H:%M} UTC"):
        await rotate()
    desk.clock.set(first + service.ROTATION)
    put = await rotate()
    assert len(put.webhook.replaced_secrets) == service.MOST_REPLACED
    assert put.webhook.previous_secret_until == desk.clock.now() + service.ROTATION


async def test_a_rotation_by_the_version_before_this_is_understood(desk: Desk) -> None:
    secret = (await desk.endpoint(event_types=["case.closed.v1"])).secret or ""
    new, encrypted = VAULT.new_secret()
    async with desk.database.transaction() as session:
        await session.execute(
            "UPDATE webhooks SET previous_secret = secret, secret = $1, previous_secret_until = $2",
            encrypted,
            desk.clock.now() + service.ROTATION,
        )
    await follow(desk.database, handled("a"))
    await (await desk.courier()).deliver_due()
    assert signers([secret, new], desk.receiver.received[0]) == [0, 1]


# Waiting -------------------------------------------------------------------------------------------------------------


def ids(desk: Desk) -> list[str]:
    """The messages that came, in the order in which they came."""
    return [request.headers["webhook-id"] for request in desk.receiver.received]


async def test_messages_wait_for_a_disabled_endpoint_and_go_out_in_order(desk: Desk) -> None:
    await desk.endpoint(event_types=["case.closed.v1"])
    couriers = [await desk.courier() for _ in range(3)]
    desk.receiver.status = 500
    await follow(desk.database, handled("before"))
    await couriers[0].deliver_due()
    await desk.endpoint(event_types=["case.closed.v1"], enabled=False)
    for call in range(25):
        events = handled(f"c{call}", 100 * call, phone=f"+336400000{call:02d}")
        for _ in range(2):
            await follow(desk.database, events)
    desk.clock.advance(3600)
    assert await couriers[0].deliver_due() == 0
    desk.receiver.received.clear()
    desk.receiver.status = 204
    await desk.endpoint(event_types=["case.closed.v1"])
    await follow(desk.database, handled("after", 9000, phone="+33640000099"))

    tasks = [asyncio.create_task(courier.run()) for courier in couriers]
    async with asyncio.timeout(120):
        while len(desk.receiver.received) < 27:
            await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert ids(desk) == [f"msg_{delivery.id.hex}" for delivery in await desk.deliveries()]


async def test_one_message_that_fails_does_not_hold_up_those_that_waited_with_it(desk: Desk) -> None:
    await desk.endpoint(event_types=["case.closed.v1"], enabled=False)
    courier = await desk.courier()
    for call in range(4):
        await follow(desk.database, handled(f"c{call}", 100 * call, phone=f"+336400000{call:02d}"))
    waiting = [f"msg_{delivery.id.hex}" for delivery in await desk.deliveries()]
    await desk.endpoint(event_types=["case.closed.v1"])
    desk.receiver.statuses = {waiting[0]: 500}
    assert await courier.deliver_due() == 4
    assert ids(desk) == waiting
    desk.receiver.statuses = {}
    desk.clock.advance(6)
    assert await courier.deliver_due() == 1
    assert ids(desk) == [*waiting, waiting[0]]


async def test_a_try_that_was_under_way_when_its_endpoint_was_enabled_again_decides_nothing(desk: Desk) -> None:
    await desk.endpoint(event_types=["case.closed.v1"])
    await follow(desk.database, handled("a"))
    async with desk.database.transaction() as session:
        (old,) = await deliveries.claim(session, now=desk.clock.now(), lease=LEASE, limit=9, per_webhook=9, busy=[])
    await desk.endpoint(event_types=["case.closed.v1"], enabled=False)
    desk.clock.advance(1)
    await desk.endpoint(event_types=["case.closed.v1"])
    assert await (await desk.courier()).deliver_due() == 1
    async with desk.database.transaction() as session:
        assert not await deliveries.record(
            session, old, state="failed", at=desk.clock.now(), next_attempt_at=desk.clock.now(), status=500,
            error=None, excerpt=None,
        )  # fmt: skip
    assert [(d.state, d.attempts) for d in await desk.deliveries()] == [("delivered", 1)]


async def test_a_courier_that_dies_with_the_first_of_those_that_waited_holds_the_rest_for_its_lease(desk: Desk) -> None:
    await desk.endpoint(event_types=["case.closed.v1"], enabled=False)
    for call in range(3):
        await follow(desk.database, handled(f"c{call}", 100 * call, phone=f"+336400000{call:02d}"))
    await desk.endpoint(event_types=["case.closed.v1"])
    desk.receiver.hang = True
    dying = asyncio.create_task((await desk.courier()).deliver_due())
    while not desk.receiver.received:
        await asyncio.sleep(0.001)
    dying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dying
    desk.receiver.hang = False
    desk.receiver.received.clear()
    other = await desk.courier()
    assert await other.deliver_due() == 0
    desk.clock.advance(LEASE.total_seconds())
    assert await other.deliver_due() == 3
    assert ids(desk) == [f"msg_{delivery.id.hex}" for delivery in await desk.deliveries()]


async def test_what_waits_longer_than_its_retention_is_listed_as_expired(desk: Desk) -> None:
    await desk.endpoint(event_types=["case.closed.v1"], enabled=False)
    courier = await desk.courier()
    await follow(desk.database, handled("a"))
    desk.clock.advance(LIFETIME.total_seconds() - 600)
    await courier.deliver_due()
    assert [delivery.state for delivery in await desk.deliveries()] == ["pending"]
    desk.clock.advance(600)
    await courier.deliver_due()
    async with desk.database.transaction() as session:
        (gone,) = await deliveries.page(session, webhook_id="hook", state="expired", before=None, limit=9)
    assert gone.expires_at <= desk.clock.now()
    await desk.endpoint(event_types=["case.closed.v1"])
    assert await courier.deliver_due() == 0
    assert desk.receiver.received == []
    async with desk.database.transaction() as session:
        again = await service.replay(session, "hook", gone.id)
    assert again.state == "pending"


async def test_an_endpoint_whose_messages_expire_while_nothing_gets_through_is_disabled(desk: Desk) -> None:
    await desk.endpoint(event_types=["case.closed.v1"])
    courier = await desk.courier()
    desk.receiver.status = 500
    await follow(desk.database, handled("a"))
    await courier.deliver_due()
    desk.clock.advance(LIFETIME.total_seconds())
    assert await courier.deliver_due() == 0
    webhook = await desk.webhook()
    assert (webhook.enabled, [d.state for d in await desk.deliveries()]) == (False, ["expired"])
    assert (webhook.disabled_reason or "").startswith("nothing got through since")


@pytest.mark.parametrize("status", [429, 503])
async def test_a_receiver_that_asks_for_patience_gets_it_for_all_its_messages(desk: Desk, status: int) -> None:
    await desk.endpoint(event_types=["case.closed.v1"])
    courier = await desk.courier()
    desk.receiver.status, desk.receiver.headers = status, "retry-after: 3600\r\n"
    await follow(desk.database, handled("a"))
    assert await courier.deliver_due() == 1
    (delivery,) = await desk.deliveries()
    asked = desk.clock.now() + timedelta(hours=1)
    assert (delivery.state, delivery.next_attempt_at) == ("pending", asked)
    assert (await desk.webhook()).paused_until == asked
    desk.receiver.status, desk.receiver.headers = 204, ""
    await follow(desk.database, handled("b", 100, phone="+33640000001"))
    desk.clock.advance(3599)
    assert await courier.deliver_due() == 0
    desk.clock.advance(1)
    assert await courier.deliver_due() == 2
    assert {delivery.state for delivery in await desk.deliveries()} == {"delivered"}


async def test_changing_the_url_ends_the_patience_that_the_old_receiver_asked_for(desk: Desk) -> None:
    await desk.endpoint(event_types=["case.closed.v1"])
    courier = await desk.courier()
    desk.receiver.status, desk.receiver.headers = 429, "retry-after: 3600\r\n"
    await follow(desk.database, handled("a"))
    await courier.deliver_due()
    await desk.endpoint(event_types=["case.closed.v1"], url=desk.receiver.url("/new"))
    desk.receiver.status, desk.receiver.headers = 204, ""
    await follow(desk.database, handled("b", 100, phone="+33640000001"))
    assert await courier.deliver_due() == 1


async def test_a_delivery_is_a_delivery_however_its_answer_ends(desk: Desk) -> None:
    ways = Ways()
    async with serving(ways.serve) as port:
        for ending in ENDINGS:
            await desk.endpoint(ending, event_types=["case.closed.v1"], url=f"http://127.0.0.1:{port}/200/{ending}")
        await follow(desk.database, handled("a"))
        courier = await desk.courier()
        assert await courier.deliver_due() == len(ENDINGS)
        assert await courier.deliver_due() == 0
        for ending in ENDINGS:
            (delivery,) = await desk.deliveries(ending)
            assert (delivery.state, delivery.last_status, delivery.last_error) == ("delivered", 200, None), ending


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


async def test_an_endpoint_cannot_change_its_tenant_or_have_a_bad_url(desk: Desk) -> None:
    first = await desk.endpoint()
    again = await desk.endpoint()
    assert again.secret is None
    assert again.webhook == first.webhook
    with pytest.raises(Conflict):
        await desk.endpoint(tenant="lantern")
    with pytest.raises(Invalid, match="url"):
        await desk.endpoint(url="ftp://example.org/")
