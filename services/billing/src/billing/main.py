"""Billing: wiring only."""

from __future__ import annotations

from common import telemetry
from common.service import Runtime, Wiring, every, run
from opentelemetry.metrics import CallbackOptions, Observation

from billing.api import ROUTERS
from billing.config import Settings
from billing.consumer import READS
from billing.service.rating import take_deliveries
from billing.store.ledger import unrated_counts


async def wire(runtime: Runtime) -> Wiring:
    """Put the parts of billing together."""
    unrated: dict[str, int] = {}

    def observe(_: CallbackOptions) -> list[Observation]:
        return [Observation(count, {"tenant": tenant_id}) for tenant_id, count in unrated.items()]

    async def measure() -> None:
        async with runtime.database.transaction() as session:
            counts = await unrated_counts(session)
        for tenant_id in unrated.keys() | counts.keys():
            unrated[tenant_id] = counts.get(tenant_id, 0)

    telemetry.meter.create_observable_gauge(
        "plateau_billing_unrated_closings",
        callbacks=[observe],
        description="Closed cases that no tariff covers",
    )
    return Wiring(
        routers=ROUTERS,
        consumers=[runtime.consumer(READS, take_deliveries)],
        tasks={"figures": lambda: every(runtime.settings.figures_seconds, measure)},
    )


def main() -> None:
    """Run until told to stop."""
    run("billing", Settings, wire)


if __name__ == "__main__":
    main()
