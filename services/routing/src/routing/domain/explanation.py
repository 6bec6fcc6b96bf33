"""Why a call went to an agent, or still waits: in data and in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final, assert_never

import msgspec
from common.requirements import is_met, text_of

from routing.domain.agents import Agent, LoggedOut
from routing.domain.bidding import Bidding, Rival
from routing.domain.callback_words import told_callback, told_refusal
from routing.domain.calls import (
    Abandoned,
    Assignment,
    Call,
    HeldPlace,
    InFlow,
    LeftInFlow,
    Move,
    Offered,
    Queued,
    Redirected,
    Removal,
)
from routing.domain.capacity import could_take, serves
from routing.domain.configuration import AgentProfile, Queue, To, ToQueue, without_sites
from routing.domain.conversation_words import came_from, went_on
from routing.domain.estimates import ahead_of
from routing.domain.overflow_words import place_of, said_of
from routing.domain.overflows import rules_due
from routing.domain.sharing import Reason

_ORDERS: Final = {
    "longest_idle": "the longest idle",
    "best_level": "the best level in the skills asked for",
    "least_flexible": "the fewest skills",
    "fastest": "the shortest mean handling time",
}
_SEVERAL: Final = {"voice": "voice calls", "chat": "chats", "email": "e-mails", "post": "letters"}
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
    return f"Since {_time(word.at)} operator {word.by} {did}{why}."


def _removed(one: Removal) -> str:
    at, way = _time(one.removed_at), f"from pool {one.from_pool_id} to pool {one.to_pool_id}"
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
        said += [said_of(one)] if isinstance(one, Move) else [_assigned(one, tenant_id), *_beside(one, call, tenant_id)]
    said += [_removed(one) for one in call.removals]
    said += told_callback(call)
    last = call.assignments[-1] if call.assignments else None
    state = call.state
    if isinstance(state, Offered):
        said.append(f"It rings at {state.agent_id} until {_time(state.expires_at)}.")
    elif isinstance(state, Redirected):
        said.append(f"The caller went on to {state.to_number} at {_time(state.redirected_at)}, unanswered here.")
    elif isinstance(state, Abandoned):
        told = _ENDINGS.get(state.reason, state.reason)
        offered = "while it rang or waited" if last else "before it was offered to an agent"
        said.append(f"{told} at {_time(state.abandoned_at)}, {offered}.")
        if word is not None:
            said.append(_told(word))
    elif standing is not None:
        said += _stands(standing, tenant_id)
    return [*said, *_paused(call, tenant_id), *went_on(call)]


def _flow(call: Call) -> Iterator[str]:
    """How the call came by an entry point, and what its flow has found; of a call without one, who calls."""
    if call.entry_point_id is None:
        if call.priority:
            yield f"Its caller is a contact of priority {call.priority}, which counts beside the queue's."
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
            yield f"The caller left a message at {_time(at)}."
        case LeftInFlow(left_at=at, reason="hung_up"):
            yield f"The caller hung up in its flow at {_time(at)}."
        case LeftInFlow(left_at=at):
            yield f"Its flow ended the call at {_time(at)}."
        case _:
            pass


def _happened_at(step: Move | Assignment) -> datetime:
    return step.moved_at if isinstance(step, Move) else step.assigned_at


def _assigned(one: Assignment, tenant_id: str | None) -> str:
    asked = f"{one.requirement!r}" if one.requirement else "nothing in particular"
    ring = f" (relaxation {one.ring})" if one.ring else ""
    before = f"After {one.waited_seconds:.0f} s in queue {one.queue_id}, which asked for {asked}{ring}, "
    if one.share is not None:
        return f"{before}{_by_share(one, one.share)}"
    if one.preferred:
        return f"{before}{one.agent_id} was offered the call: the agent whom it was to go to."
    if one.bidding is not None:
        return f"{before}{_by_weights(one, one.bidding, tenant_id)}"
    if one.came_free:
        return f"{before}{one.agent_id} came free, and this was the first of the calls that they may serve."
    return f"{before}{one.agent_id} was offered the call: {_chosen(one)}."


def _by_share(one: Assignment, share: Reason) -> str:
    match share:
        case "reserved":
            return f"{one.agent_id} was offered the call: they were kept for its client by a reservation."
        case "guaranteed":
            fewer = "fewer agents served its client than it is guaranteed"
            return f"{one.agent_id} came free, and this went before calls that were first: {fewer}."
        case "released":
            waited = "it had waited long enough to be let through"
            return f"{one.agent_id}, who was kept for another client by a reservation, was offered the call: {waited}."
        case _:
            assert_never(share)


def _chosen(one: Assignment) -> str:
    if one.agents == 1:
        return "the only available agent who may serve it"
    return f"first of {one.agents} available agents by {_ORDERS[one.order]}"


def _by_weights(one: Assignment, bidding: Bidding, tenant_id: str | None) -> str:
    """What was weighed. The highest of the rivals is named; all are in the data."""
    rivals = [rival for rival in bidding.rivals if rival.waits]
    target = f" ({_money(bidding.in_time)} of it to answer in time)" if bidding.in_time > 0 else ""
    bid = f"{_money(bidding.bid)}{target}"
    if one.came_free and rivals:
        equal = "as much as" if rivals[0].bid >= bidding.bid * (1 - 1e-6) else "more than"
        first = ", and its call was first in the order of service" if equal == "as much as" else ""
        beaten = _rival(rivals[0], tenant_id)
        said = f"{one.agent_id} came free and took it: its queue bid {bid}, {equal} {beaten}{first}."
    elif one.came_free:
        alone = "no other queue that they may serve had a call waiting"
        said = f"{one.agent_id} came free, and {alone}; its queue bid {bid}."
    else:
        groups = f", of {one.groups} groups the one that other queues need least," if one.groups > 1 else ""
        said = f"{one.agent_id} was offered the call{groups}: {_chosen(one)}; its queue bid {bid}."
    kept_for = next((rival for rival in bidding.rivals if not rival.waits and rival.bid > bidding.bid), None)
    if kept_for is not None:
        cost = f"one available agent fewer costs {_money(kept_for.price)}, less than this bid"
        said += f" The agent was not kept for {_name(kept_for, tenant_id)}: {cost}."
    return said


def _name(rival: Rival, tenant_id: str | None) -> str:
    return f"queue {rival.queue_id}" if tenant_id in (None, rival.tenant_id) else "another client's calls"


def _rival(rival: Rival, tenant_id: str | None) -> str:
    """With its bid, unless that is another client's."""
    name = _name(rival, tenant_id)
    return f"the {_money(rival.bid)} of {name}" if tenant_id in (None, rival.tenant_id) else name


