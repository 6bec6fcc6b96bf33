"""The single writer of pools: owns the pools of the partitions of `routing-inputs` that this process holds.

assigned ─▶ epoch + 1 (whoever held them cannot commit any more) ─▶ load the pools
batch    ─▶ epoch still ours? ─▶ decide ─▶ save ─▶ commit;   not committed ─▶ forget the pools, load them anew
timer    ─▶ a Tick into `routing-inputs`, behind every input that came before it: after an outage the inputs that
            waited in Kafka are decided first, and only then does time pass
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from common import envelope
from common.clock import Clock
from common.consumer import IDLE_SECONDS, Delivery, Subscription
from common.database import Database, Session
from common.errors import StaleWriter
from common.events import ContactCreated, ContactUpdated
from common.ids import FLOOR, new_id
from common.kafka import partition_of

from routing.domain import inputs
from routing.domain.pool import Pool
from routing.service.pools import settle
from routing.store import states

log = logging.getLogger(__name__)

INPUTS = Subscription(frozenset(inputs.INPUTS.values()), inputs.INPUTS)
CONTACTS = Subscription(frozenset({ContactCreated, ContactUpdated}), group="contacts")
SUBSCRIPTIONS = (INPUTS, CONTACTS)

TICK_AGAIN_SECONDS = 2.0
"""Real seconds after which a tick that had no effect yet is sent again."""


class Owner:
    """This process as a writer of pools. `name` says in the table `writers` who it is."""

    def __init__(self, name: str, database: Database, producer: AIOKafkaProducer, clock: Clock) -> None:
        self._name = name
        self._database = database
        self._producer = producer
        self._clock = clock
        self.guard = asyncio.Lock()
        """Held around each batch, commit included: the group's rebalances come in between, not in the middle."""
        self._epochs: dict[int, int] = {}
        self._pools: dict[int, dict[str, Pool]] = {}
        self._lost: dict[str, datetime] = {}
        """Pools whose memory was discarded, and since when: they are loaded by their next input, a Tick if need be."""
        self._sleeping_until: datetime | None = None
        self._sooner = asyncio.Event()

    # the consumer's side

    async def on_assigned(self, partitions: Collection[int]) -> None:
        """Become the only writer of the partitions and load their pools."""
        async with self.guard:
            self._forget()
            if partitions:
                await self._take(partitions)

    async def _take(self, partitions: Collection[int]) -> None:
        count = len(await self._producer.partitions_for(inputs.TOPIC))
        async with self._database.transaction(idle_seconds=IDLE_SECONDS) as session:
            epochs = await states.claim(session, partitions, self._name)
            homes = {pool_id: partition_of(pool_id.encode(), count) for pool_id in await states.pool_ids(session)}
            wanted = [pool_id for pool_id, partition in homes.items() if partition in epochs]
            loaded = await states.load(session, wanted)
        self._epochs = epochs
        self._pools = {partition: {} for partition in epochs}
        for pool_id, pool in loaded.items():
            self._pools[homes[pool_id]][pool_id] = pool
        self._sooner.set()
        log.info("writer of partitions %s with %d pools", sorted(epochs), len(loaded))

    async def on_revoked(self, partitions: Collection[int]) -> None:
        """Nothing to do while the group rebalances: this process stays the writer until the next one raises the
        epochs, and what it still has at hand may be decided. Without partitions it has left the group."""
        if not partitions:
            async with self.guard:
                self._forget()

    def _forget(self) -> None:
        self._epochs = {}
        self._pools = {}
        self._lost = {}

    async def handle(self, session: Session, deliveries: Sequence[Delivery], clock: Clock) -> None:
        """Decide one batch. Raises StaleWriter when another process has become the writer."""
        by_partition: dict[int, list[Delivery]] = {}
        for delivery in deliveries:
            by_partition.setdefault(delivery.partition, []).append(delivery)
        session.after_rollback(lambda: self._discard(by_partition))
        try:
            epochs = {partition: self._epochs[partition] for partition in by_partition}
        except KeyError as unheld:
            raise StaleWriter(f"partition {unheld.args[0]} is not held by this process") from None
        await states.fence(session, epochs)
        for partition, some in by_partition.items():
            touched = await settle(session, self._pools[partition], some)
            session.after_commit(partial(self._committed, [self._pools[partition][pool_id] for pool_id in touched]))

    def _discard(self, partitions: Collection[int]) -> None:
        """What was decided in memory is not saved: the next batch loads the pools anew."""
        for partition in partitions:
            for pool_id in self._pools.get(partition, {}):
                self._lost[pool_id] = self._clock.now()
                self._sooner.set()
            if partition in self._pools:
                self._pools[partition] = {}

    # timers

    def _committed(self, pools: Sequence[Pool]) -> None:
        """Wake the timers when one of the pools has something due sooner than they know."""
        for pool in pools:
            self._lost.pop(pool.id, None)
        for pool in pools:
            due = pool.next_due()
            if due is not None and (self._sleeping_until is None or due < self._sleeping_until):
                self._sooner.set()
                return

    async def run_timers(self) -> None:
        """For ever: when the first timer of the held pools is due, send its pool a Tick."""
        ticked: dict[str, tuple[datetime, float]] = {}
        while True:
            self._sooner.clear()
            now = self._clock.now()
            since = time.monotonic()
            pending: list[datetime] = []
            overdue: dict[str, tuple[datetime, float]] = {}
            for pool_id, due in self._due():
                if due > now:
                    pending.append(due)
                    continue
                before = ticked.get(pool_id)
                if before is not None and before[0] == due and since - before[1] < TICK_AGAIN_SECONDS:
                    overdue[pool_id] = before
                else:
                    overdue[pool_id] = (due, since)
            await self._tick([pool_id for pool_id, sent in overdue.items() if sent[1] == since], now)
            ticked = overdue
            self._sleeping_until = min(pending, default=None)
            await self._pause(now)

    def _due(self) -> list[tuple[str, datetime]]:
        known = [
            (pool_id, due)
            for pools in self._pools.values()
            for pool_id, pool in pools.items()
            if (due := pool.next_due()) is not None
        ]
        return [*known, *self._lost.items()]

    async def _pause(self, now: datetime) -> None:
        """Until the next timer is due or a sooner one is set, at most TICK_AGAIN_SECONDS."""
        sooner = asyncio.ensure_future(self._sooner.wait())
        waits: set[asyncio.Future[object]] = {sooner}  # type: ignore[arg-type]
        if self._sleeping_until is not None:
            seconds = (self._sleeping_until - now).total_seconds()
            waits.add(asyncio.ensure_future(self._clock.sleep(seconds)))
        try:
            await asyncio.wait(waits, timeout=TICK_AGAIN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _tick(self, pool_ids: Sequence[str], now: datetime) -> None:
        """Best effort: what is not sent now is still due the next time."""
        with suppress(KafkaError):
            for pool_id in pool_ids:
                tick = inputs.Tick(tenant_id=FLOOR, pool_id=pool_id, occurred_at=now)
                headers, value = envelope.encode(
                    tick, event_id=new_id(), source=self._database.source, time=now, traceparent=None
                )
                await self._producer.send_and_wait(inputs.TOPIC, value, key=tick.key.encode(), headers=headers)
