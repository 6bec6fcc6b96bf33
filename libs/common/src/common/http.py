"""HTTP conventions of every service: a transaction per request, problem documents, idempotency keys, pages, ETags."""

from __future__ import annotations

import base64
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Generic, TypeVar

import asyncpg
import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from opentelemetry import context, propagate
from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema

from common import telemetry
from common.auth import Principal, Role
from common.bodies import Body, received
from common.database import Session
from common.errors import Conflict, Invalid, PreconditionFailed
from common.exact import Parameters, exact
from common.idempotency import Once

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
T = TypeVar("T")


class ProblemDocument(BaseModel):
    """RFC 9457. `field` names the wrong value; `errors` lists several."""

    type: str = Field(examples=["urn:plateau:problem:invalid"])
    title: str
    status: int
    detail: str
    field: str | None = None
    errors: list[dict[str, Any]] | None = None


PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": description,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
    }
    for status, description in {
        400: "The request cannot be read",
        401: "No valid bearer token or API key",
        403: "This role may not do that",
        404: "There is no such thing (or it is another tenant's)",
        409: "The state does not allow it",
        412: "If-Match does not fit the present version",
        413: "The body is too large",
        415: "The body is of a type that is not read here",
        422: "A value is wrong; `field` names it",
        503: "Not available right now; try again",
    }.items()
}
"""`responses=` of every router: each answer that a client may see."""


class Model(BaseModel):
    """Base of request and response bodies: unknown fields are refused, and so are numbers, days and times that are not
    written as OpenAPI documents them."""

    model_config = ConfigDict(extra="forbid")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        exact(handler.resolve_ref_schema(schema))
        return schema


class _Route(APIRoute):
    """Authenticates, refuses unknown parameters, takes the body whole.

    Keeps the caller's trace context when no tracer is set up.
    """

    def get_route_handler(self) -> Handler:
        inner = super().get_route_handler()
        parameters = Parameters(self.dependant)

        async def handle(request: Request) -> Response:
            runtime = request.app.state.runtime
            request.state.caller = await runtime.authenticator.authenticate(request.headers.get("authorization"))
            parameters.check(request)
            request = Request(request.scope, request.receive)
            _check_query_tenant(request, request.state.caller)
            if telemetry.tracing() or "traceparent" not in request.headers:
                return await self._whole(request, inner)
            token = context.attach(propagate.extract({"traceparent": request.headers["traceparent"]}))
            try:
                return await self._whole(request, inner)
            finally:
                context.detach(token)

        return handle

    async def _whole(self, request: Request, inner: Handler) -> Response:
        """Answer once the body is here: until then nothing is done and nothing is held."""
        if request.method in ("GET", "HEAD"):
            return await self.answer(request, None, inner)
        async with received(request) as body:
            return await self.answer(Request(request.scope, body.receive), body, inner)

    async def answer(self, request: Request, body: Body | None, inner: Handler) -> Response:
        return await inner(request)


def _check_query_tenant(request: Request, caller: Principal) -> None:
    """A list asked for by another tenant's id is not empty: that tenant does not exist for this caller."""
    asked = request.query_params.get("tenant_id")
    if asked is not None:
        caller.check_tenant(asked)


class _TransactionalRoute(_Route):
    """The whole request in one transaction, scoped to the caller's tenant; POSTs once per Idempotency-Key."""

    async def answer(self, request: Request, body: Body | None, inner: Handler) -> Response:
        async def act(session: Session) -> Response:
            request.state.session = session
            return await inner(request)

        caller: Principal = request.state.caller
        database = request.app.state.runtime.database
        key = request.headers.get("idempotency-key") if request.method == "POST" else None
        if key is None or body is None:
            async with database.transaction(caller.scope) as session:
                return await act(session)
        once = Once(caller, key, body.route, body.fingerprint, request.headers["authorization"])
        return await once.answer(database, act)


async def _session(request: Request) -> Session:
    session: Session = request.state.session
    return session


async def _caller(request: Request) -> Principal:
    caller: Principal = request.state.caller
    return caller


Db = Annotated[Session, Depends(_session)]
"""The request's transaction: committed by the route when the handler returns, rolled back when it raises."""
Caller = Annotated[Principal, Depends(_caller)]
"""Who asks."""

