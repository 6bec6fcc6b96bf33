"""Settings of crm-bridge."""

from __future__ import annotations

from common.config import ServiceSettings
from pydantic import SecretStr


class Settings(ServiceSettings):
    """What crm-bridge needs beside the settings of every service."""

    http_port: int = 8103
    webhook_secret_key: SecretStr
    """Fernet keys (32 random bytes in URL-safe base64), separated by commas: the first encrypts the endpoints' secrets,
    all of them decrypt."""
    webhook_allow_private: bool = False
    """Send webhooks over http and into the own network too: for the local stack and tests."""
    webhook_timeout_seconds: float = 10.0
    """Real seconds that one try may take altogether. Clients are told of 10, in the API's text."""
    webhook_concurrency: int = 100
    """Tries under way at once, per process."""
