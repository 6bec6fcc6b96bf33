"""Histories as the services write them, for what reads the event log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from common.events import (
    AgentLoggedIn,
    AgentLoggedOut,
    AgentStateChanged,
    AttemptEnded,
    AttemptStarted,
    CallAbandoned,
    CallAnswered,
    CallAssigned,
    CallEnded,
    CallOffered,
    CallOfferMissed,
    CallOverflowed,
    CallQueued,
    CallWrappedUp,
    CaseCallLinked,
    CaseClosed,
    CaseOpened,
    CaseReopened,
    ChargeRecorded,
    ChargeReversed,
    Event,
)

START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
TENANT = "moon-kettles"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


class History:
    """Writes events as the services would; `events` is in the order of the log."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._agents: dict[str, tuple[int, Any, datetime]] = {}
        self._calls: dict[str, dict[str, Any]] = {}
        self._answered: dict[str, tuple[datetime, float]] = {}
        self._ended: dict[str, datetime] = {}

    def add(self, kind: type[Event], **fields: Any) -> None:
        self.events.append(kind(**fields))

    # calls

    def call(self, kind: type[Event], call_id: str, seconds: float, **fields: Any) -> None:
        common = self._calls.setdefault(
            call_id,
            {
                "tenant_id": TENANT,
                "call_id": call_id,
                "sequence": 0,
                "pool_id": "plateau",
                "queue_id": "complaints",
                "entry": 0,
                "channel": "voice",
                "direction": "inbound",
                "contact_phone": "+33639981234",
                "service_level_seconds": 20.0,
                "short_abandon_seconds": 5.0,
                "time_zone": "Europe/Paris",
                "offered_at": at(seconds),
                "queued_at": None,
            },
        )
        common["sequence"] += 1
        common["occurred_at"] = at(seconds)
        if kind is CallQueued:
            common["entry"] += 1
            common["queued_at"] = at(seconds)
        common["queue_id"] = fields.pop("queue_id", common["queue_id"])
        common["contact_phone"] = fields.pop("contact_phone", common["contact_phone"])
        common["channel"] = fields.pop("channel", common["channel"])
        self.add(kind, **common, **fields)

    def offered(self, call_id: str, seconds: float, **fields: Any) -> None:
        self.call(CallOffered, call_id, seconds, **fields)
        self.call(CallQueued, call_id, seconds)

    def assigned(self, call_id: str, seconds: float, agent_id: str, offer: int = 1) -> None:
        self.call(
            CallAssigned,
            call_id,
            seconds,
            agent_id=agent_id,
            assigned_at=at(seconds),
            offer_expires_at=at(seconds + 20),
            offer=offer,
        )
        self.agent(agent_id, "offered", seconds, call_id)

    def answered(self, call_id: str, seconds: float, agent_id: str) -> None:
        queued = self._calls[call_id]["queued_at"]
        wait = (at(seconds) - queued).total_seconds()
        self.call(
            CallAnswered,
            call_id,
            seconds,
            agent_id=agent_id,
            answered_at=at(seconds),
            wait_seconds=wait,
            total_wait_seconds=wait,
        )
        self._answered[call_id] = (at(seconds), wait)
        self.agent(agent_id, "busy", seconds, call_id)

    def ended(self, call_id: str, seconds: float, agent_id: str) -> None:
        answered_at, wait = self._answered[call_id]
        self._ended[call_id] = at(seconds)
        self.call(
            CallEnded,
            call_id,
            seconds,
            agent_id=agent_id,
            answered_at=answered_at,
            ended_at=at(seconds),
            wait_seconds=wait,
            talk_seconds=(at(seconds) - answered_at).total_seconds(),
        )
        self.agent(agent_id, "wrap_up", seconds, call_id)

    def wrapped_up(self, call_id: str, seconds: float, agent_id: str, disposition: str | None = "settled") -> None:
        (answered_at, wait), ended_at = self._answered[call_id], self._ended[call_id]
        self.call(
            CallWrappedUp,
            call_id,
            seconds,
            agent_id=agent_id,
            answered_at=answered_at,
            ended_at=ended_at,
            wrapped_up_at=at(seconds),
            wait_seconds=wait,
            talk_seconds=(ended_at - answered_at).total_seconds(),
            wrap_up_seconds=(at(seconds) - ended_at).total_seconds(),
            disposition=disposition,
        )
        self.agent(agent_id, "available", seconds)

    def abandoned(self, call_id: str, seconds: float) -> None:
        wait = (at(seconds) - self._calls[call_id]["queued_at"]).total_seconds()
        self.call(
            CallAbandoned,
            call_id,
            seconds,
            abandoned_at=at(seconds),
            wait_seconds=wait,
            total_wait_seconds=wait,
            short=False,
            reason="hung_up",
        )

    # agents

    def agent(self, agent_id: str, state: Any, seconds: float, call_id: str | None = None) -> None:
        sequence, previous, since = self._agents.get(agent_id, (0, "logged_out", at(seconds)))
        common: dict[str, Any] = {
            "tenant_id": "floor",
            "agent_id": agent_id,
            "sequence": sequence + 1,
            "pool_id": "plateau",
            "queue_ids": ["complaints"],
            "occurred_at": at(seconds),
        }
        spent = {"since_previous": since, "seconds_in_previous": (at(seconds) - since).total_seconds()}
        if previous == "logged_out":
            self.add(AgentLoggedIn, **common, state=state)
        elif state == "logged_out":
            self.add(AgentLoggedOut, **common, previous_state=previous, **spent)
        else:
            self.add(AgentStateChanged, **common, state=state, previous_state=previous, call_id=call_id, **spent)
        self._agents[agent_id] = (sequence + 1, state, at(seconds))

    # cases and charges

    def case(self, kind: type[Event], sequence: int, seconds: float, calls: int, **fields: Any) -> None:
        self.add(
            kind,
            **{
                "tenant_id": TENANT,
                "case_id": "case-1",
                "contact_id": "ada",
                "queue_id": "complaints",
                "sequence": sequence,
                "opened_at": START,
                "occurred_at": at(seconds),
                "calls": calls,
                **fields,
            },
        )

    def charge(self, version: int, **fields: Any) -> None:
        kind = ChargeReversed if "reverses" in fields else ChargeRecorded
        self.add(
            kind,
            **{
                "tenant_id": TENANT,
                "charge_id": f"charge-{version}",
                "case_id": "case-1",
                "charge_code": "case",
                "version": version,
                "amount": Decimal("6.80"),
                "currency": "EUR",
                "tariff_version": 1,
                "month": "2026-11",
                "occurred_at": START,
                **fields,
            },
        )


