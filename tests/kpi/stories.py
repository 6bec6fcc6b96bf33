"""Calls told step by step, as routing would publish them; and random ones for the properties."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from common import envelope
from common.consumer import Delivery
from common.events import (
    AgentLoggedIn,
    AgentLoggedOut,
    AgentStateChanged,
    CallAbandoned,
    CallAnswered,
    CallAssigned,
    CallbackDialled,
    CallbackFailed,
    CallbackRequested,
    CallEnded,
    CallOffered,
    CallOfferMissed,
    CallOverflowed,
    CallQueued,
    CallWrappedUp,
    Event,
)
from common.events.routing import AgentState
from common.ids import derived_id
from common.kafka import Kafka
from hypothesis import strategies as st
from kpi.domain.live import AGENT_STATES

NINE = datetime(2026, 11, 21, 9, tzinfo=UTC)
SOURCE = "routing"


@dataclass
class Story:
    """One call. Each step goes on from where the one before left it and adds the events that it would publish."""

    call_id: str
    at: datetime = NINE
    tenant: str = "kettle"
    queue: str = "kettle-help"
    threshold: float = 20.0
    short: float = 5.0
    events: list[Event] = field(default_factory=list)
    entry: int = 0
    queued_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    held_at: datetime | None = None
    dials: int = 0
    first: Story | None = None
    """The first of the calls through which agents have handed the caller on to here."""

    def __post_init__(self) -> None:
        self.offered_at = self.at
        self.tell(CallOffered)
        self._enter(self.queue)

    def tell(self, cls: Callable[..., Event], **more: Any) -> None:
        """Adds one event of the call as it stands."""
        self.events.append(
            cls(
                tenant_id=self.tenant,
                call_id=self.call_id,
                sequence=len(self.events) + 1,
                pool_id="pool-1",
                queue_id=self.queue,
                entry=self.entry,
                channel="voice",
                direction="inbound",
                contact_phone="+33100000001",
                service_level_seconds=self.threshold,
                short_abandon_seconds=self.short,
                time_zone="Europe/Paris",
                occurred_at=self.at,
                offered_at=self.offered_at,
                queued_at=self.queued_at,
                first_call_id=None if self.first is None else self.first.call_id,
                first_offered_at=None if self.first is None else self.first.offered_at,
                **more,
            )
        )

    def _enter(self, queue: str) -> None:
        self.queue, self.entry, self.queued_at = queue, self.entry + 1, self.at
        self.tell(CallQueued)

    def _pass(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

    @property
    def wait(self) -> float:
        assert self.queued_at is not None
        return (self.at - self.queued_at).total_seconds()

    @property
    def total(self) -> float:
        return (self.at - self.offered_at).total_seconds()

    def missed(self, after: float) -> Story:
        """Rings at an agent at once, who lets it ring for `after` seconds."""
        self.tell(
            CallAssigned, agent_id="ann", assigned_at=self.at, offer_expires_at=self.at + timedelta(seconds=20), offer=1
        )
        self._pass(after)
        self.tell(CallOfferMissed, agent_id="ann", offer=1, reason="timeout")
        return self

    def overflowed(self, after: float, to: str) -> Story:
        self._pass(after)
        self.tell(CallOverflowed, to_queue_id=to, wait_seconds=self.wait)
        self._enter(to)
        return self

    def answered(self, after: float) -> Story:
        self._pass(after)
        self.answered_at = self.at
        self.tell(
            CallAnswered,
            agent_id="ann",
            answered_at=self.at,
            wait_seconds=self.wait - self.away,
            total_wait_seconds=self.total - self.away,
            away_seconds=self.away,
        )
        return self

    def abandoned(self, after: float) -> Story:
        self._pass(after)
        self.tell(
            CallAbandoned,
            abandoned_at=self.at,
            wait_seconds=self.wait,
            total_wait_seconds=self.total,
            short=self.total < self.short,
            reason="hung_up",
        )
        return self

    def machine(self, after: float) -> Story:
        """The PBX recognises an answering machine before an agent speaks."""
        self._pass(after)
        self.tell(
            CallAbandoned,
            abandoned_at=self.at,
            wait_seconds=self.wait,
            total_wait_seconds=self.total,
            short=False,
            reason="hung_up",
            machine=True,
        )
        return self

    def held(self, after: float) -> Story:
        """Hangs up to be called back."""
        self._pass(after)
        self.held_at = self.at
        self.tell(
            CallbackRequested,
            phone="+33100000001",
            mode="agent_first",
            attempts=3,
            valid_until=self.at + timedelta(hours=4),
            wait_seconds=self.wait,
        )
        return self

    def _dialled(self, after: float) -> str:
        self._pass(after)
        self.dials += 1
        dial_id = f"{self.call_id}/{self.dials}"
        self.tell(
            CallbackDialled,
            dial_id=dial_id,
            attempt=self.dials,
            phone="+33100000001",
            agent_id="ann",
            ring_seconds=30,
            limit_at=self.at + timedelta(seconds=40),
        )
        return dial_id

    def unreached(self, after: float) -> Story:
        """Dialled in vain."""
        dial_id = self._dialled(after)
        self.tell(CallbackFailed, dial_id=dial_id, attempt=self.dials, reason="busy", agent_id="ann", next_at=self.at)
        return self

    def called_back(self, after: float) -> Story:
        """Dialled, and answers an agent."""
        self._dialled(after)
        return self.answered(5)

    def given_up(self, after: float) -> Story:
        """The callback has not come about."""
        self._pass(after)
        self.tell(
            CallAbandoned,
            abandoned_at=self.at,
            wait_seconds=self.wait - self.away,
            total_wait_seconds=self.total - self.away,
            short=False,
            reason="callback_unreached",
            away_seconds=self.away,
        )
        return self

    @property
    def away(self) -> float:
        """How long the caller has not been on the line."""
        return 0.0 if self.held_at is None else (self.at - self.held_at).total_seconds()

    def ended(self, talk: float) -> Story:
        assert self.answered_at is not None
        wait = (self.answered_at - (self.queued_at or self.answered_at)).total_seconds()
        self._pass(talk)
        self.ended_at = self.at
        self.tell(
            CallEnded,
            agent_id="ann",
            answered_at=self.answered_at,
            ended_at=self.at,
            wait_seconds=wait,
            talk_seconds=(self.at - self.answered_at).total_seconds(),
        )
        return self

    def wrapped_up(self, after: float) -> Story:
        assert self.answered_at is not None
        assert self.ended_at is not None
        self._pass(after)
        self.tell(
            CallWrappedUp,
            agent_id="ann",
            answered_at=self.answered_at,
            ended_at=self.ended_at,
            wrapped_up_at=self.at,
            wait_seconds=(self.answered_at - (self.queued_at or self.answered_at)).total_seconds(),
            talk_seconds=(self.ended_at - self.answered_at).total_seconds(),
            wrap_up_seconds=(self.at - self.ended_at).total_seconds(),
            disposition="done",
        )
        return self


def handed_on(by: Story, call_id: str, queue: str) -> Story:
    """The call as which the caller of a call that has ended goes on, in another queue."""
    assert by.ended_at is not None
    return Story(call_id, at=by.ended_at, tenant=by.tenant, queue=queue, first=by.first or by)


def whole(call_id: str, *, wait: float, talk: float = 100.0, wrap_up: float = 20.0, **more: Any) -> Story:
    """A call that was answered, ended and wrapped up."""
    return Story(call_id, **more).answered(wait).ended(talk).wrapped_up(wrap_up)


@dataclass
class Day:
    """One agent's day: `becomes` ends the present state after so many seconds."""

    agent: str = "ann"
    at: datetime = NINE
    queues: tuple[str, ...] = ("kettle-help",)
    state: AgentState = "available"
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.events.append(AgentLoggedIn(**self._common(), state=self.state))

    def _common(self) -> dict[str, Any]:
        return {
            "tenant_id": "floor",
            "agent_id": self.agent,
            "sequence": len(self.events) + 1,
            "pool_id": "pool-1",
            "queue_ids": list(self.queues),
            "occurred_at": self.at,
        }

    def becomes(self, state: AgentState, after: float) -> Day:
        since, before = self.at, self.state
        self.at, self.state = self.at + timedelta(seconds=after), state
        spent: dict[str, Any] = {"previous_state": before, "since_previous": since, "seconds_in_previous": after}
        if state == "logged_out":
            self.events.append(AgentLoggedOut(**self._common(), **spent))
        else:
            self.events.append(AgentStateChanged(**self._common(), **spent, state=state))
        return self


