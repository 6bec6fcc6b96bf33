"""What holds of every log of a pool's events, whatever happened."""

from __future__ import annotations

from common.events import (
    CallAbandoned,
    CallAnnounced,
    CallArrived,
    CallbackDialled,
    CallEvent,
    CallLeftInFlow,
    CallOffered,
    CallQueued,
    CallRedirected,
    CallWrappedUp,
    ConsultationEnded,
    ConsultationEvent,
    Event,
    FlowEvent,
)
from common.events.routing import AgentEvent
from plateau.checker.agents import check_agents, check_engagements, taken_calls
from plateau.checker.calls import check_calls

ENDINGS = CallAbandoned | CallRedirected | CallWrappedUp | CallLeftInFlow | ConsultationEnded


def check_histories(events: list[Event]) -> None:
    """Each call's events are numbered 1, 2, 3 … and it ends in exactly one way; so does each consultation, unless it
    becomes a call."""
    histories: dict[str, list[CallEvent | FlowEvent | ConsultationEvent]] = {}
    for event in events:
        if isinstance(event, CallEvent | FlowEvent | ConsultationEvent):
            histories.setdefault(event.call_id, []).append(event)
    for history in histories.values():
        assert [event.sequence for event in history] == list(range(1, len(history) + 1))
        called = [event for event in history if isinstance(event, CallEvent | FlowEvent)]
        endings = [event for event in history if isinstance(event, ENDINGS)]
        assert endings == history[-1:]
        if isinstance(history[0], ConsultationEvent):
            assert isinstance(history[-1], ConsultationEnded) is (not called)
        if called:
            assert isinstance(called[0], CallOffered | CallArrived)
            assert history[-len(called) :] == called, "once a call, it is a consultation no more"
        entered = [event.queue_id for event in called if isinstance(event, CallQueued)]
        assert len(set(entered)) == len(entered), "a call enters a queue once"
        dials = [event.dial_id for event in called if isinstance(event, CallbackDialled)]
        assert len(set(dials)) == len(dials), "an attempt is dialled once"
        announced = [
            (event.entry, event.message, event.occurred_at) for event in called if isinstance(event, CallAnnounced)
        ]
        assert len(set(announced)) == len(announced), "each queue that the call enters begins its own schedule"


def check_by_the_log(events: list[Event]) -> None:
    """What the checker of the event log promises everybody: it knows nothing of pools."""
    calls = [event for event in events if isinstance(event, CallEvent | FlowEvent | ConsultationEvent)]
    spoken = [event for event in calls if not isinstance(event, FlowEvent)]
    agents = [event for event in events if isinstance(event, AgentEvent)]
    assert check_calls(calls, complete=True) == []
    assert check_agents(agents, taken_calls(spoken)) == []
    assert check_engagements(spoken, agents) == []
