"""What each event adds to the rows: the incremental fold of a batch.

A call counts in the interval in which it was offered: to the queue (`queued_at`) for the queue's row, to its first
queue (`offered_at`) for the tenant's. A caller whom agents hand on comes to each queue as a call of its own, and counts
for the tenant once: with the first of these calls, to which the later ones only add the time that agents spent. Every
event says all these times, so an event adds to the right row whenever it comes and in whatever order: a late one
corrects the interval it belongs to. Each event must be added exactly once (the inbox sees to that). Agents' time counts
in the interval in which it was spent, a case's event and a charge in that in which it occurred, an attempt in that in
which it started.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from common.errors import InvalidEvent
from common.events import (
    AgentLoggedIn,
    AgentLoggedOut,
    AgentStateChanged,
    AttemptEnded,
    AttemptStarted,
    CallAbandoned,
    CallAnswered,
    CallAssigned,
    CallbackDialled,
    CallbackFailed,
    CallbackReached,
    CallbackRequested,
    CallEnded,
    CallEvent,
    CallOffered,
    CallOfferMissed,
    CallOverflowed,
    CallQueued,
    CallRedirected,
    CallWrappedUp,
    CaseCallLinked,
    CaseClosed,
    CaseOpened,
    CaseReopened,
    ChargeRecorded,
    ChargeReversed,
    Event,
    QueueDeclared,
)
from common.events.billing import ChargeEvent
from common.events.crm import CaseEvent
from common.events.dialer import AttemptEvent
from common.events.routing import CALLBACK_ENDS, AgentEvent, AgentState

from kpi.domain.agents import ALL_AGENTS
from kpi.domain.counts import WHOLE_TENANT, AgentTime, CallCounts, CaseCounts, ChargeCounts, DialingCounts, total
from kpi.domain.live import LiveAgent, LiveCall, LiveCallState
from kpi.domain.sketch import bucket_of
from kpi.domain.time import MILLISECOND, interval_of, milliseconds, minute_of, split

LARGEST_AMOUNT = Decimal(10) ** 12

Key = tuple[str, str, datetime]
"""Tenant; queue (or WHOLE_TENANT), agent, currency or campaign; start of the minute or interval."""


@dataclass(slots=True)
class Increments:
    """The sum of what some events add. Adding events in another order gives an equal one."""

    calls: dict[Key, CallCounts] = field(default_factory=dict)
    """By queue, per minute; `intervals` adds them up."""
    waits: dict[tuple[str, str, datetime, int], int] = field(default_factory=dict)
    """Tenant, queue, interval, bucket of the sketch: calls."""
    agent_time: dict[Key, AgentTime] = field(default_factory=dict)
    """By agent; under ALL_AGENTS the time that agents handled the tenant's calls."""
    cases: dict[Key, CaseCounts] = field(default_factory=dict)
    """By queue."""
    charges: dict[Key, ChargeCounts] = field(default_factory=dict)
    """By currency."""
    dialing: dict[Key, DialingCounts] = field(default_factory=dict)
    """By campaign."""
    queues: set[tuple[str, str]] = field(default_factory=set)
    """(Queue, tenant): those that were declared."""
    live_calls: dict[str, LiveCall] = field(default_factory=dict)
    live_agents: dict[str, LiveAgent] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        """Adds one event; of a type that no figure counts, nothing.

        Raises InvalidEvent when the event contradicts itself: then the whole of `self` is to be discarded.
        """
        addition = ADDITIONS.get(type(event))
        if addition is not None:
            addition(self, event)

    def intervals(self) -> dict[Key, CallCounts]:
        """The calls per interval of 15 minutes."""
        intervals: dict[Key, CallCounts] = {}
        for (tenant_id, queue_id, minute), counts in self.calls.items():
            total(intervals.setdefault((tenant_id, queue_id, interval_of(minute)), CallCounts()), [counts])
        return intervals

    def queue(self, event: CallEvent, when: datetime) -> CallCounts:
        """The counts of the event's queue, which the call entered at `when`."""
        return self.calls.setdefault((event.tenant_id, event.queue_id, minute_of(when)), CallCounts())

    def tenant(self, event: CallEvent) -> CallCounts:
        """The counts of the event's tenant: where the caller's first call belongs."""
        offered_at = event.first_offered_at or event.offered_at
        return self.calls.setdefault((event.tenant_id, WHOLE_TENANT, minute_of(offered_at)), CallCounts())

    def places(
        self, event: CallAnswered | CallAbandoned | CallRedirected, entered: datetime
    ) -> Iterator[tuple[CallCounts, str, datetime, float]]:
        """Where it counts how a call went on that entered its queue at `entered`: the counts, their queue, when it came
        there, and the seconds that it waited."""
        yield self.queue(event, entered), event.queue_id, entered, event.wait_seconds
        if is_first(event):
            yield self.tenant(event), WHOLE_TENANT, event.offered_at, event.total_wait_seconds

    def wait(self, tenant_id: str, queue_id: str, when: datetime, counts: CallCounts, wait_ms: int) -> None:
        """Counts the wait of a call that left its queue."""
        key = (tenant_id, queue_id, interval_of(when), bucket_of(wait_ms))
        self.waits[key] = self.waits.get(key, 0) + 1
        counts.max_wait_ms = max(counts.max_wait_ms, wait_ms)

    def live(self, event: CallEvent, state: LiveCallState) -> None:
        """Keeps the call's state unless a newer one is known."""
        known = self.live_calls.get(event.call_id)
        if known is None or known.sequence < event.sequence:
            self.live_calls[event.call_id] = LiveCall(
                call_id=event.call_id,
                sequence=event.sequence,
                tenant_id=event.tenant_id,
                queue_id=event.queue_id,
                state=state,
                offered_at=event.offered_at,
                queued_at=event.queued_at,
                service_level_ms=milliseconds(event.service_level_seconds),
                occurred_at=event.occurred_at,
                handed_on=not is_first(event),
            )


