"""Who asks: bearer tokens (JWT of a configured issuer) and API keys of a tenant's own servers."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

import httpx
import jwt

from common.database import EVERY_TENANT, Database, Session
from common.errors import Forbidden, NotFound, Unauthenticated, Unavailable
from common.ids import FLOOR, new_id


class Role(StrEnum):
    """What a caller may do; a caller may have several."""

    OPERATOR = "operator"
    SUPERVISOR = "supervisor"
    AGENT = "agent"
    TENANT = "tenant"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller. `tenant_id` None: the floor's own people and systems, who see every tenant."""

    subject: str
    roles: frozenset[Role]
    tenant_id: str | None

    @property
    def scope(self) -> str:
        """The row-level security scope of the caller's transactions."""
        return EVERY_TENANT if self.tenant_id is None else self.tenant_id

    def has(self, *roles: Role) -> bool:
        """Whether the caller has one of the roles."""
        return not self.roles.isdisjoint(roles)

    def check_tenant(self, tenant_id: str) -> None:
        """Raises NotFound, as for a tenant that does not exist, when the caller may not see this one."""
        if self.tenant_id is not None and self.tenant_id != tenant_id:
            raise NotFound(f"no tenant {tenant_id}")

    def check_role(self, *roles: Role) -> None:
        """Raises Forbidden when the caller has none of the roles."""
        if not self.has(*roles):
            raise Forbidden(f"needs one of the roles {', '.join(roles)}")


_CACHE = 10_000
_KEY_SECONDS = 30.0
_JWKS_SECONDS = 300.0
_JWKS_MINIMUM_SECONDS = 5.0


class Authenticator:
    """Turns an `Authorization` header into a Principal. Verified tokens are remembered until they expire."""

    def __init__(self, *, database: Database, jwks_url: str, issuer: str, audience: str) -> None:
        self._database = database
        self._jwks_url = jwks_url
        self._issuer = issuer
        self._audience = audience
        self._keys: dict[str, jwt.PyJWK] = {}
        self._keys_read = float("-inf")
        self._known: OrderedDict[str, tuple[Principal, float]] = OrderedDict()

    async def authenticate(self, authorization: str | None) -> Principal:
        """Raises Unauthenticated, or Unavailable when the issuer's keys cannot be read."""
        scheme, _, credential = (authorization or "").partition(" ")
        credential = credential.strip()
        if scheme.lower() != "bearer" or not credential:
            raise Unauthenticated("send `Authorization: Bearer <token or API key>`")
        known = self._known.get(credential)
        if known is not None and known[1] > time.time():
            return known[0]
        if credential.startswith("plk_"):
            principal, until = await self._api_key(credential), time.time() + _KEY_SECONDS
        else:
            principal, until = await self._token(credential)
        self._known[credential] = (principal, until)
        if len(self._known) > _CACHE:
            self._known.popitem(last=False)
        return principal

    async def _token(self, token: str) -> tuple[Principal, float]:
        try:
            key = await self._key(jwt.get_unverified_header(token).get("kid", ""))
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=["EdDSA", "ES256", "RS256"],
                issuer=self._issuer,
                audience=self._audience,
                options={"require": ["exp", "sub", "iss", "aud"]},
            )
            roles = frozenset(Role(role) for role in claims.get("roles", []))
        except (jwt.PyJWTError, ValueError, TypeError) as wrong:
            raise Unauthenticated(f"the token is not valid: {type(wrong).__name__}") from None
        tenant = claims.get("tenant")
        if tenant is None and Role.TENANT in roles:
            raise Unauthenticated("a token with the role tenant names its tenant")
        if tenant is not None and (not isinstance(tenant, str) or tenant in ("", EVERY_TENANT)):
            raise Unauthenticated("the token's tenant is not valid")
        return Principal(str(claims["sub"]), roles, tenant), float(claims["exp"])

    async def _key(self, kid: str) -> jwt.PyJWK:
        age = time.monotonic() - self._keys_read
        if age > _JWKS_SECONDS or (kid not in self._keys and age > _JWKS_MINIMUM_SECONDS):
            self._keys = {key.key_id or "": key for key in jwt.PyJWKSet.from_json(await self._read_jwks()).keys}
            self._keys_read = time.monotonic()
        try:
            return self._keys[kid]
        except KeyError:
            raise Unauthenticated("the token is signed with an unknown key") from None

    async def _read_jwks(self) -> str:
        parts = urlsplit(self._jwks_url)
        try:
            if parts.scheme == "file":
                return Path(unquote(parts.path)).read_text()  # noqa: ASYNC240 - a small local file
            async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
                answer = await client.get(self._jwks_url)
                answer.raise_for_status()
                return answer.text
        except (OSError, httpx.HTTPError) as failure:
            raise Unavailable(f"the issuer's keys cannot be read: {type(failure).__name__}") from None

    async def _api_key(self, credential: str) -> Principal:
        try:
            _, identifier, secret = credential.split("_", 2)
            key_id = UUID(hex=identifier)
        except ValueError:
            raise Unauthenticated("the API key is not valid") from None
        async with self._database.transaction() as session:
            row = await session.fetchrow(
                "SELECT tenant_id, name, hash, roles FROM api_keys WHERE id = $1 AND revoked_at IS NULL", key_id
            )
        if row is None or not hmac.compare_digest(row["hash"], hashlib.sha256(secret.encode()).digest()):
            raise Unauthenticated("the API key is not valid")
        tenant = None if row["tenant_id"] == FLOOR else row["tenant_id"]
        return Principal(f"key:{row['name']}", frozenset(Role(role) for role in row["roles"]), tenant)


async def create_api_key(session: Session, *, tenant_id: str, name: str, roles: list[Role]) -> tuple[UUID, str]:
    """Make a key; the second value is the whole key, which is shown once and stored only as a hash."""
    key_id, secret = new_id(), secrets.token_urlsafe(32)
    await session.execute(
        "INSERT INTO api_keys (id, tenant_id, name, hash, roles) VALUES ($1, $2, $3, $4, $5)",
        key_id,
        tenant_id,
        name,
        hashlib.sha256(secret.encode()).digest(),
        [str(role) for role in roles],
    )
    return key_id, f"plk_{key_id.hex}_{secret}"
