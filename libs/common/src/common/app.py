"""The FastAPI application of a service: problem documents, health, metrics, operator routes."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import msgspec
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException

from common import admin
from common.database import TRANSIENT
from common.errors import BadRequest, Invalid, NotFound, Problem, Unavailable
from common.http import ProblemDocument, database_problem
from common.idempotency import FIELD

log = logging.getLogger(__name__)

MAX_BODY = 4 * 1024 * 1024
"""Bytes of a request body; routes that stream set their own limit."""

IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": FIELD,
    "in": "header",
    "required": False,
    "description": (
        "The same key again is the same request: it takes effect once and gets the same answer, for a week. A request "
        "that was refused leaves its key free. 409: the first one is still being done (ask again after `Retry-After` "
        "seconds), or was another one."
    ),
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
}

ReadyCheck = Callable[[], Awaitable[str | None]]
"""Returns None when fine, else the reason why the service is not ready."""


def problem_response(problem: Problem) -> Response:
    """A problem document as an answer."""
    headers = {"content-type": "application/problem+json"}
    if problem.status == 401:
        headers["www-authenticate"] = "Bearer"
    if problem.retry_after is not None:
        headers["retry-after"] = str(problem.retry_after)
    return Response(msgspec.json.encode(problem.document()), problem.status, headers)


_REASONS = {
    "extra_forbidden": "is no field of this request: leave it out, or mend its name",
    "missing": "is missing: say it",
}
"""What is said instead of pydantic's words, by its type of error."""


def _field(location: Sequence[Any]) -> str:
    """`body.overflow.after_seconds` or a parameter's name."""
    if location and location[0] in ("body", "query", "path", "header"):
        location = location[1:] or location
    return ".".join(str(part) for part in location)


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return problem_response(error)


async def _on_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [
        {
            "field": _field(item["loc"]),
            "reason": _REASONS.get(item["type"]) or str(item["msg"]).removeprefix("Value error, "),
        }
        for item in error.errors()
    ]
    if any(item["type"] == "json_invalid" for item in error.errors()):
        return problem_response(BadRequest("the body is not JSON"))
    first = errors[0]
    return problem_response(Invalid(f"{first['field']}: {first['reason']}", field=first["field"], errors=errors))


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return problem_response(NotFound("there is nothing at this address"))
    document = {
        "type": "about:blank",
        "title": str(error.detail),
        "status": error.status_code,
        "detail": str(error.detail),
    }
    headers = {**(error.headers or {}), "content-type": "application/problem+json"}
    return Response(msgspec.json.encode(document), error.status_code, headers)


async def _on_database(request: Request, error: Exception) -> Response:
    assert isinstance(error, asyncpg.PostgresError)
    problem = database_problem(error)
    if problem is not None:
        return problem_response(problem)
    if isinstance(error, TRANSIENT):
        return await _on_transient(request, error)
    return await _on_defect(request, error)


async def _on_transient(request: Request, error: Exception) -> Response:
    log.warning("%s %s: %s", request.method, request.url.path, type(error).__name__)
    return problem_response(Unavailable("the database or the broker cannot be reached right now"))


async def _on_defect(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problem_response(Problem("this is a defect; the log has it under the trace id"))


def create_app(
    name: str, *, runtime: Any, routers: Sequence[APIRouter], ready: Sequence[ReadyCheck] = (), dependants: Any = None
) -> FastAPI:
    """The application of service `name`. `runtime` is reachable as `request.app.state.runtime`."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield

    app = FastAPI(
        title=f"Plateau {name}",
        version="1",
        lifespan=lifespan,
        redoc_url=None,
        max_body_size=MAX_BODY,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.runtime = runtime
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(asyncpg.PostgresError, _on_database)
    app.add_exception_handler(asyncpg.InterfaceError, _on_transient)
    app.add_exception_handler(OSError, _on_transient)
    app.add_exception_handler(Exception, _on_defect)
    for router in (*routers, admin.router):
        app.include_router(router)
    app.include_router(_health(ready))
    _describe(app)
    return app


def _health(ready: Sequence[ReadyCheck]) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/health/live", response_class=PlainTextResponse)
    async def live() -> str:
        """The process runs."""
        return "live"

    @router.get(
        "/health/ready",
        response_class=PlainTextResponse,
        responses={503: {"description": "Not ready: the reasons, one a line", "content": {"text/plain": {}}}},
    )
    async def is_ready() -> Response:
        """Database, broker, partitions, lag and outbox are as they should be."""
        reasons = [reason for check in ready if (reason := await check()) is not None]
        return PlainTextResponse("\n".join(reasons) or "ready", 503 if reasons else 200)

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Prometheus metrics."""
        return Response(generate_latest(), headers={"content-type": CONTENT_TYPE_LATEST})

    return router


def _describe_key(post: dict[str, Any] | None) -> None:
    """Every POST takes an Idempotency-Key; a route that reads it itself has described it."""
    if post is not None and all(given["name"] != FIELD for given in post.setdefault("parameters", [])):
        post["parameters"].append(IDEMPOTENCY_KEY)


def _describe(app: FastAPI) -> None:
    """Put the problem document's schema into the OpenAPI document, which every error answer refers to."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, routes=app.routes)
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas["ProblemDocument"] = ProblemDocument.model_json_schema()
            for path in document["paths"].values():
                _describe_key(path.get("post"))
                for operation in path.values():
                    answer = operation.get("responses", {}).get("422")
                    if answer is not None:
                        answer["content"] = {
                            "application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}
                        }
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