def is_first(event: CallEvent) -> bool:
    """Whether the caller came by this call; else agents have handed them on to it."""
    return event.first_call_id is None


def queued_at(event: CallEvent) -> datetime:
    """When the call entered its queue; an event that needs it and lacks it contradicts itself."""
    if event.queued_at is None:
        raise InvalidEvent(f"{event.TYPE} of call {event.call_id} without queued_at")
    return event.queued_at


def _entering(increments: Increments, event: CallOffered) -> None:
    increments.live(event, "entering")


def _queued(increments: Increments, event: CallQueued) -> None:
    increments.queue(event, queued_at(event)).offered += 1
    if event.entry == 1 and is_first(event):
        increments.tenant(event).offered += 1
    increments.live(event, "waiting")


def _overflowed(increments: Increments, event: CallOverflowed) -> None:
    if event.entry == 0:
        increments.live(event, "entering")
        return
    entered = queued_at(event)
    wait_ms = milliseconds(event.wait_seconds)
    counts = increments.queue(event, entered)
    counts.overflowed_out += 1
    increments.wait(event.tenant_id, event.queue_id, entered, counts, wait_ms)
    increments.live(event, "entering")


def _ringing(increments: Increments, event: CallAssigned) -> None:
    increments.live(event, "held_place" if event.callback else "ringing")


def _waiting_again(increments: Increments, event: CallOfferMissed) -> None:
    increments.live(event, "held_place" if event.callback else "waiting")


def _held_place(increments: Increments, event: CallbackRequested | CallbackDialled | CallbackFailed) -> None:
    increments.live(event, "held_place")


def _reached(increments: Increments, event: CallbackReached) -> None:
    increments.live(event, "waiting")


