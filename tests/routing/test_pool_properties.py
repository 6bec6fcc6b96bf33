"""The pool under any sequence of inputs: nobody is promised twice, nobody waits for nothing, and it all replays."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any, ClassVar

import msgspec
from common.events import (
    CallAbandoned,
    CallAnnounced,
    CallArrived,
    CallAssigned,
    CallbackDialled,
    CallbackRequested,
    CallEvent,
    CallLeftInFlow,
    CallOffered,
    CallQueued,
    CallRedirected,
    CallWrappedUp,
    ConsultationAssigned,
    ConsultationEnded,
    ConsultationEvent,
    Event,
    FlowEvent,
)
from common.events.routing import AgentEvent, Channel
from common.hours import is_open, parse
from common.requirements import all_of, is_met
from common.requirements import parse as parse_requirement
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace
from plateau.checker.agents import check_agents, check_engagements, taken_calls
from plateau.checker.calls import check_calls
from routing.domain import decisions, explanation, flows, inputs
from routing.domain.agents import (
    AfterCall,
    Agent,
    Available,
    Busy,
    LoggedOut,
    Serving,
    ThenAvailable,
    ThenLogOut,
)
from routing.domain.calls import (
    Asked,
    AskedAgent,
    AskedNumber,
    AskedQueue,
    Call,
    CallingBack,
    Consultation,
    HeldPlace,
    InFlow,
    Offered,
    Queued,
    Talking,
    WrappingUp,
)
from routing.domain.configuration import (
    AgentProfile,
    Announcement,
    CallbackRules,
    Capacity,
    Closed,
    Cover,
    EstimatedWait,
    OverflowRule,
    Queue,
    QueueLength,
    Relaxation,
    Site,
    SiteDown,
    SplitPart,
    Stay,
    ToCallback,
    ToMessage,
    ToNumber,
    ToQueue,
    ToSite,
    Waited,
    Weights,
)
from routing.domain.decisions import decide
from routing.domain.memory import Memory
from routing.domain.pool import Pool
from routing.domain.shares import Positions, Share
from routing.domain.turns import Turn

from .floors import START, Floor, profile, queue
from .shared_floor import CheckedTurn, in_force, is_permitted, positions, serving, share

SKILLS = ["french", "dutch", "billing"]
QUEUES = ["q0", "q1", "q2", "q3"]
TENANTS = {"q0": "kettle", "q1": "kettle", "q2": "lamp", "q3": "lamp"}
AGENTS = ["ann", "ben", "cat", "dan", "eve"]

OPEN_IN_TURNS = parse(
    {
        "week": {
            "mon": [
                [f"{hour:02}:{minute:02}", f"{hour:02}:{minute + 2:02}"]
                for hour in (10, 11)
                for minute in range(0, 57, 4)
            ]
        }
    }
)
"""The machine's minutes are spent on a Monday from 10:00 on: two minutes open, two closed."""

COVER = (Cover(("lyon", "faro"), OPEN_IN_TURNS, "Europe/Paris"), Cover(("lyon",), OPEN_IN_TURNS, "Europe/Lisbon"))
"""The second from an hour later on."""

SPLITS = {
    tenant_id: (
        SplitPart(50, Stay()),
        SplitPart(20, ToQueue(queue_id)),
        SplitPart(20, ToSite("lyon")),
        SplitPart(10, ToNumber("partner")),
    )
    for tenant_id, queue_id in (("kettle", "q1"), ("lamp", "q2"))
}

OVERFLOWS = {
    tenant_id: st.builds(
        OverflowRule,
        st.sampled_from(
            [
                Waited(10),
                Waited(25),
                QueueLength(1),
                QueueLength(2),
                EstimatedWait(5),
                SiteDown("lyon"),
                SiteDown("lyon", waiting=True),
                Closed(),
                Closed(waiting=True),
            ]
        ),
        st.sampled_from(
            [
                *(ToQueue(one) for one in QUEUES if TENANTS[one] == tenant_id),
                ToSite("faro"),
                ToNumber("partner"),
                ToMessage("sorry"),
                ToCallback(),
            ]
        ),
    ).filter(lambda rule: not (isinstance(rule.when, Closed) and isinstance(rule.to, ToSite)))
    for tenant_id in TENANTS.values()
}
"""Also in circles: rules change one by one, and the pool has to bear what they come to together."""


CALLBACKS = st.builds(
    CallbackRules,
    mode=st.sampled_from(["agent_first", "customer_first"]),
    attempts=st.integers(1, 3),
    retry_seconds=st.sampled_from([5.0, 30.0]),
    ring_seconds=st.sampled_from([5.0, 20.0]),
    valid_seconds=st.sampled_from([60.0, 600.0]),
)
ANNOUNCEMENTS = st.builds(
    Announcement,
    message=st.sampled_from(["hold", "sorry"]),
    after_seconds=st.sampled_from([0.0, 10.0, 25.0]),
    every_seconds=st.sampled_from([None, 7.0]),
    tell=st.sampled_from([(), ("position",), ("estimated_wait", "position")]),
)
AGENT_ORDERS = st.sampled_from(["longest_idle", "best_level", "least_flexible", "fastest"])
CONTACT_PRIORITIES = st.sampled_from([None, 0, 1, 5])
PHONES = ["+33639980001", "+33639980002", ""]


def flow_to(queue_id: str) -> flows.Flow:
    """Press 1 to be called back, anything else to wait."""
    return flows.Flow(
        start="topic",
        steps={
            "topic": flows.Menu(
                prompt="topics",
                choices=(flows.Choice(digits="1", next="call-me"), flows.Choice(digits="2", next="wait")),
                otherwise="wait",
                tries=1,
                timeout_seconds=10,
            ),
            "call-me": flows.ToCallback(queue_id=queue_id, otherwise="wait"),
            "wait": flows.ToQueue(queue_id=queue_id),
        },
    )


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


