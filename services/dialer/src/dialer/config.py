"""Dialer's settings."""

from __future__ import annotations

from pathlib import Path

from common.config import ServiceSettings
from pydantic import Field, SecretStr

from dialer.service.importing import LARGEST_FILE


class Settings(ServiceSettings):
    """What dialer reads from its environment. Durations are seconds of the service's clock."""

    http_port: int = 8102
    routing_url: str = "http://127.0.0.1:8101"
    routing_token: SecretStr | None = None
    """Bearer token for routing: a JWT with the role `service`, or an API key."""
    routing_token_file: Path | None = None
    """A mounted file with that token, read again when it changes; takes precedence."""
    hand_over_seconds: float = 2.0
    """From a person's answer to an agent: then the attempt is abandoned and the message is played."""
    pace_seconds: float = 1.0
    """Between two decisions on how many dials to start."""
    ring_grace_seconds: float = 15.0
    """Beyond the ring time, after which an attempt of which the PBX tells nothing has failed."""
    unresolved_seconds: float = 300.0
    """After which a person's answer of which routing tells nothing counts as abandoned."""
    import_max_bytes: int = Field(LARGEST_FILE, gt=0, le=LARGEST_FILE)
    """Largest file of leads."""
