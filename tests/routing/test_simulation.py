"""A day simulated again: as it was it comes out as it was, and under a change as the change would have it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from common.events import CallAbandoned, CallAnswered
from msgspec.structs import replace
from routing.domain import inputs
from routing.domain.outcomes import Line
from routing.domain.playing import AddedAgent, Changes
from routing.domain.simulation import Simulated, Task, simulate

from .days import Day
from .floors import Floor, at, profile, queue

HOURS = 4
QUEUES = (queue("orders", "orders"), queue("help", "help", tenant_id="lantern", service_level_seconds=30.0))
AGENTS = tuple(profile(f"a{n}", *(["orders", "help"] if n % 2 else ["orders"])) for n in range(6))


def a_day(seed: int = 1, *, calls_an_hour: float = 80, patience: float = 90.0, miss: float = 0.05) -> Floor:
    """Some hours with callers, agents who accept after a while, miss now and then, and take a break at noon."""
    day = Day(Floor(*QUEUES, *AGENTS), seed, miss)
    for agent in AGENTS:
        day.plan(0, inputs.LogIn, agent_id=agent.id)
    day.plan(5000, inputs.SetState, agent_id="a2", state="break", reason="lunch")
    day.plan(6000, inputs.SetState, agent_id="a2", state="available")
    for seconds, queue_id in day.callers(HOURS * 3600, calls_an_hour, "orders", "orders", "help"):
        day.plan(
            seconds,
            inputs.OfferCall,
            call_id=f"c{day.planned}",
            queue_id=queue_id,
            contact_phone="+33639980001",
            channel="voice",
            direction="inbound",
        )
    for seconds, kind, fields in day.steps():
        if kind == "patience":
            call = day.floor.pool.calls.get(fields["call_id"])
            if call is None or call.state_name not in ("queued", "offered"):
                continue
            kind = inputs.HangUp
        new = day.floor.give(kind, seconds, **fields)
        if kind is inputs.OfferCall:
            day.plan(seconds + day.chance.expovariate(1 / patience), "patience", call_id=fields["call_id"])
        for event in new:
            day.react(event)
    return day.floor


def simulated(floor: Floor, changes: Changes | None = None, **task: Any) -> Simulated:
    """What the simulation of the floor's inputs comes to."""
    wanted = {
        "pool_id": "main",
        "start": at(0),
        "end": at(HOURS * 3600),
        "seed": "s",
        "queues": QUEUES,
        "profiles": AGENTS,
        "changes": changes or Changes(),
        **task,
    }
    steps = list(simulate(Task(**wanted), [given for given, _ in floor.given]))
    done = steps.pop()
    assert isinstance(done, Simulated)
    assert steps == sorted(steps)  # type: ignore[type-var]
    return done


def line(done: Simulated, tenant_id: str | None = None, queue_id: str | None = None) -> Line:
    (found,) = [one for one in done.lines if (one.tenant_id, one.queue_id) == (tenant_id, queue_id)]
    return found


def changed(of: Line, name: str) -> float:
    """How much of that the change made."""
    value = of.difference[name]
    assert value is not None
    return value


@pytest.fixture(scope="module")
def day() -> Floor:
    return a_day()


def test_what_really_happened_is_known_exactly(day: Floor) -> None:
    """The recorded figures are those of the day's own events."""
    pool = line(simulated(day)).recorded
    end = at(HOURS * 3600)
    answered = [event for event in day.events if isinstance(event, CallAnswered) and event.answered_at <= end]
    gone = [event for event in day.events if isinstance(event, CallAbandoned) and event.abandoned_at <= end]
    assert pool.answered == len(answered) > 200
    assert pool.abandoned == sum(not event.short for event in gone) > 10
    assert pool.short_abandoned == sum(event.short for event in gone)
    assert pool.asa_seconds == pytest.approx(sum(event.total_wait_seconds for event in answered) / len(answered))
    assert pool.occupancy is not None
    assert 0.5 < pool.occupancy < 1


def test_without_a_change_there_is_no_difference_at_all(day: Floor) -> None:
    done = simulated(day)
    assert len(done.lines) == 1 + 2 + 2
    for one in done.lines:
        assert all(value in (0, None) for value in one.difference.values())
        assert one.changed == one.baseline
    assert msgspec.json.encode(done) == msgspec.json.encode(simulated(day)), "the same seed, the same answer"