skills = st.sets(st.sampled_from(SKILLS), max_size=2)
agent_ids = st.sampled_from(AGENTS)


texts = st.sampled_from(["french", "french >= 5", "dutch or billing >= 3", "french and (dutch or billing)", "dutch"])
levels = st.dictionaries(st.sampled_from(SKILLS), st.integers(1, 10), max_size=3)


capacity = st.none() | st.builds(
    Capacity,
    st.fixed_dictionaries(
        {"voice": st.integers(0, 1), "chat": st.integers(1, 3)}, optional={"email": st.integers(1, 2)}
    ),
    st.sampled_from([{}, {"voice": ("email",)}, {"voice": ("chat", "email"), "chat": ("email",)}]),
)
"""With several of a channel or not, with interruptions or not; most agents take one call at a time."""


@st.composite
def relaxations(draw: st.DrawFn) -> tuple[Relaxation, ...]:
    times = sorted(draw(st.sets(st.sampled_from([5.0, 20.0, 30.0, 45.0]), max_size=2)))
    return tuple(Relaxation(after, draw(texts)) for after in times)


@st.composite
def queues(draw: st.DrawFn, queue_id: str, channels: dict[str, Channel], version: int = 1) -> Queue:
    """Rules that lead to queues of the same channel alone, as the API has it."""
    requirement = draw(st.none() | texts)
    tenant_id = TENANTS[queue_id]
    alike = [one for one in QUEUES if TENANTS[one] == tenant_id and channels[one] == channels[queue_id]]

    def leads_to_alike(rule: OverflowRule | SplitPart) -> bool:
        return not isinstance(rule.to, ToQueue) or rule.to.queue_id in alike

    return queue(
        queue_id,
        *(sorted(draw(skills)) if requirement is None else ()),
        channel=channels[queue_id],
        tenant_id=tenant_id,
        requirement=requirement,
        relaxations=draw(relaxations()),
        missed_offers_before_break=draw(st.sampled_from([1, 1, 2, 3])),
        sticky_seconds=draw(st.sampled_from([0.0, 10.0, 25.0])),
        weights=draw(st.sampled_from([*[None] * 12, Weights(), Weights(lost_call_cost=9, service_level_target=0.8)])),
        agent_order=draw(AGENT_ORDERS),
        priority=draw(st.integers(0, 9)),
        ageing_seconds_per_priority=draw(st.sampled_from([1.0, 10.0, 60.0])),
        offer_timeout_seconds=draw(st.sampled_from([5.0, 20.0])),
        wrap_up_seconds=draw(st.sampled_from([0.0, 10.0])),
        max_wait_seconds=draw(st.sampled_from([None, 30.0, 90.0])),
        overflow=draw(st.none() | st.tuples(st.sampled_from(alike), st.sampled_from([0.0, 20.0, 30.0]))),
        hours=draw(st.sampled_from([None, None, OPEN_IN_TURNS])),
        override=draw(st.sampled_from([None, None, None, None, "open", "closed", "draining"])),
        overflows=draw(st.lists(OVERFLOWS[tenant_id].filter(leads_to_alike), max_size=2).map(tuple)),
        cover=draw(st.sampled_from([(), (), COVER, COVER[:1]])),
        callback=draw(st.none() | CALLBACKS),
        announcements=draw(st.lists(ANNOUNCEMENTS, max_size=1).map(tuple)),
        split=draw(st.sampled_from([(), (), tuple(filter(leads_to_alike, SPLITS[tenant_id]))])),
        numbers={"partner": "+33639980002"},
        version=version,
    )


@st.composite
def figures(draw: st.DrawFn) -> Positions:
    most = draw(st.none() | st.integers(0, 4))
    reserved, guaranteed = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    ceiling = 4 if most is None else most
    return positions(min(reserved, ceiling), min(guaranteed, ceiling), most)


@st.composite
def shares(draw: st.DrawFn, version: int, tenant_id: str | None = None) -> Share:
    return share(
        tenant_id or draw(st.sampled_from(["kettle", "lamp"])),
        version=version,
        burst=draw(st.none() | figures()),
        burst_hours=draw(st.sampled_from([None, OPEN_IN_TURNS])),
        burst_override=draw(st.sampled_from([None, None, "on", "off"])),
        release_after_seconds=draw(st.sampled_from([None, 3.0, 15.0])),
        figures=draw(figures()),
    )


ASKED = st.one_of(
    st.sampled_from(QUEUES).map(AskedQueue), agent_ids.map(AskedAgent), st.just(AskedNumber("+33639980002"))
)
SIMPLE: dict[str, type[Any]] = {
    "hold": inputs.Hold,
    "resume": inputs.Resume,
    "confer": inputs.Confer,
    "complete": inputs.CompleteConsultation,
    "cancel": inputs.CancelConsultation,
}
OUTCOMES = [
    "",
    "complete",
    "cancel",
    "confer",
    "confer complete",
    "confer first_leaves",
    "confer second_leaves",
    "confer caller_leaves",
    "second_leaves",
    "first_leaves",
    "caller_leaves",
]
CONVERSATION = ["consult"] * 3 + ["confer", "complete"] * 2 + ["cancel", "hold", "resume", "transfer", "take_over"]


