"""Routing: wiring only."""

from __future__ import annotations

import os
import socket
from datetime import timedelta

from common.service import Runtime, Wiring, every, run

from routing.api import ROUTERS
from routing.api.state import Directory, Sender, State
from routing.api.streams import Streams
from routing.config import Settings
from routing.consumer import CONTACTS, INPUTS, Owner
from routing.service import contacts
from routing.service.simulations import Simulations
from routing.store import simulations as simulated
from routing.store import states


async def wire(runtime: Runtime) -> Wiring:
    """Put the parts of routing together."""
    settings: Settings = runtime.settings
    if runtime.producer is None:
        raise RuntimeError("routing needs a producer")
    streams = Streams(
        runtime.kafka, backlog=settings.stream_backlog, heartbeat_seconds=settings.stream_heartbeat_seconds
    )
    sender = Sender(runtime.producer, runtime.clock, runtime.name)
    simulations = Simulations(runtime.database, runtime.kafka, runtime.producer)
    runtime.state = State(Directory(runtime.database), sender, streams, simulations.wake)
    owner = Owner(f"{socket.gethostname()}:{os.getpid()}", runtime.database, runtime.producer, runtime.clock)
    consumer = runtime.consumer(
        INPUTS,
        owner.handle,
        guard=owner.guard,
        on_assigned=owner.on_assigned,
        on_revoked=owner.on_revoked,
    )

    contact_consumer = runtime.consumer(CONTACTS, contacts.keep)

    async def forget() -> None:
        async with runtime.database.transaction() as session:
            await states.forget(session, runtime.clock.now() - timedelta(days=settings.call_days))
            await simulated.forget(session)

    return Wiring(
        routers=ROUTERS,
        consumers=[consumer, contact_consumer],
        tasks={
            "timers": owner.run_timers,
            "streams": streams.run,
            "simulations": simulations.run,
            "forget": lambda: every(3600, forget),
        },
    )


def main() -> None:
    """Run until told to stop."""
    run("routing", Settings, wire)


if __name__ == "__main__":
    main()