def day() -> History:
    """Three answered calls of one case (closed, reopened, closed again), one abandoned after a missed offer."""
    day = History()
    day.agent("alma", "available", 0)
    day.agent("bruno", "available", 0)
    for number, call_id in enumerate(("call-1", "call-2", "call-3")):
        begin = 100.0 * (number + 1)
        day.offered(call_id, begin)
        day.assigned(call_id, begin + 1, "alma")
        day.answered(call_id, begin + 3, "alma")
        day.ended(call_id, begin + 50, "alma")
        day.wrapped_up(call_id, begin + 60, "alma")
    day.offered("call-4", 390)
    day.assigned("call-4", 391, "bruno")
    day.call(CallOfferMissed, "call-4", 400, agent_id="bruno", offer=1, reason="timeout")
    day.agent("bruno", "break", 400)
    day.call(CallOverflowed, "call-4", 420, to_queue_id="second-line", wait_seconds=30.0)
    day.call(CallQueued, "call-4", 420, queue_id="second-line")
    day.abandoned("call-4", 450)
    day.agent("bruno", "logged_out", 500)
    day.case(CaseOpened, 1, 103, 1, call_id="call-1")
    day.case(CaseClosed, 2, 160, 1, closing=1, closed_at=at(160), disposition="settled", call_id="call-1")
    day.case(CaseReopened, 3, 203, 1, closing=1, closed_at=at(160), reopened_at=at(203), call_id="call-2")
    day.case(CaseCallLinked, 4, 203, 2, call_id="call-2")
    day.case(CaseCallLinked, 5, 303, 3, call_id="call-3")
    day.case(CaseClosed, 6, 360, 3, closing=2, closed_at=at(360), disposition="settled", call_id="call-3")
    day.charge(1)
    day.charge(1, charge_id="reversal-1", reverses="charge-1", amount=Decimal("-6.80"))
    day.charge(2)
    common: dict[str, Any] = {
        "tenant_id": TENANT,
        "campaign_id": "autumn",
        "queue_id": "appointments",
        "lead_id": "lead-1",
        "phone": "+33639980001",
        "started_at": START,
        "occurred_at": START,
    }
    day.add(AttemptStarted, **common, attempt_id="try-1", attempt=1)
    day.add(AttemptEnded, **common, attempt_id="try-1", attempt=1, outcome="busy", ring_seconds=4.0)
    day.add(AttemptStarted, **common, attempt_id="try-2", attempt=2)
    day.add(AttemptEnded, **common, attempt_id="try-2", attempt=2, outcome="no_answer", ring_seconds=25.0)
    return day
