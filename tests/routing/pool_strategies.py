"""What a floor can be declared as, and what can be asked of it: the strategies of its property tests."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from common.events.routing import Channel
from common.hours import parse
from hypothesis import strategies as st
from routing.domain import flows, inputs
from routing.domain.call_states import AskedAgent, AskedNumber, AskedQueue
from routing.domain.configuration import (
    Announcement,
    CallbackRules,
    Capacity,
    Closed,
    Cover,
    EstimatedWait,
    NobodyLoggedIn,
    OverflowRule,
    Queue,
    QueueLength,
    Relaxation,
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
from routing.domain.shares import Positions, Share

from .floors import queue
from .shared_floor import positions, share

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
                for minute in range(0, 48, 4)
            ]
        }
    }
)
"""The machine's minutes are spent on a Monday from 10:00 on: two minutes open, two closed. A day has 24 at most."""

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
                NobodyLoggedIn(),
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
        overflows=(
            *draw(st.lists(OVERFLOWS[tenant_id].filter(leads_to_alike), max_size=2)),
            *draw(st.sampled_from([(), (), (OverflowRule(NobodyLoggedIn(), ToMessage("nobody")),)])),
        ),
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
CONVERSATION = (
    ["consult"] * 3 + ["confer", "complete"] * 2 + ["cancel", "hold", "resume", "transfer", "take_over", "hand_on"]
)
