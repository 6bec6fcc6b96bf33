"""The pool under any sequence of inputs: nobody is promised twice, nobody waits for nothing, and it all replays."""

from __future__ import annotations

import random
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis.stateful import invariant
from msgspec.structs import replace
from routing.domain import decisions, explanation, inputs
from routing.domain.agents import AfterCall, Available, Busy, LoggedOut, Serving, ThenLogOut
from routing.domain.call_states import (
    AskedNumber,
    CallingBack,
    Consultation,
    HeldPlace,
    Offered,
    Queued,
    Talking,
    WrappingUp,
)
from routing.domain.calls import Call
from routing.domain.configuration import NobodyLoggedIn, ToMessage
from routing.domain.decisions import decide
from routing.domain.pool import Pool
from routing.domain.turns import Turn

from .declared_order import could_take
from .floors import START, Floor, profile, queue
from .histories import check_by_the_log, check_histories
from .pool_rules import PoolRules
from .pool_strategies import AGENTS
from .shared_floor import in_force, is_barred, is_permitted, nobody_serves, positions, serving


class PoolMachine(PoolRules):
    """What holds of a floor at every moment, whatever happens to it."""

    steps: ClassVar[int] = 0
    """Of all floors so far."""

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
                if is_barred(self.pool, agent.id, call):
                    continue
                if could_take(self.pool, agent, call) and self.may_serve(agent.id, call):
                    assert not is_permitted(self.pool, call, agent.id) or self.is_kept_from(call), (agent, call)
        for call, state in every:
            if state.alone_until is not None:
                assert call.offers == 0
                assert state.alone_until > self.pool.now
                preferred = self.pool.agents[call.preferred_agent_id or ""]
                assert not isinstance(preferred.state, LoggedOut)
                assert not could_take(self.pool, preferred, call)
                assert self.may_serve(preferred.id, call)

    @invariant()
    def nobody_waits_for_nobody_where_a_rule_ends_it(self) -> None:
        """A message can always be followed; other targets may be closed at the moment."""
        for call in self.pool.calls.values():
            if not isinstance(call.state, Queued) or call.callback is not None or call.is_consultation:
                continue
            assert self.pool.nobody_serves(call) == nobody_serves(self.pool, call)
            rules = self.pool.queue(call.queue_id)
            assert rules is not None
            if any(isinstance(one.when, NobodyLoggedIn) and isinstance(one.to, ToMessage) for one in rules.overflows):
                assert not nobody_serves(self.pool, call), call

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

    def is_kept_from(self, call: Call) -> bool:
        """Only by weights, and then it is told for whom, and that the agent is worth more there."""
        keeping = self.pool.keeping(call)
        if all(one.weights is None for one in self.pool.queues) or keeping is None:
            return False
        return bool(keeping.rivals) and all(one.price >= keeping.bid < one.bid for one in keeping.rivals)

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


class TestPool(PoolMachine.TestCase):  # type: ignore[misc, valid-type]
    settings = settings(max_examples=40, stateful_step_count=50, deadline=None)
    steps = 1_000

    def runTest(self) -> None:
        PoolMachine.steps = 0
        super().runTest()
        assert PoolMachine.steps >= self.steps


@pytest.mark.deep
class TestPoolAtLength(TestPool):
    settings = settings(max_examples=350, stateful_step_count=50, deadline=None)
    steps = 10_000
