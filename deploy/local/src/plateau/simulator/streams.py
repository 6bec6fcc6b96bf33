"""Server-sent events with reconnection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httpx
from httpx_sse import ServerSentEvent, SSEError, aconnect_sse

from plateau.client import Client

SILENCE: Final = 45.0
"""Real seconds without a byte after which the connection is taken for dead."""
_FIRST_DELAY: Final = 0.05
_LAST_DELAY: Final = 2.0


async def follow(
    client: Client,
    service: str,
    path: str,
    *,
    on_event: Callable[[str, dict[str, Any]], None],
    on_connected: Callable[[], Awaitable[None]],
) -> None:
    """Hand over every event of a stream, connecting again whenever it breaks; until cancelled.

    `on_connected` runs after each (re)connection: what was missed meanwhile has to be read there.
    """
    delay = _FIRST_DELAY
    timeout = httpx.Timeout(10.0, read=SILENCE)
    position: str | None = None
    while True:
        try:
            url = client.urls[service] + path
            headers = client.headers() if position is None else {**client.headers(), "Last-Event-ID": position}
            async with aconnect_sse(client.http, "GET", url, headers=headers, timeout=timeout) as source:
                source.response.raise_for_status()
                await on_connected()
                delay = _FIRST_DELAY
                async for event in source.aiter_sse():
                    position = event.id or position
                    _hand_over(event, on_event)
        except httpx.HTTPStatusError as failure:
            if failure.response.status_code < 500 and failure.response.status_code != 429:
                raise
        except (httpx.TransportError, SSEError):
            client.repeated += 1
        await asyncio.sleep(delay)
        delay = min(delay * 2, _LAST_DELAY)


def _hand_over(event: ServerSentEvent, on_event: Callable[[str, dict[str, Any]], None]) -> None:
    if event.data:
        on_event(event.event, json.loads(event.data))