class PoolMachine(RuleBasedStateMachine):
    """Everything that may happen to a floor, in any order."""

    steps: ClassVar[int] = 0
    """Of all floors so far."""

    def __init__(self) -> None:
        super().__init__()
        self.floor = Floor()
        self.seconds = 0.0
        self.count = 0
        self.version = 1
        self.seen = 0
        """Events that were looked at."""
        self.away: dict[str, inputs.TakeOver] = {}
        """The calls that are in another pool, or on their way to it."""
        self.looked_for = 0
        vars(decisions)["Turn"] = CheckedTurn

    @property
    def pool(self) -> Pool:
        return self.floor.pool

    @initialize(data=st.data())
    def open(self, data: st.DataObject) -> None:
        several = data.draw(st.booleans())
        self.capacity = capacity if several else st.none()
        channels: st.SearchStrategy[Channel]
        channels = st.sampled_from(["voice", "chat", "chat", "email"] if several else ["voice"])
        self.channels: dict[str, Channel] = {queue_id: data.draw(channels) for queue_id in QUEUES}
        self.channels["q0"] = "voice"
        order = data.draw(AGENT_ORDERS)
        self.floor.give(inputs.ConfigureQueue, 0, queue=queue("q0", missed_offers_before_break=2, agent_order=order))
        for queue_id in QUEUES[1:]:
            self.floor.give(inputs.ConfigureQueue, 0, queue=data.draw(queues(queue_id, self.channels)))
        for agent_id in AGENTS:
            self.floor.give(inputs.ConfigureAgent, 0, agent=self.agent(data, agent_id))
        for tenant_id in data.draw(st.sets(st.sampled_from(["kettle", "lamp"]))):
            self.floor.give(inputs.ConfigureShare, 0, share=data.draw(shares(1, tenant_id)))
        self.floor.log_in(0, *data.draw(st.sets(agent_ids)))

    def agent(self, data: st.DataObject, agent_id: str) -> AgentProfile:
        declared = profile(agent_id, version=self.version, **data.draw(levels))
        site = {"ann": "lyon", "ben": "lyon", "cat": "faro"}.get(agent_id)
        return replace(declared, capacity=data.draw(self.capacity), site_id=site)

    @rule(seconds=st.floats(0, 40), tick=st.booleans())
    def pass_time(self, seconds: float, tick: bool) -> None:
        self.seconds += seconds
        if tick:
            self.floor.tick(self.seconds)

    @rule(
        queue_id=st.sampled_from(QUEUES),
        limit=st.sampled_from([None, None, 2.0]),
        preferred=st.none() | agent_ids,
        phone=st.sampled_from(PHONES),
        contact_priority=CONTACT_PRIORITIES,
    )
    def call(
        self,
        queue_id: str,
        limit: float | None,
        preferred: str | None,
        phone: str,
        contact_priority: int | None = None,
    ) -> None:
        self.count += 1
        call_id = f"c{self.count}"
        pending = self.pool.callbacks.pending(TENANTS[queue_id], phone)
        events = self.floor.call(
            self.seconds,
            call_id,
            queue_id,
            max_wait_seconds=limit,
            preferred_agent_id=preferred,
            channel=self.channels[queue_id],
            contact_phone=phone,
            contact_priority=contact_priority,
        )
        rules = self.pool.queue(queue_id)
        assert rules is not None
        if rules.elsewhere is not None:
            assert [event for event in events if getattr(event, "call_id", None) == call_id] == [only_offer(events)]
            return
        closed = rules.hours is not None and not is_open(rules.hours, rules.time_zone, self.pool.now)
        closed = closed or (bool(rules.cover) and rules.covering_at(self.pool.now) is None)
        if rules.override is not None:
            closed = rules.override != "open"
        entered = [event.queue_id for event in events if isinstance(event, CallQueued) and event.call_id == call_id]
        kept = any(isinstance(event, CallbackRequested) and event.call_id == call_id for event in events)
        if closed or not rules.split:
            expected = not closed or (kept and queue_id == entered[-1])
            assert (queue_id in entered) is expected, "a closed queue is entered only to be called back"
        if entered:
            pending_now = self.pool.callbacks.pending(TENANTS[queue_id], phone)
            assert pending_now == (call_id if kept and phone else None), "who calls again is not called back"
        elif pending in self.pool.calls:
            assert self.pool.calls[pending].held_place is not None, "who is turned away keeps the place"
        assert all(self.pool.is_open(other) for other in entered) or kept

    @precondition(lambda self: self.flow_queues)
    @rule(data=st.data(), phone=st.sampled_from(PHONES), digits=st.sampled_from(["1", "1", "2", None]))
    def arrive(self, data: st.DataObject, phone: str, digits: str | None) -> None:
        """The caller presses at once, or not yet."""
        self.count += 1
        self.floor.give(
            inputs.ArriveCall,
            self.seconds,
            call_id=f"c{self.count}",
            entry_point_id="line",
            dialled="+33639980100",
            contact_phone=phone,
            flow=flow_to(data.draw(st.sampled_from(self.flow_queues))),
        )
        if digits is not None:
            self.pressed(self.pool.calls[f"c{self.count}"], digits)

    @rule(data=st.data(), digits=st.sampled_from(["1", "2"]))
    def press(self, data: st.DataObject, digits: str) -> None:
        self.let_time_pass()
        in_flow = [call for call in self.pool.calls.values() if isinstance(call.state, InFlow)]
        if in_flow:
            self.pressed(data.draw(st.sampled_from(in_flow)), digits)

    def pressed(self, call: Call, digits: str) -> None:
        """Who can be called back has one place, at once; whoever cannot goes on."""
        assert isinstance(call.state, InFlow)
        step = call.state.flow.steps["call-me"]
        assert isinstance(step, flows.ToCallback)
        rules = self.pool.queue(step.queue_id)
        assert rules is not None
        possible = bool(call.contact_phone) and rules.callback is not None and rules.override != "draining"
        if rules.callback is not None and not self.pool.is_open(rules.id) and rules.override is None:
            opens_at = rules.next_change(self.pool.now)
            in_time = self.pool.now + seconds(rules.callback.valid_seconds)
            possible = possible and opens_at is not None and opens_at < in_time
        pending = self.pool.callbacks.pending(call.tenant_id, call.contact_phone)
        events = self.floor.give(inputs.Digits, self.seconds, call_id=call.id, digits=digits)
        promised = [
            event
            for event in events
            if isinstance(event, CallbackRequested) and event.call_id == call.id and event.ringing_at is None
        ]
        if rules.elsewhere is not None:
            assert (digits == "1" and possible) == bool(promised)
            assert call.id not in self.pool.calls, "it goes to where the queue is at home"
            return
        if digits == "1" and possible:
            assert promised, "who can be called back is, at once"
            caller = (call.tenant_id, call.contact_phone)
            others = [one for one in self.pool.calls.values() if (one.tenant_id, one.contact_phone) == caller]
            assert [one.id for one in others if one.held_place is not None] == [call.id]
            assert pending is None or any(
                isinstance(event, CallAbandoned) and (event.call_id, event.reason) == (pending, "called_again")
                for event in events
            ), "who asks again is promised one callback"
        elif digits == "1":
            assert call.id not in self.pool.calls or self.pool.calls[call.id].no_callback is not None

    @property
    def flow_queues(self) -> list[str]:
        """Those that a flow may name: the kettle's, of voice."""
        return [one for one in QUEUES if TENANTS[one] == "kettle" and self.channels[one] == "voice"]

    @precondition(lambda self: self.pool.calls)
    @rule(data=st.data(), phone=st.sampled_from([None, *PHONES[:2]]))
    def ask_for_a_callback(self, data: st.DataObject, phone: str | None) -> None:
        call_id = data.draw(st.sampled_from(sorted(self.pool.calls)))
        self.floor.give(inputs.RequestCallback, self.seconds, call_id=call_id, phone=phone)

    @precondition(lambda self: self.pool.callbacks)
    @rule(
        data=st.data(),
        outcome=st.sampled_from(["answered", "answered", "busy", "busy", "cancel"]),
        late=st.sampled_from([False, False, True]),
    )
    def go_on_with_a_callback(self, data: st.DataObject, outcome: str, late: bool) -> None:
        """A fact of the newest attempt, or of one before; or the callback is cancelled."""
        call_id = data.draw(st.sampled_from(self.pool.callbacks.call_ids()))
        callback = self.pool.calls[call_id].callback
        assert callback is not None
        dial_id = f"{call_id}/{len(callback.dials) - late}"
        before = self.pool.calls[call_id].state
        if isinstance(before, Offered) and outcome != "cancel":
            self.floor.accept(self.seconds, call_id, before.agent_id)
            return
        if outcome == "cancel":
            self.floor.give(inputs.CancelCallback, self.seconds, call_id=call_id, by="olga")
            return
        events = self.floor.give(inputs.DialResult, self.seconds, call_id=call_id, dial_id=dial_id, outcome=outcome)
        if not isinstance(before, CallingBack) or before.dial_id != dial_id or before.limit_at <= self.pool.now:
            assert self.floor.decision.refused is not None
        else:
            assert events

    @rule(agent_id=agent_ids)
    def log_in(self, agent_id: str) -> None:
        self.floor.log_in(self.seconds, agent_id)

    @rule(agent_id=agent_ids)
    def log_out(self, agent_id: str) -> None:
        self.floor.log_out(self.seconds, agent_id)

    @rule(agent_id=agent_ids, state=st.sampled_from(["available", "break"]), reason=st.sampled_from([None, "lunch"]))
    def set_state(self, agent_id: str, state: str, reason: str | None) -> None:
        self.floor.set_state(self.seconds, agent_id, state, reason)

    @precondition(lambda self: self.pool.calls)
    @rule(data=st.data(), right=st.booleans(), agent_id=agent_ids)
    def act_on_a_call(self, data: st.DataObject, right: bool, agent_id: str) -> None:
        call_id = data.draw(st.sampled_from(sorted(self.pool.calls)))
        act = data.draw(st.sampled_from(["accept", "accept", "decline", "hang_up", "wrap_up"]))
        agent_id = (self.pool.calls[call_id].agent_id if right else None) or agent_id
        match act:
            case "accept":
                self.floor.accept(self.seconds, call_id, agent_id)
            case "decline":
                self.floor.decline(self.seconds, call_id, agent_id)
            case "hang_up":
                self.floor.hang_up(self.seconds, call_id, agent_id if right and self.count % 2 else None)
            case _:
                self.floor.wrap_up(self.seconds, call_id, agent_id)

    @rule(
        callers=st.lists(
            st.tuples(st.sampled_from(QUEUES), CONTACT_PRIORITIES, st.none() | agent_ids), min_size=2, max_size=5
        ),
        apart=st.sampled_from([0.0, 1.0, 11.0]),
    )
    def rush(self, callers: list[tuple[str, int | None, str | None]], apart: float) -> None:
        """Calls of many kinds come at once, or one soon after another."""
        for queue_id, contact_priority, preferred in callers:
            self.call(queue_id=queue_id, limit=None, preferred=preferred, phone="", contact_priority=contact_priority)
            self.seconds += apart

    @rule(several=st.lists(agent_ids, min_size=2, unique=True), apart=st.sampled_from([0.0, 1.0]))
    def staff(self, several: list[str], apart: float) -> None:
        """One agent after another is ready for calls."""
        for agent_id in several:
            self.make_ready(agent_id)
            self.seconds += apart

    @precondition(lambda self: any(agent.calls for agent in self.pool.agents.values()))
    @rule(data=st.data(), talk_seconds=st.sampled_from([1.0, 4.0, 15.0]))
    def handle_a_call(self, data: st.DataObject, talk_seconds: float) -> None:
        """Of those at hand, to the end of its wrap-up: its agent can take another one."""
        at_hand = [(one.call_id, agent.id) for agent in self.pool.agents.values() for one in agent.calls]
        call_id, agent_id = data.draw(st.sampled_from(sorted(at_hand)))
        self.floor.accept(self.seconds, call_id, agent_id)
        self.seconds += talk_seconds
        self.floor.hang_up(self.seconds, call_id, agent_id)
        self.floor.wrap_up(self.seconds, call_id, agent_id)

    def make_ready(self, agent_id: str) -> None:
        self.floor.log_in(self.seconds, agent_id)
        self.floor.set_state(self.seconds, agent_id, "available")

    @rule(agent_id=agent_ids)
    def converse(self, agent_id: str) -> None:
        """A call that is answered at once, if it rings anywhere."""
        self.make_ready(agent_id)
        self.call(queue_id="q0", limit=None, phone="+33639980001", preferred=None)
        self.answer(f"c{self.count}")

    def answer(self, call_id: str) -> None:
        call = self.pool.calls.get(call_id)
        if call is not None and isinstance(call.state, Offered):
            self.floor.accept(self.seconds, call_id, call.state.agent_id)

    def speaking(self) -> list[str]:
        """The calls in which anybody speaks, customers' and consultations."""
        return sorted(call.id for call in self.pool.calls.values() if isinstance(call.state, Talking))

    @precondition(lambda self: self.speaking())
    @rule(data=st.data(), asked=ASKED, ready=agent_ids, answered=st.booleans(), act=st.sampled_from(OUTCOMES))
    def ask_somebody(self, data: st.DataObject, asked: Asked, ready: str, answered: bool, act: str) -> None:
        """A consultation from its beginning, in most cases to its end."""
        self.make_ready(asked.agent_id if isinstance(asked, AskedAgent) else ready)
        call_id = data.draw(st.sampled_from(self.speaking()))
        agent_id = self.pool.calls[call_id].agent_id
        self.count += 1
        between = f"x{self.count}"
        about = {"call_id": call_id, "agent_id": agent_id}
        self.floor.give(inputs.Consult, self.seconds, **about, consultation_id=between, asked=asked)
        if answered:
            self.answer(between)
        for step in act.split():
            self.seconds += 1
            match step:
                case "caller_leaves":
                    self.floor.hang_up(self.seconds, call_id)
                case "first_leaves":
                    self.floor.hang_up(self.seconds, call_id, agent_id)
                case "second_leaves":
                    other = self.pool.calls.get(between)
                    self.floor.hang_up(self.seconds, between, other.agent_id if other else None)
                case _:
                    self.floor.give(SIMPLE[step], self.seconds, **about)

    @precondition(lambda self: self.speaking())
    @rule(data=st.data(), right=st.booleans(), agent_id=agent_ids, act=st.sampled_from(CONVERSATION))
    def act_in_a_conversation(self, data: st.DataObject, right: bool, agent_id: str, act: str) -> None:
        """Mostly by the agent who speaks; each command comes twice, and the second changes nothing."""
        call_id = data.draw(st.sampled_from(self.speaking()))
        who = (self.pool.calls[call_id].agent_id if right else None) or agent_id
        self.count += 1
        fields: dict[str, Any] = {"call_id": call_id, "agent_id": who}
        kind: type[Any]
        match act:
            case "consult":
                kind = inputs.Consult
                fields |= {"consultation_id": f"x{self.count}", "asked": data.draw(ASKED)}
            case "take_over":
                kind = inputs.Relieve
                fields = {"call_id": call_id, "supervisor_id": agent_id, "to_call_id": f"n{self.count}"}
            case "transfer":
                kind = inputs.Transfer
                fields["to_number"] = "+33639980002"
            case _:
                kind = SIMPLE[act]
        self.floor.give(kind, self.seconds, **fields)
        assert self.floor.give(kind, self.seconds, **fields) == []

    @rule(data=st.data(), queue_id=st.sampled_from(QUEUES))
    def change_a_queue(self, data: st.DataObject, queue_id: str) -> None:
        self.version += 1
        self.let_time_pass()
        self.floor.give(
            inputs.ConfigureQueue,
            self.seconds,
            queue=data.draw(queues(queue_id, self.channels, self.version)),
        )

    @rule(queue_id=st.sampled_from(QUEUES))
    def move_a_queue(self, queue_id: str) -> None:
        """To another pool."""
        self.version += 1
        self.let_time_pass()
        rules = self.pool.queue(queue_id)
        assert rules is not None
        moved = replace(rules.at_home_in("side"), version=self.version)
        self.floor.give(inputs.ConfigureQueue, self.seconds, queue=moved, moved=True)

    @precondition(lambda self: self.away)
    @rule(data=st.data())
    def give_a_call_back(self, data: st.DataObject) -> None:
        """The other pool hands it over: its queue has come home, or this is what that pool thinks."""
        given = self.away.pop(data.draw(st.sampled_from(sorted(self.away))))
        self.floor.give(inputs.TakeOver, self.seconds, call=given.call, phase=given.phase)

    @rule(data=st.data(), agent_id=agent_ids, drain=st.sampled_from([None, None, "fire drill"]))
    def change_an_agent(self, data: st.DataObject, agent_id: str, drain: str | None) -> None:
        self.version += 1
        self.let_time_pass()
        changed = replace(self.agent(data, agent_id), drain=drain)
        self.floor.give(inputs.ConfigureAgent, self.seconds, agent=changed)

    @rule(site_id=st.sampled_from(["lyon", "faro"]), down=st.booleans(), drain=st.sampled_from([None, None, "repairs"]))
    def set_a_site(self, site_id: str, down: bool, drain: str | None) -> None:
        self.version += 1
        self.let_time_pass()
        self.floor.give(inputs.ConfigureSite, self.seconds, site=Site(site_id, down, self.version, drain))

    @rule(data=st.data())
    def change_a_share(self, data: st.DataObject) -> None:
        self.version += 1
        self.let_time_pass()
        self.floor.give(inputs.ConfigureShare, self.seconds, share=data.draw(shares(self.version)))

    @rule()
    def restart(self) -> None:
        """The owner dies; the next one reads what was saved, as JSON."""
        self.floor.pool = reloaded(self.pool)

    @invariant()
    def calls_and_agents_say_the_same(self) -> None:
        of_agents = {one.call_id: (agent.id, one) for agent in self.pool.agents.values() for one in agent.calls}
        assert len(of_agents) == sum(len(agent.calls) for agent in self.pool.agents.values()), "two agents for a call"
        of_calls = {call.id: call for call in self.pool.calls.values() if call.agent_id is not None}
        assert of_agents.keys() == of_calls.keys()
        for call_id, (agent_id, one) in of_agents.items():
            call = of_calls[call_id]
            assert call.agent_id == agent_id
            phases = {Offered: "offered", CallingBack: "busy", Talking: "busy", WrappingUp: "wrap_up"}
            assert one.phase == phases[type(call.state)]
            assert one.paused == call.is_paused

    @invariant()
    def places_are_kept_and_rest_only_for_a_reason(self) -> None:
        for call in self.pool.calls.values():
            held = call.held_place
            assert (held is not None) <= (call.callback is not None)
            if isinstance(held, HeldPlace) and isinstance(call.state, HeldPlace):
                assert held.expires_at > self.pool.now
                closed = not self.pool.is_open(call.queue_id)
                if held.rests_until is not None:
                    assert held.rests_until > self.pool.now
                    assert closed or held.rests_until == held.not_before

    @invariant()
    def whoever_is_drained_finishes_their_calls_and_is_gone(self) -> None:
        for agent in self.pool.agents.values():
            if self.pool.drained(agent.id) is not None:
                assert isinstance(agent.state, LoggedOut | Busy | AfterCall | Serving)
                if isinstance(agent.state, Serving):
                    assert agent.state.then == ThenLogOut()
                    assert not any(one.phase == "offered" for one in agent.calls)

    @invariant()
    def nobody_has_more_than_goes_together(self) -> None:
        for agent in self.pool.agents.values():
            declared = self.declared(agent.id).capacity
            assert [one.channel for one in agent.calls].count("voice") <= 1
            if not isinstance(agent.state, Serving):
                assert len(agent.calls) <= 1
                continue
            assert agent.calls
            spoken = [one.channel for one in agent.calls if one.phase != "offered"]
            halted = {other for one in spoken for other in (declared.interrupts.get(one, ()) if declared else ())}
            for one in agent.calls:
                assert one.paused == (one.phase != "offered" and one.channel in halted)
                assert one.phase != "offered" or one.channel not in halted, "rings but would stand still at once"

    @invariant()
    def who_waits_for_another_pool_is_not_here(self) -> None:
        for event in self.floor.events[self.looked_for :]:
            if isinstance(event, inputs.TakeOver):
                assert event.call.id not in self.away
                assert event.call.moving_to == event.pool_id == "side"
                self.away[event.call.id] = event
        self.looked_for = len(self.floor.events)
        assert self.away.keys().isdisjoint(self.pool.calls)
        for call in self.pool.calls.values():
            if isinstance(call.state, Queued | HeldPlace):
                rules = self.pool.queue(call.queue_id)
                assert rules is not None
                assert rules.elsewhere is None

    @invariant()
    def a_consultation_is_open_in_the_call_that_it_is_about(self) -> None:
        asked = {
            call.state.consultation.id: (call.id, call.agent_id)
            for call in self.pool.calls.values()
            if isinstance(call.state, Talking)
            and call.state.consultation is not None
            and not isinstance(call.state.consultation.asked, AskedNumber)
        }
        between = {
            call.id: (call.consults.call_id, call.consults.agent_id)
            for call in self.pool.calls.values()
            if call.consults is not None and call.is_consultation
        }
        assert asked == between
        for call in self.pool.calls.values():
            match call.state:
                case Talking(consultation=Consultation(id=joined, joined=True)) if joined in between:
                    assert isinstance(self.pool.calls[joined].state, Talking)
                case _:
                    pass

    @invariant()
    def nobody_may_and_could_take_a_waiting_call(self) -> None:
        every = [(call, call.state) for call in self.pool.calls.values() if isinstance(call.state, Queued)]
        waiting = [call for call, state in every if state.alone_until is None]
        waiting += [
            call
            for call in self.pool.calls.values()
            if isinstance(call.state, HeldPlace)
            and call.state.rests_until is None
            and call.callback is not None
            and call.callback.rules.mode == "agent_first"
        ]
        for agent in self.pool.agents.values():
            for call in waiting:
                if self.could_take(agent, call) and self.may_serve(agent.id, call):
                    assert not is_permitted(self.pool, call, agent.id) or self.is_kept_from(call), (agent, call)
        for call, state in every:
            if state.alone_until is not None:
                assert call.offers == 0
                assert state.alone_until > self.pool.now
                preferred = self.pool.agents[call.preferred_agent_id or ""]
                assert not isinstance(preferred.state, LoggedOut)
                assert not self.could_take(preferred, call)
                assert self.may_serve(preferred.id, call)

    @invariant()
    def what_is_explained_of_agents_is_what_the_pool_goes_by(self) -> None:
        call = next((one for one in self.pool.calls.values() if isinstance(one.state, Queued)), None)
        if call is None:
            return
        rules = self.pool.queue(call.queue_id)
        assert rules is not None
        staff = [
            (declared, self.pool.agents[declared.id])
            for declared in self.pool.profiles
            if declared.id in self.pool.agents and not (declared.site_id and self.pool.is_down(declared.site_id))
        ]
        told = explanation.waiting(call, rules, [], staff, self.pool.now)
        assert told is not None
        serving = [
            agent
            for _, agent in staff
            if not isinstance(agent.state, LoggedOut) and self.pool.may_serve(agent.id, call, told.ring)
        ]
        assert told.agents_logged_in == len(serving)
        assert told.agents_available == sum(self.pool.can_take(agent, call) for agent in serving)

    def declared(self, agent_id: str) -> AgentProfile:
        (declared,) = [one for one in self.pool.profiles if one.id == agent_id]
        return declared

    def could_take(self, agent: Agent, call: Call) -> bool:
        """By the definition: nothing at hand, or what goes beside the call."""
        declared = self.declared(agent.id).capacity
        if declared is None or isinstance(agent.state, Available):
            return isinstance(agent.state, Available)
        if not isinstance(agent.state, Serving) or agent.state.then != ThenAvailable():
            return False
        channel = self.channels[call.queue_id]
        have = [one.channel for one in agent.calls]
        if have.count(channel) >= declared.calls.get(channel, 0):
            return False
        for other in {*have} - {channel}:
            if other in declared.interrupts.get(channel, ()):
                continue
            if channel == "voice" or other == "voice" or channel in declared.interrupts.get(other, ()):
                return False
        return True

    def is_kept_from(self, call: Call) -> bool:
        """Only by weights, and then it is told for whom, and that the agent is worth more there."""
        keeping = self.pool.keeping(call)
        if all(one.weights is None for one in self.pool.queues) or keeping is None:
            return False
        return bool(keeping.rivals) and all(one.price >= keeping.bid < one.bid for one in keeping.rivals)

    def may_serve(self, agent_id: str, call: Call | CallAssigned) -> bool:
        """By the definition: the requirement, or one of the relaxations whose time has come."""
        rules = self.pool.queue(call.queue_id)
        assert rules is not None
        assert call.queued_at is not None
        now = call.occurred_at if isinstance(call, CallAssigned) else self.pool.now
        due = [one.requirement for one in rules.relaxations if call.queued_at + seconds(one.after_seconds) <= now]
        first = all_of(rules.required_skills) if rules.requirement is None else parse_requirement(rules.requirement)
        declared = self.declared(agent_id)
        if declared.capacity is not None and not declared.capacity.calls.get(self.channels[call.queue_id], 0):
            return False
        if declared.site_id is not None and self.pool.is_down(declared.site_id):
            return False
        known = self.pool.calls.get(call.call_id) if isinstance(call, CallAssigned) else call
        sites = rules.covering_at(now)
        for move in () if known is None else known.moves:
            if isinstance(move.to, ToSite) and move.queue_id == call.queue_id and move.moved_at <= now:
                sites = (move.to.site_id,)
        if known is not None and sites is not None and declared.site_id not in sites:
            return False
        return any(is_met(one, declared.skills) for one in [first, *map(parse_requirement, due)])

    @invariant()
    def nobody_is_offered_a_call_that_they_may_not_serve(self) -> None:
        for event in self.floor.events[self.seen :]:
            if isinstance(event, CallAssigned):
                assert self.may_serve(event.agent_id, event)
            elif isinstance(event, ConsultationAssigned) and event.occurred_at == self.pool.now:
                call = self.pool.calls.get(event.call_id)
                if call is not None and call.agent_id == event.agent_id and call.preferred_agent_id is None:
                    assert self.may_serve(event.agent_id, call)
        self.seen = len(self.floor.events)

    def let_time_pass(self) -> None:
        """What was due before a change of the rules happened under the old ones."""
        self.floor.tick(self.seconds)
        self.nobody_is_offered_a_call_that_they_may_not_serve()

    @invariant()
    def shares_are_as_their_hours_say_and_count_right(self) -> None:
        for one in self.pool.sharing.known:
            assert in_force(self.pool).get(one.tenant_id, positions()) == one.positions_at(self.pool.now)
            standing = self.pool.sharing.standing(one.tenant_id)
            assert standing is None or standing.serving == serving(self.pool, one.tenant_id)

    @invariant()
    def nothing_is_overdue(self) -> None:
        PoolMachine.steps += 1
        due = self.pool.next_due()
        assert due is None or due > self.pool.now

    @invariant()
    def what_is_remembered_is_what_waits(self) -> None:
        """An estimator counts the calls that wait for their first agent, and only queues whose rules ask have one."""
        for memory in self.pool.memories.all():
            if memory.estimator is None:
                assert memory.shares is not None or memory.figures is not None
                continue
            waiting = [call for call in self.pool.waiting_in(memory.queue_id) if call.offers == 0]
            assert memory.estimator.waiting == len(waiting)

    def teardown(self) -> None:
        """Left alone and hung up on, every call ends, in exactly one way; and the same inputs give the same events."""
        for rules in self.pool.queues:
            self.version += 1
            come_home = replace(rules, elsewhere=None, version=self.version)
            self.floor.give(inputs.ConfigureQueue, self.seconds, queue=come_home)
        self.who_waits_for_another_pool_is_not_here()
        for given in self.away.values():
            self.floor.give(inputs.TakeOver, self.seconds, call=given.call, phase=given.phase)
        for agent_id in AGENTS:
            self.floor.log_out(self.seconds, agent_id)
        for call_id in sorted(self.pool.calls):
            self.floor.hang_up(self.seconds, call_id)
        for call_id in self.pool.callbacks.call_ids():
            if len(call_id) % 2:
                self.floor.give(inputs.CancelCallback, self.seconds, call_id=call_id, by="olga")
        self.floor.tick(self.seconds + 1000)
        assert self.pool.calls == {}
        check_histories(self.floor.events)
        check_by_the_log(self.floor.events)
        again = Pool("main", START)
        replayed = [fact.event for given, trace in self.floor.given for fact in decide(again, given, trace).facts]
        assert replayed == self.floor.events
        vars(decisions)["Turn"] = Turn


