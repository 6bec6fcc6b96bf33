"""Carries messages to the endpoints: any number of processes may do so at once.

    claim (short transaction: the lease) ─▶ POST, outside of any transaction ─▶ record (short transaction)

A process that dies between POST and record leaves a lease behind; after it another sends the message again, under the
same id. So every message arrives at least once, and twice only around a crash, or when its endpoint is disabled and
enabled while it is under way.

Time here is the real time, whatever the service's clock says: receivers compare our signature's time with theirs.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from contextlib import suppress
from datetime import UTC, timedelta

from common import telemetry
from common.clock import Clock
from common.database import TRANSIENT, Database, Session
from common.stops import to_retry
from standardwebhooks import Webhook as Signer

from crm_bridge.domain.webhooks import Answer, Answered, Delivered, GivenUp, TryAgain, Unreached, judge, prolonged
from crm_bridge.service.secrets import Vault
from crm_bridge.service.sender import Sender
from crm_bridge.store import deliveries, webhooks
from crm_bridge.store.deliveries import Claim

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
"""Longer than one try and its two transactions can take."""
IDLE_SECONDS = 0.5
PER_WEBHOOK = 8
"""Tries to one endpoint that one claim takes; an endpoint with as many under way has to wait."""
EXPIRE_EVERY = timedelta(seconds=5)
FORGET_EVERY = timedelta(hours=1)
KEPT = timedelta(days=30)
"""How long finished deliveries can be listed and replayed."""

BATCH = 2000
"""Messages that one transaction puts in order, or gives up, at most."""

tries = telemetry.meter.create_counter("plateau_webhook_tries")
expired = telemetry.meter.create_counter("plateau_webhook_expired")


class Courier:
    """One process's share of the delivering."""

    def __init__(
        self, database: Database, vault: Vault, sender: Sender, clock: Clock, *, concurrency: int = 100
    ) -> None:
        self._database = database
        self._vault = vault
        self._sender = sender
        self._clock = clock
        self._concurrency = concurrency
        self._under_way: Counter[str] = Counter()
        self._finished = asyncio.Event()

    async def run(self) -> None:
        """Deliver for ever, and now and then forget what was finished long ago."""
        expired_at = forgotten_at = self._clock.now()
        async with asyncio.TaskGroup() as group:
            while True:
                self._finished.clear()
                try:
                    if self._clock.now() - expired_at > EXPIRE_EVERY:
                        expired_at = self._clock.now()
                        await self._expire()
                    if self._clock.now() - forgotten_at > FORGET_EVERY:
                        forgotten_at = self._clock.now()
                        async with self._database.transaction() as session:
                            await deliveries.prune(session, older_than=KEPT)
                    # Nothing after this may fail: whoever claims must carry.
                    claims = await self._claim()
                except TRANSIENT as failure:
                    if not to_retry(failure):
                        raise
                    log.warning("webhooks wait for the database: %s", type(failure).__name__)
                    claims = []
                for claim in claims:
                    group.create_task(self._carry(claim))
                await self._rest(bool(claims))

    async def deliver_due(self) -> int:
        """Deliver what is due now, and return how many tries that took. For tests, which move the clock themselves."""
        await self._expire()
        count = 0
        while claims := await self._claim():
            await asyncio.gather(*(self._carry(claim) for claim in claims))
            count += len(claims)
        return count

    async def _rest(self, busy: bool) -> None:
        if busy and self._under_way.total() < self._concurrency:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(IDLE_SECONDS):
                await self._finished.wait()

    async def _claim(self) -> list[Claim]:
        room = self._concurrency - self._under_way.total()
        if room <= 0:
            return []
        now = self._clock.now()
        async with self._database.transaction() as session:
            for webhook_id in await webhooks.resuming(session):
                if await deliveries.put_in_order(session, webhook_id, now=now, limit=BATCH):
                    await webhooks.resumed(session, webhook_id)
            claims = await deliveries.claim(
                session,
                now=now,
                lease=LEASE,
                limit=room,
                per_webhook=PER_WEBHOOK,
                busy=[webhook_id for webhook_id, count in self._under_way.items() if count >= PER_WEBHOOK],
            )
        self._under_way.update(claim.webhook_id for claim in claims)
        return claims

    async def _expire(self) -> None:
        """Give up what is past its retention, and with it endpoints to which nothing got through for long."""
        async with self._database.transaction() as session:
            given_up = await deliveries.expire(session, now=self._clock.now(), limit=BATCH)
        for webhook_id, messages in given_up.items():
            log.warning("webhook %s: %d messages waited until their retention was over", webhook_id, messages)
            expired.add(messages, {"service": self._database.source})
            async with self._database.transaction() as session:
                since = await webhooks.failing_since(session, webhook_id)
                await self._disable(session, webhook_id, prolonged(since, self._clock.now()))

    async def _disable(self, session: Session, webhook_id: str, reason: str | None) -> None:
        if reason is not None and await webhooks.disable(session, webhook_id, reason=reason):
            log.warning("webhook %s is disabled: %s", webhook_id, reason)

    async def _carry(self, claim: Claim) -> None:
        try:
            answer = await self._try(claim)
            async with self._database.transaction() as session:
                outcome = await self._record(session, claim, answer)
            tries.add(1, {"service": self._database.source, "outcome": outcome})
        except TRANSIENT as failure:
            if not to_retry(failure):
                raise
            # The lease runs out, and the message goes out again: better twice than never.
            log.warning("the outcome of delivery %s is not recorded: %s", claim.id, type(failure).__name__)
        finally:
            self._under_way[claim.webhook_id] -= 1
            if not self._under_way[claim.webhook_id]:
                del self._under_way[claim.webhook_id]
            self._finished.set()

    async def _try(self, claim: Claim) -> Answer:
        now = self._clock.now().astimezone(UTC)
        message_id = f"msg_{claim.id.hex}"
        try:
            signatures = [
                Signer(self._vault.open(secret)).sign(message_id, now, claim.body) for secret in claim.secrets(now)
            ]
        except ValueError as unreadable:
            log.error("webhook %s: %s", claim.webhook_id, unreadable)
            return Unreached("the endpoint's secret cannot be read; rotate it")
        headers = {
            "content-type": "application/json",
            "accept-encoding": "identity",
            "user-agent": "Plateau-Webhooks/1",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signatures),
        }
        return await self._sender.post(claim.url, headers, claim.body.encode())

    async def _record(self, session: Session, claim: Claim, answer: Answer) -> str:
        """Store what came of the try and what follows from it; the outcome in one word."""
        now = self._clock.now()
        # Endpoint first, then delivery: the order in which deleting an endpoint locks them.
        if answer.delivered:
            await webhooks.succeeded(session, claim.webhook_id)
        else:
            await webhooks.failed(session, claim.webhook_id, at=now)
        verdict = judge(
            answer,
            attempt=claim.attempt,
            now=now,
            expires_at=claim.expires_at,
            failing_since=await webhooks.failing_since(session, claim.webhook_id),
            jitter=random.uniform(-1, 1),
        )
        match verdict:
            case Delivered():
                state, next_attempt_at = "delivered", now
            case TryAgain(at, pause_until):
                state, next_attempt_at = "pending", at
                if pause_until is not None:
                    await webhooks.pause(session, claim.webhook_id, until=pause_until)
            case GivenUp(disable):
                state, next_attempt_at = "failed", now
                await self._disable(session, claim.webhook_id, disable)
        await deliveries.record(
            session,
            claim,
            state=state,
            at=now,
            next_attempt_at=next_attempt_at,
            status=answer.status if isinstance(answer, Answered) else None,
            error=answer.reason,
            excerpt=answer.excerpt if isinstance(answer, Answered) else None,
        )
        return {"delivered": "delivered", "pending": "retried", "failed": "failed"}[state]
