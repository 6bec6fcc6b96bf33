"""Settings of routing."""

from __future__ import annotations

from common.config import ServiceSettings


class Settings(ServiceSettings):
    """What routing needs beside the settings of every service."""

    http_port: int = 8101
    call_days: int = 90
    """How long a call that is over can be read, with its phone number; its events stay as long as their topic does."""
    stream_backlog: int = 1000
    """Events that one reader of a stream may be behind before it is disconnected."""
    stream_heartbeat_seconds: float = 15.0
    """Real seconds between two comments that keep an idle stream open."""
