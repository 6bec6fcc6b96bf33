"""Everything that may happen to a floor: the rules of the machine whose promises `test_pool_properties` holds."""

from __future__ import annotations

from typing import Any

import msgspec
from common.events import CallAbandoned, CallAssigned, CallbackRequested, CallQueued, ConsultationAssigned, Event
from common.events.routing import Channel
from common.hours import is_open
from common.requirements import all_of, is_met
from common.requirements import parse as parse_requirement
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace
from routing.domain import decisions, flows, inputs
from routing.domain.agents import Agent
from routing.domain.call_states import Asked, AskedAgent, CallingBack, InFlow, Offered, Talking
from routing.domain.calls import Call
from routing.domain.configuration import AgentProfile, Site, ToSite
from routing.domain.memory import Memory
from routing.domain.pool import Pool
from routing.domain.shares import Share

from .floors import Floor, profile, queue
from .pool_strategies import (
    AGENT_ORDERS,
    AGENTS,
    ASKED,
    CONTACT_PRIORITIES,
    CONVERSATION,
    OUTCOMES,
    PHONES,
    QUEUES,
    SIMPLE,
    TENANTS,
    agent_ids,
    capacity,
    flow_to,
    levels,
    queues,
    seconds,
    shares,
)
from .shared_floor import CheckedTurn


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


class PoolRules(RuleBasedStateMachine):
    """Everything that may happen to a floor, in any order."""

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
        promised = self.pool.callbacks.pending(TENANTS[queue_id], phone)
        pending = promised[0] if len(promised) == 1 else None
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
            own = [call_id] if kept and phone else []
            others = promised if len(promised) > 1 else []
            assert [one for one in pending_now if one in self.pool.calls] == [
                one for one in (*others, *own) if one in self.pool.calls
            ], "who calls again is not called back; where two are promised, nobody knows who it is"
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

    def are_two_people(self, call: Call, promised: Call) -> bool:
        """Whether one number had both calls on the line at the same time, before one hung up to be called back."""
        assert promised.callback is not None
        assert call.arrived_at is not None
        same_number = call.contact_phone == promised.contact_phone
        return same_number and call.arrived_at < promised.callback.requested_at

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
        promises = self.pool.callbacks.pending(call.tenant_id, call.contact_phone)
        apart = len(promises) != 1 or self.are_two_people(call, self.pool.calls[promises[0]])
        pending = None if apart else promises[0]
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
            held = {one.id for one in others if one.held_place is not None}
            assert held - set(promises) == {call.id}
            assert apart or held == {call.id}
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
            case "hand_on":
                self.hand_on(call_id, who)
                return
            case _:
                kind = SIMPLE[act]
        self.floor.give(kind, self.seconds, **fields)
        assert self.floor.give(kind, self.seconds, **fields) == []

    @precondition(lambda self: self.speaking())
    @rule(data=st.data(), others=st.sets(agent_ids, max_size=2))
    def speak_and_hand_on(self, data: st.DataObject, others: set[str]) -> None:
        """While others are at least logged in; then another call comes, and the one who handed on is ready again."""
        call_id = data.draw(st.sampled_from(self.speaking()))
        agent_id = self.pool.calls[call_id].agent_id
        assert agent_id is not None
        for other in sorted(others):
            self.floor.give(inputs.LogIn, self.seconds, agent_id=other, state="break")
        self.count += 1
        self.hand_on(call_id, agent_id)
        self.make_ready(agent_id)

    @rule(staying=st.none() | agent_ids, queue_id=st.sampled_from(QUEUES[1:]))
    def all_leave(self, staying: str | None, queue_id: str) -> None:
        """While a call waits, or rings; all but one, or all."""
        self.call(queue_id=queue_id, limit=None, phone="", preferred=None)
        for agent_id in AGENTS:
            if agent_id != staying:
                # Before the call is sent to a site, which the check below goes by, in the same instant.
                self.nobody_is_offered_a_call_that_they_may_not_serve()
                self.floor.log_out(self.seconds, agent_id)

    def hand_on(self, call_id: str, agent_id: str) -> None:
        """To the call's own queue, while the agent is free at once, as without a wrap-up."""
        queue_id = self.pool.calls[call_id].queue_id
        to = {"to_call_id": f"t{self.count}", "to_queue_id": queue_id, "to_pool_id": "main"}
        events = self.floor.give(inputs.Transfer, self.seconds, call_id=call_id, agent_id=agent_id, **to)
        for offered in [event for event in events if isinstance(event, inputs.OfferCall)]:
            self.floor.wrap_up(self.seconds, call_id, agent_id)
            fields = {name: getattr(offered, name) for name in offered.__struct_fields__}
            del fields["tenant_id"], fields["pool_id"], fields["occurred_at"], fields["command_id"]
            self.floor.give(inputs.OfferCall, self.seconds, **fields)

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

    def declared(self, agent_id: str) -> AgentProfile:
        (declared,) = [one for one in self.pool.profiles if one.id == agent_id]
        return declared

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
