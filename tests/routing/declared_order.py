"""The order of service and the order of agents by their definition, looked at call by call and agent by agent: what the
pool's indexes must come to.

A call comes before another if it has more credit: the seconds for which its caller has waited since they came to their
first queue (or since whoever's place they took over did), and for each step of priority above 5, the queue's and the
caller's own, as many more as the queue says, or less for each below. Of equal credit the smaller id is first. An agent
who comes free takes first the calls of tenants with fewer agents than they are guaranteed, then those that wait for
this agent alone, then the others.

Of the agents who may take a call the first in the order of its queue does. Those who missed their last offer come
behind all others, in the same order among themselves.

In a pool with weights another policy says whose queue is served, and from which skills the agent is taken. There the
orders hold only among the calls of one queue that an agent who comes free may take, and among agents of the same
skills.

Weights and shares may keep an available agent from calls that wait. Where a pool has either, which of the calls takes
an agent who did not just come free is left out.

At the very instant when a call widens or a queue opens it depends on which timer came first whether that counts
already: there the pool is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeAlias

from common.requirements import Requirement, all_of, is_met, parse, skills_of
from routing.domain.agents import Agent, Available, Serving, ThenAvailable
from routing.domain.call_states import HeldPlace, Queued
from routing.domain.calls import Call
from routing.domain.configuration import AgentProfile, Queue
from routing.domain.pool import Pool

Takes: TypeAlias = Callable[[Call, Agent], bool]
"""Whether the shares of the tenants let the call take the agent."""


def declared(pool: Pool, agent_id: str) -> AgentProfile:
    (profile,) = [one for one in pool.profiles if one.id == agent_id]
    return profile


def rules_of(pool: Pool, call: Call) -> Queue:
    rules = pool.queue(call.queue_id)
    assert rules is not None
    return rules


def could_take(pool: Pool, agent: Agent, call: Call) -> bool:
    """Whether the agent has nothing at hand, or what goes beside the call."""
    capacity = declared(pool, agent.id).capacity
    if capacity is None or isinstance(agent.state, Available):
        return isinstance(agent.state, Available)
    if not isinstance(agent.state, Serving) or agent.state.then != ThenAvailable():
        return False
    channel = rules_of(pool, call).channel
    have = [one.channel for one in agent.calls]
    if have.count(channel) >= capacity.calls.get(channel, 0):
        return False
    for other in {*have} - {channel}:
        if other in capacity.interrupts.get(channel, ()):
            continue
        if channel == "voice" or other == "voice" or channel in capacity.interrupts.get(other, ()):
            return False
    return True


def asked_for(pool: Pool, call: Call, ring: int) -> list[Requirement]:
    """What the call's queue asks of agents once the call has reached the ring: one of these."""
    rules = rules_of(pool, call)
    first = all_of(rules.required_skills) if rules.requirement is None else parse(rules.requirement)
    return [first, *(parse(one.requirement) for one in rules.relaxations[:ring])]


def may_serve(pool: Pool, agent_id: str, call: Call, ring: int) -> bool:
    """Whether the agent is for the call: its channel, its site, one of the rings that it has reached."""
    profile, rules = declared(pool, agent_id), rules_of(pool, call)
    if profile.capacity is not None and not profile.capacity.calls.get(rules.channel, 0):
        return False
    if profile.site_id is not None and pool.is_down(profile.site_id):
        return False
    sites = pool._queues[rules.id].covering
    goes_to_a_site = any(skill.startswith("site:") for skill in call.skills)
    if sites is not None and not goes_to_a_site and profile.site_id not in sites:
        return False
    if not is_met(all_of(call.skills), profile.levels):
        return False
    return any(is_met(one, profile.skills) for one in asked_for(pool, call, ring))


# the order of service


def credit(pool: Pool, call: Call) -> timedelta:
    rules = rules_of(pool, call)
    steps = rules.priority - 5 + call.priority
    waited = pool.now - (call.place_at or call.first_queued_at)
    return waited + timedelta(seconds=steps * rules.ageing_seconds_per_priority)


