"""The hand-over of answered calls to routing, within the time that the law gives.

What has to be told stands in `routing_requests`, committed with the fact that caused it. Any replica takes it under a
short lease, so a killed process costs a lease, not a call; two that send the same request send it under one key, and
routing makes one call of it.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Final
from uuid import UUID

from common.clock import Clock
from common.database import TRANSIENT, Database
from common.stops import to_retry
from common.telemetry import meter, with_traceparent

from dialer.domain.attempt import Attempt, HandedOver, Patience, RoutingHasCall, RoutingUnreachable
from dialer.service.attempts import Happened, apply
from dialer.service.routing import Accepted, Answer, Refused, Routing, Unreachable
from dialer.service.state import Signal, wait
from dialer.store import attempts, routing_requests
from dialer.store.routing_requests import RoutingRequest

log = logging.getLogger(__name__)

LEASE_SECONDS: Final = 1.0
"""Real. A request that is still being worked on is leased again by the same worker."""
POLL_SECONDS: Final = 0.25
RETRY_SECONDS: Final = 0.05
AT_ONCE: Final = 200
SAY_TRIES: Final = 100

hand_overs = meter.create_counter("plateau_dialer_hand_overs", description="By result: accepted, refused, too_late")
hand_over_seconds = meter.create_histogram("plateau_dialer_hand_over_seconds", unit="s")


class HandOvers:
    """Works off `routing_requests`. `limit_seconds`: from the answer to an agent, on the service's clock."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        routing: Routing,
        woken: Signal,
        *,
        limit_seconds: float,
        patience: Patience,
    ) -> None:
        self._database = database
        self._clock = clock
        self._routing = routing
        self._woken = woken
        self._limit = timedelta(seconds=limit_seconds)
        self._patience = patience
        self._at_work: set[tuple[UUID, str]] = set()

    async def run(self) -> None:
        """Work for ever; passing failures are tried again."""
        async with asyncio.TaskGroup() as group:
            while True:
                ticket = self._woken.ticket()
                try:
                    taken = await self._lease()
                except TRANSIENT as failure:
                    if not to_retry(failure):
                        raise
                    log.warning("hand-overs cannot be read: %s", type(failure).__name__)
                    taken = []
                fresh = [item for item in taken if (item[0].attempt_id, item[0].kind) not in self._at_work]
                for request, attempt in fresh:
                    self._at_work.add((request.attempt_id, request.kind))
                    group.create_task(self._work(request, attempt))
                if not fresh:
                    await wait(ticket, POLL_SECONDS)

    async def _lease(self) -> list[tuple[RoutingRequest, Attempt | None]]:
        if len(self._at_work) >= AT_ONCE:
            return []
        async with self._database.transaction() as session:
            requests = await routing_requests.lease(session, LEASE_SECONDS, AT_ONCE)
            known = await attempts.get_many(session, [request.attempt_id for request in requests])
        return [(request, known.get(request.attempt_id)) for request in requests]

    async def _work(self, request: RoutingRequest, attempt: Attempt | None) -> None:
        try:
            with with_traceparent(None if attempt is None else attempt.traceparent, f"tell routing: {request.kind}"):
                if attempt is None:
                    await self._finish(request)
                elif request.kind == "offer":
                    await self._offer(request, attempt)
                else:
                    await self._say(request)
        except TRANSIENT as failure:
            if not to_retry(failure):
                raise
            log.warning("%s of attempt %s is tried again: %s", request.kind, request.attempt_id, type(failure).__name__)
        finally:
            self._at_work.discard((request.attempt_id, request.kind))

    async def _offer(self, request: RoutingRequest, attempt: Attempt) -> None:
        state = attempt.state
        if not isinstance(state, HandedOver) or state.call_id is not None or attempt.answered_at is None:
            # Ended, or routing has told of the call already, over Kafka.
            await self._finish(request)
            return
        if state.gone and request.tries == 1:
            # Hung up before routing was ever asked.
            await self._finish(request, RoutingUnreachable())
            return
        remaining = (attempt.answered_at + self._limit - self._clock.now()).total_seconds()
        answer = await self._within(remaining, attempt) if remaining > 0 else None
        match answer:
            case Accepted(call_id):
                hand_overs.add(1, {"result": "accepted"})
                hand_over_seconds.record((self._clock.now() - attempt.answered_at).total_seconds())
                await self._finish(request, RoutingHasCall(call_id))
            case Refused(reason):
                log.error("routing refuses attempt %s: %s", attempt.attempt_id, reason)
                hand_overs.add(1, {"result": "refused"})
                await self._finish(request, RoutingUnreachable())
            case Unreachable(reason):
                log.warning("routing cannot take attempt %s yet: %s", attempt.attempt_id, reason)
                await self._again(request, RETRY_SECONDS)
            case None:
                log.warning("attempt %s could not be handed over in time", attempt.attempt_id)
                hand_overs.add(1, {"result": "too_late"})
                await self._finish(request, RoutingUnreachable())

    async def _within(self, seconds: float, attempt: Attempt) -> Answer | None:
        """Routing's answer, or None when the clock says that it is too late for one."""
        asked = asyncio.create_task(self._routing.offer(attempt, seconds))
        limit = asyncio.create_task(self._clock.sleep(seconds))
        try:
            await asyncio.wait((asked, limit), return_when=asyncio.FIRST_COMPLETED)
            return asked.result() if asked.done() else None
        finally:
            asked.cancel()
            limit.cancel()
            await asyncio.gather(asked, limit, return_exceptions=True)

    async def _say(self, request: RoutingRequest) -> None:
        """The caller is gone, or is a machine."""
        assert request.call_id is not None
        say = self._routing.hang_up if request.kind == "hang_up" else self._routing.tell_machine
        answer = await say(str(request.attempt_id), request.call_id)
        if isinstance(answer, Unreachable) and request.tries < SAY_TRIES:
            await self._again(request, min(30.0, RETRY_SECONDS * 2.0 ** min(request.tries, 10)))
            return
        if not isinstance(answer, Accepted):
            log.info("%s of call %s: %s", request.kind, request.call_id, answer.reason)
        await self._finish(request)

    async def _again(self, request: RoutingRequest, seconds: float) -> None:
        async with self._database.transaction() as session:
            await routing_requests.release(session, request, seconds)
        loop = asyncio.get_running_loop()
        loop.call_later(seconds, self._woken.set)

    async def _finish(self, request: RoutingRequest, fact: RoutingHasCall | RoutingUnreachable | None = None) -> None:
        """The fact and the removal of the request, in one transaction."""
        async with self._database.transaction() as session:
            await routing_requests.remove(session, request)
            if fact is not None:
                await apply(session, [Happened(request.attempt_id, fact, self._clock.now())], self._patience)
