"""Where webhooks may go, and when they are tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from crm_bridge.domain.webhooks import (
    DISABLE_AFTER,
    LAST_TRY,
    LIFETIME,
    LONGEST_DELAY,
    Answer,
    Answered,
    Delivered,
    GivenUp,
    TryAgain,
    Unreached,
    asked_for,
    delay,
    is_public,
    judge,
    refusal,
)
from crm_bridge.service.secrets import Vault
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "239.255.255.250", "255.255.255.255", "240.0.0.1", "198.18.0.1", "192.0.2.1",
        "::", "::1", "fe80::1", "fc00::1", "fd12:3456::1", "ff02::1", "ff0e::1", "2001:db8::1",
        "::ffff:8.8.8.8", "::ffff:127.0.0.1", "::8.8.8.8", "::127.0.0.1",
        "2002:7f00:1::", "2002:808:808::1", "64:ff9b::a00:1", "64:ff9b::808:808", "64:ff9b:1::a00:1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    ],
)  # fmt: skip
def test_no_address_of_an_own_network_or_in_disguise(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.215.14", "2606:4700:4700::1111", "2a00:1450:4007:80b::2004"])
def test_public_addresses(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://example.org/hook", "https"),
        ("ftp://example.org/hook", "https"),
        ("https:///hook", "host"),
        ("https://user:pass@example.org/", "user name"),
        ("https://example.org/#part", "fragment"),
        ("https://example.org:0/", "port"),
        ("https://example.org:99999/", "URL"),
        ("https://exa mple.org/", "spaces"),
        ("https://exämple.org/", "ASCII"),
        ("https://127.0.0.1/", "public"),
        ("https://[::1]/", "public"),
        ("https://[2002:7f00:1::]/", "public"),
        ("https://localhost/", "public"),
        ("https://localhost./", "public"),
        ("https://routing/", "public"),
        ("https://10.0.0.1./", "public"),
        ("https://metadata.google.internal/", "public"),
        ("https://[::1", "URL"),
        ("", "https"),
    ],
)
def test_refused_urls(url: str, reason: str) -> None:
    assert reason in (refusal(url, allow_private=False) or "")


def test_allowed_urls() -> None:
    assert refusal("https://crm.example.org:8443/plateau?x=1", allow_private=False) is None
    assert refusal("http://127.0.0.1:9000/", allow_private=True) is None
    assert refusal("ftp://127.0.0.1:9000/", allow_private=True) is not None


def verdict(
    answer: Answer, *, attempt: int = 1, age: timedelta = timedelta(0), failing_for: timedelta = timedelta(0)
) -> object:
    return judge(
        answer, attempt=attempt, now=NOW, expires_at=NOW - age + LIFETIME, failing_since=NOW - failing_for, jitter=0
    )


def test_what_follows_from_an_answer() -> None:
    assert verdict(Answered(204)) == Delivered()
    for answer in (Answered(500), Answered(404), Answered(302), Unreached("no connection")):
        assert verdict(answer) == TryAgain(NOW + timedelta(seconds=5))
        assert verdict(answer, attempt=4) == TryAgain(NOW + timedelta(seconds=320))
        assert verdict(answer, attempt=30, age=LIFETIME) == GivenUp(None)
    gone = verdict(Answered(410))
    assert isinstance(gone, GivenUp)
    assert gone.disable is not None
    assert "410" in gone.disable


def test_an_endpoint_that_answered_nothing_for_long_is_disabled() -> None:
    given_up = verdict(Answered(500), attempt=13, age=LIFETIME, failing_for=DISABLE_AFTER)
    assert isinstance(given_up, GivenUp)
    assert given_up.disable == "nothing got through since 2026-11-19 09:00 UTC"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", None), ("-5", None), ("", None), ("soon", None), ("1e9", None), ("٣", None), ("0x10", None),
        ("120", 120), (" 0120 ", 120), ("1.5", 2), ("999999999999999999999", LIFETIME.total_seconds()),
        ("9" * 100_000, LIFETIME.total_seconds()),
        ("Sat, 21 Nov 2026 09:02:00 GMT", 120), ("Saturday, 21-Nov-26 09:02:00 GMT", 120),
        ("Sat Nov 21 09:02:00 2026", 120), ("Sat, 21 Nov 2026 10:02:00 +0100", 120),
        ("Sat, 21 Nov 2026 08:59:59 GMT", None), ("Sun, 06 Nov 1994 08:49:37 GMT", None),
        ("Tue, 31 Feb 2027 00:00:00 GMT", None), ("Fri, 31 Dec 9999 23:59:59 GMT", LIFETIME.total_seconds()),
        ("Fri, 31 Dec 9999 23:59:59 -0500", None), ("Fri, 31 Dec 99999 23:59:59 GMT", None),
        ("Sun, 06 Nov 2094 08:49:37 +9999", None),
    ],
)  # fmt: skip
def test_what_a_receiver_asks_for(value: str, seconds: float | None) -> None:
    expected = None if seconds is None else NOW + timedelta(seconds=seconds)
    assert asked_for([value], NOW) == expected
    assert asked_for([value, "60"], NOW) == max(expected or NOW, NOW + timedelta(seconds=60))


@given(
    status=st.integers(300, 599).filter(lambda status: status != 410),
    asked=st.integers(0, 10**12),
    attempt=st.integers(1, 40),
    age=st.timedeltas(timedelta(0), LIFETIME),
    jitter=st.floats(-1, 1),
)
def test_no_earlier_than_the_receiver_asks_and_never_beyond_the_retention(
    status: int, asked: int, attempt: int, age: timedelta, jitter: float
) -> None:
    expires_at = NOW - age + LIFETIME
    found = judge(
        Answered(status, retry_after=(str(asked),)),
        attempt=attempt, now=NOW, expires_at=expires_at, failing_since=NOW, jitter=jitter,
    )  # fmt: skip
    plain = judge(Answered(500), attempt=attempt, now=NOW, expires_at=expires_at, failing_since=NOW, jitter=jitter)
    if status not in (429, 503) or asked == 0:
        assert found == plain
    elif isinstance(found, TryAgain):
        assert isinstance(plain, TryAgain)
        horizon = max(plain.at, expires_at - LAST_TRY)
        assert found.at >= min(NOW + timedelta(seconds=min(asked, 10**9)), horizon)
        assert plain.at <= found.at < expires_at
        assert found.pause_until is not None
        assert NOW < found.pause_until <= min(found.at, NOW + LONGEST_DELAY)
    else:
        assert found == plain


@given(attempt=st.integers(1, 10_000), jitter=st.floats(-1, 1))
def test_delays_are_bounded(attempt: int, jitter: float) -> None:
    assert timedelta(seconds=4) <= delay(attempt, jitter) <= LONGEST_DELAY * 1.2


def test_some_13_tries_in_three_days() -> None:
    now, attempt = NOW, 1
    while isinstance(
        next_try := judge(
            Answered(500), attempt=attempt, now=now, expires_at=NOW + LIFETIME, failing_since=NOW, jitter=0
        ),
        TryAgain,
    ):
        now, attempt = next_try.at, attempt + 1
    assert 12 <= attempt <= 14


def test_secrets_are_encrypted_and_keys_can_be_rotated() -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    secret, encrypted = Vault(old).new_secret()
    assert secret.startswith("whsec_")
    assert secret.encode() not in encrypted
    assert Vault(f"{new}, {old}").open(encrypted) == secret
    with pytest.raises(ValueError, match="WEBHOOK_SECRET_KEY"):
        Vault(new).open(encrypted)
    with pytest.raises(ValueError, match="Fernet"):
        Vault("short")
