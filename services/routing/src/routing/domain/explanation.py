"""Why a call went to an agent, or still waits: in data and in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final, assert_never

import msgspec
from common.requirements import is_met, text_of

from routing.domain.agents import Agent, LoggedOut
from routing.domain.assignment_words import money, name_of, told_assignment
from routing.domain.bidding import Bidding
from routing.domain.call_states import Abandoned, HeldPlace, InFlow, LeftInFlow, Offered, Queued, Redirected
from routing.domain.callback_words import told_callback, told_refusal
from routing.domain.calls import Assignment, Call, Move, Removal
from routing.domain.capacity import could_take, serves
from routing.domain.configuration import AgentProfile, Queue, To, ToQueue, without_sites
from routing.domain.conversation_words import announced, came_from, spoke, went_on, wrapped_up
from routing.domain.estimates import ahead_of
from routing.domain.overflow_words import place_of, said_of
from routing.domain.overflows import rules_due
from routing.domain.saying import time_of

_ENDINGS: Final = {
    "hung_up": "The caller hung up",
    "wait_limit": "The longest wait of the queue or the call had passed",
    "no_agent": "No agent could be found",
    "closed": "The queue was closed",
    "overflow": "A rule of the queue sent it to a message",
    "callback_unreached": "The last attempt to call back had failed",
    "callback_expired": "The callback was not valid any more",
    "callback_cancelled": "The callback was cancelled",
    "called_again": "The caller had called again, and the new call took over the place",
}


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """How a waiting call stands at a moment."""

    queue_id: str
    ring: int
    requirement: str
    position: int
    """1: the next of its queue."""
    waited_seconds: float
    agents_logged_in: int | None
    """Who may serve it in the ring that it has reached. None: not for a tenant to know."""
    agents_available: int | None
    widens_at: datetime | None
    next_requirement: str | None
    overflow_at: datetime | None
    overflow_queue_id: str | None
    overflow_to: To | None
    """Where the first rule that comes to hold then leads, if it can be followed."""
    limit_at: datetime | None
    alone_until: datetime | None
    """It waits for its preferred agent alone until then."""
    preferred_agent_id: str | None
    keeping: Bidding | None = None
    """The queues for which agents who may serve it are kept available; None: nobody is kept from it."""
    kept_for: tuple[str, ...] = ()
    """The tenants for which available agents who may serve it are reserved."""
    is_full: bool = False
    """As many agents serve its tenant as may at most."""


def waiting(
    call: Call,
    queue: Queue,
    others: Iterable[Call],
    staff: Sequence[tuple[AgentProfile, Agent]] | None,
    now: datetime,
    keeping: Bidding | None = None,
    kept_for: Sequence[str] = (),
    *,
    is_full: bool = False,
) -> Waiting | None:
    """How the call stands; None unless it waits. `others`: the calls that wait in its queue, itself or not; `staff`:
    the pool's agents who have had a shift, None when they are not to be told; `keeping`, `kept_for` and `is_full`: what
    the pool says of it."""
    state = call.state
    if isinstance(state, HeldPlace):
        state = Queued(None, None, ring=state.ring, widens_at=state.widens_at)
    if not isinstance(state, Queued):
        return None
    due = [] if state.overflow_at is None else rules_due(queue, call.queued_at, state.overflow_at)
    to = due[0].to if due else None
    rings = queue.rings(call.skills, queue.covering_at(now))
    ring = min(state.ring, len(rings) - 1)
    serving = None
    if staff is not None:
        serving = [
            could_take(agent.state, profile.capacity, queue.channel)
            for profile, agent in staff
            if is_met(rings[ring], profile.levels)
            and serves(profile.capacity, queue.channel)
            and not isinstance(agent.state, LoggedOut)
        ]

    return Waiting(
        queue_id=queue.id,
        ring=ring,
        requirement=text_of(rings[ring]),
        position=1 + ahead_of(call, others, queue),
        waited_seconds=(now - call.queued_at).total_seconds(),
        agents_logged_in=None if serving is None else len(serving),
        agents_available=None if serving is None else sum(serving),
        widens_at=state.widens_at,
        next_requirement=text_of(rings[ring + 1]) if state.widens_at and ring + 1 < len(rings) else None,
        overflow_at=state.overflow_at,
        overflow_queue_id=to.queue_id if isinstance(to, ToQueue) else None,
        overflow_to=to,
        limit_at=state.limit_at,
        alone_until=state.alone_until,
        preferred_agent_id=call.preferred_agent_id,
        keeping=keeping,
        kept_for=tuple(kept_for),
        is_full=is_full,
    )


class OperatorsWord(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator had last said of a queue against its hours when a call was turned away."""

    queue_id: str
    said: str
    """opened, closed, draining or follows_hours"""
    by: str
    at: datetime
    reason: str | None


def _told(word: OperatorsWord) -> str:
    why = f": {word.reason}" if word.reason else ""
    did = "was draining the queue" if word.said == "draining" else "had closed the queue"
    return f"Since {time_of(word.at)} operator {word.by} {did}{why}."


def _removed(one: Removal) -> str:
    at, way = time_of(one.removed_at), f"from pool {one.from_pool_id} to pool {one.to_pool_id}"
    match one.phase:
        case "waits":
            return f"At {at} its queue, {one.queue_id}, had moved {way}, and the call with it, at its place."
        case "enters" | "comes":
            return f"At {at} it went {way}, where queue {one.queue_id} is at home."
        case _:
            assert_never(one.phase)


