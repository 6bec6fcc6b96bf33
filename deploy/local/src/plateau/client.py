"""The five services' public HTTP APIs, as any program outside would call them.

Refused         an answer of 4xx: the service read the request and does not accept it
Unreachable     no answer, or only 5xx, for longer than the client's patience
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self

import httpx
from common.errors import PlateauError
from common.ids import new_id

SERVICES: Final = ("routing", "dialer", "crm-bridge", "billing", "kpi")
DEFAULT_PORTS: Final[Mapping[str, int]] = {
    "routing": 8101,
    "dialer": 8102,
    "crm-bridge": 8103,
    "billing": 8104,
    "kpi": 8105,
}
_FIRST_DELAY: Final = 0.05
_LAST_DELAY: Final = 1.0
_PAGE: Final = 200


def urls_from_environment(local: Mapping[str, str] | None = None) -> dict[str, str]:
    """Where the services are: `ROUTING_URL`, `CRM_BRIDGE_URL` … when set, else as in `local`, else the fixed ports."""
    known = local or {}
    return {
        service: os.environ.get(
            f"{service.upper().replace('-', '_')}_URL", known.get(service, f"http://127.0.0.1:{port}")
        ).rstrip("/")
        for service, port in DEFAULT_PORTS.items()
    }


class Refused(PlateauError):
    """The service does not accept the request; `document` is its RFC 9457 problem document."""

    def __init__(self, service: str, method: str, path: str, status: int, document: dict[str, Any]) -> None:
        self.service = service
        self.status = status
        self.document = document
        detail = document.get("detail") or document.get("title") or "no reason was given"
        super().__init__(f"{service} refused {method} {path}: {status} {detail}")

    def wrong_fields(self) -> list[tuple[str, str]]:
        """(field, what is wrong) as far as the service says."""
        found = [
            (str(error.get("field", "")), str(error.get("reason") or error.get("detail") or ""))
            for error in self.document.get("errors") or []
        ]
        if not found and self.document.get("field"):
            found.append((str(self.document["field"]), str(self.document.get("detail", ""))))
        return found


class Unreachable(PlateauError):
    """The service does not answer."""


class Client:
    """Calls with a bearer token; a call that gets no answer or a 5xx is repeated with the same `Idempotency-Key`.

    `patience` is how long (real seconds) a call is repeated before Unreachable; None means for ever.
    """

    def __init__(
        self, urls: Mapping[str, str], token: str | Callable[[], str], *, patience: float | None = 30.0
    ) -> None:
        self.urls = dict(urls)
        self.repeated = 0
        """Calls that had to be sent again so far."""
        self._token = token if callable(token) else lambda: token
        self._patience = patience
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
        self.http = httpx.AsyncClient(limits=limits, timeout=httpx.Timeout(10.0), trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token()}"}

    async def request(
        self,
        service: str,
        method: str,
        path: str,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> httpx.Response:
        """One call, repeated until the service answers. Raises Refused or Unreachable."""
        sent = {**self.headers(), **(headers or {})}
        if method == "POST":
            sent["Idempotency-Key"] = key or str(new_id())
        loop = asyncio.get_running_loop()
        until = None if self._patience is None else loop.time() + self._patience
        delay = _FIRST_DELAY
        while True:
            try:
                answer = await self.http.request(method, self.urls[service] + path, headers=sent, **options)
            except httpx.TransportError as failure:
                reason = f"{type(failure).__name__} {failure}".strip()
            else:
                if answer.status_code < 400:
                    return answer
                comes_later = answer.status_code in (408, 425, 429) or "retry-after" in answer.headers
                if answer.status_code < 500 and not comes_later:
                    raise Refused(service, method, path, answer.status_code, _document(answer))
                reason = f"status {answer.status_code}: {answer.text[:200]}"
            if until is not None and loop.time() + delay > until:
                raise Unreachable(f"{service} does not answer {method} {path}: {reason}")
            self.repeated += 1
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LAST_DELAY)
            sent.update(self.headers())

    async def get(self, service: str, path: str, **params: Any) -> Any:
        """The JSON answer."""
        given = {name: value for name, value in params.items() if value is not None}
        return (await self.request(service, "GET", path, params=given)).json()

    async def find(self, service: str, path: str) -> dict[str, Any] | None:
        """The JSON answer, None when there is no such thing."""
        try:
            found: dict[str, Any] = await self.get(service, path)
        except Refused as refused:
            if refused.status == 404:
                return None
            raise
        return found

    async def pages(self, service: str, path: str, **params: Any) -> AsyncIterator[dict[str, Any]]:
        """Every item of a list, page by page."""
        cursor: str | None = None
        while True:
            page = await self.get(service, path, limit=_PAGE, cursor=cursor, **params)
            for item in page["items"]:
                yield item
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    async def put(self, service: str, path: str, body: Mapping[str, Any]) -> Any:
        return (await self.request(service, "PUT", path, json=body)).json()

    async def post(self, service: str, path: str, body: Mapping[str, Any] | None = None, key: str | None = None) -> Any:
        answer = await self.request(service, "POST", path, json=body or {}, key=key)
        return answer.json() if answer.content else None


def _document(answer: httpx.Response) -> dict[str, Any]:
    try:
        document = answer.json()
    except ValueError:
        return {"detail": answer.text[:500]}
    return document if isinstance(document, dict) else {"detail": str(document)}
