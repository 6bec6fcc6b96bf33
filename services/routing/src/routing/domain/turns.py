"""One decision under way: what happens to calls and agents, and the events that tell it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, Literal

from common.events import (
    AgentLoggedOut,
    CallAbandoned,
    CallAnswered,
    CallAssigned,
    CallEnded,
    CallOfferMissed,
    CallWrappedUp,
)
from common.events.routing import AbandonReason, MissReason
from msgspec.structs import replace

from routing.domain import announcements, callbacks, consultations, engagements, entries, flow_calls, moves
from routing.domain.agents import Agent, LoggedOut, OnBreak, Serving
from routing.domain.call_states import (
    Abandoned,
    CallingBack,
    HeldPlace,
    InFlow,
    Offered,
    Queued,
    Talking,
    WrappedUp,
    WrappingUp,
)
from routing.domain.calls import MOST_ASSIGNMENTS, Assignment, Call
from routing.domain.notes import Missed
from routing.domain.telling import Telling, seconds, waited_seconds
from routing.domain.timers import Timer

_SHORT: Final = ("hung_up", "wait_limit", "no_agent")
"""Abandons that can be short: those of callers who gave up, or nearly."""


class Turn(Telling):
    """What may happen to calls and agents within one decision."""

    def fire_due(self, now: datetime) -> None:
        """Let every timer due until `now` happen, in order, each at its own time."""
        while (due := self.pool.take_due(now)) is not None:
            at, timer, item_id = due
            self.pool.now = max(self.pool.now, at)
            if timer is Timer.QUEUE_HOURS:
                # With no call to notice it, every change until now is gone through in one step.
                self.pool.follow_hours(item_id, at if self.pool.calls else now)
                entries.empty_if_closed(self, item_id)
                entries.follow_cover(self, item_id)
                entries.follow_staff(self)
                self.release_kept()
                continue
            if timer is Timer.SHARE:
                self.pool.sharing.follow(item_id, at if self.pool.calls else now)
                self.pool.staff.changed = True
                self.settle()
                continue
            call = self.pool.calls[item_id]
            match timer, call.state:
                case Timer.OFFER_TIMEOUT, Offered() as offered:
                    self.miss(call, offered, "timeout")
                case Timer.DIAL_LIMIT, CallingBack() as calling:
                    callbacks.fail(self, call, calling, "timed_out")
                case Timer.CALLBACK_EXPIRES, HeldPlace():
                    callbacks.expire(self, call)
                case Timer.REST_OVER | Timer.WIDEN, Queued() | HeldPlace():
                    self.place_anew([item_id, *self.pool.take_alike(at, timer)])
                case Timer.ALONE_LIMIT, Queued() as waiting:
                    self.place(call, replace(waiting, alone_until=None))
                case Timer.OVERFLOW, Queued():
                    entries.overflow(self, call)
                case Timer.FLOW, InFlow() as in_flow:
                    flow_calls.time_out(self, call, in_flow)
                case Timer.WAIT_LIMIT, Queued():
                    self.abandon(call, "wait_limit")
                case Timer.ANNOUNCE, Queued() as waiting:
                    announcements.announce(self, call, waiting)
                case Timer.WRAP_UP_LIMIT, WrappingUp() as wrapping_up:
                    self.finish(call, wrapping_up, None)
                case _:
                    raise AssertionError(f"{timer!r} is due for a call that is {call.state_name}")
            self.settle()

    # what happens to a call

    def place(self, call: Call, waiting: Queued | HeldPlace) -> None:
        """Offer the call to an available agent, or let it wait, or the place that its caller keeps."""
        if isinstance(waiting, HeldPlace):
            callbacks.place(self, call, waiting)
        else:
            self._place(call, waiting)

    def _place(self, call: Call, waiting: Queued) -> None:
        """Offer the call to its preferred agent, or to the best available one of the ring that it has reached, or let
        it wait: for the preferred agent alone while its time for that lasts and they are logged in."""
        queue = self.queue_of(call)
        if queue.elsewhere is not None:
            moves.hand_over(self, call, waiting, queue.elsewhere)
            return
        ring, widens_at = queue.ring_at(call.queued_at, self.pool.now)
        waiting = replace(waiting, ring=ring, widens_at=widens_at)
        agent = self.pool.preferred(call, ring) if call.offers == 0 else None
        if agent is None:
            waiting = replace(waiting, alone_until=None)
        if agent is None or not self.pool.can_take(agent, call):
            agent = None
            if waiting.alone_until is None:
                agent = self.pool.agent_for(call, ring)
        if agent is not None:
            self.assign(call, waiting, agent, came_free=False)
            return
        if waiting.announce_at is not None:
            waiting = announcements.passed_over(queue, waiting, call.queued_at, self.pool.now)
        self.keep(call, waiting)

    def keep(self, call: Call, waiting: Queued | HeldPlace) -> None:
        """The call waits on like this."""
        call = replace(call, state=waiting)
        if self.pool.calls.get(call.id) != call:
            self.pool.put_call(call)

    def assign(self, call: Call, waiting: Queued | HeldPlace, agent: Agent, *, came_free: bool) -> None:
        """Offer the call to the agent, who is available."""
        now = self.pool.now
        requirement, agents, groups, ahead = self.pool.standing(call, waiting.ring)
        share = self.pool.why_shared(call, agent, came_free=came_free)
        assignment = Assignment(
            agent_id=agent.id,
            assigned_at=now,
            queue_id=call.queue_id,
            ring=waiting.ring,
            requirement=requirement,
            order=self.queue_of(call).agent_order,
            came_free=came_free,
            agents=agents,
            groups=groups,
            ahead=ahead,
            waited_seconds=seconds(call.queued_at, now),
            preferred=agent.id == call.preferred_agent_id and call.offers == 0,
            bidding=self.pool.bidding(call, agent.id),
            beside=engagements.beside(self, agent, call),
            share=share,
            behind=self.pool.behind(call, waiting.ring),
            was_behind=agent.missed_offers > 0,
            precedence=self.pool.precedence(call, agent) if came_free and share is None else None,
        )
        expires_at = now + timedelta(seconds=self.queue_of(call).offer_timeout_seconds)
        call = replace(
            call,
            sequence=call.sequence + 1,
            offers=call.offers + 1,
            state=Offered(agent.id, now, expires_at, waiting),
            assignments=(*call.assignments[1 - MOST_ASSIGNMENTS :], assignment),
        )
        self.pool.put_call(call)
        self.tell(
            CallAssigned,
            call,
            agent_id=agent.id,
            assigned_at=now,
            offer_expires_at=expires_at,
            offer=call.offers,
            callback=isinstance(waiting, HeldPlace),
        )
        engagements.offer(self, agent, call)

    def miss(self, call: Call, offered: Offered, reason: MissReason, then: OnBreak | LoggedOut | None = None) -> None:
        """The offer is over without an answer: the call goes back to its place, the agent where `then` says, or as the
        queue's number of missed offers says: on a break, or available, behind all others."""
        now = self.pool.now
        agent = self.pool.agents[offered.agent_id]
        in_a_row = 0
        if then is None:
            in_a_row = missed = agent.missed_offers + 1
            if missed >= self.queue_of(call).missed_offers_before_break:
                then, missed = OnBreak(now, "missed_offer" if reason == "timeout" else reason), 0
            agent = replace(agent, missed_offers=missed)
        call = self.give_back(call, offered, reason, in_a_row, then)
        if in_a_row:
            self.pool.put_agent(agent)
        engagements.miss(self, agent, call, then)
        self.wait_again(call)
        if then is None:
            # Only now: whoever else can take the call has got it.
            engagements.stay(self, agent, call)

    def give_back(
        self,
        call: Call,
        offered: Offered,
        reason: MissReason,
        in_a_row: int = 0,
        then: OnBreak | LoggedOut | None = None,
    ) -> Call:
        """The call has its place in the queue again; it does not wait for its preferred agent alone any more.
        `in_a_row` and `then`, where the agent goes by it, are noted."""
        waiting = offered.waiting
        if isinstance(waiting, Queued):
            waiting = replace(waiting, alone_until=None)
        agent_then: Literal["break", "logged_out"] | None = None
        if then is not None:
            agent_then = "break" if isinstance(then, OnBreak) else "logged_out"
        call = self.put(call.offer_missed(Missed(self.pool.now, reason, in_a_row, agent_then)), waiting)
        self.tell(
            CallOfferMissed,
            call,
            agent_id=offered.agent_id,
            offer=call.offers,
            reason=reason,
            callback=isinstance(waiting, HeldPlace),
        )
        return call

    def wait_again(self, call: Call) -> None:
        """The call, which was given back, goes on where it would be, had nobody been asked."""
        now = self.pool.now
        match call.state:
            case Queued(limit_at=limit_at) if limit_at is not None and limit_at <= now:
                self.abandon(call, "wait_limit")
            case Queued(overflow_at=overflow_at) if overflow_at is not None and overflow_at <= now:
                entries.overflow(self, call)
            case Queued() | HeldPlace():
                if self.pool.sharing.slots:
                    # Its tenant may have room for one more again, and others may come before it.
                    self.release_kept()
                self.place_anew([call.id])
            case _:
                raise AssertionError(f"call {call.id} was given back but is {call.state_name}")

    def offered(self, call_id: str) -> tuple[Call, Offered]:
        """The call that rings at an agent. Raises AssertionError when it does not."""
        call = self.pool.calls[call_id]
        if not isinstance(call.state, Offered):
            raise AssertionError(f"call {call_id} rings at an agent but is {call.state_name}")
        return call, call.state

    def let_go(self, call_id: str, then: OnBreak | LoggedOut) -> None:
        """The agent leaves while a call rings at them."""
        call, offered = self.offered(call_id)
        self.miss(call, offered, "agent_gone", then)

    def abandon(self, call: Call, reason: AbandonReason, message: str | None = None) -> None:
        """The call is over unanswered; its caller hears `message` if one is named."""
        if call.is_consultation:
            consultations.give_up(self, call)
            return
        now = self.pool.now
        total = waited_seconds(call, call.first_queued_at, now)
        call = self.put(call, Abandoned(now, reason))
        self.tell(
            CallAbandoned,
            call,
            abandoned_at=now,
            wait_seconds=waited_seconds(call, call.queued_at, now),
            total_wait_seconds=total,
            short=call.machine_at is None and reason in _SHORT and total < self.queue_of(call).short_abandon_seconds,
            reason=reason,
            message=message,
            away_seconds=call.away_seconds(now),
            machine=call.machine_at is not None,
        )

    def answer(self, call: Call, agent_id: str) -> Call:
        """Agent and caller speak; the agent's own state is for who calls this."""
        now = self.pool.now
        call = self.put(call, Talking(agent_id, now))
        self.tell(
            CallAnswered,
            call,
            agent_id=agent_id,
            answered_at=now,
            wait_seconds=waited_seconds(call, call.queued_at, now),
            total_wait_seconds=waited_seconds(call, call.first_queued_at, now),
            away_seconds=call.away_seconds(now),
        )
        return call

    def end(self, call: Call, talking: Talking, *, to_call_id: str | None = None, to_number: str | None = None) -> None:
        """The conversation is over; a caller who is handed on goes to `to_call_id` or `to_number`."""
        now = self.pool.now
        if talking.consultation is not None:
            call, talking = consultations.end(self, call, talking, talking.consultation, "call_over")
        limit_at = now + timedelta(seconds=self.queue_of(call).wrap_up_seconds)
        held = talking.held_seconds + (seconds(talking.held_since, now) if talking.held_since else 0.0)
        pauses = call.pauses and call.pauses.until(now, wrapping_up=False)
        paused = pauses.talk_seconds if pauses else 0.0
        call = replace(call, transferred_to=to_call_id or to_number, pauses=pauses)
        call = self.put(call, WrappingUp(talking.agent_id, talking.answered_at, now, limit_at, held))
        self.tell(
            CallEnded,
            call,
            agent_id=talking.agent_id,
            answered_at=talking.answered_at,
            ended_at=now,
            wait_seconds=waited_seconds(call, call.queued_at, talking.answered_at),
            talk_seconds=seconds(talking.answered_at, now) - paused,
            held_seconds=held,
            talk_paused_seconds=paused,
            transferred_to_call_id=to_call_id,
            transferred_to_number=to_number,
        )
        engagements.end(self, self.pool.agents[talking.agent_id], call)

    def finish(self, call: Call, done: WrappingUp, disposition: str | None) -> None:
        """The agent has done the call's wrap-up, or the time for it is over."""
        now = self.pool.now
        pauses = call.pauses and replace(call.pauses.until(now, wrapping_up=True), since=None)
        paused = (pauses.talk_seconds, pauses.wrap_up_seconds) if pauses else (0.0, 0.0)
        call = replace(call, pauses=pauses)
        call = self.put(
            call, WrappedUp(done.agent_id, done.answered_at, done.ended_at, now, disposition, done.held_seconds)
        )
        self.tell(
            CallWrappedUp,
            call,
            agent_id=done.agent_id,
            answered_at=done.answered_at,
            ended_at=done.ended_at,
            wrapped_up_at=now,
            wait_seconds=waited_seconds(call, call.queued_at, done.answered_at),
            talk_seconds=seconds(done.answered_at, done.ended_at) - paused[0],
            wrap_up_seconds=seconds(done.ended_at, now) - paused[1],
            disposition=disposition,
            talk_paused_seconds=paused[0],
            wrap_up_paused_seconds=paused[1],
        )
        agent = self.pool.agents[done.agent_id].learnt(seconds(done.answered_at, now) - sum(paused))
        engagements.finish(self, agent, call)

    # what happens to an agent

    def serve_all(self) -> None:
        """Nobody is kept for anything by weights any more: whoever was takes what they may and can."""
        for agent_id in sorted(self.pool.agents):
            engagements.take_more(self, agent_id)

    def serve(self, agent: Agent) -> None:
        """An agent takes the first call that they may and can, if any waits, and as many as they can."""
        if isinstance(agent.state, Serving) and agent.id not in self.pool.seated:
            return  # their capacity was taken back: one call at a time, after these
        while (call := self.pool.best_call(agent.id)) is not None:
            call = self.pool.promised_before(call, agent) or call
            if isinstance(call.state, HeldPlace) and callbacks.rests(self, call, call.state):
                continue
            if not isinstance(call.state, Queued | HeldPlace):
                return
            self.assign(call, call.state, agent, came_free=True)
            agent = self.pool.agents[agent.id]
            if not isinstance(agent.state, Serving):
                return
        if self.pool.sharing.slots:
            # Kept for another tenant: whoever waits for them alone need not any more.
            self.release(agent.id)

    def release(self, agent_id: str) -> None:
        """Calls that wait for the agent alone are placed anew: perhaps there is nothing to wait for any more."""
        self.place_anew(call.id for call in self.pool.waiting_for(agent_id))

    def release_kept(self) -> None:
        """Agents who need not be kept any more take the calls that may have them. Only by declared weights and by
        shares is anybody ever kept."""
        while (call := self.pool.releasable()) is not None and isinstance(call.state, Queued | HeldPlace):
            self.place(call, call.state)

    def settle(self) -> None:
        """After all that an input or a timer has done."""
        entries.follow_staff(self)
        self.release_kept()
        if self.pool.callbacks.near:
            callbacks.call_near(self)

    def serve_queue(self, queue_id: str) -> None:
        """After new rules: as many of the queue's calls as available agents may take, each in its ring."""
        waiting = [call.id for call in self.pool.waiting_in(queue_id)]
        resting = self.pool.callbacks.call_ids() if self.pool.callbacks else []
        self.place_anew({*waiting, *(one for one in resting if self.pool.calls[one].queue_id == queue_id)})

    def place_anew(self, call_ids: Iterable[str]) -> None:
        """Those of the calls that wait are placed in the order of service."""
        for before in self.pool.in_order(call_ids):
            call = self.pool.calls.get(before.id)
            if call is not None and isinstance(call.state, Queued | HeldPlace):
                self.place(call, call.state)

    def leave(self, agent: Agent, traceparent: str | None, reason: str | None = None) -> None:
        """The agent's shift ends; `reason` says why an operator ended it."""
        before = agent
        agent = replace(agent, sequence=agent.sequence + 1, state=LoggedOut(self.pool.now, reason))
        self.pool.put_agent(agent)
        self.tell_agent(
            AgentLoggedOut,
            agent,
            traceparent,
            previous_state=before.state_name,
            since_previous=before.state.since,
            seconds_in_previous=seconds(before.state.since, self.pool.now),
            reason=reason,
        )
        self.release(agent.id)
