"""Attempts: a lead is dialled once at a time, and each dial ends once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from common.events import AttemptEnded, AttemptStarted
from common.events.dialer import AttemptEvent


def check_attempts(events: Iterable[AttemptEvent], *, complete: bool) -> list[str]:
    """Violations of each lead's own history, in the order of the log."""
    of_lead: dict[str, list[AttemptEvent]] = defaultdict(list)
    for event in events:
        of_lead[event.lead_id].append(event)
    found: list[str] = []
    for lead_id, history in of_lead.items():
        under_way: AttemptEvent | None = None
        number = 0
        for event in history:
            match event:
                case AttemptStarted():
                    if under_way is not None:
                        found.append(f"lead {lead_id}: attempt {event.attempt_id} began during {under_way.attempt_id}")
                    if event.attempt != number + 1:
                        found.append(f"lead {lead_id}: attempt {event.attempt} follows attempt {number}")
                    under_way, number = event, event.attempt
                case AttemptEnded(outcome="refused") if under_way is None or under_way.attempt_id != event.attempt_id:
                    pass  # a dial that was not made has no beginning
                case AttemptEnded():
                    if under_way is None or under_way.attempt_id != event.attempt_id:
                        found.append(f"lead {lead_id}: attempt {event.attempt_id} ended, which was not under way")
                    else:
                        under_way = None
                case _:
                    pass
        if complete and under_way is not None:
            found.append(f"lead {lead_id}: attempt {under_way.attempt_id} never ended")
    return found
