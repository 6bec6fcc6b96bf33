"""The one tree of errors.

PlateauError
├── InvalidEvent            an event that can never be handled: goes to the dead letters
├── DeadLetterLimit         too many dead letters: the consumer stops rather than discard a topic
├── StaleWriter             a commit by a process that no longer owns the partition
└── Problem                 an answer to a client (RFC 9457), each class with its id and status
    ├── BadRequest          400  the request cannot be read
    ├── Unauthenticated     401  no valid token or API key
    ├── Forbidden           403  known, but this role may not
    ├── NotFound            404  no such thing, or another tenant's (never distinguished)
    ├── Conflict            409  the thing is in a state that does not allow it
    │   └── InProgress      409  the same request is still being done: ask again
    ├── PreconditionFailed  412  If-Match does not fit
    ├── Invalid             422  a value is wrong; names the field
    └── Unavailable         503  try again later
"""

from __future__ import annotations

from typing import Any, ClassVar


class PlateauError(Exception):
    """Root of every error that Plateau raises on purpose."""


class InvalidEvent(PlateauError):
    """The event can never be handled, whatever is retried. Goes to the dead letters with this cause."""


class DeadLetterLimit(PlateauError):
    """More dead letters within the window than the limit allows: a human has to look."""


class StaleWriter(PlateauError):
    """Another process owns the partition now; nothing of this transaction may be committed."""


class Problem(PlateauError):
    """An answer to a client as an RFC 9457 problem document.

    `field` is a JSON pointer or parameter name of the wrong value; `errors` lists several at once.
    """

    id: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    retry_after: ClassVar[int | None] = None
    """Seconds after which the same request may get another answer; None: it will not by itself."""

    def __init__(self, detail: str, *, field: str | None = None, errors: list[dict[str, Any]] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.errors = errors

    def document(self) -> dict[str, Any]:
        """The problem document as JSON-ready data."""
        body: dict[str, Any] = {
            "type": f"urn:plateau:problem:{self.id}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.field is not None:
            body["field"] = self.field
        if self.errors is not None:
            body["errors"] = self.errors
        return body


class BadRequest(Problem):
    id, status, title = "bad-request", 400, "The request cannot be read"


class Unauthenticated(Problem):
    id, status, title = "unauthenticated", 401, "A valid bearer token or API key is needed"


class Forbidden(Problem):
    id, status, title = "forbidden", 403, "This role may not do that"


class NotFound(Problem):
    id, status, title = "not-found", 404, "There is no such thing"


class Conflict(Problem):
    id, status, title = "conflict", 409, "The state does not allow it"


class InProgress(Conflict):
    id, title = "in-progress", "The same request is still being done"
    retry_after = 1


class PreconditionFailed(Problem):
    id, status, title = "precondition-failed", 412, "Somebody else has changed it"


class Invalid(Problem):
    id, status, title = "invalid", 422, "A value is wrong"


class Unavailable(Problem):
    id, status, title = "unavailable", 503, "Not available right now"
    retry_after = 1
