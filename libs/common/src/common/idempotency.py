"""A POST under an Idempotency-Key happens once, however often it is sent; each time it gets the first one's answer."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from asyncpg import Record
from cryptography.fernet import Fernet, InvalidToken
from starlette.responses import Response

from common.auth import Principal
from common.database import Database, Session
from common.errors import BadRequest, Conflict, InProgress
from common.ids import FLOOR

FIELD: Final = "Idempotency-Key"
WAIT_SECONDS: Final = 3.0
"""Real seconds for which a repeated request waits for the first one's end."""
_KEPT: Final = ("content-type", "etag", "location", "cache-control")


@dataclass(frozen=True, slots=True)
class Once:
    """One request under a key. `fingerprint` differs for another route or another body; `credential` is what the
    caller has shown, and seals an answer that holds a secret."""

    caller: Principal
    key: str
    route: str
    fingerprint: bytes
    credential: str

    def __post_init__(self) -> None:
        if not 1 <= len(self.key) <= 200:
            raise BadRequest("Idempotency-Key must have 1 to 200 characters", field=FIELD)

    @property
    def names(self) -> tuple[str, str, str]:
        """The row's primary key."""
        return self.caller.tenant_id or FLOOR, self.caller.subject, self.key

    async def answer(self, database: Database, act: Callable[[Session], Awaitable[Response]]) -> Response:
        """Act in one transaction and store the answer with its effects, or give the stored answer.

        While the first request is under way another one waits, WAIT_SECONDS at most and without a connection; then
        it raises InProgress. A first request that raises leaves the key free. Raises Conflict when the key was used
        for another request.
        """
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + WAIT_SECONDS, 0.01
        while True:
            async with database.transaction(self.caller.scope) as session:
                if await self._is_alone(session):
                    return await self._first_or_again(session, act)
            if loop.time() >= until:
                raise InProgress("the first request under this Idempotency-Key is still being done", field=FIELD)
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.25)

    async def _is_alone(self, session: Session) -> bool:
        """Whether no other transaction has the key in hand; until this one's end none will."""
        name = "\x1f".join((session.source, *self.names))
        alone: bool = await session.fetchval("SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))", name)
        return alone

    async def _first_or_again(self, session: Session, act: Callable[[Session], Awaitable[Response]]) -> Response:
        first = await session.fetchval(
            """
            INSERT INTO idempotency_keys (tenant_id, caller, key, route, fingerprint) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT DO NOTHING RETURNING true
            """,
            *self.names,
            self.route,
            self.fingerprint,
        )
        if not first:
            row = await session.fetchrow(
                "SELECT * FROM idempotency_keys WHERE tenant_id = $1 AND caller = $2 AND key = $3", *self.names
            )
            return self._again(row)
        response = await act(session)
        kept = {name: value for name, value in response.headers.items() if name in _KEPT}
        body = bytes(response.body)
        await session.execute(
            """
            UPDATE idempotency_keys SET status = $4, headers = $5, body = $6
            WHERE tenant_id = $1 AND caller = $2 AND key = $3
            """,
            *self.names,
            response.status_code,
            kept,
            self._seal.encrypt(body) if _is_secret(kept) else body,
        )
        return response

    def _again(self, row: Record | None) -> Response:
        if row is None or row["fingerprint"] != self.fingerprint:
            raise Conflict("this Idempotency-Key was used for a different request; use a new one", field=FIELD)
        body, headers = row["body"], row["headers"]
        if _is_secret(headers) or body is None:
            try:
                body = self._seal.decrypt(body or b"")
            except InvalidToken:
                raise Conflict(
                    "it was done; its answer holds a secret, which only the token that asked for it may read again",
                    field=FIELD,
                ) from None
        return Response(body, row["status"], {**headers, "idempotent-replay": "true"})

    @property
    def _seal(self) -> Fernet:
        """Opens with the caller's own token alone, which is stored nowhere: a secret is never at rest in the clear."""
        return Fernet(base64.urlsafe_b64encode(hashlib.sha256(f"answer\0{self.credential}".encode()).digest()))


def _is_secret(headers: dict[str, str]) -> bool:
    return headers.get("cache-control") == "no-store"
