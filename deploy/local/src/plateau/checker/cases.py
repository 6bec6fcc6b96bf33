"""Cases: one open at most per contact, opened and closed in turn, every answered call in exactly one of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise

from common.events import (
    CallAnswered,
    CallEvent,
    CaseCallLinked,
    CaseClosed,
    CaseOpened,
    CaseReopened,
    FlowEvent,
    VoicemailLeft,
)
from common.events.crm import CaseEvent


def check_cases(events: Iterable[CaseEvent]) -> list[str]:
    """Violations of each case's own history, and contacts with two open cases at a time."""
    of_case: dict[str, list[CaseEvent]] = defaultdict(list)
    for event in events:
        of_case[event.case_id].append(event)
    found: list[str] = []
    open_times: dict[tuple[str, str], list[tuple[datetime, datetime, str]]] = defaultdict(list)
    for case_id, history in of_case.items():
        found += _walk(case_id, history, open_times)
    for (_, contact_id), times in open_times.items():
        times.sort()
        for (_, until, one), (start, _, other) in pairwise(times):
            if start < until:
                found.append(f"contact {contact_id}: has two open cases at {start.isoformat()}: {one} and {other}")
    return found


def _walk(
    case_id: str,
    history: Sequence[CaseEvent],
    open_times: dict[tuple[str, str], list[tuple[datetime, datetime, str]]],
) -> list[str]:
    found: list[str] = []

    def say(what: str) -> None:
        found.append(f"case {case_id}: {what}")

    numbers = [event.sequence for event in history]
    twice = sorted(number for number, times in Counter(numbers).items() if times > 1)
    missing = sorted(set(range(1, max(numbers) + 1)) - set(numbers))
    if twice:
        say(f"forked: two different events have sequence {twice}")
    if missing:
        say(f"has a gap: sequence {missing} is missing")
    if not missing and numbers != sorted(numbers):
        say(f"is out of order in the log: {numbers}")
    contact = (history[0].tenant_id, history[0].contact_id)
    opened: datetime | None = None
    closings = calls = handed_on = 0
    last_closed_at: datetime | None = None
    for event in sorted(history, key=lambda one: one.sequence):
        if (event.tenant_id, event.contact_id) != contact:
            say(f"changed its contact from {contact[1]} to {event.contact_id}")
        match event:
            case CaseOpened():
                if event.sequence != 1:
                    say(f"opened a second time (sequence {event.sequence})")
                opened = event.occurred_at
                calls += event.call_id is not None
            case CaseCallLinked():
                calls += 1
                handed_on += event.another_part
            case CaseClosed():
                if opened is None:
                    say(f"closed (sequence {event.sequence}) while it was not open")
                else:
                    open_times[contact].append((opened, event.closed_at, case_id))
                if event.closing != closings + 1:
                    say(f"closing {event.closing} follows closing {closings}")
                closings, last_closed_at, opened = event.closing, event.closed_at, None
            case CaseReopened():
                if last_closed_at is None or opened is not None:
                    say(f"reopened (sequence {event.sequence}) while it was not closed")
                elif (event.closing, event.closed_at) != (closings, last_closed_at):
                    say(f"reopening of closing {event.closing} follows closing {closings}")
                opened = event.reopened_at
            case _:
                pass
        if event.calls != calls:
            say(f"says {event.calls} calls at sequence {event.sequence}, linked are {calls}")
            calls = event.calls
        if event.handed_on != handed_on:
            say(f"says {event.handed_on} calls handed on at sequence {event.sequence}, linked are {handed_on}")
            handed_on = event.handed_on
    if not isinstance(min(history, key=lambda one: one.sequence), CaseOpened):
        say("does not begin with its opening")
    if opened is not None:
        open_times[contact].append((opened, datetime.max.replace(tzinfo=opened.tzinfo), case_id))
    return found


def check_links(calls: Iterable[CallEvent | FlowEvent], cases: Iterable[CaseEvent], *, complete: bool) -> list[str]:
    """Every answered call and every message whose caller is known belongs to exactly one case; no other call to any.

    A caller who withholds the number is nobody's contact: such a call may belong to no case.
    """
    answered = {event.call_id: event for event in calls if isinstance(event, CallAnswered | VoicemailLeft)}
    linked: dict[str, list[str]] = defaultdict(list)
    found = []
    for event in cases:
        if isinstance(event, CaseOpened | CaseCallLinked) and event.call_id is not None:
            linked[event.call_id].append(event.case_id)
            call = answered.get(event.call_id)
            if call is None:
                found.append(f"case {event.case_id}: linked with call {event.call_id}, which was never answered")
            elif call.tenant_id != event.tenant_id:
                found.append(f"case {event.case_id}: of {event.tenant_id}, but its call {event.call_id} is not")
    for call_id, case_ids in linked.items():
        if len(case_ids) > 1:
            found.append(f"call {call_id}: linked {len(case_ids)} times: {', '.join(case_ids)}")
    if complete:
        found += [
            f"call {call_id}: answered but linked to no case"
            for call_id, call in answered.items()
            if call.contact_phone and call_id not in linked
        ]
    return found
