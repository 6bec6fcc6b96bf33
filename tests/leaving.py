"""Clients that leave once their request is sent, before anything is done with it."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest
from common import bodies


class Leaving:
    """While it is in place the connection of such a client ends when its whole body has arrived."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._clients: dict[str, tuple[asyncio.StreamWriter, asyncio.Event]] = {}
        take = bodies.Body._take

        async def take_and_leave(body: bodies.Body) -> None:
            await take(body)
            client = self._clients.pop(body.route, None)
            if client is not None:
                writer, gone = client
                writer.transport.abort()
                message = await body._receive()
                assert message["type"] == "http.disconnect"
                gone.set()

        monkeypatch.setattr(bodies.Body, "_take", take_and_leave)

    async def post(self, base_url: str, path: str, body: bytes, headers: dict[str, str]) -> None:
        """Send it, and return when the server has noticed that the client is gone; it has done nothing until then."""
        where = urlsplit(base_url)
        _, writer = await asyncio.open_connection(where.hostname, where.port)
        gone = asyncio.Event()
        self._clients[f"POST {path.partition('?')[0]}?{path.partition('?')[2]}"] = writer, gone
        lines = [f"POST {path} HTTP/1.1", f"host: {where.hostname}", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await gone.wait()