def words(
    call: Call, standing: Waiting | None, tenant_id: str | None = None, word: OperatorsWord | None = None
) -> list[str]:
    """The same in sentences, oldest first. `tenant_id`: whose people read it, if not the floor's."""
    steps: list[Move | Assignment] = sorted([*call.moves, *call.assignments], key=_happened_at)
    said = [*came_from(call), *_flow(call)]
    for one in steps:
        said += [said_of(one)] if isinstance(one, Move) else told_assignment(one, call.channel, tenant_id)
        if isinstance(one, Assignment) and one.agent_id == call.handed_on_by:
            said.append(f"{one.agent_id} had handed it on, but nobody else who could serve it was logged in.")
    said += announced(call)
    said += [_removed(one) for one in call.removals]
    said += told_callback(call)
    last = call.assignments[-1] if call.assignments else None
    state = call.state
    if isinstance(state, Offered):
        said.append(f"It rings at {state.agent_id} until {time_of(state.expires_at)}.")
    elif isinstance(state, Redirected):
        said.append(f"The caller went on to {state.to_number} at {time_of(state.redirected_at)}, unanswered here.")
    elif isinstance(state, Abandoned):
        told = _ENDINGS.get(state.reason, state.reason)
        offered = "while it rang or waited" if last else "before it was offered to an agent"
        said.append(f"{told} at {time_of(state.abandoned_at)}, {offered}.")
        if word is not None:
            said.append(_told(word))
    elif standing is not None:
        said += _stands(standing, tenant_id)
        if call.handed_on_by is not None:
            while_alone = "only while nobody else is logged in who could serve it"
            said.append(f"It is offered to {call.handed_on_by}, who handed it on, {while_alone}.")
    return [*said, *spoke(call), *_paused(call, tenant_id), *went_on(call), *wrapped_up(call)]


def _flow(call: Call) -> Iterator[str]:
    """How the call came by an entry point, and what its flow has found; of a call without one, who calls."""
    if call.entry_point_id is None:
        if call.priority and call.priority == call.contact_priority:
            yield f"Its caller is a contact of priority {call.priority}, which counts beside the queue's."
        elif call.priority:
            yield f"The call that it goes on from had raised its priority by {call.priority}."
        return
    yield f"It came by {call.dialled}, entry point {call.entry_point_id}."
    if skills := without_sites(call.skills):
        yield f"Its flow asks for {' and '.join(skills)} beside what its queue asks for."
    if call.priority:
        yield f"Its flow raised its priority by {call.priority}."
    yield from told_refusal(call)
    match call.state:
        case InFlow(step=str(step)):
            yield f"It is in its flow, at step {step}."
        case LeftInFlow(left_at=at, reason="voicemail"):
            yield f"The caller left a message at {time_of(at)}."
        case LeftInFlow(left_at=at, reason="hung_up"):
            yield f"The caller hung up in its flow at {time_of(at)}."
        case LeftInFlow(left_at=at):
            yield f"Its flow ended the call at {time_of(at)}."
        case _:
            pass


def _happened_at(step: Move | Assignment) -> datetime:
    return step.moved_at if isinstance(step, Move) else step.assigned_at


def _paused(call: Call, tenant_id: str | None) -> Iterator[str]:
    """What calls that go before it have cost it."""
    pauses = call.pauses
    if pauses is None:
        return
    by = "a change of the rules"
    if pauses.by:
        by = f"call {pauses.by}" if tenant_id is None else "another call"
    stood = pauses.talk_seconds + pauses.wrap_up_seconds
    if pauses.since is not None:
        yield f"It stands still since {time_of(pauses.since)}: interrupted by {by}."
    else:
        often = "once" if pauses.times == 1 else f"{pauses.times} times, the last time"
        yield f"It was interrupted {often} by {by}: it stood still for {stood:.0f} s in all."


def _stands(standing: Waiting, tenant_id: str | None) -> Iterator[str]:
    asked = f"{standing.requirement!r}" if standing.requirement else "nothing in particular"
    waits = f"It has waited {standing.waited_seconds:.0f} s in queue {standing.queue_id}"
    yield f"{waits}, at position {standing.position}; the queue asks for {asked}."
    if standing.agents_logged_in is not None:
        counted = f"{standing.agents_logged_in} logged in, {standing.agents_available} available"
        yield f"Agents who may serve it: {counted}."
    for kept_for in standing.kept_for if tenant_id is None else ("",) if standing.kept_for else ():
        client = f"client {kept_for}" if kept_for else "another client"
        yield f"An available agent who may serve it is kept for {client} by a reservation."
    if standing.is_full:
        yield "As many agents serve its client as its share of the pool allows."
    if standing.keeping is not None:
        for rival in standing.keeping.rivals:
            cost = f"one available agent fewer would cost {money(rival.price)}"
            bid = f"this queue bids {money(standing.keeping.bid)}"
            yield f"Those available are kept for {name_of(rival, tenant_id)}: {cost}, and {bid}."
    if standing.alone_until is not None:
        yield f"Until {time_of(standing.alone_until)} it waits for {standing.preferred_agent_id} alone."
    if standing.widens_at is not None and standing.next_requirement is not None:
        yield f"From {time_of(standing.widens_at)} on it may be served by agents with {standing.next_requirement!r}."
    if standing.overflow_at is not None:
        to = f" to {place_of(standing.overflow_to)}" if standing.overflow_to else ""
        yield f"At {time_of(standing.overflow_at)} it overflows{to}."
    if standing.limit_at is not None:
        yield f"It is given up at {time_of(standing.limit_at)}."
