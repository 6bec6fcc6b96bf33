"""A day with shares, callers who are called back and agents with several calls at a time, simulated again."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from common.events import CallbackDialled, CallQueued
from common.events.base import Event
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from routing.domain import inputs
from routing.domain.configuration import CallbackRules, Capacity, OverflowRule, ToCallback, Waited
from routing.domain.outcomes import Line
from routing.domain.playing import AddedAgent, Changes
from routing.domain.shares import Share
from routing.domain.simulation import Simulated, Task, simulate

from .days import Day, seconds_of
from .floors import Floor, at, profile, queue
from .shared_floor import positions, share

AGENT_FIRST = CallbackRules(mode="agent_first", attempts=2, retry_seconds=60, ring_seconds=20, valid_seconds=3600)
CUSTOMER_FIRST = replace(AGENT_FIRST, mode="customer_first")
SEVERAL = Capacity({"voice": 1, "email": 2}, {"voice": ("email",)})
QUEUES = (
    queue("orders", "orders", callback=AGENT_FIRST),
    queue("help", "help", tenant_id="lantern", service_level_seconds=30.0, callback=CUSTOMER_FIRST),
    queue("mail", "orders", channel="email", priority=2, service_level_seconds=600.0),
)
AGENTS = tuple(
    replace(profile(f"a{n}", *(["orders", "help"] if n % 2 else ["orders"])), capacity=SEVERAL if n > 3 else None)
    for n in range(6)
)
SHARES = (share("kettle", guaranteed=2), share("lantern", reserved=1, burst=positions(reserved=3)))
DAY = 2 * 3600.0


def a_day(seed: int, *, miss: float = 0.0, calls_an_hour: float = 130.0) -> Floor:
    """Two hours in which a third of those who wait long enough ask to be called back, one dial in three fails, the
    operator switches a burst on in the middle, and e-mails are interrupted by calls; then all come to an end."""
    day = Day(Floor(*QUEUES, *AGENTS), seed, miss)
    for one in SHARES:
        day.plan(0, inputs.ConfigureShare, share=one)
    day.plan(DAY / 2, inputs.ConfigureShare, share=replace(SHARES[1], version=2, burst_override="on"))
    for agent in AGENTS:
        day.plan(0, inputs.LogIn, agent_id=agent.id)
    for seconds, queue_id in day.callers(DAY, calls_an_hour, "orders", "orders", "help", "mail"):
        day.plan(
            seconds,
            inputs.OfferCall,
            call_id=f"c{day.planned}",
            queue_id=queue_id,
            contact_phone=f"+3363998{day.planned:04}",
            channel="email" if queue_id == "mail" else "voice",
            direction="inbound",
        )
    for seconds, kind, fields in day.steps():
        call = day.floor.pool.calls.get(fields.get("call_id", ""))
        if kind == "patience":
            if call is None or call.state_name not in ("queued", "offered") or call.callback is not None:
                continue
            kind = inputs.HangUp
        elif kind is inputs.RequestCallback and (
            call is None or call.state_name != "queued" or call.channel != "voice"
        ):
            continue
        elif kind in (inputs.HangUp, inputs.WrapUp) and call is not None and call.is_paused:
            day.plan(seconds + 5, kind, **fields)
            continue
        for event in day.floor.give(kind, seconds, **fields):
            _callers_react(day, event)
            day.react(event)
    return day.floor


def _callers_react(day: Day, event: Event) -> None:
    chance = day.chance
    match event:
        case CallQueued() if event.channel == "voice":
            if chance.random() < 0.35:
                day.plan(seconds_of(event) + chance.uniform(15, 60), inputs.RequestCallback, call_id=event.call_id)
            day.plan(seconds_of(event) + chance.expovariate(1 / 90), "patience", call_id=event.call_id)
        case CallbackDialled():
            outcome = chance.choice(["answered", "answered", "busy"])
            dialled = {"call_id": event.call_id, "dial_id": event.dial_id, "outcome": outcome}
            day.plan(seconds_of(event) + chance.uniform(3, 15), inputs.DialResult, **dialled)
        case _:
            pass


def simulated(floor: Floor, changes: Changes | None = None, **task: Any) -> Simulated:
    wanted = {
        "pool_id": "main",
        "start": at(0),
        "end": at(2 * DAY),
        "seed": "s",
        "queues": QUEUES,
        "profiles": AGENTS,
        "shares": SHARES,
        "changes": changes or Changes(),
        **task,
    }
    *_, done = simulate(Task(**wanted), [one for one, _ in floor.given])
    assert isinstance(done, Simulated)
    return done


def line(done: Simulated, tenant_id: str | None = None, queue_id: str | None = None) -> Line:
    (found,) = [one for one in done.lines if (one.tenant_id, one.queue_id) == (tenant_id, queue_id)]
    return found


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000))
@example(1)
@example(124)  # an offer is withdrawn, and made again to the same agent
def test_without_a_draw_that_matters_the_day_comes_out_as_it_was(seed: int) -> None:
    """Given any whole day on which no offer was missed; when it is simulated as it was; then every figure of every
    tenant and queue is what happened, but for the rounding of microseconds: patience is only drawn beyond what callers
    are known to have borne, conversations, attempts and reactions are the day's own."""
    done = simulated(a_day(seed))
    assert done.called_back > 0
    for one in done.lines:
        was, simulated_again = msgspec.structs.asdict(one.recorded), msgspec.structs.asdict(one.baseline)
        assert simulated_again == pytest.approx(was, abs=1e-4), (one.tenant_id, one.queue_id)
        assert one.changed == one.baseline


