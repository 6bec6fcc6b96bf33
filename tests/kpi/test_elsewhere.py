"""Calls that nobody here answers: told a message, or sent to a number outside. Counted once, by both countings."""

from __future__ import annotations

from datetime import timedelta

from common.events import CallAbandoned, CallEvent, CallOffered, CallRedirected, Event
from kpi.domain.recount import compare, recount

from .stories import NINE, Story, named
from .test_figures import row
from .test_fold import served


def never_entered(story: Story) -> Story:
    """The same call, which its queue gave away at once."""
    story.events = [event for event in story.events if isinstance(event, CallOffered)]
    story.entry, story.queued_at = 0, None
    return story


def turned_away(story: Story, reason: str, wait: float) -> list[Event]:
    story.at += timedelta(seconds=wait)
    told = {"wait_seconds": wait, "total_wait_seconds": story.total, "short": False, "reason": reason}
    story.tell(CallAbandoned, abandoned_at=story.at, message="later", **told)
    return story.events


def redirected(story: Story, wait: float) -> list[Event]:
    story.at += timedelta(seconds=wait)
    told = {"wait_seconds": wait, "total_wait_seconds": story.total, "to_number": "+33199000987", "to_name": "partner"}
    story.tell(CallRedirected, redirected_at=story.at, **told)
    return story.events


def test_calls_that_go_elsewhere_are_counted_whether_they_entered_or_not() -> None:
    events = [
        *turned_away(never_entered(Story("c-1")), "closed", 0),
        *turned_away(Story("c-2"), "overflow", 30),
        *redirected(never_entered(Story("c-3")), 0),
        *redirected(Story("c-4"), 40),
        *redirected(Story("c-5").overflowed(60, "kettle-late"), 5),
        *Story("c-6").answered(5).events,
    ]
    assert all(isinstance(event, CallEvent) for event in events)
    queue, _ = row("kettle-help", NINE, events=events)
    late, _ = row("kettle-late", NINE, events=events)
    tenant, waits = row("", NINE, events=events)
    assert (queue.offered, queue.turned_away, queue.redirected) == (4, 2, 2)
    assert (queue.abandoned, queue.overflowed_out, queue.answered, queue.waiting) == (1, 2, 1, 0)
    assert (late.offered, late.redirected, late.overflowed_out, late.waiting) == (1, 1, 1, 0)
    assert (tenant.offered, tenant.turned_away, tenant.redirected) == (4, 2, 3)
    assert (tenant.abandoned, tenant.overflowed_out, tenant.answered, tenant.waiting) == (1, 2, 1, 0)
    assert sum(waits.values()) == 4, "those that never entered have not waited"
    assert compare(recount(named(events)), served(events)) == []
