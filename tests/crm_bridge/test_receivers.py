"""What is made of a receiver's answer, or of none: against real servers on this machine."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path

import certifi
import pytest
import uvloop
from crm_bridge.domain.webhooks import (
    EXCERPT,
    LIFETIME,
    NOT_PUBLIC,
    Answered,
    Delivered,
    Unreached,
    judge,
)
from crm_bridge.service.names import Address, DnsNames
from crm_bridge.service.sender import NO_ADDRESS, Sender, open_sender

from .receivers import ENDINGS, NameServer, Ways, certificate, sends, serving

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
PATIENT = 60.0
"""Seconds: no answer in these tests depends on how fast the machine is."""
STATUSES = sorted({*(status.value for status in HTTPStatus if status >= 200), 299, 399, 420, 499, 520, 599})


@contextmanager
def closed_port() -> Iterator[int]:
    """A port of this machine at which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@asynccontextmanager
async def sending(
    *, timeout_seconds: float = PATIENT, allow_private: bool = True, names: dict[str, list[str] | None] | None = None
) -> AsyncIterator[Sender]:
    """A sender, with a name server that knows these names."""
    async with AsyncExitStack() as exits:
        resolver = None
        if names is not None:
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: NameServer(names), local_addr=("127.0.0.1", 0)
            )
            exits.callback(transport.close)
            port = transport.get_extra_info("sockname")[1]
            resolver = await exits.enter_async_context(DnsNames([f"127.0.0.1:{port}"]))
        yield await exits.enter_async_context(
            open_sender(
                allow_private=allow_private,
                timeout_seconds=timeout_seconds,
                connections=30,
                body_seconds=0.02,
                names=resolver,
            )
        )


@pytest.mark.parametrize("ending", ENDINGS)
async def test_the_status_alone_decides_however_the_body_ends(ending: str) -> None:
    ways = Ways()
    async with serving(ways.serve) as port, sending() as sender:
        answers = await asyncio.gather(
            *(sender.post(f"http://127.0.0.1:{port}/{status}/{ending}", {}, b"{}") for status in STATUSES)
        )
    assert ways.connections == len(STATUSES)
    for status, answer in zip(STATUSES, answers, strict=True):
        assert isinstance(answer, Answered), (status, answer)
        assert answer.status == status
        assert len(answer.excerpt) <= EXCERPT
        assert answer.excerpt.isprintable()
        verdict = judge(answer, attempt=1, now=NOW, expires_at=NOW + LIFETIME, failing_since=NOW, jitter=0)
        assert isinstance(verdict, Delivered) == (200 <= status <= 299), status


async def test_what_came_of_a_body_is_shown() -> None:
    shown = {
        "whole": "ok", "too-long": "ok", "unframed": "as long as the connection", "truncated": "half of",
        "half-a-chunk": "half of", "slow": "half of", "not-compressed": "half of", "silent": "",
    }  # fmt: skip
    async with serving(Ways().serve) as port, sending() as sender:
        for ending, excerpt in shown.items():
            answer = await sender.post(f"http://127.0.0.1:{port}/500/{ending}", {}, b"{}")
            assert isinstance(answer, Answered)
            # A reader may be slower than 20 ms: then there is less.
            assert excerpt.startswith(answer.excerpt), ending


async def test_what_one_receiver_leaves_on_a_connection_answers_nothing_else() -> None:
    ways = Ways({"more": sends("content-length: 0", body=b"HTTP/1.1 200 -\r\ncontent-length: 0\r\n\r\n")})
    async with serving(ways.serve) as port, sending() as sender:
        for _ in range(5):
            answer = await sender.post(f"http://127.0.0.1:{port}/500/more", {}, b"{}")
            assert answer == Answered(500)
    assert ways.connections == 5


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        (["location: https://new.example/hook", "content-length: 0"], "https://new.example/hook"),
        (["location: /\x1b[2J\u202ehook", "content-length: 0"], "/ [2J"),
        (["location: http://[::1", "content-length: 0"], "http://[::1"),
        ([f"location: /{'x' * 5000}", "content-length: 0"], "/" + "x" * 499),
        (["content-length: 0"], None),
    ],
)
async def test_a_redirect_says_where_it_leads_and_is_not_followed(lines: list[str], answer: str | None) -> None:
    ways = Ways({"moved": sends(*lines)})
    async with serving(ways.serve) as port, sending() as sender:
        for status in (301, 302, 303, 307, 308):
            found = await sender.post(f"http://127.0.0.1:{port}/{status}/moved", {}, b"{}")
            assert isinstance(found, Answered)
            if answer is None:
                assert found == Answered(status)
                assert found.reason is None
            else:
                assert (found.location or "").startswith(answer)
                assert found.reason == f"redirects are not followed; this one leads to {found.location}"
    assert ways.connections == 5


