"""Endpoints' secrets: made here, stored encrypted, shown once."""

from __future__ import annotations

import base64
import secrets

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

PREFIX = "whsec_"


class Vault:
    """Encrypts with the first of the keys (Fernet, separated by commas) and decrypts with any of them.

    Raises ValueError when a key is not a Fernet key, so that a wrong setting stops the process at its start.
    """

    def __init__(self, keys: str) -> None:
        self._fernet = MultiFernet([Fernet(key.strip()) for key in keys.split(",")])

    def new_secret(self) -> tuple[str, bytes]:
        """A fresh secret (256 bits) in the form of Standard Webhooks, and the same encrypted."""
        secret = PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
        return secret, self._fernet.encrypt(secret.encode())

    def open(self, encrypted: bytes) -> str:
        """The secret. Raises ValueError when it was encrypted with a key that is no longer set."""
        try:
            return self._fernet.decrypt(encrypted).decode()
        except InvalidToken:
            raise ValueError("the secret was encrypted with a key that is not in WEBHOOK_SECRET_KEY") from None
