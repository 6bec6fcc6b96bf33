"""Webhooks: which addresses they may go to, when they are tried again, and when they are given up.

The messages follow Standard Webhooks (https://www.standardwebhooks.com): signed over id, time and body, with an id that
stays the same over every try, so that a receiver can drop what it has seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final, Literal, get_args
from urllib.parse import urlsplit

import msgspec

EventType = Literal["case.opened.v1", "case.call_linked.v1", "case.closed.v1", "case.reopened.v1"]
"""What an endpoint can subscribe to."""
EVENT_TYPES: Final[tuple[EventType, ...]] = get_args(EventType)
DeliveryState = Literal["pending", "delivered", "failed", "expired"]
"""`failed`: given up after its tries. `expired`: its retention passed while it waited for its next try."""

LIFETIME = timedelta(days=3)
"""Retention: how long a message is tried, or waits for a disabled endpoint, before it is given up."""
LAST_TRY = timedelta(minutes=1)
"""A receiver that asks for more patience than the retention gets its last try so long before the retention ends."""

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

NOT_PUBLIC = "the host is not on the public internet"
"""The one answer for every inner address and every name that DNS does not take to a public one."""


# Secrets -------------------------------------------------------------------------------------------------------------


class ReplacedSecret(msgspec.Struct, frozen=True):
    """A secret (encrypted) that goes on signing beside the newer ones until its time is over."""

    secret: bytes
    until: datetime


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
        name = parts.hostname.removesuffix(".")
        try:
            address = ip_address(name)
        except ValueError:
            if "." not in name or name.endswith((".localhost", ".local", ".internal")):
                return NOT_PUBLIC
        else:
            if not is_public(address):
                return NOT_PUBLIC
    return None


# Tries ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answered:
    """The receiver answered with this HTTP status. That decides, whatever became of the body.

    `excerpt` is as much of the body's beginning as came; `retry_after` and `location` are the headers, as they came.
    """

    status: int
    excerpt: str = ""
    retry_after: tuple[str, ...] = ()
    location: str | None = None

    @property
    def delivered(self) -> bool:
        """Whether the receiver has taken the message."""
        return 200 <= self.status < 300

    @property
    def reason(self) -> str | None:
        """What the status alone does not tell."""
        if 300 <= self.status < 400 and self.location is not None:
            return f"redirects are not followed; this one leads to {self.location}"
        return None


@dataclass(frozen=True, slots=True)
class Unreached:
    """No answer; `reason` tells nothing about the inside of any network."""

    reason: str
    delivered = False


Answer = Answered | Unreached


@dataclass(frozen=True, slots=True)
class Delivered:
    """A 2xx: done."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Not yet; the next try is due at `at`. `pause_until`: the receiver asked for no message at all before then."""

    at: datetime
    pause_until: datetime | None = None


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
    429 and 503 with `Retry-After` put the next try off until then, but never beyond `expires_at`, and the endpoint's
    other messages with it, but never for longer than `LONGEST_DELAY`.
    """
    if answer.delivered:
        return Delivered()
    at, asked = now + delay(attempt, jitter), None
    if isinstance(answer, Answered):
        if answer.status == 410:
            return GivenUp("the receiver answered 410 Gone")
        if answer.status in (429, 503):
            asked = asked_for(answer.retry_after, now)
    if asked is not None and asked > at:
        at = max(at, min(asked, expires_at - LAST_TRY))
    if at < expires_at:
        return TryAgain(at, None if asked is None else min(asked, at, now + LONGEST_DELAY))
    return GivenUp(prolonged(failing_since, now))


def prolonged(failing_since: datetime | None, now: datetime) -> str | None:
    """Why an endpoint that has been failing since then is to be disabled when a delivery to it is given up."""
    if failing_since is None or now - failing_since < DISABLE_AFTER:
        return None
    return f"nothing got through since {failing_since:%Y-%m-%d %H:%M} UTC"


def asked_for(retry_after: Iterable[str], now: datetime) -> datetime | None:
    """The latest moment after `now` that these values of `Retry-After` (RFC 9110: seconds or an HTTP date) name.

    None when there is none: what cannot be read and what is past asks for nothing. At most `LIFETIME` from `now`.
    """
    moments = [moment for value in retry_after if (moment := _moment(value.strip(), now)) is not None and moment > now]
    return min(max(moments), now + LIFETIME) if moments else None


def _moment(value: str, now: datetime) -> datetime | None:
    if seconds := re.fullmatch(r"0*([0-9]+)(\.[0-9]+)?", value, re.ASCII):
        # Nine digits are 31 years, and more than that cannot be added to a date.
        whole = int(seconds[1][:9]) if len(seconds[1]) <= 9 else 10**9
        return now + timedelta(seconds=whole + bool(seconds[2]))
    try:
        moment = parsedate_to_datetime(value[:100])
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def delay(attempt: int, jitter: float) -> timedelta:
    """The pause after try number `attempt`; `jitter` from [-1, 1]."""
    # The exponent is bounded: an endpoint that was disabled for long must not overflow.
    plain = min(FIRST_DELAY * int(GROWTH ** min(attempt - 1, 20)), LONGEST_DELAY)
    return timedelta(seconds=plain.total_seconds() * (1 + JITTER * jitter))
