"""What dialer makes of routing's events, a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from common.clock import Clock
from common.consumer import BatchHandler, Delivery, Subscription
from common.database import Session
from common.events import (
    AgentLoggedIn,
    AgentLoggedOut,
    AgentStateChanged,
    CallAbandoned,
    CallAnswered,
    CallArrived,
    CallAssigned,
    CallbackFailed,
    CallbackRequested,
    CallEnded,
    CallEvent,
    CallLeftInFlow,
    CallOffered,
    CallOfferMissed,
    CallQueued,
    CallRedirected,
    CallWrappedUp,
    FlowEvent,
    VoicemailLeft,
)
from common.events.routing import AgentEvent, AgentState, Channel

from dialer.domain.attempt import (
    AgentAnswered,
    AgentAssigned,
    AgentMissed,
    CallDone,
    CallLost,
    Patience,
    RoutingFact,
    RoutingHasCall,
)
from dialer.service.attempts import Happened, apply
from dialer.store import floor, numbers
from dialer.store.floor import KnownAgent

READS = Subscription(
    frozenset(
        {
            AgentLoggedIn,
            AgentStateChanged,
            AgentLoggedOut,
            CallArrived,
            CallLeftInFlow,
            VoicemailLeft,
            CallOffered,
            CallQueued,
            CallAssigned,
            CallOfferMissed,
            CallAnswered,
            CallAbandoned,
            CallRedirected,
            CallEnded,
            CallWrappedUp,
            CallbackRequested,
            CallbackFailed,
        }
    )
)
SUBSCRIPTIONS = (READS,)


@dataclass(slots=True)
class _Batch:
    """What a batch comes to: only the last word on each agent and call is written."""

    agents: dict[str, KnownAgent] = field(default_factory=dict)
    waiting: dict[str, str | None] = field(default_factory=dict)
    released: list[str] = field(default_factory=list)
    given: dict[str, tuple[str, Channel]] = field(default_factory=dict)
    """Agent and channel by call."""
    happened: list[Happened] = field(default_factory=list)
    people: numbers.Calls = field(default_factory=numbers.Calls)
    """Who is in a call with a tenant, by their numbers."""

    def add(self, delivery: Delivery) -> None:
        event = delivery.event
        match event:
            case AgentLoggedIn() | AgentStateChanged():
                self._agent(event, event.state)
            case AgentLoggedOut():
                self._agent(event, "logged_out")
            case CallArrived():
                self._speaks(event, event.contact_phone)
            case CallLeftInFlow() | VoicemailLeft():
                self._left(event)
            case CallOffered() | CallQueued():
                if isinstance(event, CallQueued):
                    self._waits(event)
                else:
                    self._speaks(event, event.contact_phone)
                self._tell(delivery, event, RoutingHasCall(event.call_id))
            case CallAssigned():
                self._given(event, event.agent_id)
                self._tell(delivery, event, AgentAssigned(event.call_id))
            case CallOfferMissed():
                self._released(event)
                self._waits(event)
                self._tell(delivery, event, AgentMissed(event.call_id))
            case CallAnswered():
                self._given(event, event.agent_id)
                self._tell(delivery, event, AgentAnswered(event.call_id))
            case CallbackRequested():
                self._speaks(event, event.phone)
            case CallbackFailed():
                self._released(event)
                self._waits(event)
            case CallAbandoned():
                self._released(event)
                if event.machine:
                    self.people.void.add(event.call_id)
                self._left(event)
                self.waiting[event.call_id] = None
                self._tell(delivery, event, CallLost(event.call_id, hung_up=event.reason == "hung_up"))
            case CallRedirected():
                self._left(event)
                self.waiting[event.call_id] = None
            case CallEnded():
                self._left(event)
            case CallWrappedUp():
                self.people.over.setdefault(event.call_id, event.ended_at)
                self._released(event)
                self._tell(delivery, event, CallDone(event.call_id, event.disposition))
            case _:
                raise AssertionError(f"{event.TYPE} is not in READS")

    def _agent(self, event: AgentEvent, state: AgentState) -> None:
        known = self.agents.get(event.agent_id)
        if known is not None and known.sequence > event.sequence:
            return
        if event.takes is not None and state != "logged_out":
            # What counts here is whether they could be offered an outbound call, which is spoken.
            state = "available" if "voice" in event.takes else "busy" if state == "available" else state
        self.agents[event.agent_id] = KnownAgent(
            event.pool_id, event.queue_ids, state, event.sequence, event.takes is not None
        )

    def _waits(self, event: CallEvent) -> None:
        # Dialer's own calls count as dials in flight until an agent is assigned; not a second time as waiting.
        if event.attempt_id is None:
            self.waiting[event.call_id] = event.queue_id

    def _speaks(self, event: CallEvent | FlowEvent, phone: str) -> None:
        if phone and (isinstance(event, FlowEvent) or event.channel == "voice"):
            self.people.begun.setdefault((event.call_id, phone), (event.tenant_id, event.occurred_at))

    def _left(self, event: CallEvent | FlowEvent) -> None:
        self.people.over.setdefault(event.call_id, event.occurred_at)

    def _given(self, event: CallEvent, agent_id: str) -> None:
        self.waiting[event.call_id] = None
        self.given[event.call_id] = (agent_id, event.channel)

    def _released(self, event: CallEvent) -> None:
        self.released.append(event.call_id)
        self.given.pop(event.call_id, None)

    def _tell(self, delivery: Delivery, event: CallEvent, fact: RoutingFact) -> None:
        attempt_id = _uuid(event.attempt_id)
        if attempt_id is not None:
            self.happened.append(Happened(attempt_id, fact, event.occurred_at, delivery.traceparent))


def handler(patience: Patience) -> BatchHandler:
    """The handler of a dialer whose attempts wait for facts with this patience."""

    async def handle(session: Session, deliveries: Sequence[Delivery], clock: Clock) -> None:
        batch = _Batch()
        for delivery in deliveries:
            batch.add(delivery)
        if batch.agents:
            await floor.save_agents(session, batch.agents)
        await floor.save_engagements(session, batch.released, batch.given)
        await numbers.save_calls(session, batch.people)
        if batch.waiting:
            await floor.save_waiting(session, batch.waiting)
        if batch.happened:
            await apply(session, batch.happened, patience)

    return handle


def _uuid(text: str | None) -> UUID | None:
    """Another dialer of the floor may name its attempts as it likes: those are not ours."""
    try:
        return None if text is None else UUID(text)
    except ValueError:
        return None
