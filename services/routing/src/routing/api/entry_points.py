"""Entry points: dialled numbers and the flow that they lead to, as the operator declares them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import asyncpg
import msgspec
from common.auth import Role
from common.errors import Invalid, NotFound
from common.fields import SLUG, Line, Slug, TenantFilter
from common.http import (
    Db,
    Model,
    Page,
    PageCursor,
    PageLimit,
    Router,
    answer_put,
    creates,
    decode_key,
    etag,
    page,
    require,
)
from common.phone import InvalidPhone, normalise
from fastapi import Depends, Query, Response
from pydantic import Field

from routing.api.history import Changing
from routing.api.state import SlugPath, check_floor
from routing.domain.declarations import Faults
from routing.domain.flow_drawing import entry_point_svg
from routing.domain.flows import Flow
from routing.service import entry_points as service
from routing.store import configuration
from routing.store import entry_points as store

router = Router(
    tags=["entry points"],
    dependencies=[require(Role.OPERATOR, Role.SUPERVISOR, Role.SERVICE, Role.TENANT)],
)

Target = Annotated[str, Field(max_length=63)]
"""Name of the step that comes next."""
Tries = Annotated[int, Field(ge=1, le=9)]
MenuSeconds = Annotated[float, Field(ge=1, le=120, allow_inf_nan=False)]


class GreetingBody(Model):
    """Plays, then goes on."""

    type: Literal["greeting"]
    prompt: Line
    next: Target


class ChoiceBody(Model):
    digits: str = Field(max_length=8, examples=["1"])
    next: Target


class MenuBody(Model):
    """Asks for digits, at most `tries` times until a valid choice, and as often again when the caller comes back to it.
    Then it goes to `no_input` after silence, to `no_match` after digits that are no choice. All menus of a flow ask one
    call at most 100 times together; after that each of them goes to `otherwise` at once."""

    type: Literal["menu"]
    prompt: Line
    choices: list[ChoiceBody] = Field(max_length=100)
    otherwise: Target
    tries: Tries = 3
    timeout_seconds: MenuSeconds = 15.0
    """From the beginning of the prompt."""
    no_input: Target | None = None
    """Null: `otherwise`."""
    no_match: Target | None = None
    """Null: `otherwise`."""


class LanguageChoiceBody(Model):
    digits: str = Field(max_length=8, examples=["1"])
    skill: Slug


class LanguageBody(Model):
    """A menu that sets the skill which the call asks for beside its queue's, and goes to `next`; by `otherwise`,
    `no_input` or `no_match` it goes on without one."""

    type: Literal["language"]
    prompt: Line
    choices: list[LanguageChoiceBody] = Field(max_length=100)
    next: Target
    otherwise: Target
    tries: Tries = 3
    timeout_seconds: MenuSeconds = 15.0
    no_input: Target | None = None
    """Null: `otherwise`."""
    no_match: Target | None = None
    """Null: `otherwise`."""


class HoursBody(Model):
    """Goes to `open` while the queue is open, otherwise to `closed`."""

    type: Literal["hours"]
    queue_id: Slug
    open: Target
    closed: Target


class PriorityBody(Model):
    """Raises the priority of listed numbers, written as an entry point's, and, if asked for, of known contacts (by
    their own priority too)."""

    type: Literal["priority"]
    next: Target
    steps: int = Field(1, ge=1, le=9)
    phones: list[str] = Field(default=[], max_length=1000, examples=[["+33639980001"]])
    known_contacts: bool = False


class QueueStepBody(Model):
    """Offers the call to a queue of the tenant, in whatever pool."""

    type: Literal["queue"]
    queue_id: Slug


class CallbackStepBody(Model):
    """The caller hangs up at once, keeps a place in the queue, and is called back as the queue's `callback` says. Who
    calls again takes over the place. A caller who cannot be called back goes to `otherwise`: who withholds the number,
    while the queue drains, opens only when the callback would not be valid any more, or calls nobody back any more."""

    type: Literal["callback"]
    queue_id: Slug
    """A queue that declares `callback`."""
    otherwise: Target


class MessageBody(Model):
    """Plays and releases."""

    type: Literal["message"]
    prompt: Line


class VoicemailBody(Model):
    """Records; what is recorded becomes a case of the queue."""

    type: Literal["voicemail"]
    prompt: Line
    queue_id: Slug
    max_seconds: float = Field(120.0, ge=1, le=600, allow_inf_nan=False)


StepBody = Annotated[
    GreetingBody
    | MenuBody
    | LanguageBody
    | HoursBody
    | PriorityBody
    | QueueStepBody
    | CallbackStepBody
    | MessageBody
    | VoicemailBody,
    Field(discriminator="type"),
]

EXAMPLE: dict[str, Any] = {
    "start": "hello",
    "steps": {
        "hello": {"type": "greeting", "prompt": "welcome", "next": "topic"},
        "topic": {
            "type": "menu",
            "prompt": "what-is-it-about",
            "choices": [{"digits": "1", "next": "help"}, {"digits": "2", "next": "record"}],
            "otherwise": "help",
        },
        "help": {"type": "queue", "queue_id": "help"},
        "record": {"type": "voicemail", "prompt": "leave-a-message", "queue_id": "help"},
    },
}


class FlowBody(Model):
    """Steps by name; a call begins at `start`. Refused as a whole with every fault: unknown steps and queues, dead
    ends, unreachable steps, loops without an exit, wrong or repeated digits."""

    start: Target
    steps: dict[str, StepBody] = Field(min_length=1, max_length=200)


class EntryPointBody(Model):
    tenant_id: Slug
    pool_id: Slug
    numbers: list[Annotated[str, Field(max_length=40)]] = Field(
        default=[], max_length=1000, examples=[["+33639980100"]]
    )
    """Dialled numbers, in international form or national in the tenant's region. A number leads to one entry point."""
    flow: FlowBody = Field(examples=[EXAMPLE])


