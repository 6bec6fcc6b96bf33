"""One POST to an address that a client company chose: to the public internet alone, and never longer than allowed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address

import httpx
from httpx_secure import httpx_ssrf_protection

from crm_bridge.domain.webhooks import EXCERPT, Answer, Answered, Unreached, is_public, refusal

_DNS_SECONDS = 60.0


class Sender:
    """Posts bodies. Follows no redirect, uses no proxy, keeps no cookie, reads the beginning of an answer only."""

    def __init__(self, client: httpx.AsyncClient, *, allow_private: bool, timeout_seconds: float) -> None:
        self._client = client
        self._allow_private = allow_private
        self._timeout = timeout_seconds

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """What came of it; never raises for what a receiver or the network does."""
        reason = refusal(url, allow_private=self._allow_private)
        if reason is not None:
            return Unreached(reason)
        try:
            async with asyncio.timeout(self._timeout):
                if not self._allow_private and not await _resolves_to_public(httpx.URL(url)):
                    return Unreached("the host is not on the public internet")
                return await self._post(url, headers, body)
        except (TimeoutError, httpx.TimeoutException):
            return Unreached(f"no answer within {self._timeout:g} s")
        except socket.gaierror:
            return Unreached("the host name is unknown")
        except (httpx.RequestError, httpx.InvalidURL, OSError, UnicodeError) as failure:
            # A guard that refuses while connecting looks like any other failed connection: nobody learns from us which
            # inner addresses answer.
            if isinstance(failure, httpx.ProtocolError | httpx.ReadError | httpx.WriteError):
                return Unreached("the connection broke before there was an answer")
            return Unreached("no connection")

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answered:
        request = self._client.stream("POST", url, headers=dict(headers), content=body, follow_redirects=False)
        async with request as response:
            beginning = b""
            async for chunk in response.aiter_raw():
                beginning += chunk[: 4 * EXCERPT]
                if len(beginning) >= 4 * EXCERPT:
                    break
            # Not for sessions: the next endpoint on this host may be another tenant's.
            self._client.cookies.clear()
            return Answered(response.status_code, _printable(beginning))


async def _resolves_to_public(url: httpx.URL) -> bool:
    """Whether every address of the host is public.

    Asked before anything is connected, because the guard inside the client opens (and closes) a connection to find out.
    """
    found = await asyncio.get_running_loop().getaddrinfo(url.host, url.port or 443, type=socket.SOCK_STREAM)
    return bool(found) and all(is_public(ip_address(entry[4][0])) for entry in found)


def _printable(text: bytes) -> str:
    characters = (c if c.isprintable() else " " for c in text.decode(errors="replace"))
    return " ".join("".join(characters).split())[:EXCERPT]


@asynccontextmanager
async def open_sender(*, allow_private: bool, timeout_seconds: float, connections: int) -> AsyncIterator[Sender]:
    """A sender with its pool of connections. `allow_private` takes the guard away: for the local stack and tests."""
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    async with httpx.AsyncClient(
        trust_env=False, follow_redirects=False, timeout=timeout_seconds, limits=limits
    ) as client:
        if not allow_private:
            httpx_ssrf_protection(client, custom_validator=_admit, dns_cache_ttl=_DNS_SECONDS)
        yield Sender(client, allow_private=allow_private, timeout_seconds=timeout_seconds)


def _admit(hostname: str, address: IPv4Address | IPv6Address, port: int) -> bool:
    return is_public(address)
