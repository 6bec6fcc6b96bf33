"""Host names to addresses, in any number at once: a name whose servers never answer takes no thread from another."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import TracebackType
from typing import Protocol, Self

from aiodns import DNSResolver
from aiodns.error import ARES_EBADNAME, ARES_ENODATA, ARES_ENOTFOUND, DNSError

Address = IPv4Address | IPv6Address


class NamesFailed(Exception):
    """DNS said neither that the name has addresses nor that it has none."""


class Names(Protocol):
    """Where a sender asks for the addresses of a host."""

    async def addresses(self, host: str) -> list[Address]:
        """Every address of the name, IPv4 first; none when it has none. Raises NamesFailed."""
        ...


class DnsNames:
    """Asks the name servers of this machine, or `servers` (`address:port`), as long as the caller has patience.

    Answers are kept for as long as they say themselves.
    """

    def __init__(self, servers: list[str] | None = None) -> None:
        self._servers = servers

    async def __aenter__(self) -> Self:
        self._resolver = DNSResolver(nameservers=self._servers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._resolver.close()

    async def addresses(self, host: str) -> list[Address]:
        """Every address of the name, IPv4 first; none when it has none. Raises NamesFailed."""
        try:
            found = await self._resolver.getaddrinfo(host, type=socket.SOCK_STREAM)
        except DNSError as failure:
            code, text = failure.args
            if code in (ARES_ENOTFOUND, ARES_ENODATA, ARES_EBADNAME):
                return []
            raise NamesFailed(text) from None
        addresses = [ip_address(node.addr[0].decode().partition("%")[0]) for node in found.nodes]
        return sorted(addresses, key=lambda address: address.version)