def test_the_day_as_it_was_comes_out_close_to_what_happened(day: Floor) -> None:
    pool = line(simulated(day))
    assert pool.baseline.offered == pool.recorded.offered
    assert pool.baseline.answered == pytest.approx(pool.recorded.answered, rel=0.03)
    assert pool.baseline.abandonment == pytest.approx(pool.recorded.abandonment, abs=0.03)
    assert pool.baseline.service_level == pytest.approx(pool.recorded.service_level, abs=0.05)
    assert pool.baseline.asa_seconds == pytest.approx(pool.recorded.asa_seconds, rel=0.15)
    assert pool.baseline.occupancy == pytest.approx(pool.recorded.occupancy, abs=0.03)


def test_one_agent_more_lowers_abandonment_and_one_fewer_raises_it(day: Floor) -> None:
    more = AddedAgent(id="new", skills={"orders": 5, "help": 5})
    better = line(simulated(day, Changes(added=(more,))))
    worse = line(simulated(day, Changes(removed=("a1",))))
    for name, sign in [("abandonment", 1), ("asa_seconds", 1), ("service_level", -1)]:
        assert sign * changed(better, name) < 0 < sign * changed(worse, name), name
    alike = simulated(day, Changes(added=(replace(more, shifts_of="a2"),)))
    assert changed(line(alike), "abandonment") < 0
    assert line(alike).recorded == line(simulated(day)).recorded


def test_a_queue_that_comes_first_gains_what_the_other_one_loses() -> None:
    busy = a_day(calls_an_hour=110)
    dear = replace(QUEUES[1], priority=9)
    done = simulated(busy, Changes(queues={"help": dear}, fields={"help": ["priority"]}))
    assert changed(line(done, "lantern", "help"), "service_level") > 0 > changed(line(done, "kettle"), "service_level")
    assert line(done, "lantern").difference == line(done, "lantern", "help").difference


def test_skills_given_to_an_agent_serve_the_queue_that_needs_them(day: Floor) -> None:
    done = simulated(day, Changes(skills={"a0": {"orders": 5, "help": 5}, "a2": {"orders": 5, "help": 5}}))
    assert changed(line(done, "lantern"), "abandonment") < 0


def test_known_answer_two_callers_and_one_agent() -> None:
    """One agent, two callers at once: the second waits for the first's 100 s of talk and 10 s of wrap-up, 2 s of
    reaction each, and hangs up after 50 s. With a second agent both are answered after 2 s."""
    floor = Floor(queue("help"), profile("ann"))
    floor.log_in(0, "ann")
    floor.call(10, "c1", "help")
    floor.call(10, "c2", "help")
    floor.accept(12, "c1", "ann")
    floor.hang_up(60, "c2")
    floor.hang_up(112, "c1")
    floor.wrap_up(122, "c1", "ann")
    known = {"queues": (queue("help"),), "profiles": (profile("ann"),), "end": at(1000)}
    changes = Changes(added=(AddedAgent(id="ben", skills={}),))
    pool = line(simulated(floor, changes, **known))
    assert pool.recorded == pool.baseline
    assert (pool.baseline.answered, pool.baseline.abandoned, pool.baseline.asa_seconds) == (1, 1, 2.0)
    assert (pool.changed.answered, pool.changed.abandoned, pool.changed.asa_seconds) == (2, 0, 2.0)
    assert pool.difference["service_level"] == 0.5
    handling, available = 112.0, 10 + 1000 - 122
    assert pool.baseline.occupancy == pytest.approx(handling / (handling + available))


def test_calls_and_shifts_before_the_window_only_prepare_it(day: Floor) -> None:
    done = line(simulated(day, start=at(7200)))
    late = [event for event in day.events if isinstance(event, CallAnswered) and (event.queued_at or at(0)) >= at(7200)]
    assert done.recorded.answered == sum(event.answered_at <= at(HOURS * 3600) for event in late)
    assert done.baseline.answered == pytest.approx(done.recorded.answered, rel=0.05)
