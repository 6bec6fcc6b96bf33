"""Dialer: wiring only."""

from __future__ import annotations

from datetime import timedelta

from common.service import Runtime, Wiring, every, run

from dialer.api import ROUTERS
from dialer.config import Settings
from dialer.consumer import READS, handler
from dialer.domain.attempt import Patience
from dialer.service.hand_over import HandOvers
from dialer.service.routing import Routing, token_of
from dialer.service.state import State
from dialer.service.tasks import PRUNE_SECONDS, listen_for_ever, pace_for_ever, prune


async def wire(runtime: Runtime) -> Wiring:
    """Put the parts of dialer together."""
    settings: Settings = runtime.settings
    patience = Patience(
        ring=timedelta(seconds=settings.ring_grace_seconds), routing=timedelta(seconds=settings.unresolved_seconds)
    )
    state = State(patience, settings.import_max_bytes)
    runtime.state = state
    database, clock = runtime.database, runtime.clock
    token = token_of(
        None if settings.routing_token is None else settings.routing_token.get_secret_value(),
        settings.routing_token_file,
    )

    async def hand_over() -> None:
        async with Routing(settings.routing_url, token) as routing:
            await HandOvers(
                database,
                clock,
                routing,
                state.routing,
                limit_seconds=settings.hand_over_seconds,
                patience=patience,
            ).run()

    return Wiring(
        routers=ROUTERS,
        consumers=[runtime.consumer(READS, handler(patience))],
        tasks={
            "pacing": lambda: pace_for_ever(database, clock, state, settings.pace_seconds),
            "hand-over": hand_over,
            "listen": lambda: listen_for_ever(database, state),
            "prune dials and numbers": lambda: every(PRUNE_SECONDS, lambda: prune(database, clock)),
        },
    )


def main() -> None:
    """Run until told to stop."""
    run("dialer", Settings, wire)


if __name__ == "__main__":
    main()
