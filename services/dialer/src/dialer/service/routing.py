"""Routing's HTTP API, as far as dialer needs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import httpx
import msgspec
from common.telemetry import current_traceparent

from dialer.domain.attempt import Attempt

_TIMEOUT: Final = httpx.Timeout(5.0, connect=1.0)
"""Real seconds after which a connection counts as dead; how long a call may wait is the caller's business."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Routing has the call."""

    call_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Routing will never take the call: asking again is of no use."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No answer, or one that may be another when asked again. The request may have got through."""

    reason: str


Answer = Accepted | Refused | Unreachable
Token = Callable[[], str | None]


def token_of(token: str | None, file: Path | None) -> Token:
    """Reads the bearer token: from the file, again whenever it has changed, else the fixed one."""
    seen: dict[int, str] = {}

    def read() -> str | None:
        if file is None:
            return token
        changed = file.stat().st_mtime_ns
        if changed not in seen:
            seen.clear()
            seen[changed] = file.read_text().strip()
        return seen[changed]

    return read


class Routing:
    """A client of routing. Requests carry the trace at hand and a key under which routing does them once."""

    def __init__(self, url: str, token: Token) -> None:
        self._token = token
        self._client = httpx.AsyncClient(
            base_url=url,
            timeout=_TIMEOUT,
            trust_env=False,
            limits=httpx.Limits(max_connections=200, max_keepalive_connections=50),
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *problem: Any) -> None:
        await self._client.aclose()

    async def offer(self, attempt: Attempt, max_wait_seconds: float) -> Answer:
        """Hand an answered call over; the attempt's id is the key, so that there is one call however often."""
        body = {
            "queue_id": attempt.queue_id,
            "contact_phone": attempt.phone,
            "channel": "voice",
            "direction": "outbound",
            "max_wait_seconds": round(max_wait_seconds, 3),
            "campaign_id": attempt.campaign_id,
            "lead_id": str(attempt.lead_id),
            "attempt_id": str(attempt.attempt_id),
        }
        answer = await self._post("/v1/calls", body, str(attempt.attempt_id))
        if isinstance(answer, httpx.Response):
            try:
                return Accepted(msgspec.json.decode(answer.content, type=_Accepted).call_id)
            except msgspec.MsgspecError as wrong:
                return Unreachable(f"routing's answer cannot be read: {wrong}")
        return answer

    async def hang_up(self, attempt_id: str, call_id: str) -> Answer:
        """Say that the caller is gone; a call that routing no longer has is fine too."""
        return await self._say("hang-up", attempt_id, call_id)

    async def tell_machine(self, attempt_id: str, call_id: str) -> Answer:
        """Say that an answering machine has answered; a call that routing no longer has is fine too."""
        return await self._say("machine", attempt_id, call_id)

    async def _say(self, what: str, attempt_id: str, call_id: str) -> Answer:
        answer = await self._post(f"/v1/calls/{call_id}/{what}", None, f"{attempt_id}.{what}")
        return Accepted(call_id) if isinstance(answer, httpx.Response) else answer

    async def _post(self, path: str, body: object, key: str) -> httpx.Response | Refused | Unreachable:
        headers = {"idempotency-key": key}
        if body is not None:
            headers["content-type"] = "application/json"
        if traceparent := current_traceparent():
            headers["traceparent"] = traceparent
        try:
            if token := self._token():
                headers["authorization"] = f"Bearer {token}"
            answer = await self._client.post(
                path, content=None if body is None else msgspec.json.encode(body), headers=headers
            )
        except (httpx.HTTPError, OSError) as failure:
            return Unreachable(f"{type(failure).__name__}: {failure}")
        if answer.is_success:
            return answer
        reason = f"routing answered {answer.status_code}"
        if answer.status_code >= 500 or answer.status_code in (408, 409, 425, 429):
            return Unreachable(reason)
        return Refused(f"{reason}: {answer.text[:300]}")


class _Accepted(msgspec.Struct):
    call_id: str