_bearer = HTTPBearer(auto_error=False, description="A JWT of the configured issuer, or an API key `plk_…`")


def require(*roles: Role) -> Any:
    """A dependency that lets only these roles pass; raises Forbidden."""

    async def check(caller: Caller) -> Principal:
        caller.check_role(*roles)
        return caller

    return Depends(check)


def Router(prefix: str = "/v1", **options: Any) -> APIRouter:  # noqa: N802 - reads like the class that it makes
    """An authenticated router whose requests each run in one transaction (`Db`)."""
    return _router(_TransactionalRoute, prefix, options)


def PlainRouter(prefix: str = "/v1", **options: Any) -> APIRouter:  # noqa: N802
    """An authenticated router without transaction: for streams and for routes that only produce to Kafka."""
    return _router(_Route, prefix, options)


def _router(route: type[APIRoute], prefix: str, options: dict[str, Any]) -> APIRouter:
    dependencies = [Security(_bearer), *options.pop("dependencies", [])]
    responses = {**PROBLEMS, **options.pop("responses", {})}
    return APIRouter(prefix=prefix, route_class=route, dependencies=dependencies, responses=responses, **options)


class Page(BaseModel, Generic[T]):
    """One page of a list. Ask again with `cursor=next_cursor` until that is null."""

    items: list[T]
    next_cursor: str | None = None


PageLimit = Annotated[int, Query(alias="limit", ge=1, le=1000, description="Most items in one page")]
PageCursor = Annotated[
    str | None, Query(alias="cursor", max_length=1000, description="`next_cursor` of the page before")
]


def encode_cursor(*values: Any) -> str:
    """An opaque cursor from the sort key of the last item."""
    return base64.urlsafe_b64encode(msgspec.json.encode(values)).decode().rstrip("=")


def decode_cursor(cursor: str | None, *types: Any) -> tuple[Any, ...] | None:
    """The sort key again, converted to `types`. Raises Invalid for a cursor that is not ours."""
    if cursor is None:
        return None
    try:
        raw = base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
        values: tuple[Any, ...] = msgspec.json.decode(raw, type=tuple[types])  # type: ignore[valid-type]
    except (ValueError, TypeError, msgspec.MsgspecError):
        raise Invalid("this is not a cursor of this list", field="cursor") from None
    if any(isinstance(value, str) and "\x00" in value for value in values):
        raise Invalid("this is not a cursor of this list", field="cursor")
    return values


def decode_key(cursor: str | None, kind: type[T]) -> T | None:
    """As `decode_cursor`, of a sort key that is one value."""
    key = decode_cursor(cursor, kind)
    return None if key is None else key[0]


def page(items: list[T], limit: int, key: Callable[[T], tuple[Any, ...]]) -> Page[T]:
    """One page; if it is full, its cursor is the sort key of the last item."""
    return Page(items=items, next_cursor=encode_cursor(*key(items[-1])) if len(items) == limit else None)


def etag(version: int) -> str:
    """The ETag of a version."""
    return f'"{version}"'


def creates(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a PUT, which answers 201 when it has created and 200 when it has replaced."""
    return {201: {"model": model, "description": "Created"}}


def answer_put(response: Response, version: int, *, created: bool) -> None:
    """Status and ETag of a PUT's answer."""
    response.status_code = 201 if created else 200
    response.headers["etag"] = etag(version)


def check_if_match(request: Request, version: int | None) -> None:
    """Raises PreconditionFailed when If-Match is sent and does not fit; nothing fits what is absent (RFC 9110,
    section 13.1.1), whose `version` is None."""
    wanted = request.headers.get("if-match")
    if wanted is None:
        return
    if version is None:
        raise PreconditionFailed("there is no present version", field="If-Match")
    if wanted.strip() not in ("*", etag(version)):
        raise PreconditionFailed(f"the present version is {etag(version)}", field="If-Match")


def database_problem(failure: asyncpg.PostgresError) -> Invalid | Conflict | None:
    """What the client did wrong, when the database refused a value; None when it is not the client's fault."""
    if isinstance(failure, asyncpg.DataError | asyncpg.UntranslatableCharacterError):
        return Invalid("a value cannot be stored: it holds a character or a number out of range")
    if isinstance(failure, asyncpg.UniqueViolationError):
        return Conflict("it exists already")
    return None
