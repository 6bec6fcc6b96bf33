"""crm-bridge: wiring only."""

from __future__ import annotations

from dataclasses import dataclass

from common.clock import Clock, SystemClock
from common.service import Runtime, Wiring, run

from crm_bridge.api import ROUTERS
from crm_bridge.config import Settings
from crm_bridge.consumer import READS, handle
from crm_bridge.service.courier import Courier
from crm_bridge.service.secrets import Vault
from crm_bridge.service.sender import open_sender


@dataclass(frozen=True, slots=True)
class State:
    """What the routes reach through the runtime. Webhooks live in real time, however fast the service's clock runs."""

    vault: Vault
    allow_private: bool
    wall_clock: Clock


async def wire(runtime: Runtime) -> Wiring:
    """Put the parts of crm-bridge together."""
    settings: Settings = runtime.settings
    vault = Vault(settings.webhook_secret_key.get_secret_value())
    wall_clock = SystemClock()
    runtime.state = State(vault, settings.webhook_allow_private, wall_clock)

    async def carry() -> None:
        async with open_sender(
            allow_private=settings.webhook_allow_private,
            timeout_seconds=settings.webhook_timeout_seconds,
            connections=settings.webhook_concurrency,
        ) as sender:
            await Courier(runtime.database, vault, sender, wall_clock, concurrency=settings.webhook_concurrency).run()

    return Wiring(
        routers=ROUTERS,
        consumers=[runtime.consumer(READS, handle)],
        tasks={"webhooks": carry},
    )


def main() -> None:
    """Run until told to stop."""
    run("crm-bridge", Settings, wire)


if __name__ == "__main__":
    main()
