"""A small floor for the tests of routing's decisions: short words instead of long constructors."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from common.events import CallEvent, Event
from routing.domain import inputs
from routing.domain.agents import Agent
from routing.domain.calls import Call
from routing.domain.configuration import AgentProfile, Overflow, Queue
from routing.domain.decisions import Decision, decide
from routing.domain.pool import Pool

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TENANT = "kettle"

E = TypeVar("E", bound=Event)


def at(seconds: float) -> datetime:
    """That many seconds after the start."""
    return START + timedelta(seconds=seconds)


def queue(queue_id: str, *skills: str, overflow: tuple[str, float] | None = None, **changes: Any) -> Queue:
    """A queue with plain rules."""
    rules: dict[str, Any] = {
        "tenant_id": TENANT,
        "time_zone": "Europe/Paris",
        "channel": "voice",
        "priority": 5,
        "ageing_seconds_per_priority": 60.0,
        "service_level_seconds": 20.0,
        "short_abandon_seconds": 5.0,
        "offer_timeout_seconds": 20.0,
        "wrap_up_seconds": 30.0,
        "max_wait_seconds": None,
        "version": 1,
        **changes,
    }
    return Queue(id=queue_id, required_skills=skills, overflow=Overflow(*overflow) if overflow else None, **rules)


def profile(agent_id: str, *skills: str, version: int = 1, **levels: int) -> AgentProfile:
    """An agent who has these skills: at level 5, or at the level given."""
    return AgentProfile(id=agent_id, skills={**dict.fromkeys(skills, 5), **levels}, version=version)


class Floor:
    """A pool, and inputs for it at a time in seconds from the start. `events` and `given` keep all that happened."""

    def __init__(self, *rules: Queue | AgentProfile) -> None:
        self.pool = Pool("main", START)
        self.events: list[Event] = []
        self.given: list[tuple[inputs.AnyInput, str | None]] = []
        self.decision = Decision([])
        for rule in rules:
            if isinstance(rule, Queue):
                self.give(inputs.ConfigureQueue, 0, queue=rule)
            else:
                self.give(inputs.ConfigureAgent, 0, agent=rule)

    def give(self, kind: type[Any], seconds: float, traceparent: str | None = None, /, **fields: Any) -> list[Event]:
        """Decide one input; returns its events."""
        given = kind(tenant_id=TENANT, pool_id="main", occurred_at=at(seconds), **fields)
        self.given.append((given, traceparent))
        self.decision = decide(self.pool, given, traceparent)
        new = [fact.event for fact in self.decision.facts]
        self.events += new
        return new

    def call(
        self, seconds: float, call_id: str, queue_id: str, *, trace: str | None = None, **more: Any
    ) -> list[Event]:
        fields: dict[str, Any] = {"contact_phone": "+33639980001", "channel": "voice", "direction": "inbound", **more}
        return self.give(inputs.OfferCall, seconds, trace, call_id=call_id, queue_id=queue_id, **fields)

    def log_in(self, seconds: float, *agent_ids: str) -> list[Event]:
        return [event for agent_id in agent_ids for event in self.give(inputs.LogIn, seconds, agent_id=agent_id)]

    def log_out(self, seconds: float, agent_id: str) -> list[Event]:
        return self.give(inputs.LogOut, seconds, agent_id=agent_id)

    def set_state(self, seconds: float, agent_id: str, state: str, reason: str | None = None) -> list[Event]:
        return self.give(inputs.SetState, seconds, agent_id=agent_id, state=state, reason=reason)

    def accept(self, seconds: float, call_id: str, agent_id: str) -> list[Event]:
        return self.give(inputs.Accept, seconds, call_id=call_id, agent_id=agent_id)

    def decline(self, seconds: float, call_id: str, agent_id: str) -> list[Event]:
        return self.give(inputs.Decline, seconds, call_id=call_id, agent_id=agent_id)

    def hang_up(self, seconds: float, call_id: str, agent_id: str | None = None) -> list[Event]:
        return self.give(inputs.HangUp, seconds, call_id=call_id, agent_id=agent_id)

    def wrap_up(self, seconds: float, call_id: str, agent_id: str, disposition: str | None = "solved") -> list[Event]:
        return self.give(inputs.WrapUp, seconds, call_id=call_id, agent_id=agent_id, disposition=disposition)

    def tick(self, seconds: float) -> list[Event]:
        return self.give(inputs.Tick, seconds)

    def known(self, call_id: str) -> Call:
        """The call, also when it is over."""
        return self.pool.changed_calls[call_id]

    def agent(self, agent_id: str) -> Agent:
        return self.pool.agents[agent_id]


def only(events: Sequence[Event], kind: type[E]) -> E:
    """The one event of this kind."""
    (event,) = [event for event in events if isinstance(event, kind)]
    return event


def names(events: Sequence[Event]) -> list[str]:
    """Their types without version: `call.queued`; for an agent with the new state."""
    result = []
    for event in events:
        name = event.TYPE.removesuffix(".v1")
        state = getattr(event, "state", None)
        result.append(f"{name}:{state}" if state and not isinstance(event, CallEvent) else name)
    return result
