"""Webhooks: which addresses they may go to, when they are tried again, and when they are given up.

The messages follow Standard Webhooks (https://www.standardwebhooks.com): signed over id, time and body, with an id that
stays the same over every try, so that a receiver can drop what it has seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Literal
from urllib.parse import urlsplit

EventType = Literal["case.opened.v1", "case.call_linked.v1", "case.closed.v1", "case.reopened.v1"]
"""What an endpoint can subscribe to."""
DeliveryState = Literal["pending", "delivered", "failed"]

LIFETIME = timedelta(days=3)
"""How long a delivery is tried before it is given up."""

DISABLE_AFTER = timedelta(days=2)
"""An endpoint to which nothing got through for so long is disabled when a delivery to it is given up."""

FIRST_DELAY = timedelta(seconds=5)
LONGEST_DELAY = timedelta(hours=12)
GROWTH = 4
"""5 s, 20 s, 80 s, 5 min, 21 min, 85 min, 6 h, 12 h, 12 h …: some 13 tries in three days."""
JITTER = 0.2
"""Each delay is stretched or shortened by up to this part: a receiver that comes back does not meet all at once."""

EXCERPT = 200
"""Characters of an answer's body that are kept, to help its owner find the fault."""


# Addresses -----------------------------------------------------------------------------------------------------------

_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_IPV4_COMPATIBLE = IPv6Network("::/96")


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether the address is a host on the public internet, whatever it is wrapped in.

    IPv4 addresses inside IPv6 (mapped, compatible, 6to4, Teredo, NAT64) are refused altogether: their global look says
    nothing about where a gateway takes them.
    """
    if not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified:
        return False
    if isinstance(address, IPv4Address):
        return True
    if address.ipv4_mapped is not None or address.sixtofour is not None or address.teredo is not None:
        return False
    return address not in _IPV4_COMPATIBLE and not any(address in network for network in _NAT64)


def refusal(url: str, *, allow_private: bool) -> str | None:
    """Why nothing may be sent to this URL; None when it may.

    Names are judged again, by the addresses behind them, whenever something is sent. `allow_private` also admits
    http and addresses of the own network: for tests and the local stack.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "this is not a URL"
    if not url.isascii() or any(character <= " " or character == "\x7f" for character in url):
        return "a URL has no spaces, control characters or letters beyond ASCII"
    if parts.scheme != "https" and not (allow_private and parts.scheme == "http"):
        return "the URL must begin with https://"
    if not parts.hostname:
        return "the URL names no host"
    if port == 0:
        return "the port must be between 1 and 65535"
    if "@" in parts.netloc:
        return "the URL must not hold a user name or password"
    if parts.fragment:
        return "the URL must not have a fragment"
    if not allow_private:
        try:
            address = ip_address(parts.hostname)
        except ValueError:
            if parts.hostname == "localhost" or parts.hostname.endswith((".localhost", ".local", ".internal")):
                return "the host is not on the public internet"
        else:
            if not is_public(address):
                return "the address is not on the public internet"
    return None


# Tries ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answered:
    """The receiver answered with this HTTP status; `excerpt` is the beginning of its body."""

    status: int
    excerpt: str = ""


@dataclass(frozen=True, slots=True)
class Unreached:
    """No answer; `reason` tells nothing about the inside of any network."""

    reason: str


Answer = Answered | Unreached


@dataclass(frozen=True, slots=True)
class Delivered:
    """A 2xx: done."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Not yet; the next try is due at `at`."""

    at: datetime


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Never mind. `disable` tells, when the whole endpoint has to be disabled, why."""

    disable: str | None


Verdict = Delivered | TryAgain | GivenUp


def judge(
    answer: Answer, *, attempt: int, now: datetime, expires_at: datetime, failing_since: datetime | None, jitter: float
) -> Verdict:
    """What follows from try number `attempt` (1 the first).

    `failing_since`: the endpoint's first failure after its last success. A delivery that is given up takes with it an
    endpoint to which nothing got through for `DISABLE_AFTER`; 410 Gone does so at once. `jitter` is drawn from [-1, 1].
    """
    if isinstance(answer, Answered):
        if 200 <= answer.status < 300:
            return Delivered()
        if answer.status == 410:
            return GivenUp("the receiver answered 410 Gone")
    at = now + delay(attempt, jitter)
    if at < expires_at:
        return TryAgain(at)
    if failing_since is not None and now - failing_since >= DISABLE_AFTER:
        return GivenUp(f"nothing got through since {failing_since:%Y-%m-%d %H:%M} UTC")
    return GivenUp(None)


def delay(attempt: int, jitter: float) -> timedelta:
    """The pause after try number `attempt`; `jitter` from [-1, 1]."""
    # The exponent is bounded: an endpoint that was disabled for long must not overflow.
    plain = min(FIRST_DELAY * int(GROWTH ** min(attempt - 1, 20)), LONGEST_DELAY)
    return timedelta(seconds=plain.total_seconds() * (1 + JITTER * jitter))