def only_offer(events: list[Event]) -> inputs.OfferCall:
    """The one call that is sent on."""
    (sent_on,) = [event for event in events if isinstance(event, inputs.OfferCall)]
    assert sent_on.pool_id == "side"
    return sent_on


def reloaded(pool: Pool) -> Pool:
    """The pool after a round trip through JSON."""
    calls = msgspec.json.decode(msgspec.json.encode(list(pool.calls.values())), type=list[Call])
    agents = msgspec.json.decode(msgspec.json.encode(list(pool.agents.values())), type=list[Agent])
    assert calls == list(pool.calls.values())
    assert agents == list(pool.agents.values())
    memories = msgspec.json.decode(msgspec.json.encode(pool.memories.all()), type=list[Memory])
    known = msgspec.json.decode(msgspec.json.encode(pool.sharing.known), type=list[Share])
    again = Pool.load(pool.id, pool.now, pool.queues, pool.profiles, agents, calls, memories, pool.sites, known)
    assert again.memories.all() == memories
    return again


def test_the_best_call_and_agent_are_those_that_a_full_scan_would_find() -> None:
    """The indexes against the definition, on a floor with many kinds of agents and queues."""
    chance = random.Random(7)
    every = [f"s{number}" for number in range(6)]
    floor = Floor(
        *(queue(f"q{n}", *chance.sample(every, chance.randint(0, 2)), priority=n % 10) for n in range(30)),
        *(profile(f"a{n}", *chance.sample(every, chance.randint(0, 6))) for n in range(60)),
    )
    pool = floor.pool
    skills_of = {one.id: one.skills for one in pool.profiles}

    def scan_agent(queue_id: str) -> str | None:
        able = [
            (agent.state.since, len(skills_of[agent.id]), agent.id)
            for agent in pool.agents.values()
            if isinstance(agent.state, Available) and queue_id in pool.queue_ids_of(agent.id)
        ]
        return min(able)[-1] if able else None

    def scan_call(agent_id: str) -> str | None:
        able = []
        for call in pool.calls.values():
            rules = pool.queue(call.queue_id)
            assert rules is not None
            if isinstance(call.state, Queued) and rules.id in pool.queue_ids_of(agent_id):
                head_start = (rules.priority - 5) * rules.ageing_seconds_per_priority
                able.append((call.first_queued_at.timestamp() - head_start, call.id))
        return min(able)[1] if able else None

    for step in range(150):
        for queue_id in (f"q{n}" for n in range(30)):
            best = pool.best_agent(queue_id, 0)
            assert (best.id if best else None) == scan_agent(queue_id)
        for agent_id in (f"a{n}" for n in range(60)):
            first = pool.best_call(agent_id)
            assert (first.id if first else None) == scan_call(agent_id)
        agent_id = f"a{chance.randrange(60)}"
        if chance.random() < 0.5:
            floor.call(step, f"c{step}", f"q{chance.randrange(30)}")
        elif pool.agents[agent_id].state_name == "logged_out":
            floor.log_in(step, agent_id)
        else:
            floor.log_out(step, agent_id)


