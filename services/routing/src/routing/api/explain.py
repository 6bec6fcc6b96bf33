"""Why a call went to an agent, or still waits."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import msgspec
from common.auth import Role
from common.database import Session
from common.http import Caller, Model, PlainRouter, require
from fastapi import Request
from msgspec.structs import replace
from pydantic import Field

from routing.api.assignments import AssignmentView, BiddingView, Requirement, assignment_view, bidding_view
from routing.api.calls import call_seen_by
from routing.api.consultations import PastConsultationView, past_consultations
from routing.api.conversation import ConversationView, TakeOverView, conversation_view
from routing.api.state import CallPath
from routing.api.waiting import CallbackView, HeardView, callback_view
from routing.domain import explanation
from routing.domain.call_states import Abandoned, CallStateName, HeldPlace, Queued
from routing.domain.calls import Call, Move, Pauses, Phase
from routing.domain.pool import Pool
from routing.store import history
from routing.store import reading as store
from routing.store.configuration import queue as queue_row
from routing.store.shares import of_pools
from routing.store.states import load, queue_of, queues_of

router = PlainRouter(tags=["calls"])


class PausesView(Model):
    """How other calls of its agent have interrupted the call."""

    times: int
    by: str | None
    """The call that did it last. Null: not a call, or not the reader's to know."""
    since: datetime | None
    """Of the pause that goes on."""
    talk_seconds: float
    wrap_up_seconds: float


class MoveView(Model):
    """One overflow rule that moved the call."""

    moved_at: datetime
    queue_id: str
    """Whose rule it is."""
    when: dict[str, Any] = Field(examples=[{"type": "estimated_wait", "seconds": 60}])
    to: dict[str, Any] = Field(examples=[{"type": "queue", "queue_id": "late"}])
    """Both as the queue's `overflows` say them."""
    measured: float | None = Field(examples=[74.5])
    """Seconds waited or estimated, calls waiting; null: nothing to measure."""
    drained: bool
    """The site of a rule about sites was not down otherwise: an operator drained it."""


class RemovalView(Model):
    """The call went to another pool, where its queue is at home. It `waits`: the queue had moved, and the call, which
    waited in it, went after it at its place; it `enters` the queue by a rule, or `comes` to it as a new call."""

    removed_at: datetime
    queue_id: str
    from_pool_id: str
    to_pool_id: str
    phase: Phase


class WaitingView(Model):
    """How a waiting call stands now. The numbers of agents are null for a tenant: agents are the floor's."""

    queue_id: str
    ring: int
    requirement: Requirement
    position: int = Field(examples=[1])
    waited_seconds: float
    agents_logged_in: int | None
    agents_available: int | None
    widens_at: datetime | None
    next_requirement: str | None
    overflow_at: datetime | None
    overflow_queue_id: str | None
    overflow_to: dict[str, Any] | None = Field(examples=[{"type": "queue", "queue_id": "late"}])
    """Where the rule leads, as the queue's `overflows` say it."""
    limit_at: datetime | None
    alone_until: datetime | None
    """Until then the call waits for its preferred agent alone."""
    preferred_agent_id: str | None
    keeping: BiddingView | None
    """The queues for which available agents are kept from this call. Null: nobody is kept from it."""
    kept_by_reservation: bool
    """Whether available agents who may serve it are reserved for other tenants."""
    kept_for: list[str] | None = Field(examples=[["lamp"]])
    """Those tenants; null for a tenant: the others are not theirs to know."""
    most_positions_reached: bool
    """Whether as many agents serve its tenant as may at most."""


class OperatorsWordView(Model):
    """What an operator had said of the queue, against its hours, when the call was turned away."""

    queue_id: str
    said: str = Field(examples=["draining"])
    """`closed` or `draining`"""
    by: str
    at: datetime
    reason: str | None


class ExplanationView(Model):
    """`words` says the same as the rest, in sentences."""

    call_id: str
    state: CallStateName
    words: list[str] = Field(
        examples=[["After 3 s in queue help, which asked for 'french', ann came free, and this was the first of …"]]
    )
    assignments: list[AssignmentView]
    """The newest ones, at most 20, oldest first."""
    moves: list[MoveView]
    """Oldest first."""
    removals: list[RemovalView]
    """From pool to pool; oldest first."""
    waiting: WaitingView | None
    pauses: PausesView | None
    """Null: it was never interrupted."""
    operators_word: OperatorsWordView | None
    announcements: list[HeardView]
    """What the caller heard while it waited, the one heard last at the end."""
    conversation: ConversationView | None
    """Null: nobody has answered."""
    take_overs: list[TakeOverView]
    """By supervisors: into this call, and from it."""
    callback: CallbackView | None
    """The attempts to call back so far; null: the caller did not ask for it."""
    no_callback: str | None
    """Why its flow, which would have had the caller called back, sent it on instead: `no_phone`, `no_callbacks`,
    `draining`, `closed`. Null: it never came to that."""
    consultations: list[PastConsultationView]
    """What its agents asked of others, the newest ones, oldest first; not the one under way."""
    last_agent_id: str | None
    """Who last spoke with its caller and is preferred for that. Null: nobody is known, or whoever offered it had said
    who should take it, or none of its queues waits for one agent alone."""
    transferred_from: str | None
    """The call that this one goes on from."""
    handed_on_by: str | None
    """The agent who handed the caller on to a queue. It rings at them only while nobody else is logged in who could
    serve it. Null: nobody did."""
    transferred_to: str | None
    """The call that the caller went on as, or the number outside."""