def _money(per_hour: float) -> str:
    """Bids and prices: lost-call cost per hour of an agent's time."""
    return f"{per_hour:.4g} an agent hour"


def _beside(one: Assignment, call: Call, tenant_id: str | None) -> Iterator[str]:
    """What the agent had beside the call, if they take several. Other calls are named to the floor alone."""
    beside = one.beside
    if beside is None:
        return
    yield f"{one.agent_id} had {beside.at_hand} of at most {beside.capacity} {_SEVERAL[call.channel]} then."
    for other in beside.interrupts:
        named = f"call {other}" if tenant_id is None else "another call"
        yield f"Its answer interrupts {named} of {one.agent_id}."


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
        yield f"It stands still since {_time(pauses.since)}: interrupted by {by}."
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
            cost = f"one available agent fewer would cost {_money(rival.price)}"
            bid = f"this queue bids {_money(standing.keeping.bid)}"
            yield f"Those available are kept for {_name(rival, tenant_id)}: {cost}, and {bid}."
    if standing.alone_until is not None:
        yield f"Until {_time(standing.alone_until)} it waits for {standing.preferred_agent_id} alone."
    if standing.widens_at is not None and standing.next_requirement is not None:
        yield f"From {_time(standing.widens_at)} on it may be served by agents with {standing.next_requirement!r}."
    if standing.overflow_at is not None:
        to = f" to {place_of(standing.overflow_to)}" if standing.overflow_to else ""
        yield f"At {_time(standing.overflow_at)} it overflows{to}."
    if standing.limit_at is not None:
        yield f"It is given up at {_time(standing.limit_at)}."


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