def _answered(increments: Increments, event: CallAnswered) -> None:
    for counts, queue_id, when, wait in increments.places(event, queued_at(event)):
        wait_ms = milliseconds(wait)
        counts.answered += 1
        counts.answered_within += wait + event.away_seconds <= event.service_level_seconds
        counts.wait_answered_ms += wait_ms
        increments.wait(event.tenant_id, queue_id, when, counts, wait_ms)
    increments.live(event, "talking")


def _entered(event: CallAbandoned | CallRedirected) -> datetime:
    """When the call came to its queue: entered it, or was offered to it if it never did."""
    return queued_at(event) if event.entry > 0 else event.offered_at


def _redirected(increments: Increments, event: CallRedirected) -> None:
    for counts, queue_id, when, wait in increments.places(event, _entered(event)):
        counts.redirected += 1
        if event.entry > 0:
            counts.overflowed_out += 1
            increments.wait(event.tenant_id, queue_id, when, counts, milliseconds(wait))
    increments.live(event, "done")


def _abandoned(increments: Increments, event: CallAbandoned) -> None:
    if event.machine:
        for counts, _, _, _ in increments.places(event, queued_at(event)):
            counts.machines += 1
        increments.live(event, "done")
        return
    turned_away = event.reason in ("closed", "overflow")
    if turned_away or event.entry > 0:
        for counts, queue_id, when, wait in increments.places(event, _entered(event)):
            counts.turned_away += turned_away
            if event.entry > 0:
                if event.reason in CALLBACK_ENDS:
                    counts.not_called_back += 1
                else:
                    counts.abandoned += 1
                    counts.short_abandoned += event.short
                    counts.abandoned_within += wait + event.away_seconds <= event.service_level_seconds
                increments.wait(event.tenant_id, queue_id, when, counts, milliseconds(wait))
    increments.live(event, "done")


def _ended(increments: Increments, event: CallEnded) -> None:
    _spent(increments, event.tenant_id, ALL_AGENTS, "busy", event.answered_at, event.talk_seconds)
    increments.live(event, "wrap_up")


def _wrapped_up(increments: Increments, event: CallWrappedUp) -> None:
    entered = queued_at(event)
    talk_ms, wrap_up_ms = milliseconds(event.talk_seconds), milliseconds(event.wrap_up_seconds)
    for counts, handled in ((increments.queue(event, entered), True), (increments.tenant(event), is_first(event))):
        counts.handled += handled
        counts.talk_ms += talk_ms
        counts.wrap_up_ms += wrap_up_ms
    _spent(increments, event.tenant_id, ALL_AGENTS, "wrap_up", event.ended_at, event.wrap_up_seconds)
    increments.live(event, "done")


def _agent(increments: Increments, event: AgentEvent, state: AgentState) -> None:
    known = increments.live_agents.get(event.agent_id)
    if known is None or known.sequence < event.sequence:
        increments.live_agents[event.agent_id] = LiveAgent(
            agent_id=event.agent_id,
            sequence=event.sequence,
            tenant_id=event.tenant_id,
            pool_id=event.pool_id,
            queue_ids=tuple(sorted(event.queue_ids)),
            state=state,
            since=event.occurred_at,
        )


def _spent(
    increments: Increments, tenant_id: str, agent_id: str, state: AgentState, since: datetime, seconds: float
) -> None:
    if state == "logged_out":
        return
    for interval, duration in split(since, milliseconds(seconds)):
        time = increments.agent_time.setdefault((tenant_id, agent_id, interval), AgentTime())
        name = f"{state}_ms"
        setattr(time, name, getattr(time, name) + duration)


def _logged_in(increments: Increments, event: AgentLoggedIn) -> None:
    _agent(increments, event, event.state)


def _state_changed(increments: Increments, event: AgentStateChanged) -> None:
    spent = event.previous_state, event.since_previous, event.seconds_in_previous
    _spent(increments, event.tenant_id, event.agent_id, *spent)
    _agent(increments, event, event.state)