@router.get(
    "/calls/{call_id}/explain",
    dependencies=[require(Role.OPERATOR, Role.SUPERVISOR, Role.SERVICE, Role.TENANT, Role.AGENT)],
)
async def explain_call(call_id: CallPath, caller: Caller, request: Request) -> ExplanationView:
    """Why this agent, why this wait, which rules applied. Seen by those who see the call."""
    runtime = request.app.state.runtime
    standing = None
    async with runtime.database.transaction(caller.scope) as session:
        pool_id, call = await call_seen_by(caller, call_id, session)
        word = await _operators_word(session, call)
    if not caller.has(Role.OPERATOR, Role.SUPERVISOR, Role.SERVICE, Role.TENANT):
        call = as_the_agent_knows(call)
    if isinstance(call.state, Queued | HeldPlace):
        # What it waits for is the whole pool's matter, of which each is told their part.
        async with runtime.database.transaction() as session:
            row = await queue_row(session, call.queue_id)
            others = await store.waiting_calls(session, pool_id, call.queue_id)
            staff = None if caller.tenant_id is not None else await store.staff(session, pool_id)
            pool = await _keeping_pool(session, pool_id)
        # In a thread: a large pool's policy takes a second.
        keeping = None if pool is None else await asyncio.to_thread(pool.keeping, call)
        kept_for, is_full = ([], False) if pool is None else pool.kept_from(call)
        if row is not None:
            now = runtime.clock.now()
            standing = explanation.waiting(call, queue_of(row), others, staff, now, keeping, kept_for, is_full=is_full)
    return ExplanationView(
        call_id=call.id,
        state=call.state_name,
        callback=callback_view(call),
        no_callback=call.no_callback,
        words=explanation.words(call, standing, caller.tenant_id, word),
        assignments=[assignment_view(one, caller.tenant_id) for one in call.assignments],
        moves=[_move_view(one) for one in call.moves],
        removals=[RemovalView(**msgspec.structs.asdict(one)) for one in call.removals],
        waiting=None if standing is None else _waiting_view(standing, caller.tenant_id),
        pauses=_pauses_view(call.pauses, caller.tenant_id),
        operators_word=None if word is None else OperatorsWordView(**msgspec.structs.asdict(word)),
        announcements=[HeardView(**msgspec.structs.asdict(one)) for one in call.heard],
        conversation=conversation_view(call),
        take_overs=[TakeOverView(**msgspec.structs.asdict(one)) for one in call.take_overs],
        consultations=past_consultations(call),
        last_agent_id=call.preferred_agent_id if call.spoke_last else None,
        transferred_from=call.transferred_from,
        handed_on_by=call.handed_on_by,
        transferred_to=call.transferred_to,
    )


def as_the_agent_knows(call: Call) -> Call:
    """Without supervisors who only listened, which neither agent nor caller is to notice."""
    if call.conversation is None:
        return call
    return replace(call, conversation=call.conversation.as_the_agent_knows())


async def _operators_word(session: Session, call: Call) -> explanation.OperatorsWord | None:
    """Why the queue was closed to the call, where an operator had closed or drained it."""
    if not isinstance(call.state, Abandoned) or call.state.reason != "closed":
        return None
    row = await history.last_word(session, call.queue_id, call.state.abandoned_at)
    if row is None or row["action"] not in ("closed", "draining"):
        return None
    return explanation.OperatorsWord(
        queue_id=call.queue_id,
        said=row["action"],
        by=row["actor"],
        at=row["happened_at"],
        reason=row["detail"]["reason"],
    )


def _pauses_view(pauses: Pauses | None, tenant_id: str | None) -> PausesView | None:
    if pauses is None:
        return None
    by = pauses.by if pauses.by and tenant_id is None else None
    return PausesView(**{**msgspec.structs.asdict(pauses), "by": by})


def _move_view(one: Move) -> MoveView:
    when, to = msgspec.to_builtins(one.why), msgspec.to_builtins(one.to)
    return MoveView(
        moved_at=one.moved_at, queue_id=one.queue_id, when=when, to=to, measured=one.measured, drained=one.drained
    )


def _waiting_view(standing: explanation.Waiting, tenant_id: str | None) -> WaitingView:
    to, keeping = msgspec.to_builtins(standing.overflow_to), bidding_view(standing.keeping, tenant_id)
    said = msgspec.structs.asdict(standing)
    kept_for, is_full = said.pop("kept_for"), said.pop("is_full")
    return WaitingView(
        **{**said, "overflow_to": to, "keeping": keeping},
        kept_by_reservation=bool(kept_for),
        kept_for=list(kept_for) if tenant_id is None else None,
        most_positions_reached=is_full,
    )


async def _keeping_pool(session: Session, pool_id: str) -> Pool | None:
    """The pool as it was last saved, if agents may be kept in it: by declared weights or by shares."""
    weighed = any(queue.weights is not None for queue in await queues_of(session, pool_id))
    if not weighed and not await of_pools(session, [pool_id]):
        return None
    return (await load(session, [pool_id])).get(pool_id)
