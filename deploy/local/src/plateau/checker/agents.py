"""Agents: each has one unbroken history of states, which says the same as the histories of their calls."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from common.events import (
    AgentLoggedIn,
    AgentLoggedOut,
    AgentStateChanged,
    CallAbandoned,
    CallAnswered,
    CallAssigned,
    CallbackDialled,
    CallbackFailed,
    CallEnded,
    CallEvent,
    CallQueued,
    ConsultationAnswered,
    ConsultationAssigned,
    ConsultationEnded,
    ConsultationEvent,
)
from common.events.routing import AgentEvent, CallAtHand, Channel

_NEXT: Final[dict[str, frozenset[str]]] = {
    "available": frozenset({"available", "offered", "break", "logged_out"}),
    "offered": frozenset({"busy", "available", "break", "logged_out"}),
    "busy": frozenset({"wrap_up", "available", "break", "logged_out"}),
    "wrap_up": frozenset({"available", "break", "logged_out"}),
    "break": frozenset({"available", "break", "logged_out"}),
}
"""Who is available tells it anew when a queue that they may serve comes from another pool or goes there."""
_TAKEN: Final = frozenset({("available", "busy"), ("break", "busy")})
"""A supervisor takes a call over, without an offer."""
_WITH_CALL: Final = frozenset({"offered", "busy", "wrap_up"})
_SAME_AS: Final[dict[type[CallEvent | ConsultationEvent], str]] = {
    CallAssigned: "offered",
    CallEnded: "wrap_up",
    ConsultationAssigned: "offered",
    ConsultationAnswered: "busy",
}
"""The state that an agent enters with each of these events of a call."""

_STEPS: Final = frozenset(
    {("offered", "offered"), ("offered", "busy"), ("busy", "busy"), ("busy", "wrap_up"), ("wrap_up", "wrap_up")}
)
"""How a call may go on from one change of its agent to the next."""

Held = dict[str, CallAtHand]
"""The calls of an agent at a moment, by id."""
Engagement = tuple[str, str, str, datetime]
"""State, agent, call, since when."""


def taken_calls(calls: Iterable[CallEvent | ConsultationEvent]) -> set[str]:
    """The calls that go on from others with an agent who speaks already."""
    return {event.call_id for event in calls if isinstance(event, CallQueued) and event.taken_by is not None}


def check_agents(events: Iterable[AgentEvent], taken: Collection[str] = ()) -> list[str]:
    """Violations of each agent's own history. `taken`: the calls that may come to their agent without an offer."""
    of_agent: dict[str, list[AgentEvent]] = defaultdict(list)
    for event in events:
        of_agent[event.agent_id].append(event)
    return [one for agent_id, history in of_agent.items() for one in _walk(agent_id, history, taken)]


def _walk(agent_id: str, history: Sequence[AgentEvent], taken: Collection[str]) -> list[str]:
    found: list[str] = []

    def say(what: str) -> None:
        found.append(f"agent {agent_id}: {what}")

    numbers = [event.sequence for event in history]
    twice = sorted(number for number, times in Counter(numbers).items() if times > 1)
    missing = sorted(set(range(1, max(numbers) + 1)) - set(numbers))
    if twice:
        say(f"forked: two different events have sequence {twice}")
    if missing:
        say(f"has a gap: sequence {missing} is missing")
    if not missing and numbers != sorted(numbers):
        say(f"is out of order in the log: {numbers}")
    state, since, call_id = "logged_out", None, None
    held: Held = {}
    takes: list[Channel] | None = None
    for event in sorted(history, key=lambda one: one.sequence):
        if isinstance(event, AgentLoggedIn):
            if state != "logged_out":
                say(f"logged in (sequence {event.sequence}) while {state}")
            state, since, call_id, held, takes = event.state, event.occurred_at, None, {}, event.takes
            continue
        if not isinstance(event, AgentStateChanged | AgentLoggedOut):
            continue
        if event.previous_state != state:
            say(f"was {state} but sequence {event.sequence} says {event.previous_state}")
        new = event.state if isinstance(event, AgentStateChanged) else "logged_out"
        now_held = _held(event)
        several = bool(isinstance(event, AgentStateChanged) and event.calls) or len(held) > 1
        if several or takes is not None or event.takes is not None:
            found += [
                f"agent {agent_id}: {one} (sequence {event.sequence})" for one in _beside(held, takes, event, taken)
            ]
        elif new not in _NEXT.get(event.previous_state, frozenset()) and not (
            (state, new) in _TAKEN and next(iter(now_held), "") in taken
        ):
            say(f"went from {event.previous_state} to {new} (sequence {event.sequence})")
        if since is not None and event.since_previous != since:
            say(f"{event.previous_state} began at {since} but sequence {event.sequence} says {event.since_previous}")
        spent = (event.occurred_at - event.since_previous).total_seconds()
        if spent < 0 or abs(spent - event.seconds_in_previous) > 0.001:
            say(f"seconds_in_previous of sequence {event.sequence} is {event.seconds_in_previous}, not {spent}")
        now_with = event.call_id if isinstance(event, AgentStateChanged) else None
        if (now_with is not None) != (new in _WITH_CALL):
            say(f"is {new} with call {now_with} (sequence {event.sequence})")
        elif now_with is not None and call_id is not None and now_with != call_id and not several:
            say(f"went from call {call_id} to call {now_with} without a pause (sequence {event.sequence})")
        state, since, call_id, held, takes = new, event.occurred_at, now_with, now_held, event.takes
    return found