def is_before(pool: Pool, call: Call, other: Call) -> bool:
    """Whether the call comes before the other one."""
    return (-credit(pool, call), call.id) < (-credit(pool, other), other.id)


def ring_reached(pool: Pool, call: Call, waiting: Queued | HeldPlace) -> int:
    """By the time that the call has waited in its queue."""
    passed = [
        call.queued_at + timedelta(seconds=one.after_seconds) < pool.now for one in rules_of(pool, call).relaxations
    ]
    return max(waiting.ring, sum(passed))


def waits_for(pool: Pool, call: Call, agent_id: str) -> bool:
    """Whether the call waits, and not for another agent alone, nor for its caller to be reached."""
    rules = rules_of(pool, call) if call.queue_id else None
    if rules is None or rules.elsewhere is not None:
        return False
    match call.state:
        case Queued(alone_until=alone_until):
            return alone_until is None or alone_until < pool.now or call.preferred_agent_id == agent_id
        case HeldPlace(rests_until=rests_until, not_before=not_before):
            assert call.callback is not None
            rests = rests_until == pool.now or (not_before is not None and not_before > pool.now)
            closed = not pool.is_open(rules.id) and rules.override != "draining"
            return call.callback.rules.mode == "agent_first" and not rests and not closed
        case _:
            return False


def is_alone(call: Call) -> bool:
    """Whether it waits for its preferred agent alone."""
    return isinstance(call.state, Queued) and call.state.alone_until is not None


def calls_for(pool: Pool, agent: Agent, is_permitted: Takes) -> list[Call]:
    """Every waiting call that the agent may take at this moment."""
    return [
        call
        for call in pool.calls.values()
        if isinstance(call.state, Queued | HeldPlace)
        and waits_for(pool, call, agent.id)
        and could_take(pool, agent, call)
        and may_serve(pool, agent.id, call, ring_reached(pool, call, call.state))
        and is_permitted(call, agent)
    ]


# the order of agents


def level(pool: Pool, agent_id: str, call: Call, ring: int) -> int:
    """The highest in one of the skills that are asked for; 0 if nothing is."""
    asked, levels = asked_for(pool, call, ring), declared(pool, agent_id).levels
    named = [] if any(is_met(one, {}) for one in asked) else [skill for one in asked for skill in skills_of(one)]
    return max((levels.get(skill, 0) for skill in (*named, *call.skills)), default=0)


def place_of(pool: Pool, agent: Agent, call: Call, ring: int) -> tuple[Any, ...]:
    """The agent's place among those whom the call may take; the smaller is first. Of agents who are alike by what the
    order goes by first, those with fewer calls at hand come first."""
    skills, since, at_hand = len(declared(pool, agent.id).skills), agent.state.since, len(agent.calls)
    places: dict[str, tuple[Any, ...]] = {
        "longest_idle": (at_hand, since, skills),
        "best_level": (-level(pool, agent.id, call, ring), skills, at_hand, since),
        "least_flexible": (skills, at_hand, since),
        "fastest": (at_hand, agent.handling_seconds or 0.0, skills, since),
    }
    return (agent.missed_offers > 0, *places[rules_of(pool, call).agent_order], agent.id)


def agents_for(pool: Pool, call: Call, ring: int, is_permitted: Takes) -> list[Agent]:
    """Every agent who may take the call at this moment."""
    return [
        agent
        for agent in pool.agents.values()
        if could_take(pool, agent, call) and may_serve(pool, agent.id, call, ring) and is_permitted(call, agent)
    ]


def alike(pool: Pool, agent_id: str, other_id: str) -> bool:
    """Whether both have the same skills at the same levels and the same site, and take one call at a time or not."""
    one, other = declared(pool, agent_id), declared(pool, other_id)
    return one.levels == other.levels and (one.capacity is None) is (other.capacity is None)