def event_id(event: Event) -> UUID:
    """The same id for the same event."""
    return derived_id(event.TYPE, event.subject, str(getattr(event, "sequence", "")))


def named(events: Sequence[Event]) -> list[tuple[object, Event]]:
    """Events with their ids, as the recount reads them."""
    return [(event_id(event), event) for event in events]


def deliveries(events: Sequence[Event]) -> list[Delivery]:
    """Events as the consumer hands them to the handler."""
    return [
        Delivery(event.TOPIC, 0, offset, event_id(event), SOURCE, event.TYPE, event, NINE, None)
        for offset, event in enumerate(events)
    ]


async def produce(kafka: Kafka, events: Sequence[Event]) -> None:
    """Publish the events, each under its own id, in their order."""
    async with kafka.producer() as producer:
        sent = []
        for event in events:
            headers, value = envelope.encode(
                event, event_id=event_id(event), source=SOURCE, time=NINE, traceparent=None
            )
            sent.append(await producer.send(event.TOPIC, value=value, key=event.key.encode(), headers=headers))
        for acknowledged in sent:
            await acknowledged


QUEUES = {"kettle": ("kettle-help", "kettle-late"), "lamp": ("lamp-info", "lamp-sales")}
WAITS = st.sampled_from([0.0, 0.0004, 0.5, 4.999999, 5.0, 19.9, 20.0, 20.000001, 61.25, 900.0, 4000.125])


