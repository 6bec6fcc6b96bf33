"""Why an agent was offered a call, before which others, and why it did not stay with them, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, assert_never

from common.events.routing import Channel

from routing.domain.bidding import Bidding, Rival
from routing.domain.calls import Assignment
from routing.domain.configuration import USUAL_PRIORITY
from routing.domain.notes import Claim, Missed, Precedence
from routing.domain.saying import time_of
from routing.domain.sharing import Reason

_ORDERS: Final = {
    "longest_idle": "the longest idle",
    "best_level": "the best level in the skills asked for",
    "least_flexible": "the fewest skills",
    "fastest": "the shortest mean handling time",
}
_SEVERAL: Final = {"voice": "voice calls", "chat": "chats", "email": "e-mails", "post": "letters"}


def told_assignment(one: Assignment, channel: Channel, tenant_id: str | None) -> Iterator[str]:
    """Why, what the agent had beside it, and how the offer ended if without an answer. `tenant_id`: whose people read
    it, if not the floor's."""
    yield _assigned(one, tenant_id)
    if one.precedence is not None and not one.preferred:
        yield _went_before(one.precedence, tenant_id)
    yield from _beside(one, channel, tenant_id)
    if one.missed is not None:
        yield from _missed(one, one.missed)


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
        who = f"{one.agent_id}{_again(one)}"
        return f"{before}{who} came free, and this was the first of the calls that they may serve."
    return f"{before}{one.agent_id} was offered the call: {_chosen(one)}."


def _again(one: Assignment) -> str:
    return ", who comes behind all others since they missed their last offer," if one.was_behind else ""


def _went_before(precedence: Precedence, tenant_id: str | None) -> str:
    """By what, and the sum. The figures of another client's call are not told."""
    own, other = precedence.own, precedence.other
    known = tenant_id in (None, other.tenant_id)
    first = f"the first call of queue {other.queue_id}" if known else "another client's calls"
    sums = f": {_summed(own)}, against {_summed(other)}" if known else f": {_summed(own)}"
    return f"It went before {first} by {_by(own, other)}{sums}."


def _by(own: Claim, other: Claim) -> str:
    """What spoke for the call, the weightiest first."""
    step, other_step = own.ageing_seconds_per_priority, other.ageing_seconds_per_priority
    queue = own.queue_steps * step - other.queue_steps * other_step
    caller = own.priority * step - other.priority * other_step
    waited = own.waited_seconds - other.waited_seconds
    longer = "the time that it had waited"
    if waited > 0 > queue + caller:
        longer += ", by which a call comes to go before those of higher priority"
    reasons = [
        (queue, "its queue's priority"),
        (caller, "the priority that its caller or flow gave it"),
        (waited, longer),
    ]
    told = [reason for weight, reason in sorted(reasons, key=lambda pair: -pair[0]) if weight > 0]
    return " and ".join(told) or "its id alone, as both had the same claim"


def _summed(claim: Claim) -> str:
    waited, steps = f"{claim.waited_seconds:.0f} s waited", claim.queue_steps + claim.priority
    if not steps:
        return f"{claim.seconds:.0f} s ({waited})"
    own = f" ({claim.queue_priority} of its queue and {claim.priority} of its own)" if claim.priority else ""
    sign, side = ("and", "above") if steps > 0 else ("less", "below")
    counted = f"{abs(steps)} step{'s' if abs(steps) > 1 else ''} of priority {side} {USUAL_PRIORITY}{own}"
    return f"{claim.seconds:.0f} s ({waited}, {sign} {counted} at {claim.ageing_seconds_per_priority:g} s each)"


