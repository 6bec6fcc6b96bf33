"""Simulations are worked at one after the other, in a process of their own: the pools' owner is not kept waiting."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Final
from uuid import UUID

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from common.database import TRANSIENT, Database
from common.kafka import Kafka
from common.stops import to_retry

from routing.domain.inputs import AnyInput
from routing.domain.simulation import Simulated, Task, simulate
from routing.service.recorded_inputs import recorded
from routing.store import simulations as store

log = logging.getLogger(__name__)

LEAD_IN: Final = timedelta(hours=12)
"""Read from so long before the window: whoever works at its beginning has logged in since."""
MOST_INPUTS: Final = 2_000_000
LOOK_SECONDS: Final = 5.0
"""Real seconds between two looks for simulations that another process was asked for, or has left behind."""
HEARTBEAT_SECONDS: Final = 2.0
READING: Final = 0.2
"""The part of the progress that is the reading."""


class Simulations:
    """This process's worker. `wake`: somebody has asked for a simulation."""

    def __init__(self, database: Database, kafka: Kafka, producer: AIOKafkaProducer) -> None:
        self._database = database
        self._kafka = kafka
        self._producer = producer
        self.wake = asyncio.Event()

    async def run(self) -> None:
        """For ever: the next one that nobody works at. What a failing database or broker interrupts is begun anew."""
        while True:
            self.wake.clear()
            try:
                async with self._database.transaction() as session:
                    taken = await store.take(session)
                if taken is not None:
                    await self._work(*taken)
                    continue
            except (*TRANSIENT, KafkaError) as failure:
                if not to_retry(failure):
                    raise
                log.warning("simulations wait: %s: %s", type(failure).__name__, failure)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self.wake.wait()

    async def _work(self, simulation_id: UUID, task: Task) -> None:
        given: list[AnyInput] = []
        outcome: Simulated | str | None = None
        async for part in recorded(self._kafka, self._producer, task.pool_id, task.start - LEAD_IN, task.end):
            given += part
            if len(given) > MOST_INPUTS:
                outcome = f"more than {MOST_INPUTS} inputs came in that time: choose a shorter one"
                break
            await self._note(simulation_id, READING / 2)
        if outcome is None:
            outcome = await self._simulate(simulation_id, task, given)
        async with self._database.transaction() as session:
            await store.end(session, simulation_id, outcome)

    async def _note(self, simulation_id: UUID, progress: float) -> None:
        async with self._database.transaction() as session:
            await store.note_progress(session, simulation_id, progress)

    async def _simulate(self, simulation_id: UUID, task: Task, given: Sequence[AnyInput]) -> Simulated | str:
        """In another process, which ends with this one."""
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        process = multiprocessing.get_context("spawn").Process(target=_process, args=(theirs,), daemon=True)
        await asyncio.to_thread(process.start)
        theirs.close()
        progress = READING
        try:
            await asyncio.to_thread(ours.send, (task, list(given)))
            while True:
                if await asyncio.to_thread(ours.poll, HEARTBEAT_SECONDS):
                    said: float | Simulated = await asyncio.to_thread(ours.recv)
                    if isinstance(said, Simulated):
                        return said
                    progress = READING + (1 - READING) * said
                await self._note(simulation_id, progress)
        except (EOFError, OSError) as broken:
            log.error("simulation %s: its process has ended: %s", simulation_id, type(broken).__name__)
            return "its process has ended before it was done"
        finally:
            process.kill()
            ours.close()


def _process(connection: Connection) -> None:
    task, given = connection.recv()
    for said in simulate(task, given):
        connection.send(said)