def _logged_out(increments: Increments, event: AgentLoggedOut) -> None:
    spent = event.previous_state, event.since_previous, event.seconds_in_previous
    _spent(increments, event.tenant_id, event.agent_id, *spent)
    _agent(increments, event, "logged_out")


def _queue_declared(increments: Increments, event: QueueDeclared) -> None:
    increments.queues.add((event.queue_id, event.tenant_id))


def _cases(increments: Increments, event: CaseEvent) -> CaseCounts:
    return increments.cases.setdefault((event.tenant_id, event.queue_id, interval_of(event.occurred_at)), CaseCounts())


def _case_opened(increments: Increments, event: CaseOpened) -> None:
    _cases(increments, event).opened += 1


def _case_call_linked(increments: Increments, event: CaseCallLinked) -> None:
    _cases(increments, event).calls_linked += not event.another_part


def _case_closed(increments: Increments, event: CaseClosed) -> None:
    open_ms = (event.closed_at - event.opened_at) // MILLISECOND
    if open_ms < 0:
        raise InvalidEvent(f"case {event.case_id} closed before it was opened")
    counts = _cases(increments, event)
    counts.closed += 1
    counts.closed_calls += event.calls - event.handed_on
    counts.open_ms += open_ms


def _case_reopened(increments: Increments, event: CaseReopened) -> None:
    _cases(increments, event).reopened += 1


def _charge(increments: Increments, event: ChargeEvent) -> ChargeCounts:
    if not event.amount.is_finite() or abs(event.amount) >= LARGEST_AMOUNT:
        raise InvalidEvent(f"charge {event.charge_id} of {event.amount} {event.currency}")
    key = (event.tenant_id, event.currency, interval_of(event.occurred_at))
    counts = increments.charges.setdefault(key, ChargeCounts())
    counts.amount += event.amount
    return counts


def _charge_recorded(increments: Increments, event: ChargeRecorded) -> None:
    _charge(increments, event).charges += 1


def _charge_reversed(increments: Increments, event: ChargeReversed) -> None:
    _charge(increments, event).reversals += 1


def _dialing(increments: Increments, event: AttemptEvent) -> DialingCounts:
    key = (event.tenant_id, event.campaign_id, interval_of(event.started_at))
    return increments.dialing.setdefault(key, DialingCounts())


def _attempt_started(increments: Increments, event: AttemptStarted) -> None:
    _dialing(increments, event).attempts += 1


def _attempt_ended(increments: Increments, event: AttemptEnded) -> None:
    ring_ms = milliseconds(event.ring_seconds)
    counts = _dialing(increments, event)
    setattr(counts, event.outcome, getattr(counts, event.outcome) + 1)
    counts.ring_ms += ring_ms


ADDITIONS: dict[type[Event], Callable[[Increments, Any], None]] = {
    CallOffered: _entering,
    CallQueued: _queued,
    CallOverflowed: _overflowed,
    CallAssigned: _ringing,
    CallOfferMissed: _waiting_again,
    CallAnswered: _answered,
    CallbackRequested: _held_place,
    CallbackDialled: _held_place,
    CallbackFailed: _held_place,
    CallbackReached: _reached,
    CallAbandoned: _abandoned,
    CallRedirected: _redirected,
    CallEnded: _ended,
    CallWrappedUp: _wrapped_up,
    AgentLoggedIn: _logged_in,
    AgentStateChanged: _state_changed,
    AgentLoggedOut: _logged_out,
    QueueDeclared: _queue_declared,
    CaseOpened: _case_opened,
    CaseCallLinked: _case_call_linked,
    CaseClosed: _case_closed,
    CaseReopened: _case_reopened,
    ChargeRecorded: _charge_recorded,
    ChargeReversed: _charge_reversed,
    AttemptStarted: _attempt_started,
    AttemptEnded: _attempt_ended,
}
"""What each type of event adds. Contacts and campaigns' starts and ends count in no figure yet."""
