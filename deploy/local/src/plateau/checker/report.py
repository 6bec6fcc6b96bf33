"""All invariants over one log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import uuid4

from common.events import (
    AttemptEnded,
    AttemptStarted,
    CallAbandoned,
    CallAnswered,
    CallbackDialled,
    CallOffered,
    CallOfferMissed,
    CallOverflowed,
    CallRedirected,
    CallWrappedUp,
    CaseCallLinked,
    CaseClosed,
    CaseOpened,
    CaseReopened,
    ChargeRecorded,
    ChargeReversed,
    ContactCreated,
    Event,
)
from common.events.billing import ChargeEvent
from common.events.crm import CaseEvent
from common.events.dialer import AttemptEvent
from common.events.routing import AgentEvent, CallEvent, ConsultationEvent, FlowEvent

from plateau.checker.agents import check_agents, check_engagements, taken_calls
from plateau.checker.attempts import check_attempts
from plateau.checker.calls import check_calls
from plateau.checker.cases import check_cases, check_links
from plateau.checker.charges import check_charges
from plateau.checker.log import Log, Recorded, log_of

COUNTED: dict[type[Event], str] = {
    CallOffered: "calls_offered",
    CallAnswered: "calls_answered",
    CallAbandoned: "calls_abandoned",
    CallWrappedUp: "calls_wrapped_up",
    CallOverflowed: "calls_overflowed",
    CallRedirected: "calls_redirected",
    CallOfferMissed: "offers_missed",
    CallbackDialled: "callbacks_dialled",
    ContactCreated: "contacts_created",
    CaseOpened: "cases_opened",
    CaseCallLinked: "calls_linked",
    CaseClosed: "cases_closed",
    CaseReopened: "cases_reopened",
    ChargeRecorded: "charges",
    ChargeReversed: "reversals",
    AttemptStarted: "attempts_started",
    AttemptEnded: "attempts_ended",
}
"""What the report counts, by the event that says it."""


@dataclass(frozen=True, slots=True)
class Report:
    """`violations`: one sentence per broken promise. `amounts`: net of reversals, by currency."""

    violations: list[str]
    counts: dict[str, int]
    amounts: dict[str, Decimal]
    dead_letters: list[str]

    @property
    def net_charges(self) -> int:
        """Charges that stand: those of closings that were not taken back."""
        return self.counts["charges"] - self.counts["reversals"]


def violations(events: Iterable[Event | Recorded], *, complete: bool = False) -> list[str]:
    """The broken promises of a history. A bare event counts as delivered once, under an id of its own."""
    records = [one if isinstance(one, Recorded) else Recorded("test", uuid4(), one) for one in events]
    return report_of(log_of(records), complete=complete).violations


def report_of(log: Log, *, complete: bool = False) -> Report:
    """Check a log that was read."""
    events = [record.event for record in log.events]
    found = [*log.violations, *_checked(events, complete)]
    counted = Counter(COUNTED[type(event)] for event in events if type(event) in COUNTED)
    counts = {name: counted[name] for name in COUNTED.values()}
    counts |= {"events": len(events), "repeated": log.repeated, "dead_letters": len(log.dead_letters)}
    amounts: dict[str, Decimal] = {}
    for event in events:
        if isinstance(event, ChargeEvent):
            amounts[event.currency] = amounts.get(event.currency, Decimal(0)) + event.amount
    return Report(found, counts, amounts, log.dead_letters)


def _checked(events: Sequence[Event], complete: bool) -> list[str]:
    calls = [event for event in events if isinstance(event, CallEvent | FlowEvent)]
    every_call = [event for event in events if isinstance(event, CallEvent | FlowEvent | ConsultationEvent)]
    spoken = [event for event in events if isinstance(event, CallEvent | ConsultationEvent)]
    agents = [event for event in events if isinstance(event, AgentEvent)]
    cases = [event for event in events if isinstance(event, CaseEvent)]
    charges = [event for event in events if isinstance(event, ChargeEvent)]
    attempts = [event for event in events if isinstance(event, AttemptEvent)]
    return [
        *check_calls(every_call, complete=complete),
        *check_agents(agents, taken_calls(spoken)),
        *(check_engagements(spoken, agents) if complete else ()),
        *check_cases(cases),
        *check_links(calls, cases, complete=complete),
        *check_charges(cases, charges, complete=complete),
        *check_attempts(attempts, complete=complete),
    ]
