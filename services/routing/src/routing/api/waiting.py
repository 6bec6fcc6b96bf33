"""What happens while callers wait, as the API says it: how they are called back, and what they hear."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from common.events.routing import CallbackFailure
from common.fields import Slug
from common.http import Model
from pydantic import Field

from routing.api.state import PositiveSeconds, Seconds
from routing.domain.call_states import CallingBack
from routing.domain.calls import Call
from routing.domain.configuration import Announcement, CallbackMode, CallbackRules, Tell


class CallbackBody(Model):
    """Waiting callers of a voice queue may hang up, keep their place in the order of service and be called back.

    agent_first: the place is offered to an agent as a waiting call is, and the customer is dialled once they accept.
    customer_first: the customer is dialled when nobody of the queue is before the place or an agent who may serve it is
    available, and waits at the place once they answer."""

    mode: CallbackMode
    attempts: int = Field(3, ge=1, le=20)
    """Dials, at most; after the last one the call is over."""
    retry_seconds: PositiveSeconds = 300.0
    """From a dial that nobody answered to the next one, at least. The place is kept."""
    ring_seconds: float = Field(30.0, ge=5, le=300)
    valid_seconds: PositiveSeconds = 14_400.0
    """From the request on, closed hours included: then the callback is given up."""


class AnnouncementBody(Model):
    """What callers hear after so many seconds in the queue, while they wait, and then again every so many."""

    message: Slug = Field(examples=["please-hold"])
    after_seconds: Seconds = Field(examples=[30])
    every_seconds: float | None = Field(None, ge=1, le=86_400)
    tell: list[Tell] = Field(default=[], max_length=2, examples=[["position"]])
    """What of the moment's figures goes with it."""


Announcements = Annotated[list[AnnouncementBody], Field(max_length=20)]


def callback_of(body: CallbackBody | None) -> CallbackRules | None:
    """As the pool knows them."""
    return None if body is None else CallbackRules(**body.model_dump())


def announcements_of(bodies: list[AnnouncementBody]) -> tuple[Announcement, ...]:
    """As the pool knows them."""
    return msgspec.convert([body.model_dump() for body in bodies], tuple[Announcement, ...])


class DialView(Model):
    """One attempt to reach the customer."""

    dial_id: str
    dialled_at: datetime
    agent_id: str | None
    """Who waited for the answer; null: customer first."""
    outcome: Literal["answered", CallbackFailure] | None
    """Null: under way, or called off when the callback was cancelled."""
    over_at: datetime | None


class CallbackView(Model):
    """A promise to call the caller back, and what came of it."""

    phone: str
    mode: CallbackMode
    requested_at: datetime
    reached_at: datetime | None
    """Since when the customer is on the line again."""
    attempts: int
    """At most."""
    dials: list[DialView]
    dial_id: str | None
    """The attempt under way: a PBX that does not know it dials now; one that does goes on."""
    not_before: datetime | None
    """Of the next attempt, after one that failed."""
    valid_until: datetime | None
    """Null: nobody waits to be called back any more."""
    ended_by: str | None
    """Who cancelled it: the caller's next call, or whoever gave the command."""
    promised_by: str | None
    """The step of the call's flow that promised it; null: the caller asked for it, or a rule of the queue did."""


class HeardView(Model):
    """An announcement that the waiting caller heard."""

    message: str
    times: int
    last_at: datetime
    position: int | None
    """As it told it last; null: it told none."""
    estimated_wait_seconds: float | None


def callback_view(call: Call) -> CallbackView | None:
    """How the call's caller is called back; None: they are not."""
    callback, state = call.callback, call.state
    if callback is None:
        return None
    held = call.held_place
    return CallbackView(
        phone=callback.phone,
        mode=callback.rules.mode,
        requested_at=callback.requested_at,
        reached_at=callback.reached_at,
        attempts=callback.rules.attempts,
        dials=[DialView(**msgspec.structs.asdict(dial)) for dial in callback.dials],
        dial_id=state.dial_id if isinstance(state, CallingBack) else None,
        not_before=held.not_before if held else None,
        valid_until=held.expires_at if held else None,
        ended_by=callback.ended_by,
        promised_by=callback.promised_by,
    )
