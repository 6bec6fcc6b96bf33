"""A request's body, whole before anything is done with it.

Whoever sends slowly, or breaks off, holds no database connection and changes nothing. The body is hashed on the way, so
that a repeated request can be told from another one under the same Idempotency-Key.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from tempfile import SpooledTemporaryFile
from typing import ClassVar, Final

from starlette.requests import Request
from starlette.types import Message, Receive

from common.errors import BadRequest, Unavailable

MEMORY: Final = 4 * 1024 * 1024
"""Bytes of one body that are held in memory; a longer one goes to a temporary file."""
DISK: Final = 96 * 1024 * 1024
"""Bytes of all bodies of this process that may be on the disk at once. The manifests give /tmp 128 MiB."""
PIECE: Final = 64 * 1024
SILENT_SECONDS: Final = 60.0
"""Real seconds without a byte after which a client counts as gone."""


class Body:
    """A body that has arrived whole. `receive` gives it again, as the server would."""

    fingerprint: bytes
    """Of method, address and body."""

    on_disk: ClassVar[int] = 0
    """Bytes on the disk now, of all bodies."""

    def __init__(self, route: str, receive: Receive) -> None:
        self.route = route
        self._receive = receive
        self._file = SpooledTemporaryFile(max_size=MEMORY)  # noqa: SIM115 - closed by `received`
        self._hash = hashlib.sha256(route.encode() + b"\0")
        self._size = 0
        self._stored = 0
        self._given = False

    async def receive(self) -> Message:
        """An ASGI `receive`: the body, then what the connection says."""
        if self._given:
            return await self._receive()
        piece = await self._read()
        self._given = self._file.tell() == self._size
        return {"type": "http.request", "body": piece, "more_body": not self._given}

    async def _read(self) -> bytes:
        return await asyncio.to_thread(self._file.read, PIECE) if self._stored else self._file.read()

    async def _take(self) -> None:
        more = True
        while more:
            try:
                async with asyncio.timeout(SILENT_SECONDS):
                    message = await self._receive()
            except TimeoutError:
                raise BadRequest(
                    f"no byte of the body came for {SILENT_SECONDS:.0f} s; send the request again"
                ) from None
            if message["type"] == "http.disconnect":
                raise BadRequest("the client left before the end of the body")
            more = message.get("more_body", False)
            await self._keep(message.get("body", b""))
        self.fingerprint = self._hash.digest()
        self._file.seek(0)

    async def _keep(self, piece: bytes) -> None:
        self._hash.update(piece)
        self._size += len(piece)
        if self._size <= MEMORY:
            self._file.write(piece)
            return
        added = self._size - self._stored
        if Body.on_disk + added > DISK:
            raise Unavailable("other long bodies are being received; send this one again in a moment")
        Body.on_disk += added
        self._stored = self._size
        await asyncio.to_thread(self._file.write, piece)

    def _close(self) -> None:
        Body.on_disk -= self._stored
        self._file.close()


@asynccontextmanager
async def received(request: Request) -> AsyncIterator[Body]:
    """The request's whole body, until the end of the block. Raises BadRequest when the client leaves before its end,
    Unavailable when too much is being received; what the framework raises for a body beyond the route's limit passes.
    """
    body = Body(f"{request.method} {request.url.path}?{request.url.query}", request.receive)
    try:
        await body._take()
        yield body
    finally:
        body._close()
