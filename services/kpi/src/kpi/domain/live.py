"""What is the case now: the newest known state of each call and of each agent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from common.events.routing import AgentState

LiveCallState = Literal["entering", "waiting", "ringing", "held_place", "talking", "wrap_up", "done"]
"""entering: between two queues or before the first; ringing: still waiting, while one agent is asked; held_place: the
caller has hung up and is to be called back: nobody waits on the line."""

WAITING: tuple[LiveCallState, ...] = ("waiting", "ringing")
AGENT_STATES: tuple[AgentState, ...] = ("available", "offered", "busy", "wrap_up", "break", "logged_out")

SERVICE_LEVEL_WINDOW = timedelta(minutes=30)
MINUTES_KEPT = timedelta(hours=2)
"""How long the counts per minute are kept, for the sliding window."""
FORGOTTEN_AFTER = timedelta(hours=24)
"""An event as old as this no longer changes the live state: so a redriven one cannot bring a finished call back after
its row, kept for `FINISHED_KEPT`, is gone."""
FINISHED_KEPT = FORGOTTEN_AFTER + timedelta(hours=1)
"""The hour more is for replicas whose clocks differ."""


@dataclass(frozen=True, slots=True)
class LiveCall:
    """The newest state of a call."""

    call_id: str
    sequence: int
    tenant_id: str
    queue_id: str
    state: LiveCallState
    offered_at: datetime
    queued_at: datetime | None
    service_level_ms: int
    occurred_at: datetime
    handed_on: bool
    """By an agent: not the call by which its caller came."""


@dataclass(frozen=True, slots=True)
class LiveAgent:
    """The newest state of an agent."""

    agent_id: str
    sequence: int
    tenant_id: str
    pool_id: str
    queue_ids: tuple[str, ...]
    state: AgentState
    since: datetime
