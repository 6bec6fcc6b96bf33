"""What the floor's operator has declared about queues and agents."""

from __future__ import annotations

from typing import Literal

import msgspec
from common.events.routing import Channel
from common.hours import Hours


class Overflow(msgspec.Struct, frozen=True):
    """A call still waiting after `after_seconds` in the queue moves, once, to `queue_id` of the same pool."""

    queue_id: str
    after_seconds: float


RecordingRule = Literal["never", "with_consent", "always"]
"""always: from the answer on (the caller was told before); with_consent: once the caller has said yes."""


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """Rules of one queue. `version` grows with every change: an older one never replaces a newer one."""

    id: str
    tenant_id: str
    time_zone: str
    channel: Channel
    required_skills: tuple[str, ...]
    priority: int
    """0–9; the larger is served first."""
    ageing_seconds_per_priority: float
    """Waiting this long is worth one step of priority."""
    service_level_seconds: float
    short_abandon_seconds: float
    offer_timeout_seconds: float
    wrap_up_seconds: float
    """Limit of the wrap-up; 0 = none at all."""
    max_wait_seconds: float | None
    overflow: Overflow | None
    version: int
    recording: RecordingRule = "never"
    hours: Hours | None = None
    """When it takes calls from outside; None: always. Calls that the floor dials follow their campaign's hours."""


class AgentProfile(msgspec.Struct, frozen=True, kw_only=True):
    """An agent as declared. `skills`: level 1–10 by skill; a skill that is not named is not held."""

    id: str
    skills: dict[str, int]
    version: int
