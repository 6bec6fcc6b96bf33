"""A case: one matter of one contact, open or closed.

    nothing ──answered call──▶ Open ──closing disposition──▶ Closed ──answered call within the window──▶ Open …

A message left in a voicemail is a call like an answered one here: somebody has to see to it.

Of a contact at most one case is open. Its *current* case is the open one, or else the one closed last; every decision
looks at that case alone.

Calls of one contact travel in different partitions, so they are handled in any order across calls. The rules compare
the times in the events, never the order of arrival:

* a call answered at or before the last closing was live while the case was: it joins the closed case, and reopens
  nothing;
* a closing disposition given before the case's latest activity (a later call, a reopening) has been overtaken, and
  closes nothing;
* two calls live at once: the first closing disposition closes the case, the second finds it closed and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, assert_never
from uuid import UUID

from common.events import (
    CallAnswered,
    CallWrappedUp,
    CaseCallLinked,
    CaseClosed,
    CaseOpened,
    CaseReopened,
    VoicemailLeft,
)
from common.events.crm import CaseEvent

Conversation = CallAnswered | CallWrappedUp | VoicemailLeft
"""An event that proves that the contact spoke, to an agent or for one, and when: `spoken_at`."""


def spoken_at(call: Conversation) -> datetime:
    """When the conversation began, or the message was left: what the rules of cases compare."""
    return call.left_at if isinstance(call, VoicemailLeft) else call.answered_at


def first_call_of(call: Conversation) -> str:
    """The call by which its caller came, before any agent handed them on."""
    return call.call_id if isinstance(call, VoicemailLeft) else call.first_call_id or call.call_id


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFacts:
    """What a case is in every state."""

    id: UUID
    tenant_id: str
    contact_id: UUID
    queue_id: str
    """Queue of the call that opened it."""
    opened_at: datetime
    active_at: datetime
    """The latest of its opening, its reopenings and the answers of its calls."""
    sequence: int
    """Number of events so far."""
    calls: int
    handed_on: int
    """Of the calls, those that go on from another one of the case: agents handed their caller on."""
    closings: int
    """How often it has been closed; the open case's next closing is one more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Open(CaseFacts):
    """Somebody still works on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed(CaseFacts):
    """Settled: closing number `closings` stands."""

    closed_at: datetime
    disposition: str


Case = Open | Closed


@dataclass(frozen=True, slots=True)
class Change:
    """The case as it is now, and what happened to it, oldest first; no events: nothing changed."""

    case: Case
    events: tuple[CaseEvent, ...] = ()


def conversation(
    current: Case | None,
    call: Conversation,
    *,
    contact_id: UUID,
    new_id: UUID,
    window: timedelta,
    another_part: bool = False,
) -> Change:
    """The contact spoke, with an agent or in a message, in a call that belongs to no case yet.

    `current` is the contact's current case, `another_part` whether a call with the same first call belongs to that;
    `new_id` becomes the id of a case that has to be opened.
    """
    match current:
        case None:
            return open_case(new_id, contact_id, call)
        case Open():
            return _link(current, call, another_part=another_part)
        case Closed():
            if spoken_at(call) <= current.closed_at:
                return _link(current, call, another_part=another_part)
            if spoken_at(call) - current.closed_at <= window:
                reopened = reopen(current, spoken_at(call), call_id=call.call_id)
                linked = _link(reopened.case, call, another_part=another_part)
                return Change(linked.case, reopened.events + linked.events)
            return open_case(new_id, contact_id, call)
        case _:
            assert_never(current)


def wrapped_up(case: Case, call: CallWrappedUp, *, closing_dispositions: frozenset[str]) -> Change:
    """The agent gave a code (or none in time) to a call of this case."""
    # Pools are handed between machines: their clocks may differ by more than a very short call took.
    at = max(call.wrapped_up_at, call.answered_at)
    closing = call.disposition is not None and call.disposition in closing_dispositions
    if not closing or isinstance(case, Closed) or at < case.active_at:
        return Change(case)
    return close(case, at, call.disposition or "", call_id=call.call_id)


def open_case(case_id: UUID, contact_id: UUID, call: Conversation) -> Change:
    """A new case, opened by its first call."""
    case = Open(
        id=case_id,
        tenant_id=call.tenant_id,
        contact_id=contact_id,
        queue_id=call.queue_id,
        opened_at=spoken_at(call),
        active_at=spoken_at(call),
        sequence=1,
        calls=1,
        handed_on=0,
        closings=0,
    )
    return Change(case, (CaseOpened(**_common(case, spoken_at(call), call.call_id)),))


def close(case: Open, at: datetime, disposition: str, *, call_id: str | None = None) -> Change:
    """Closes the case, for the (`closings` + 1)-th time; never before its latest activity."""
    closed = Closed(
        id=case.id,
        tenant_id=case.tenant_id,
        contact_id=case.contact_id,
        queue_id=case.queue_id,
        opened_at=case.opened_at,
        active_at=case.active_at,
        sequence=case.sequence + 1,
        calls=case.calls,
        handed_on=case.handed_on,
        closings=case.closings + 1,
        closed_at=max(at, case.active_at),
        disposition=disposition,
    )
    event = CaseClosed(
        **_common(closed, closed.closed_at, call_id),
        closing=closed.closings,
        closed_at=closed.closed_at,
        disposition=disposition,
    )
    return Change(closed, (event,))


def reopen(case: Closed, at: datetime, *, call_id: str | None = None) -> Change:
    """The case goes on; its last closing no longer stands. Never before that closing."""
    reopened_at = max(at, case.closed_at)
    opened = Open(
        id=case.id,
        tenant_id=case.tenant_id,
        contact_id=case.contact_id,
        queue_id=case.queue_id,
        opened_at=case.opened_at,
        active_at=reopened_at,
        sequence=case.sequence + 1,
        calls=case.calls,
        handed_on=case.handed_on,
        closings=case.closings,
    )
    event = CaseReopened(
        **_common(opened, reopened_at, call_id),
        closing=case.closings,
        closed_at=case.closed_at,
        reopened_at=reopened_at,
    )
    return Change(opened, (event,))


def _link(case: Case, call: Conversation, *, another_part: bool) -> Change:
    linked = replace(
        case,
        sequence=case.sequence + 1,
        calls=case.calls + 1,
        handed_on=case.handed_on + another_part,
        active_at=max(case.active_at, spoken_at(call)),
    )
    return Change(
        linked,
        (CaseCallLinked(**_common(linked, spoken_at(call), call.call_id), another_part=another_part),),
    )


def _common(case: Case, occurred_at: datetime, call_id: str | None) -> dict[str, Any]:
    return {
        "tenant_id": case.tenant_id,
        "case_id": str(case.id),
        "contact_id": str(case.contact_id),
        "queue_id": case.queue_id,
        "sequence": case.sequence,
        "opened_at": case.opened_at,
        "occurred_at": occurred_at,
        "calls": case.calls,
        "handed_on": case.handed_on,
        "call_id": call_id,
    }