def test_with_missed_offers_days_come_out_as_they_were_on_average() -> None:
    """Given days on which one offer in twenty was missed; when they are simulated; then on average answered calls
    differ by less than 1 % and the rates by less than 0.01, and on no day by ten times that: how long an agent stays
    away after a miss is drawn, and one such break more or less of a minute moves every call after it by one agent of
    six."""
    off: dict[str, list[float]] = {"answered": [], "abandonment": [], "service_level": [], "occupancy": []}
    for seed in range(6):
        pool = line(simulated(a_day(seed, miss=0.05)))
        assert pool.baseline.offered == pool.recorded.offered
        for name, differences in off.items():
            was, comes_out = getattr(pool.recorded, name), getattr(pool.baseline, name)
            differences.append(comes_out / was - 1 if name == "answered" else comes_out - was)
    assert any(off["answered"]), "nothing was drawn"
    for name, differences in off.items():
        assert abs(sum(differences)) / len(differences) < 0.01, name
        assert max(map(abs, differences)) < 0.1, name


def test_the_same_request_has_the_same_answer() -> None:
    changes = Changes(shares={"kettle": share("kettle", reserved=3)}, capacities={"a0": SEVERAL})
    day = a_day(3, miss=0.05)
    assert msgspec.json.encode(simulated(day, changes)) == msgspec.json.encode(simulated(day, changes))


def test_a_tenant_that_may_have_one_agent_at_most_is_served_worse_and_the_other_better() -> None:
    day = a_day(5, calls_an_hour=180)
    done = simulated(day, Changes(shares={"lantern": share("lantern", most=1)}))
    worse, better = (line(done, tenant_id).difference["asa_seconds"] for tenant_id in ("lantern", "kettle"))
    assert worse is not None
    assert better is not None
    assert worse > 0 > better


TWO = (queue("orders"), queue("help", tenant_id="lantern"))
ONE_AGENT = (profile("ann"),)


def rivals() -> Floor:
    """Ann takes lantern's call at 10 s for 100 s; kettle's caller comes at 20 s and gives up at 60 s."""
    floor = Floor(*TWO, *ONE_AGENT)
    floor.log_in(5, "ann")
    floor.call(10, "c1", "help")
    floor.accept(12, "c1", "ann")
    floor.call(20, "c2", "orders", contact_phone="+33639980002")
    floor.hang_up(60, "c2")
    floor.hang_up(112, "c1")
    floor.wrap_up(122, "c1", "ann")
    return floor


