"""Carries messages to the endpoints: any number of processes may do so at once.

    claim (short transaction: the lease) ─▶ POST, outside of any transaction ─▶ record (short transaction)

A process that dies between POST and record leaves a lease behind; after it another sends the message again, under the
same id. So every message arrives at least once, and twice only around a crash.

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

from crm_bridge.domain.webhooks import Answer, Answered, Delivered, GivenUp, TryAgain, Unreached, judge
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
FORGET_EVERY = timedelta(hours=1)
KEPT = timedelta(days=30)
"""How long finished deliveries can be listed and replayed."""

tries = telemetry.meter.create_counter("plateau_webhook_tries")


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
        forgotten_at = self._clock.now()
        async with asyncio.TaskGroup() as group:
            while True:
                self._finished.clear()
                try:
                    claims = await self._claim()
                    if self._clock.now() - forgotten_at > FORGET_EVERY:
                        forgotten_at = self._clock.now()
                        async with self._database.transaction() as session:
                            await deliveries.prune(session, older_than=KEPT)
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
        async with self._database.transaction() as session:
            claims = await deliveries.claim(
                session,
                now=self._clock.now(),
                lease=LEASE,
                limit=room,
                per_webhook=PER_WEBHOOK,
                busy=[webhook_id for webhook_id, count in self._under_way.items() if count >= PER_WEBHOOK],
            )
        self._under_way.update(claim.webhook_id for claim in claims)
        return claims

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
        secrets = [claim.secret]
        if claim.previous_secret is not None and claim.previous_secret_until and now < claim.previous_secret_until:
            secrets.append(claim.previous_secret)
        message_id = f"msg_{claim.id.hex}"
        try:
            signatures = [Signer(self._vault.open(secret)).sign(message_id, now, claim.body) for secret in secrets]
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
        if isinstance(answer, Answered) and 200 <= answer.status < 300:
            await webhooks.succeeded(session, claim.webhook_id)
        else:
            await webhooks.failed(session, claim.webhook_id, at=now)
        verdict = judge(
            answer,
            attempt=claim.attempt,
            now=now,
            expires_at=claim.expires_at,
            failing_since=await deliveries.failing_since(session, claim.webhook_id),
            jitter=random.uniform(-1, 1),
        )
        match verdict:
            case Delivered():
                state, next_attempt_at = "delivered", now
            case TryAgain(at):
                state, next_attempt_at = "pending", at
            case GivenUp(disable):
                state, next_attempt_at = "failed", now
                if disable is not None:
                    log.warning("webhook %s is disabled: %s", claim.webhook_id, disable)
                    await webhooks.disable(session, claim.webhook_id, reason=disable)
        await deliveries.record(
            session,
            claim,
            state=state,
            at=now,
            next_attempt_at=next_attempt_at,
            status=answer.status if isinstance(answer, Answered) else None,
            error=answer.reason if isinstance(answer, Unreached) else None,
            excerpt=answer.excerpt if isinstance(answer, Answered) else None,
        )
        return {"delivered": "delivered", "pending": "retried", "failed": "failed"}[state]
