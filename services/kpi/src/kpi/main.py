"""KPI's process: consumer, gauges, pruning, HTTP."""

from __future__ import annotations

import asyncio
import logging

from common.database import TRANSIENT, is_transient
from common.service import Runtime, Wiring, run

from kpi.api import routers
from kpi.config import Settings
from kpi.consumer import HANDLED, TOPICS, handle
from kpi.service import counting
from kpi.service.metrics import Gauges

log = logging.getLogger(__name__)

PRUNE_SECONDS = 60.0


async def wire(runtime: Runtime) -> Wiring:
    """The parts of the service."""
    gauges = Gauges(runtime.database, runtime.clock)

    async def prune() -> None:
        while True:
            try:
                async with runtime.database.transaction() as session:
                    await counting.prune(session, runtime.clock.now())
            except TRANSIENT as failure:
                if not is_transient(failure):
                    raise
                log.warning("pruning has to wait: %s", type(failure).__name__)
            await asyncio.sleep(PRUNE_SECONDS)

    return Wiring(
        routers=routers,
        consumers=[runtime.consumer(topics=TOPICS, handle=handle, handles=HANDLED)],
        tasks={"gauges": gauges.run, "forget": prune},
    )


def main() -> None:
    """Command line."""
    run("kpi", Settings, wire)


if __name__ == "__main__":
    main()