class EntryPointView(EntryPointBody):
    id: str
    version: int


@router.put(
    "/entry-points/{entry_point_id}",
    dependencies=[require(Role.OPERATOR), Depends(check_floor)],
    responses=creates(EntryPointView),
)
async def put_entry_point(
    entry_point_id: SlugPath, body: EntryPointBody, session: Db, change: Changing, response: Response
) -> EntryPointView:
    """Create or replace an entry point, for calls that come from now on. Pool and tenant stay."""
    faults, numbers = Faults(), list[str]()
    tenant = await configuration.tenant(session, body.tenant_id)
    with faults.collect():
        numbers = _normalised(body.numbers, "numbers", tenant)
    for name, step in body.flow.steps.items():
        if isinstance(step, PriorityBody):
            with faults.collect():
                step.phones = _normalised(step.phones, f"flow.steps.{name}.phones", tenant)
    row, created = await service.put_entry_point(
        session,
        entry_point_id,
        faults,
        body.tenant_id,
        body.pool_id,
        numbers,
        msgspec.convert(body.flow.model_dump(), Flow),
        change.clock,
        change.check,
    )
    answer_put(response, row["version"], created=created)
    return await change.noted("entry_point", _view(row), EntryPointBody, tenant_id=row["tenant_id"])


@router.get("/entry-points/{entry_point_id}")
async def get_entry_point(entry_point_id: SlugPath, session: Db, response: Response) -> EntryPointView:
    """One entry point."""
    row = await _row(session, entry_point_id)
    response.headers["etag"] = etag(row["version"])
    return _view(row)


@router.get("/entry-points")
async def list_entry_points(
    session: Db,
    tenant_id: TenantFilter = None,
    pool_id: Annotated[str | None, Query(pattern=SLUG)] = None,
    limit: PageLimit = 100,
    cursor: PageCursor = None,
) -> Page[EntryPointView]:
    """By id."""
    rows = await store.entry_points(session, decode_key(cursor, str), limit, tenant_id=tenant_id, pool_id=pool_id)
    return page([_view(row) for row in rows], limit, lambda last: (last.id,))


class Picture(Response):
    media_type = "image/svg+xml"


@router.get("/entry-points/{entry_point_id}/flow.svg", response_class=Picture)
async def draw_flow(entry_point_id: SlugPath, session: Db) -> Picture:
    """The flow as a picture."""
    row = await _row(session, entry_point_id)
    drawn = entry_point_svg(entry_point_id, row["numbers"], store.flow_of(row))
    return Picture(drawn, headers={"etag": etag(row["version"])})


async def _row(session: Db, entry_point_id: str) -> asyncpg.Record:
    row = await store.entry_point(session, entry_point_id)
    if row is None:
        raise NotFound(f"there is no entry point {entry_point_id}")
    return row


def _normalised(numbers: list[str], field: str, tenant: asyncpg.Record | None) -> list[str]:
    """In E.164, as the tenant's numbers are read. Raises Invalid with every number that is none, or is there twice."""
    region, possible = (None, False) if tenant is None else (tenant["region"], tenant["allow_possible_numbers"])
    read: list[str] = []
    errors: list[dict[str, Any]] = []
    for position, number in enumerate(numbers):
        try:
            phone = normalise(number, region, possible=possible)
            if phone in read:
                errors.append({"field": f"{field}.{position}", "reason": "is there twice"})
            read.append(phone)
        except InvalidPhone as wrong:
            errors.append({"field": f"{field}.{position}", "reason": str(wrong)})
    if errors:
        raise Invalid(f"{errors[0]['field']}: {errors[0]['reason']}", field=errors[0]["field"], errors=errors)
    return read


def _view(row: asyncpg.Record) -> EntryPointView:
    return EntryPointView.model_validate(
        {name: row[name] for name in ("id", "tenant_id", "pool_id", "numbers", "flow", "version")}
    )