ENDINGS = CallAbandoned | CallRedirected | CallWrappedUp | CallLeftInFlow | ConsultationEnded


def check_histories(events: list[Event]) -> None:
    """Each call's events are numbered 1, 2, 3 … and it ends in exactly one way; so does each consultation, unless it
    becomes a call."""
    histories: dict[str, list[CallEvent | FlowEvent | ConsultationEvent]] = {}
    for event in events:
        if isinstance(event, CallEvent | FlowEvent | ConsultationEvent):
            histories.setdefault(event.call_id, []).append(event)
    for history in histories.values():
        assert [event.sequence for event in history] == list(range(1, len(history) + 1))
        called = [event for event in history if isinstance(event, CallEvent | FlowEvent)]
        endings = [event for event in history if isinstance(event, ENDINGS)]
        assert endings == history[-1:]
        if isinstance(history[0], ConsultationEvent):
            assert isinstance(history[-1], ConsultationEnded) is (not called)
        if called:
            assert isinstance(called[0], CallOffered | CallArrived)
            assert history[-len(called) :] == called, "once a call, it is a consultation no more"
        entered = [event.queue_id for event in called if isinstance(event, CallQueued)]
        assert len(set(entered)) == len(entered), "a call enters a queue once"
        dials = [event.dial_id for event in called if isinstance(event, CallbackDialled)]
        assert len(set(dials)) == len(dials), "an attempt is dialled once"
        announced = [
            (event.entry, event.message, event.occurred_at) for event in called if isinstance(event, CallAnnounced)
        ]
        assert len(set(announced)) == len(announced), "each queue that the call enters begins its own schedule"


def check_by_the_log(events: list[Event]) -> None:
    """What the checker of the event log promises everybody: it knows nothing of pools."""
    calls = [event for event in events if isinstance(event, CallEvent | FlowEvent | ConsultationEvent)]
    spoken = [event for event in calls if not isinstance(event, FlowEvent)]
    agents = [event for event in events if isinstance(event, AgentEvent)]
    assert check_calls(calls, complete=True) == []
    assert check_agents(agents, taken_calls(spoken)) == []
    assert check_engagements(spoken, agents) == []


PoolMachine.TestCase.settings = settings(max_examples=300, stateful_step_count=50, deadline=None)


class TestPool(PoolMachine.TestCase):  # type: ignore[misc, valid-type]
    def runTest(self) -> None:
        PoolMachine.steps = 0
        super().runTest()
        assert PoolMachine.steps >= 10_000
