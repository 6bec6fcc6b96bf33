"""Receivers of webhooks as the world has them, on this machine: every way to end an answer, and name servers."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Ending = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def sends(*lines: str, body: bytes = b"") -> Ending:
    """These header lines and this body, then the end of the connection."""

    async def end(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body)
        await writer.drain()

    return end


async def _reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await sends("content-length: 100", body=b"half of")(reader, writer)
    writer.transport.abort()


async def _endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await sends("transfer-encoding: chunked")(reader, writer)
    while True:
        writer.write(b"4\r\nmore\r\n")
        await writer.drain()
        await asyncio.sleep(0)


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await sends("content-length: 100")(reader, writer)
    await reader.read()


async def _slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await sends("content-length: 100", body=b"half of")(reader, writer)
    await reader.read()


ENDINGS: dict[str, Ending] = {
    "whole": sends("content-length: 2", body=b"ok"),
    "empty": sends("content-length: 0"),
    "unframed": sends(body=b"as long as the connection"),
    "truncated": sends("content-length: 100", body=b"half of"),
    "absent": sends("content-length: 100"),
    "too-long": sends("content-length: 2", body=b"ok, and HTTP/1.1 500 -\r\ncontent-length: 0\r\n\r\n"),
    "bad-chunks": sends("transfer-encoding: chunked", body=b"zz\r\nhalf of\r\n"),
    "half-a-chunk": sends("transfer-encoding: chunked", body=b"64\r\nhalf of"),
    "not-compressed": sends("content-encoding: gzip", "content-length: 7", body=b"half of"),
    "binary": sends("content-length: 6", body=b"\x00\xff\xfe\x1b[2"),
    "reset": _reset,
    "endless": _endless,
    "silent": _silent,
    "slow": _slow,
}
"""What comes after the status line."""


@asynccontextmanager
async def serving(serve: Ending, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on this machine whose connections are all over at the end; its port."""
    under_way: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        under_way.add(task)
        with suppress(OSError, asyncio.IncompleteReadError):
            try:
                await serve(reader, writer)
            finally:
                writer.close()
                await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.gather(*under_way)


class Ways:
    """An HTTP server that answers `POST /<status>/<ending>` so."""

    def __init__(self, endings: dict[str, Ending] | None = None) -> None:
        self._endings = ENDINGS if endings is None else endings
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next(line for line in head.split("\r\n") if line.startswith("content-length:"))
        await reader.readexactly(int(length.partition(":")[2]))
        _, status, ending = head.split()[1].split("/")
        writer.write(f"HTTP/1.1 {status} -\r\n".encode())
        await self._endings[ending](reader, writer)


class NameServer(asyncio.DatagramProtocol):
    """Answers for the names that it has; one without an address does not exist; one with None never gets an answer."""

    def __init__(self, names: dict[str, list[str] | None]) -> None:
        self._names = names
        self.asked: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, sender: tuple[str, int]) -> None:
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1 : at + 1 + data[at]].decode())
            at += data[at] + 1
        name, kind = ".".join(labels), int.from_bytes(data[at + 1 : at + 3], "big")
        self.asked.append(name)
        found = self._names.get(name, [])
        if found is None:
            return
        wanted = {1: IPv4Address, 28: IPv6Address}[kind]
        addresses = [address.packed for address in map(ip_address, found) if isinstance(address, wanted)]
        code = b"\x81\x80" if found else b"\x81\x83"
        answers = b"".join(
            b"\xc0\x0c" + data[at + 1 : at + 5] + (60).to_bytes(4, "big") + len(packed).to_bytes(2, "big") + packed
            for packed in addresses
        )
        header = data[:2] + code + b"\x00\x01" + len(addresses).to_bytes(2, "big") + b"\x00\x00\x00\x00"
        self._transport.sendto(header + data[12 : at + 5] + answers, sender)


def certificate(directory: Path, host: str, *, now: datetime, days: int) -> tuple[ssl.SSLContext, Path]:
    """A server's context with a self-signed certificate for `host` that ends so many days after `now`, and its file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = directory / f"{host}.{days}.pem"
    own = directory / f"{host}.{days}.key"
    file.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    own.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, own)
    return context, file