def small(floor: Floor, changes: Changes, **task: Any) -> Simulated:
    known = {"queues": TWO, "profiles": ONE_AGENT, "shares": (), "end": at(1000)}
    return simulated(floor, changes, **{**known, **task})


def test_known_answer_a_reservation_keeps_the_agent_for_its_tenant() -> None:
    """With ann reserved for kettle its caller is answered at once, and lantern's waits for her in vain; so it does when
    lantern may have nobody."""
    done = small(rivals(), Changes(shares={"kettle": share("kettle", reserved=1)}))
    kettle, lantern = line(done, "kettle"), line(done, "lantern")
    assert (kettle.recorded, kettle.recorded.answered) == (kettle.baseline, 0)
    assert (kettle.changed.answered, kettle.changed.asa_seconds, lantern.changed.answered) == (1, 2.0, 0)
    barred = small(rivals(), Changes(shares={"lantern": share("lantern", most=0)}))
    assert line(barred, "lantern").changed.answered == 0


def test_known_answer_without_its_share_a_tenant_loses_what_it_had() -> None:
    """Given a day on which kettle had ann reserved; when the share is taken away, then lantern's call takes her."""
    floor = Floor(*TWO, *ONE_AGENT)
    floor.give(inputs.ConfigureShare, 0, share=share("kettle", reserved=1))
    floor.log_in(5, "ann")
    floor.call(10, "c1", "help")
    floor.call(20, "c2", "orders", contact_phone="+33639980002")
    floor.accept(22, "c2", "ann")
    floor.hang_up(60, "c1")
    floor.hang_up(122, "c2")
    floor.wrap_up(132, "c2", "ann")
    none = Share(tenant_id="kettle", time_zone="Europe/Paris", version=0)
    done = small(floor, Changes(shares={"kettle": none}), shares=(share("kettle", reserved=1),))
    kettle, lantern = line(done, "kettle"), line(done, "lantern")
    assert (kettle.recorded, kettle.baseline.answered, lantern.baseline.answered) == (kettle.baseline, 1, 0)
    assert (kettle.changed.asa_seconds, lantern.changed.answered) != (kettle.baseline.asa_seconds, 0)
    assert lantern.changed.answered == 1


@pytest.mark.parametrize("known_since_before", [True, False])
def test_a_burst_counts_from_the_operators_word_on(known_since_before: bool) -> None:
    """Given a burst of kettle's that the operator switched on at 8 s, all that the inputs tell of the share or not;
    when the day is simulated, then ann is kept from then on; and a changed burst is switched on at that very time."""
    usual = share("kettle", burst=positions(reserved=1))
    floor = Floor(*TWO, *ONE_AGENT)
    if known_since_before:
        floor.give(inputs.ConfigureShare, 0, share=usual)
    floor.give(inputs.ConfigureShare, 8, share=replace(usual, version=2, burst_override="on"))
    floor.log_in(9, "ann")
    floor.call(10, "c1", "help")
    floor.call(20, "c2", "orders", contact_phone="+33639980002")
    floor.accept(22, "c2", "ann")
    floor.hang_up(60, "c1")
    floor.hang_up(122, "c2")
    floor.wrap_up(132, "c2", "ann")
    done = small(floor, Changes(shares={"kettle": share("kettle", burst=positions(most=0))}), shares=(usual,))
    kettle = line(done, "kettle")
    assert kettle.recorded == kettle.baseline
    assert kettle.baseline.answered == 1
    assert kettle.changed.answered == 0


