"""Billing: wiring only."""

from __future__ import annotations

import asyncio
import logging

from common import telemetry
from common.database import TRANSIENT
from common.service import Runtime, Wiring, run
from opentelemetry.metrics import CallbackOptions, Observation

from billing.api import ROUTERS
from billing.config import Settings
from billing.consumer import HANDLER, HANDLES, TOPICS
from billing.store.ledger import unrated_counts

log = logging.getLogger(__name__)


async def wire(runtime: Runtime) -> Wiring:
    """Put the parts of billing together."""
    unrated: dict[str, int] = {}

    def observe(_: CallbackOptions) -> list[Observation]:
        return [Observation(count, {"tenant": tenant_id}) for tenant_id, count in unrated.items()]

    async def measure() -> None:
        while True:
            try:
                async with runtime.database.transaction() as session:
                    counts = await unrated_counts(session)
            except TRANSIENT as failure:
                log.warning("the count of unrated closings cannot be read: %s", type(failure).__name__)
            else:
                for tenant_id in unrated.keys() | counts.keys():
                    unrated[tenant_id] = counts.get(tenant_id, 0)
            await asyncio.sleep(runtime.settings.figures_seconds)

    telemetry.meter.create_observable_gauge(
        "plateau_billing_unrated_closings",
        callbacks=[observe],
        description="Closed cases that no tariff covers",
    )
    return Wiring(
        routers=ROUTERS,
        consumers=[runtime.consumer(topics=TOPICS, handle=HANDLER, handles=HANDLES)],
        tasks={"figures": measure},
    )


def main() -> None:
    """Run until told to stop."""
    run("billing", Settings, wire)


if __name__ == "__main__":
    main()
