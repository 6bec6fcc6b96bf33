"""Routes of routing, one file per noun."""

from __future__ import annotations

from routing.api import (
    agents,
    assistance,
    callbacks,
    calls,
    commands,
    configuration,
    conversation,
    entry_points,
    explain,
    facts,
    history,
    hours,
    live,
    operating,
    shares,
    simulations,
    sites,
    streams,
    telephony,
)

ROUTERS = [
    configuration.router,
    operating.router,
    simulations.router,
    entry_points.router,
    history.router,
    hours.router,
    sites.router,
    live.router,
    shares.router,
    calls.reading,
    explain.router,
    calls.router,
    callbacks.router,
    conversation.router,
    assistance.router,
    agents.router,
    commands.router,
    streams.router,
    facts.router,
    telephony.router,
]
