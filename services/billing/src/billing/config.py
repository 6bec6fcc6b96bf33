"""Billing's settings."""

from __future__ import annotations

from common.config import ServiceSettings


class Settings(ServiceSettings):
    """What billing reads from its environment."""

    http_port: int = 8104
    figures_seconds: float = 10.0
    """How often the gauge of unrated closings is read from the database."""
