"""Operator routes that every service has: dead letters and API keys."""

from __future__ import annotations

import base64
from datetime import datetime
from uuid import UUID

from fastapi import Response
from pydantic import Field

from common import dead_letters
from common.auth import Role, create_api_key
from common.errors import Invalid, NotFound
from common.fields import Line, Slug
from common.http import (
    Caller,
    Db,
    Model,
    Page,
    PageCursor,
    PageLimit,
    Router,
    decode_cursor,
    decode_key,
    page,
    require,
)
from common.ids import FLOOR
from common.outbox import unpack_headers

router = Router(tags=["operations"])

Operator = require(Role.OPERATOR)


class DeadLetterView(Model):
    """A record that could not be handled. The value is in base64: it may hold personal data, and may not be text."""

    id: UUID
    topic: str
    partition: int
    position: int
    type: str | None
    cause: str
    died_at: datetime
    redriven_at: datetime | None
    redriven_by: str | None


class DeadLetterWhole(DeadLetterView):
    """With the record itself."""

    headers: dict[str, str]
    key_base64: str | None
    value_base64: str | None


_COLUMNS = "id, topic, partition, position, type, cause, died_at, redriven_at, redriven_by"


@router.get("/dead-letters", dependencies=[Operator])
async def list_dead_letters(
    session: Db, limit: PageLimit = 100, cursor: PageCursor = None, waiting: bool = True
) -> Page[DeadLetterView]:
    """Newest first; `waiting=false` shows those too that were redriven."""
    after = decode_cursor(cursor, datetime, UUID)
    rows = await session.fetch(
        f"""
        SELECT {_COLUMNS} FROM dead_letters
        WHERE ($1 IS FALSE OR redriven_at IS NULL) AND ($2::timestamptz IS NULL OR (died_at, id) < ($2, $3))
        ORDER BY died_at DESC, id DESC LIMIT $4
        """,  # noqa: S608 - a constant
        waiting,
        after[0] if after else None,
        after[1] if after else None,
        limit,
    )
    return page([DeadLetterView(**dict(row)) for row in rows], limit, lambda last: (last.died_at, last.id))


@router.get("/dead-letters/{letter_id}", dependencies=[Operator])
async def show_dead_letter(session: Db, letter_id: UUID) -> DeadLetterWhole:
    """One record, whole."""
    row = await session.fetchrow(f"SELECT {_COLUMNS}, key, headers, value FROM dead_letters WHERE id = $1", letter_id)  # noqa: S608
    if row is None:
        raise NotFound(f"no dead letter {letter_id}")
    fields = dict(row)
    key, value, packed = fields.pop("key"), fields.pop("value"), fields.pop("headers")
    return DeadLetterWhole(
        **fields,
        headers={name: text.decode(errors="replace") for name, text in unpack_headers(packed)},
        key_base64=None if key is None else base64.b64encode(key).decode(),
        value_base64=None if value is None else base64.b64encode(value).decode(),
    )


@router.post("/dead-letters/{letter_id}/redrive", status_code=202, dependencies=[Operator])
async def redrive_dead_letter(session: Db, caller: Caller, letter_id: UUID) -> Response:
    """Send the record back to its topic, for this service alone. Its effect stays exactly-once."""
    await dead_letters.redrive(session, letter_id, actor=caller.subject)
    return Response(status_code=202)


class NewApiKey(Model):
    """A key for a tenant's own servers, or, with the tenant `floor`, for the floor's systems."""

    tenant_id: Slug
    name: Line
    roles: list[Role] = Field(default_factory=lambda: [Role.TENANT], min_length=1)


class ApiKeyView(Model):
    """A key without its secret."""

    id: UUID
    tenant_id: str
    name: str
    roles: list[Role]
    created_at: datetime
    revoked_at: datetime | None


class ApiKeyCreated(Model):
    """The only time that the key is shown."""

    id: UUID
    key: str


@router.post("/api-keys", status_code=201, dependencies=[Operator])
async def add_api_key(session: Db, body: NewApiKey, response: Response) -> ApiKeyCreated:
    """Make an API key; it is shown once and stored as a hash."""
    response.headers["cache-control"] = "no-store"
    if (Role.TENANT in body.roles) == (body.tenant_id == FLOOR):
        raise Invalid("the role tenant goes with a client company's key, and only with that", field="roles")
    if body.tenant_id != FLOOR and set(body.roles) != {Role.TENANT}:
        raise Invalid("a client company's key has the role tenant alone", field="roles")
    key_id, key = await create_api_key(session, tenant_id=body.tenant_id, name=body.name, roles=body.roles)
    return ApiKeyCreated(id=key_id, key=key)


@router.get("/api-keys", dependencies=[Operator])
async def list_api_keys(session: Db, limit: PageLimit = 100, cursor: PageCursor = None) -> Page[ApiKeyView]:
    """All keys, oldest first."""
    rows = await session.fetch(
        """
        SELECT id, tenant_id, name, roles, created_at, revoked_at FROM api_keys
        WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT $2
        """,
        decode_key(cursor, UUID),
        limit,
    )
    return page([ApiKeyView(**dict(row)) for row in rows], limit, lambda last: (last.id,))


@router.delete("/api-keys/{key_id}", status_code=204, dependencies=[Operator])
async def revoke_api_key(session: Db, key_id: UUID) -> Response:
    """Revoke a key; it stops working within half a minute. Revoking twice is harmless."""
    found = await session.fetchval(
        "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 RETURNING true", key_id
    )
    if found is None:
        raise NotFound(f"no API key {key_id}")
    return Response(status_code=204)