async def test_every_retry_after_is_kept_as_it_came() -> None:
    ways = Ways({"later": sends("retry-after: 5", "Retry-After: Sun, 22 Nov 2026 09:00:00 GMT", "content-length: 0")})
    async with serving(ways.serve) as port, sending() as sender:
        answer = await sender.post(f"http://127.0.0.1:{port}/503/later", {}, b"{}")
    assert answer == Answered(503, retry_after=("5", "Sun, 22 Nov 2026 09:00:00 GMT"))


# No answer -----------------------------------------------------------------------------------------------------------


async def _raw(
    exits: AsyncExitStack, answer: bytes, *, abort: bool = False, wait: bool = False, read: bool = True
) -> str:
    """A server that says this, whatever it hears; where it is."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if read:
            await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        if wait:
            await reader.read()
        if abort:
            writer.transport.abort()

    return f"127.0.0.1:{await exits.enter_async_context(serving(serve))}/"


async def test_why_there_was_no_answer() -> None:
    broke = "the connection broke before there was an answer"
    async with AsyncExitStack() as exits:
        sender = await exits.enter_async_context(sending(names={}))
        cases = [
            (f"http://127.0.0.1:{exits.enter_context(closed_port())}/", {"the connection was refused"}),
            ("http://" + await _raw(exits, b""), {broke}),
            ("http://" + await _raw(exits, b"", abort=True), {broke}),
            ("http://" + await _raw(exits, b"HTTP/1.1 200 -\r\ncontent-le"), {broke}),
            ("http://" + await _raw(exits, b"220 mail.example ESMTP\r\n\r\n"), {"the answer is not HTTP"}),
            ("http://" + await _raw(exits, b"\x00\xff" * 500), {"the answer is not HTTP", broke}),
            ("https://" + await _raw(exits, b"HTTP/1.1 400 -\r\n\r\n", read=False), {"TLS: wrong version number"}),
            (
                "https://" + await _raw(exits, b"", read=False, abort=True),
                {"the connection broke during the TLS handshake", "TLS: unexpected eof while reading"},
            ),
            ("http://unknown.example/", {NO_ADDRESS}),
            (f"http://{'x' * 64}.example/", {NO_ADDRESS}),
        ]
        for url, reasons in cases:
            answer = await sender.post(url, {}, b"{}")
            assert isinstance(answer, Unreached), url
            assert answer.reason in reasons, url


async def test_what_did_not_come_in_time() -> None:
    async with AsyncExitStack() as exits:
        sender = await exits.enter_async_context(sending(timeout_seconds=4, names={"slow.example": None}))
        full = exits.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        # The backlog of a server that accepts nothing takes one connection; the next gets no answer at all.
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            exits.enter_context(filler)
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        urls = [
            "http://slow.example/",
            f"http://127.0.0.1:{full.getsockname()[1]}/",
            "https://" + await _raw(exits, b"", read=False, wait=True),
            "http://" + await _raw(exits, b"", wait=True),
            "http://" + await _raw(exits, b"HTTP/1.1 200", wait=True),
        ]
        answers = await asyncio.gather(*(sender.post(url, {}, b"{}") for url in urls))
    assert answers == [
        Unreached("no answer from DNS within 4 s"),
        Unreached("no connection within 4 s"),
        Unreached("no TLS handshake within 4 s"),
        Unreached("no answer within 4 s"),
        Unreached("no answer within 4 s"),
    ]


async def test_tls_says_what_is_wrong_with_a_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)
    good, trusted = certificate(tmp_path, "good.example", now=now, days=30)
    ended, known = certificate(tmp_path, "ended.example", now=now, days=-1)
    stranger, _ = certificate(tmp_path, "stranger.example", now=now, days=30)
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(trusted.read_bytes() + known.read_bytes())
    monkeypatch.setattr(certifi, "where", lambda: str(bundle))
    names: dict[str, list[str] | None] = {
        f"{name}.example": ["127.0.0.1"] for name in ("good", "ended", "stranger", "other")
    }
    told = {}
    async with sending(names=names) as sender:
        for host, context in (("good", good), ("ended", ended), ("stranger", stranger), ("other", good)):
            async with serving(Ways().serve, context) as port:
                told[host] = await sender.post(f"https://{host}.example:{port}/204/empty", {}, b"{}")
    assert told == {
        "good": Answered(204),
        "ended": Unreached("TLS: certificate has expired"),
        "stranger": Unreached("TLS: self-signed certificate"),
        "other": Unreached("TLS: Hostname mismatch, certificate is not valid for 'other.example'"),
    }


async def test_a_host_with_a_dead_address_is_reached_at_another() -> None:
    class Two:
        async def addresses(self, host: str) -> list[Address]:
            return [*await self._of("127.0.0.2"), *await self._of("127.0.0.1")]

        async def _of(self, text: str) -> list[Address]:
            return [ip_address(text)]

    async with (
        serving(Ways().serve) as port,
        open_sender(allow_private=True, timeout_seconds=PATIENT, connections=1, names=Two()) as sender,
    ):
        assert await sender.post(f"http://two.example:{port}/204/empty", {}, b"{}") == Answered(204)


# The own network -----------------------------------------------------------------------------------------------------


async def test_every_inner_address_gives_one_answer_and_is_never_connected_to() -> None:
    """Open, closed or silent: who asks learns nothing."""
    inner = ["127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "::1", "fd00::1", "64:ff9b::7f00:1"]
    names: dict[str, list[str] | None] = {f"inner{n}.example": [address] for n, address in enumerate(inner)}
    names["mixed.example"] = ["93.184.215.14", "127.0.0.1"]
    ways = Ways()
    with closed_port() as closed:
        async with serving(ways.serve) as port, sending(allow_private=False, names=names) as sender:
            for name in [*names, "unknown.example"]:
                for at in (port, closed):
                    assert await sender.post(f"https://{name}:{at}/204/empty", {}, b"{}") == Unreached(NO_ADDRESS)
            for host in (
                "127.0.0.1",
                "[::1]",
                "localhost",
                "localhost.",
                "routing",
                "x.local",
                "x.internal.",
                "10.0.0.1",
            ):
                for at in (port, closed):
                    assert await sender.post(f"https://{host}:{at}/204/empty", {}, b"{}") == Unreached(NOT_PUBLIC)
            for odd in ("2130706433", "0x7f.1", "127.1", "0177.0.0.1"):
                answer = await sender.post(f"https://{odd}:{port}/204/empty", {}, b"{}")
                assert answer in (Unreached(NOT_PUBLIC), Unreached(NO_ADDRESS), Unreached("this is not a URL"))
    assert ways.connections == 0


async def test_a_name_is_looked_up_once_and_its_address_is_what_is_connected_to() -> None:
    """A name that changes its address between the question and the connection gains nothing."""
    asked: list[str] = []

    class Turning:
        async def addresses(self, host: str) -> list[Address]:
            asked.append(host)
            return [ip_address("127.0.0.1" if len(asked) > 1 else "203.0.113.77")]

    ways = Ways()
    async with (
        serving(ways.serve) as port,
        open_sender(allow_private=False, timeout_seconds=PATIENT, connections=1, names=Turning()) as sender,
    ):
        assert await sender.post(f"https://turning.example:{port}/204/empty", {}, b"{}") == Unreached(NO_ADDRESS)
        assert await sender.post(f"https://turning.example:{port}/204/empty", {}, b"{}") == Unreached(NO_ADDRESS)
    assert asked == ["turning.example."] * 2
    assert ways.connections == 0


def test_names_that_never_get_an_answer_delay_no_other() -> None:
    """On the loop of the services, whose own look-ups take a thread each."""

    async def main() -> None:
        names: dict[str, list[str] | None] = {f"tarpit{n}.example": None for n in range(200)}
        names |= {f"good{n}.example": ["127.0.0.1"] for n in range(50)}
        async with serving(Ways().serve) as port, sending(names=names) as sender:
            stuck = [
                asyncio.create_task(sender.post(f"http://{name}:{port}/204/empty", {}, b"{}"))
                for name, found in names.items()
                if found is None
            ]
            good = await asyncio.gather(
                *(sender.post(f"http://good{n}.example:{port}/204/empty", {}, b"{}") for n in range(50))
            )
            assert good == [Answered(204)] * 50
            assert not any(task.done() for task in stuck)
            for task in stuck:
                task.cancel()
            await asyncio.gather(*stuck, return_exceptions=True)

    uvloop.run(main())
