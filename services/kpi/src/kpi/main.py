"""KPI's process: consumer, gauges, pruning, HTTP."""

from __future__ import annotations

from common.service import Runtime, Wiring, every, run

from kpi.api import ROUTERS
from kpi.config import Settings
from kpi.consumer import READS, handle
from kpi.service import counting
from kpi.service.metrics import REFRESH_SECONDS, Gauges

PRUNE_SECONDS = 60.0


async def wire(runtime: Runtime) -> Wiring:
    """The parts of the service."""
    gauges = Gauges(runtime.database, runtime.clock)

    async def prune() -> None:
        async with runtime.database.transaction() as session:
            await counting.prune(session, runtime.clock.now())

    return Wiring(
        routers=ROUTERS,
        consumers=[runtime.consumer(READS, handle)],
        tasks={
            "gauges": lambda: every(REFRESH_SECONDS, gauges.refresh),
            "forget": lambda: every(PRUNE_SECONDS, prune),
        },
    )


def main() -> None:
    """Command line."""
    run("kpi", Settings, wire)


if __name__ == "__main__":
    main()
