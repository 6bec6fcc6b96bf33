"""Routes of routing, one file per noun."""

from __future__ import annotations

from routing.api import agents, calls, commands, configuration, streams, telephony

ROUTERS = [
    configuration.router,
    calls.reading,
    calls.router,
    agents.router,
    commands.router,
    streams.router,
    telephony.router,
]