@st.composite
def stories(draw: st.DrawFn, call_id: str = "c") -> list[Event]:
    """The events of one random caller: any outcome, at any moment of two hours around nine, perhaps handed on."""
    tenant = draw(st.sampled_from(sorted(QUEUES)))
    first, second = QUEUES[tenant]
    at = NINE + timedelta(microseconds=draw(st.integers(-3_600_000_000, 3_600_000_000)))
    story = Story(call_id, at=at, tenant=tenant, queue=first)
    draw(outcomes(story, second))
    parts = [story]
    while story.ended_at is not None and draw(st.booleans()):
        story = handed_on(story, f"{call_id}-{len(parts)}", second)
        draw(outcomes(story, first))
        parts.append(story)
    return [event for part in parts for event in part.events]


@st.composite
def outcomes(draw: st.DrawFn, story: Story, other_queue: str) -> None:
    """Lets the call go on at random."""
    if draw(st.booleans()):
        story.missed(draw(WAITS))
    if draw(st.integers(0, 3)) == 0:
        story.overflowed(draw(WAITS), other_queue)
    match draw(
        st.sampled_from(["waiting", "abandoned", "talking", "ended", "done", "done", "held", "called_back", "given_up"])
    ):
        case "abandoned":
            story.abandoned(draw(WAITS))
        case "held":
            story.held(draw(WAITS)).unreached(draw(WAITS))
        case "called_back":
            story.held(draw(WAITS)).called_back(draw(WAITS)).ended(draw(WAITS)).wrapped_up(draw(WAITS))
        case "given_up":
            story.held(draw(WAITS)).unreached(draw(WAITS)).given_up(draw(WAITS))
        case "talking":
            story.answered(draw(WAITS))
        case "ended":
            story.answered(draw(WAITS)).ended(draw(WAITS))
        case "done":
            story.answered(draw(WAITS)).ended(draw(WAITS)).wrapped_up(draw(WAITS))


@st.composite
def days(draw: st.DrawFn, agent: str = "a") -> list[Event]:
    """The events of one agent's random day."""
    day = Day(agent, at=NINE + timedelta(seconds=draw(st.integers(0, 3600))))
    for state in draw(st.lists(st.sampled_from(AGENT_STATES[:-1]), max_size=5)):
        day.becomes(state, draw(WAITS))
    if draw(st.booleans()):
        day.becomes("logged_out", draw(WAITS))
    return day.events


@st.composite
def logs(draw: st.DrawFn, most: int = 12) -> list[Event]:
    """The events of several random calls and agents."""
    events: list[Event] = []
    for number in range(draw(st.integers(1, most))):
        events += draw(stories(f"c-{number}"))
    for number in range(draw(st.integers(0, 2))):
        events += draw(days(f"a-{number}"))
    return events