def test_known_answer_an_agent_who_takes_two_chats_answers_both_at_once() -> None:
    """One agent and two chats at once, of 100 s each and 10 s of wrap-up: one after the other 2 s and 114 s after they
    came, beside each other 2 s and 2 s after."""
    chats = (queue("chat", channel="chat"),)
    floor = Floor(*chats, *ONE_AGENT)
    floor.log_in(0, "ann")
    for call_id in ("c1", "c2"):
        floor.call(10, call_id, "chat", channel="chat")
    floor.accept(12, "c1", "ann")
    floor.hang_up(112, "c1", "ann")
    floor.wrap_up(122, "c1", "ann")
    floor.accept(124, "c2", "ann")
    floor.hang_up(224, "c2", "ann")
    floor.wrap_up(234, "c2", "ann")
    done = small(floor, Changes(capacities={"ann": Capacity({"chat": 2})}), queues=chats)
    pool = line(done)
    assert (pool.recorded, pool.baseline.asa_seconds) == (pool.baseline, 58.0)
    assert pool.changed.asa_seconds == 2.0
    assert pool.changed.occupancy == pytest.approx(112 / 1000)
    assert any("takes longer beside others is not known" in note for note in done.notes)
    single = simulated(
        floor, Changes(added=(AddedAgent(id="ben", skills={}, capacity=Capacity({"chat": 1})),)),
        queues=chats, profiles=ONE_AGENT, shares=(), end=at(1000),
    )  # fmt: skip
    assert line(single).changed.asa_seconds == 2.0


def test_known_answer_an_interrupted_email_lasts_as_long_as_the_interruption_more() -> None:
    """Given an e-mail of 100 s that a call interrupts for 50 s; when nothing is changed, then it ends when it did; when
    the call goes to somebody else, then it ends 50 s sooner."""
    two = (queue("orders"), queue("mail", channel="email"))
    ann = replace(profile("ann"), capacity=Capacity({"voice": 1, "email": 1}, {"voice": ("email",)}))
    floor = Floor(*two, ann)
    floor.log_in(0, "ann")
    floor.call(10, "e1", "mail", channel="email")
    floor.accept(12, "e1", "ann")
    floor.call(50, "c1", "orders")
    floor.accept(52, "c1", "ann")
    floor.hang_up(92, "c1", "ann")
    floor.wrap_up(102, "c1", "ann")
    floor.hang_up(162, "e1", "ann")
    floor.wrap_up(162, "e1", "ann")
    ben = AddedAgent(id="ben", skills={}, capacity=Capacity({"voice": 1}))
    done = small(floor, Changes(added=(ben,)), queues=two, profiles=(ann,))
    mail, pool = line(done, "kettle", "mail"), line(done)
    assert mail.recorded == mail.baseline
    assert pool.recorded == pool.baseline
    assert pool.baseline.occupancy == pytest.approx(152 / 1000)
    assert mail.baseline.occupancy == pytest.approx((102 - 1) / 1000), "while the call rings, the time is of both"
    assert mail.changed.occupancy == pytest.approx(102 / 2000)


def called_back() -> Floor:
    """Three callers wait for nobody: two give up after 80 and 90 s, one asks at 30 s to be called back. Ann comes at
    200 s, accepts after 2 s, the customer is busy, and answers the second attempt 5 s after its dial."""
    floor = Floor(queue("orders", callback=AGENT_FIRST), *ONE_AGENT)
    floor.call(0, "c1", "orders")
    floor.give(inputs.RequestCallback, 30, call_id="c1")
    for call_id in ("c2", "c3"):
        floor.call(40, call_id, "orders", contact_phone=f"+3363998000{call_id[1]}")
    floor.hang_up(120, "c2")
    floor.hang_up(130, "c3")
    floor.log_in(200, "ann")
    floor.accept(202, "c1", "ann")
    floor.give(inputs.DialResult, 208, call_id="c1", dial_id="c1/1", outcome="busy")
    floor.tick(268)
    floor.accept(270, "c1", "ann")
    floor.give(inputs.DialResult, 275, call_id="c1", dial_id="c1/2", outcome="answered")
    floor.hang_up(375, "c1", "ann")
    floor.wrap_up(385, "c1", "ann")
    return floor


CALLING = (queue("orders", callback=AGENT_FIRST),)


