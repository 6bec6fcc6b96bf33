"""Why an agent was offered a call: what was known then, and how the offer ended if without an answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from common.events.routing import MissReason
from common.http import Model
from pydantic import Field

from routing.domain.bidding import Bidding
from routing.domain.calls import Assignment
from routing.domain.configuration import AgentOrder
from routing.domain.notes import Claim
from routing.domain.sharing import Reason

Requirement = Annotated[str, Field(examples=["french >= 5 and billing"])]
"""What was asked of agents; empty: nothing."""


class RivalView(Model):
    """Another queue that the same agents may serve. Bid and price in lost-call cost per hour of an agent's time."""

    queue_id: str | None
    """Null: another client's, which is not for a tenant to know, nor is its bid."""
    bid: float | None
    price: float
    """Cost for it of one available agent fewer."""
    waits: bool
    """A call of it was waiting."""


class BiddingView(Model):
    """By declared weights: the bid of the call's queue and the rivals that mattered most, the highest bid first."""

    bid: float = Field(examples=[45.0])
    in_time: float
    """Part of it: what it is worth, for the queue's target service level, that its calls are answered in time."""
    rivals: list[RivalView]


class BesideView(Model):
    """What an agent who takes several calls had at hand."""

    at_hand: int = Field(examples=[2])
    """Calls of this one's channel."""
    capacity: int = Field(examples=[3])
    """How many of that channel they take at a time."""
    interrupts: list[str]
    """Their other calls that this one's answer pauses; for a tenant always empty."""


class ClaimView(Model):
    """What counted for a waiting call in the order of service, in which the greater `seconds` goes first."""

    queue_id: str | None
    """Null: another client's, which is not for a tenant to know, nor are its figures."""
    queue_priority: int | None = Field(examples=[5])
    priority: int | None = Field(examples=[0])
    """Steps of its own beside its queue's: its caller's, or those that its flow gave it."""
    ageing_seconds_per_priority: float | None = Field(examples=[60.0])
    """What one step, counted from priority 5, is worth."""
    waited_seconds: float | None
    """Since it entered its first queue, or by the place that it took over."""
    seconds: float | None
    """Waited, and the worth of its steps."""


class PrecedenceView(Model):
    """The call, and the first call of another queue that the agent might have taken instead."""

    own: ClaimView
    other: ClaimView


class MissedView(Model):
    """An offer that was over without an answer."""

    missed_at: datetime
    seconds: float = Field(examples=[20.0])
    """After the offer."""
    reason: MissReason
    """`timeout` and `declined` are misses of the agent's; the offer was withdrawn when they left or their site went
    down (`agent_gone`), or answered a call that keeps them from calls of this channel (`interrupted`)."""
    in_a_row: int = Field(examples=[1])
    """Offers that the agent had missed in a row with this one; 0: no miss of theirs."""
    agent_then: Literal["break", "logged_out"] | None
    """Where the agent went by it, at once or once no other call was at hand. Null: nowhere."""


class AssignmentView(Model):
    """One agent who was offered the call, as things stood at that moment."""

    agent_id: str
    assigned_at: datetime
    queue_id: str
    ring: int
    """0 at first, 1 after one relaxation …"""
    requirement: Requirement
    order: AgentOrder
    """Who missed their last offer comes behind all others by any order."""
    came_free: bool
    """True: the agent came free and took a call; false: the call took an agent."""
    agents: int
    """Available agents who met the requirement."""
    behind: int
    """Those of them who came behind the others, because they had missed their last offer."""
    was_behind: bool
    """The agent was one of those."""
    groups: int
    """Different sets of skills among them."""
    ahead: int
    """Calls of the queue that were before this one."""
    waited_seconds: float
    preferred: bool
    """The agent is the one that the call was to go to."""
    bidding: BiddingView | None
    """Null: the pool does not go by declared weights."""
    beside: BesideView | None
    """Null: the agent takes one call at a time."""
    share: Reason | None
    """What in the tenants' shares made it so. reserved: the agent was kept for the call's tenant; guaranteed: it had
    fewer agents than it is guaranteed, and so went first; released: the agent was kept for another tenant, but the call
    had waited for the release time. Null: nothing."""
    precedence: PrecedenceView | None
    """Before which call of another queue it went when the agent came free. Null: there was none that they might have
    taken, or it did not go by the order of service alone."""
    missed: MissedView | None
    """How the offer ended, if it was missed, declined or withdrawn."""


def assignment_view(one: Assignment, tenant_id: str | None) -> AssignmentView:
    """`tenant_id`: who reads it, if not the floor: then what is another tenant's is left out."""
    beside = None
    if one.beside is not None:
        # The agent's other calls may be another tenant's.
        interrupts = list(one.beside.interrupts) if tenant_id is None else []
        beside = BesideView(at_hand=one.beside.at_hand, capacity=one.beside.capacity, interrupts=interrupts)
    precedence = missed = None
    if one.precedence is not None:
        own, other = one.precedence.own, one.precedence.other
        precedence = PrecedenceView(own=_claim_view(own, tenant_id), other=_claim_view(other, tenant_id))
    if one.missed is not None:
        after = (one.missed.missed_at - one.assigned_at).total_seconds()
        missed = MissedView(**msgspec.structs.asdict(one.missed), seconds=after)
    told = {
        "bidding": bidding_view(one.bidding, tenant_id),
        "beside": beside,
        "precedence": precedence,
        "missed": missed,
    }
    return AssignmentView(**{**msgspec.structs.asdict(one), **told})


def _claim_view(claim: Claim, tenant_id: str | None) -> ClaimView:
    if tenant_id not in (None, claim.tenant_id):
        return ClaimView(**dict.fromkeys(ClaimView.model_fields))
    told = msgspec.structs.asdict(claim)
    del told["tenant_id"]
    return ClaimView(**told, seconds=claim.seconds)


def bidding_view(bidding: Bidding | None, tenant_id: str | None) -> BiddingView | None:
    """The same for what queues bid."""
    if bidding is None:
        return None
    rivals = []
    for rival in bidding.rivals:
        known = tenant_id in (None, rival.tenant_id)
        queue_id, bid = (rival.queue_id, rival.bid) if known else (None, None)
        rivals.append(RivalView(queue_id=queue_id, bid=bid, price=rival.price, waits=rival.waits))
    return BiddingView(bid=bidding.bid, in_time=bidding.in_time, rivals=rivals)
