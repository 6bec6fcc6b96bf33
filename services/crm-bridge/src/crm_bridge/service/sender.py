"""One POST to an address that a client company chose: to the public internet alone, and never longer than allowed."""

from __future__ import annotations

import errno
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import anyio
import h11
import httpcore
import httpx

from crm_bridge.domain.webhooks import EXCERPT, Answer, Answered, Unreached, is_public, refusal
from crm_bridge.service.names import Address, DnsNames, Names, NamesFailed

NO_ADDRESS = "DNS has no address on the public internet for the host name"
"""Of a name that is unknown and of one that leads inside alike."""
BODY_SECONDS = 2.0
"""For the beginning of an answer's body, which decides nothing."""
MOST_ADDRESSES = 4
"""Addresses of one host that are tried in turn until one lets us connect."""
_LOCATION = 500
_LACKING = {
    "connect_tcp": "no connection",
    "start_tls": "no TLS handshake",
    "send_request_headers": "the request could not be sent",
    "send_request_body": "the request could not be sent",
    "receive_response_headers": "no answer",
}


class Sender:
    """Posts bodies. Follows no redirect, uses no proxy, keeps no cookie, reads the beginning of an answer only.

    Every message has a connection of its own, to an address that was found public before anything was connected to it:
    what one receiver leaves on a connection never answers another's message. Time limits are anyio's, as the client's
    own shields are: asyncio's would take the client's connections from it one by one.
    """

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        names: Names,
        *,
        allow_private: bool,
        timeout_seconds: float,
        body_seconds: float,
    ) -> None:
        self._transport = transport
        self._names = names
        self._allow_private = allow_private
        self._timeout = timeout_seconds
        self._body_seconds = body_seconds

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """What came of it; never raises for what a receiver or the network does."""
        reason = refusal(url, allow_private=self._allow_private)
        if reason is not None:
            return Unreached(reason)
        deadline = anyio.current_time() + self._timeout
        progress = _Progress()
        try:
            with anyio.fail_after(self._timeout):
                target = httpx.URL(url)
                addresses = await self._addresses(target.host)
                if not addresses:
                    return Unreached(NO_ADDRESS)
                response = await self._send(target, addresses, headers, body, progress)
        except (TimeoutError, httpx.TimeoutException):
            return Unreached(f"{progress.lacking} within {self._timeout:g} s")
        except NamesFailed as failure:
            return Unreached(f"DNS gave no answer for the host name: {failure}")
        except (httpx.InvalidURL, UnicodeError):
            return Unreached("this is not a URL")
        except (httpx.RequestError, OSError) as failure:
            return Unreached(_told(failure, progress.step))
        # The receiver has answered: nothing that happens from here on changes that.
        answer = Answered(
            response.status_code,
            retry_after=tuple(response.headers.get_list("retry-after")),
            location=_printable(response.headers.get("location", ""), _LOCATION) or None,
        )
        beginning = await self._beginning(response, deadline)
        return replace(answer, excerpt=_printable(beginning.decode(errors="replace"), EXCERPT))

    async def _addresses(self, host: str) -> list[Address]:
        """Where to connect: nowhere when any address of the host is inside."""
        try:
            found = [ip_address(host)]
        except ValueError:
            # With a dot at its end a name is whole: no domain of our own network is searched for it.
            found = await self._names.addresses(host if self._allow_private else host.removesuffix(".") + ".")
        if not self._allow_private and not all(is_public(address) for address in found):
            return []
        return found[:MOST_ADDRESSES]

    async def _send(
        self, url: httpx.URL, addresses: list[Address], headers: Mapping[str, str], body: bytes, progress: _Progress
    ) -> httpx.Response:
        host = url.host.removesuffix(".")
        for address in addresses:
            request = httpx.Request(
                "POST",
                url.copy_with(host=str(address)),
                headers={"host": url.netloc.decode("ascii"), "connection": "close", **headers},
                content=body,
                extensions={
                    "sni_hostname": host,
                    "timeout": {"connect": self._timeout / len(addresses)},
                    "trace": progress.note,
                },
            )
            try:
                return await self._transport.handle_async_request(request)
            except BaseException as failure:
                await progress.hang_up()
                if address is addresses[-1] or not isinstance(failure, httpx.ConnectError | httpx.ConnectTimeout):
                    raise
        raise AssertionError("there is an address")

    async def _beginning(self, response: httpx.Response, deadline: float) -> bytes:
        beginning = b""
        patience = min(self._body_seconds, max(0.0, deadline - anyio.current_time()))
        with suppress(httpx.HTTPError, OSError):
            try:
                with anyio.move_on_after(patience):
                    async for chunk in response.aiter_raw():
                        beginning += chunk[: 4 * EXCERPT]
                        if len(beginning) >= 4 * EXCERPT:
                            break
            finally:
                await response.aclose()
        return beginning


class _Progress:
    """How far one try has come, in the steps of httpcore."""

    step: str | None = None
    _stream: httpcore.AsyncNetworkStream | None = None

    async def note(self, event: str, details: Mapping[str, Any]) -> None:
        """What httpcore calls before and after each step."""
        _, step, moment = event.split(".")
        if moment == "started" and step in _LACKING:
            self.step = step
        elif event == "connection.connect_tcp.complete":
            self._stream = details["return_value"]

    async def hang_up(self) -> None:
        """Close the connection: httpcore leaves it open when a TLS handshake is cancelled."""
        if self._stream is not None:
            with anyio.CancelScope(shield=True):
                await self._stream.aclose()
            self._stream = None

    @property
    def lacking(self) -> str:
        """What did not come while there was time."""
        return "no answer from DNS" if self.step is None else _LACKING[self.step]


def _told(failure: Exception, step: str | None) -> str:
    """Why there was no answer. Only ever asked of addresses that are public (or of anyone's, where that is allowed)."""
    for cause in _causes(failure):
        match cause:
            case ssl.SSLCertVerificationError():
                return f"TLS: {cause.verify_message.rstrip('.')}"
            case ssl.SSLError():
                return f"TLS: {(cause.reason or 'failure').replace('_', ' ').lower()}"
            case ConnectionRefusedError():
                return "the connection was refused"
            case OSError(errno=errno.EHOSTUNREACH | errno.ENETUNREACH):
                return "there is no route to the host"
            case h11.RemoteProtocolError():
                return "the answer is not HTTP"
    if step in (None, "connect_tcp"):
        return "no connection"
    if step == "start_tls":
        return "the connection broke during the TLS handshake"
    return "the connection broke before there was an answer"


def _causes(failure: BaseException | None) -> Iterator[BaseException]:
    while failure is not None:
        yield failure
        failure = failure.__cause__ or failure.__context__


def _printable(text: str, most: int) -> str:
    characters = (c if c.isprintable() else " " for c in text)
    return " ".join("".join(characters).split())[:most]


@asynccontextmanager
async def open_sender(
    *,
    allow_private: bool,
    timeout_seconds: float,
    connections: int,
    body_seconds: float = BODY_SECONDS,
    names: Names | None = None,
) -> AsyncIterator[Sender]:
    """A sender with room for so many connections. `allow_private` takes the guard away: for the local stack and tests.

    `names` instead of this machine's name servers.
    """
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=0)
    async with AsyncExitStack() as exits:
        if names is None:
            names = await exits.enter_async_context(DnsNames())
        transport = await exits.enter_async_context(httpx.AsyncHTTPTransport(trust_env=False, limits=limits))
        yield Sender(
            transport, names, allow_private=allow_private, timeout_seconds=timeout_seconds, body_seconds=body_seconds
        )