def _held(event: AgentEvent) -> Held:
    """The calls that the agent has after the event."""
    if not isinstance(event, AgentStateChanged):
        return {}
    if event.calls:
        return {one.call_id: one for one in event.calls}
    if event.call_id is None or event.state not in _WITH_CALL:
        return {}
    single = CallAtHand(event.call_id, event.call_tenant_id or "", "voice", event.state)  # type: ignore[arg-type]
    return {event.call_id: single}


def _beside(before: Held, takes: list[Channel] | None, event: AgentEvent, taken: Collection[str]) -> Iterator[str]:
    """What cannot be in a change of an agent who takes several calls: `before`, the calls until then, and the channels
    of which they said that they could take one more."""
    after = _held(event)
    if isinstance(event, AgentStateChanged) and event.calls:
        if sum(one.channel == "voice" for one in event.calls) > 1:
            yield f"has two voice calls: {', '.join(after)}"
        named = after.get(event.call_id or "")
        if named is None or named.paused or named.state != event.state:
            yield f"is {event.state} by call {event.call_id}, which is {named}"
    for call_id, one in after.items():
        was = before.get(call_id)
        if was is None and one.state == "busy" and call_id in taken:
            continue
        if was is None and (one.state != "offered" or (takes is not None and one.channel not in takes)):
            yield f"has call {call_id}, {one.state}, but took no more of {one.channel}"
        elif was is not None and (was.state, one.state) not in _STEPS:
            yield f"went from {was.state} to {one.state} with call {call_id}"
    for call_id, one in before.items():
        # Of voice the calls' own histories tell it: a customer who is called back may not be reached.
        if call_id not in after and one.state == "busy" and one.channel != "voice":
            yield f"lost call {call_id} while busy"


def _told_by(calls: Sequence[CallEvent | ConsultationEvent]) -> Iterator[Engagement]:
    """What each event of a call says of its agent, who is busy with a callback from its dial on."""
    dials_for: dict[str, str | None] = {}
    spoken = {event.call_id for event in calls if isinstance(event, ConsultationAnswered)}
    for event in sorted(calls, key=lambda one: (one.call_id, one.sequence)):
        waiting = dials_for.get(event.call_id)
        match event:
            case CallAssigned() | CallEnded() | ConsultationAssigned() | ConsultationAnswered():
                yield _SAME_AS[type(event)], event.agent_id, event.call_id, event.occurred_at
            case CallbackDialled(agent_id=str(agent_id)):
                dials_for[event.call_id] = agent_id
                yield "busy", agent_id, event.call_id, event.occurred_at
            case ConsultationEnded(agent_id=str(agent_id)) if event.call_id in spoken:
                yield "let off", agent_id, event.call_id, event.occurred_at
            case CallAnswered() if event.call_id in spoken:
                pass  # its agent has been busy with it as a consultation
            case CallAnswered() if waiting is None:
                yield "busy", event.agent_id, event.call_id, event.occurred_at
            case CallbackFailed() | CallAbandoned() if waiting is not None:
                del dials_for[event.call_id]
                yield "let off", waiting, event.call_id, event.occurred_at
            case _:
                pass


def check_engagements(calls: Sequence[CallEvent | ConsultationEvent], agents: Sequence[AgentEvent]) -> list[str]:
    """Calls and agents tell the same story: each offer, answer and end of a call is one change of state of its agent.

    Meant for a floor at rest: the two topics are read one after the other, so work in progress may be in one alone.
    """
    told_by_calls: Counter[Engagement] = Counter()
    told_by_calls.update(_told_by(calls))
    told_by_agents: Counter[Engagement] = Counter()
    before: dict[str, Held] = {}
    for change in sorted(agents, key=lambda one: one.sequence):
        known, held = before.get(change.agent_id, {}), _held(change)
        before[change.agent_id] = held
        for call_id, one in known.items():
            if call_id not in held and one.state == "busy":
                told_by_agents["let off", change.agent_id, call_id, change.occurred_at] += 1
        for call_id, one in held.items():
            if call_id not in known or known[call_id].state != one.state:
                told_by_agents[one.state, change.agent_id, call_id, change.occurred_at] += 1
    return [
        *(
            f"call {call_id}: {state} with agent {agent_id} at {at}, which the agent's history does not have"
            for state, agent_id, call_id, at in told_by_calls - told_by_agents
        ),
        *(
            f"agent {agent_id}: {state} with call {call_id} at {at}, which the call's history does not have"
            for state, agent_id, call_id, at in told_by_agents - told_by_calls
        ),
    ]
