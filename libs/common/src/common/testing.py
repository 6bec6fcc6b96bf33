"""Test support: wait for a condition, an issuer of tokens, events as records."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

T = TypeVar("T")


async def eventually(check: Callable[[], Awaitable[T]], *, timeout: float = 60.0) -> T:
    """Ask until `check` gives something true, and return that. Raises AssertionError after `timeout` seconds.

    The default is far longer than anything takes, so that a busy machine fails no test.
    """
    deadline = time.monotonic() + timeout
    while True:
        found = await check()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"still {found!r} after {timeout} s")
        await asyncio.sleep(0.01)


class Issuer:
    """Issues tokens in a local stack and in tests: an Ed25519 key in a file, its public half as a JWKS beside it.

    The folder keeps the key, so that tokens stay valid over a restart.
    """

    def __init__(self, folder: Path, *, issuer: str = "http://issuer.localhost", audience: str = "plateau") -> None:
        self.issuer = issuer
        self.audience = audience
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "issuer.pem"
        if path.exists():
            key = load_pem_private_key(path.read_bytes(), None)
            assert isinstance(key, Ed25519PrivateKey)
            self._key = key
        else:
            self._key = Ed25519PrivateKey.generate()
            path.touch(mode=0o600)
            path.write_bytes(self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        raw = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        public = {
            "kty": "OKP",
            "crv": "Ed25519",
            "alg": "EdDSA",
            "use": "sig",
            "kid": "local",
            "x": base64.urlsafe_b64encode(raw).rstrip(b"=").decode(),
        }
        jwks = folder / "jwks.json"
        jwks.write_text(json.dumps({"keys": [public]}))
        self.jwks_url = jwks.resolve().as_uri()

    def mint(
        self, role: str = "operator", *, tenant: str | None = None, subject: str = "olive", seconds: float = 86_400
    ) -> str:
        """A token for one role (several: separated by commas); `tenant` None is the floor itself."""
        now = time.time()
        claims: dict[str, object] = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": subject,
            "iat": int(now),
            "exp": int(now + seconds),
            "roles": role.split(","),
        }
        if tenant is not None:
            claims["tenant"] = tenant
        return jwt.encode(claims, self._key, algorithm="EdDSA", headers={"kid": "local"})
