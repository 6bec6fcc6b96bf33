"""What happens to attempts, from whichever side it is told: one way for the PBX, routing, and time-outs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, assert_never
from uuid import UUID

from common import outbox
from common.clock import Clock
from common.database import Session
from common.events.dialer import AttemptEnded
from common.telemetry import current_traceparent, meter

from dialer.domain.attempt import (
    Attempt,
    Effect,
    Ended,
    Fact,
    HandOver,
    Patience,
    PlayAbandonmentMessage,
    StopDial,
    Stopped,
    TellMachine,
    TimedOut,
    Withdraw,
    step,
)
from dialer.domain.lead import after_attempt
from dialer.store import attempts, campaigns, dials, leads, numbers, routing_requests
from dialer.store.dials import Command
from dialer.store.routing_requests import Kind

MESSAGE_SECONDS: Final = 60
"""How late the PBX may be with the message of an abandoned attempt, or a hang-up, before it makes no sense any more."""

OVERDUE_BATCH: Final = 500

attempts_ended = meter.create_counter("plateau_dialer_attempts_ended", description="By outcome")


@dataclass(frozen=True, slots=True)
class Happened:
    """A fact about one attempt, when it was known, and the trace that it belongs to (default: the work at hand)."""

    attempt_id: UUID
    fact: Fact
    at: datetime
    traceparent: str | None = None


async def apply(session: Session, happened: Sequence[Happened], patience: Patience) -> dict[UUID, Attempt]:
    """Apply facts in their order, each harmless however often and late it comes; returns the attempts as they are now.

    Attempts that are not there (another tenant's, another dialer's) are left out. Those that end free their lead and
    publish AttemptEnded; what the PBX and routing have to be told is stored in the same transaction.
    """
    known = await attempts.lock(session, list({item.attempt_id for item in happened}))
    changed: dict[UUID, Attempt] = {}
    ended: dict[UUID, Happened] = {}
    commands: list[tuple[Attempt, Command, datetime]] = []
    requests: list[tuple[Attempt, Kind, str | None]] = []
    for item in happened:
        attempt = known.get(item.attempt_id)
        if attempt is None:
            continue
        after, effects = step(attempt, item.fact, item.at, patience)
        for effect in effects:
            after = _note(effect, after, item, commands, requests)
        if isinstance(after.state, Ended):
            if not isinstance(attempt.state, Ended):
                ended[after.attempt_id] = item
        elif after.call_id is not None and attempt.call_id is None:
            commands.append((after, "handed_over", item.at + patience.routing))
        if after != attempt:
            known[after.attempt_id] = changed[after.attempt_id] = after
    if changed:
        await attempts.save(session, list(changed.values()))
    if ended:
        await _end(session, [(known[attempt_id], item) for attempt_id, item in ended.items()])
    if requests:
        await routing_requests.add(session, requests)
    if commands:
        await dials.add(session, commands)
    return known


async def end_overdue(session: Session, clock: Clock, patience: Patience) -> int:
    """End attempts of which nothing was heard in time; returns how many were looked at."""
    now = clock.now()
    overdue = await attempts.lock_overdue(session, now, OVERDUE_BATCH)
    if overdue:
        await apply(session, [Happened(attempt_id, TimedOut(), now) for attempt_id in overdue], patience)
    return len(overdue)


async def stop_refused(session: Session, clock: Clock, patience: Patience) -> None:
    """Give up dials that nobody has answered: to numbers on the do-not-call list, of people who are calling, and for
    leads that were removed."""
    now = clock.now()
    stops = await numbers.dials_to_stop(session)
    if stops:
        await apply(session, [Happened(attempt_id, Stopped(reason), now) for attempt_id, reason in stops], patience)


def _note(
    effect: Effect,
    attempt: Attempt,
    item: Happened,
    commands: list[tuple[Attempt, Command, datetime]],
    requests: list[tuple[Attempt, Kind, str | None]],
) -> Attempt:
    match effect:
        case HandOver():
            attempt = replace(attempt, traceparent=item.traceparent or current_traceparent() or attempt.traceparent)
            requests.append((attempt, "offer", None))
        case Withdraw(call_id):
            requests.append((attempt, "hang_up", call_id))
        case TellMachine(call_id):
            requests.append((attempt, "machine", call_id))
        case PlayAbandonmentMessage():
            expires_at = item.at + timedelta(seconds=MESSAGE_SECONDS)
            commands.append((attempt, "play_abandonment_message", expires_at))
            commands.append((attempt, "hang_up", expires_at))
        case StopDial():
            commands.append((attempt, "hang_up", item.at + timedelta(seconds=MESSAGE_SECONDS)))
        case _ as unreachable:
            assert_never(unreachable)
    return attempt


async def _end(session: Session, ended: Sequence[tuple[Attempt, Happened]]) -> None:
    """Free the leads by their campaigns' rules and tell the world."""
    listed = await leads.lock(session, [attempt.lead_id for attempt, _ in ended])
    rules = await campaigns.campaigns_of(session, list({attempt.campaign_id for attempt, _ in ended}))
    freed = []
    calls = numbers.Calls()
    for attempt, item in ended:
        assert isinstance(attempt.state, Ended)
        assert attempt.ended_at is not None
        outcome = attempt.state.outcome
        if outcome == "abandoned" and attempt.state.call_id is None:
            # Routing, which tells of calls, never had this one.
            call = (str(attempt.attempt_id), attempt.phone)
            calls.begun[call] = (attempt.tenant_id, attempt.answered_at or attempt.started_at)
            calls.over[str(attempt.attempt_id)] = attempt.ended_at
        lead = listed[attempt.lead_id].lead
        freed.append(
            (attempt.lead_id, after_attempt(lead, outcome, rules[attempt.campaign_id].rules, item.at), outcome)
        )
        outbox.add(
            session,
            AttemptEnded(
                tenant_id=attempt.tenant_id,
                campaign_id=attempt.campaign_id,
                queue_id=attempt.queue_id,
                lead_id=str(attempt.lead_id),
                attempt_id=str(attempt.attempt_id),
                attempt=attempt.number,
                phone=attempt.phone,
                started_at=attempt.started_at,
                occurred_at=attempt.ended_at,
                outcome=outcome,
                ring_seconds=attempt.rang_seconds,
                call_id=attempt.state.call_id,
                disposition=attempt.state.disposition,
            ),
            traceparent=item.traceparent or current_traceparent() or attempt.traceparent,
        )
    await leads.save(session, freed)
    await numbers.save_calls(session, calls)

    def count() -> None:
        for _, _, outcome in freed:
            attempts_ended.add(1, {"outcome": outcome})

    session.after_commit(count)