def _missed(one: Assignment, missed: Missed) -> Iterator[str]:
    """Why the call did not stay with the agent, and what became of them by it."""
    after = f"{(missed.missed_at - one.assigned_at).total_seconds():.0f} s"
    gone = f"At {time_of(missed.missed_at)}, after {after}, the call went back to its place"
    who = one.agent_id
    match missed.reason, missed.agent_then:
        case "timeout", _:
            why = f"{who} had not answered in time"
        case "declined", _:
            why = f"{who} declined it"
        case "interrupted", _:
            why = f"it was withdrawn from {who}, who had answered a call that keeps them from calls of this channel"
        case "agent_gone", "break":
            why = f"{who} {'asked for' if one.beside else 'went on'} a break"
        case "agent_gone", "logged_out":
            why = f"{who} {'asked to log' if one.beside else 'logged'} out"
        case "agent_gone", None:
            why = f"it was withdrawn from {who}, whose site is down or drained"
        case _:
            assert_never(missed.reason)
    yield f"{gone}: {why}."
    if not missed.in_a_row:
        return
    often = "this offer" if missed.in_a_row == 1 else f"{missed.in_a_row} offers in a row"
    if missed.agent_then == "break":
        later = ", once no other call was at hand" if one.beside else ""
        yield f"{who} then went on a break{later}: the queue sends whoever misses {often} on one."
    else:
        yield f"{who} had missed {often}, and came behind all others from then on."


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
    """Who missed their last offer comes behind all others, whatever the order."""
    in_front = one.agents - one.behind
    if one.was_behind:
        return _chosen_behind(one, in_front)
    if one.agents == 1:
        return "the only available agent who may serve it"
    if not one.behind:
        return f"first of {one.agents} available agents by {_ORDERS[one.order]}"
    others = f"those who had missed their last offer, {one.behind} of {one.agents}, come behind all others"
    if in_front == 1:
        return f"the only available agent who had not missed their last offer; {others}"
    return f"first of {in_front} available agents by {_ORDERS[one.order]}; {others}"


def _chosen_behind(one: Assignment, in_front: int) -> str:
    """Those behind all others come in the queue's order among themselves."""
    if in_front:
        return "who had missed their last offer, but was the first of the agents that it might take"
    if one.agents == 1:
        return "the only available agent who may serve it, though they had missed their last offer"
    return f"all {one.agents} available agents had missed their last offer, and they were first by {_ORDERS[one.order]}"


def _by_weights(one: Assignment, bidding: Bidding, tenant_id: str | None) -> str:
    """What was weighed. The highest of the rivals is named; all are in the data."""
    rivals = [rival for rival in bidding.rivals if rival.waits]
    target = f" ({money(bidding.in_time)} of it to answer in time)" if bidding.in_time > 0 else ""
    bid = f"{money(bidding.bid)}{target}"
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
        cost = f"one available agent fewer costs {money(kept_for.price)}, less than this bid"
        said += f" The agent was not kept for {name_of(kept_for, tenant_id)}: {cost}."
    return said


def name_of(rival: Rival, tenant_id: str | None) -> str:
    return f"queue {rival.queue_id}" if tenant_id in (None, rival.tenant_id) else "another client's calls"


def _rival(rival: Rival, tenant_id: str | None) -> str:
    """With its bid, unless that is another client's."""
    name = name_of(rival, tenant_id)
    return f"the {money(rival.bid)} of {name}" if tenant_id in (None, rival.tenant_id) else name


def money(per_hour: float) -> str:
    """Bids and prices: lost-call cost per hour of an agent's time."""
    return f"{per_hour:.4g} an agent hour"


def _beside(one: Assignment, channel: Channel, tenant_id: str | None) -> Iterator[str]:
    """What the agent had beside the call, if they take several. Other calls are named to the floor alone."""
    beside = one.beside
    if beside is None:
        return
    yield f"{one.agent_id} had {beside.at_hand} of at most {beside.capacity} {_SEVERAL[channel]} then."
    for other in beside.interrupts:
        named = f"call {other}" if tenant_id is None else "another call"
        yield f"Its answer interrupts {named} of {one.agent_id}."