def test_known_answer_a_callback_is_taken_as_it_was() -> None:
    """As it was: answered at the second attempt, after 30 s on the line. With ann there all along the same offer of a
    callback is not needed: she answers before it."""
    done = small(called_back(), Changes(added=(AddedAgent(id="ben", skills={}),)), queues=CALLING)
    pool = line(done)
    assert done.called_back == 1
    assert pool.recorded == pool.baseline
    assert (pool.baseline.answered, pool.baseline.abandoned, pool.baseline.asa_seconds) == (1, 2, 30.0)
    assert (pool.baseline.not_called_back, pool.baseline.service_level) == (0, 0)
    assert (pool.changed.answered, pool.changed.abandoned) == (2, 1), "ben is busy with c1 until c3 has gone"


def test_without_callbacks_the_caller_waits_with_a_drawn_patience() -> None:
    """Given the same day; when the queue calls nobody back, then the caller stays on the line for longer than the 30 s
    that they are known to have borne, and no longer than anybody that day; gone when ann comes; and it is told that
    this is not known."""
    nobody = replace(CALLING[0], callback=None)
    done = small(called_back(), Changes(queues={"orders": nobody}, fields={"orders": ["callback"]}), queues=CALLING)
    pool = line(done)
    assert (pool.changed.answered, pool.changed.abandoned, pool.changed.not_called_back) == (0, 3, 0)
    assert any("queue orders who were called back would have borne" in note for note in done.notes)
    early = rules_with(("ann", 100.0))
    assert line(small(called_back(), early, queues=CALLING)).changed.answered >= 1


def rules_with(*shifts: tuple[str, float]) -> Changes:
    """Without callbacks, and with somebody more from the beginning."""
    nobody = replace(CALLING[0], callback=None)
    added = tuple(AddedAgent(id=f"{name}-too", skills={}) for name, _ in shifts)
    return Changes(queues={"orders": nobody}, fields={"orders": ["callback"]}, added=added)


def test_a_rule_that_was_not_there_calls_back_those_who_gave_up() -> None:
    """Given the same day; when who has waited 60 s is called back by rule, then those who gave up after 80 and 90 s
    keep their places, and ann serves them one after the other; attempts that were not made are drawn from the day's."""
    rule = (OverflowRule(Waited(60), ToCallback()),)
    changed = replace(CALLING[0], overflows=rule)
    done = small(called_back(), Changes(queues={"orders": changed}, fields={"orders": ["overflows"]}), queues=CALLING,
                 end=at(5000))  # fmt: skip
    pool = line(done)
    assert pool.changed.abandoned == 0
    assert pool.changed.answered + pool.changed.not_called_back == 3


def test_where_nobody_was_dialled_it_is_told_that_answers_are_taken_for_granted() -> None:
    floor = Floor(queue("orders"), *ONE_AGENT)
    floor.call(0, "c1", "orders")
    floor.hang_up(90, "c1")
    floor.log_in(200, "ann")
    changed = replace(CALLING[0], overflows=(OverflowRule(Waited(60), ToCallback()),))
    changes = Changes(queues={"orders": changed}, fields={"orders": ["callback", "overflows"]})
    done = small(floor, changes, queues=(queue("orders"),))
    assert line(done).changed.answered == 1
    assert any("taken to be answered after 10 s" in note for note in done.notes)
    assert any("would have asked to be called back is not known" in note for note in done.notes)


def test_a_call_from_another_pool_is_played_with_what_it_bore_here() -> None:
    """Given a call that another pool hands over while it waits, and that hangs up 60 s later; when the day is played,
    then it is gone after those 60 s too, and the agent who comes at 100 s has nothing to do."""
    there = Floor(queue("orders"))
    there.call(0, "c1", "orders")
    floor = Floor(queue("orders"), *ONE_AGENT)
    floor.give(inputs.TakeOver, 10, call=there.pool.calls["c1"])
    floor.hang_up(70, "c1")
    floor.log_in(100, "ann")
    gone = simulated(floor, queues=(queue("orders"),), profiles=ONE_AGENT, shares=(), end=at(1000))
    assert line(gone).recorded == line(gone).baseline
    assert line(gone).baseline.occupancy == 0
