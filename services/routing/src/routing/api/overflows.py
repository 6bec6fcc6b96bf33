"""Overflow rules as the API says them, and an operator's word on whether a queue is open."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from common.fields import Line, Slug
from common.http import Model
from pydantic import Field

from routing.api.state import Seconds
from routing.domain.configuration import OverflowRule, Override, SplitPart


class WaitedBody(Model):
    """The call has waited this long in the queue."""

    type: Literal["waited"]
    seconds: Seconds


class QueueLengthBody(Model):
    """So many calls wait when another one enters that no agent can take at once."""

    type: Literal["queue_length"]
    calls: int = Field(ge=1, le=1_000_000)


class EstimatedWaitBody(Model):
    """A call that enters and that no agent can take at once would wait this long, as the queue's last waits tell. The
    first of a queue stays, and so does everybody while too few have waited there to tell. Where nobody is logged in who
    could serve it, as in `nobody_logged_in`, there is no estimate, and the rule holds."""

    type: Literal["estimated_wait"]
    seconds: Seconds


class NobodyLoggedInBody(Model):
    """No agent is logged in who could serve the call, by its queue's requirement or one of its relaxations: when it
    enters, and as soon as the last such agent leaves while it waits. Agents who are busy or on a break are logged in.
    Not counted are agents who have asked to log out after a call, who are drained, whose site is down or drained, or
    who, as many as there are, are reserved for other tenants without a release time."""

    type: Literal["nobody_logged_in"]


class SiteDownBody(Model):
    """The site is down when a call enters that no agent can take at once; with `waiting` also for the calls that wait
    when it goes down."""

    type: Literal["site_down"]
    site_id: Slug
    waiting: bool = False


class ClosedBody(Model):
    """The call comes to the closed queue; with `waiting` also those that wait when it closes."""

    type: Literal["closed"]
    waiting: bool = False


class ToQueueBody(Model):
    """Another queue of the same tenant and channel, in whatever pool. One that is closed is passed over."""

    type: Literal["queue"]
    queue_id: Slug


class ToSiteBody(Model):
    """The call stays in its queue, for agents of this site only. One that is down is passed over."""

    type: Literal["site"]
    site_id: Slug


class ToNumberBody(Model):
    """A number of the tenant's directory. The PBX is told to transfer the caller, and the call is over for the floor.
    Only calls from outside go there."""

    type: Literal["number"]
    name: Slug = Field(examples=["night-desk"])


class StayBody(Model):
    """The call enters its queue."""

    type: Literal["stay"]


class ToMessageBody(Model):
    """The caller hears the announcement of this name, and the call is over."""

    type: Literal["message"]
    message: Slug


class ToCallbackBody(Model):
    """The caller hangs up, keeps the place and is called back, as the queue's `callback` says. Passed over if they
    cannot be: no number, or one that waits for a callback already."""

    type: Literal["callback"]


class OverflowRuleBody(Model):
    """Of the rules that hold at a moment, the first one listed that can be followed is."""

    when: Annotated[
        WaitedBody | QueueLengthBody | EstimatedWaitBody | NobodyLoggedInBody | SiteDownBody | ClosedBody,
        Field(discriminator="type"),
    ] = Field(examples=[{"type": "waited", "seconds": 45}])
    to: Annotated[
        ToQueueBody | ToSiteBody | ToNumberBody | ToMessageBody | ToCallbackBody, Field(discriminator="type")
    ] = Field(examples=[{"type": "message", "message": "call-later"}])


class SplitPartBody(Model):
    """So many of 100 calls that come to the queue from outside go there. What cannot be followed stays."""

    percent: int = Field(ge=1, le=100, examples=[30])
    to: Annotated[ToQueueBody | ToSiteBody | ToNumberBody | StayBody, Field(discriminator="type")]


Split = Annotated[
    list[SplitPartBody],
    Field(
        max_length=20,
        examples=[
            [
                {"percent": 70, "to": {"type": "stay"}},
                {"percent": 30, "to": {"type": "number", "name": "night-desk"}},
            ]
        ],
    ),
]


Overflows = Annotated[list[OverflowRuleBody], Field(max_length=20)]


def rules_of(bodies: list[OverflowRuleBody]) -> tuple[OverflowRule, ...]:
    """The rules as the pool knows them."""
    return msgspec.convert([body.model_dump() for body in bodies], tuple[OverflowRule, ...])


def split_of(bodies: list[SplitPartBody]) -> tuple[SplitPart, ...]:
    """The split as the pool knows it."""
    return msgspec.convert([body.model_dump() for body in bodies], tuple[SplitPart, ...])


class OverrideBody(Model):
    reason: Line | None = Field(None, examples=["fire drill"])


class OverrideView(Model):
    """What an operator said of the queue, against its hours."""

    state: Override
    """draining: no new call enters, those that wait are served out."""
    by: str
    at: datetime
    reason: str | None
