"""One decision under way: the pool that it changes, and the events that tell it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec
from common.events import (
    AgentStateChanged,
    CallAnswered,
    CallAssigned,
    CallEvent,
    CallOfferMissed,
    ConsultationAnswered,
    ConsultationAssigned,
    ConsultationEvent,
    ConsultationOfferMissed,
    Event,
)
from common.events.routing import AgentEvent, CallAtHand
from common.ids import FLOOR
from msgspec.structs import replace

from routing.domain.agents import (
    AfterCall,
    Agent,
    Available,
    Busy,
    Engagement,
    OnBreak,
    Ringing,
    Serving,
    Then,
)
from routing.domain.call_states import CallState, Talking
from routing.domain.calls import Call
from routing.domain.configuration import Queue
from routing.domain.pool import Pool

_OF_CONSULTATIONS: Final[dict[type[CallEvent], type[ConsultationEvent]]] = {
    CallAssigned: ConsultationAssigned,
    CallOfferMissed: ConsultationOfferMissed,
    CallAnswered: ConsultationAnswered,
}


class Fact(msgspec.Struct, frozen=True):
    """An event to publish, and the trace that it belongs to: a call's events all carry the trace of its offer."""

    event: Event
    traceparent: str | None


class Telling:
    """The pool, and the facts so far: who changes a call or an agent here says so."""

    def __init__(self, pool: Pool, traceparent: str | None) -> None:
        self.pool = pool
        self.traceparent = traceparent
        self.facts: list[Fact] = []

    def move(
        self,
        agent: Agent,
        state: Available | OnBreak | Ringing | Busy | AfterCall | Serving,
        traceparent: str | None,
    ) -> Agent:
        """The agent changes state within their shift."""
        before = agent
        agent = replace(agent, sequence=agent.sequence + 1, state=state)
        self.pool.put_agent(agent)
        call_id = call_tenant_id = None
        calls: list[CallAtHand] = []
        if isinstance(state, (Ringing, Busy, AfterCall)):
            call_id, call_tenant_id = state.call_id, state.call_tenant_id
        elif isinstance(state, Serving):
            call_id, call_tenant_id = state.foremost.call_id, state.foremost.call_tenant_id
            calls = [_at_hand(one) for one in state.calls]
        self.tell_agent(
            AgentStateChanged,
            agent,
            traceparent,
            state=agent.state_name,
            previous_state=before.state_name,
            since_previous=before.state.since,
            seconds_in_previous=seconds(before.state.since, self.pool.now),
            reason=state.reason if isinstance(state, OnBreak) else None,
            call_id=call_id,
            call_tenant_id=call_tenant_id,
            calls=calls,
        )
        return agent

    def defer(self, agent: Agent, then: Then) -> None:
        """Note what the agent wants after the call that they are in. No event: nothing has happened yet."""
        if isinstance(agent.state, Busy | AfterCall) and agent.state.then != then:
            self.pool.put_agent(replace(agent, state=replace(agent.state, then=then)))

    def queue_of(self, call: Call) -> Queue:
        """The rules of the queue that the call is in."""
        queue = self.pool.queue(call.queue_id)
        if queue is None:
            raise AssertionError(f"call {call.id} is in queue {call.queue_id}, which pool {self.pool.id} does not know")
        return queue

    def spoken(self, call_id: str, agent_id: str) -> tuple[Call, Talking] | None:
        """A customer's conversation, if it is this agent's."""
        call = self.pool.calls.get(call_id)
        if call is None or not isinstance(call.state, Talking) or call.state.agent_id != agent_id:
            return None
        return None if call.is_consultation else (call, call.state)

    def put(self, call: Call, state: CallState) -> Call:
        """The call has a new state, with one event to come."""
        call = replace(call, sequence=call.sequence + 1, state=state)
        self.pool.put_call(call)
        return call

    def publish(self, event: Event, traceparent: str | None) -> None:
        """Add an event as it is."""
        self.facts.append(Fact(event, traceparent))

    def tell(self, kind: type[CallEvent], call: Call, **more: Any) -> None:
        """Add an event of the call as it is now; of a consultation the one that says the same of it."""
        if call.consults is not None and call.is_consultation:
            of_it = _OF_CONSULTATIONS[kind]
            self.tell_consultation(
                of_it, call, **{name: more[name] for name in of_it.__struct_fields__ if name in more}
            )
            return
        queue = self.queue_of(call)
        fields: dict[str, Any] = {
            "tenant_id": call.tenant_id,
            "call_id": call.id,
            "sequence": call.sequence,
            "pool_id": self.pool.id,
            "queue_id": call.queue_id,
            "entry": call.entry,
            "channel": call.channel,
            "direction": call.direction,
            "contact_phone": call.contact_phone,
            "contact_shown": call.contact_shown,
            "service_level_seconds": queue.service_level_seconds,
            "short_abandon_seconds": queue.short_abandon_seconds,
            "time_zone": queue.time_zone,
            "occurred_at": self.pool.now,
            "offered_at": call.offered_at,
            "queued_at": call.queued_at if call.entry else None,
            "campaign_id": call.campaign_id,
            "lead_id": call.lead_id,
            "attempt_id": call.attempt_id,
            "external_id": call.external_id,
            "first_call_id": call.first_call_id,
            "first_offered_at": call.first_offered_at,
        }
        fields.update(more)
        self.publish(kind(**fields), call.traceparent)

    def tell_consultation(self, kind: type[ConsultationEvent], call: Call, **more: Any) -> None:
        """Add an event of the consultation as it is now."""
        if call.consults is None:
            raise AssertionError(f"call {call.id} is no consultation")
        event = kind(
            tenant_id=call.tenant_id,
            call_id=call.id,
            sequence=call.sequence,
            pool_id=self.pool.id,
            queue_id=call.queue_id,
            consults=call.consults.call_id,
            asked_by=call.consults.agent_id,
            contact_phone=call.contact_phone,
            occurred_at=self.pool.now,
            external_id=call.external_id,
            **more,
        )
        self.publish(event, call.traceparent)

    def tell_agent(self, kind: type[AgentEvent], agent: Agent, traceparent: str | None, **more: Any) -> None:
        """Add an event of the agent as they are now."""
        event = kind(
            tenant_id=FLOOR,
            agent_id=agent.id,
            sequence=agent.sequence,
            pool_id=self.pool.id,
            queue_ids=self.pool.queue_ids_of(agent.id),
            occurred_at=self.pool.now,
            takes=self.pool.takes_of(agent) if agent.id in self.pool.seated else None,
            **more,
        )
        self.publish(event, traceparent)


def _at_hand(one: Engagement) -> CallAtHand:
    return CallAtHand(one.call_id, one.call_tenant_id, one.channel, one.phase, one.paused)


def waited_seconds(call: Call, since: datetime, now: datetime) -> float:
    """How long the caller has waited on the line from `since`, its entry into a queue, until now."""
    waited = seconds(since, now)
    # Rounded, as differences of times in floating point are never quite zero.
    return waited if call.callback is None else max(0.0, round(waited - call.away_seconds(now), 6))


def seconds(start: datetime, end: datetime) -> float:
    """From `start` to `end`."""
    return (end - start).total_seconds()
